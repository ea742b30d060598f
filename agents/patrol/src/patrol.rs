//! What one patrol is: the contract, and how evidence becomes a finding.
//!
//! A patrol turns an event's body into rows of features ([`Patrol::features`]); the shell runs
//! the model on the rows of a whole batch and the patterns on each body; then the patrol weighs
//! all of it ([`Patrol::judge`]). It never awaits, reads no clock and does no I/O.
//!
//! A patrol without key classes is stateless: any number of instances share the events, in any
//! order. One with key classes keeps bounded state per key, sees all events of its shards in
//! stream order, and is rebuilt from the stream when a shard changes hands. There is an instance
//! per class: that of the first class sees the events themselves, those of the others see facts,
//! which are events whose body holds no more than [`Spec::facts`].

use crate::{
    body,
    inference::{Embedded, Input, Row, Rows},
    patterns::{Hit, Normal},
};
use magsentinel_bus_schema::{
    Class, Fields, Kind, Level, Tenant, Thresholds, Timestamp, Token, subject,
};
use serde_json::Value;
use std::sync::Arc;

/// The fixed facts of a patrol.
#[derive(Debug)]
pub struct Spec {
    /// Its name in subjects, CLI and Kubernetes: `sql-guard`.
    pub name: &'static str,
    /// Kinds of the events that it scores; a body that names none is of the first.
    pub kinds: &'static [Kind],
    /// Classes of the entities by which it keeps state; the first gives the event's shard.
    /// Empty: it keeps none.
    pub keys: &'static [Class],
    /// Fields of the body that the owners of keys of the other classes need.
    pub facts: &'static [&'static str],
    /// What its model takes.
    pub input: Input,
    /// Its model.
    pub model: Embedded,
    /// Its patterns, by file name.
    pub patterns: &'static [(&'static str, &'static str)],
}

impl Spec {
    /// The name as a token.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::sanitised(self.name)
    }

    /// Filters for the events that it scores.
    #[must_use]
    pub fn events_of(&self, tenant: &Tenant) -> Vec<String> {
        self.kinds.iter().map(|kind| subject::events_of(tenant, *kind)).collect()
    }

    /// Its kinds, for a reader: `flow, dns`.
    #[must_use]
    pub fn kinds_told(&self) -> String {
        let tokens: Vec<&str> = self.kinds.iter().map(|kind| kind.token()).collect();
        tokens.join(", ")
    }
}

/// One event, as a patrol sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Of what kind it is: one of its patrol's.
    pub kind: Kind,
    /// What happened.
    pub body: &'a Fields,
    /// When: the event's time, or the time of receipt where the event's lies in the future.
    pub ts: Timestamp,
    /// The event's own time lies in the future and was not used.
    pub ts_refused: bool,
    /// It was seen before (a redelivery), so it must not be learnt again.
    pub repeated: bool,
    /// `ts` says when it happened. False for a recorded row without time: in which order rows
    /// came is then known, and how fast is not, so nothing about rates may be said.
    pub timed: bool,
}

/// What is known about an event when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The model's score of the worst row, 0..=1; 0 where the event has none.
    pub score: f32,
    /// The features of that row.
    pub row: Row<'a>,
    /// Its number among the event's rows.
    pub part: usize,
    /// The patterns that match, the worst first.
    pub hits: &'a [Arc<Hit>],
    /// The normal form of the text, where the patrol reads one.
    pub normal: Option<&'a Normal>,
}

/// What a patrol says about an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// 0..=1; never below the level's threshold.
    pub score: f32,
    /// How sure the patrol is of the level, 0..=1.
    pub confidence: f32,
    /// What it looks like.
    pub category: Token,
    /// ATT&CK technique ids.
    pub techniques: Vec<String>,
    /// Why, for a reader.
    pub reasons: Vec<String>,
}

/// One patrol's logic and, where it has key classes, its state.
pub trait Patrol: Send {
    /// Reads the body and adds its rows of features, each scored on its own; the worst counts.
    /// How many an event may have is bounded by the patrol. An error means that the body is none
    /// of this kind; it names the field, and the event becomes a dead letter.
    fn features(&mut self, seen: &Seen<'_>, rows: &mut Rows) -> Result<(), String>;

    /// The text of the body that patterns see in normal form, and how many of its bytes they
    /// see at most; `None` when the body has no such text.
    fn text<'a>(&self, _seen: &Seen<'a>) -> Option<(&'a str, usize)> {
        None
    }

