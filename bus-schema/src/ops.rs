//! What the mesh says about itself: leases, gaps, and messages that could not be handled.

use crate::{Id, Kind, Shard, Tenant, Timestamp, Token, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who owns a shard. The sequence of the newest lease message of a shard, in the stream, is
/// the owner's fencing token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// The service that shares out its shards.
    pub service: Token,
    /// The shard.
    pub shard: Shard,
    /// The owner's instance id; `None` when given up.
    pub owner: Option<String>,
    /// Rises with every change of owner.
    pub epoch: u64,
    /// How long the owner may be silent, in milliseconds, before others take over.
    pub ttl_ms: u64,
    /// Stream sequence up to which the shard's messages are handled: where the next owner
    /// goes on.
    #[serde(default)]
    pub position: u64,
    /// How many messages of the shard were handled, over all owners.
    #[serde(default)]
    pub handled: u64,
    /// The newest stored state of the shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
}

/// A shard's state in the object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Its name in the store.
    pub name: String,
    /// Which of the names that a shard's snapshots take in turn.
    pub slot: u32,
    /// Stream sequence up to which the state includes everything.
    pub seq: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, hexadecimal.
    pub digest: String,
}

/// A patrol did not see some events in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from patrol and range.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// The patrol, or another consumer.
    pub patrol: Token,
    /// Kind of the missed events, where one.
    pub kind: Option<Kind>,
    /// First missed stream sequence.
    pub from_seq: u64,
    /// Last missed stream sequence.
    pub to_seq: u64,
    /// Number of missed events, at most `to_seq - from_seq + 1`.
    pub count: u64,
    /// Why.
    pub reason: String,
    /// When it was noticed.
    pub noticed: Timestamp,
}

/// Why a message ended up as a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// It cannot be read, now or ever.
    Poison,
    /// It could not be handled in `max_deliver` attempts.
    GaveUp,
    /// It made the handler panic at every attempt.
    Bug,
}

/// A message that could not be handled, kept whole up to a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from stream, sequence and consumer.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// The stream that held the message.
    pub stream: String,
    /// The message's sequence in it.
    pub seq: u64,
    /// The message's subject.
    pub subject: String,
    /// Who could not handle it.
    pub consumer: String,
    /// Position in the message, for elements of an ingest message.
    #[serde(default)]
    pub element: Option<u64>,
    /// Class of the failure.
    pub failure: Failure,
    /// What was wrong, and what to do.
    pub reason: String,
    /// When.
    pub ts: Timestamp,
    /// Size of the payload in bytes.
    pub payload_len: u64,
    /// The payload's first [`DEAD_LETTER_BYTES_MAX`] bytes, base64 (RFC 4648).
    pub payload: String,
}

/// Bytes of the payload that a dead letter keeps. The whole message is still in its stream.
pub const DEAD_LETTER_BYTES_MAX: usize = 64 * 1024;
