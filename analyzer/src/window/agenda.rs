//! When to look at which key again.

use super::slots::Slot;
use magsentinel_bus_schema::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// Keys by a time, at most one each. Costs nothing for keys that have none.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Timestamp, Slot)>,
    of: HashMap<Slot, Timestamp>,
}

impl Agenda {
    /// Puts a key down for a time, in place of the one before.
    pub(super) fn set(&mut self, slot: Slot, time: Option<Timestamp>) {
        let before = match time {
            Some(time) => self.of.insert(slot, time),
            None if self.of.is_empty() => None,
            None => self.of.remove(&slot),
        };
        if before == time {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, slot));
        }
        if let Some(time) = time {
            self.by_time.insert((time, slot));
        }
    }

    /// Whether the time of any key lies before `clock`.
    pub(super) fn is_due(&self, clock: Timestamp) -> bool {
        self.by_time.first().is_some_and(|(time, _)| *time < clock)
    }

    /// The next key whose time lies before `clock`; it is put down no longer.
    pub(super) fn next(&mut self, clock: Timestamp) -> Option<Slot> {
        let (_, slot) = *self.by_time.first().filter(|(time, _)| *time < clock)?;
        self.set(slot, None);
        Some(slot)
    }
}
