//! A proposed chain's way through the gates, one stream after the other.

use super::{Ground, trial::Trial};
use crate::router;
use magsentinel_bus_schema::{
    Assessment, Closure, Id, Judgement, Limits, Pattern, Scored, Stream, Tenant, Timestamp,
    subject::all_of,
};
use magsentinel_pattern::{Input, keeper::Test};
use magsentinel_runtime::{keeper::Work, stage::Delivery};
use std::collections::BTreeMap;

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
    /// Of each incident the events that it cites and that the proposal found.
    cited: BTreeMap<Id, Vec<Id>>,
    /// The newest word on each incident.
    judged: BTreeMap<Id, (Timestamp, Judgement)>,
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
        let (cited, judged) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { trial, phase: Phase::Scored, cited, judged })
    }

    fn decision(&mut self, delivery: &Delivery) {
        if let Ok(of) = delivery.decode::<Assessment>(Limits::default()) {
            let cited = of.evidence.iter().map(|evidence| evidence.event);
            let cited: Vec<Id> = cited.filter(|id| self.trial.cites(*id)).collect();
            if of.level.is_flagged() {
                cited.iter().for_each(|id| self.trial.explain(*id));
            }
            if !cited.is_empty() {
                self.cited.insert(of.incident, cited);
            }
        } else if let Ok(of) = delivery.decode::<Closure>(Limits::default()) {
            let known = self.judged.entry(of.incident).or_insert((of.ts, of.judgement));
            if of.ts >= known.0 {
                *known = (of.ts, of.judgement);
            }
        }
    }

    fn conclude(self) -> Box<Input> {
        let Self { mut trial, cited, judged, .. } = self;
        let ordinary = judged.iter().filter(|(_, (_, said))| *said == Judgement::FalsePositive);
        for event in ordinary.filter_map(|(incident, _)| cited.get(incident)).flatten() {
            trial.found_ordinary(*event);
        }
        Box::new(match trial.conclude() {
            (proof, None) => Input::Passed(proof),
            (proof, Some((gate, why))) => Input::Stopped(gate, why, Some(proof)),
        })
    }
}

impl Test for Testing {
    fn work(&self, tenant: &Tenant) -> Work {
        let (stream, filters) = match self.phase {
            Phase::Scored => (Stream::Scored, router::filters(tenant)),
            Phase::Decisions => {
                let stages = ["assessment", "closure"].map(|stage| all_of(tenant, stage));
                (Stream::Decisions, stages.to_vec())
            }
        };
        Work::Read { stream, filters }
    }

    fn see(&mut self, delivery: &Delivery) {
        match self.phase {
            Phase::Scored => {
                // What is no finding is no ground for or against a chain.
                if let Ok(scored) = delivery.decode::<Scored>(Limits::default()) {
                    self.trial.scored(&scored);
                }
            }
            Phase::Decisions => self.decision(delivery),
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
