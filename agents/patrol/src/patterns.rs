//! The patterns of a patrol: Sigma detection rules over an event's body.
//!
//! A rule names its log source (`product: magsentinel`, `category:` the event kind), and carries
//! its level, one tag `mag.<category>` and any number of `attack.t….` tags; its title is the
//! reason given. `text` in a rule is the normal form of the body's text ([`Normal`]); every other
//! field is the body's own. The annotations of recorded rows are out of reach.
//!
//! `triggers:`, a list of lower-case strings, is this project's one addition: a rule that has
//! them is looked at only when one of them occurs in the normal form of the text. That is what
//! makes ordinary events cheap. Regular expressions are those of the `regex` crate, linear in time,
//! with `\w`, `\d`, `\s` and `\b` of ASCII as in PCRE. A gap of any length (`[^\n]*`) costs far less
//! memory than a counted one (`[^\n]{0,200}` holds the class two hundred times).

mod ascii;
mod load;
mod normal;
mod proposal;

pub use load::{Error, read_dir};
pub use normal::Normal;
pub use proposal::{Bounds, Proposal};

use crate::body;
use aho_corasick::AhoCorasick;
use magsentinel_bus_schema::{Fields, Kind, Level, Token};
use rsigma_eval::{CompiledRule, Event, EventValue, evaluate_rule};
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};

/// What a pattern, or a patrol's own logic, says about an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// How bad it is.
    pub level: Level,
    /// What it looks like.
    pub category: Token,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// Why, for a reader.
    pub reason: String,
}

#[derive(Clone)]
struct Pattern {
    /// Of the events that it looks at.
    kind: Kind,
    rule: CompiledRule,
    hit: Arc<Hit>,
}

/// All patterns of one patrol, compiled.
#[derive(Clone)]
pub struct Book {
    patterns: Vec<Pattern>,
    /// Patterns without triggers, as bits.
    always: Mask,
    triggers: Option<AhoCorasick>,
    /// Per trigger, the patterns that it wakes.
    woken: Vec<Mask>,
    digest: String,
}

/// A set of patterns.
type Mask = u128;

/// Most patterns in one book.
const PATTERNS_MAX: usize = Mask::BITS as usize;

impl Book {
    /// The same patterns, with nothing yet of what their expressions build up as they meet text.
    pub(crate) fn fresh(&self) -> Self {
        // A copy of an expression shares what was compiled, and begins with empty caches.
        self.clone()
    }

    /// Digest of all rules, 16 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Number of patterns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Adds what matches a body of a kind to `hits`, the worst first. `normal` holds the normal form of the
    /// body's text; `None` when its patrol reads none.
    pub fn matches(
        &self,
        (kind, fields): (Kind, &Fields),
        normal: Option<&Normal>,
        hits: &mut Vec<Arc<Hit>>,
    ) {
        let Some(normal) = normal else {
            let found = self.matching(&View { kind, fields, text: None }, Mask::MAX);
            self.collect(found, hits);
            return;
        };
        let forms = [normal.kept(), normal.dropped()];
        // The second form is there only where the text has comments.
        let count = if normal.dropped().is_empty() { 1 } else { 2 };
        let mut found = 0;
        for text in forms.into_iter().take(count) {
            let awake = self.awake(text) & !found;
            if awake != 0 {
                found |= self.matching(&View { kind, fields, text: Some(text) }, awake);
            }
        }
        self.collect(found, hits);
    }

    /// The patterns that a text wakes.
    fn awake(&self, text: &str) -> Mask {
        let mut awake = self.always;
        let Some(triggers) = &self.triggers else { return awake };
        for hit in triggers.find_overlapping_iter(text) {
            awake |= self.woken.get(hit.pattern().as_usize()).copied().unwrap_or(0);
        }
        awake
    }

    fn matching(&self, view: &View<'_>, awake: Mask) -> Mask {
        let bit = |at: usize| (1 as Mask) << at;
        let patterns = self.patterns.iter().enumerate().filter(|(at, _)| awake & bit(*at) != 0);
        patterns
            .filter(|(_, pattern)| pattern.kind == view.kind)
            .filter(|(_, pattern)| evaluate_rule(&pattern.rule, view).is_some())
            .fold(0, |found, (at, _)| found | bit(at))
    }

    fn collect(&self, found: Mask, hits: &mut Vec<Arc<Hit>>) {
        let named = |(at, _): &(usize, &Pattern)| found & ((1 as Mask) << at) != 0;
        let matched = self.patterns.iter().enumerate().filter(named);
        hits.extend(matched.map(|(_, pattern)| Arc::clone(&pattern.hit)));
        hits.sort_by_key(|hit| std::cmp::Reverse(hit.level));
    }
}

/// A body as rules see it.
struct View<'a> {
    kind: Kind,
    fields: &'a Fields,
    text: Option<&'a str>,
}

impl View<'_> {
    fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        body::readable(self.fields).filter(|(name, _)| self.text.is_none() || *name != "text")
    }
}

impl Event for View<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        match self.text {
            Some(text) if path == "text" => Some(EventValue::Str(Cow::Borrowed(text))),
            _ => body::field(self.fields, path).map(EventValue::from),
        }
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.text.is_some_and(pred) || self.values().any(|(_, v)| v.as_str().is_some_and(pred))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let values = self.values().filter_map(|(_, value)| value.as_str());
        self.text.into_iter().chain(values).map(Cow::Borrowed).collect()
    }

    fn to_json(&self) -> Value {
        Value::Object(self.values().map(|(n, v)| (n.to_owned(), v.clone())).collect())
    }
}

#[cfg(test)]
mod tests;
