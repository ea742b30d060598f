//! What was received and nothing accounts for.

use super::{failed, filters_of};
use crate::bus::{Bus, Error};
use async_nats::jetstream::{consumer::Info, stream::Stream as Held};
use magsentinel_bus_schema::Stream;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the server tells when it delivers a message no more, although nobody acknowledged it.
#[derive(Deserialize)]
struct Advisory {
    stream: String,
    consumer: String,
    stream_seq: u64,
}

/// Messages that are delivered no more and that nobody acknowledged: by stream and consumer.
#[derive(Debug, Default)]
pub(crate) struct Abandoned(BTreeMap<(String, String), BTreeSet<u64>>);

impl Abandoned {
    /// Reads the server's advisories, which DEADLETTER keeps.
    pub(crate) async fn read(bus: &Bus) -> Result<Self, Error> {
        let mut found = Self::default();
        bus.read_all(Stream::DeadLetter, bus.advisories(), |d| {
            match serde_json::from_slice::<Advisory>(&d.payload) {
                Ok(Advisory { stream, consumer, stream_seq }) => {
                    found.0.entry((stream, consumer)).or_default().insert(stream_seq);
                }
                Err(error) => tracing::debug!(%error, seq = d.seq, "an advisory cannot be read"),
            }
        })
        .await?;
        Ok(found)
    }

    /// How many of a durable's the stream still holds from `first` on, and no dead letter tells of.
    pub(crate) fn of(&self, info: &Info, dead: &BTreeSet<u64>, first: u64) -> u64 {
        let of = self.0.get(&(info.stream_name.clone(), info.name.clone()));
        let left = of.into_iter().flatten().filter(|seq| **seq >= first && !dead.contains(seq));
        left.count() as u64
    }
}

/// How many messages of a durable nothing accounts for. Never too many, although messages come and
/// go meanwhile; where none do, exact.
pub(crate) async fn missing(
    bus: &Bus,
    (stream, held): (Stream, &Held),
    info: &Info,
    (dead, abandoned): (&BTreeSet<u64>, &Abandoned),
) -> Result<u64, Error> {
    // What is stored while we count has a greater sequence than this, and is left out. The count
    // after the consumer's word is not smaller for messages that it has not been shown, unless
    // limits took them.
    let state = &held.cached_info().state;
    let abandoned = abandoned.of(info, dead, state.first_sequence);
    let reached = info.delivered.stream_sequence;
    if state.last_sequence <= reached {
        return Ok(abandoned);
    }
    let filters = filters_of(bus, stream, info);
    let unseen = bus.count_after(stream, filters.clone(), reached).await?;
    if unseen <= info.num_pending {
        return Ok(abandoned);
    }
    let newer = bus.count_after(stream, filters, state.last_sequence).await?;
    let skipped = unseen.saturating_sub(newer).saturating_sub(info.num_pending);
    Ok(abandoned + skipped)
}

/// The same of one durable, looked up.
pub(crate) async fn of_one(bus: &Bus, stream: Stream, durable: &str) -> Result<u64, Error> {
    let held = bus.stream(stream).await?;
    let info = held.consumer_info(durable).await.map_err(failed)?;
    let abandoned = Abandoned::read(bus).await?;
    let first = held.cached_info().state.first_sequence;
    let dead = if abandoned.of(&info, &BTreeSet::new(), first) == 0 {
        BTreeSet::new()
    } else {
        let of_it = super::dead_letters(bus).await?.into_iter();
        of_it.filter(|d| d.0 == info.stream_name && d.1 == durable).map(|d| d.2).collect()
    };
    if stream == Stream::Ingest {
        return Ok(abandoned.of(&info, &dead, first));
    }
    missing(bus, (stream, &held), &info, (&dead, &abandoned)).await
}
