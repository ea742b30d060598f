//! The gates that a proposed pattern passes before it runs beside the others. Pure: it is shown
//! events, and says at the end what it saw.

mod varied;

use crate::{
    inference::Rows,
    patrol::{Patrol, Seen},
    patrols::{self, Entry},
    patterns::{Hit, Normal, Proposal},
};
use magsentinel_bus_schema::{
    Event, Fields, Id, Kind, Timestamp,
    pattern::{Gate, Proof},
};
use magsentinel_pattern::{Budget, life::SAMPLES_MAX};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// Matches that are remembered. Beyond it a pattern matches too much whatever explains them.
const MATCHES_MAX: usize = 100_000;
/// Retained own events that are looked at.
const OWN_MAX: usize = 256;
/// A literal of so many characters that makes up so much of a value is the value, not a pattern.
const LITERAL_CHARS_MIN: usize = 24;
const LITERAL_SHARE: f64 = 0.5;
/// All literals together may not make up more of a value than this.
const LITERALS_SHARE: f64 = 0.8;

/// Matches a rule as its patrol would.
struct Matcher {
    patrol: Box<dyn Patrol>,
    rows: Rows,
    normal: Normal,
    hits: Vec<Arc<Hit>>,
}

impl Matcher {
    fn new(entry: &Entry, config: &patrols::Config) -> Self {
        let class = entry.spec.keys.first().copied();
        Self {
            patrol: (entry.maker)(config)(class),
            rows: Rows::new(entry.spec.input),
            normal: Normal::default(),
            hits: Vec::new(),
        }
    }

    /// Whether it matches; nothing where the body is none that the patrol scores.
    fn matches(
        &mut self,
        proposal: &Proposal,
        (kind, body): (Kind, &Fields),
        ts: Timestamp,
    ) -> Option<bool> {
        let seen = Seen { kind, body, ts, ts_refused: false, repeated: true, timed: true };
        self.rows.truncate(0);
        self.patrol.features(&seen, &mut self.rows).ok()?;
        let has_text = self.patrol.normal(&seen, &mut self.normal);
        self.hits.clear();
        proposal.book.matches((kind, body), has_text.then_some(&self.normal), &mut self.hits);
        Some(!self.hits.is_empty())
    }
}

/// A proposal on its way through the gates.
pub struct Trial {
    proposal: Proposal,
    matcher: Matcher,
    own: HashSet<Id>,
    budget: Budget,
    events_max: u64,
    proof: Proof,
    /// Own events that it matches, and why they count for nothing, where they do.
    own_matched: BTreeMap<Id, Option<String>>,
    /// Other events that it matches.
    matched: BTreeSet<Id>,
    too_many: bool,
    explained: HashSet<Id>,
    ordinary: HashSet<Id>,
}

impl Trial {
    /// A trial of a compiled proposal that must match some of `own`.
    #[must_use]
    pub fn new(
        (entry, config): (&Entry, &patrols::Config),
        proposal: Proposal,
        own: &[Id],
        budget: Budget,
        events_max: u64,
    ) -> Self {
        Self {
            proposal,
            matcher: Matcher::new(entry, config),
            own: own.iter().copied().collect(),
            budget,
            events_max,
            proof: Proof::default(),
            own_matched: BTreeMap::new(),
            matched: BTreeSet::new(),
            too_many: false,
            explained: HashSet::new(),
            ordinary: HashSet::new(),
        }
    }

    /// Shows a body that is known to be good.
    pub fn good(&mut self, kind: Kind, body: &Fields) {
        let at = Timestamp::from_micros(0);
        let Some(hit) = self.matcher.matches(&self.proposal, (kind, body), at) else { return };
        self.proof.good_events += 1;
        self.proof.good_hits += u64::from(hit);
    }

    /// Shows a retained event of one of the patrol's kinds.
    pub fn event(&mut self, event: &Event) {
        let own = self.own.contains(&event.id);
        if self.proof.events >= self.events_max && !own {
            return;
        }
        let body = (event.kind, &event.body);
        let hit = self.matcher.matches(&self.proposal, body, event.ts);
        let Some(hit) = hit else { return };
        self.proof.events += 1;
        self.proof.hits += u64::from(hit);
        if own {
            self.own_event(event, hit);
        } else if hit && self.matched.len() < MATCHES_MAX {
            self.matched.insert(event.id);
        } else if hit {
            self.too_many = true;
        }
    }

