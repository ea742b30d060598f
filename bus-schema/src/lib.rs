//! The words of the mesh: every message that travels on a NATS subject, the subjects
//! themselves, and the codec between the two.
//!
//! Nothing here does I/O, reads a clock or knows NATS, so nothing here can fail for a
//! reason outside its arguments. Reading is tolerant (unknown fields are carried or ignored,
//! added fields have defaults); writing is exact (golden bytes in `tests/golden`).

pub mod analysis;
pub mod ask;
pub mod closure;
pub mod codec;
pub mod decision;
pub mod effect;
pub mod entity;
pub mod event;
pub mod id;
pub mod ingest;
pub mod key;
pub mod kinds;
pub mod ops;
pub mod order;
pub mod pattern;
pub mod rated;
pub mod raw_http;
pub mod reference;
mod response;
pub mod scored;
pub mod subject;
pub mod suppression;
pub mod time;
pub mod trace;

pub use ask::{Analyze, Analyzed};
pub use closure::{Closure, Judgement};
pub use codec::{CodecError, Limits, Message, decode, encode, encode_json};
pub use decision::{
    Action, Alert, Analysis, Assessment, Effect, Mode, Outcome, OutcomeStatus, Preserved, Response,
    Status, Verb,
};
pub use entity::{Class, Entity, Trust};
pub use event::{Event, Fields, Source};
pub use id::Id;
pub use kinds::Kind;
pub use ops::{DeadLetter, Failure, Gap, GapState, Lease, Mark, Snapshot};
pub use order::{Ask, Order, OrderVerb};
pub use pattern::{Pattern, PatternChange};
pub use rated::Rated;
pub use scored::{Fact, Keyed, KeyedRef, Level, Receipt, Scored, ScoredView, Thresholds};
pub use subject::{Shard, Stream, Subject, SubjectError, Tenant, Token};
pub use suppression::{Suppressed, SuppressionChange};
pub use time::Timestamp;

/// Schema version written into every message. Added fields do not change it; a reader refuses
/// a message whose version is greater than this, because its meaning may have changed.
pub const SCHEMA_VERSION: u16 = 1;

pub(crate) fn current_version() -> u16 {
    SCHEMA_VERSION
}

/// Added flags are written only where they are set: all else keeps its bytes.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