    /// Puts the body's text into normal form for patterns; false when it has none. A patrol
    /// whose text is not simply one of the body's fields makes its own lines here.
    fn normal(&mut self, seen: &Seen<'_>, normal: &mut Normal) -> bool {
        let text = self.text(seen);
        if let Some((text, bytes_max)) = text {
            normal.set(text, bytes_max);
        }
        text.is_some()
    }

    /// Weighs the evidence; `None` when the event is ordinary.
    fn judge(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding>;

    /// The part of the body that a reader of the finding should see, untrusted text.
    fn excerpt(&self, fields: &Fields, chars_max: usize) -> String {
        body::excerpt(fields, chars_max)
    }

    /// Its state, for the next owner of the shard; `None` where it keeps none.
    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes over a state; an error says why it cannot be used.
    fn restore(&mut self, _snapshot: &[u8]) -> Result<(), String> {
        Err("this patrol keeps no state".to_owned())
    }

    /// Figures of its state, small.
    fn report(&self) -> Value {
        Value::Null
    }
}

/// What a patrol says when only its model speaks.
#[derive(Clone, Copy, Debug)]
pub struct ModelSays<'a> {
    /// Category.
    pub category: &'a str,
    /// Techniques.
    pub techniques: &'a [&'a str],
    /// What the model recognises, for the reason: "SQL injection".
    pub what: &'a str,
}

/// What counters say by themselves, against a baseline that is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// How bad it is.
    pub level: Level,
    /// Category.
    pub category: &'static str,
    /// Techniques.
    pub techniques: &'static [&'static str],
    /// Which counter against which baseline, for a reader.
    pub reason: String,
}

/// How much one pattern hit of a level is believed, on its own.
fn belief(level: Level) -> f32 {
    match level {
        Level::None => 0.0,
        Level::Low => 0.35,
        Level::Medium => 0.6,
        Level::High => 0.9,
        Level::Critical => 0.97,
    }
}

/// The lowest score that a level may carry, so that whoever sorts by score sees the same order.
fn floor(level: Level, thresholds: &Thresholds) -> f32 {
    match level {
        Level::None => 0.0,
        Level::Low => thresholds.low,
        Level::Medium => thresholds.medium,
        Level::High => thresholds.high,
        Level::Critical => thresholds.high.max(0.95),
    }
}

impl Finding {
    /// Weighs a model's score and pattern hits (the worst first): the level is the worse of
    /// the model's and the worst hit's, and the confidence that of independent witnesses
    /// (one minus the product of the doubts). `None` when the level is none.
    #[must_use]
    pub fn weigh(
        thresholds: &Thresholds,
        score: f32,
        hits: &[Arc<Hit>],
        model: ModelSays<'_>,
    ) -> Option<Self> {
        let by_model = thresholds.level(score);
        let worst = hits.iter().max_by_key(|hit| hit.level);
        let level = worst.map_or(Level::None, |hit| hit.level).max(by_model);
        if level == Level::None {
            return None;
        }
        let doubt = hits.iter().fold(1.0 - score, |doubt, hit| doubt * (1.0 - belief(hit.level)));
        let named = worst.filter(|hit| hit.level >= by_model || hit.level.is_flagged());
        let mut techniques: Vec<String> = Vec::new();
        let mut reasons: Vec<String> = Vec::new();
        for hit in hits {
            let new = hit.techniques.iter().filter(|t| !techniques.contains(t)).cloned();
            techniques.extend(new.collect::<Vec<_>>());
            reasons.push(hit.reason.clone());
        }
        if by_model > Level::None {
            reasons.push(format!("model: {} {score:.2}", model.what));
            let new = model.techniques.iter().filter(|t| !techniques.iter().any(|k| k == *t));
            techniques.extend(new.map(|t| (*t).to_owned()).collect::<Vec<_>>());
        }
        let category =
            named.map_or_else(|| Token::sanitised(model.category), |hit| hit.category.clone());
        Some(Self {
            level,
            score: score.max(floor(level, thresholds)),
            confidence: (1.0 - doubt).clamp(0.0, 0.999),
            category,
            techniques,
            reasons,
        })
    }

