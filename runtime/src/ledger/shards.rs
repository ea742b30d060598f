//! The ledger of services that keep how far they are in leases.
//!
//! What is *waiting* follows from the position of a lease, and so would what is *handled*: it could
//! not be out of balance. But the owner counts what it handles, one by one, and keeps that number
//! in its lease, from owner to owner. What the stream holds up to the position and the owners did
//! not count was passed over, and is *missing*.

use super::{Row, count, dead_letters};
use crate::{
    bus::{Bus, Error},
    gap::{self, handled},
    sharded::is_whole,
};
use magsentinel_bus_schema::{Lease, Stream, Subject, Token, subject};
use std::collections::{BTreeMap, BTreeSet};

/// The newest lease of each shard of a service.
async fn newest_leases(bus: &Bus, service: &Token) -> Result<BTreeMap<u16, Lease>, Error> {
    let mut leases = BTreeMap::new();
    let filter = vec![subject::leases_of(bus.tenant(), service)];
    bus.read_all(Stream::Decisions, filter, |d| match d.decode::<Lease>(bus.limits()) {
        Ok(lease) => drop(leases.insert(lease.shard.0, lease)),
        Err(error) => tracing::warn!(%service, %error, seq = d.seq, "a lease cannot be read"),
    })
    .await?;
    Ok(leases)
}

/// Where a stream begins now.
async fn first_of(bus: &Bus, stream: Stream) -> Result<u64, Error> {
    Ok(bus.stream(stream).await?.cached_info().state.first_sequence)
}

/// A lease, beside what the stream holds of its shard.
struct Held {
    lease: Lease,
    /// By mark: how many messages lie behind it, up to the position.
    behind: Vec<u64>,
}

impl Held {
    fn new(lease: Lease) -> Self {
        Self { behind: vec![0; lease.marks.len()], lease }
    }

    /// A message of the shard that is not behind the position.
    fn holds(&mut self, seq: u64) {
        for (mark, count) in self.lease.marks.iter().zip(&mut self.behind) {
            *count += u64::from(mark.position < seq);
        }
    }

    /// How many of them nobody counted; nothing is known where the stream, which begins with
    /// `first` after all was read, has lost some behind every mark.
    fn missing(&self, first: u64) -> u64 {
        let marks = self.lease.marks.iter().zip(&self.behind);
        let whole = marks.into_iter().find(|(mark, _)| is_whole(mark, first));
        let missing = whole.map(|(mark, behind)| {
            behind.saturating_sub(self.lease.handled.saturating_sub(mark.handled))
        });
        missing.unwrap_or(0)
    }
}

/// The ledger of a service that owns shards, from its leases; `None` where it has never run.
pub async fn sharded_row(
    bus: &Bus,
    service: &Token,
    stream: Stream,
    filters: &[String],
) -> Result<Option<Row>, Error> {
    let leases = newest_leases(bus, service).await?;
    if leases.is_empty() {
        return Ok(None);
    }
    let mut held: BTreeMap<u16, Held> =
        leases.into_iter().map(|(shard, lease)| (shard, Held::new(lease))).collect();
    let letters = dead_letters(bus).await?;
    let letters = letters.iter().filter(|d| d.1 == service.as_str());
    let dead: BTreeSet<u64> = letters.map(|d| d.2).collect();
    let mut row = Row { stream: stream.token(), consumer: service.to_string(), ..Row::default() };
    bus.read_all(stream, filters.to_vec(), |d| {
        row.received += 1;
        let shard = Subject::parse(&d.subject).ok().and_then(|(_, s)| s.shard());
        let of = shard.and_then(|shard| held.get_mut(&shard.0));
        if d.seq > of.as_ref().map_or(0, |of| of.lease.position) {
            row.waiting += 1;
            let since = row.waiting_since.unwrap_or(d.stored);
            row.waiting_since = Some(since.min(d.stored));
            return;
        }
        of.into_iter().for_each(|of| of.holds(d.seq));
        if dead.contains(&d.seq) {
            row.dead_lettered += 1;
        } else {
            row.handled += 1;
        }
    })
    .await?;
    let first = first_of(bus, stream).await?;
    row.missing = held.values().map(|of| of.missing(first)).sum();
    row.handled = row.handled.saturating_sub(row.missing);
    row.shed = gap::lost(bus, service.as_str()).await?;
    row.received += row.shed;
    Ok(Some(row))
}

