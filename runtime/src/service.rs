//! What an agent is made of, and how it runs.

use crate::{
    bus::{self, Bus},
    context::Context,
    health::{self, HealthConfig},
    memory, micro,
    pool::{self, PoolWorkerArgs},
    settings::Span,
    sharded::ShardedWorkerArgs,
    stage::{Delivery, Stage},
    supervisor::{Plan, Supervisor},
};
use futures::{StreamExt, future::BoxFuture};
use magsentinel_bus_schema::{Shard, Stream, Subject, Tenant, Token};
use ractor::Actor;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, watch};

/// Makes a stage; called again after a panic. An error here is told to the operator and tried
/// again with back-off.
pub type MakeStage = Arc<dyn Fn() -> Result<Box<dyn Stage>, String> + Send + Sync>;

/// Makes the stage of one shard.
pub type MakeShardStage = Arc<dyn Fn(Shard) -> Result<Box<dyn Stage>, String> + Send + Sync>;

/// A stateless consumer: any number of replicas share one durable.
pub struct Pool {
    /// Name of the durable, one token: `sql-guard`, `analyzer-router`.
    pub durable: Token,
    /// The stream.
    pub stream: Stream,
    /// Subject filters for a tenant; empty takes the whole stream.
    pub filters: fn(&Tenant) -> Vec<String>,
    /// Most messages a batch.
    pub batch_max: usize,
    /// Batches under way at once in one process.
    pub batches_in_flight: usize,
    /// Handling a batch may take long (a language model): runs on a blocking thread, and the
    /// server is told every few seconds that work goes on.
    pub slow: bool,
    /// Attempts before a message is given up.
    pub max_deliver: u64,
    /// Time after which the server redelivers what was not acknowledged.
    pub ack_wait: Span,
    /// The core.
    pub make: MakeStage,
}

/// The subjects of one shard, for a tenant.
pub type ShardFilters = Arc<dyn Fn(&Tenant, Shard) -> Vec<String> + Send + Sync>;

/// A stateful consumer: each shard is owned by one process, by lease.
pub struct Sharded {
    /// Name of the service in leases, one token: `data-flow`, `analyzer`.
    pub name: Token,
    /// The stream.
    pub stream: Stream,
    /// Subject filters of one shard.
    pub filters: ShardFilters,
    /// What the filters take names no shard: all of it is of the first, so that one process at a
    /// time reads it, in order.
    pub whole: bool,
    /// Most messages a batch.
    pub batch_max: usize,
    /// Attempts before a message is given up.
    pub max_deliver: u64,
    /// How far back, in stream time, a new owner reads to rebuild a shard's state where there
    /// is no snapshot of it.
    pub rebuild: Span,
    /// How often the state of a shard that changed is stored, where the core gives one.
    pub snapshot_every: Span,
    /// Publish under the shard's lease: the server refuses what an owner publishes that has
    /// lost it. Holds for what goes to DECISIONS.
    pub fenced: bool,
    /// The core.
    pub make: MakeShardStage,
}

/// Something that produces rather than consumes. `run` ends when its work is done or
/// [`Context::is_stopping`]; an error or a panic starts it again after a pause.
pub struct Task {
    /// Its name in logs and metrics.
    pub name: String,
    /// The work.
    pub run: Arc<dyn Fn(Context) -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// What a message that is followed adds to a report; an error says why it is passed over.
pub type Show = dyn Fn(&Delivery) -> Result<Value, String> + Send + Sync;

impl Task {
    /// A task that does something small over and over, with a pause before each.
    #[must_use]
    pub fn every(name: &str, pause: Duration, deed: Arc<dyn Fn() + Send + Sync>) -> Self {
        let run = move |context: Context| {
            let deed = Arc::clone(&deed);
            let work = async move {
                context.pause(pause).await;
                while !context.is_stopping() {
                    deed();
                    context.pause(pause).await;
                }
                Ok(())
            };
            Box::pin(work) as BoxFuture<'static, Result<(), String>>
        };
        Self { name: name.to_owned(), run: Arc::new(run) }
    }

