//! What an operator has decided beforehand: alerts that nobody wants to see for a while, and keys
//! that no action may follow from.
//!
//! A suppression ends by the time of the events, not by the clock, so a stream that is read again
//! gives the same decisions. It shapes a decision and is named in what it shaped; nothing is ever
//! dropped without a trace.

pub mod live;

use crate::{
    chain::{Chain, Pattern},
    decision::Verdict,
    window::Key,
};
use magsentinel_bus_schema::{
    Class, Level, Response, Suppressed, Timestamp, Token, suppression::Effect,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most suppressions of an installation.
const SUPPRESSIONS_MAX: usize = 1024;
/// Longest key pattern, reason, and name of an operator, in characters.
const CHARS_MAX: usize = 256;

/// One suppression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// Its name, in every decision that it shapes; a token.
    pub id: Token,
    /// `mute`: neither alert nor action, the assessment is kept. `no_action`: an alert as ever,
    /// and no action.
    pub effect: Effect,
    /// Only decisions of this chain. Default: of any.
    #[serde(default)]
    pub chain: Option<Token>,
    /// Class of the key.
    pub class: Class,
    /// The key, with the wildcards `*` and `?`, without regard to case.
    pub key: String,
    /// Highest level that is suppressed: what is worse comes through. Default `high`.
    #[serde(default = "high")]
    pub level_max: Level,
    /// When it begins: decisions whose newest event is earlier are not suppressed. Default:
    /// always. One that is set while the mesh runs begins a few seconds after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When it ends: decisions whose newest event is later are not suppressed.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub by: String,
}

fn high() -> Level {
    Level::High
}

/// What is wrong with the suppressions.
pub(crate) fn problems(suppressions: &[Suppression]) -> Vec<String> {
    let mut found = Vec::new();
    if suppressions.len() > SUPPRESSIONS_MAX {
        found.push(format!("suppressions: at most {SUPPRESSIONS_MAX} are accepted"));
    }
    let mut ids = BTreeSet::new();
    for Suppression { id, key, reason, by, .. } in suppressions {
        if !ids.insert(id) {
            found.push(format!("suppressions: two have the id {id}"));
        }
        for (name, text) in [("key", key), ("reason", reason), ("by", by)] {
            let length = text.trim().chars().count();
            if !(1..=CHARS_MAX).contains(&length) {
                let must = format!("must have 1 to {CHARS_MAX} characters");
                found.push(format!("suppressions.{id}.{name}: {must}"));
            }
        }
    }
    found
}

/// Applies what holds for a decision about a key; what shaped it.
pub(crate) fn shape(
    suppressions: &[Suppression],
    (key, chain): (&Key, &Chain),
    (level, newest): (Level, Timestamp),
    verdict: &mut Verdict,
) -> Vec<Suppressed> {
    let holds = |s: &&Suppression| {
        s.class == key.class
            && level <= s.level_max
            && newest <= s.until
            && s.from.is_none_or(|from| from <= newest)
            && s.chain.as_ref().is_none_or(|name| *name == chain.name)
            && Pattern::new(&s.key).matches(&key.value)
    };
    let mut shaped = Vec::new();
    for s in suppressions.iter().filter(holds) {
        let milder = match s.effect {
            Effect::Mute => Response::Allow,
            Effect::NoAction => Response::Alert,
        };
        if verdict.response <= milder {
            continue;
        }
        verdict.response = milder;
        verdict.escalate &= s.effect != Effect::Mute;
        shaped.push(Suppressed {
            id: s.id.clone(),
            effect: s.effect,
            until: s.until,
            reason: s.reason.clone(),
            by: s.by.clone(),
        });
    }
    shaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Config, analyze_with,
        testing::{Naming, at, book, scored},
    };
    use magsentinel_bus_schema::Assessment;
    use magsentinel_runtime::settings::Section;
    use serde_json::{Value, json};

    fn config(changes: Value) -> Config {
        let mut one = json!({
            "id": "nightly", "effect": "mute", "class": "user", "key": "backup-*",
            "level_max": "critical", "until": at(100.0).to_string(),
            "reason": "the archive is filled", "by": "ann",
        });
        for (name, value) in changes.as_object().unwrap() {
            one[name] = value.clone();
        }
        serde_json::from_value(json!({ "suppressions": [one] })).unwrap()
    }

    fn decided(config: &Config, user: &str, seconds: f64) -> Assessment {
        let book = book("event_count", 1, 300, "  condition: {gte: 1}");
        let event = scored("a", "p0", Level::High, seconds).user(user);
        let event = magsentinel_bus_schema::Scored { confidence: 1.0, ..event };
        analyze_with(&book, config, vec![event], at(seconds)).pop().unwrap()
    }

    #[test]
    fn only_what_is_meant_is_suppressed_and_each_decision_names_what_shaped_it() {
        for (changes, user, seconds, response) in [
            (json!({}), "backup-7", 0.0, Response::Allow),
            (json!({}), "BACKUP-7", 100.0, Response::Allow),
            (json!({}), "backup-7", 100.001, Response::Block),
            (json!({}), "ann", 0.0, Response::Block),
            (json!({"chain": "tested"}), "backup-7", 0.0, Response::Allow),
            (json!({"chain": "another"}), "backup-7", 0.0, Response::Block),
            (json!({"class": "client"}), "backup-7", 0.0, Response::Block),
            (json!({"level_max": "high"}), "backup-7", 0.0, Response::Block),
            (json!({"effect": "no_action"}), "backup-7", 0.0, Response::Alert),
        ] {
            let of = decided(&config(changes.clone()), user, seconds);
            assert_eq!(of.response, response, "{changes} {user} {seconds}");
            assert_eq!(of.suppressed.is_empty(), response == Response::Block, "{changes}");
            assert_eq!(of.escalate, response != Response::Allow, "{changes}");
            let told = of.reasoning.iter().any(|line| line.contains("the archive is filled"));
            assert_eq!(told, !of.suppressed.is_empty(), "{:?}", of.reasoning);
        }
    }

    #[test]
    fn a_suppression_without_end_reason_or_owner_is_refused() {
        let mut twice = config(json!({"reason": " ", "key": ""}));
        twice.suppressions.push(twice.suppressions[0].clone());
        let problems = twice.problems();
        for what in ["nightly.reason", "nightly.key", "two have the id nightly"] {
            assert!(problems.iter().any(|p| p.contains(what)), "{what} in {problems:?}");
        }
        let endless = json!({"suppressions": [{"id": "a", "effect": "mute", "class": "user",
            "key": "*", "reason": "r", "by": "b"}]});
        let refused = serde_json::from_value::<Config>(endless).unwrap_err();
        assert!(refused.to_string().contains("until"), "{refused}");
    }
}
