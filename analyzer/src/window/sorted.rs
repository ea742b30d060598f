//! Small maps that lie in one piece.
//!
//! An incident has a dozen maps, nearly all of one or two entries, and there may be a million of
//! incidents. A tree takes room for eleven entries at once.

use serde::{Deserialize, Serialize};

/// A map of few entries, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Up to so many entries there is room for no more than these.
const EXACT_MAX: usize = 4;

impl<K: Ord, V> Sorted<K, V> {
    fn place(&self, key: &K) -> Result<usize, usize> {
        match self.0.last() {
            // Mostly what is new is last.
            Some((last, _)) if last < key => Err(self.0.len()),
            _ => self.0.binary_search_by(|(known, _)| known.cmp(key)),
        }
    }

    /// The value of a key, made where there is none.
    #[expect(clippy::indexing_slicing, reason = "it was found or put there")]
    pub(super) fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.put(place, key, make());
                place
            }
        };
        &mut self.0[place].1
    }

    fn put(&mut self, place: usize, key: K, value: V) {
        if self.0.len() < EXACT_MAX {
            self.0.reserve_exact(1);
        }
        self.0.insert(place, (key, value));
    }

    /// Sets the value of a key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(place) => {
                if let Some((_, known)) = self.0.get_mut(place) {
                    *known = value;
                }
            }
            Err(place) => self.put(place, key, value),
        }
    }

    /// Takes over all entries of another.
    pub(super) fn extend(&mut self, other: Self) {
        other.0.into_iter().for_each(|(key, value)| self.insert(key, value));
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().and_then(|place| self.0.get(place)).map(|(_, value)| value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Takes out the entries before a key.
    pub(super) fn take_before(&mut self, key: &K) -> Vec<(K, V)> {
        let before = self.0.partition_point(|(known, _)| known < key);
        self.0.drain(..before).collect()
    }

    /// Keeps the last so many entries.
    pub(super) fn keep_last(&mut self, most: usize) {
        self.0.drain(..self.0.len().saturating_sub(most));
    }

    /// Keeps the first so many entries; whether there were more.
    pub(super) fn keep_first(&mut self, most: usize) -> bool {
        let over = self.0.len() > most;
        self.0.truncate(most);
        over
    }
}

impl<K, V> IntoIterator for Sorted<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_holds_what_a_tree_holds() {
        let (mut sorted, mut tree) = (Sorted::default(), BTreeMap::new());
        for n in 0..300_u64 {
            let key = n * 7919 % 101;
            *sorted.entry(key, || 0) += n;
            *tree.entry(key).or_insert(0) += n;
            if n % 50 == 49 {
                let before = sorted.take_before(&20).len();
                let kept = tree.split_off(&20);
                assert_eq!(before, std::mem::replace(&mut tree, kept).len());
                sorted.insert(n, n);
                tree.insert(n, n);
            }
        }
        assert!(sorted.iter().eq(tree.iter()));
        assert_eq!((sorted.len(), sorted.get(&1_000_000)), (tree.len(), None));
        let (first, last) = (*sorted.keys().next().unwrap(), *sorted.keys().next_back().unwrap());
        assert!(sorted.keep_first(2) && !sorted.keep_first(2));
        assert_eq!(sorted.keys().next(), Some(&first));
        sorted.extend(Sorted(vec![(last, 1)]));
        sorted.keep_last(1);
        assert_eq!(sorted.values().copied().collect::<Vec<_>>(), [1]);
    }
}
