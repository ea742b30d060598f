//! The loss ledger: per stream and consumer, `received = handled + dead-lettered + shed +
//! in flight + waiting + unsubscribed`, over distinct stream sequences, from what JetStream holds
//! rather than from counters of processes that may have died.
//!
//! The terms are counted apart, so that the equation can fail: what is *received* and how much of
//! it the consumer has been shown is counted in the stream; *waiting* and *in flight* is what the
//! consumer says of itself, and of readers under leases what these say (`shards`); *shed* is what the gaps on DECISIONS tell, so it stays when the
//! consumer has caught up; *dead-lettered* is what DEADLETTER holds. What none of them accounts for
//! is *missing*, and an alarm: a message that was never acknowledged and that the server delivers
//! no more, or one that the consumer was moved past.

mod audit;
mod missing;
mod shards;

pub use audit::{Audit, audit};
pub(crate) use missing::of_one;
pub use shards::{sharded_row, whole_row};

use crate::{
    bus::{Bus, Error},
    gap::{self, handled},
};
use async_nats::jetstream::{consumer::Info, stream::Stream as Held};
use futures::TryStreamExt;
use magsentinel_bus_schema::{DeadLetter, Stream, Timestamp, Token, subject};
use missing::{Abandoned, missing};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The ledger of one consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The stream.
    pub stream: &'static str,
    /// The durable, or the service that owns shards.
    pub consumer: String,
    /// Messages for this consumer that the stream holds, or lost before they were handled; of
    /// INGEST all that it ever held.
    pub received: u64,
    /// Of these, acknowledged after their effect was stored.
    pub handled: u64,
    /// Those that became dead letters, whole or an element of theirs.
    pub dead_lettered: u64,
    /// Delivered and not yet acknowledged.
    pub in_flight: u64,
    /// Not yet delivered.
    pub waiting: u64,
    /// When the oldest of those was stored that are not handled; none where all are.
    pub waiting_since: Option<Timestamp>,
    /// Gone by the stream's limits before they were handled, as its gaps tell: at most so many.
    pub shed: u64,
    /// Received, and nobody has asked for them.
    pub unsubscribed: u64,
    /// Received, and nothing accounts for them. Must be zero.
    pub missing: u64,
}

impl Row {
    /// Whether everything received was handled, and nothing was shed or is missing.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.in_flight == 0 && self.waiting == 0 && self.shed == 0 && self.is_balanced()
    }

    /// Whether everything received is accounted for.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.missing == 0
    }
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "the ledger", why: why.to_string() }
}

/// The ledger of every durable. Those of services that own shards are [`sharded_row`]s, and of
/// those that read a stream as a whole [`whole_row`]s.
pub async fn rows(bus: &Bus) -> Result<Vec<Row>, Error> {
    let dead = dead_letters(bus).await?;
    let abandoned = Abandoned::read(bus).await?;
    let mut rows = Vec::new();
    for &stream in Stream::ALL {
        let held = bus.stream(stream).await?;
        let mut consumers = held.consumers();
        while let Some(info) = consumers.try_next().await.map_err(failed)? {
            let Some(name) = info.config.durable_name.clone() else { continue };
            let of = |d: &&(String, String, u64)| d.0 == stream.name(bus.tenant()) && d.1 == name;
            let dead: BTreeSet<u64> = dead.iter().filter(of).map(|d| d.2).collect();
            rows.push(match stream {
                Stream::Ingest => of_queue(bus, &held, &info, (&dead, &abandoned)).await?,
                _ => of_durable(bus, (stream, &held), &info, (&dead, &abandoned)).await?,
            });
        }
    }
    Ok(rows)
}

/// The subjects that a durable reads.
pub(crate) fn filters_of(bus: &Bus, stream: Stream, info: &Info) -> Vec<String> {
    match info.config.filter_subjects.as_slice() {
        [] if info.config.filter_subject.is_empty() => bus.subjects_of(stream),
        [] => vec![info.config.filter_subject.clone()],
        some => some.to_vec(),
    }
}

/// A work queue forgets what was acknowledged, and numbers what it ever held.
async fn of_queue(
    bus: &Bus,
    held: &Held,
    info: &Info,
    (dead, abandoned): (&BTreeSet<u64>, &Abandoned),
) -> Result<Row, Error> {
    // Acknowledged and counted meanwhile is in neither: so much is handled at least.
    let state = held.get_info().await.map_err(failed)?.state;
    let (in_flight, waiting) = (u64::try_from(info.num_ack_pending).unwrap_or(0), info.num_pending);
    let filters = filters_of(bus, Stream::Ingest, info);
    let waiting_since = match in_flight + waiting {
        0 => None,
        _ => handled::oldest(held, &filters, 1).await?,
    };
    let missing = abandoned.of(info, dead, state.first_sequence);
    let gone = state.last_sequence.saturating_sub(state.messages);
    let dead_lettered = (dead.len() as u64).min(gone);
    Ok(Row {
        stream: Stream::Ingest.token(),
        consumer: info.name.clone(),
        received: gone + in_flight + waiting + missing,
        handled: gone - dead_lettered,
        dead_lettered,
        in_flight,
        waiting,
        waiting_since,
        missing,
        ..Row::default()
    })
}

