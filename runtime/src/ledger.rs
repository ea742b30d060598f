//! The loss ledger: per stream and consumer, `received = handled + dead-lettered + shed +
//! waiting + unsubscribed`, over distinct stream sequences, from what JetStream holds rather than from
//! counters of processes that may have died.

use crate::{
    bus::{Bus, Error},
    gap::handled,
};
use futures::TryStreamExt;
use magsentinel_bus_schema::{
    DeadLetter, Kind, Lease, Level, Receipt, Scored, Stream, Subject, Tenant, Timestamp, Token,
    subject,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The ledger of one consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The stream.
    pub stream: &'static str,
    /// The durable, or the service that owns shards.
    pub consumer: String,
    /// Messages that the stream holds for this consumer.
    pub received: u64,
    /// Of these, acknowledged after their effect was stored.
    pub handled: u64,
    /// Of the handled, those that became dead letters.
    pub dead_lettered: u64,
    /// Delivered and not yet acknowledged.
    pub in_flight: u64,
    /// Not yet delivered.
    pub waiting: u64,
    /// When the oldest of those was stored that are not handled; none where all are.
    pub waiting_since: Option<Timestamp>,
    /// Gone by the stream's limits before they were handled.
    pub shed: u64,
    /// Received, and nobody has asked for them.
    pub unsubscribed: u64,
}

impl Row {
    /// Whether everything received is accounted for and nothing was shed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.in_flight == 0 && self.waiting == 0 && self.shed == 0
    }
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "the ledger", why: why.to_string() }
}

/// The ledger of every durable, and of the services that own shards by lease.
pub async fn rows(bus: &Bus) -> Result<Vec<Row>, Error> {
    let dead = dead_letters(bus).await?;
    let mut rows = Vec::new();
    for &stream in Stream::ALL {
        let held = bus.stream(stream).await?;
        let first = held.cached_info().state.first_sequence;
        let mut consumers = held.consumers();
        while let Some(info) = consumers.try_next().await.map_err(failed)? {
            let Some(name) = info.config.durable_name.clone() else { continue };
            let filters = match info.config.filter_subjects.as_slice() {
                [] => stream.subjects(bus.tenant()),
                some => some.to_vec(),
            };
            let held_now = count(bus, stream, &filters).await?;
            let in_flight = u64::try_from(info.num_ack_pending).unwrap_or(0);
            let waiting = info.num_pending;
            // A work queue forgets what was acknowledged; the server's count does not.
            let work_queue = stream == Stream::Ingest;
            let received =
                if work_queue { info.delivered.stream_sequence + waiting } else { held_now };
            let floor = info.ack_floor.stream_sequence;
            let shed = if work_queue { 0 } else { first.saturating_sub(1).saturating_sub(floor) };
            let waiting_since = match in_flight + waiting {
                0 => None,
                _ => handled::oldest(&held, &filters, floor + 1).await?,
            };
            let of = |d: &&(String, String, u64)| d.0 == stream.name(bus.tenant()) && d.1 == name;
            rows.push(Row {
                stream: stream.token(),
                dead_lettered: dead.iter().filter(of).count() as u64,
                consumer: name,
                received,
                handled: received.saturating_sub(in_flight + waiting),
                in_flight,
                waiting,
                waiting_since,
                shed: if in_flight + waiting == 0 { 0 } else { shed },
                unsubscribed: 0,
            });
        }
    }
    Ok(rows)
}

/// Messages that a stream holds for some filters.
async fn count(bus: &Bus, stream: Stream, filters: &[String]) -> Result<u64, Error> {
    let held = bus.stream(stream).await?;
    let mut sum = 0;
    for filter in filters {
        let subjects = held.info_with_subjects(filter).await.map_err(failed)?;
        let counts: Vec<(String, usize)> = subjects.try_collect().await.map_err(failed)?;
        sum += counts.iter().map(|(_, n)| *n as u64).sum::<u64>();
    }
    Ok(sum)
}

/// The events of a kind that no consumer asks for.
pub async fn unsubscribed(bus: &Bus, kind: Kind) -> Result<Row, Error> {
    let filter = subject::events_of(bus.tenant(), kind);
    let received = count(bus, Stream::Events, &[filter]).await?;
    Ok(Row {
        stream: Stream::Events.token(),
        consumer: format!("nobody ({kind})"),
        received,
        handled: 0,
        dead_lettered: 0,
        in_flight: 0,
        waiting: 0,
        waiting_since: None,
        shed: 0,
        unsubscribed: received,
    })
}

