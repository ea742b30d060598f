//! The stage: actions in, outcomes out.

use crate::{
    Config,
    policy::{Request, Verdict, judge},
};
use magsentinel_bus_schema::{
    Action, Id, Limits, Outcome, OutcomeStatus, SCHEMA_VERSION, Subject, Tenant, Timestamp, Verb,
};
use magsentinel_runtime::stage::{Batch, Delivery, Failed, Output, Publish, Stage};
use std::sync::Arc;

/// Answers every action with an outcome.
pub struct Responder {
    config: Arc<Config>,
    limits: Limits,
    counts: Counts,
}

/// Figures since the stage was made.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    would_apply: u64,
    refused: u64,
    poison: u64,
}

impl Responder {
    /// A responder with this configuration, which has no problems.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, limits: Limits::default(), counts: Counts::default() }
    }

    fn answer(&mut self, delivery: &Delivery, now: Timestamp) -> Result<Publish, String> {
        let action: Action = delivery.decode(self.limits).map_err(|e| e.to_string())?;
        let (tenant, verb) = asked_on(&delivery.subject)?;
        let request = Request { action: &action, tenant: &tenant, verb };
        let outcome = outcome(&self.config, request, now);
        let subject = Subject::Outcome(outcome.effect.verb());
        let publish = Publish::new(subject, outcome.id, &outcome).map_err(|e| e.to_string())?;
        if publish.payload.len() > self.limits.bytes_max {
            return Err(format!(
                "its outcome of {} bytes would be over the limit of {}",
                publish.payload.len(),
                self.limits.bytes_max
            ));
        }
        match outcome.status {
            OutcomeStatus::Refused => {
                self.counts.refused += 1;
                tracing::debug!(action = %action.id, reason = %outcome.detail, "action refused");
            }
            _ => self.counts.would_apply += 1,
        }
        Ok(publish.traced(delivery.trace.clone()))
    }
}

/// Tenant and verb of an action's subject.
fn asked_on(subject: &str) -> Result<(Tenant, Verb), String> {
    match Subject::parse(subject) {
        Ok((tenant, Subject::Action(verb))) => Ok((tenant, verb)),
        Ok(_) => Err(format!("subject {subject:?} is none of an action")),
        Err(e) => Err(e.to_string()),
    }
}

/// The outcome of an action at `now`.
#[must_use]
pub fn outcome(config: &Config, request: Request<'_>, now: Timestamp) -> Outcome {
    let (status, detail, inverse) = match judge(config, request, now) {
        Verdict::Allowed(step) => (OutcomeStatus::WouldApply, step.effect(), step.inverse()),
        Verdict::Refused(reasons) => {
            (OutcomeStatus::Refused, reasons.join("; "), "none: nothing was changed".to_owned())
        }
    };
    let action = request.action;
    Outcome {
        v: SCHEMA_VERSION,
        id: outcome_id(action.id, status),
        action: action.id,
        incident: action.incident,
        tenant: request.tenant.clone(),
        effect: action.effect.clone(),
        status,
        detail,
        inverse,
        ts: now,
    }
}

/// Id of the outcome of an action that ended in a status.
#[must_use]
pub fn outcome_id(action: Id, status: OutcomeStatus) -> Id {
    let status = match status {
        OutcomeStatus::WouldApply => "would_apply",
        OutcomeStatus::Refused => "refused",
        OutcomeStatus::Pending => "pending",
        OutcomeStatus::Applied => "applied",
        OutcomeStatus::Reverted => "reverted",
    };
    Id::derived(&["outcome", &action.to_string(), status])
}

