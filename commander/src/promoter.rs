//! What the commander does for patterns: it writes down what was proposed, and, where an operator
//! has given it a key for that, promotes what is ready. Which pattern is good it does not judge:
//! the patrol tests, counts and decides, and verifies the signature.

use magsentinel_bus_schema::{
    Limits, Pattern, PatternChange, Tenant, Timestamp,
    pattern::{Origin, State, Tally},
    subject,
};
use magsentinel_pattern::{Config, Input, PREFIX, Stored, changes, record::name_of, seal, step};
use magsentinel_runtime::{
    keeper::{Domain, Keeper, Work},
    policy::Document,
    stage::{Delivery, Publish},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Patterns that are known at most. Beyond it proposals are passed over, which the report counts.
const KNOWN_MAX: usize = 4096;

/// The documents of all patrols.
#[must_use]
pub fn domain() -> Domain {
    Domain {
        part: "patterns",
        prefix: PREFIX.to_owned(),
        stage: "pattern",
        hears: |tenant| vec![subject::patterns_at(tenant, State::Proposed)],
    }
}

/// The seed of a file, whose key must be trusted.
///
/// # Errors
/// When it cannot be read, or patrols would not trust it.
pub fn seed(config: &Config) -> Result<Option<Arc<str>>, String> {
    let Some(path) = &config.promoter else { return Ok(None) };
    let told = |why: String| format!("{}: {why}; correct patterns.promoter", path.display());
    let seed = std::fs::read_to_string(path).map_err(|e| told(e.to_string()))?;
    let public = magsentinel_runtime::bundle::public_key(&seed).map_err(told)?;
    if !config.signers.contains(&public) {
        return Err(told(format!("its public key {public} is not among patterns.signers")));
    }
    Ok(Some(seed.trim().into()))
}

/// The core.
pub struct Promoter {
    tenant: Tenant,
    config: Arc<Config>,
    seed: Option<Arc<str>>,
    known: BTreeMap<String, Stored>,
    stale: BTreeSet<String>,
    proposals: VecDeque<PatternChange>,
    pending: Option<(String, Stored)>,
    refused: BTreeMap<String, String>,
    passed_over: u64,
}

impl Promoter {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(tenant: Tenant, config: Arc<Config>, seed: Option<Arc<str>>) -> Self {
        Self {
            tenant,
            config,
            seed,
            known: BTreeMap::new(),
            stale: BTreeSet::new(),
            proposals: VecDeque::new(),
            pending: None,
            refused: BTreeMap::new(),
            passed_over: 0,
        }
    }

    /// The document of the next proposal that has none yet.
    fn write_proposal(&mut self) -> Option<Work> {
        while let Some(change) = self.proposals.pop_front() {
            let name = name_of(&change.of);
            if self.is_had(&change) {
                continue;
            }
            if self.known.len() >= KNOWN_MAX {
                self.passed_over += 1;
                continue;
            }
            // Whatever else the message says: a proposal begins at the beginning.
            let mut pattern = change.of;
            pattern.steps.truncate(1);
            (pattern.proof, pattern.seal) = (None, None);
            pattern.tally = Tally::default();
            pattern.verdicts.clear();
            if pattern.state() != State::Proposed || pattern.digest != seal::digest(&pattern.rule) {
                continue;
            }
            return self.write(name, Stored { revision: 0, pattern });
        }
        None
    }

    /// Whether it is there, or the same rule for another incident, or another of the same origin for
    /// the incident, which grows and would suggest a slightly different one every time.
    fn is_had(&self, change: &PatternChange) -> bool {
        let of = &change.of;
        let alike = |known: &Pattern| {
            let same = (&known.patrol, known.origin, known.incident);
            known.pattern == of.pattern
                || (&known.patrol, &known.digest) == (&of.patrol, &of.digest)
                || known.incident.is_some() && same == (&of.patrol, of.origin, of.incident)
        };
        self.known.values().any(|stored| alike(&stored.pattern))
    }

    fn write(&mut self, name: String, stored: Stored) -> Option<Work> {
        let bytes = serde_json::to_vec(&stored.pattern).ok()?;
        let before = stored.revision;
        self.pending = Some((name.clone(), stored));
        Some(Work::Write { name, bytes, before })
    }

    /// Signs what is ready.
    fn promote(&mut self, now: Timestamp) -> Option<Work> {
        let seed = self.seed.clone()?;
        let ready = |(name, stored): &(&String, &Stored)| {
            stored.pattern.state() == State::Ready && !self.stale.contains(*name)
        };
        let (name, stored) = self.known.iter().find(ready)?;
        let (name, revision) = (name.clone(), stored.revision);
        let sealed = seal::sign(&self.tenant, &stored.pattern, &seed).ok()?;
        let budget = self.config.budget();
        let after = step(&stored.pattern, Input::Promoted(sealed), "policy", now, &budget).ok()?;
        self.write(name, Stored { revision, pattern: after })
    }
}

impl Keeper for Promoter {
    fn take(&mut self, document: &Document) -> Vec<Publish> {
        let known = self.known.get(&document.name).map_or(0, |stored| stored.revision);
        if document.revision <= known {
            return Vec::new();
        }
        self.stale.remove(&document.name);
        match Stored::read(document) {
            Ok(Some(stored)) => {
                let told = changes(&self.tenant, &stored.pattern);
                self.refused.remove(&document.name);
                self.known.insert(document.name.clone(), stored);
                told
            }
            Ok(None) => {
                self.known.remove(&document.name);
                Vec::new()
            }
            Err(why) => {
                self.refused.insert(document.name.clone(), why);
                Vec::new()
            }
        }
    }

    fn hear(&mut self, delivery: &Delivery) {
        // What is no step of a pattern others keep as a dead letter.
        let heard = delivery.decode::<PatternChange>(Limits::default()).ok();
        self.proposals.extend(heard.filter(|change| change.of.origin != Origin::Operator));
    }

    fn next(&mut self, now: Timestamp) -> Option<Work> {
        self.write_proposal().or_else(|| self.promote(now))
    }

    fn see(&mut self, _delivery: &Delivery) {}

    fn seen(&mut self, _now: Timestamp) {}

    fn written(&mut self, revision: Option<u64>) {
        let Some((name, stored)) = self.pending.take() else { return };
        match revision {
            Some(revision) => drop(self.known.insert(name, Stored { revision, ..stored })),
            None => drop(self.stale.insert(name)),
        }
    }

    fn report(&self) -> Value {
        let of = |state| self.known.values().filter(|s| s.pattern.state() == state).count();
        json!({
            "promotes": self.seed.is_some(),
            "ready": of(State::Ready),
            "live": of(State::Live),
            "refused": self.refused,
            "proposals_passed_over": self.passed_over,
        })
    }
}

#[cfg(test)]
mod tests;