/// The ledger of a service that reads its stream as a whole, from its one lease; `None` where it
/// has never run.
pub async fn whole_row(
    bus: &Bus,
    service: &Token,
    stream: Stream,
    filters: Vec<String>,
) -> Result<Option<Row>, Error> {
    let leases = newest_leases(bus, service).await?;
    let Some(lease) = leases.into_values().next() else { return Ok(None) };
    let held = bus.stream(stream).await?;
    let first = held.cached_info().state.first_sequence;
    let here = count(&held, &filters).await?;
    let waiting = bus.count_after(stream, filters.clone(), lease.position).await?;
    let waiting_since = match waiting {
        0 => None,
        _ => handled::oldest(&held, &filters, lease.position + 1).await?,
    };
    let missing = passed_over(bus, (stream, &filters), &lease).await?;
    let name = stream.name(bus.tenant());
    let letters = dead_letters(bus).await?.into_iter();
    let dead = letters.filter(|d| d.0 == name && d.1 == service.as_str() && d.2 >= first);
    let dead_lettered = dead.count() as u64;
    let shed = gap::lost(bus, service.as_str()).await?;
    Ok(Some(Row {
        stream: stream.token(),
        consumer: service.to_string(),
        received: here + shed,
        handled: here.saturating_sub(waiting + dead_lettered + missing),
        dead_lettered,
        waiting,
        waiting_since,
        shed,
        missing,
        ..Row::default()
    }))
}

/// How many messages up to the position of a lease nobody counted, by what the server counts
/// behind its marks.
async fn passed_over(
    bus: &Bus,
    (stream, filters): (Stream, &[String]),
    lease: &Lease,
) -> Result<u64, Error> {
    let mut held = Held::new(lease.clone());
    for (mark, behind) in lease.marks.iter().zip(&mut held.behind) {
        // In this order, so that what comes meanwhile does not seem to lie behind the position.
        let all = bus.count_after(stream, filters.to_vec(), mark.position).await?;
        let waiting = bus.count_after(stream, filters.to_vec(), lease.position).await?;
        *behind = all.saturating_sub(waiting);
    }
    Ok(held.missing(first_of(bus, stream).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::{Mark, Shard};

    fn lease(position: u64, handled: u64, marks: &[(u64, u64)]) -> Lease {
        let marks =
            marks.iter().map(|(position, handled)| Mark { position: *position, handled: *handled });
        Lease {
            v: 1,
            service: "analyzer".parse().unwrap(),
            shard: Shard(3),
            owner: None,
            epoch: 1,
            ttl_ms: 1,
            position,
            handled,
            snapshot: None,
            marks: marks.collect(),
        }
    }

    /// How many are missing of a shard whose messages have these sequences.
    fn missing(lease: Lease, first: u64, all: &[u64]) -> u64 {
        let mut held = Held::new(lease);
        let shown = all.iter().filter(|seq| **seq >= first && **seq <= held.lease.position);
        shown.copied().collect::<Vec<_>>().into_iter().for_each(|seq| held.holds(seq));
        held.missing(first)
    }

    #[test]
    fn what_no_owner_counted_is_missing_as_long_as_the_stream_tells() {
        let all: Vec<u64> = (1..=100).filter(|seq| seq % 2 == 0).collect();
        let whole = lease(100, 50, &[(0, 0), (60, 30)]);
        assert_eq!(missing(whole.clone(), 1, &all), 0);
        // The stream has forgotten its first half: the second mark still stands.
        assert_eq!(missing(whole, 51, &all), 0);
        let passed_over = lease(100, 49, &[(0, 0), (60, 30)]);
        assert_eq!(missing(passed_over.clone(), 1, &all), 1);
        assert_eq!(missing(passed_over.clone(), 51, &all), 1);
        assert_eq!(missing(passed_over, 71, &all), 0, "nobody can tell any more");
        // Before its time.
        assert_eq!(missing(lease(100, 0, &[]), 1, &all), 0);
        assert_eq!(missing(lease(50, 25, &[(0, 0)]), 1, &all), 0, "the rest waits");
    }
}
