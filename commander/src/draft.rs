//! What a model is asked to write: its JSON schema, and how its answer is read.

use crate::pattern::WORDS_MAX;
use magsentinel_bus_schema::Level;
use serde::Deserialize;
use serde_json::{Value, json};

/// Fewest characters of a text: below that it says nothing.
pub(crate) const TEXT_CHARS_MIN: usize = 16;
/// Most claims of each list.
const CHAIN_MAX: usize = 8;
const BLAST_MAX: usize = 4;
const STEPS_MAX: usize = 5;
/// Most actions that it suggests, each with a reason of half a claim's length.
const ACTIONS_MAX: usize = 4;
/// Most labels that one claim cites.
const CITES_MAX: usize = 8;

/// Most characters of the texts, from the answer's token budget: the longest answer that the
/// schema allows has about 3.5 characters a token, so that it ends before its budget does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chars {
    claim: usize,
    executive: usize,
    technical: usize,
}

impl Chars {
    fn of(tokens_max: usize) -> Self {
        let scaled = |at_2048: usize| (at_2048 * tokens_max.min(8192) / 2048).max(48);
        Self { claim: scaled(200), executive: scaled(500), technical: scaled(1000) }
    }
}

/// A draft as a model writes it. Nothing in it is believed yet.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Level; may raise the assessment's, never lower it.
    pub level: Level,
    /// How the attack was carried in.
    pub attack_vector: DraftClaim,
    /// The steps, in order.
    pub chain: Vec<DraftClaim>,
    /// What was reached.
    pub blast_radius: Vec<DraftClaim>,
    /// How sure it is that those whom the evidence names did it, 0..=1. Who that is, the playbook
    /// says: a sentence about somebody could be anybody's wish.
    pub attribution_confidence: f32,
    /// What to do now.
    pub remediation: Vec<DraftClaim>,
    /// What to change.
    pub prevention: Vec<DraftClaim>,
    /// For those who decide.
    pub executive: DraftClaim,
    /// For those who repair.
    pub technical: DraftClaim,
    /// Which of the offered actions fit; none where none was offered.
    #[serde(default)]
    pub actions: Vec<DraftAction>,
    /// Words of a pattern that it proposes; none where it proposes none, or was offered none.
    #[serde(default)]
    pub pattern_words: Vec<String>,
}

/// A statement of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftClaim {
    /// The statement.
    pub text: String,
    /// Labels of the events that it rests on.
    pub cites: Vec<String>,
}

/// An action that a draft suggests: one of those that were offered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftAction {
    /// The label of an offered action: `A1` is the first.
    pub action: String,
    /// Why.
    pub text: String,
    /// Labels of the events that it rests on.
    pub cites: Vec<String>,
}

/// Why an answer is no draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("the answer is empty")]
    Empty,
    /// More than the schema allows.
    #[error("{what} has {found}, over the limit of {max}")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// No JSON of the schema.
    #[error("the answer is no JSON of the schema: {0}")]
    Invalid(String),
}

/// JSON schema of a draft about `labels` events whose assessment has `level`. Every string and
/// array is bounded and white space is fixed, so that a weak model cannot write for ever; only
/// labels that exist and levels that do not lower can be written at all.
#[must_use]
pub fn schema(labels: usize, level: Level, tokens_max: usize) -> Value {
    let chars = Chars::of(tokens_max);
    let text =
        |max: usize| json!({"type": "string", "minLength": TEXT_CHARS_MIN, "maxLength": max});
    let labels: Vec<String> = (1..=labels).map(|n| format!("E{n}")).collect();
    let cites = json!({
        "type": "array", "minItems": 1, "maxItems": CITES_MAX, "items": {"enum": labels},
    });
    let summary = |max: usize| object(&[("text", text(max)), ("cites", cites.clone())]);
    let claim = summary(chars.claim);
    let claims =
        |max: usize| json!({"type": "array", "minItems": 1, "maxItems": max, "items": claim});
    let levels: Vec<&str> = Level::ALL.iter().filter(|l| **l >= level).map(|l| l.token()).collect();
    let tenths = json!({"enum": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]});
    let mut schema = object(&[
        ("level", json!({"enum": levels})),
        ("attack_vector", claim.clone()),
        ("chain", claims(CHAIN_MAX)),
        ("blast_radius", claims(BLAST_MAX)),
        ("attribution_confidence", tenths),
        ("remediation", claims(STEPS_MAX)),
        ("prevention", claims(STEPS_MAX)),
        ("executive", summary(chars.executive)),
        ("technical", summary(chars.technical)),
    ]);
    if let Some(map) = schema.as_object_mut() {
        map.insert("x-guidance".to_owned(), json!({"whitespace_flexible": false}));
    }
    schema
}

/// The same where a model may propose a pattern: it can choose words of `offered` and write no
/// other. Nothing is added where none are offered.
#[must_use]
pub fn with_words(mut schema: Value, offered: &[String]) -> Value {
    if !offered.is_empty() {
        let words = json!({
            "type": "array", "minItems": 0, "maxItems": WORDS_MAX, "items": {"enum": offered},
        });
        add(&mut schema, "pattern_words", words);
    }
    schema
}

