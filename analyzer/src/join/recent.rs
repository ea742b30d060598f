//! What came for a key a short while ago: a link that shows up later counts for it as well, so that
//! it does not matter which of two events is delivered first.

use super::Side;
use magsentinel_bus_schema::Keyed;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Share of all that one key may have: a flood of one must not push out all others.
const OF_ONE: usize = 4;

/// The newest events of the keys of a shard.
#[derive(Debug, Default)]
pub(super) struct Recent {
    of: HashMap<Side, VecDeque<(u64, Keyed)>>,
    /// Whose the events are, in the order in which they came.
    order: BTreeMap<u64, Side>,
    next: u64,
}

impl Recent {
    /// Keeps an event; what is over the bounds is forgotten, the oldest first.
    pub(super) fn keep(&mut self, side: Side, keyed: Keyed, most: usize) {
        let kept = self.of.entry(side.clone()).or_default();
        if kept.iter().any(|(_, known)| known.scored.id == keyed.scored.id) {
            return;
        }
        kept.push_back((self.next, keyed));
        if kept.len() > most.div_ceil(OF_ONE)
            && let Some((number, _)) = kept.pop_front()
        {
            self.order.remove(&number);
        }
        self.order.insert(self.next, side);
        self.next += 1;
        while self.order.len() > most {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, side)) = self.order.pop_first() else { return };
        // The oldest of all is the oldest of its key.
        if let Some(kept) = self.of.get_mut(&side) {
            kept.pop_front();
            if kept.is_empty() {
                self.of.remove(&side);
            }
        }
    }

    /// The newest events of a key, in the order in which they came.
    pub(super) fn of(&self, side: &Side) -> impl Iterator<Item = &Keyed> {
        self.of.get(side).into_iter().flatten().map(|(_, keyed)| keyed)
    }

    /// All of them, for a next owner.
    pub(super) fn save(&self) -> Vec<(Side, Keyed)> {
        let all = self.order.iter().filter_map(|(number, side)| {
            let mut kept = self.of.get(side)?.iter();
            let (_, keyed) = kept.find(|(of, _)| of == number)?;
            Some((side.clone(), keyed.clone()))
        });
        all.collect()
    }

    /// Goes on from what a former owner kept.
    pub(super) fn restored(saved: Vec<(Side, Keyed)>) -> Self {
        let mut recent = Self::default();
        for (side, keyed) in saved {
            recent.keep(side, keyed, usize::MAX);
        }
        recent
    }
}
