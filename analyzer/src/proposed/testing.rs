//! A proposed chain's way through the gates, one stream after the other.

use super::{Ground, trial::Trial};
use crate::router;
use magsentinel_bus_schema::{Limits, Pattern, Scored, Stream, Tenant, Timestamp};
use magsentinel_pattern::{
    Input,
    judgements::{Judgements, concluded},
    keeper::Test,
};
use magsentinel_runtime::{keeper::Work, stage::Delivery};

/// What is read now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The findings that it is run on.
    Scored,
    /// What other chains cite, and what operators said of it.
    Decisions,
}

/// A test under way.
pub struct Testing {
    trial: Trial,
    phase: Phase,
    judgements: Judgements,
}

impl Testing {
    /// Compiles a pattern and tries it on what is known to be good.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn begin(ground: &Ground, pattern: &Pattern, now: Timestamp) -> Result<Self, String> {
        let book = ground.compile(&pattern.rule)?;
        let title = book.chains().first().map(|chain| chain.title.as_str()).unwrap_or_default();
        if title != pattern.title {
            return Err(format!("its title is not {title:?}, as its rule says"));
        }
        let parts = (ground.base(), book, ground.config());
        let rules = ground.rules();
        let most = rules.backtest_events_max;
        let mut trial = Trial::new(parts, &pattern.events, rules.budget(), most, now);
        trial.good(ground.good());
        Ok(Self { trial, phase: Phase::Scored, judgements: Judgements::default() })
    }

    fn conclude(self) -> Box<Input> {
        let Self { mut trial, judgements, .. } = self;
        judgements.ordinary().for_each(|event| trial.found_ordinary(event));
        concluded(trial.conclude())
    }
}

impl Test for Testing {
    fn work(&self, tenant: &Tenant) -> Work {
        match self.phase {
            Phase::Scored => {
                Work::Read { stream: Stream::Scored, filters: router::filters(tenant) }
            }
            Phase::Decisions => Judgements::work(tenant),
        }
    }

    fn see(&mut self, delivery: &Delivery) {
        match self.phase {
            Phase::Scored => {
                // What is no finding is no ground for or against a chain.
                if let Ok(scored) = delivery.decode::<Scored>(Limits::default()) {
                    self.trial.scored(&scored);
                }
            }
            Phase::Decisions => {
                let explained = self.judgements.see(delivery, |id| self.trial.cites(id));
                explained.into_iter().for_each(|id| self.trial.explain(id));
            }
        }
    }

    fn go_on(mut self: Box<Self>) -> Result<Box<dyn Test>, Box<Input>> {
        match self.phase {
            Phase::Scored => {
                self.trial.over();
                self.phase = Phase::Decisions;
                Ok(self)
            }
            Phase::Decisions => Err(self.conclude()),
        }
    }
}
