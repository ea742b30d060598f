//! The texts of a new patrol, with `@words@` to fill in.

use sha2::{Digest, Sha256};

/// What is filled in.
pub(super) struct Words<'a> {
    /// `cookie-watch`
    pub(super) name: &'a str,
    /// `cookie_watch`
    pub(super) section: &'a str,
    /// `api`
    pub(super) kind: &'a str,
    /// `Api`
    pub(super) variant: &'a str,
}

impl Words<'_> {
    /// A text with the words filled in.
    pub(super) fn fill(&self, text: &str) -> String {
        let camel: String = self.name.split('-').map(capital).collect();
        text.replace("@name@", self.name)
            .replace("@section@", self.section)
            .replace("@kind@", self.kind)
            .replace("@variant@", self.variant)
            .replace("@type@", &camel)
            .replace("@id@", &rule_id(self.name))
            .replace("@long@", &"x".repeat(9000))
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |c| c.to_ascii_uppercase().to_string() + chars.as_str())
}

/// An id for the patrol's first rule, in the form of a UUID, from the patrol's name.
fn rule_id(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let mut id = hex;
    for at in [8, 13, 18, 23] {
        id.insert(at, '-');
    }
    id
}

/// The patrol's file. It finds something real, if little: values far longer than any should be.
pub(super) const PATROL: &str = r#"//! # @name@: overlong values in `@kind@` events
//!
//! **Finds** `@kind@` events with a text far longer than such events carry: `oversized_value`.
//!
//! **Reads** every text of the body but the annotations of recorded rows.
//!
//! **Techniques**: T1190.
//!
//! **Limits**: one event is judged alone, by its longest text only.

use crate::{
    body,
    inference::{Embedded, Input, Rows},
    patrol::{Evidence, Finding, ModelSays, Patrol, Seen, Spec},
    patrols::{Keyed, Maker},
};
use magsentinel_bus_schema::{Fields, Kind, Thresholds};

patrol_config! {
    /// Section `patrols.@section@`.
    {}
}

macro_rules! pattern {
    ($name:literal) => {
        ($name, include_str!(concat!("../../patterns/@name@/", $name)))
    };
}

/// The fixed facts of @name@.
pub const SPEC: Spec = Spec {
    name: "@name@",
    kinds: &[Kind::@variant@],
    keys: &[],
    facts: &[],
    input: Input::Values(1),
    model: Embedded {
        onnx: include_bytes!("../../models/@name@.onnx"),
        selftest: include_str!("../../models/@name@.selftest.json"),
    },
    patterns: &[pattern!("first.yml")],
};

pub(super) fn problems(_: &Config) -> Vec<String> {
    Vec::new()
}

pub(super) fn maker(config: &Config) -> Maker {
    let thresholds = config.thresholds;
    Box::new(move |_| Box::new(@type@ { thresholds }))
}

pub(super) fn keyed(_: &Config) -> Option<Keyed> {
    None
}

struct @type@ {
    thresholds: Thresholds,
}

/// Characters of the longest text.
fn longest(fields: &Fields) -> u32 {
    let texts = body::readable(fields).filter_map(|(_, value)| value.as_str());
    let chars = texts.map(|text| text.chars().count()).max().unwrap_or(0);
    u32::try_from(chars).unwrap_or(u32::MAX)
}

impl Patrol for @type@ {
    fn features(&mut self, seen: &Seen<'_>, rows: &mut Rows) -> Result<(), String> {
        if let [length] = rows.values() {
            #[expect(clippy::cast_possible_truncation, reason = "a logarithm is small")]
            let ln = f64::from(longest(seen.body)).ln_1p() as f32;
            *length = ln;
        }
        Ok(())
    }

    fn judge(&mut self, seen: &Seen<'_>, evidence: &Evidence<'_>) -> Option<Finding> {
        let says = ModelSays {
            category: "oversized_value",
            techniques: &["T1190"],
            what: "an overlong value",
        };
        let mut found = Finding::weigh(&self.thresholds, evidence.score, evidence.hits, says)?;
        found.reasons.push(format!("its longest text has {} characters", longest(seen.body)));
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, inference, score_rows};
    use magsentinel_bus_schema::Fields;
    use serde_json::json;

    #[test]
    fn an_overlong_value_is_flagged_and_an_ordinary_one_is_not() {
        let rows = ["hello".to_owned(), "x".repeat(9000)].map(|text| {
            let body = json!({ "note": text });
            Fields(body.as_object().cloned().unwrap_or_default())
        });
        let (config, inference) = (Config::default(), inference::Config::default());
        let scored = score_rows("@name@", &config, &inference, rows.into_iter()).unwrap();
        let levels: Vec<_> = scored.map(|row| row.0["scored"]["level"].clone()).collect();
        assert_eq!(levels, [json!("none"), json!("high")]);
    }
}
"#;

/// A pattern to start with.
pub(super) const PATTERN: &str = "title: Encoded null byte in a user name
id: @id@
description: A first pattern of @name@; write what it is really about.
logsource: {product: magsentinel, category: @kind@}
detection:
  null_byte:
    user|contains: '%00'
  condition: null_byte
level: low
tags: [attack.initial-access, attack.t1190, mag.null_byte]
";

/// Its scenario: an attack, what looks alike, and nothing else yet. In 9,000 letters nobody would
/// see the text of the row, so they are written when it is filled in.
pub(super) const SCENARIO: &str = r#"{"phase": "a note that is far too long", "label": 1, "category": "oversized_value", "ts": 1772438400, "note": "@long@"}
{"phase": "an ordinary note", "label": 0, "ts": 1772438460, "note": "milk, bread and two tins of tuna"}
"#;

/// Its model card, with the headings that every card has.
pub(super) const CARD: &str = "# @name@: model card

**Purpose.** Says how much longer the longest text of a `@kind@` event is than such texts are.

**Input** `x` [N, 1] float32: the natural logarithm of one and the characters of the longest text.
**Output** `score` [N, 1] float32, 0..=1. N is symbolic.

## Method

One weight and one bias, written by hand: trained on nothing yet.

## Data

None.

## Results

None but the scenario's: write here what is found of each source that was left out of training, at
which rate of false alarms, and beside a simple baseline.

## Limits

One event is judged alone, by its longest text only.
";