async fn of_durable(
    bus: &Bus,
    (stream, held): (Stream, &Held),
    info: &Info,
    (dead, abandoned): (&BTreeSet<u64>, &Abandoned),
) -> Result<Row, Error> {
    let filters = filters_of(bus, stream, info);
    let (in_flight, waiting) = (u64::try_from(info.num_ack_pending).unwrap_or(0), info.num_pending);
    let first = held.cached_info().state.first_sequence;
    let here = count(held, &filters).await?;
    let unseen = bus.count_after(stream, filters.clone(), info.delivered.stream_sequence).await?;
    let missing = missing(bus, (stream, held), info, (dead, abandoned)).await?;
    let dead_lettered = dead.iter().filter(|seq| **seq >= first).count() as u64;
    let waiting_since = match in_flight + waiting {
        0 => None,
        _ => handled::oldest(held, &filters, info.ack_floor.stream_sequence + 1).await?,
    };
    let shed = gap::lost(bus, &info.name).await?;
    let shown = here.saturating_sub(unseen);
    let abandoned = abandoned.of(info, dead, first);
    Ok(Row {
        stream: stream.token(),
        consumer: info.name.clone(),
        received: here + shed,
        handled: shown.saturating_sub(in_flight + dead_lettered + abandoned),
        dead_lettered,
        in_flight,
        waiting,
        waiting_since,
        shed,
        missing,
        ..Row::default()
    })
}

/// Messages that a stream holds for some filters.
async fn count(held: &Held, filters: &[String]) -> Result<u64, Error> {
    let mut sum = 0;
    for filter in filters {
        sum += by_subject(held, filter).await?.iter().map(|(_, n)| *n as u64).sum::<u64>();
    }
    Ok(sum)
}

async fn by_subject(held: &Held, filter: &str) -> Result<Vec<(String, usize)>, Error> {
    let subjects = held.info_with_subjects(filter).await.map_err(failed)?;
    subjects.try_collect().await.map_err(failed)
}

/// Most rows of [`unsubscribed`]: whoever may publish events chooses what stands on their
/// subjects.
const UNSUBSCRIBED_ROWS_MAX: usize = 32;

/// The events that nobody reads who reads `filters`, by what stands in the kind's place on their
/// subject: kinds whose patrol does not run, and what is no kind at all.
pub async fn unsubscribed(bus: &Bus, filters: &[String]) -> Result<Vec<Row>, Error> {
    let held = bus.stream(Stream::Events).await?;
    let mut unread: BTreeMap<String, u64> = BTreeMap::new();
    for (subject, n) in by_subject(&held, &subject::all_of(bus.tenant(), "event")).await? {
        if filters.iter().any(|filter| covers(filter, &subject)) {
            continue;
        }
        let kind = Token::sanitised(subject.split('.').nth(3).unwrap_or_default());
        let known = unread.contains_key(kind.as_str()) || unread.len() < UNSUBSCRIBED_ROWS_MAX;
        let kind = if known { kind.to_string() } else { "and more".to_owned() };
        *unread.entry(kind).or_default() += n as u64;
    }
    let row = |(kind, unsubscribed): (String, u64)| Row {
        stream: Stream::Events.token(),
        consumer: format!("nobody ({kind})"),
        received: unsubscribed,
        unsubscribed,
        ..Row::default()
    };
    Ok(unread.into_iter().map(row).collect())
}

/// Whether a filter takes a subject.
fn covers(filter: &str, subject: &str) -> bool {
    let (mut wanted, mut tokens) = (filter.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(one), Some(token)) if one == "*" || one == token => {}
            _ => return false,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_filter_takes_what_the_server_would_take_by_it() {
        for (filter, subject, taken) in [
            ("mag.a.event.sql.*", "mag.a.event.sql.3", true),
            ("mag.a.event.sql.*", "mag.a.event.sql", false),
            ("mag.a.event.sql.*", "mag.a.event.sql.3.4", false),
            ("mag.a.event.sql.*", "mag.b.event.sql.3", false),
            ("mag.a.event.>", "mag.a.event.wine.3.4", true),
            ("mag.a.event.>", "mag.a.event", false),
            ("mag.a.event.sql.3", "mag.a.event.sql.3", true),
        ] {
            assert_eq!(covers(filter, subject), taken, "{filter} {subject}");
        }
    }
}
