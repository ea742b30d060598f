//! Which chains of a book an event takes part in. Chains share rules, and an event comes once for
//! every key that it names: each rule is tried at most once then.

use super::{Chain, Mask, Matcher};
use magsentinel_bus_schema::{Class, Scored};
use smallvec::{SmallVec, smallvec};
use std::collections::BTreeMap;

/// What an event is to one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position of the chain in the book.
    pub chain: u16,
    /// The rules that the event matches, never 0.
    pub mask: Mask,
    /// What it counts for, as [`Chain::value`] has it.
    pub value: u64,
}

/// The parts of an event in several chains, in the order of the book.
pub type Parts = SmallVec<[Part; 8]>;

/// The rules of all chains, each different one once.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    matchers: Vec<Matcher>,
    by_class: BTreeMap<Class, Vec<Entry>>,
}

/// A chain, and where its rules are among the matchers.
#[derive(Clone, Debug)]
struct Entry {
    chain: u16,
    rules: Vec<usize>,
}

impl Lookup {
    pub(super) fn new(chains: &[Chain]) -> Self {
        let mut lookup = Self::default();
        for (chain, at) in chains.iter().zip(0..) {
            let rules: Vec<usize> =
                chain.rules.iter().map(|rule| lookup.place(&rule.matcher)).collect();
            for class in &chain.classes {
                let entry = Entry { chain: at, rules: rules.clone() };
                lookup.by_class.entry(*class).or_default().push(entry);
            }
        }
        lookup
    }

    fn place(&mut self, matcher: &Matcher) -> usize {
        let known = self.matchers.iter().position(|m| m == matcher);
        known.unwrap_or_else(|| {
            self.matchers.push(matcher.clone());
            self.matchers.len() - 1
        })
    }

    pub(super) fn parts(&self, chains: &[Chain], class: Class, scored: &Scored) -> Parts {
        let mut tried: SmallVec<[Option<bool>; 64]> = smallvec![None; self.matchers.len()];
        let mut matches = |rule: usize| {
            let (Some(known), Some(matcher)) = (tried.get_mut(rule), self.matchers.get(rule))
            else {
                return false;
            };
            *known.get_or_insert_with(|| matcher.matches(scored))
        };
        let mut parts = Parts::new();
        for entry in self.by_class.get(&class).into_iter().flatten() {
            let Some(chain) = chains.get(usize::from(entry.chain)) else { continue };
            if chain.key(scored).is_none_or(|entity| entity.class != class) {
                continue;
            }
            let rules = entry.rules.iter().enumerate().filter(|(_, rule)| matches(**rule));
            let mask = rules.fold(0, |mask: Mask, (i, _)| mask | 1 << i);
            if let (1.., Some(value)) = (mask, chain.value(scored)) {
                parts.push(Part { chain: entry.chain, mask, value });
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Naming, scored, shipped};
    use magsentinel_bus_schema::{Level, Token};

    #[test]
    fn an_event_takes_the_parts_that_each_chain_alone_would_give_it() {
        let book = shipped();
        let categories = ["union_injection", "bulk_export", "brute_force", "scanning"];
        let mut taken = 0;
        for patrol in ["sql-guard", "api-watch", "auth-sentry", "data-flow"] {
            for (n, category) in categories.iter().enumerate() {
                let mut event = scored("a", patrol, Level::ALL[n + 1], 0.0).user("ann");
                event.category = Token::sanitised(category);
                let event =
                    event.naming(Class::Client, "10.0.0.7", magsentinel_bus_schema::Trust::Claimed);
                for class in Class::ALL {
                    let parts = book.parts(*class, &event);
                    let alone = book.chains().iter().zip(0..).filter(|(chain, _)| {
                        chain.key(&event).is_some_and(|entity| entity.class == *class)
                    });
                    let alone = alone.map(|(chain, at): (_, u16)| (at, chain.mask(&event)));
                    let alone: Vec<_> = alone.filter(|(_, mask)| *mask != 0).collect();
                    let parts: Vec<_> = parts.iter().map(|p| (p.chain, p.mask)).collect();
                    assert_eq!(parts, alone, "{patrol} {category} {class}");
                    taken += parts.len();
                }
            }
        }
        assert!(taken > 16, "{taken}");
    }
}
