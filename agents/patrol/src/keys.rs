//! What is remembered per key, bounded, and forgotten in an order that does not help to hide.
//!
//! When the budget is spent, a new key makes room by the one of lowest rank that has been idle
//! longest. Strangers (few events) rank lowest, so a flood of invented names pushes out invented
//! names; keys with a past come next; keys under suspicion go last. Every eviction is counted.

mod places;

use places::Places;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Events after which a key has a past.
const EVENTS_KNOWN: u32 = 8;

/// Score from which a key is under suspicion.
const SUSPICIOUS: f32 = 0.3;

/// What remains of a key's worst score after each further event: suspicion lasts for dozens.
const FADE: f32 = 0.97;

/// Keys that all shards of a process may remember together.
#[derive(Clone, Debug)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    max: usize,
}

impl Budget {
    /// Room for `max` keys.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { used: Arc::default(), max }
    }
}

/// Lowest first out; by its number also the list in which its keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Stranger,
    Known,
    Suspicious,
}

/// Lowest first.
const RANKS: [Rank; 3] = [Rank::Stranger, Rank::Known, Rank::Suspicious];

struct Entry<State> {
    state: State,
    /// Events of the key so far.
    events: u32,
    worst: f32,
}

impl<State> Entry<State> {
    fn rank(&self) -> Rank {
        if self.worst >= SUSPICIOUS {
            Rank::Suspicious
        } else if self.events >= EVENTS_KNOWN {
            Rank::Known
        } else {
            Rank::Stranger
        }
    }
}

/// The keys of one shard, each with its state.
pub struct Keys<State> {
    budget: Budget,
    /// A list for each rank. The list of a key is always that of its rank.
    places: Places<Entry<State>, 3>,
    evicted: u64,
}

