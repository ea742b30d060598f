//! One pulled batch of a feed through the stages of its shards.

use super::{
    feed,
    worker::{Owned, ShardedState, ShardedWorkerArgs, parts},
};
use crate::{
    bus::{Error, Fence},
    deadletter::{self, Wrong},
    gap::{self, Late},
    metrics::{ConsumerReason, consumer},
    pool,
    stage::{Batch, Delivery, Failed, Failure, Output, Publish},
};
use magsentinel_bus_schema::{Failure as Class, Shard};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What is to be stored for a batch.
type Outgoing = Vec<Out>;

/// A message on its way out.
struct Out {
    /// Under whose lease it goes out.
    shard: Shard,
    /// Sequence of the message that it was made from; of several, the last.
    seq: u64,
    message: Publish,
}

impl ShardedState {
    pub(super) async fn handle_batch(&mut self, batch: feed::Batch) {
        let newest = batch.messages.iter().map(|(_, d)| d.seq);
        let newest = newest.chain(batch.astray.iter().map(|d| d.seq)).max();
        let Some(last) = newest else { return };
        let mut by_shard: BTreeMap<Shard, Vec<Delivery>> = BTreeMap::new();
        for (shard, delivery) in batch.messages {
            by_shard.entry(shard).or_default().push(delivery);
        }
        let mut outgoing = self.astray(&batch.astray);
        let mut handled = BTreeMap::new();
        for (shard, deliveries) in by_shard {
            let Some(owned) = self.owned.get(&shard) else { continue };
            let (again, fresh) = parts(owned, deliveries);
            let name = consumer(self.args.service.name.as_str());
            let metrics = &self.args.context.metrics;
            metrics.rebuilt.get_or_create(&name).inc_by(again.len() as u64);
            self.feed_stage(shard, again, true, &mut Outgoing::new()).await;
            handled.insert(shard, fresh.len() as u64);
            self.feed_stage(shard, fresh, false, &mut outgoing).await;
        }
        let total = handled.values().sum::<u64>();
        // Shard after shard was looked at; whoever reads on must see the stream's own order.
        outgoing.sort_by_key(|out| out.seq);
        if self.open_gap().await && self.store(outgoing).await {
            self.advance(last, &handled);
            let name = consumer(self.args.service.name.as_str());
            self.args.context.metrics.handled.get_or_create(&name).inc_by(total);
        } else {
            // The stages have seen what is not stored: only a rebuild makes state and stream
            // agree again.
            self.owned.clear();
            self.feed = None;
        }
    }

    /// The dead letters of messages on subjects that name no shard, under the lease of the first
    /// shard that is owned; none of those that were seen before.
    fn astray(&self, astray: &[Delivery]) -> Outgoing {
        let Some((shard, owned)) = self.owned.first_key_value() else { return Vec::new() };
        let fresh = astray.iter().filter(|d| d.seq > owned.seen.max(owned.rebuild_to));
        let reason = "its subject names no shard";
        let wrong = Wrong { failure: Class::Poison, reason, element: None };
        fresh.filter_map(|delivery| self.dead(*shard, delivery, &wrong)).collect()
    }

    /// Shows messages to a shard's stage: together, or one by one where a panic is remembered, and
    /// where an earlier owner may have told what it found after any of them. What it told then must
    /// be found again, so that it is not left standing when the next message tells otherwise.
    async fn feed_stage(
        &mut self,
        shard: Shard,
        deliveries: Vec<Delivery>,
        rebuilding: bool,
        outgoing: &mut Outgoing,
    ) {
        let suspect = {
            let trouble = self.args.trouble();
            deliveries.iter().any(|d| trouble.is_suspect(shard, d.seq))
        };
        if !suspect {
            let told_to = self.told_to(shard).filter(|_| !rebuilding).unwrap_or(0);
            let (told, new) = deliveries.split_at(deliveries.partition_point(|d| d.seq <= told_to));
            for delivery in told {
                self.call(shard, std::slice::from_ref(delivery), rebuilding, outgoing).await;
            }
            return self.call(shard, new, rebuilding, outgoing).await;
        }
        for delivery in deliveries {
            let panics = self.args.trouble().panics(delivery.seq);
            if panics < self.args.service.max_deliver {
                self.call(shard, std::slice::from_ref(&delivery), rebuilding, outgoing).await;
                continue;
            }
            let reason = format!("handler panicked in {panics} attempts");
            let wrong = Wrong { failure: Class::Bug, reason: &reason, element: None };
            outgoing.extend(self.dead(shard, &delivery, &wrong));
        }
    }

