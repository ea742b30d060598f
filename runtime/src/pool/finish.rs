//! What happens to a batch after its stage: output stored, failures sorted, acknowledged.

use super::worker::{Flown, Held, PoolWorkerArgs, lock};
use crate::{
    bus::Error,
    context::Context,
    deadletter::{self, Wrong},
    gap::{self, Late},
    metrics::{ConsumerReason, consumer},
    service::Pool,
    stage::{Delivery, Failed, Output, Publish},
};
use async_nats::jetstream::AckKind;
use magsentinel_bus_schema::Failure;
use std::{collections::HashMap, time::Duration};

/// Delay before attempt `attempt + 1`: 100 ms, doubling, at most 30 s.
pub(crate) fn backoff(attempt: u64) -> Duration {
    Duration::from_millis(100 << attempt.min(9)).min(Duration::from_secs(30))
}

/// Publishes the output of a batch, then acknowledges. On a passing failure the server is told
/// that work goes on, for as long as it takes.
pub(crate) async fn finish(args: &PoolWorkerArgs, held: Vec<Held>, output: Output) {
    let PoolWorkerArgs { context, pool, .. } = args;
    let Output { publish, made_from, failed, late, deed } = output;
    let mut outgoing = Outgoing::default();
    outgoing.extend(publish);
    for (message, delivery) in made_from {
        if let Some(from) = outgoing.made_from.get_mut(message) {
            *from = Some(delivery);
        }
    }
    if let Some(deed) = deed {
        let done = deed(context.clone());
        let done = if pool.slow { telling(pool, &held, done).await } else { done.await };
        match done {
            Ok(more) => outgoing.extend(more),
            Err(reason) => {
                tracing::warn!(consumer = %pool.durable, reason, "batch is tried again");
                for one in &held {
                    let delay = backoff(one.delivery.attempt);
                    acknowledge(one, AckKind::Nak(Some(delay))).await;
                }
                return;
            }
        }
    }
    let late = late.iter().filter_map(|index| held.get(*index));
    outgoing.late = Late::first(late.map(|one| &one.delivery));
    let mut retry = HashMap::new();
    for failure in failed {
        let Some(one) = held.get(failure.index) else { continue };
        match failure.why {
            Failed::Transient(reason) => {
                tracing::warn!(consumer = %pool.durable, seq = one.delivery.seq, reason, "retry");
                retry.insert(failure.index, backoff(one.delivery.attempt));
            }
            Failed::Poison(reason) => {
                let wrong =
                    Wrong { failure: Failure::Poison, reason: &reason, element: failure.element };
                outgoing.extend(dead(context, pool, &one.delivery, &wrong));
            }
        }
    }
    let published = outgoing.messages.len() as u64;
    if !store(context, pool, outgoing, &held).await {
        return;
    }
    let label = consumer(pool.durable.as_str());
    let (done, again) = (held.len() - retry.len(), retry.len());
    context.metrics.published.get_or_create(&label).inc_by(published);
    for (index, one) in held.iter().enumerate() {
        let kind = match retry.get(&index) {
            Some(delay) => AckKind::Nak(Some(*delay)),
            None => AckKind::Ack,
        };
        acknowledge(one, kind).await;
    }
    let done_with = held.iter().enumerate().filter(|(index, _)| !retry.contains_key(index));
    args.acked.note(done_with.map(|(_, one)| one));
    context.metrics.handled.get_or_create(&label).inc_by(done as u64);
    context.metrics.retried.get_or_create(&label).inc_by(again as u64);
}

/// Waits for work, and tells the server meanwhile that it goes on.
async fn telling<T>(pool: &Pool, held: &[Held], work: impl Future<Output = T>) -> T {
    // From the first period on: an interval's tick at once waits for the timer's next millisecond.
    let every = pool.ack_wait.get() / 3;
    let mut told = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = told.tick() => {
                for one in held {
                    acknowledge(one, AckKind::Progress).await;
                }
            }
        }
    }
}

/// What is to be stored of a batch.
#[derive(Default)]
struct Outgoing {
    late: Option<Late>,
    messages: Vec<Publish>,
    /// By message: the delivery that it was made from, where the stage says so.
    made_from: Vec<Option<usize>>,
}

impl Outgoing {
    fn extend(&mut self, messages: impl IntoIterator<Item = Publish>) {
        self.messages.extend(messages);
        self.made_from.resize(self.messages.len(), None);
    }
}

/// Stores everything, under an open gap where it is late. False when a message can never be
/// stored, or the process ends first: then nothing is acknowledged.
async fn store(context: &Context, pool: &Pool, mut outgoing: Outgoing, held: &[Held]) -> bool {
    let deadline = drain_deadline(context);
    tokio::pin!(deadline);
    loop {
        let storing = async {
            if let Some(late) = outgoing.late {
                gap::open(context, &pool.durable, pool.stream, late).await;
            }
            context.bus.publish_all(&outgoing.messages).await
        };
        let stored = tokio::select! {
            stored = telling(pool, held, storing) => stored,
            () = &mut deadline => return false,
        };
        match stored {
            Ok(()) => return true,
            Err(Error::TooLarge { index, subject }) => {
                // The server will never take it. What it was made from becomes a dead letter.
                tracing::error!(consumer = %pool.durable, subject, "output over max_payload");
                let message = outgoing.messages.remove(index);
                let from = outgoing.made_from.remove(index).and_then(|of| held.get(of));
                outgoing.extend(too_large(context, pool, (from, held), &message, subject));
            }
            Err(error) => {
                tracing::error!(consumer = %pool.durable, %error, "batch is not acknowledged");
                return false;
            }
        }
    }
}

