//! Patrols as stages of the mesh: events in, scored events and receipts out.

mod digests;

use crate::{
    Error, facts, inference, judged,
    keeper::{Parts, keeper as pattern_keeper},
    patrol::{Finding, Seen, Spec},
    patrols::{self, Entry, Keyed, PublishNone},
    scorer::{Blueprint, Scorer, Verdict},
};
use magsentinel_bus_schema::{
    Class, Event, Fact, Id, Level, Limits, Message, Receipt, SCHEMA_VERSION, Scored, Stream,
    Subject, Timestamp, Token, entity::entities_of, trace,
};
use magsentinel_runtime::{
    bundle,
    gap::{self, Handled},
    keeper::{self, Keeper},
    service::{Pool, ShardFilters, Sharded, Task},
    settings::Span,
    stage::{Batch, Delivery, Failed, Output, Publish, Stage},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Attempts before an event is given up.
const MAX_DELIVER: u64 = 5;
/// How often it is looked whether there was anything to do. See [`Blueprint::rest_when_still`].
const REST_EVERY: Duration = Duration::from_secs(20);
/// Time after which the server hands an unacknowledged event to another worker.
const ACK_WAIT: Span = Span::s(30);

/// Everything that one patrol does in a process.
pub struct Consumers {
    /// Its pool, where it keeps no state.
    pub pools: Vec<Pool>,
    /// Its consumers of shards, one per key class, where it does.
    pub sharded: Vec<Sharded>,
    /// What is done before anything is consumed: the patterns that are live are loaded.
    pub first: Vec<Task>,
    /// What follows operators' verdicts, and its bundle where any signer is trusted.
    pub tasks: Vec<Task>,
}

/// The consumers of a patrol. Model and patterns are read and checked here, so that whatever is
/// wrong with them is told before anything starts. `shards` is how many the mesh has.
pub fn consumers(
    entry: &'static Entry,
    config: &patrols::Config,
    inference: &inference::Config,
    patterns: &magsentinel_pattern::Config,
    shards: u16,
) -> Result<Consumers, Error> {
    let blueprint = Arc::new(Blueprint::new(entry, config, inference)?);
    let name = blueprint.name().clone();
    let (pools, sharded, handled) = match (entry.keyed)(config) {
        None => {
            let handled = Handled::Acknowledged(entry.filters);
            (vec![pool(entry, config, &blueprint)], Vec::new(), handled)
        }
        Some(keyed) => {
            let owners = shard_owners(entry, config, keyed, &blueprint, shards)?;
            (Vec::new(), owners, Handled::Leased(entry.shard_filters))
        }
    };
    let gaps = gap::closing(name.clone(), handled, blueprint.blind_after());
    let resting = Arc::clone(&blueprint);
    let rest = Task::every("rest", REST_EVERY, Arc::new(move || resting.rest_when_still()));
    let mut tasks = vec![judged::task(name.clone()), gaps, rest];
    if !inference.bundles.signers.is_empty() {
        let blueprint = Arc::clone(&blueprint);
        let accept =
            move |bytes: Option<&[u8]>| blueprint.rearm(bytes).map_err(|e| crate::whole(&e));
        tasks.push(bundle::task(name, inference.bundles.clone(), Arc::new(accept)));
    }
    let parts = Parts::new(entry, config, &blueprint, patterns)
        .map_err(|why| Error::Good { patrol: entry.spec.name, why })?;
    let domain = parts.domain();
    let make: keeper::Make = Arc::new(move |tenant| {
        Box::new(pattern_keeper(parts.clone(), tenant.clone())) as Box<dyn Keeper>
    });
    let mut first = vec![keeper::loading(domain.clone(), Arc::clone(&make))];
    first.extend(pools.iter().map(|pool| digests::telling(&pool.durable, &blueprint)));
    tasks.push(keeper::task(domain, make));
    Ok(Consumers { pools, sharded, first, tasks })
}

fn shard_owners(
    entry: &'static Entry,
    config: &patrols::Config,
    keyed: Keyed,
    blueprint: &Arc<Blueprint>,
    shards: u16,
) -> Result<Vec<Sharded>, Error> {
    // One model for all shards of the process: there are many, and each needs it rarely.
    let armed = Arc::new(Mutex::new(blueprint.armed()?));
    let of_class = |class: &Class| {
        let view = View { class: *class, skew: keyed.clock_skew_max.get(), shards };
        let (stream, filters): (_, ShardFilters) = if facts::classes(entry.spec).contains(class) {
            (Stream::Keyed, facts_of(blueprint.name(), *class))
        } else {
            (Stream::Events, Arc::new(entry.shard_filters))
        };
        let (blueprint, armed) = (Arc::clone(blueprint), Arc::clone(&armed));
        let make = move |_| -> Result<Box<dyn Stage>, String> {
            let scorer = blueprint.scorer(Arc::clone(&armed), Some(view.class));
            Ok(Box::new(PatrolStage::new(Arc::clone(&blueprint), scorer, Some(view))))
        };
        Sharded {
            name: consumer_of(entry.spec, *class),
            stream,
            filters,
            whole: false,
            batch_max: (entry.shared)(config).batch_max,
            max_deliver: MAX_DELIVER,
            rebuild: keyed.rebuild,
            snapshot_every: keyed.snapshot_every,
            fenced: false,
            make: Arc::new(make),
        }
    };
    Ok(entry.spec.keys.iter().map(of_class).collect())
}

fn facts_of(patrol: &Token, class: Class) -> ShardFilters {
    let patrol = patrol.clone();
    Arc::new(move |tenant, shard| vec![Subject::Fact(patrol.clone(), class, shard).of(tenant)])
}

/// The name under which a patrol's instance of a class holds leases: the patrol's for its first
/// class, `auth-sentry-user` for another.
#[must_use]
pub fn consumer_of(spec: &Spec, class: Class) -> Token {
    if facts::classes(spec).contains(&class) {
        Token::sanitised(&format!("{}-{class}", spec.name))
    } else {
        spec.token()
    }
}

fn pool(entry: &'static Entry, config: &patrols::Config, blueprint: &Arc<Blueprint>) -> Pool {
    let shared = (entry.shared)(config);
    let blueprint = Arc::clone(blueprint);
    let durable = blueprint.name().clone();
    let make = move || -> Result<Box<dyn Stage>, String> {
        let armed = blueprint.armed().map_err(|e| crate::whole(&e))?;
        let scorer = blueprint.scorer(Arc::new(Mutex::new(armed)), None);
        Ok(Box::new(PatrolStage::new(Arc::clone(&blueprint), scorer, None)))
    };
    Pool {
        durable,
        stream: Stream::Events,
        filters: entry.filters,
        batch_max: shared.batch_max,
        batches_in_flight: shared.batches_in_flight,
        slow: false,
        max_deliver: MAX_DELIVER,
        ack_wait: ACK_WAIT,
        make: Arc::new(make),
    }
}

/// Events handled, by what became of them.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    ordinary: u64,
    found: u64,
    flagged: u64,
    refused: u64,
}

