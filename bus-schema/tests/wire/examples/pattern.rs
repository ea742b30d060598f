//! Patterns at both ends of their life.

use super::{Visit, at, id, token};
use magsentinel_bus_schema::{
    Judgement, Pattern, PatternChange, Tenant,
    pattern::{Gate, Origin, Proof, Seal, State, Step, Tally, Verdict},
};

pub(super) fn each(visit: &mut impl Visit) {
    visit.visit("pattern-change", "pattern-live", &live());
    visit.visit("pattern-change", "pattern-refused", &refused());
}

fn step(state: State, by: &str, after: i64) -> Step {
    Step { state, ts: at(after), by: by.to_owned(), why: String::new(), gate: None }
}

fn live() -> PatternChange {
    let steps = vec![
        step(State::Proposed, "playbook", 0),
        step(State::Shadow, "sql-guard", 1_000_000),
        step(State::Ready, "sql-guard", 2_000_000),
        step(State::Live, "ann", 3_000_000),
    ];
    let proof = Proof {
        own_events: 3,
        own_hits: 2,
        good_events: 120,
        good_hits: 0,
        events: 40_000,
        hits: 5,
        false_hits: 1,
        samples: vec![id("sample")],
    };
    PatternChange {
        v: 1,
        id: id("pattern step"),
        tenant: Tenant::default(),
        step: 3,
        taken: steps[3].clone(),
        of: Pattern {
            pattern: id("pattern"),
            patrol: token("sql-guard"),
            origin: Origin::Playbook,
            incident: Some(id("incident")),
            events: vec![id("event")],
            title: "Reads the catalogue of columns".to_owned(),
            rule: "title: Reads the catalogue of columns\n".to_owned(),
            digest: "00ff".to_owned(),
            steps,
            proof: Some(proof),
            tally: Tally { events: 9, hits: 2, alone: 1, samples: vec![id("event")] },
            verdicts: vec![Verdict {
                incident: id("incident"),
                judgement: Judgement::TruePositive,
                events: 2,
                ts: at(4_000_000),
            }],
            seal: Some(Seal { signer: "UABC".to_owned(), signature: "c2lnbmVk".to_owned() }),
        },
    }
}

fn refused() -> PatternChange {
    let mut change = live();
    let taken = Step {
        why: "it matches 70 of 120 events that are known to be good".to_owned(),
        gate: Some(Gate::KnownGood),
        ..step(State::Refused, "sql-guard", 1_000_000)
    };
    change.of.steps = vec![step(State::Proposed, "model", 0), taken.clone()];
    (change.of.origin, change.of.incident) = (Origin::Model, None);
    (change.of.proof, change.of.seal) = (None, None);
    (change.of.tally, change.of.verdicts) = (Tally::default(), Vec::new());
    PatternChange { id: id("pattern refusal"), step: 1, taken, ..change }
}
