//! The actor that pulls for a pool.

use super::{again, consumer, finish, watch};
use crate::{
    context::Context,
    delivery, gather, metrics,
    service::Pool,
    stage::{Batch, Delivery, Output, Stage},
};
use async_nats::jetstream::{
    consumer::pull,
    message::{Acker, Message},
};
use futures::StreamExt;
use magsentinel_bus_schema::{Token, trace};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// One delivery and the means to acknowledge it.
pub(crate) struct Held {
    pub(crate) delivery: Delivery,
    pub(crate) acker: Acker,
    /// Where acknowledgements go.
    pub(crate) reply: async_nats::Subject,
}

/// The batch that a stage is working on. After a panic the supervisor finds it here.
pub(crate) type Flight = Arc<Mutex<Flown>>;

/// A batch, its deliveries side by side for the stage.
#[derive(Default)]
pub(crate) struct Flown {
    deliveries: Arc<Vec<Delivery>>,
    acks: Vec<(Acker, async_nats::Subject)>,
}

impl Flown {
    fn of(batch: Vec<Held>) -> Self {
        let (mut deliveries, mut acks) = (Vec::with_capacity(batch.len()), Vec::new());
        for Held { delivery, acker, reply } in batch {
            deliveries.push(delivery);
            acks.push((acker, reply));
        }
        Self { deliveries: Arc::new(deliveries), acks }
    }

    /// Where its acknowledgements go.
    pub(crate) fn replies(&self) -> Vec<async_nats::Subject> {
        self.acks.iter().map(|(_, reply)| reply.clone()).collect()
    }

    /// Takes what is there.
    pub(crate) fn take(flight: &Flight) -> Vec<Held> {
        let Self { deliveries, acks } = std::mem::take(&mut *lock(flight));
        let deliveries = Arc::try_unwrap(deliveries).unwrap_or_else(|shared| shared.to_vec());
        let whole = deliveries.into_iter().zip(acks);
        whole.map(|(delivery, (acker, reply))| Held { delivery, acker, reply }).collect()
    }
}

/// Pulls for one pool.
pub(crate) struct PoolWorker;

/// What a worker is made from, again after every panic.
#[derive(Clone)]
pub(crate) struct PoolWorkerArgs {
    pub(crate) context: Context,
    pub(crate) pool: Arc<Pool>,
    pub(crate) flight: Flight,
    /// Batches that are published but not yet confirmed; outlives a panic, so that draining
    /// waits for them.
    pub(crate) permits: Arc<Semaphore>,
    /// What was pulled and not yet tried; outlives a panic, so that no message loses an attempt
    /// by its neighbour's.
    pub(crate) inbox: Arc<tokio::sync::Mutex<Inbox>>,
    /// How the durable stood when it was looked at last.
    pub(crate) watch: Arc<tokio::sync::Mutex<watch::Watch>>,
    /// What was acknowledged lately.
    pub(crate) acked: Arc<again::Acked>,
}

/// Messages between the server and the stage.
#[derive(Default)]
pub(crate) struct Inbox {
    messages: Option<pull::Stream>,
    /// Redelivered messages wait here: each is tried alone.
    alone: VecDeque<Held>,
}

/// State of the actor.
pub(crate) struct PoolState {
    args: PoolWorkerArgs,
    stage: Box<dyn Stage>,
    reported: Option<Instant>,
}

/// The only message: do one more batch.
pub(crate) struct Next;