    /// Up to where what is found may have been told: nothing is told twice that is not fenced.
    fn told_to(&self, shard: Shard) -> Option<u64> {
        let owned = self.owned.get(&shard).filter(|_| self.args.service.fenced)?;
        Some(owned.told_to)
    }

    async fn call(
        &mut self,
        shard: Shard,
        deliveries: &[Delivery],
        rebuilding: bool,
        outgoing: &mut Outgoing,
    ) {
        let (Some(first), Some(last)) = (deliveries.first(), deliveries.last()) else { return };
        self.args.trouble().begin(shard, first.seq, last.seq);
        let failed = self.call_once(shard, deliveries, rebuilding, outgoing);
        self.args.trouble().end();
        if !rebuilding {
            self.retry(shard, deliveries, failed, outgoing).await;
        }
    }

    fn call_once(
        &mut self,
        shard: Shard,
        deliveries: &[Delivery],
        rebuilding: bool,
        outgoing: &mut Outgoing,
    ) -> Vec<Failure> {
        let now = self.args.context.now();
        let Some(Owned { stage, .. }) = self.owned.get_mut(&shard) else { return Vec::new() };
        let mut output = Output::default();
        let _span = pool::span(&self.args.service.name, deliveries).entered();
        let begun = Instant::now();
        stage.handle(&Batch { shard: Some(shard), deliveries, now, rebuilding }, &mut output);
        let name = consumer(self.args.service.name.as_str());
        let histogram = self.args.context.metrics.handle_seconds.get_or_create(&name);
        histogram.observe(begun.elapsed().as_secs_f64());
        outgoing.extend(outs(shard, deliveries, &output.made_from, output.publish));
        let late = output.late.iter().filter_map(|index| deliveries.get(*index));
        self.late = Late::first(late).into_iter().chain(self.late).min();
        output.failed
    }

    /// Opens a gap where something was late; false where the process ends first.
    async fn open_gap(&mut self) -> bool {
        let Some(late) = self.late.take() else { return true };
        let ShardedWorkerArgs { context, service, .. } = &self.args;
        tokio::select! {
            () = gap::open(context, &service.name, service.stream, late) => true,
            () = stop_late(context) => false,
        }
    }

    /// Poison becomes a dead letter. What may work later is tried again in place, so that the
    /// shard's order is kept, and given up after `max_deliver` attempts.
    async fn retry(
        &mut self,
        shard: Shard,
        deliveries: &[Delivery],
        failed: Vec<Failure>,
        outgoing: &mut Outgoing,
    ) {
        for failure in failed {
            let Some(delivery) = deliveries.get(failure.index) else { continue };
            let mut why = failure.why;
            for attempt in 1..self.args.service.max_deliver {
                let Failed::Transient(_) = &why else { break };
                self.args.context.pause(Duration::from_millis(50 << attempt.min(6))).await;
                let one = std::slice::from_ref(delivery);
                match self.call_once(shard, one, false, outgoing).into_iter().next() {
                    Some(again) => why = again.why,
                    None => break,
                }
            }
            let (class, reason) = match why {
                Failed::Poison(reason) => (Class::Poison, reason),
                Failed::Transient(reason) => (Class::GaveUp, reason),
            };
            let wrong = Wrong { failure: class, reason: &reason, element: failure.element };
            outgoing.extend(self.dead(shard, delivery, &wrong));
        }
    }

    fn dead(&self, shard: Shard, delivery: &Delivery, wrong: &Wrong<'_>) -> Option<Out> {
        let context = &self.args.context;
        let stream = self.args.service.stream.name(context.bus.tenant());
        let name = self.args.service.name.as_str();
        let label =
            ConsumerReason { consumer: name.to_owned(), reason: deadletter::token(wrong.failure) };
        context.metrics.dead_lettered.get_or_create(&label).inc();
        tracing::warn!(
            consumer = name,
            subject = delivery.subject,
            seq = delivery.seq,
            trace = delivery.trace,
            reason = wrong.reason,
            "message is dead-lettered"
        );
        let place = (stream.as_str(), name);
        let letter =
            deadletter::letter(delivery, context.bus.tenant(), place, wrong, context.now());
        letter
            .inspect_err(|error| tracing::error!(%error, "dead letter cannot be written"))
            .ok()
            .map(|message| Out { shard, seq: delivery.seq, message })
    }

