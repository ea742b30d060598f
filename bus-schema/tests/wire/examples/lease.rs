//! Effects, what becomes of them, and orders about them.

use super::{Visit, at, id, outcome};
use magsentinel_bus_schema::{Ask, Effect, Order, Outcome, OutcomeStatus, Preserved, Tenant};

/// Outcomes that say all that one can say, and every order.
pub(super) fn each(visit: &mut impl Visit) {
    let preserved =
        Preserved { object: "incident".to_owned(), sha256: "00ff".to_owned(), bytes: 7 };
    let applied = Outcome {
        status: OutcomeStatus::Applied,
        until: Some(at(900_000_000)),
        evidence: Some(preserved),
        ..outcome()
    };
    visit.visit("outcome", "outcome-applied", &applied);
    let pending = Outcome {
        status: OutcomeStatus::Pending,
        hash: Some("0123456789abcdef".to_owned()),
        until: Some(at(900_000_000)),
        ..outcome()
    };
    visit.visit("outcome", "outcome-pending", &pending);
    let renewed = Outcome {
        status: OutcomeStatus::Renewed,
        order: Some(id("order")),
        until: Some(at(1_800_000_000)),
        ..outcome()
    };
    visit.visit("outcome", "outcome-renewed", &renewed);
    for ask in asks() {
        let name = format!("order-{}", ask.verb());
        visit.visit("order", &name, &order(ask));
    }
}

/// One order of every verb.
pub(crate) fn asks() -> Vec<Ask> {
    let lease = id("action");
    vec![
        Ask::Approve { lease, hash: "0123456789abcdef".to_owned() },
        Ask::Revoke { lease },
        Ask::Extend { lease, ttl_s: 3600 },
        Ask::Panic {},
        Ask::Resume {},
    ]
}

fn order(ask: Ask) -> Order {
    Order {
        v: 1,
        id: id("order"),
        tenant: Tenant::default(),
        ask,
        by: "ann".to_owned(),
        reason: "it is the scanner".to_owned(),
        ts: at(5),
    }
}

/// One effect of every verb.
pub(crate) fn effects() -> Vec<Effect> {
    let (session, user, system) =
        ("65a1.4d".to_owned(), "shop".to_owned(), "postgresql".to_owned());
    vec![
        Effect::BlockAddress { address: "2001:db8::9".parse().unwrap() },
        Effect::BlockPrefix { address: "203.0.113.0".parse().unwrap(), length: 24 },
        Effect::RateLimit { address: "203.0.113.9".parse().unwrap() },
        Effect::Tarpit { address: "203.0.113.9".parse().unwrap() },
        Effect::SuspendSession {
            session: session.clone(),
            user: Some(user.clone()),
            system: system.clone(),
        },
        Effect::RevokeSession { session, system: "shop".to_owned() },
        Effect::SuspendUser { user: user.clone(), system },
        Effect::RevokeUser { user, system: "shop".to_owned() },
        Effect::RevokeKey { key: "ak_1".to_owned() },
        Effect::SuspendKey { key: "ak_1".to_owned() },
        Effect::QuarantineDevice { device: "camera-7".to_owned() },
        Effect::QuarantineExtension { extension: "ext.weather".to_owned() },
        Effect::QuarantinePod { namespace: "shop".to_owned(), pod: "web-0".to_owned() },
        Effect::QuarantineNamespace { namespace: "shop".to_owned() },
        Effect::PreserveEvidence {},
        Effect::Notify { message: "look".to_owned() },
    ]
}
