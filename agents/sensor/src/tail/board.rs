//! How the tails are doing, for `status` and metrics.

use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// How one tail is doing. Counters begin at zero with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The log's format.
    pub format: &'static str,
    /// Lines, and parts that are none, that were published or skipped for good:
    /// `lines` = lines with events + skipped + rejected.
    pub lines: u64,
    /// Events that they told of.
    pub events: u64,
    /// Well-formed lines of no interest, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Dead letters.
    pub rejected: u64,
    /// Lines whose time could not be understood; their events have the receipt time.
    pub ts_missing: u64,
    /// Bytes not yet published.
    pub lag_bytes: u64,
    /// Failed attempts to publish.
    pub publish_failures: u64,
    /// Failed attempts to read the file or to store the position.
    pub read_failures: u64,
    /// Times at which lines may have been lost.
    pub gaps: u64,
    /// The last thing that went wrong; absent when the last attempt succeeded.
    pub trouble: Option<String>,
}

/// What a batch adds to its tail's status, once it is published.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) skipped: BTreeMap<&'static str, u64>,
    pub(super) rejected: u64,
    pub(super) ts_missing: u64,
}

impl Tally {
    /// So many events became dead letters because the server takes nothing so large.
    pub(super) fn refused(&mut self, events: u64) {
        self.rejected += events;
        self.events = self.events.saturating_sub(events);
    }
}

/// The statuses of all tails of a process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BTreeMap<PathBuf, Status>>>);

impl Board {
    /// The statuses, by path.
    #[must_use]
    pub fn read(&self) -> BTreeMap<PathBuf, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, path: &Path, change: impl FnOnce(&mut Status)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(path.to_owned()).or_default());
    }

    pub(super) fn published(&self, path: &Path, tally: &Tally, lag_bytes: u64) {
        self.change(path, |status| {
            status.lines += tally.lines;
            status.events += tally.events;
            status.rejected += tally.rejected;
            status.ts_missing += tally.ts_missing;
            for (reason, count) in &tally.skipped {
                *status.skipped.entry(reason).or_default() += count;
            }
            status.lag_bytes = lag_bytes;
            status.trouble = None;
        });
    }
}
