//! What an operator's word on an incident says of the patterns whose hits it cites.

use magsentinel_bus_schema::{
    Assessment, Closure, Id, Limits, Pattern,
    decision::Evidence,
    pattern::{State, Verdict},
};
use magsentinel_runtime::stage::Delivery;
use std::collections::BTreeMap;

/// Closures, and the evidence of their incidents.
pub(super) struct Judging {
    closures: BTreeMap<Id, Closure>,
    evidence: BTreeMap<Id, (u32, Vec<Evidence>)>,
}

impl Judging {
    /// Nothing where there are none.
    pub(super) fn new(closures: impl Iterator<Item = Closure>) -> Option<Self> {
        let mut newest: BTreeMap<Id, Closure> = BTreeMap::new();
        for closure in closures {
            let known = newest.get(&closure.incident);
            if known.is_none_or(|known| known.ts <= closure.ts) {
                newest.insert(closure.incident, closure);
            }
        }
        let judging = Self { closures: newest, evidence: BTreeMap::new() };
        (!judging.closures.is_empty()).then_some(judging)
    }

    pub(super) fn see(&mut self, delivery: &Delivery) {
        let Ok(of) = delivery.decode::<Assessment>(Limits::default()) else { return };
        let known = self.evidence.get(&of.incident).map_or(0, |(revision, _)| *revision);
        if self.closures.contains_key(&of.incident) && of.revision >= known {
            self.evidence.insert(of.incident, (of.revision, of.evidence));
        }
    }

    /// Takes an incident's evidence as if it had been read.
    #[cfg(test)]
    pub(super) fn show(&mut self, incident: Id, evidence: Vec<Evidence>) {
        self.evidence.insert(incident, (1, evidence));
    }

    /// What was said of incidents with hits of a pattern. A live pattern's title is a reason of its
    /// hits; one in shadow has no part in what is cited, but its samples may be.
    pub(super) fn verdicts(&self, pattern: &Pattern) -> Vec<Verdict> {
        let state = pattern.state();
        let is_hit = |evidence: &&Evidence| match state {
            State::Live => {
                evidence.patrol == pattern.patrol && evidence.reasons.contains(&pattern.title)
            }
            State::Shadow | State::Ready => pattern.tally.samples.contains(&evidence.event),
            _ => false,
        };
        let said = self.closures.values().filter_map(|closure| {
            let (_, evidence) = self.evidence.get(&closure.incident)?;
            let events = u64::try_from(evidence.iter().filter(is_hit).count()).ok()?;
            let Closure { incident, judgement, ts, .. } = *closure;
            (events > 0).then_some(Verdict { incident, judgement, events, ts })
        });
        said.collect()
    }
}
