//! Where keys are kept: side by side in blocks, found by name, in the order of their latest events.
//!
//! There may be hundreds of thousands, so that what each costs beside its state counts: an
//! allocation of its own, a name apart and two addresses to its neighbours were a fifth of it.

use compact_str::CompactString;
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// Places in a block.
const BLOCK: usize = 64;

/// Where nothing is.
const NOWHERE: u32 = u32::MAX;

/// One key.
struct Place<Kept> {
    name: CompactString,
    kept: Kept,
    /// Its neighbours in its list.
    newer: u32,
    older: u32,
}

/// The ends of a list, in the order of the latest events.
#[derive(Clone, Copy)]
struct Ends {
    newest: u32,
    oldest: u32,
}

/// Keys by name, each in one of several lists.
pub(super) struct Places<Kept, const LISTS: usize> {
    blocks: Vec<Vec<Place<Kept>>>,
    /// Places whose key was forgotten.
    free: Vec<u32>,
    by_name: HashTable<u32>,
    /// Seeded by chance: names are an attacker's to choose.
    hasher: RandomState,
    lists: [Ends; LISTS],
}

fn at<Kept>(blocks: &[Vec<Place<Kept>>], at: u32) -> Option<&Place<Kept>> {
    blocks.get(at as usize / BLOCK)?.get(at as usize % BLOCK)
}

impl<Kept, const LISTS: usize> Places<Kept, LISTS> {
    pub(super) fn new() -> Self {
        let none = Ends { newest: NOWHERE, oldest: NOWHERE };
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            hasher: RandomState::new(),
            lists: [none; LISTS],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Where a key is kept, if it is.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let is = |place: &u32| at(&self.blocks, *place).is_some_and(|place| place.name == name);
        self.by_name.find(self.hasher.hash_one(name), is).copied()
    }

    pub(super) fn get(&self, place: u32) -> Option<&Kept> {
        at(&self.blocks, place).map(|place| &place.kept)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Kept> {
        self.place_mut(place).map(|place| &mut place.kept)
    }

    /// Keeps a key that is not kept yet, as the newest of a list. `None` where places run out,
    /// after four thousand million keys.
    pub(super) fn keep(&mut self, name: &str, kept: Kept, list: usize) -> Option<u32> {
        let made = Place { name: name.into(), kept, newer: NOWHERE, older: NOWHERE };
        let place = match self.free.pop() {
            Some(place) => {
                *self.place_mut(place)? = made;
                place
            }
            None => self.grow(made)?,
        };
        let (blocks, hasher) = (&self.blocks, &self.hasher);
        let again = |place: &u32| {
            at(blocks, *place).map_or(0, |place| hasher.hash_one(place.name.as_str()))
        };
        self.by_name.insert_unique(hasher.hash_one(name), place, again);
        self.link(place, list);
        Some(place)
    }

    /// Puts a key of one list before all others of the same or another one.
    pub(super) fn renew(&mut self, place: u32, from: usize, to: usize) {
        self.unlink(place, from);
        self.link(place, to);
    }

    /// Forgets the key of a list that was renewed longest ago; false where it has none.
    pub(super) fn forget_oldest(&mut self, list: usize) -> bool {
        let oldest = self.lists.get(list).map_or(NOWHERE, |ends| ends.oldest);
        let Some(name) = at(&self.blocks, oldest).map(|place| place.name.as_str()) else {
            return false;
        };
        let hash = self.hasher.hash_one(name);
        if let Ok(entry) = self.by_name.find_entry(hash, |place| *place == oldest) {
            entry.remove();
        }
        self.unlink(oldest, list);
        self.free.push(oldest);
        true
    }

    /// The keys of a list, the one that was renewed longest ago first.
    pub(super) fn oldest_first(&self, list: usize) -> impl Iterator<Item = (&str, &Kept)> {
        let oldest = self.lists.get(list).map_or(NOWHERE, |ends| ends.oldest);
        let places =
            std::iter::successors(at(&self.blocks, oldest), |place| at(&self.blocks, place.newer));
        places.map(|place| (place.name.as_str(), &place.kept))
    }

    fn grow(&mut self, made: Place<Kept>) -> Option<u32> {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let full = self.blocks.len().saturating_sub(1) * BLOCK;
        let block = self.blocks.last_mut()?;
        let place = u32::try_from(full + block.len()).ok().filter(|place| *place != NOWHERE)?;
        block.push(made);
        Some(place)
    }

    fn place_mut(&mut self, place: u32) -> Option<&mut Place<Kept>> {
        self.blocks.get_mut(place as usize / BLOCK)?.get_mut(place as usize % BLOCK)
    }

    /// Puts a place that is in no list at the newest end of one.
    fn link(&mut self, place: u32, list: usize) {
        let Some(ends) = self.lists.get_mut(list) else { return };
        let before = std::mem::replace(&mut ends.newest, place);
        if before == NOWHERE {
            ends.oldest = place;
        }
        if let Some(older) = self.place_mut(before) {
            older.newer = place;
        }
        if let Some(new) = self.place_mut(place) {
            (new.newer, new.older) = (NOWHERE, before);
        }
    }

    /// Takes a place out of its list.
    fn unlink(&mut self, place: u32, list: usize) {
        let Some(&Place { newer, older, .. }) = at(&self.blocks, place) else { return };
        if let Some(next) = self.place_mut(newer) {
            next.older = older;
        }
        if let Some(next) = self.place_mut(older) {
            next.newer = newer;
        }
        if let Some(ends) = self.lists.get_mut(list) {
            if ends.newest == place {
                ends.newest = older;
            }
            if ends.oldest == place {
                ends.oldest = newer;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<const LISTS: usize>(places: &Places<u32, LISTS>, list: usize) -> Vec<(&str, u32)> {
        places.oldest_first(list).map(|(name, kept)| (name, *kept)).collect()
    }

    #[test]
    fn each_list_keeps_the_order_of_renewal_and_forgets_its_oldest() {
        let mut places: Places<u32, 2> = Places::new();
        let at: Vec<u32> =
            (0..5).map(|n| places.keep(&format!("key {n}"), n, 0).unwrap()).collect();
        places.renew(at[0], 0, 0);
        places.renew(at[2], 0, 1);
        places.renew(at[4], 0, 1);
        assert_eq!(names(&places, 0), [("key 1", 1), ("key 3", 3), ("key 0", 0)]);
        assert_eq!(names(&places, 1), [("key 2", 2), ("key 4", 4)]);
        assert!(places.forget_oldest(1) && places.forget_oldest(1) && !places.forget_oldest(1));
        assert!(places.forget_oldest(0));
        assert_eq!(names(&places, 0), [("key 3", 3), ("key 0", 0)]);
        assert_eq!((places.len(), places.find("key 1"), places.find("key 3")), (2, None, Some(3)));
    }

    #[test]
    fn the_place_of_a_forgotten_key_goes_to_another() {
        let mut places: Places<u32, 1> = Places::new();
        for n in 0..10_000 {
            if n >= 100 {
                assert!(places.forget_oldest(0));
            }
            places.keep(&n.to_string(), n, 0).unwrap();
        }
        assert_eq!((places.len(), places.blocks.len(), places.free.len()), (100, 2, 0));
        for n in 9_900..10_000 {
            let place = places.find(&n.to_string()).unwrap();
            assert_eq!(places.get(place), Some(&n));
        }
        assert_eq!(names(&places, 0).first(), Some(&("9900", 9900)));
    }
}
