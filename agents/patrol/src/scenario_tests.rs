//! The scenario of each patrol: `scenarios/<patrol>.jsonl`, rows as recordings have them.
//!
//! A row's `phase` names its scene. Of an attack, one row with `label` 1 must be flagged and named
//! as its `category`; no row with `label` 0 may be flagged; a row whose label is null may be either.
//! Of a patrol that scores several kinds, rows are events: `kind`, and the rest in `body`.

use crate::{Config, Given, inference, patrols::TABLE, score_rows};
use magsentinel_bus_schema::{Fields, Level};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

fn given(line: &str) -> Given {
    let row: Value = serde_json::from_str(line).unwrap();
    let fields = |row: &Value| Fields(row.as_object().cloned().unwrap_or_default());
    if !row["body"].is_object() || row["path"].is_string() {
        return fields(&row).into();
    }
    let kind = row["kind"].as_str().and_then(|kind| kind.parse().ok());
    Given { kind, body: fields(&row["body"]), refused: None }
}

fn rows(patrol: &str) -> Vec<Given> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let file = Path::new(&package).join(format!("scenarios/{patrol}.jsonl"));
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}: every patrol has one", file.display()));
    text.lines().map(given).collect()
}

fn text<'a>(row: &'a Fields, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_flagged(row: &Fields) -> bool {
    let level = row.get("scored").and_then(|scored| scored["level"].as_str());
    level.and_then(Level::from_token).is_some_and(Level::is_flagged)
}

/// Flagged, named as its scene says, with a technique and a reason.
fn is_told(row: &Fields) -> bool {
    let Some(scored) = row.get("scored").filter(|_| is_flagged(row)) else { return false };
    let filled = |name: &str| scored[name].as_array().is_some_and(|list| !list.is_empty());
    scored["category"] == text(row, "category") && filled("techniques") && filled("reasons")
}

#[test]
fn every_patrol_tells_the_attacks_of_its_scenario_and_leaves_what_looks_alike() {
    let (config, inference) = (Config::default(), inference::Config::default());
    for entry in TABLE {
        let patrol = entry.spec.name;
        let rows = rows(patrol).into_iter();
        let (mut attacks, mut calm) = (BTreeMap::new(), 0);
        for row in score_rows(patrol, &config, &inference, rows).unwrap() {
            let phase = text(&row, "phase").to_owned();
            match row.get("label").and_then(Value::as_u64) {
                Some(1) => *attacks.entry(phase).or_insert(false) |= is_told(&row),
                Some(_) => {
                    assert!(!is_flagged(&row), "{patrol}: {phase} is flagged: {row:?}");
                    calm += 1;
                }
                None => {}
            }
        }
        let missed: Vec<_> = attacks.iter().filter(|(_, told)| !**told).collect();
        assert!(missed.is_empty(), "{patrol} does not tell {missed:?}");
        assert!(!attacks.is_empty() && calm > 0, "{patrol}: an attack and what looks alike");
    }
}
