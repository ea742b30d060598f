//! Snapshots of shards: kept in the object store, named by the shard's lease, so that a new
//! owner goes on where the state was, and reads again only what came after.

use super::worker::{Owned, ShardedState, ShardedWorkerArgs};
use crate::{bus::objects::Bucket, stage::Stage};
use magsentinel_bus_schema::{Lease, Shard, Snapshot};
use sha2::{Digest, Sha256};
use std::time::Instant;

/// Names that a shard's snapshots take in turn. The one that the lease names is never written
/// to, and a crash leaves no litter.
const SLOTS: u32 = 4;

impl ShardedState {
    /// Takes a snapshot of the shard whose latest is the oldest, where one is due. One a turn,
    /// so that events never wait for all of them.
    pub(super) async fn snapshot(&mut self) {
        let every = self.args.service.snapshot_every.get();
        let due = |owned: &&mut Owned| {
            owned.seen >= owned.rebuild_to
                && owned.lease.handled != owned.snapshot_of
                && owned.snapshot_at.elapsed() >= every
        };
        let oldest = self.owned.values_mut().filter(due).min_by_key(|owned| owned.snapshot_at);
        let Some(owned) = oldest else { return };
        owned.snapshot_at = Instant::now();
        let Some(bytes) = owned.stage.snapshot() else { return };
        let (handled, seq) = (owned.lease.handled, owned.seen);
        let snapshot = describe(&owned.lease, seq, &bytes);
        let stored =
            self.args.context.bus.put_object(Bucket::Snapshots, &snapshot.name, &bytes).await;
        match stored {
            Ok(()) => {
                owned.snapshot_of = handled;
                // Told to the next owner when the lease is renewed.
                owned.lease.snapshot = Some(snapshot);
            }
            Err(error) => {
                tracing::warn!(service = %self.args.service.name, %error, "snapshot is not stored");
            }
        }
    }
}

/// The stage of a shard with the state that its lease names, and the stream sequence that this
/// state includes: 0 where there is none, so that the stream must be read again.
pub(super) async fn restored(
    args: &ShardedWorkerArgs,
    lease: &Lease,
) -> Result<(Box<dyn Stage>, u64), String> {
    let mut stage = (args.service.make)(lease.shard)?;
    let Some(snapshot) = &lease.snapshot else { return Ok((stage, 0)) };
    let why = match args
        .context
        .bus
        .get_object(Bucket::Snapshots, &snapshot.name, snapshot.bytes)
        .await
    {
        Err(error) => error.to_string(),
        Ok(bytes) if digest_of(&bytes) != snapshot.digest => {
            format!("{} is not what the lease names", snapshot.name)
        }
        Ok(bytes) => match stage.restore(&bytes) {
            Ok(()) => return Ok((stage, snapshot.seq)),
            Err(why) => why,
        },
    };
    let (service, shard) = (&args.service.name, lease.shard);
    tracing::warn!(%service, %shard, why, "snapshot is of no use: the stream is read again");
    // It may have been taken over in part.
    (args.service.make)(lease.shard).map(|stage| (stage, 0))
}

fn describe(lease: &Lease, seq: u64, bytes: &[u8]) -> Snapshot {
    let slot = lease.snapshot.as_ref().map_or(0, |before| (before.slot + 1) % SLOTS);
    Snapshot {
        name: name_of(lease, lease.shard, slot),
        slot,
        seq,
        bytes: bytes.len() as u64,
        digest: digest_of(bytes),
    }
}

fn name_of(lease: &Lease, shard: Shard, slot: u32) -> String {
    format!("{}.{shard}.{slot}", lease.service)
}

fn digest_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
