//! What a lane knows between two batches, when everything is settled.

use super::{
    followed::{Followed, Key},
    lane::Counters,
    slots::Slots,
    sources::Kept,
};
use magsentinel_bus_schema::Timestamp;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq};

/// A lane as it is written. Nothing is copied for it: there may be millions of keys.
#[derive(Debug, Serialize)]
pub struct Saving<'l> {
    pub(super) keys: Keys<'l>,
    pub(super) newest: Option<Timestamp>,
    pub(super) sources: Kept,
    pub(super) arrived: Timestamp,
    pub(super) judging: Option<Timestamp>,
    pub(super) counters: Counters,
}

/// A lane as it is read.
#[derive(Debug, Deserialize)]
pub struct Saved {
    pub(super) keys: Vec<(Key, Followed)>,
    pub(super) newest: Option<Timestamp>,
    pub(super) sources: Kept,
    pub(super) arrived: Timestamp,
    pub(super) judging: Option<Timestamp>,
    pub(super) counters: Counters,
}

/// The keys of a lane, one after the other.
#[derive(Debug)]
pub(super) struct Keys<'l>(pub(super) &'l Slots);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|key| seq.serialize_element(&key))?;
        seq.end()
    }
}
