//! How far a consumer has come.

use crate::bus::{Bus, Error};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream as Held};
use futures::future::try_join_all;
use magsentinel_bus_schema::{Lease, Shard, Stream, Tenant, Timestamp, Token, subject};
use std::collections::BTreeMap;

/// Where it stands what a consumer of EVENTS has handled, with the subjects that it reads.
#[derive(Clone, Copy)]
pub enum Handled {
    /// In its durable.
    Acknowledged(fn(&Tenant) -> Vec<String>),
    /// In the leases of its shards.
    Leased(fn(&Tenant, Shard) -> Vec<String>),
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "how far a consumer has come", why: why.to_string() }
}

impl Handled {
    /// When the oldest event was stored that is not handled; none where all are.
    pub(super) async fn oldest(self, bus: &Bus, name: &Token) -> Result<Option<Timestamp>, Error> {
        let held = bus.stream(Stream::Events).await?;
        match self {
            Self::Acknowledged(filters) => {
                let info = held.consumer_info(name.as_str()).await.map_err(failed)?;
                if info.num_ack_pending == 0 && info.num_pending == 0 {
                    return Ok(None);
                }
                let next = info.ack_floor.stream_sequence + 1;
                oldest(&held, &filters(bus.tenant()), next).await
            }
            Self::Leased(filters) => {
                let held = &held;
                let of = |(shard, position): (Shard, u64)| async move {
                    oldest(held, &filters(bus.tenant(), shard), position + 1).await
                };
                let shards = positions(bus, name).await?.into_iter().map(of);
                Ok(try_join_all(shards).await?.into_iter().flatten().min())
            }
        }
    }
}

/// When the first message of any of some subjects was stored, from a sequence on.
pub(crate) async fn oldest(
    held: &Held,
    filters: &[String],
    from: u64,
) -> Result<Option<Timestamp>, Error> {
    let asked = filters.iter().map(|filter| stored(held, filter, from));
    Ok(try_join_all(asked).await?.into_iter().flatten().min())
}

/// Up to which sequence each shard is handled, as its lease says.
async fn positions(bus: &Bus, name: &Token) -> Result<BTreeMap<Shard, u64>, Error> {
    let mut positions = BTreeMap::new();
    let filter = vec![subject::leases_of(bus.tenant(), name)];
    bus.read_all(Stream::Decisions, filter, |d| {
        if let Ok(lease) = d.decode::<Lease>(bus.limits()) {
            positions.insert(lease.shard, lease.position);
        }
    })
    .await?;
    Ok(positions)
}

/// When the first message of some subjects was stored, from a sequence on.
async fn stored(held: &Held, filter: &str, from: u64) -> Result<Option<Timestamp>, Error> {
    match held.get_first_raw_message_by_subject(filter, from).await {
        Ok(message) => Ok(Some(time(message.time))),
        Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(e) => Err(failed(e)),
    }
}

/// When the message of a sequence was stored; none where it is gone.
pub(super) async fn stored_at(bus: &Bus, seq: u64) -> Option<Timestamp> {
    let message = bus.stream(Stream::Events).await.ok()?.get_raw_message(seq).await.ok()?;
    Some(time(message.time))
}

fn time(at: async_nats::datetime::DateTime) -> Timestamp {
    let micros = at.unix_timestamp_nanos() / 1000;
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