    /// The dead letter of an output that is over the server's `max_payload`, at the last
    /// message that its shard has seen.
    fn too_large(&self, shard: Shard, message: &Publish, subject: String) -> Option<Out> {
        let reason = format!(
            "an output of {} bytes for {subject} is over the server's max_payload",
            message.payload.len()
        );
        let output = Delivery {
            subject,
            seq: self.owned.get(&shard).map_or(0, |owned| owned.seen),
            stored: self.args.context.now(),
            attempt: 1,
            content_type: None,
            message_id: Some(message.id.to_string()),
            ce_id: None,
            trace: message.trace.clone(),
            payload: message.payload.clone(),
        };
        let wrong = Wrong { failure: Class::Poison, reason: &reason, element: None };
        self.dead(shard, &output, &wrong)
    }

    /// Stores everything under the leases of its shards. A shard whose lease has moved on is
    /// dropped, and the rest goes on. False when that failed for good.
    async fn store(&mut self, mut outgoing: Outgoing) -> bool {
        while !outgoing.is_empty() {
            let fences: Vec<Option<Fence>> =
                outgoing.iter().map(|out| self.fence(out.shard)).collect();
            let messages: Vec<Publish> = outgoing.iter().map(|out| out.message.clone()).collect();
            let stored = tokio::select! {
                stored = self.args.context.bus.publish_fenced(&messages, &fences) => stored,
                () = stop_late(&self.args.context) => Err(Error::Stopped {
                    unconfirmed: messages.len(),
                }),
            };
            match stored {
                Ok(()) => {
                    let name = consumer(self.args.service.name.as_str());
                    let counter = self.args.context.metrics.published.get_or_create(&name);
                    counter.inc_by(messages.len() as u64);
                    return true;
                }
                Err(Error::Fenced { lease }) => {
                    let name = consumer(self.args.service.name.as_str());
                    self.args.context.metrics.fenced.get_or_create(&name).inc();
                    let lost: Vec<Shard> = outgoing
                        .iter()
                        .zip(&fences)
                        .filter(|(_, f)| f.as_ref().is_some_and(|f| f.subject == lease))
                        .map(|(out, _)| out.shard)
                        .collect();
                    outgoing.retain(|out| !lost.contains(&out.shard));
                    lost.into_iter().for_each(|shard| self.lose(shard));
                }
                Err(Error::TooLarge { index, subject }) => {
                    // The server will never take it: its beginning is kept as a dead letter.
                    let out = outgoing.remove(index);
                    let letter = self.too_large(out.shard, &out.message, subject);
                    outgoing.extend(letter);
                }
                Err(error) => {
                    tracing::error!(%error, "shards are rebuilt");
                    return false;
                }
            }
        }
        true
    }

    /// Calls the stages for what is due by time.
    pub(super) async fn tick(&mut self) {
        let now = self.args.context.now();
        let mut outgoing = Outgoing::new();
        for (shard, owned) in &mut self.owned {
            if owned.seen < owned.rebuild_to {
                continue;
            }
            let mut output = Output::default();
            owned.stage.tick(now, &mut output);
            outgoing.extend(outs(*shard, &[], &[], output.publish));
        }
        if !self.store(outgoing).await {
            // The stages take it for told.
            self.owned.clear();
            self.feed = None;
        }
    }
}

/// The outputs of a shard's stage, each with the sequence of the delivery that it was made from.
fn outs(
    shard: Shard,
    deliveries: &[Delivery],
    made_from: &[(usize, usize)],
    messages: Vec<Publish>,
) -> Outgoing {
    let last = deliveries.last().map_or(0, |delivery| delivery.seq);
    // Both are in the order in which the stage put them out.
    let mut made_from = made_from.iter().peekable();
    let out = |(index, message)| {
        let from = made_from.next_if(|(made, _)| *made == index);
        let delivery = from.and_then(|(_, delivery)| deliveries.get(*delivery));
        Out { shard, seq: delivery.map_or(last, |delivery| delivery.seq), message }
    };
    messages.into_iter().enumerate().map(out).collect()
}

/// Ten seconds after the process was asked to end.
async fn stop_late(context: &crate::context::Context) {
    context.stopping().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
}
