//! A patrol's blueprint, a bundle for it, and what a scorer finds.

use magsentinel_bus_schema::{Fields, Kind, Level, Timestamp};
use magsentinel_patrol::{
    Config,
    bundle::Bundle,
    inference,
    patrol::Seen,
    patrols::{Entry, find},
    scorer::{Blueprint, Scorer, Verdict},
};
use serde_json::json;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const RULE: &str = "title: A word that only this bundle knows
id: 5d2f3c0e-4a55-4a2e-9f0e-6d1d5c0a7b11
logsource: {product: magsentinel, category: sql}
tags: [mag.odd_fruit]
detection:
  word: {text|contains: kumquat}
  condition: word
level: high
";

fn entry() -> &'static Entry {
    find("sql-guard").unwrap()
}

pub(crate) fn blueprint() -> Arc<Blueprint> {
    let (config, inference) = (Config::default(), inference::Config::default());
    Arc::new(Blueprint::new(entry(), &config, &inference).unwrap())
}

/// The shipped model, with one rule of its own or with its usual ones.
pub(crate) fn bundle(own_rule: bool) -> Bundle {
    // Asked for at run time: the build may have happened in another checkout.
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let models = Path::new(&package).join("models/sql-guard.onnx");
    let patterns = own_rule.then(|| vec![("own.yml".to_owned(), RULE.to_owned())]);
    Bundle { patterns, ..Bundle::of_files(entry(), Some(&models), None).unwrap() }
}

pub(crate) fn scorer(blueprint: &Arc<Blueprint>) -> Scorer {
    blueprint.scorer(Arc::new(Mutex::new(blueprint.armed().unwrap())), None)
}

pub(crate) fn found(scorer: &mut Scorer, texts: &[&str]) -> Vec<bool> {
    let bodies: Vec<Fields> = texts
        .iter()
        .map(|text| Fields(json!({ "text": text }).as_object().cloned().unwrap()))
        .collect();
    let ts = Timestamp::from_micros(1);
    let kind = Kind::Sql;
    let seen = |body| Seen { kind, body, ts, ts_refused: false, repeated: false, timed: true };
    let mut verdicts = Vec::new();
    scorer.score(&bodies.iter().map(seen).collect::<Vec<_>>(), &mut verdicts);
    let is_found = |verdict: &Verdict| match verdict {
        Verdict::Found(finding) => finding.level >= Level::High,
        Verdict::Ordinary(_) => false,
        other => panic!("{other:?}"),
    };
    verdicts.iter().map(is_found).collect()
}

/// What is allocated is counted for the whole process, so one test runs at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
