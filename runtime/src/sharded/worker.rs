//! The actor that owns shards.

use super::{
    claim,
    feed::{Feed, From},
    leases::Leases,
    losses::Looked,
    members::Members,
    snapshot::restored,
    trouble::Trouble,
};
use crate::{
    bus::Fence,
    context::Context,
    gap, metrics,
    service::Sharded,
    stage::{Delivery, Stage},
};
use magsentinel_bus_schema::{Lease, Mark, Shard, Token};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an owner that is still connected may be silent before others take over.
const TTL: Duration = Duration::from_secs(9);
/// How often leases are renewed, and what is due by time is done.
const RENEW: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_secs(1);

/// Owns shards of one service.
pub(crate) struct ShardedWorker;

/// What a worker is made from, again after every panic.
#[derive(Clone)]
pub(crate) struct ShardedWorkerArgs {
    pub(crate) context: Context,
    pub(crate) service: Arc<Sharded>,
    /// Under which the processes that share the shards answer to a ping.
    pub(crate) process: Token,
    pub(crate) shards: u16,
    pub(crate) trouble: Arc<Mutex<Trouble>>,
}

impl ShardedWorkerArgs {
    pub(crate) fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One owned shard.
pub(super) struct Owned {
    pub(super) stage: Box<dyn Stage>,
    pub(super) lease: Lease,
    /// Sequence of our newest lease message: the fencing token.
    pub(super) seq: u64,
    /// The state contains every message of the shard up to this stream sequence.
    pub(super) seen: u64,
    /// Up to here an earlier owner, or we before a restart, had handled everything.
    pub(super) rebuild_to: u64,
    /// Up to here an earlier owner may have handled messages, and told what it found after any of
    /// them, without writing it down in its lease.
    pub(super) told_to: u64,
    pub(super) renewed: Instant,
    /// Messages of the shard that were handled when its newest snapshot was taken.
    pub(super) snapshot_of: u64,
    /// When a snapshot was taken last, or the shard claimed.
    pub(super) snapshot_at: Instant,
}

/// State of the actor.
pub(crate) struct ShardedState {
    pub(super) args: ShardedWorkerArgs,
    pub(super) owned: BTreeMap<Shard, Owned>,
    leases: Leases,
    members: Members,
    pub(super) feed: Option<Feed>,
    /// The first message of the batch under way that is handled later than it should be.
    pub(super) late: Option<gap::Late>,
    /// How the stream and the feed stood when they were looked at last.
    pub(super) looked: Option<Looked>,
    /// The feed had nothing more when the stream ended here.
    pub(super) quiet: Option<u64>,
    /// Shards whose state must be rebuilt: where the feed has to begin.
    start: Option<From>,
    governed: Option<Instant>,
    ticked: Instant,
}

/// The only message: do one more turn.
pub(crate) struct Next;

impl Actor for ShardedWorker {
    type Msg = Next;
    type State = ShardedState;
    type Arguments = ShardedWorkerArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Next>,
        args: ShardedWorkerArgs,
    ) -> Result<ShardedState, ActorProcessingErr> {
        let leases = Leases::follow(&args.context, &args.service.name).await?;
        let members = Members::look(&args.context, &args.process, leases.view()).await?;
        myself.cast(Next)?;
        Ok(ShardedState {
            args,
            owned: BTreeMap::new(),
            leases,
            members,
            feed: None,
            late: None,
            looked: None,
            quiet: None,
            start: None,
            governed: None,
            ticked: Instant::now(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Next>,
        Next: Next,
        state: &mut ShardedState,
    ) -> Result<(), ActorProcessingErr> {
        if state.args.context.is_stopping() {
            let all: Vec<Shard> = state.owned.keys().copied().collect();
            state.release(&all).await;
            myself.stop(Some("drained".to_owned()));
            return Ok(());
        }
        state.turn().await;
        myself.cast(Next)?;
        Ok(())
    }
}

impl ShardedState {
    async fn turn(&mut self) {
        if self.members.news() || self.governed.is_none_or(|t| t.elapsed() >= RENEW) {
            self.govern().await;
        }
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            self.tick().await;
            self.snapshot().await;
        }
        if self.owned.is_empty() {
            return self.args.context.pause(Duration::from_millis(200)).await;
        }
        let bus = &self.args.context.bus;
        self.feed.take_if(|feed| feed.is_of_former_connection(bus));
        if self.feed.is_none() && !self.open_feed().await {
            return;
        }
        let Some(feed) = self.feed.as_mut() else { return };
        let first = tokio::select! {
            first = feed.first() => first,
            () = tokio::time::sleep(Duration::from_millis(250)) => return self.idle().await,
            () = self.args.context.stopping() => return,
        };
        match feed.with(first, self.args.service.batch_max).await {
            Some(batch) => {
                self.quiet = None;
                let broken = batch.broken;
                self.handle_batch(batch).await;
                self.feed.take_if(|_| broken);
            }
            None => self.feed = None,
        }
    }

    /// Nothing came. Where the server has nothing more for a shard that is still rebuilding,
    /// the rest of its past has aged out, and it is live from now on.
    async fn idle(&mut self) {
        self.settle_quiet();
        let rebuilding = self.owned.values().any(|o| o.seen < o.rebuild_to);
        if rebuilding && self.has_all().await {
            self.owned.values_mut().for_each(|o| o.seen = o.seen.max(o.rebuild_to));
        }
    }

    /// Messages that wait for the feed. One that has lost some is given up.
    pub(super) async fn waiting(&mut self) -> Option<u64> {
        let told = self.feed.as_mut()?.waiting().await;
        told.unwrap_or_else(|_| {
            self.feed = None;
            None
        })
    }

    /// Whether the server has nothing more for this owner, and all that it has delivered has come.
    async fn has_all(&mut self) -> bool {
        self.waiting().await == Some(0) && self.feed.as_ref().is_some_and(Feed::is_whole)
    }

    async fn open_feed(&mut self) -> bool {
        let shards: Vec<Shard> = self.owned.keys().copied().collect();
        let seen = self.owned.values().map(|o| o.seen).min().unwrap_or(0);
        let from = self.start.unwrap_or(From::Sequence(seen + 1));
        let shards = (shards.as_slice(), self.args.shards);
        match Feed::open(&self.args.context.bus, &self.args.service, shards, from).await {
            Ok(feed) => {
                self.feed = Some(feed);
                self.quiet = None;
                self.start = None;
                true
            }
            Err(error) => {
                tracing::warn!(service = %self.args.service.name, %error, "waiting for the feed");
                self.args.context.pause(Duration::from_millis(500)).await;
                false
            }
        }
    }

    /// Claims, renews and gives up shards.
    async fn govern(&mut self) {
        self.governed = Some(Instant::now());
        let expired = self.owned.iter().filter(|(_, o)| o.renewed.elapsed() >= TTL);
        let expired: Vec<Shard> = expired.map(|(shard, _)| *shard).collect();
        expired.into_iter().for_each(|shard| self.lose(shard));
        let members = self.members.count();
        let me = self.args.context.instance.to_string();
        let owned: Vec<Shard> = self.owned.keys().copied().collect();
        let known = self.leases.known(&self.members.gone());
        let moves = claim::moves(&known, self.args.shards, &me, &owned, members);
        self.release(&moves.release).await;
        self.renew().await;
        self.claim(&moves.claim, &known).await;
        let label = metrics::consumer(self.args.service.name.as_str());
        let owned = i64::try_from(self.owned.len()).unwrap_or(i64::MAX);
        self.args.context.metrics.shards.get_or_create(&label).set(owned);
        self.look().await;
        self.report();
    }

    async fn renew(&mut self) {
        let leases: Vec<_> = self.owned.values().map(|o| (o.lease.clone(), o.seq)).collect();
        let Ok(written) = self.leases.write(&leases).await else { return };
        for ((lease, _), seq) in leases.iter().zip(written) {
            match (seq, self.owned.get_mut(&lease.shard)) {
                (Some(seq), Some(owned)) => {
                    owned.seq = seq;
                    owned.renewed = Instant::now();
                }
                (None, _) if self.args.context.bus.is_connected() => self.lose(lease.shard),
                _ => {}
            }
        }
    }

    /// Somebody else owns the shard now, or may: its state is of no use.
    pub(super) fn lose(&mut self, shard: Shard) {
        if self.owned.remove(&shard).is_some() {
            tracing::warn!(service = %self.args.service.name, %shard, "lost the shard");
            self.feed = None;
        }
    }

    async fn claim(&mut self, shards: &[Shard], known: &BTreeMap<Shard, claim::Known>) {
        let me = self.args.context.instance.to_string();
        let wanted: Vec<(Lease, u64)> =
            shards.iter().map(|shard| self.next_lease(*shard, known.get(shard), &me)).collect();
        if wanted.is_empty() {
            return;
        }
        let Ok(written) = self.leases.write(&wanted).await else { return };
        // Only now is what an earlier owner publishes refused.
        let last = self.last_sequence().await;
        for ((lease, _), seq) in wanted.into_iter().zip(written) {
            let Some(seq) = seq else { continue };
            let left = known.get(&lease.shard).is_some_and(|known| known.lease.owner.is_some());
            let told_to = if left { last } else { 0 };
            let (stage, seen) = match restored(&self.args, &lease).await {
                Ok(restored) => restored,
                Err(error) => {
                    tracing::error!(service = %self.args.service.name, error, "no stage");
                    continue;
                }
            };
            let rebuild_to = lease.position;
            self.tell_gap(rebuild_to).await;
            match seen {
                0 => self.begin_at(rebuild_to, self.args.service.rebuild.get()).await,
                _ => self.begin_at(seen, Duration::ZERO).await,
            }
            let (shard, now) = (lease.shard, Instant::now());
            let snapshot_of = if seen == rebuild_to { lease.handled } else { 0 };
            let owned = Owned {
                stage,
                lease,
                seq,
                seen,
                rebuild_to,
                told_to,
                renewed: now,
                snapshot_of,
                snapshot_at: now,
            };
            self.owned.insert(shard, owned);
            self.feed = None;
        }
        tracing::info!(service = %self.args.service.name, shards = self.owned.len(), "owns shards");
    }

    /// The last sequence of the stream, or what lies behind all, where nobody says.
    async fn last_sequence(&mut self) -> u64 {
        let stream = self.args.context.bus.stream(self.args.service.stream).await;
        stream.map_or(u64::MAX, |stream| stream.cached_info().state.last_sequence)
    }

    fn next_lease(&self, shard: Shard, known: Option<&claim::Known>, me: &str) -> (Lease, u64) {
        let before = known.map(|k| &k.lease);
        let lease = Lease {
            v: magsentinel_bus_schema::SCHEMA_VERSION,
            service: self.args.service.name.clone(),
            shard,
            owner: Some(me.to_owned()),
            epoch: before.map_or(0, |l| l.epoch) + 1,
            ttl_ms: u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX),
            position: before.map_or(0, |l| l.position),
            handled: before.map_or(0, |l| l.handled),
            snapshot: before.and_then(|l| l.snapshot.clone()),
            // Of a shard that nobody has had, everything is counted.
            marks: before.map_or(vec![Mark { position: 0, handled: 0 }], |l| l.marks.clone()),
        };
        (lease, known.map_or(0, |k| k.seq))
    }

    /// Moves the start of the next feed back far enough for a shard to be shown what was stored
    /// since `back` before the message at `position`.
    async fn begin_at(&mut self, position: u64, back: Duration) {
        let all = From::Sequence(0);
        let from = match position {
            0 => all,
            _ => match self.stored_at(position).await {
                Some(us) => {
                    let back = i64::try_from(back.as_micros()).unwrap_or(i64::MAX);
                    From::Stored(us.saturating_sub(back))
                }
                // Aged out: whatever is left is younger, and within reach of a full read.
                None => all,
            },
        };
        self.start = Some(match (self.start, from) {
            (Some(From::Stored(a)), From::Stored(b)) => From::Stored(a.min(b)),
            (Some(From::Sequence(_)), _) | (_, From::Sequence(_)) => all,
            (None, from) => from,
        });
    }

    async fn stored_at(&mut self, seq: u64) -> Option<i64> {
        let stream = self.args.context.bus.stream(self.args.service.stream).await.ok()?;
        let message = stream.get_raw_message(seq).await.ok()?;
        i64::try_from(message.time.unix_timestamp_nanos() / 1000).ok()
    }

    /// Gives shards up, telling the next owner where to go on.
    async fn release(&mut self, shards: &[Shard]) {
        let given: Vec<(Lease, u64)> = shards
            .iter()
            .filter_map(|s| self.owned.remove(s))
            .map(|o| (Lease { owner: None, ..o.lease }, o.seq))
            .collect();
        if given.is_empty() {
            return;
        }
        self.feed = None;
        let released = tokio::time::timeout(Duration::from_secs(3), self.leases.write(&given));
        match released.await {
            Ok(Ok(_)) => tracing::info!(shards = given.len(), "gave up shards"),
            _ => tracing::warn!(shards = given.len(), "shards will expire instead"),
        }
    }

    pub(super) fn fence(&self, shard: Shard) -> Option<Fence> {
        let owned = self.owned.get(&shard).filter(|_| self.args.service.fenced)?;
        Some(self.leases.fence(shard, owned.seq))
    }

    /// After a batch of the feed: every owned shard has been shown everything up to `seq`.
    pub(super) fn advance(&mut self, seq: u64, handled: &BTreeMap<Shard, u64>) {
        for (shard, owned) in &mut self.owned {
            owned.seen = owned.seen.max(seq);
            owned.lease.position = owned.lease.position.max(seq);
            owned.lease.handled += handled.get(shard).copied().unwrap_or(0);
        }
    }

    fn report(&self) {
        let mut merged = serde_json::Map::new();
        for owned in self.owned.values() {
            add(&mut merged, owned.stage.report());
        }
        merged.insert("shards".to_owned(), self.owned.len().into());
        let handled: u64 = self.owned.values().map(|o| o.lease.handled).sum();
        merged.insert("handled".to_owned(), handled.into());
        let (name, merged) = (self.args.service.name.as_str(), merged.into());
        self.args.context.metrics.show(name, &merged);
        self.args.context.report(name, merged);
    }
}

/// Adds up the numbers of the shards' reports, at every depth; of those whose name ends in
/// `_max` the largest, and of everything else the last stands.
fn add(sum: &mut serde_json::Map<String, serde_json::Value>, report: serde_json::Value) {
    let serde_json::Value::Object(report) = report else { return };
    for (key, mut value) in report {
        if let (Some(serde_json::Value::Object(inner)), true) = (sum.get(&key), value.is_object()) {
            let mut inner = inner.clone();
            add(&mut inner, value.take());
            sum.insert(key, inner.into());
            continue;
        }
        let both = (sum.get(&key).and_then(|v| v.as_u64()), value.as_u64());
        let value = match both {
            (Some(a), Some(b)) if key.ends_with("_max") => a.max(b).into(),
            (Some(a), Some(b)) => (a + b).into(),
            _ => value,
        };
        sum.insert(key, value);
    }
}

/// The messages of one shard in a pulled batch, split at the point up to which they are only
/// shown again.
pub(super) fn parts(owned: &Owned, all: Vec<Delivery>) -> (Vec<Delivery>, Vec<Delivery>) {
    let fresh = all.into_iter().filter(|d| d.seq > owned.seen);
    fresh.partition(|d| d.seq <= owned.rebuild_to)
}
