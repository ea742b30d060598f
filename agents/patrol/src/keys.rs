//! What is remembered per key, bounded, and forgotten in an order that does not help to hide.
//!
//! When the budget is spent, a new key makes room by the one of lowest rank that has been idle
//! longest. Strangers (few events) rank lowest, so a flood of invented names pushes out invented
//! names; keys with a past come next; keys under suspicion go last. Every eviction is counted.

use lru::LruCache;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    hash::RandomState,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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

/// Lowest first out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Stranger,
    Known,
    Suspicious,
}

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

/// Keys of one rank, in the order of their latest events. The hash is keyed by chance: names are
/// an attacker's to choose.
type Ranked<State> = LruCache<String, Entry<State>, RandomState>;

/// The keys of one shard, each with its state.
pub struct Keys<State> {
    budget: Budget,
    strangers: Ranked<State>,
    known: Ranked<State>,
    suspicious: Ranked<State>,
    evicted: u64,
}

impl<State: Default> Keys<State> {
    /// None yet.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        let none = || LruCache::unbounded_with_hasher(RandomState::new());
        Self { budget, strangers: none(), known: none(), suspicious: none(), evicted: 0 }
    }

    /// Keys that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranks().map(|(_, ranked)| ranked.len()).iter().sum()
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
        self.find(key).map(|(_, entry)| &entry.state)
    }

    /// Events of a key so far, 0 for one that is not remembered.
    #[must_use]
    pub fn events(&self, key: &str) -> u32 {
        self.find(key).map_or(0, |(_, entry)| entry.events)
    }

    /// The state of a key that has one more event, made if need be.
    pub fn next(&mut self, key: &str) -> &mut State {
        let rank = match self.find(key) {
            Some((rank, _)) => rank,
            None => {
                self.make_room();
                Rank::Stranger
            }
        };
        let new = || Entry { state: State::default(), events: 0, worst: 0.0 };
        let entry = self.ranked(rank).get_or_insert_mut_ref(key, new);
        entry.events = entry.events.saturating_add(1);
        &mut entry.state
    }

    /// Says what an event of a key scored.
    pub fn settle(&mut self, key: &str, score: f32) {
        let Some((rank, _)) = self.find(key) else { return };
        let Some(entry) = self.ranked(rank).get_mut(key) else { return };
        entry.worst = score.max(entry.worst * FADE);
        let now = entry.rank();
        if now != rank
            && let Some((name, entry)) = self.ranked(rank).pop_entry(key)
        {
            self.ranked(now).put(name, entry);
        }
    }

    /// All keys with their states, for [`Keys::restore`].
    #[must_use]
    pub fn snapshot(&self) -> Option<Vec<u8>>
    where
        State: Serialize,
    {
        // Each rank in the order of eviction, so that it is the same again.
        let stored = self.ranks().into_iter().flat_map(|(_, ranked)| ranked.iter().rev());
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
            if self.find(&name).is_none() {
                self.make_room();
            }
            let entry = Entry { state, events, worst };
            self.ranked(entry.rank()).put(name, entry);
        }
        Ok(())
    }

    /// Makes room for one more key. A shard that holds none may exceed the budget by one, so
    /// that no shard goes blind.
    fn make_room(&mut self) {
        let full = self.budget.used.load(Ordering::Relaxed) >= self.budget.max;
        let lowest = [&mut self.strangers, &mut self.known, &mut self.suspicious];
        if full && lowest.into_iter().find_map(LruCache::pop_lru).is_some() {
            self.evicted += 1;
        } else {
            self.budget.used.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<State> Keys<State> {
    /// Lowest first.
    fn ranks(&self) -> [(Rank, &Ranked<State>); 3] {
        [
            (Rank::Stranger, &self.strangers),
            (Rank::Known, &self.known),
            (Rank::Suspicious, &self.suspicious),
        ]
    }

    /// A key's entry, and the rank under which it is kept.
    fn find(&self, key: &str) -> Option<(Rank, &Entry<State>)> {
        self.ranks().into_iter().find_map(|(rank, ranked)| Some((rank, ranked.peek(key)?)))
    }

    fn ranked(&mut self, rank: Rank) -> &mut Ranked<State> {
        match rank {
            Rank::Stranger => &mut self.strangers,
            Rank::Known => &mut self.known,
            Rank::Suspicious => &mut self.suspicious,
        }
    }
}

impl<State> Drop for Keys<State> {
    fn drop(&mut self) {
        let keys: usize = self.ranks().map(|(_, ranked)| ranked.len()).iter().sum();
        self.budget.used.fetch_sub(keys, Ordering::Relaxed);
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