    /// A task that shows every message of some subjects, from the first that their stream holds
    /// on, and reports what `show` makes of them under the task's name. What `show` refuses is
    /// told in the log: others keep it.
    #[must_use]
    pub fn following(
        name: &str,
        stream: Stream,
        filters: fn(&Tenant) -> Vec<String>,
        show: Arc<Show>,
    ) -> Self {
        let part = name.to_owned();
        let run = move |context: Context| {
            let (part, show) = (part.clone(), Arc::clone(&show));
            let work = async move { follow(&context, &part, stream, filters, &*show).await };
            Box::pin(work) as BoxFuture<'static, Result<(), String>>
        };
        Self { name: name.to_owned(), run: Arc::new(run) }
    }
}

async fn follow(
    context: &Context,
    part: &str,
    stream: Stream,
    filters: fn(&Tenant) -> Vec<String>,
    show: &Show,
) -> Result<(), String> {
    let bus = &context.bus;
    let messages = bus.follow_whole(stream, filters(bus.tenant())).await;
    let mut messages = messages.map_err(|e| e.to_string())?;
    loop {
        let next = tokio::select! {
            next = messages.next() => next.ok_or("the stream's reader has ended")?,
            () = context.stopping() => return Ok(()),
        };
        match show(&next) {
            Ok(value) => context.report(part, value),
            Err(error) => tracing::warn!(part, seq = next.seq, error, "message is passed over"),
        }
    }
}

/// What a service makes of a request: its payload and content type. An error is for whoever
/// asked.
pub type Answer = dyn Fn(&[u8], Option<&str>) -> Result<Vec<u8>, String> + Send + Sync;

/// Something that others may ask of a service; answered by any one of its processes.
#[derive(Clone)]
pub struct Endpoint {
    /// Its name on `$SRV.INFO`.
    pub name: &'static str,
    /// Where it is asked.
    pub subject: Subject,
    /// The answer: computed on a thread where it may take its time.
    pub answer: Arc<Answer>,
}

/// Everything that one process does.
pub struct Service {
    /// Name under which the process answers on `$SRV`.
    pub name: Token,
    /// Shards of the installation.
    pub shards: u16,
    /// Stateless consumers.
    pub pools: Vec<Pool>,
    /// Stateful consumers.
    pub sharded: Vec<Sharded>,
    /// What is done, one after the other, before anything is consumed.
    pub first: Vec<Task>,
    /// Producers.
    pub tasks: Vec<Task>,
    /// What others may ask.
    pub endpoints: Vec<Endpoint>,
}

impl Service {
    /// A service that does nothing yet.
    #[must_use]
    pub fn new(name: Token, shards: u16) -> Self {
        Self {
            name,
            shards,
            pools: Vec::new(),
            sharded: Vec::new(),
            first: Vec::new(),
            tasks: Vec::new(),
            endpoints: Vec::new(),
        }
    }
}

/// Why a service could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] bus::Error),
    /// The health port.
    #[error("cannot serve health on {listen}: choose another health.listen")]
    Health {
        /// The address.
        listen: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The supervisor.
    #[error("cannot start: {0}")]
    Start(String),
}

/// Runs a service until `shutdown` turns true, then drains: no new batch is begun, what was
/// handled is stored and acknowledged, leases are given up. Also ends when every task is done
/// and there is nothing else.
pub async fn run(
    service: Service,
    bus: Bus,
    health: &HealthConfig,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    bus.ensure_streams().await?;
    let instance = format!("{}-{}", service.name, uuid::Uuid::now_v7().simple());
    let context = Context::new(bus, &instance, shutdown);
    let serving = health::serve(health, &context).await;
    let serving = serving.map_err(|source| Error::Health { listen: health.listen, source })?;
    for task in &service.first {
        (task.run)(context.clone()).await.map_err(Error::Start)?;
    }
    // A sharded consumer counts its peers by the name of its leases.
    let mut announced = vec![micro::announce(&context, &service.name, &service.endpoints).await?];
    for sharded in service.sharded.iter().filter(|s| s.name != service.name) {
        announced.push(micro::announce(&context, &sharded.name, &[]).await?);
    }
    let address = serving.address;
    tracing::info!(service = %service.name, %address, "serving health and metrics");
    let mut permits = Vec::new();
    let plans = plans(service, &context, &mut permits);
    let (supervisor, ended) =
        Actor::spawn(None, Supervisor, plans).await.map_err(|e| Error::Start(e.to_string()))?;
    let mut ended = std::pin::pin!(ended);
    tokio::select! {
        _ = &mut ended => {}
        () = memory::give_back_unused() => {}
        () = context.stopping() => {
            let drained = tokio::time::timeout(Duration::from_secs(15), &mut ended);
            if drained.await.is_err() {
                tracing::warn!("not everything drained in 15s; the rest is redelivered");
                supervisor.stop(Some("drain took too long".to_owned()));
            }
        }
    }
    settle(permits).await;
    drop(announced);
    drop(serving);
    context.bus.close().await;
    tracing::info!("drained");
    Ok(())
}

fn plans(
    service: Service,
    context: &Context,
    permits: &mut Vec<(Arc<Semaphore>, u32)>,
) -> Vec<Plan> {
    let mut plans = Vec::new();
    for pool in service.pools {
        let count = pool.batches_in_flight.max(1);
        let semaphore = Arc::new(Semaphore::new(count));
        permits.push((Arc::clone(&semaphore), u32::try_from(count).unwrap_or(u32::MAX)));
        let args = PoolWorkerArgs {
            context: context.clone(),
            pool: Arc::new(pool),
            flight: Arc::default(),
            permits: semaphore,
            inbox: Arc::default(),
            watch: Arc::default(),
            acked: Arc::default(),
        };
        plans.push(Plan::Task(context.clone(), Arc::new(pool::watch::task(&args))));
        plans.push(Plan::Pool(args));
    }
    for sharded in service.sharded {
        let shards = if sharded.whole { 1 } else { service.shards };
        plans.push(Plan::Sharded(ShardedWorkerArgs {
            context: context.clone(),
            service: Arc::new(sharded),
            process: service.name.clone(),
            shards,
            trouble: Arc::default(),
        }));
    }
    plans.extend(service.tasks.into_iter().map(|t| Plan::Task(context.clone(), Arc::new(t))));
    plans
}

/// Waits for batches that are handled but not yet confirmed.
async fn settle(permits: Vec<(Arc<Semaphore>, u32)>) {
    let all = async {
        for (semaphore, count) in permits {
            drop(semaphore.acquire_many(count).await);
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), all).await.is_err() {
        tracing::warn!("some batches were not confirmed; they are redelivered");
    }
}