impl Actor for PoolWorker {
    type Msg = Next;
    type State = PoolState;
    type Arguments = PoolWorkerArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Next>,
        args: PoolWorkerArgs,
    ) -> Result<PoolState, ActorProcessingErr> {
        let make = Arc::clone(&args.pool.make);
        let stage = tokio::task::spawn_blocking(move || make()).await??;
        myself.cast(Next)?;
        Ok(PoolState { args, stage, reported: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Next>,
        Next: Next,
        state: &mut PoolState,
    ) -> Result<(), ActorProcessingErr> {
        if state.args.context.is_stopping() {
            myself.stop(Some("drained".to_owned()));
            return Ok(());
        }
        state.turn().await;
        myself.cast(Next)?;
        Ok(())
    }
}

impl PoolState {
    /// One batch, or a short wait.
    async fn turn(&mut self) {
        let context = self.args.context.clone();
        let permits = Arc::clone(&self.args.permits);
        let permit = tokio::select! {
            permit = permits.acquire_owned() => permit,
            () = context.stopping() => return,
        };
        let Ok(permit) = permit else { return };
        let batch = self.pull().await;
        let (given_up, batch) = self.take_given_up(batch);
        if !given_up.is_empty() {
            finish::give_up(&context, &self.args.pool, given_up).await;
        }
        if batch.is_empty() {
            return;
        }
        let output = self.call(batch);
        let held = Flown::take(&self.args.flight);
        let args = self.args.clone();
        tokio::spawn(async move {
            finish::finish(&args, held, output).await;
            drop(permit);
        });
        self.report();
    }

    /// The next batch: fresh messages together, a redelivered one alone; nothing when the
    /// process is to end.
    async fn pull(&mut self) -> Vec<Held> {
        let inbox = Arc::clone(&self.args.inbox);
        let mut inbox = inbox.lock().await;
        if let Some(one) = inbox.alone.pop_front() {
            return vec![one];
        }
        if inbox.messages.is_none() {
            inbox.messages = self.reopen().await;
            return Vec::new();
        }
        inbox.fresh(&self.args.context, &self.args.pool).await
    }

    async fn reopen(&mut self) -> Option<pull::Stream> {
        let Context { bus, .. } = &self.args.context;
        let opened = match consumer::open(bus, &self.args.pool).await {
            Ok(found) => {
                // Before anything is pulled: that moves the durable past what is gone.
                if let Err(error) = watch::look(&self.args, false).await {
                    tracing::debug!(consumer = %self.args.pool.durable, %error, "looking later");
                }
                consumer::messages(&found, &self.args.pool).await.map_err(|e| e.to_string())
            }
            Err(e) => Err(e.to_string()),
        };
        match opened {
            Ok(messages) => Some(messages),
            Err(error) => {
                tracing::warn!(consumer = %self.args.pool.durable, %error, "waiting for it");
                self.args.context.pause(Duration::from_millis(500)).await;
                None
            }
        }
    }

    /// Separates what has had its attempts from what is still to be tried.
    fn take_given_up(&self, batch: Vec<Held>) -> (Vec<Held>, Vec<Held>) {
        batch.into_iter().partition(|h| h.delivery.attempt > self.args.pool.max_deliver)
    }

    /// Calls the stage. The batch lies in `flight` meanwhile: if the stage panics, the actor
    /// fails, and the supervisor hands the batch back.
    fn call(&mut self, batch: Vec<Held>) -> Output {
        let flown = Flown::of(batch);
        let deliveries = Arc::clone(&flown.deliveries);
        *lock(&self.args.flight) = flown;
        let now = self.args.context.now();
        let begun = Instant::now();
        let _span = span(&self.args.pool.durable, &deliveries).entered();
        let mut output = Output::default();
        let shown = Batch { shard: None, deliveries: &deliveries, now, rebuilding: false };
        if self.args.pool.slow {
            let _progress = finish::progress(&self.args);
            tokio::task::block_in_place(|| self.stage.handle(&shown, &mut output));
        } else {
            self.stage.handle(&shown, &mut output);
        }
        let label = metrics::consumer(self.args.pool.durable.as_str());
        let histogram = self.args.context.metrics.handle_seconds.get_or_create(&label);
        histogram.observe(begun.elapsed().as_secs_f64());
        output
    }

    fn report(&mut self) {
        if self.reported.is_none_or(|t| t.elapsed() > Duration::from_secs(1)) {
            self.reported = Some(Instant::now());
            self.args.context.report(self.args.pool.durable.as_str(), self.stage.report());
        }
    }
}

impl Inbox {
    /// Waits for a message and takes those that come with it; redelivered ones are put aside.
    async fn fresh(&mut self, context: &Context, pool: &Pool) -> Vec<Held> {
        let mut batch = Vec::with_capacity(pool.batch_max);
        let Some(messages) = self.messages.as_mut() else { return batch };
        let first = tokio::select! {
            first = messages.next() => first,
            () = context.stopping() => return batch,
        };
        if first.is_none() {
            self.messages = None;
        }
        let mut next = first;
        while let (Some(pulled), Some(messages)) = (next.take(), self.messages.as_mut()) {
            match pulled {
                Ok(message) => {
                    let (held, waits) = hold(message).unzip();
                    let again = held.as_ref().is_some_and(|one| one.delivery.attempt > 1);
                    if again {
                        self.alone.extend(held);
                    } else {
                        batch.extend(held);
                    }
                    if batch.len() < pool.batch_max {
                        next = gather::after(waits.unwrap_or(0), messages).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(consumer = %pool.durable, %error, "pull failed");
                    self.messages = None;
                }
            }
        }
        batch
    }
}

/// What is logged while a batch is handled belongs to it, and to the first trace in it.
pub(crate) fn span(consumer: &Token, deliveries: &[Delivery]) -> tracing::Span {
    let given = deliveries.iter().find_map(|delivery| delivery.trace.as_deref());
    let (trace, messages) = (given.and_then(trace::id), deliveries.len());
    tracing::info_span!("batch", %consumer, messages, trace)
}

/// A message to work on, and how many more wait behind it.
fn hold(message: Message) -> Option<(Held, u64)> {
    let pulled = delivery::of(&message)?;
    let reply = message.reply.clone()?;
    let (_, acker) = message.split();
    Some((Held { delivery: pulled.delivery, acker, reply }, pulled.waits))
}

pub(crate) fn lock(flight: &Flight) -> std::sync::MutexGuard<'_, Flown> {
    flight.lock().unwrap_or_else(PoisonError::into_inner)
}
