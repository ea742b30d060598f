//! From the text of one chain file to chains. The Sigma parser is tolerant of what it does not
//! know; a chain file must not be, so every key of it is checked here.

mod alias;
mod condition;
mod link;

use super::{Chain, Confidence, Matcher, Rule, Severity, TACTICS};
use magsentinel_bus_schema::{Level, Token};
use rsigma_parser::{CorrelationRule, SigmaRule, WindowMode};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Our own keys in a correlation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Extras {
    attack_type: Option<Token>,
    level: Option<String>,
    confidence: Confidence,
    techniques: Vec<String>,
    tactics: Vec<String>,
    plan: Vec<String>,
    otherwise: Vec<String>,
}

const METADATA: &[&str] = &[
    "title",
    "id",
    "name",
    "status",
    "description",
    "author",
    "references",
    "date",
    "modified",
    "related",
    "license",
    "tags",
    "level",
    "falsepositives",
    "taxonomy",
    "sigma-version",
];
const CORRELATION: &[&str] =
    &["type", "rules", "group-by", "timespan", "timeframe", "condition", "aliases"];
const UNSUPPORTED: &[&str] = &[
    "action",
    "custom_attributes",
    "fields",
    "filter",
    "gap",
    "generate",
    "rsigma.gap",
    "rsigma.window",
    "scope",
    "window",
];

/// Longest window, in seconds: a day. State grows with it.
const WINDOW_S_MAX: u64 = 86_400;

/// The chains of a file, and everything that is wrong with it.
pub(super) fn file(text: &str) -> (Vec<Chain>, Vec<String>) {
    let mut wrong = Vec::new();
    let documents = documents(text, &mut wrong);
    let collection = match rsigma_parser::parse_sigma_yaml(text) {
        Ok(collection) => collection,
        Err(e) => {
            wrong.push(e.to_string());
            return (vec![], wrong);
        }
    };
    wrong.extend(collection.errors.iter().cloned());
    if !wrong.is_empty() {
        return (vec![], wrong);
    }
    let extras = extras(&documents, &mut wrong);
    let rules = rules(&collection.rules, &mut wrong);
    let chains = link::chains(&collection.correlations, &rules, &extras, &mut wrong);
    let used: BTreeSet<&str> =
        collection.correlations.iter().flat_map(|c| &c.rules).map(String::as_str).collect();
    for name in rules.keys().filter(|name| !used.contains(name.as_str())) {
        wrong.push(format!("rule {name:?} is used by no correlation of this file"));
    }
    if collection.correlations.is_empty() {
        wrong.push("holds no correlation".to_owned());
    }
    (chains, wrong)
}

fn documents(text: &str, wrong: &mut Vec<String>) -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    for document in yaml_serde::Deserializer::from_str(text) {
        match Value::deserialize(document) {
            Ok(Value::Object(map)) => {
                check_document(&map, wrong);
                found.push(map);
            }
            Ok(_) => wrong.push("a document is no mapping".to_owned()),
            Err(e) => {
                wrong.push(format!("no YAML: {e}"));
                break;
            }
        }
    }
    found
}

fn check_document(document: &Map<String, Value>, wrong: &mut Vec<String>) {
    let title = document.get("title").and_then(Value::as_str).unwrap_or("untitled");
    let mut known = METADATA.to_vec();
    if let Some(correlation) = document.get("correlation") {
        known.extend(["correlation", "magsentinel"]);
        if let Value::Object(map) = correlation {
            check_keys(&format!("{title:?}: correlation."), map, CORRELATION, wrong);
            check_strings(title, map, wrong);
            alias::check(title, map, wrong);
            if let Some(Value::Object(condition)) = map.get("condition") {
                let at = format!("{title:?}: correlation.condition.");
                check_keys(&at, condition, condition::KEYS, wrong);
            }
        }
    } else {
        known.extend(["logsource", "detection"]);
    }
    check_keys(&format!("{title:?}: "), document, &known, wrong);
}

fn check_keys(at: &str, map: &Map<String, Value>, known: &[&str], wrong: &mut Vec<String>) {
    for key in map.keys().map(String::as_str).filter(|key| !known.contains(key)) {
        let what =
            if UNSUPPORTED.contains(&key) { "is not supported" } else { "is an unknown field" };
        wrong.push(format!("{at}{key} {what}"));
    }
}

/// The parser drops list elements that are no text, and negative numbers wrap: not here.
fn check_strings(title: &str, correlation: &Map<String, Value>, wrong: &mut Vec<String>) {
    for key in ["rules", "group-by"] {
        let good = match correlation.get(key) {
            Some(Value::Array(list)) => !list.is_empty() && list.iter().all(Value::is_string),
            Some(value) => value.is_string(),
            None => false,
        };
        if !good {
            wrong.push(format!("{title:?}: correlation.{key} must be a list of names"));
        }
    }
    let kind = correlation.get("type").and_then(Value::as_str).unwrap_or_default();
    let condition = correlation.get("condition").and_then(Value::as_object);
    for (key, value) in condition.into_iter().flatten() {
        if key != "field" && condition::KEYS.contains(&key.as_str()) && !value.is_u64() {
            wrong.push(format!("{title:?}: condition.{key} must be a whole number from 0"));
        }
        // The parser makes the same of a missing one: one rule of several would be taken for all.
        if key == "gte" && value == 1 && kind.starts_with("temporal") {
            wrong.push(format!("{title:?}: condition.gte: a {kind} correlation wants all rules"));
        }
        if key == "field" && !value.is_string() {
            wrong.push(format!("{title:?}: condition.field must be one field"));
        }
    }
}

