//! The stage: outcomes in, bundles into the store, outcomes that name them out.

use super::{
    Config,
    config::{ABOUT, STORE},
    gather::{Gatherer, Kept, Unkept},
    read::{self, Found},
    select::is_owed,
};
use crate::{desk::NOTHING, effect::Step};
use futures::{StreamExt, future::BoxFuture};
use magsentinel_bus_schema::{
    Effect, Id, Limits, Outcome, OutcomeStatus, SCHEMA_VERSION, Stream, Subject, Tenant, Timestamp,
    Token, subject::all_of,
};
use magsentinel_runtime::{
    context::Context,
    service::Pool,
    stage::{Batch, Failed, Output, Publish, Stage},
    store::Store,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::OnceCell;

/// Outcomes whose actions are looked for together.
const BATCH_MAX: usize = 64;
/// Bundles that are gathered at once: evidence leaves the machine to what must be done now.
const AT_ONCE: usize = 4;

/// What the stage and its deeds share.
pub(crate) struct Shared {
    config: Config,
    /// How long before its outcome an action may have been stored.
    back: Duration,
    max_deliver: u64,
    store: OnceCell<Store>,
    kept: AtomicU64,
    failed: AtomicU64,
}

/// The consumer of outcomes: the durable `evidence`.
pub(crate) fn pool(of: &crate::Config, back: Duration) -> Pool {
    let (config, max_deliver) = (&of.evidence, of.max_deliver);
    let shared = Arc::new(Shared {
        config: config.clone(),
        back,
        max_deliver,
        store: OnceCell::new(),
        kept: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    Pool {
        durable: Token::sanitised("evidence"),
        stream: Stream::Decisions,
        filters: |tenant: &Tenant| vec![all_of(tenant, "outcome")],
        batch_max: BATCH_MAX,
        batches_in_flight: 1,
        // The server is told that it goes on: `after` may be longer than `ack_wait`.
        slow: true,
        max_deliver,
        ack_wait: of.ack_wait,
        make: Arc::new(move || Ok(Box::new(Keeping { shared: Arc::clone(&shared) }))),
    }
}

/// Keeps the evidence of outcomes.
struct Keeping {
    shared: Arc<Shared>,
}

/// An outcome that is owed a bundle, and whether this is the last attempt at it.
struct Owed {
    outcome: Found<Outcome>,
    last: bool,
}

impl Stage for Keeping {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let mut owed = Vec::new();
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            match delivery.decode::<Outcome>(Limits::default()) {
                Ok(message) if is_owed(&message) => {
                    let outcome = Found { delivery: delivery.clone(), message };
                    owed.push(Owed { outcome, last: delivery.attempt >= self.shared.max_deliver });
                }
                Ok(_) => {}
                Err(e) => out.fail(index, Failed::Poison(format!("no outcome can be read: {e}"))),
            }
        }
        if !owed.is_empty() {
            let shared = Arc::clone(&self.shared);
            out.act(Box::new(move |context| {
                Box::pin(async move { shared.keep(&context, owed).await })
            }));
        }
    }

    fn report(&self) -> serde_json::Value {
        let Shared { kept, failed, .. } = &*self.shared;
        serde_json::json!({
            "kept": kept.load(Ordering::Relaxed), "failed": failed.load(Ordering::Relaxed),
        })
    }
}

impl Shared {
    /// Keeps all of a batch. What is to be told; an error has the batch delivered again.
    async fn keep(&self, context: &Context, owed: Vec<Owed>) -> Result<Vec<Publish>, String> {
        let newest = owed.iter().map(|one| one.outcome.message.ts).max();
        let due = newest.unwrap_or_default().plus(self.config.after.get());
        context.pause(due.since(context.now()).min(self.config.after.get())).await;
        if context.is_stopping() {
            return Err("the process ends before what comes after is there".to_owned());
        }
        let results = self.gather(context, &owed).await;
        let (mut told, mut again) = (Vec::new(), None);
        for (one, result) in owed.iter().zip(results) {
            let outcome = self.told(one, &result, context.now());
            told.push(publish(&outcome)?.traced(one.outcome.delivery.trace.clone()));
            match result {
                Err(Unkept::Again(why)) if !one.last => again = Some(why),
                _ => {}
            }
        }
        match again {
            None => Ok(told),
            // What is told now is told again, with the same ids.
            Some(why) => {
                context.bus.publish_all(&told).await.map_err(|e| e.to_string())?;
                Err(why)
            }
        }
    }

    async fn gather(&self, context: &Context, owed: &[Owed]) -> Vec<Result<Kept, Unkept>> {
        let all = |why: &Unkept| owed.iter().map(|_| Err(why.clone())).collect();
        let bus = &context.bus;
        let opened = self
            .store
            .get_or_try_init(|| Store::open(bus, STORE, ABOUT, self.config.bounds()))
            .await;
        let store = match opened {
            Ok(store) => store,
            Err(e) => return all(&Unkept::again(e)),
        };
        let outcomes: Vec<Found<Outcome>> = owed.iter().map(|one| one.outcome.clone()).collect();
        let actions = match read::actions(bus, &outcomes, self.back, self.config.scan_max).await {
            Ok(actions) => actions,
            Err(why) => return all(&why),
        };
        let gatherer = Gatherer { bus, config: &self.config, store };
        let mut each: Vec<BoxFuture<'_, Result<Kept, Unkept>>> = Vec::new();
        for outcome in &outcomes {
            each.push(match actions.found.get(&outcome.delivery.seq) {
                Some(action) => Box::pin(gatherer.keep(outcome, action)),
                None => {
                    let why = actions.why_not("its action", self.config.scan_max);
                    Box::pin(std::future::ready(Err(Unkept::Never(why))))
                }
            });
        }
        futures::stream::iter(each).buffered(AT_ONCE).collect().await
    }

    /// What is told of a bundle, or that there is none.
    fn told(&self, owed: &Owed, result: &Result<Kept, Unkept>, now: Timestamp) -> Outcome {
        let of = &owed.outcome.message;
        let (status, detail, what) = match result {
            Ok(kept) => {
                self.kept.fetch_add(1, Ordering::Relaxed);
                (OutcomeStatus::Applied, kept.detail.clone(), kept.preserved.object.as_str())
            }
            Err(Unkept::Again(why)) if !owed.last => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let why = format!("evidence is not kept: {why}; it is tried again");
                (OutcomeStatus::Failed, why, "again")
            }
            Err(Unkept::Again(why) | Unkept::Never(why)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let why = format!("evidence is not kept: {why}; it is given up");
                (OutcomeStatus::Failed, why, "never")
            }
        };
        if status == OutcomeStatus::Failed {
            tracing::error!(action = %of.action, detail, "evidence is not kept");
        }
        Outcome {
            v: SCHEMA_VERSION,
            // Once for each bundle, and once for each way of failing.
            id: Id::derived(&["evidence", &of.id.to_string(), what]),
            action: of.action,
            incident: of.incident,
            tenant: of.tenant.clone(),
            effect: Effect::PreserveEvidence {},
            status,
            detail,
            inverse: match status {
                OutcomeStatus::Failed => NOTHING.to_owned(),
                _ => Step::Preserve.inverse(),
            },
            ts: now,
            until: None,
            hash: None,
            order: None,
            evidence: result.as_ref().ok().map(|kept| kept.preserved.clone()),
        }
    }
}

fn publish(outcome: &Outcome) -> Result<Publish, String> {
    let subject = Subject::Outcome(outcome.effect.verb());
    Publish::new(subject, outcome.id, outcome).map_err(|e| e.to_string())
}
