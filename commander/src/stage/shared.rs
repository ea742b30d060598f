//! What all stages and endpoints of a process share.

use crate::{Config, Library};
use magsentinel_bus_schema::{Id, Level};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What is known, remembered and counted. Never locked while a model writes.
pub(super) struct Shared {
    library: Option<Library>,
    pub(super) remembered: Remembered,
    pub(super) figures: Figures,
}

#[derive(Default)]
pub(super) struct Figures {
    pub(super) by_model: u64,
    pub(super) by_playbook: u64,
    pub(super) fallbacks: u64,
    pub(super) not_escalated: u64,
    pub(super) superseded: u64,
    pub(super) proposed: u64,
    pub(super) last_fallback: Option<String>,
}

/// What makes another analysis of the same incident worth while: another level, or more events.
/// With a model, which costs a minute, twice as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    pub(super) level: Level,
    pub(super) events: u64,
}

impl Shared {
    pub(super) fn new(config: &Config) -> Self {
        let remembered = Remembered::new(config.incidents_max);
        Self { library: None, remembered, figures: Figures::default() }
    }

    /// What is known beyond the evidence; opened when it is first asked for.
    pub(super) fn library(&mut self, config: &Config) -> &mut Library {
        self.library.get_or_insert_with(|| Library::open(config))
    }
}

/// The lock, also after a panic: [`super::Commander::open`] makes anew what that left.
pub(super) fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last analysed revision and edition of each incident, the newest `max` incidents.
pub(super) struct Remembered {
    max: usize,
    order: VecDeque<Id>,
    by_incident: BTreeMap<Id, (u32, Edition)>,
}

impl Remembered {
    fn new(max: usize) -> Self {
        Self { max, order: VecDeque::new(), by_incident: BTreeMap::new() }
    }

    pub(super) fn get(&self, incident: Id) -> Option<(u32, Edition)> {
        self.by_incident.get(&incident).copied()
    }

    /// Keeps what was analysed. Of two levels that were analysed at once, the newer revision stays.
    pub(super) fn insert(&mut self, incident: Id, revision: u32, edition: Edition) {
        if self.get(incident).is_some_and(|(known, _)| known > revision) {
            return;
        }
        if self.by_incident.insert(incident, (revision, edition)).is_none() {
            self.order.push_back(incident);
        }
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_incident.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDITION: Edition = Edition { level: Level::High, events: 1 };

    #[test]
    fn the_oldest_incident_is_forgotten_at_the_bound() {
        let mut remembered = Remembered::new(2);
        let id = |n: u8| Id::derived(&[[n]]);
        (1..=3).for_each(|n| remembered.insert(id(n), 1, EDITION));
        assert!(remembered.get(id(1)).is_none() && remembered.get(id(3)).is_some());
        assert_eq!(remembered.order.len(), remembered.by_incident.len());
    }

    #[test]
    fn a_draft_that_ends_after_that_of_a_newer_revision_does_not_take_its_place() {
        let mut remembered = Remembered::new(2);
        let id = Id::derived(&["incident"]);
        let graver = Edition { level: Level::Critical, events: 9 };
        remembered.insert(id, 5, graver);
        remembered.insert(id, 4, EDITION);
        assert_eq!(remembered.get(id), Some((5, graver)));
    }
}