/// How an instance of a patrol that keeps state looks at the mesh.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Class of its keys.
    pub class: Class,
    /// How far ahead of its receipt an event's time is believed.
    pub skew: Duration,
    /// Shards of the mesh.
    pub shards: u16,
}

/// A patrol as the runtime runs it.
pub struct PatrolStage {
    blueprint: Arc<Blueprint>,
    scorer: Scorer,
    /// For patrols that keep state.
    view: Option<View>,
    /// Highest stream sequence that the state includes.
    learnt: u64,
    verdicts: Vec<Verdict>,
    counts: Counts,
}

impl PatrolStage {
    /// A stage around a scorer. `view` is given for patrols that keep state.
    #[must_use]
    pub fn new(blueprint: Arc<Blueprint>, scorer: Scorer, view: Option<View>) -> Self {
        let (verdicts, counts) = (Vec::new(), Counts::default());
        Self { blueprint, scorer, view, learnt: 0, verdicts, counts }
    }

    /// The class of its keys, where it sees facts rather than events.
    fn by_key(&self) -> Option<Class> {
        let class = self.view?.class;
        facts::classes(self.blueprint.spec()).contains(&class).then_some(class)
    }

    /// What the scorer sees of an event.
    fn seen<'a>(&self, event: &'a Event, delivery: &Delivery) -> Seen<'a> {
        let latest = self.view.map(|view| delivery.stored.plus(view.skew));
        let ts_refused = latest.is_some_and(|latest| event.ts > latest);
        Seen {
            kind: event.kind,
            body: &event.body,
            ts: if ts_refused { delivery.stored } else { event.ts },
            ts_refused,
            repeated: self.view.is_some() && delivery.seq <= self.learnt,
            // Of a live event without time the receipt is near enough.
            timed: !(event.ts_missing && event.replayed),
        }
    }

    /// The message about one event.
    fn scored(&self, read: &Read, delivery: &Delivery, finding: Finding) -> Scored {
        let (event, by_key) = (&read.event, self.by_key());
        let patrol = self.blueprint.name();
        let chars_max = self.blueprint.excerpt_chars_max();
        Scored {
            v: SCHEMA_VERSION,
            id: self.id_of(event),
            event: event.id,
            seq: read.seq,
            tenant: event.tenant.clone(),
            kind: event.kind,
            ts: event.ts,
            replayed: event.replayed || read.backfilled,
            backfilled: read.backfilled,
            patrol: patrol.clone(),
            by_key,
            source: Some(event.source.label()),
            level: finding.level,
            score: finding.score,
            confidence: finding.confidence,
            category: finding.category,
            techniques: finding.techniques,
            reasons: finding.reasons,
            entities: entities_of(event.kind, &event.body, event.source.trust),
            excerpt: self.scorer.excerpt(&event.body, chars_max),
            model: self.scorer.arms().model_digest().to_owned(),
            patterns: self.scorer.patterns_digest().to_owned(),
            trace: given_trace(event, delivery),
        }
    }

    /// The id of the message about an event: scoring twice gives the same.
    fn id_of(&self, event: &Event) -> Id {
        let patrol = self.blueprint.name().as_str().as_bytes();
        let by = self.by_key().map(|class| class.token().as_bytes());
        let parts: Vec<_> = [event.id.as_bytes(), patrol].into_iter().chain(by).collect();
        Id::derived(&parts)
    }

    fn publish_scored(
        &self,
        read: &Read,
        delivery: &Delivery,
        finding: Finding,
    ) -> Result<Publish, String> {
        let scored = self.scored(read, delivery, finding);
        let subject = Subject::Scored(scored.patrol.clone(), scored.level);
        let message = Publish::new(subject, scored.id, &scored).map_err(|e| e.to_string())?;
        let trace = scored.trace.unwrap_or_else(|| trace::of(scored.event));
        Ok(message.traced(Some(trace)))
    }

    /// What the owners of the event's other keys must know.
    fn facts(&self, read: &Read) -> Vec<Result<Publish, String>> {
        match self.view {
            Some(view) if self.by_key().is_none() => {
                let spec = self.blueprint.spec();
                facts::of(spec, &read.event, (read.seq, read.backfilled), view.shards)
            }
            _ => Vec::new(),
        }
    }

    /// Whether an event is seen so late that live correlation may refuse it.
    fn is_missed(&self, event: &Event, delivery: &Delivery, now: Timestamp) -> bool {
        !event.replayed && now.since(delivery.stored) > self.blueprint.blind_after()
    }

    /// One message about all ordinary events of a batch, that are all back-filled or none.
    fn receipt(&self, ordinary: &[&Read]) -> Result<Option<Publish>, String> {
        let Some(first) = ordinary.first() else { return Ok(None) };
        let patrol = self.blueprint.name();
        let ids = ordinary.iter().map(|read| read.event.id.as_bytes().as_slice());
        let parts: Vec<&[u8]> =
            [b"receipt".as_slice(), patrol.as_str().as_bytes()].into_iter().chain(ids).collect();
        let receipt = Receipt {
            v: SCHEMA_VERSION,
            id: Id::derived(&parts),
            tenant: first.event.tenant.clone(),
            patrol: patrol.clone(),
            model: self.scorer.arms().model_digest().to_owned(),
            patterns: self.scorer.patterns_digest().to_owned(),
            events: ordinary.iter().map(|read| read.event.id).collect(),
            seqs: ordinary.iter().map(|read| read.seq).collect(),
            backfilled: first.backfilled,
        };
        let subject = Subject::Scored(patrol.clone(), Level::None);
        Publish::new(subject, receipt.id, &receipt).map(Some).map_err(|e| e.to_string())
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Ordinary(_) => self.counts.ordinary += 1,
            Verdict::Found(finding) => {
                self.counts.found += 1;
                self.counts.flagged += u64::from(finding.level.is_flagged());
            }
            Verdict::Poison(_) | Verdict::Failed(_) => self.counts.refused += 1,
        }
    }

    /// Counts for the patterns that came while the mesh runs. The owner of an event's shard counts
    /// it, whoever else sees a fact of it.
    fn count_overlaid(&self, events: &[Read]) {
        if self.by_key().is_some() {
            return;
        }
        let (overlay, matches) = self.scorer.overlaid();
        overlay.count(u64::try_from(events.len()).unwrap_or(u64::MAX));
        for of in matches {
            if let Some(read) = events.get(of.event) {
                of.entry.matched(&read.event, of.alone);
            }
        }
    }

    /// Publishes what was found out about the events, in their order.
    fn tell(&self, reads: &[Read], batch: &Batch<'_>, out: &mut Output) {
        let mut ordinary: Vec<&Read> = Vec::new();
        for (read, verdict) in reads.iter().zip(&self.verdicts) {
            let Some(delivery) = batch.deliveries.get(read.index) else { continue };
            let full = self.blueprint.publish_none() == PublishNone::Full;
            let finding = match verdict {
                Verdict::Found(finding) => Some((**finding).clone()),
                Verdict::Ordinary(score) if full => Some(Finding::ordinary(*score)),
                Verdict::Ordinary(_) => {
                    ordinary.push(read);
                    None
                }
                Verdict::Poison(why) => {
                    out.fail(read.index, Failed::Poison(why.clone()));
                    continue;
                }
                Verdict::Failed(why) => {
                    out.fail(read.index, Failed::Transient(why.clone()));
                    continue;
                }
            };
            let found = finding.map(|finding| self.publish_scored(read, delivery, finding));
            for message in found.into_iter().chain(self.facts(read)) {
                match message {
                    Ok(message) => out.publish_for(read.index, message),
                    Err(why) => out.fail(read.index, Failed::Poison(why)),
                }
            }
        }
        // The owner of the event's shard answers for it: no receipts about facts.
        if self.by_key().is_some() {
            return;
        }
        let (missed, seen): (Vec<&Read>, _) = ordinary.into_iter().partition(|r| r.backfilled);
        for part in [seen, missed] {
            match self.receipt(&part) {
                Ok(receipt) => receipt.into_iter().for_each(|message| out.publish(message)),
                Err(why) => {
                    part.iter().for_each(|r| out.fail(r.index, Failed::Poison(why.clone())));
                }
            }
        }
        reads.iter().filter(|read| read.backfilled).for_each(|read| out.late(read.index));
    }
}