/// Our keys, by the title of the correlation that holds them.
fn extras(documents: &[Map<String, Value>], wrong: &mut Vec<String>) -> BTreeMap<String, Extras> {
    let mut found = BTreeMap::new();
    for document in documents.iter().filter(|d| d.contains_key("correlation")) {
        let title = document.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
        let ours = document.get("magsentinel").cloned().unwrap_or(Value::Object(Map::new()));
        match serde_json::from_value(ours) {
            Ok(extras) => {
                if found.insert(title.clone(), extras).is_some() {
                    wrong.push(format!("two correlations have the title {title:?}"));
                }
            }
            Err(e) => wrong.push(format!("{title:?}: magsentinel: {e}")),
        }
    }
    found
}

fn rules(rules: &[SigmaRule], wrong: &mut Vec<String>) -> BTreeMap<String, Rule> {
    let mut found = BTreeMap::new();
    for rule in rules {
        let Some(name) = rule.name.clone().or_else(|| rule.id.clone()) else {
            wrong.push(format!("rule {:?} has no name", rule.title));
            continue;
        };
        let source = &rule.logsource;
        let ours = source.product.as_deref() == Some("magsentinel")
            && source.service.as_deref() == Some("scored")
            && source.category.is_none()
            && source.custom.is_empty();
        if !ours {
            let want = "{product: magsentinel, service: scored}";
            wrong.push(format!("rule {name:?}: logsource must be {want}"));
        }
        match Matcher::of(&rule.detection) {
            Ok(matcher) => {
                let title = rule.title.clone();
                let rule = Rule { name: name.clone(), title, matcher };
                if found.insert(name.clone(), rule).is_some() {
                    wrong.push(format!("two rules have the name {name:?}"));
                }
            }
            Err(what) => wrong.push(format!("rule {name:?}: {what}")),
        }
    }
    found
}

/// A correlation of these rules, and of others (see [`link`]) that they are put together from.
fn chain(
    correlation: &CorrelationRule,
    linked: link::Linked,
    extras: &Extras,
    severity: Severity,
) -> Result<Chain, String> {
    let name = correlation.name.as_deref().ok_or("needs a name: its id in the whole mesh")?;
    let name: Token = name.parse().map_err(|e| format!("name: {e}"))?;
    if correlation.window != WindowMode::Sliding || correlation.generate {
        return Err("only sliding windows without generate are supported".to_owned());
    }
    let seconds = correlation.timespan.seconds;
    if !(1..=WINDOW_S_MAX).contains(&seconds) {
        let given = &correlation.timespan.original;
        return Err(format!("timespan {given} must be between 1s and 1d"));
    }
    let (classes, aliased) = alias::keys(correlation, &extras.otherwise)?;
    let (condition, counted) = condition::of(correlation)?;
    Ok(Chain {
        title: correlation.title.clone(),
        classes,
        aliased,
        counted,
        window: Duration::from_secs(seconds),
        condition,
        rules: linked.rules,
        links: linked.links,
        steps: linked.steps,
        attack_type: extras.attack_type.clone().unwrap_or_else(|| name.clone()),
        severity,
        confidence: extras.confidence,
        techniques: extras.techniques.clone(),
        tactics: tactics(&extras.tactics)?,
        plan: extras.plan.clone(),
        name,
    })
}

/// The tactics, each known and told once.
fn tactics(given: &[String]) -> Result<Vec<String>, String> {
    for (at, tactic) in given.iter().enumerate() {
        if !TACTICS.contains(&tactic.as_str()) {
            let known = TACTICS.join(", ");
            return Err(format!("magsentinel.tactics: there is no tactic {tactic:?} (of {known})"));
        }
        if given.iter().take(at).any(|before| before == tactic) {
            return Err(format!("magsentinel.tactics: {tactic} stands there twice"));
        }
    }
    Ok(given.to_vec())
}

fn severity(correlation: &CorrelationRule, extras: &Extras) -> Result<Severity, String> {
    let sigma = correlation.level.map(|level| level.as_str());
    let given = extras.level.as_deref().or(sigma).ok_or("needs a level")?;
    if given == "strongest" {
        return Ok(Severity::Strongest);
    }
    if given == "model" {
        return Ok(Severity::Model);
    }
    let level = Level::from_token(given).filter(|level| *level >= Level::Low);
    level.map(Severity::Fixed).ok_or_else(|| {
        format!("level {given:?} is none of low, medium, high, critical, strongest and model")
    })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
