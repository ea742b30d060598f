//! A proposal's way through the gates, one stream after the other.

use super::Parts;
use crate::{patrols::Entry, trial::Trial};
use magsentinel_bus_schema::{
    Assessment, Closure, Event, Id, Judgement, Level, Limits, Pattern, Scored, Stream, Tenant,
    Timestamp,
    subject::{all_of, scored_at},
};
use magsentinel_pattern::{Input, keeper::Test};
use magsentinel_runtime::{keeper::Work, stage::Delivery};
use std::collections::BTreeMap;

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
    /// Of each incident the matched events that it cites.
    cited: BTreeMap<Id, Vec<Id>>,
    /// The newest word on each incident.
    judged: BTreeMap<Id, (Timestamp, Judgement)>,
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
        let (cited, judged) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { entry: parts.entry, trial, phase: Phase::Events, cited, judged })
    }

    fn decision(&mut self, delivery: &Delivery) {
        if let Ok(of) = delivery.decode::<Assessment>(Limits::default()) {
            let cited = of.evidence.iter().map(|evidence| evidence.event);
            let cited: Vec<Id> = cited.filter(|id| self.trial.is_matched(*id)).collect();
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
            Phase::Events => (Stream::Events, self.entry.spec.events_of(tenant)),
            Phase::Scored => {
                let flagged = [Level::Medium, Level::High, Level::Critical];
                (Stream::Scored, scored_at(tenant, &flagged))
            }
            Phase::Decisions => {
                let stages = ["assessment", "closure"].map(|stage| all_of(tenant, stage));
                (Stream::Decisions, stages.to_vec())
            }
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
            Phase::Decisions => self.decision(delivery),
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