impl<State: Default> Keys<State> {
    /// None yet.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self { budget, places: Places::new(), evicted: 0 }
    }

    /// Keys that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that were forgotten to make room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The state of a key, without making one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&State> {
        self.find(key).map(|entry| &entry.state)
    }

    /// Events of a key so far, 0 for one that is not remembered.
    #[must_use]
    pub fn events(&self, key: &str) -> u32 {
        self.find(key).map_or(0, |entry| entry.events)
    }

    /// The state of a key that has one more event, made if need be.
    pub fn next(&mut self, key: &str) -> &mut State {
        let found = self.places.find(key);
        let place = found.unwrap_or_else(|| {
            self.make_room();
            let entry = Entry { state: State::default(), events: 0, worst: 0.0 };
            self.put(key, entry)
        });
        let entry = self.change(place, |entry| entry.events = entry.events.saturating_add(1));
        &mut entry.state
    }

    /// Says what an event of a key scored.
    pub fn settle(&mut self, key: &str, score: f32) {
        if let Some(place) = self.places.find(key) {
            self.change(place, |entry| entry.worst = score.max(entry.worst * FADE));
        }
    }

    /// All keys with their states, for [`Keys::restore`].
    #[must_use]
    pub fn snapshot(&self) -> Option<Vec<u8>>
    where
        State: Serialize,
    {
        // Each rank in the order of eviction, so that it is the same again.
        let stored = RANKS.into_iter().flat_map(|rank| self.places.oldest_first(rank as usize));
        let stored: Vec<_> = stored.map(|(name, e)| (name, &e.state, e.events, e.worst)).collect();
        rmp_serde::to_vec_named(&stored).ok()
    }

    /// Takes over what [`Keys::snapshot`] gave.
    ///
    /// # Errors
    /// When it has another form, as that of another release may.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), String>
    where
        State: DeserializeOwned,
    {
        let stored: Vec<(String, State, u32, f32)> =
            rmp_serde::from_slice(snapshot).map_err(|e| format!("keys of another form: {e}"))?;
        for (name, state, events, worst) in stored {
            let entry = Entry { state, events, worst };
            match self.places.find(&name) {
                Some(place) => {
                    self.change(place, |known| *known = entry);
                }
                None => {
                    self.make_room();
                    self.put(&name, entry);
                }
            }
        }
        Ok(())
    }

    /// Makes room for one more key. A shard that holds none may exceed the budget by one, so
    /// that no shard goes blind.
    fn make_room(&mut self) {
        let full = self.budget.used.load(Ordering::Relaxed) >= self.budget.max;
        if full && RANKS.into_iter().any(|rank| self.places.forget_oldest(rank as usize)) {
            self.evicted += 1;
        } else {
            self.budget.used.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps a key that is not kept yet, and says where.
    #[expect(clippy::expect_used, reason = "a budget ends far below four thousand million keys")]
    fn put(&mut self, key: &str, entry: Entry<State>) -> u32 {
        let rank = entry.rank();
        self.places.keep(key, entry, rank as usize).expect("a place")
    }

    /// Changes a key's entry, which is then the newest of its rank.
    #[expect(clippy::expect_used, reason = "it was found or made just before")]
    fn change(&mut self, place: u32, change: impl FnOnce(&mut Entry<State>)) -> &mut Entry<State> {
        let entry = self.places.get_mut(place).expect("a key");
        let from = entry.rank();
        change(entry);
        let to = entry.rank();
        self.places.renew(place, from as usize, to as usize);
        self.places.get_mut(place).expect("a key")
    }
}

impl<State> Keys<State> {
    fn find(&self, key: &str) -> Option<&Entry<State>> {
        self.places.get(self.places.find(key)?)
    }
}

impl<State> Drop for Keys<State> {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.places.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(keys: &mut Keys<()>, key: &str, score: f32) {
        keys.next(key);
        keys.settle(key, score);
    }

    #[test]
    fn a_flood_of_strangers_evicts_strangers() {
        let mut keys = Keys::new(Budget::new(100));
        seen(&mut keys, "thief", 0.9);
        for _ in 0..10 {
            seen(&mut keys, "clerk", 0.0);
        }
        for n in 0..10_000 {
            seen(&mut keys, &format!("invented{n}"), 0.0);
        }
        assert_eq!((keys.len(), keys.evicted()), (100, 9902));
        assert!(keys.get("thief").is_some() && keys.get("clerk").is_some());
        assert!(keys.get("invented9999").is_some() && keys.get("invented0").is_none());
    }

    #[test]
    fn when_all_are_known_the_longest_idle_goes_and_suspicion_fades() {
        let mut keys = Keys::new(Budget::new(3));
        for key in ["a", "b", "c"] {
            (0..9).for_each(|_| seen(&mut keys, key, if key == "a" { 0.4 } else { 0.0 }));
        }
        seen(&mut keys, "d", 0.0);
        assert!(keys.get("a").is_some() && keys.get("b").is_none());
        (0..20).for_each(|_| seen(&mut keys, "a", 0.0));
        (0..9).for_each(|_| seen(&mut keys, "c", 0.0));
        seen(&mut keys, "e", 0.0);
        assert!(keys.get("d").is_none(), "a stranger goes before those with a past");
        (0..9).for_each(|_| seen(&mut keys, "e", 0.0));
        seen(&mut keys, "f", 0.0);
        assert!(keys.get("a").is_none(), "no longer suspicious, idle longest");
    }

    #[test]
    fn a_snapshot_keeps_states_ranks_and_the_order_of_eviction() {
        let mut keys: Keys<u32> = Keys::new(Budget::new(4));
        for (key, score, events) in [("thief", 0.9, 2), ("clerk", 0.0, 9), ("guest", 0.0, 1)] {
            for n in 0..events {
                *keys.next(key) = n;
                keys.settle(key, score);
            }
        }
        let stored = keys.snapshot().unwrap();
        let mut again: Keys<u32> = Keys::new(Budget::new(4));
        again.restore(&stored).unwrap();
        assert_eq!((again.get("clerk"), again.events("clerk")), (Some(&8), 9));
        for key in ["x", "y", "z"] {
            again.next(key);
        }
        assert!(again.get("guest").is_none() && again.get("thief").is_some());
        let why = again.restore(b"not a snapshot").unwrap_err();
        assert!(why.contains("another form"), "{why}");
    }

    #[test]
    fn shards_share_one_budget_and_give_it_back() {
        let budget = Budget::new(10);
        let mut first = Keys::new(budget.clone());
        (0..10).for_each(|n| seen(&mut first, &n.to_string(), 0.0));
        let mut second = Keys::new(budget.clone());
        (0..5).for_each(|n| seen(&mut second, &n.to_string(), 0.0));
        assert_eq!((first.len(), second.len()), (10, 1));
        drop(first);
        (0..5).for_each(|n| seen(&mut second, &n.to_string(), 0.0));
        assert_eq!(second.len(), 5);
        drop(second);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