/// An event that was read from a delivery.
struct Read {
    /// The delivery's index in its batch.
    index: usize,
    /// The event's sequence in its stream; of a fact, that of the event it is about.
    seq: u64,
    event: Event,
    /// It is seen too late, here or by whoever made the fact.
    backfilled: bool,
}

/// Reads one delivery as an event that a patrol scores, or as a fact about one.
fn read(index: usize, delivery: &Delivery, spec: &Spec, fact: bool) -> Result<Read, String> {
    let (event, seq, backfilled) = if fact {
        let Fact { event, seq, backfilled, .. } = decode(delivery)?;
        (event, seq, backfilled)
    } else {
        (decode::<Event>(delivery)?, delivery.seq, false)
    };
    if !spec.kinds.contains(&event.kind) {
        let (kind, scored) = (event.kind, spec.kinds_told());
        return Err(format!("event is of kind {kind}, this patrol scores {scored}"));
    }
    // `mag.<tenant>.event.…`: who may publish for one tenant must not speak for another.
    match delivery.subject.split('.').nth(1) {
        Some(tenant) if tenant == event.tenant.as_str() => {
            Ok(Read { index, seq, event, backfilled })
        }
        _ => Err(format!("event says tenant {}, its subject another", event.tenant)),
    }
}

fn decode<T: Message>(delivery: &Delivery) -> Result<T, String> {
    delivery.decode(Limits::default()).map_err(|e| e.to_string())
}

