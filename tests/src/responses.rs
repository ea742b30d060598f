//! Actions for the responder, as the analyzer asks for them.

use crate::{held, wait_for};
use magsentinel_bus_schema::{
    Action, Class, Effect, Entity, Id, Mode, Outcome, SCHEMA_VERSION, Stream, Subject, Tenant,
    Trust, subject,
};
use magsentinel_runtime::{bus::Bus, clock, stage::Publish};

/// Settings of a responder that acts on packets, with no budget in the way. What these actions cite
/// never was, so no evidence of it is looked for.
pub const ENFORCING: &[&str] = &[
    "--set",
    "responder.policy.mode=enforce",
    "--set",
    "responder.nftables.enabled=true",
    "--set",
    "responder.evidence.enabled=false",
    "--set",
    "responder.policy.budget.targets_per_minute=10000000",
    "--set",
    "responder.policy.budget.targets_max=1000000",
];

/// Blocks an address for so many seconds.
#[must_use]
pub fn block(address: &str, ttl_s: u64) -> Action {
    let effect = Effect::BlockAddress { address: address.parse().expect("an address") };
    action(effect, Class::Client, address, ttl_s)
}

/// An action on an observed target.
#[must_use]
pub fn action(effect: Effect, class: Class, target: &str, ttl_s: u64) -> Action {
    Action {
        v: SCHEMA_VERSION,
        id: Id::derived(&["action", effect.verb().token(), target]),
        incident: Id::derived(&["incident", target]),
        assessment: Id::derived(&["assessment", target]),
        tenant: Tenant::default(),
        effect,
        target: Entity { class, value: target.to_owned(), trust: Trust::Observed },
        mode: Mode::Enforce,
        ttl_s,
        inverse: "admit it again".to_owned(),
        reason: "it is part of a dump".to_owned(),
        events: vec![Id::derived(&["event", target])],
        evidence_ts: clock::now(),
        replayed: false,
    }
}

/// Asks for actions.
pub async fn ask(bus: &Bus, actions: &[Action]) {
    let message = |action: &Action| {
        let subject = Subject::Action(action.effect.verb());
        Publish::new(subject, action.id, action).expect("it can be written")
    };
    let messages: Vec<Publish> = actions.iter().map(message).collect();
    bus.publish_all(&messages).await.expect("published");
}

/// The outcomes of an action so far.
pub async fn outcomes(bus: &Bus, of: Id) -> Vec<Outcome> {
    let filter = subject::all_of(bus.tenant(), "outcome");
    let mut all: Vec<Outcome> = held(bus, Stream::Decisions, filter).await;
    all.retain(|outcome| outcome.action == of);
    all
}

/// Waits for an outcome of an action.
pub async fn outcome(bus: &Bus, of: Id, wanted: impl Fn(&Outcome) -> bool) -> Outcome {
    wait_for("an outcome", async || outcomes(bus, of).await.into_iter().find(|o| wanted(o))).await
}
