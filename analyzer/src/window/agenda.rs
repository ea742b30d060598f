//! When to look at which key again.

use super::followed::Key;
use magsentinel_bus_schema::Timestamp;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// Keys by a time, at most one each. Costs nothing for keys that have none.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Timestamp, Arc<Key>)>,
    of: HashMap<Arc<Key>, Timestamp>,
}

impl Agenda {
    /// Puts a key down for a time, in place of the one before.
    pub(super) fn set(&mut self, key: &Arc<Key>, time: Option<Timestamp>) {
        let before = match time {
            Some(time) => self.of.insert(key.clone(), time),
            None => self.of.remove(key),
        };
        if before == time {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key.clone()));
        }
        if let Some(time) = time {
            self.by_time.insert((time, key.clone()));
        }
    }

    /// The next key whose time lies before `clock`; it is put down no longer.
    pub(super) fn next(&mut self, clock: Timestamp) -> Option<Arc<Key>> {
        let (_, key) = self.by_time.first().filter(|(time, _)| *time < clock)?;
        let key = key.clone();
        self.set(&key, None);
        Some(key)
    }
}