impl Stage for PatrolStage {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        let (spec, fact) = (self.blueprint.spec(), self.by_key().is_some());
        let mut events: Vec<Read> = Vec::with_capacity(batch.deliveries.len());
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            match read(index, delivery, spec, fact) {
                Ok(mut read) => {
                    read.backfilled |= self.is_missed(&read.event, delivery, batch.now);
                    events.push(read);
                }
                Err(why) => {
                    self.counts.refused += 1;
                    out.fail(index, Failed::Poison(why));
                }
            }
        }
        let seen: Vec<Seen<'_>> = events
            .iter()
            .filter_map(|r| Some(self.seen(&r.event, batch.deliveries.get(r.index)?)))
            .collect();
        let mut verdicts = std::mem::take(&mut self.verdicts);
        self.scorer.score(&seen, &mut verdicts);
        self.learnt = batch.deliveries.iter().map(|d| d.seq).fold(self.learnt, u64::max);
        if !batch.rebuilding {
            verdicts.iter().for_each(|verdict| self.count(verdict));
            self.verdicts = verdicts;
            self.count_overlaid(&events);
            self.tell(&events, batch, out);
        } else {
            self.verdicts = verdicts;
        }
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        let state = self.scorer.snapshot()?;
        Some(self.learnt.to_le_bytes().into_iter().chain(state).collect())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        let (learnt, state) = snapshot.split_first_chunk().ok_or("a state without its head")?;
        self.scorer.restore(state)?;
        self.learnt = u64::from_le_bytes(*learnt);
        Ok(())
    }

    fn report(&self) -> Value {
        json!({
            "patrol": self.blueprint.name(),
            "by_key": self.by_key(),
            "runtime": self.blueprint.runtime().name(),
            "model": self.scorer.arms().model_digest(),
            "model_bytes_max": self.scorer.arms().model_bytes(),
            "patterns": self.scorer.patterns_digest(),
            "ordinary": self.counts.ordinary,
            "found": self.counts.found,
            "flagged": self.counts.flagged,
            "refused": self.counts.refused,
            "inference": self.scorer.inference(),
            "state": self.scorer.report(),
        })
    }
}

/// The trace context that was given to an event. One that follows from its id needs no carrying.
fn given_trace(event: &Event, delivery: &Delivery) -> Option<String> {
    let headed = || delivery.trace.clone().filter(|context| *context != trace::of(event.id));
    event.trace.clone().or_else(headed)
}

#[cfg(test)]
mod tests;