/// The ledger of a service that owns shards, from its leases; `None` where it has never run.
pub async fn sharded_row(
    bus: &Bus,
    service: &Token,
    stream: Stream,
    filters: &[String],
) -> Result<Option<Row>, Error> {
    let mut leases: BTreeMap<u16, Lease> = BTreeMap::new();
    let filter = vec![subject::leases_of(bus.tenant(), service)];
    bus.read_all(Stream::Decisions, filter, |d| {
        if let Ok(lease) = d.decode::<Lease>(bus.limits()) {
            leases.insert(lease.shard.0, lease);
        }
    })
    .await?;
    if leases.is_empty() {
        return Ok(None);
    }
    let mut received = 0;
    let mut handled = 0;
    let mut waiting_since: Option<Timestamp> = None;
    bus.read_all(stream, filters.to_vec(), |d| {
        received += 1;
        let shard = Subject::parse(&d.subject).ok().and_then(|(_, s)| s.shard());
        let position = shard.and_then(|s| leases.get(&s.0)).map_or(0, |l| l.position);
        handled += u64::from(d.seq <= position);
        if d.seq > position {
            waiting_since = Some(waiting_since.map_or(d.stored, |since| since.min(d.stored)));
        }
    })
    .await?;
    let dead = dead_letters(bus).await?;
    let of = |d: &&(String, String, u64)| d.1 == service.as_str();
    Ok(Some(Row {
        stream: stream.token(),
        consumer: service.to_string(),
        received,
        handled,
        dead_lettered: dead.iter().filter(of).count() as u64,
        in_flight: 0,
        waiting: received - handled,
        waiting_since,
        shed: 0,
        unsubscribed: 0,
    }))
}

/// Distinct (stream, consumer, sequence) of all dead letters.
async fn dead_letters(bus: &Bus) -> Result<BTreeSet<(String, String, u64)>, Error> {
    let mut found = BTreeSet::new();
    let filter = vec![subject::all_of(bus.tenant(), "deadletter")];
    bus.read_all(Stream::DeadLetter, filter, |d| {
        if let Ok(letter) = d.decode::<DeadLetter>(bus.limits()) {
            found.insert((letter.stream, letter.consumer, letter.seq));
        }
    })
    .await?;
    Ok(found)
}

/// The proof that a patrol answered for every event of its kind: by sequence, from the events,
/// the scored events and receipts, and the dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Distinct event sequences of the kind.
    pub received: u64,
    /// Of these, scored (with a receipt, or a scored event).
    pub scored: u64,
    /// Of these, dead-lettered.
    pub dead_lettered: u64,
    /// Sequences that nobody answered for. Must be empty.
    pub missing: Vec<u64>,
    /// Sequences that were both scored and dead-lettered, or scored with two different ids.
    /// Must be empty.
    pub doubled: Vec<u64>,
}

impl Audit {
    /// Whether every event was answered for once.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.missing.is_empty() && self.doubled.is_empty()
    }
}

/// Audits one patrol over everything that the streams hold.
pub async fn audit(bus: &Bus, patrol: &Token, kind: Kind) -> Result<Audit, Error> {
    let tenant = bus.tenant().clone();
    let mut events = BTreeSet::new();
    let filter = vec![subject::events_of(&tenant, kind)];
    bus.read_all(Stream::Events, filter, |d| {
        events.insert(d.seq);
    })
    .await?;
    let answers = answers(bus, &tenant, patrol).await?;
    let dead: BTreeSet<u64> = dead_letters(bus)
        .await?
        .into_iter()
        .filter(|(stream, consumer, _)| {
            *stream == Stream::Events.name(&tenant) && consumer == patrol.as_str()
        })
        .map(|(_, _, seq)| seq)
        .collect();
    let mut audit = Audit { received: events.len() as u64, ..Audit::default() };
    for seq in events {
        let ids = answers.get(&seq).map_or(0, BTreeSet::len);
        let buried = dead.contains(&seq);
        audit.scored += u64::from(ids > 0);
        audit.dead_lettered += u64::from(buried);
        if ids == 0 && !buried {
            audit.missing.push(seq);
        }
        if ids > 1 || (ids > 0 && buried) {
            audit.doubled.push(seq);
        }
    }
    Ok(audit)
}

/// Event sequence → what was said of it: ids of scored events, or `none`.
async fn answers(
    bus: &Bus,
    tenant: &Tenant,
    patrol: &Token,
) -> Result<BTreeMap<u64, BTreeSet<String>>, Error> {
    let mut said: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let filters = Level::ALL.iter().map(|l| Subject::Scored(patrol.clone(), *l).of(tenant));
    bus.read_all(Stream::Scored, filters.collect(), |d| {
        if let Ok(receipt) = d.decode::<Receipt>(bus.limits()) {
            for seq in receipt.seqs {
                said.entry(seq).or_default().insert("none".to_owned());
            }
        } else if let Ok(scored) = d.decode::<Scored>(bus.limits()) {
            // What was found by another key stands beside the answer of the event's owner.
            if scored.by_key.is_none() {
                said.entry(scored.seq).or_default().insert(scored.id.to_string());
            }
        }
    })
    .await?;
    Ok(said)
}
