//! What the mesh says about itself: leases, gaps, and messages that could not be handled.

use crate::{Id, Kind, Shard, Tenant, Timestamp, Token, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// How many were handled up to earlier positions, oldest first: what was handled since is
    /// compared with what the stream holds behind one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

/// How many messages of a shard were handled when its lease stood at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// Stream sequence up to which they were handled.
    pub position: u64,
    /// How many they were, over all owners.
    pub handled: u64,
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

/// Where a gap stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapState {
    /// The stream's limits took the events before they were handled. They can never be
    /// back-filled, so the gap is told once.
    #[default]
    Lost,
    /// Events are handled so late that live correlation may refuse them; all that still waits
    /// is in its stream.
    Open,
    /// What was missed has been scored from the stream, and nothing waits too long any more.
    Backfilled,
}

impl fmt::Display for GapState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Open => "open",
            Self::Backfilled => "backfilled",
        })
    }
}

/// A patrol did not see some events in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from patrol and range, or from patrol and first event: stays while the gap lives.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// The patrol, or another consumer.
    pub patrol: Token,
    /// Kind of the missed events, where one.
    pub kind: Option<Kind>,
    /// First missed stream sequence.
    pub from_seq: u64,
    /// Last missed stream sequence; while the gap is open, the last one known.
    pub to_seq: u64,
    /// Number of missed events, at most `to_seq - from_seq + 1`; while the gap is open, of those
    /// that are known.
    pub count: u64,
    /// Why.
    pub reason: String,
    /// When it was noticed; when back-filled, when it was closed.
    pub noticed: Timestamp,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "is_lost")]
    pub state: GapState,
    /// When the server stored the first missed event; absent where the event is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When the server stored the last missed event; absent where the event is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Sequence of SCORED after which the back-filled results of this gap begin; 0 where none
    /// can be.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scored_after: u64,
}

fn is_lost(state: &GapState) -> bool {
    *state == GapState::Lost
}

fn is_zero(number: &u64) -> bool {
    *number == 0
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
