//! A proposal's way through the gates, one stream after the other.

use super::Parts;
use crate::{patrols::Entry, trial::Trial};
use magsentinel_bus_schema::{
    Event, Level, Limits, Pattern, Scored, Stream, Tenant, subject::scored_at,
};
use magsentinel_pattern::{
    Input,
    judgements::{Judgements, concluded},
    keeper::Test,
};
use magsentinel_runtime::{keeper::Work, stage::Delivery};

/// What is read now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The events that it is run on.
    Events,
    /// What patrols flagged of them.
    Scored,
    /// What chains cite, and what operators said of it.
    Decisions,
}

/// A test under way.
pub struct Testing {
    entry: &'static Entry,
    trial: Trial,
    phase: Phase,
    judgements: Judgements,
}

impl Testing {
    /// Compiles a pattern and tries it on what is known to be good.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn begin(parts: &Parts, pattern: &Pattern) -> Result<Self, String> {
        let proposal = parts.compile(pattern)?;
        if proposal.title != pattern.title {
            return Err(format!("its title is not {:?}, as its rule says", proposal.title));
        }
        let (budget, most) = (parts.rules.budget(), parts.rules.backtest_events_max);
        let from = (parts.entry, &*parts.config);
        let mut trial = Trial::new(from, proposal, &pattern.events, budget, most);
        parts.good.bodies().for_each(|(kind, body)| trial.good(kind, &body));
        let judgements = Judgements::default();
        Ok(Self { entry: parts.entry, trial, phase: Phase::Events, judgements })
    }

    fn conclude(self) -> Box<Input> {
        let Self { mut trial, judgements, .. } = self;
        judgements.ordinary().for_each(|event| trial.found_ordinary(event));
        concluded(trial.conclude())
    }
}

impl Test for Testing {
    fn work(&self, tenant: &Tenant) -> Work {
        let (stream, filters) = match self.phase {
            Phase::Events => (Stream::Events, self.entry.spec.events_of(tenant)),
            Phase::Scored => {
                let flagged = [Level::Medium, Level::High, Level::Critical];
                (Stream::Scored, scored_at(tenant, &flagged))
            }
            Phase::Decisions => return Judgements::work(tenant),
        };
        Work::Read { stream, filters }
    }

    fn see(&mut self, delivery: &Delivery) {
        match self.phase {
            Phase::Events => {
                // What is no event is no ground for or against a pattern.
                if let Ok(event) = delivery.decode::<Event>(Limits::default()) {
                    self.trial.event(&event);
                }
            }
            Phase::Scored => {
                if let Ok(scored) = delivery.decode::<Scored>(Limits::default()) {
                    self.trial.explain(scored.event);
                }
            }
            Phase::Decisions => {
                let explained = self.judgements.see(delivery, |id| self.trial.is_matched(id));
                explained.into_iter().for_each(|id| self.trial.explain(id));
            }
        }
    }

    fn go_on(mut self: Box<Self>) -> Result<Box<dyn Test>, Box<Input>> {
        self.phase = match self.phase {
            Phase::Events => Phase::Scored,
            Phase::Scored => Phase::Decisions,
            Phase::Decisions => return Err(self.conclude()),
        };
        Ok(self)
    }
}
