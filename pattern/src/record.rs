//! A pattern as a document of the policy store, and as messages on the bus.

use crate::seal::digest;
use magsentinel_bus_schema::{
    Id, Pattern, PatternChange, SCHEMA_VERSION, Subject, Tenant, Timestamp, Token,
    pattern::{Origin, State, Step, Tally},
};
use magsentinel_runtime::{policy::Document, stage::Publish};
use serde::{Deserialize, Serialize};

/// Where patterns lie in the policy store; the patrol's name and the pattern's id follow.
pub const PREFIX: &str = "pattern.";

/// Most steps that a pattern ever takes is five; a document with more is not ours.
const STEPS_MAX: usize = 16;

/// What a proposal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The patrol that is to use it.
    pub patrol: Token,
    /// Who thought of it.
    pub origin: Origin,
    /// The incident that it was made for.
    pub incident: Option<Id>,
    /// The events that it must match.
    pub events: Vec<Id>,
    /// Its title.
    pub title: String,
    /// The Sigma rule.
    pub rule: String,
}

/// A pattern that was just proposed. The same draft gives the same id.
#[must_use]
pub fn proposed(draft: Draft, by: &str, now: Timestamp) -> Pattern {
    let Draft { patrol, origin, incident, events, title, rule } = draft;
    let of = incident.map(|id| id.to_string()).unwrap_or_default();
    let first =
        Step { state: State::Proposed, ts: now, by: by.to_owned(), why: String::new(), gate: None };
    Pattern {
        pattern: Id::derived(&["pattern", patrol.as_str(), &rule, &of]),
        digest: digest(&rule),
        patrol,
        origin,
        incident,
        events,
        title,
        rule,
        steps: vec![first],
        proof: None,
        tally: Tally::default(),
        verdicts: Vec::new(),
        seal: None,
    }
}

/// A document's name after [`PREFIX`].
#[must_use]
pub fn name_of(pattern: &Pattern) -> String {
    format!("{}.{}", pattern.patrol, pattern.pattern)
}

/// A pattern at one revision of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The revision.
    pub revision: u64,
    /// The pattern.
    pub pattern: Pattern,
}

impl Stored {
    /// What a document says; nothing where it was removed.
    ///
    /// # Errors
    /// When it is no pattern of this form.
    pub fn read(document: &Document) -> Result<Option<Self>, String> {
        let Some(bytes) = &document.bytes else { return Ok(None) };
        let pattern: Pattern = serde_json::from_slice(bytes)
            .map_err(|e| format!("it is no pattern: {e}; propose it by `magsentinel pattern`"))?;
        if !(1..=STEPS_MAX).contains(&pattern.steps.len()) {
            return Err(format!("it has {} steps", pattern.steps.len()));
        }
        if !document.name.ends_with(&pattern.pattern.to_string()) {
            return Err(format!("it says that its name is {}", name_of(&pattern)));
        }
        Ok(Some(Self { revision: document.revision, pattern }))
    }
}

/// The steps of a pattern as messages, oldest first. Their ids follow from pattern and step, so
/// that whoever tells them again says nothing new.
#[must_use]
pub fn changes(tenant: &Tenant, pattern: &Pattern) -> Vec<Publish> {
    let message = |(number, taken): (u32, &Step)| {
        let id = Id::derived(&[
            b"pattern step".as_slice(),
            pattern.pattern.as_bytes(),
            &number.to_le_bytes(),
        ]);
        let subject =
            Subject::Pattern(pattern.patrol.clone(), Token::sanitised(taken.state.token()));
        let change = PatternChange {
            v: SCHEMA_VERSION,
            id,
            tenant: tenant.clone(),
            step: number,
            taken: taken.clone(),
            of: pattern.clone(),
        };
        Publish::new(subject, id, &change).ok()
    };
    (0..).zip(&pattern.steps).filter_map(message).collect()
}
