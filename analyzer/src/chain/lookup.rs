//! Which chains of a book an event takes part in. Chains share rules, and an event comes once for
//! every key that it names: each rule is tried at most once then.

use super::{Chain, Mask, Matcher, named};
use magsentinel_bus_schema::{Class, Scored};
use smallvec::{SmallVec, smallvec};
use std::collections::BTreeMap;

/// What an event is to one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position of the chain in the book.
    pub chain: u16,
    /// The class of the key under which it takes part: that by which it came, or that of the
    /// chain's alias.
    pub home: Class,
    /// The rules that the event matches, never 0.
    pub mask: Mask,
    /// What it counts for, as [`Chain::part`] has it.
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
            let Some((home, key)) = home(chain, class, scored) else { continue };
            let matching = |rule: usize| entry.rules.get(rule).is_some_and(|at| matches(*at));
            if let Some((mask, value)) = chain.part_with(scored, key, matching) {
                parts.push(Part { chain: entry.chain, home, mask, value });
            }
        }
        parts
    }
}

/// The key under which an event that came by a class takes part in a chain. Under an alias it comes
/// once for every class by which it names the key, and takes part by the first.
fn home<'s>(chain: &Chain, class: Class, scored: &'s Scored) -> Option<(Class, &'s str)> {
    if chain.aliased.is_empty() {
        let entity = chain.key(scored).filter(|entity| entity.class == class)?;
        return Some((class, &entity.value));
    }
    let key = &named(scored, class)?.value;
    let same = |c: &&Class| named(scored, **c).is_some_and(|entity| entity.value == *key);
    let first = chain.classes.iter().find(same).filter(|first| **first == class);
    first.and(chain.classes.first()).map(|home| (*home, key.as_str()))
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
                    let Some(entity) = named(&event, *class) else { continue };
                    let alone = book.chains().iter().zip(0..).filter_map(|(chain, at)| {
                        let (mask, _) = chain.part(&event, *class, &entity.value)?;
                        Some((at, mask))
                    });
                    let alone: Vec<(u16, Mask)> = alone.collect();
                    let parts: Vec<_> = parts.iter().map(|p| (p.chain, p.mask)).collect();
                    assert_eq!(parts, alone, "{patrol} {category} {class}");
                    taken += parts.len();
                }
            }
        }
        assert!(taken > 16, "{taken}");
    }
}
