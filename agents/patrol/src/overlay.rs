//! Patterns that came while the mesh runs: in shadow beside the patrol's own, or live among them.

use crate::{
    inference::digest_of,
    patterns::{Book, Hit, Normal},
};
use magsentinel_bus_schema::{Event, Fields, Id, Kind, entity::entities_of, pattern::Tally};
use magsentinel_pattern::life::SAMPLES_MAX;
use std::{
    collections::{HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Entities that are told apart among those whose events a live pattern alone flags.
const ENTITIES_MAX: usize = 4096;

/// One such pattern.
pub struct Entry {
    /// Its id.
    pub id: Id,
    /// Digest of its rule.
    pub digest: String,
    /// It takes effect.
    pub live: bool,
    book: Book,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    events: AtomicU64,
    hits: AtomicU64,
    alone: AtomicU64,
    samples: Mutex<VecDeque<Id>>,
    entities: Mutex<HashSet<u64>>,
}

impl Entry {
    /// A pattern that has seen nothing yet.
    #[must_use]
    pub fn new(id: Id, digest: String, live: bool, book: Book) -> Self {
        Self { id, digest, live, book, counts: Counts::default() }
    }

    /// Adds its hit, if it has one.
    pub(crate) fn matches(
        &self,
        body: (Kind, &Fields),
        normal: Option<&Normal>,
        hits: &mut Vec<Arc<Hit>>,
    ) -> bool {
        let before = hits.len();
        self.book.matches(body, normal, hits);
        hits.len() > before
    }

    /// Counts a match. `alone`: nothing else flags the event.
    pub(crate) fn matched(&self, event: &Event, alone: bool) {
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        if alone && (!self.live || self.is_new(event)) {
            self.counts.alone.fetch_add(1, Ordering::Relaxed);
        }
        let mut samples = self.counts.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back(event.id);
        if samples.len() > SAMPLES_MAX {
            samples.pop_front();
        }
    }

    /// Whether no event of the same entity was counted yet. One attacker who is found again and
    /// again must not make a live pattern look wrong; many users at once do.
    fn is_new(&self, event: &Event) -> bool {
        let all = entities_of(event.kind, &event.body, event.source.trust);
        let mut hasher = DefaultHasher::new();
        all.first().map(|entity| (entity.class, entity.value.as_str())).hash(&mut hasher);
        let mut known = self.counts.entities.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < ENTITIES_MAX && known.insert(hasher.finish())
    }

    /// What was counted since the process knows the pattern.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let samples = self.counts.samples.lock().unwrap_or_else(PoisonError::into_inner);
        Tally {
            events: self.counts.events.load(Ordering::Relaxed),
            hits: self.counts.hits.load(Ordering::Relaxed),
            alone: self.counts.alone.load(Ordering::Relaxed),
            samples: samples.iter().copied().collect(),
        }
    }
}

/// A match, to be counted by whoever knows the event.
#[derive(Clone)]
pub(crate) struct Match {
    /// Index of the event in its batch.
    pub(crate) event: usize,
    pub(crate) entry: Arc<Entry>,
    /// Nothing else flags the event.
    pub(crate) alone: bool,
}

/// All of them.
#[derive(Clone, Default)]
pub struct Overlay {
    entries: Vec<Arc<Entry>>,
}

impl Overlay {
    /// An overlay of these patterns.
    #[must_use]
    pub fn new(entries: Vec<Arc<Entry>>) -> Self {
        Self { entries }
    }

    /// Its patterns.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Digest of a patrol's patterns with those that are live among them.
    #[must_use]
    pub fn digest(&self, own: &str) -> String {
        let mut live: Vec<&str> =
            self.entries.iter().filter(|e| e.live).map(|e| e.digest.as_str()).collect();
        if live.is_empty() {
            return own.to_owned();
        }
        live.sort_unstable();
        let parts: Vec<&[u8]> = std::iter::once(own).chain(live).map(str::as_bytes).collect();
        digest_of(&parts)
    }

    /// Counts events that were scored with it.
    pub(crate) fn count(&self, events: u64) {
        for entry in &self.entries {
            entry.counts.events.fetch_add(events, Ordering::Relaxed);
        }
    }
}
