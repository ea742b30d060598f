//! What the retained decisions say of a proposal's hits: what alerted already, and what operators
//! said of it.

use crate::Input;
use magsentinel_bus_schema::{
    Assessment, Closure, Id, Judgement, Limits, Stream, Tenant, Timestamp,
    pattern::{Gate, Proof},
    subject::all_of,
};
use magsentinel_runtime::{keeper::Work, stage::Delivery};
use std::collections::BTreeMap;

/// What was read of the decisions, for the back-test of one proposal.
#[derive(Default)]
pub struct Judgements {
    /// Of each incident the hits that it cites.
    cited: BTreeMap<Id, Vec<Id>>,
    /// The newest word on each incident.
    judged: BTreeMap<Id, (Timestamp, Judgement)>,
}

impl Judgements {
    /// What is to be read.
    #[must_use]
    pub fn work(tenant: &Tenant) -> Work {
        let stages = ["assessment", "closure"].map(|stage| all_of(tenant, stage));
        Work::Read { stream: Stream::Decisions, filters: stages.to_vec() }
    }

    /// Takes a decision in. Which events it explains: those of the proposal's hits that an incident
    /// of some level cites.
    pub fn see(&mut self, delivery: &Delivery, is_hit: impl Fn(Id) -> bool) -> Vec<Id> {
        if let Ok(of) = delivery.decode::<Assessment>(Limits::default()) {
            let cited = of.evidence.iter().map(|evidence| evidence.event);
            let cited: Vec<Id> = cited.filter(|id| is_hit(*id)).collect();
            let explained = if of.level.is_flagged() { cited.clone() } else { Vec::new() };
            if !cited.is_empty() {
                self.cited.insert(of.incident, cited);
            }
            return explained;
        }
        if let Ok(of) = delivery.decode::<Closure>(Limits::default()) {
            let known = self.judged.entry(of.incident).or_insert((of.ts, of.judgement));
            if of.ts >= known.0 {
                *known = (of.ts, of.judgement);
            }
        }
        Vec::new()
    }

    /// The hits of incidents that operators found to be ordinary work.
    pub fn ordinary(&self) -> impl Iterator<Item = Id> {
        let ordinary =
            self.judged.iter().filter(|(_, (_, said))| *said == Judgement::FalsePositive);
        ordinary.filter_map(|(incident, _)| self.cited.get(incident)).flatten().copied()
    }
}

/// What a back-test comes to: the proof, and the gate that stops the proposal, if any does.
#[must_use]
pub fn concluded((proof, stopped): (Proof, Option<(Gate, String)>)) -> Box<Input> {
    Box::new(match stopped {
        None => Input::Passed(proof),
        Some((gate, why)) => Input::Stopped(gate, why, Some(proof)),
    })
}