    /// Joins what counters say: the worse of both leads, and the sign is one more witness.
    #[must_use]
    pub fn with_sign(found: Option<Self>, sign: Option<Sign>, of: &Thresholds) -> Option<Self> {
        let Some(sign) = sign.filter(|sign| sign.level > Level::None) else { return found };
        let mut found = found.unwrap_or_else(|| Self { confidence: 0.0, ..Self::ordinary(0.0) });
        if sign.level > found.level {
            found.category = Token::sanitised(sign.category);
            found.level = sign.level;
        }
        let believed = belief(sign.level);
        found.score = found.score.max(floor(sign.level, of).max(believed));
        found.confidence = (1.0 - (1.0 - found.confidence) * (1.0 - believed)).min(0.999);
        let new = sign.techniques.iter().filter(|t| !found.techniques.iter().any(|k| k == *t));
        let new: Vec<String> = new.map(|t| (*t).to_owned()).collect();
        found.techniques.extend(new);
        found.reasons.push(sign.reason);
        Some(found)
    }

    /// What is said about an ordinary event, where something must be said.
    #[must_use]
    pub fn ordinary(score: f32) -> Self {
        Self {
            level: Level::None,
            score,
            confidence: 1.0 - score,
            category: Token::sanitised("none"),
            techniques: Vec::new(),
            reasons: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAYS: ModelSays<'_> =
        ModelSays { category: "sql_injection", techniques: &["T1190"], what: "SQL injection" };

    fn hit(level: Level, category: &str) -> Arc<Hit> {
        Arc::new(Hit {
            level,
            category: Token::sanitised(category),
            techniques: vec!["T1505.003".to_owned()],
            reason: category.to_owned(),
        })
    }

    fn weigh(score: f32, hits: &[Arc<Hit>]) -> Option<Finding> {
        Finding::weigh(&Thresholds::default(), score, hits, SAYS)
    }

    #[test]
    fn the_worse_of_model_and_patterns_decides() {
        assert_eq!(weigh(0.1, &[]), None);
        let model = weigh(0.9, &[]).unwrap();
        assert_eq!((model.level, model.category.as_str()), (Level::High, "sql_injection"));
        assert!((model.confidence - 0.9).abs() < 1e-6);
        let pattern = weigh(0.1, &[hit(Level::Critical, "file_write")]).unwrap();
        assert_eq!((pattern.level, pattern.category.as_str()), (Level::Critical, "file_write"));
        assert!(pattern.score >= 0.95 && pattern.techniques == ["T1505.003"]);
        let both = weigh(0.9, &[hit(Level::High, "union"), hit(Level::Low, "odd")]).unwrap();
        assert!(both.confidence > 0.99 && both.reasons.len() == 3);
        let mild = weigh(0.9, &[hit(Level::Low, "odd")]).unwrap();
        assert_eq!((mild.level, mild.category.as_str()), (Level::High, "sql_injection"));
    }

    #[test]
    fn a_sign_raises_what_is_ordinary_and_adds_to_what_is_not() {
        let sign = |level| Sign {
            level,
            category: "brute_force",
            techniques: &["T1110.001"],
            reason: "4 failures in a day".to_owned(),
        };
        let of = Thresholds::default();
        assert_eq!(Finding::with_sign(None, None, &of), None);
        let alone = Finding::with_sign(None, Some(sign(Level::Medium)), &of).unwrap();
        assert_eq!((alone.level, alone.category.as_str()), (Level::Medium, "brute_force"));
        assert!(alone.score >= 0.5 && alone.score < 0.85 && alone.confidence > 0.5);
        let both = Finding::with_sign(weigh(0.9, &[]), Some(sign(Level::Medium)), &of).unwrap();
        assert_eq!((both.level, both.category.as_str()), (Level::High, "sql_injection"));
        assert_eq!((both.techniques.len(), both.reasons.len()), (2, 2));
        assert!((both.score - 0.9).abs() < 1e-6 && both.confidence > 0.95);
    }
}
