//! What an operator's word on an incident says of the patterns whose hits it cites.

use super::Place;
use magsentinel_bus_schema::{
    Assessment, Closure, Id, Limits, Pattern, Token, decision::Evidence, pattern::Verdict,
};
use magsentinel_runtime::stage::Delivery;
use std::collections::BTreeMap;

/// What is known of an incident: its revision, its chain, and what it cites.
type Case = (u32, Token, Vec<Evidence>);

/// Closures, and their incidents.
pub(super) struct Judging {
    closures: BTreeMap<Id, Closure>,
    cases: BTreeMap<Id, Case>,
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
        let judging = Self { closures: newest, cases: BTreeMap::new() };
        (!judging.closures.is_empty()).then_some(judging)
    }

    pub(super) fn see(&mut self, delivery: &Delivery) {
        let Ok(of) = delivery.decode::<Assessment>(Limits::default()) else { return };
        let known = self.cases.get(&of.incident).map_or(0, |(revision, ..)| *revision);
        if self.closures.contains_key(&of.incident) && of.revision >= known {
            self.cases.insert(of.incident, (of.revision, of.chain, of.evidence));
        }
    }

    /// What was said of incidents with hits of a pattern.
    pub(super) fn verdicts(&self, place: &impl Place, pattern: &Pattern) -> Vec<Verdict> {
        let said = self.closures.values().filter_map(|closure| {
            let (_, chain, evidence) = self.cases.get(&closure.incident)?;
            let events = place.hits(pattern, chain, evidence);
            let Closure { incident, judgement, ts, .. } = *closure;
            (events > 0).then_some(Verdict { incident, judgement, events, ts })
        });
        said.collect()
    }
}
