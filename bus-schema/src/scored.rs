//! What patrols say about events, and how it travels to the owner of a correlation key.

mod view;

pub use view::{EntityView, ScoredView};

use crate::{Class, Entity, Event, Id, Kind, Tenant, Timestamp, Token, current_version, is_false};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad it is. `Critical` comes only from a pattern or a chain.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Ordinary.
    #[default]
    None,
    /// Worth remembering.
    Low,
    /// Flagged.
    Medium,
    /// Flagged, and probably an attack.
    High,
    /// An attack, by a pattern or a chain.
    Critical,
}

impl Level {
    /// Every level, mildest first.
    pub const ALL: &'static [Level] =
        &[Level::None, Level::Low, Level::Medium, Level::High, Level::Critical];

    /// Its token in subjects.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of a token.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|l| l.token() == token)
    }

    /// *Flagged*, in every figure, means medium or above.
    #[must_use]
    pub fn is_flagged(self) -> bool {
        self >= Self::Medium
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Score from which a level begins. Scores are calibrated so that the defaults hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Lowest score of level low, 0..=1.
    pub low: f32,
    /// Lowest score of level medium, 0..=1.
    pub medium: f32,
    /// Lowest score of level high, 0..=1.
    pub high: f32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { low: 0.3, medium: 0.5, high: 0.85 }
    }
}

impl Thresholds {
    /// The level of a score; never critical, and none for a score that is not a number.
    #[must_use]
    pub fn level(&self, score: f32) -> Level {
        match score {
            s if s >= self.high => Level::High,
            s if s >= self.medium => Level::Medium,
            s if s >= self.low => Level::Low,
            _ => Level::None,
        }
    }

    /// What is wrong with these thresholds, if anything.
    pub fn check(&self) -> Result<(), String> {
        let ordered = 0.0 < self.low && self.low < self.medium && self.medium < self.high;
        if ordered && self.high <= 1.0 {
            return Ok(());
        }
        Err(format!(
            "thresholds must rise: 0 < low ({}) < medium ({}) < high ({}) <= 1",
            self.low, self.medium, self.high
        ))
    }
}

/// One event, scored by one patrol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scored {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from event, patrol and finding: scoring twice gives the same id.
    pub id: Id,
    /// The event.
    pub event: Id,
    /// Sequence of the event in its stream: the loss ledger counts distinct ones.
    #[serde(default)]
    pub seq: u64,
    /// Tenant.
    pub tenant: Tenant,
    /// Kind of the event.
    pub kind: Kind,
    /// Time of the event.
    pub ts: Timestamp,
    /// The event was played back or back-filled: may alert, never act.
    #[serde(default)]
    pub replayed: bool,
    /// It was back-filled: the patrol was blind when the event came, and scored it later. Then
    /// `replayed` is set too, so that whoever knows only that one does not act.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backfilled: bool,
    /// Who scored.
    pub patrol: Token,
    /// The class of the key by which it was found, where that is not the class that gives the
    /// event its shard: then the finding rests on a [`Fact`], and the owner of the event's
    /// shard answers for the event beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_key: Option<Class>,
    /// The sensor that saw the event, and where: `sensor:name`. Events of one source come in the
    /// order of their times; those of different sources need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Level.
    pub level: Level,
    /// Score, 0..=1.
    pub score: f32,
    /// How sure the patrol is of the level, 0..=1.
    pub confidence: f32,
    /// What it looks like: `union_injection`, `bulk_export`, …; a token.
    pub category: Token,
    /// ATT&CK technique ids.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// Why, for a reader.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Who and what.
    #[serde(default)]
    pub entities: Vec<Entity>,
    /// Bounded excerpt of the body. Untrusted text.
    #[serde(default)]
    pub excerpt: String,
    /// Digest of the model that scored.
    #[serde(default)]
    pub model: String,
    /// Digest of the patterns that scored.
    #[serde(default)]
    pub patterns: String,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl Scored {
    /// The entity of a class, if the event names one.
    #[must_use]
    pub fn entity(&self, class: Class) -> Option<&Entity> {
        self.entities.iter().find(|e| e.class == class)
    }
}

/// What a patrol answers for the events of one batch that it found ordinary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from the patrol and the events.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// Who scored.
    pub patrol: Token,
    /// Digest of the model that scored.
    #[serde(default)]
    pub model: String,
    /// Digest of the patterns that scored.
    #[serde(default)]
    pub patterns: String,
    /// The events' ids.
    pub events: Vec<Id>,
    /// Their sequences in the stream, in the same order.
    pub seqs: Vec<u64>,
    /// All of them were back-filled.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backfilled: bool,
}

/// A scored event on its way to the owner of one of its keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Keyed {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Class of the key.
    pub class: Class,
    /// The key.
    pub key: String,
    /// Sequence of the scored event in its stream.
    #[serde(default)]
    pub seq: u64,
    /// The scored event.
    pub scored: Scored,
}

/// [`Keyed`], to be written: the same bytes from a scored event that stays where it is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct KeyedRef<'a> {
    /// Schema version.
    pub v: u16,
    /// Class of the key.
    pub class: Class,
    /// The key.
    pub key: &'a str,
    /// Sequence of the scored event in its stream.
    pub seq: u64,
    /// The scored event.
    pub scored: &'a Scored,
}

impl KeyedRef<'_> {
    /// The same, on its own.
    #[must_use]
    pub fn to_keyed(self) -> Keyed {
        let Self { v, class, key, seq, scored } = self;
        Keyed { v, class, key: key.to_owned(), seq, scored: scored.clone() }
    }
}

/// What the owner of another key than the one that gives an event its shard must know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Class of the key.
    pub class: Class,
    /// The key.
    pub key: String,
    /// Sequence of the event in its stream.
    #[serde(default)]
    pub seq: u64,
    /// The event; its body holds the needed fields only.
    pub event: Event,
    /// The event was back-filled by whoever made the fact.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backfilled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_at_their_threshold_and_never_reach_critical() {
        let t = Thresholds::default();
        for (score, level) in [
            (0.0, Level::None),
            (0.299, Level::None),
            (0.3, Level::Low),
            (0.5, Level::Medium),
            (0.85, Level::High),
            (1.0, Level::High),
            (f32::NAN, Level::None),
        ] {
            assert_eq!(t.level(score), level, "{score}");
        }
        assert!(t.check().is_ok());
        assert!(Thresholds { low: 0.6, ..t }.check().is_err());
    }
}
