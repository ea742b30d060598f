//! What is told of a lease.

use super::Desk;
use crate::{
    Network,
    effect::Step,
    lease::{Lease, Life},
    policy::Request,
};
use magsentinel_bus_schema::{
    Ask, Effect, Id, Order, Outcome, OutcomeStatus, SCHEMA_VERSION, Timestamp,
};

/// Id of the outcome of an action that ended in a status, the `turn`-th time.
#[must_use]
pub fn outcome_id(action: Id, status: OutcomeStatus, turn: u32) -> Id {
    let status = match status {
        OutcomeStatus::WouldApply => "would_apply",
        OutcomeStatus::Refused => "refused",
        OutcomeStatus::Pending => "pending",
        OutcomeStatus::Applied => "applied",
        OutcomeStatus::Reverted => "reverted",
        OutcomeStatus::Renewed => "renewed",
        OutcomeStatus::Failed => "failed",
    };
    match turn {
        0 => Id::derived(&["outcome", &action.to_string(), status]),
        n => Id::derived(&["outcome", &action.to_string(), status, &n.to_string()]),
    }
}

pub(crate) const NOTHING: &str = "none: nothing was changed";

fn outcome(
    request: Request<'_>,
    status: OutcomeStatus,
    (detail, inverse): (String, String),
    now: Timestamp,
) -> Outcome {
    let action = request.action;
    Outcome {
        v: SCHEMA_VERSION,
        id: outcome_id(action.id, status, 0),
        action: action.id,
        incident: action.incident,
        tenant: request.tenant.clone(),
        effect: action.effect.clone(),
        status,
        detail,
        inverse,
        ts: now,
        until: None,
        hash: None,
        order: None,
        evidence: None,
    }
}

fn of_lease(
    lease: &Lease,
    status: OutcomeStatus,
    texts: (String, String),
    now: Timestamp,
) -> Outcome {
    let action = &lease.action;
    let request =
        Request { action, tenant: &action.tenant, verb: action.effect.verb(), trace: None };
    Outcome {
        id: outcome_id(action.id, status, lease.turn),
        order: lease.order,
        ..outcome(request, status, texts, now)
    }
}

/// Who else may be hit, where anybody may be.
fn collateral(effect: &Effect) -> String {
    let network = match effect {
        Effect::BlockAddress { address }
        | Effect::RateLimit { address }
        | Effect::Tarpit { address } => Network::blocked_with(*address),
        Effect::BlockPrefix { address, length } => match Network::of(*address, *length) {
            Ok(network) => network,
            Err(_) => return String::new(),
        },
        _ => return String::new(),
    };
    match (network.is_v4(), network.collateral()) {
        (true, 1) => String::new(),
        (true, n) => format!(" (up to {n} addresses)"),
        (false, 1) => " (one subscriber's /64)".to_owned(),
        (false, n) => format!(" (up to {n} subscribers' /64s)"),
    }
}

impl Desk {
    pub(super) fn refused(&self, request: Request<'_>, why: &str, now: Timestamp) -> Outcome {
        outcome(request, OutcomeStatus::Refused, (why.to_owned(), NOTHING.to_owned()), now)
    }

    /// What is told of an order that is not carried out, where its lease is known.
    #[must_use]
    pub fn order_refused(&self, order: &Order, why: &str, now: Timestamp) -> Option<Outcome> {
        let (Ask::Approve { lease, .. } | Ask::Revoke { lease } | Ask::Extend { lease, .. }) =
            &order.ask
        else {
            return None;
        };
        let detail = format!("the order to {} is not carried out: {why}", order.ask.verb());
        let texts = (detail, NOTHING.to_owned());
        Some(Outcome {
            id: Id::derived(&["outcome", &order.id.to_string()]),
            order: Some(order.id),
            ..of_lease(self.lease(*lease)?, OutcomeStatus::Refused, texts, now)
        })
    }

    pub(super) fn would_apply(&self, request: Request<'_>, step: &Step, now: Timestamp) -> Outcome {
        let detail = step.effect() + &collateral(&request.action.effect);
        outcome(request, OutcomeStatus::WouldApply, (detail, step.inverse()), now)
    }

    pub(super) fn pending(&self, lease: &Lease, now: Timestamp) -> Outcome {
        let action = &lease.action;
        let what = Step::of(&action.effect, action.ttl_s).map(|step| step.effect());
        let what = what.unwrap_or_default() + &collateral(&action.effect);
        let (until, why) = match &lease.life {
            Life::Waiting { until, why } => (Some(*until), why.as_str()),
            _ => (None, ""),
        };
        let detail = format!("{what}: waits for approval, because {why}");
        Outcome {
            until,
            hash: lease.hash.clone(),
            ..of_lease(lease, OutcomeStatus::Pending, (detail, NOTHING.to_owned()), now)
        }
    }

    pub(super) fn applied(
        &self,
        lease: &Lease,
        step: &Step,
        status: OutcomeStatus,
        now: Timestamp,
    ) -> Outcome {
        let mut detail = step.effect() + &collateral(&lease.action.effect);
        if let Some(by) = &lease.approved_by {
            detail += &format!(", approved by {by:?}");
        }
        let texts = (detail, step.inverse());
        Outcome { until: lease.holds_until(), ..of_lease(lease, status, texts, now) }
    }

    /// The outcome of a lease that has ended: undone, or given up before it held.
    pub(super) fn ended(&self, lease: &Lease, why: &str, at: Timestamp) -> Outcome {
        if matches!(lease.life, Life::Ended { held: false, .. }) {
            let texts = (why.to_owned(), NOTHING.to_owned());
            return of_lease(lease, OutcomeStatus::Refused, texts, at);
        }
        let action = &lease.action;
        let step = Step::of(&action.effect, action.ttl_s).map(|step| step.inverse());
        let detail = format!("{}: {why}", step.unwrap_or_default());
        of_lease(lease, OutcomeStatus::Reverted, (detail, "none: it is undone".to_owned()), at)
    }
}
