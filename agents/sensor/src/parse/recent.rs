//! A bounded memory: what was said last about each of the most recent sessions.

use std::collections::{BTreeMap, HashMap};

/// A map of at most `max` keys, which forgets the one that was touched longest ago.
#[derive(Debug)]
pub struct Recent<V> {
    max: usize,
    touch: u64,
    by_key: HashMap<String, (u64, V)>,
    by_touch: BTreeMap<u64, String>,
}

impl<V> Recent<V> {
    /// Of at most `max` keys (at least one).
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1), touch: 0, by_key: HashMap::new(), by_touch: BTreeMap::new() }
    }

    /// What is known about a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        self.by_key.get(key).map(|(_, value)| value)
    }

    /// Remembers a value as the most recent one.
    pub fn put(&mut self, key: &str, value: V) {
        self.touch += 1;
        if let Some((old, _)) = self.by_key.insert(key.to_owned(), (self.touch, value)) {
            self.by_touch.remove(&old);
        }
        self.by_touch.insert(self.touch, key.to_owned());
        if self.by_key.len() > self.max
            && let Some((_, oldest)) = self.by_touch.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_quiet_longest_is_forgotten_at_the_bound() {
        let mut recent = Recent::new(2);
        recent.put("a", 1);
        recent.put("b", 2);
        recent.put("a", 3);
        recent.put("c", 4);
        assert_eq!((recent.get("a"), recent.get("b"), recent.get("c")), (Some(&3), None, Some(&4)));
        assert_eq!(recent.len(), 2);
    }
}
