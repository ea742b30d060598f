//! The proposed chains that a process runs: what they are, from when to when, and what was counted.

use crate::{assess::Revision, chain::Book};
use magsentinel_bus_schema::{Class, Id, Status, Timestamp, Token};
use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// Hits that wait to be explained. Beyond it they count as explained by nothing.
const WAITING_MAX: usize = 4096;
/// Incidents that are known not to be counted again, and keys that are told apart.
const KNOWN_MAX: usize = 16_384;

/// One of them.
#[derive(Debug)]
pub struct Entry {
    /// The pattern.
    pub id: Id,
    /// Digest of its rule.
    pub digest: String,
    /// It takes effect.
    pub live: bool,
    /// Its actions ask at most: no operator wrote it.
    pub asks: bool,
    /// The book of its one chain.
    pub book: Arc<Book>,
    /// The first moment of the server's clock of which it takes events.
    pub from: Timestamp,
    until: AtomicI64,
    events: AtomicU64,
    counts: Mutex<Counts>,
}

/// An incident that it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// The events that it cites.
    pub(super) events: Vec<Id>,
    /// No incident of this key was counted before.
    pub(super) new: bool,
}

/// What was counted since it was taken last.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Events of its classes.
    pub(super) events: u64,
    /// Its incidents.
    pub(super) hits: Vec<Hit>,
    /// More of them than can wait.
    pub(super) more: u64,
    known: HashSet<Id>,
    keys: HashSet<u64>,
}

impl Entry {
    /// One that has seen nothing yet, and takes events from a moment on.
    #[must_use]
    pub fn new(
        (id, digest): (Id, String),
        (live, asks): (bool, bool),
        book: Arc<Book>,
        from: Timestamp,
    ) -> Self {
        let (until, events) = (AtomicI64::new(i64::MAX), AtomicU64::new(0));
        let counts = Mutex::default();
        Self { id, digest, live, asks, book, from, until, events, counts }
    }

    /// Lets it take no events from a moment of the server's clock on.
    pub fn end(&self, until: Timestamp) {
        self.until.store(until.micros(), Ordering::Relaxed);
    }

    /// Whether it takes what the server stored then.
    #[must_use]
    pub fn takes(&self, stored: Timestamp) -> bool {
        self.from <= stored && stored.micros() < self.until.load(Ordering::Relaxed)
    }

    /// The name of its chain.
    #[must_use]
    pub fn chain(&self) -> Option<&Token> {
        self.book.chains().first().map(|chain| &chain.name)
    }

    /// Whether its chain looks at keys of a class.
    #[must_use]
    pub fn looks_at(&self, class: Class) -> bool {
        self.book.chains().iter().any(|chain| chain.classes.contains(&class))
    }

    /// Counts an event.
    pub(super) fn saw(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an incident, once, and only if it alerts anybody. What is told again while a shard
    /// is rebuilt a former owner has counted.
    pub(super) fn found(&self, revision: &Revision, again: bool) {
        let of = &revision.assessment;
        if revision.alert.is_none() || of.status == Status::Closed {
            return;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.known.len() >= KNOWN_MAX || !counts.known.insert(of.incident) {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (of.class, &of.key).hash(&mut hasher);
        let new = counts.keys.len() < KNOWN_MAX && counts.keys.insert(hasher.finish());
        if again {
            return;
        }
        if counts.hits.len() < WAITING_MAX {
            let events = of.evidence.iter().map(|evidence| evidence.event).collect();
            counts.hits.push(Hit { events, new });
        } else {
            counts.more += 1;
        }
    }

    /// What was counted since the last call.
    pub(super) fn take(&self) -> Counts {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = std::mem::take(&mut counts.hits);
        let more = std::mem::take(&mut counts.more);
        Counts { events: self.events.swap(0, Ordering::Relaxed), hits, more, ..Counts::default() }
    }
}

/// All of them, shared by the shards of a process.
#[derive(Debug, Default)]
pub struct Overlay(RwLock<Arc<Vec<Arc<Entry>>>>);

impl Overlay {
    /// Those that are known now.
    #[must_use]
    pub fn entries(&self) -> Arc<Vec<Arc<Entry>>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Others in their place.
    pub fn lay(&self, entries: Vec<Arc<Entry>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(entries);
    }
}