    fn own_event(&mut self, event: &Event, hit: bool) {
        if self.own_matched.len() >= OWN_MAX || self.own_matched.contains_key(&event.id) {
            return;
        }
        self.proof.own_events += 1;
        if !hit {
            return;
        }
        self.proof.own_hits += 1;
        let why = self.overfitted(event);
        self.own_matched.insert(event.id, why);
    }

    /// Why a match says no more than that these very bytes came again.
    fn overfitted(&mut self, event: &Event) -> Option<String> {
        let varied = varied::varied(&event.body);
        let body = (event.kind, &varied);
        if self.matcher.matches(&self.proposal, body, event.ts) == Some(false) {
            let why = "with other addresses, names, times and numbers it does not match any more";
            return Some(why.to_owned());
        }
        varied::texts(&event.body).find_map(|text| literal(&self.proposal.literals, &text))
    }

    /// Whether an event that it matches was looked for: those that are to be explained.
    #[must_use]
    pub fn is_matched(&self, event: Id) -> bool {
        self.matched.contains(&event) || self.own.contains(&event)
    }

    /// Says that a patrol flagged an event, or a chain cites it.
    pub fn explain(&mut self, event: Id) {
        if self.matched.contains(&event) {
            self.explained.insert(event);
        }
    }

    /// Says that operators found an event's incident to be ordinary work.
    pub fn found_ordinary(&mut self, event: Id) {
        if self.is_matched(event) {
            self.ordinary.insert(event);
        }
    }

    /// What the trial has shown, and which gate stops the proposal, if any does.
    #[must_use]
    pub fn conclude(mut self) -> (Proof, Option<(Gate, String)>) {
        let is_false = |id: &&Id| self.ordinary.contains(*id) || !self.explained.contains(*id);
        let of_own = self.own_matched.keys().filter(|id| self.ordinary.contains(*id));
        let false_hits: Vec<Id> =
            self.matched.iter().filter(is_false).chain(of_own).copied().collect();
        self.proof.false_hits = u64::try_from(false_hits.len()).unwrap_or(u64::MAX);
        self.proof.samples = false_hits.into_iter().take(SAMPLES_MAX).collect();
        let stopped = self.stopped();
        (self.proof, stopped)
    }

    fn stopped(&self) -> Option<(Gate, String)> {
        let Proof { own_events, own_hits, good_events, good_hits, events, false_hits, .. } =
            self.proof;
        if own_events == 0 {
            let named = self.own.len();
            let why = format!("none of the {named} events that it was made for is retained");
            return Some((Gate::OwnEvents, why));
        }
        if own_hits == 0 {
            let why = format!("it matches none of the {own_events} events that it was made for");
            return Some((Gate::OwnEvents, why));
        }
        let fitted: Vec<&String> = self.own_matched.values().flatten().collect();
        if let Some(why) = fitted.first().filter(|_| fitted.len() * 2 > self.own_matched.len()) {
            return Some((Gate::Overfitted, (*why).clone()));
        }
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let too_good = good_hits as f64 > self.budget.share_max * good_events as f64;
        if too_good {
            let why = format!("it matches {good_hits} of {good_events} events known to be good");
            return Some((Gate::KnownGood, why));
        }
        if self.too_many || self.budget.is_spent(false_hits, events) {
            let least = if self.too_many { "at least " } else { "" };
            let why = format!(
                "it matches {least}{false_hits} of {events} retained events that nothing else \
                 explains, more than patterns.false_positives_max ({}) allows",
                self.budget.share_max
            );
            return Some((Gate::Backtest, why));
        }
        None
    }
}

/// Whether literals make up a text.
fn literal(literals: &[String], text: &str) -> Option<String> {
    let length = text.chars().count();
    if length == 0 {
        return None;
    }
    let found: Vec<usize> = literals
        .iter()
        .filter(|literal| !literal.is_empty() && text.contains(literal.as_str()))
        .map(|literal| literal.chars().count())
        .collect();
    let longest = found.iter().copied().max().unwrap_or(0);
    let all: usize = found.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "lengths of texts")]
    let share = |of: usize| of as f64 / length as f64;
    let one = longest >= LITERAL_CHARS_MIN && share(longest) >= LITERAL_SHARE;
    if one || all >= LITERAL_CHARS_MIN && share(all) >= LITERALS_SHARE {
        let percent = (share(longest.max(all)) * 100.0).min(100.0);
        return Some(format!("its literal texts are {percent:.0} % of what they match"));
    }
    None
}

#[cfg(test)]
mod tests;