/// The dead letter of an output that is over the server's `max_payload`: that of the delivery
/// which it was made from; of what was made from several, the output's own beginning, at the
/// sequence of the first.
fn too_large(
    context: &Context,
    pool: &Pool,
    (from, held): (Option<&Held>, &[Held]),
    message: &Publish,
    subject: String,
) -> Option<Publish> {
    let reason = format!(
        "an output of {} bytes for {subject} is over the server's max_payload",
        message.payload.len()
    );
    let wrong = Wrong { failure: Failure::Poison, reason: &reason, element: None };
    let alone = if let [one] = held { Some(one) } else { from };
    if let Some(one) = alone {
        return dead(context, pool, &one.delivery, &wrong);
    }
    let output = Delivery {
        subject,
        message_id: Some(message.id.to_string()),
        trace: message.trace.clone(),
        payload: message.payload.clone(),
        content_type: None,
        ce_id: None,
        ..held.first()?.delivery.clone()
    };
    dead(context, pool, &output, &wrong)
}

/// Ten seconds after the process was asked to end.
async fn drain_deadline(context: &Context) {
    context.stopping().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
}

/// Dead-letters what had its attempts.
pub(crate) async fn give_up(context: &Context, pool: &Pool, held: Vec<Held>) {
    let reason = format!("gave up after {} attempts", pool.max_deliver);
    let wrong = Wrong { failure: Failure::GaveUp, reason: &reason, element: None };
    bury(context, pool, held, &wrong).await;
}

async fn bury(context: &Context, pool: &Pool, held: Vec<Held>, wrong: &Wrong<'_>) {
    let mut letters = Outgoing::default();
    letters.extend(held.iter().filter_map(|one| dead(context, pool, &one.delivery, wrong)));
    if store(context, pool, letters, &held).await {
        for one in &held {
            acknowledge(one, AckKind::Ack).await;
        }
    }
}

/// After a panic: what has attempts left goes back to the server, to be tried alone; the rest
/// becomes dead letters.
pub(crate) async fn hand_back(args: &PoolWorkerArgs, panic: &str) {
    let held = Flown::take(&args.flight);
    let (last, again): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|h| h.delivery.attempt >= args.pool.max_deliver);
    let label = consumer(args.pool.durable.as_str());
    args.context.metrics.retried.get_or_create(&label).inc_by(again.len() as u64);
    for one in again {
        acknowledge(&one, AckKind::Nak(Some(backoff(one.delivery.attempt)))).await;
    }
    if !last.is_empty() {
        let reason = format!("handler panicked at every attempt: {panic}");
        let wrong = Wrong { failure: Failure::Bug, reason: &reason, element: None };
        bury(&args.context, &args.pool, last, &wrong).await;
    }
}

fn dead(context: &Context, pool: &Pool, delivery: &Delivery, wrong: &Wrong<'_>) -> Option<Publish> {
    let stream = pool.stream.name(context.bus.tenant());
    let place = (stream.as_str(), pool.durable.as_str());
    let label = ConsumerReason {
        consumer: pool.durable.to_string(),
        reason: deadletter::token(wrong.failure),
    };
    context.metrics.dead_lettered.get_or_create(&label).inc();
    tracing::warn!(
        consumer = %pool.durable, subject = delivery.subject, seq = delivery.seq,
        trace = delivery.trace, reason = wrong.reason, "message is dead-lettered"
    );
    let letter = deadletter::letter(delivery, context.bus.tenant(), place, wrong, context.now());
    letter.inspect_err(|error| tracing::error!(%error, "dead letter cannot be written")).ok()
}

async fn acknowledge(one: &Held, kind: AckKind) {
    // A lost acknowledgement is a redelivery, which ids make harmless.
    if let Err(error) = one.acker.ack_with(kind).await {
        tracing::debug!(%error, seq = one.delivery.seq, "acknowledgement was not sent");
    }
}

/// Tells the server every few seconds that a slow batch is still worked on, until dropped.
pub(crate) fn progress(args: &PoolWorkerArgs) -> Progress {
    let (flight, every) = (args.flight.clone(), args.pool.ack_wait.get() / 3);
    let client = args.context.bus.client().clone();
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let replies: Vec<_> = lock(&flight).replies();
            for reply in replies {
                if let Err(error) = client.publish(reply, "+WPI".into()).await {
                    tracing::debug!(%error, "progress was not sent");
                }
            }
        }
    });
    Progress(task)
}

/// Ends the telling when dropped.
pub(crate) struct Progress(tokio::task::JoinHandle<()>);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
    }
}