/// The same where so many actions are offered, which it may suggest by their labels.
#[must_use]
pub fn with_actions(mut schema: Value, offered: usize) -> Value {
    let claim = schema.pointer("/properties/attack_vector/properties").cloned();
    let (1.., Some(Value::Object(claim))) = (offered, claim) else { return schema };
    let of = |name: &str| claim.get(name).cloned().unwrap_or_default();
    let max = of("text").get("maxLength").and_then(Value::as_u64).unwrap_or_default();
    let why = json!({"type": "string", "minLength": TEXT_CHARS_MIN, "maxLength": max / 2});
    let labels: Vec<String> = (1..=offered).map(|n| format!("A{n}")).collect();
    let fields = [("action", json!({"enum": labels})), ("text", why), ("cites", of("cites"))];
    let action = object(&fields);
    let actions = json!({"type": "array", "minItems": 0, "maxItems": ACTIONS_MAX, "items": action});
    add(&mut schema, "actions", actions);
    schema
}

fn add(schema: &mut Value, name: &str, of: Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(name.to_owned(), of);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.push(name.into());
    }
}

fn object(properties: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    })
}

/// Reads an answer and checks the bounds that the schema names: a writer may have ignored it.
///
/// # Errors
/// When it is empty, no JSON of the schema, or longer than the schema allows.
pub fn read(answer: &str, tokens_max: usize) -> Result<Draft, Error> {
    let answer = answer.trim();
    if answer.is_empty() {
        return Err(Error::Empty);
    }
    // Six bytes are one escaped character at its worst.
    let most = 64 + tokens_max.max(2048) * 8 * 6;
    within("the answer in bytes", answer.len(), most)?;
    let draft: Draft = serde_json::from_str(answer)
        .map_err(|e| Error::Invalid(crate::untrusted::shown(&e.to_string(), 160)))?;
    check_bounds(&draft, Chars::of(tokens_max))?;
    Ok(draft)
}

fn check_bounds(draft: &Draft, chars: Chars) -> Result<(), Error> {
    for (what, claims, max) in [
        ("chain", &draft.chain, CHAIN_MAX),
        ("blast_radius", &draft.blast_radius, BLAST_MAX),
        ("remediation", &draft.remediation, STEPS_MAX),
        ("prevention", &draft.prevention, STEPS_MAX),
    ] {
        within(what, claims.len(), max)?;
        for claim in claims {
            check_claim(what, claim, chars.claim)?;
        }
    }
    within("pattern_words", draft.pattern_words.len(), WORDS_MAX)?;
    within("actions", draft.actions.len(), ACTIONS_MAX)?;
    for action in &draft.actions {
        within("actions", action.text.chars().count(), chars.claim / 2)?;
        within("actions", action.cites.len(), CITES_MAX)?;
    }
    check_claim("attack_vector", &draft.attack_vector, chars.claim)?;
    check_claim("executive", &draft.executive, chars.executive)?;
    check_claim("technical", &draft.technical, chars.technical)
}

fn check_claim(what: &'static str, claim: &DraftClaim, chars_max: usize) -> Result<(), Error> {
    within(what, claim.text.chars().count(), chars_max)?;
    within(what, claim.cites.len(), CITES_MAX)
}

fn within(what: &'static str, found: usize, max: usize) -> Result<(), Error> {
    if found <= max { Ok(()) } else { Err(Error::TooLong { what, found, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_bounds_every_string_and_array_and_allows_no_lowering() {
        fn walk(value: &Value) {
            match value["type"].as_str() {
                Some("string") => assert!(value["maxLength"].is_u64(), "{value}"),
                Some("array") => assert!(value["maxItems"].is_u64(), "{value}"),
                _ => {}
            }
            match value {
                Value::Object(map) => map.values().for_each(walk),
                Value::Array(items) => items.iter().for_each(walk),
                _ => {}
            }
        }
        let schema = schema(3, Level::High, 2048);
        walk(&schema);
        assert_eq!(schema["properties"]["level"]["enum"], json!(["high", "critical"]));
        assert_eq!(schema["x-guidance"]["whitespace_flexible"], false);
        let cites = &schema["properties"]["attack_vector"]["properties"]["cites"];
        assert_eq!(cites["items"]["enum"], json!(["E1", "E2", "E3"]));
        assert_eq!(with_words(schema.clone(), &[]), schema);
        assert_eq!(with_actions(schema.clone(), 0), schema);
        let acting = with_actions(schema.clone(), 2);
        walk(&acting);
        let action = &acting["properties"]["actions"]["items"]["properties"];
        assert_eq!(action["action"]["enum"], json!(["A1", "A2"]));
        assert_eq!(action["cites"]["items"]["enum"], json!(["E1", "E2", "E3"]));
        assert_eq!(schema["properties"]["executive"]["properties"]["cites"], *cites);
        let offering = with_words(schema, &["procedure".to_owned()]);
        walk(&offering);
        let words = &offering["properties"]["pattern_words"];
        assert_eq!(words["items"]["enum"], json!(["procedure"]));
        assert!(
            offering["required"].as_array().is_some_and(|r| r.contains(&json!("pattern_words")))
        );
    }

    #[test]
    fn what_is_no_draft_is_told_apart() {
        assert_eq!(read("  ", 2048), Err(Error::Empty));
        for answer in ["{", "[]", "null", "{\"level\":\"high\"}", "Sure! Here is the JSON:"] {
            assert!(matches!(read(answer, 2048), Err(Error::Invalid(_))), "{answer}");
        }
        let huge = "x".repeat(1_000_000);
        assert!(matches!(read(&huge, 2048), Err(Error::TooLong { .. })));
    }
}
