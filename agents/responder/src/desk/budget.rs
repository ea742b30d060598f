//! How much was done lately.

use magsentinel_bus_schema::{Id, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const MINUTE: Duration = Duration::from_secs(60);

/// The leases that came to hold within the last minute, by the newest time at which each did: what
/// ends and is asked for anew is still one target, whoever counts it.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    newest: BTreeMap<Id, Timestamp>,
    by_time: BTreeSet<(Timestamp, Id)>,
}

impl Spent {
    /// Counts a lease.
    pub(super) fn note(&mut self, lease: Id, at: Timestamp) {
        let before = self.newest.get(&lease).copied();
        if before >= Some(at) {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, lease));
        }
        self.newest.insert(lease, at);
        self.by_time.insert((at, lease));
    }

    /// Leases that came to hold within the minute before `now`, or later.
    pub(super) fn within_a_minute(&mut self, now: Timestamp) -> u64 {
        let oldest = now.minus(MINUTE);
        while let Some((at, lease)) = self.by_time.first().copied()
            && at < oldest
        {
            self.by_time.pop_first();
            self.newest.remove(&lease);
        }
        self.newest.len() as u64
    }
}
