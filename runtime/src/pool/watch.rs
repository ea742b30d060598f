//! Looks at a pool's durable from time to time: whether the stream has lost what it was to handle,
//! and whether anything is missing from its ledger.

use super::{again, worker::PoolWorkerArgs};
use crate::{
    bus::Error,
    context::Context,
    gap::{self, Look},
    ledger, metrics,
    service::{Pool, Task},
};
use async_nats::jetstream::{
    consumer::{FromConsumer, Info, pull},
    stream::{DiscardPolicy, Stream as Held},
};
use futures::future::BoxFuture;
use magsentinel_bus_schema::Stream;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a durable is looked at. What a stream takes must have lain there for longer than
/// this to be counted by subject; what came and went between two looks counts with all subjects.
const EVERY: Duration = Duration::from_secs(5);
/// How often the look is kept with the durable, for whoever comes after this process.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// How often the ledger of the durable is counted.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// How long the last look may take while the process drains.
const LAST_MAX: Duration = Duration::from_secs(2);
/// Attempts at acknowledging again after a reconnect, half a second apart.
const SAY_ATTEMPTS: u32 = 20;

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    before: Option<Look>,
    kept: Option<Instant>,
}

/// The task that looks at a pool's durable.
pub(crate) fn task(args: &PoolWorkerArgs) -> Task {
    let (name, args) = (format!("{}-watch", args.pool.durable), args.clone());
    let run = move |_: Context| {
        let args = args.clone();
        Box::pin(async move { run(&args).await }) as BoxFuture<'static, Result<(), String>>
    };
    Task { name, run: Arc::new(run) }
}

async fn run(args: &PoolWorkerArgs) -> Result<(), String> {
    let PoolWorkerArgs { context, pool, .. } = args;
    let (mut counted, mut missing) = (None::<Instant>, 0);
    let mut connections = context.bus.connected();
    connections.mark_unchanged();
    loop {
        let connected = tokio::select! {
            Ok(()) = connections.changed() => true,
            () = context.pause(EVERY) => false,
        };
        if context.is_stopping() {
            // What comes while nobody is there is then told apart from what was there before.
            if let Ok(Err(error)) = tokio::time::timeout(LAST_MAX, look(args, true)).await {
                tracing::debug!(consumer = %pool.durable, %error, "the last look is not kept");
            }
            return Ok(());
        }
        if connected {
            say_again(args).await;
            continue;
        }
        args.acked.forget_written(Instant::now());
        if let Err(error) = look(args, false).await {
            tracing::debug!(consumer = %pool.durable, %error, "looking again");
        }
        if counted.is_none_or(|at| at.elapsed() > COUNT_EVERY) {
            counted = Some(Instant::now());
            match ledger::of_one(&context.bus, pool.stream, pool.durable.as_str()).await {
                Ok(now) => tell_missing(context, pool, std::mem::replace(&mut missing, now), now),
                Err(error) => tracing::debug!(consumer = %pool.durable, %error, "counting again"),
            }
        }
    }
}

/// After a reconnect: the server may be a while in finding its streams.
async fn say_again(args: &PoolWorkerArgs) {
    let PoolWorkerArgs { context, pool, .. } = args;
    for _ in 0..SAY_ATTEMPTS {
        match again::acknowledge(args).await {
            Ok(0) => return,
            Ok(said) => {
                tracing::info!(consumer = %pool.durable, said, "acknowledged again");
                return;
            }
            Err(error) => {
                tracing::debug!(consumer = %pool.durable, %error, "acknowledging again later");
                context.pause(Duration::from_millis(500)).await;
            }
        }
    }
}

/// An imbalance is an alarm.
fn tell_missing(context: &Context, pool: &Pool, before: u64, now: u64) {
    let label = metrics::consumer(pool.durable.as_str());
    let missing = i64::try_from(now).unwrap_or(i64::MAX);
    context.metrics.missing.get_or_create(&label).set(missing);
    if now > before {
        tracing::error!(
            consumer = %pool.durable, missing = now,
            "the ledger does not balance: messages were neither handled nor dead-lettered"
        );
    }
}

/// Compares the durable with the last look, and tells what the stream has lost in between. `last`
/// says that this process looks no more.
pub(crate) async fn look(args: &PoolWorkerArgs, last: bool) -> Result<(), Error> {
    let PoolWorkerArgs { context, pool, .. } = args;
    // Nothing leaves a work queue but by acknowledgement.
    if pool.stream == Stream::Ingest {
        return Ok(());
    }
    let mut watch = args.watch.lock().await;
    let held = context.bus.stream(pool.stream).await?;
    let name = pool.durable.as_str();
    let fail = |why: String| Error::Consumer {
        stream: pool.stream.token().to_owned(),
        name: name.to_owned(),
        why,
    };
    let info = held.consumer_info(name).await.map_err(|e| fail(e.to_string()))?;
    let now = Look::of(&held.cached_info().state, &info, context.now());
    let label = metrics::consumer(name);
    let waits = i64::try_from(now.pending).unwrap_or(i64::MAX);
    context.metrics.lag.get_or_create(&label).set(waits);
    let before = watch.before.or_else(|| Look::kept(&info.config.metadata));
    let gone = before.and_then(|before| Some((before, now.gone_since(&before)?)));
    if let Some((before, stretch)) = gone {
        let filters = ledger::filters_of(&context.bus, pool.stream, &info);
        let arrived = context.bus.count_after(pool.stream, filters, before.last).await?;
        let config = &held.cached_info().config;
        let refuses = config.discard == DiscardPolicy::New && !config.max_age.is_zero();
        let drops_after = refuses.then_some(config.max_age);
        if let Some(loss) = now.lost_since(&before, stretch, (arrived, drops_after)) {
            gap::tell(context, &pool.durable, pool.stream, loss).await;
        }
    }
    watch.before = Some(now);
    let due = watch.kept.is_none_or(|at| at.elapsed() > KEEP_EVERY);
    if due || last || gone.is_some() {
        keep(&held, info, now).await.map_err(fail)?;
        watch.kept = Some(Instant::now());
    }
    Ok(())
}

/// Keeps a look with the durable, whose other settings stay as whoever made it wants them.
async fn keep(held: &Held, info: Info, look: Look) -> Result<(), String> {
    let text = look.text();
    if info.config.metadata.get(gap::KEY) == Some(&text) {
        return Ok(());
    }
    let config = pull::Config::try_from_consumer_config(info.config);
    let mut config = config.map_err(|e| e.to_string())?;
    config.metadata.insert(gap::KEY.to_owned(), text);
    held.update_consumer(config).await.map(drop).map_err(|e| e.to_string())
}