impl Stage for Responder {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            match self.answer(delivery, batch.now) {
                Ok(publish) => out.publish(publish),
                Err(why) => {
                    self.counts.poison += 1;
                    out.fail(index, Failed::Poison(format!("no action can be read: {why}")));
                }
            }
        }
    }

    fn report(&self) -> serde_json::Value {
        let Counts { would_apply, refused, poison } = self.counts;
        serde_json::json!({
            "mode": "dry-run",
            "would_apply": would_apply,
            "refused": refused,
            "poison": poison,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use magsentinel_bus_schema::{
        Class, CodecError, Effect, Entity, Mode, Trust, decode, encode, encode_json,
    };
    use std::time::Duration;

    fn now() -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000)
    }

    fn suspend(session: &str) -> Action {
        Action {
            v: 1,
            id: Id::derived(&["action", session]),
            incident: Id::derived(&["incident"]),
            assessment: Id::derived(&["assessment"]),
            tenant: Tenant::default(),
            effect: Effect::SuspendSession {
                session: session.to_owned(),
                user: Some("shop".to_owned()),
                system: "postgresql".to_owned(),
            },
            target: Entity {
                class: Class::Session,
                value: session.to_owned(),
                trust: Trust::Observed,
            },
            mode: Mode::Ask,
            ttl_s: 900,
            inverse: String::new(),
            reason: String::new(),
            events: vec![],
            evidence_ts: now(),
            replayed: false,
        }
    }

    fn delivery(payload: Result<Vec<u8>, CodecError>) -> Delivery {
        Delivery {
            subject: "mag.default.action.suspend_session".to_owned(),
            seq: 1,
            stored: now(),
            attempt: 1,
            content_type: None,
            message_id: None,
            ce_id: None,
            trace: Some("00-trace".to_owned()),
            payload: Bytes::from(payload.unwrap()),
        }
    }

    fn handled(deliveries: &[Delivery], now: Timestamp) -> Output {
        let mut out = Output::default();
        let batch = Batch { shard: None, deliveries, now, rebuilding: false };
        Responder::new(Arc::new(Config::default())).handle(&batch, &mut out);
        out
    }

    fn read(publish: &Publish) -> Outcome {
        decode(&publish.payload, None, Limits::default()).unwrap()
    }

    #[test]
    fn every_action_has_its_outcome_and_what_is_none_is_a_dead_letter() {
        let sound = suspend("65a1b2c3.4d5e");
        let unsound = suspend("; DROP TABLE orders");
        let mut elsewhere = delivery(encode(&sound));
        elsewhere.subject = "mag.default.alert.high.x".to_owned();
        let deliveries = [
            delivery(encode(&sound)),
            delivery(Ok(b"\x82".to_vec())),
            delivery(encode_json(&unsound)),
            elsewhere,
        ];
        let out = handled(&deliveries, now());
        let outcomes: Vec<_> = out.published().iter().map(read).collect();
        let statuses: Vec<_> = outcomes.iter().map(|o| (o.action, o.status)).collect();
        let want = [(sound.id, OutcomeStatus::WouldApply), (unsound.id, OutcomeStatus::Refused)];
        assert_eq!(statuses, want);
        assert!(outcomes[0].detail.contains("WHERE pid = 19806 "), "{}", outcomes[0].detail);
        assert!(outcomes[1].detail.contains("no PostgreSQL session id"), "{}", outcomes[1].detail);
        let first = &out.published()[0];
        assert_eq!(first.subject, Subject::Outcome(Verb::SuspendSession));
        assert_eq!((first.id, first.trace.as_deref()), (outcomes[0].id, Some("00-trace")));
        let failed: Vec<_> = out.failures().iter().map(|f| f.index).collect();
        assert_eq!(failed, [1, 3]);
        assert!(out.failures().iter().all(|f| matches!(f.why, Failed::Poison(_))));
    }

    #[test]
    fn an_action_delivered_again_has_the_same_outcome() {
        let again = [delivery(encode(&suspend("65a1b2c3.4d5e")))];
        let (first, second) = (handled(&again, now()), handled(&again, now()));
        assert_eq!(first.published()[0].payload, second.published()[0].payload);
        let later = handled(&again, now().plus(Duration::from_secs(601)));
        assert_eq!(read(&later.published()[0]).status, OutcomeStatus::Refused);
        assert_ne!(first.published()[0].id, later.published()[0].id);
    }

    #[test]
    fn an_action_on_the_limit_has_no_outcome_over_it() {
        let mut huge = suspend("x");
        huge.effect = Effect::Notify { message: "\u{1b}".repeat(1_048_000) };
        let mut letter = delivery(encode(&huge));
        letter.subject = "mag.default.action.notify".to_owned();
        let out = handled(&[letter], now());
        let small = |p: &Publish| p.payload.len() <= Limits::default().bytes_max;
        assert!(out.published().iter().all(small));
        assert_eq!(out.published().len() + out.failures().len(), 1);
    }
}
