//! Which chains of a book an event takes part in. Chains share rules, and an event comes once for
//! every key that it names: each rule is tried at most once then.

use super::{Chain, Condition, Mask, Matcher};
use magsentinel_bus_schema::{Class, Scored};
use std::collections::BTreeMap;

/// What an event is to one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position of the chain in the book.
    pub chain: u16,
    /// The rules that the event matches, never 0.
    pub mask: Mask,
    /// Its value of the field that the chain counts; 0 where it counts none.
    pub value: u64,
}

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

    pub(super) fn parts(&self, chains: &[Chain], class: Class, scored: &Scored) -> Vec<Part> {
        let mut tried: Vec<Option<bool>> = vec![None; self.matchers.len()];
        let mut matches = |rule: usize| {
            let (Some(known), Some(matcher)) = (tried.get_mut(rule), self.matchers.get(rule))
            else {
                return false;
            };
            *known.get_or_insert_with(|| matcher.matches(scored))
        };
        let mut parts = Vec::new();
        for entry in self.by_class.get(&class).into_iter().flatten() {
            let Some(chain) = chains.get(usize::from(entry.chain)) else { continue };
            if chain.key(scored).is_none_or(|entity| entity.class != class) {
                continue;
            }
            let rules = entry.rules.iter().enumerate().filter(|(_, rule)| matches(**rule));
            let mask = rules.fold(0, |mask: Mask, (i, _)| mask | 1 << i);
            let value = match &chain.condition {
                Condition::Distinct { field, .. } => field.of(scored),
                _ => Some(0),
            };
            if let (1.., Some(value)) = (mask, value) {
                parts.push(Part { chain: entry.chain, mask, value });
            }
        }
        parts
    }
}
