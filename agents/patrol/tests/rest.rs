//! What work builds up in memory goes again when there is none.
//!
//! Counted is what is allocated and not freed, exactly, by this process's own allocator.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use magsentinel_patrol::{
    Config, inference,
    patrol::Seen,
    patrols::find,
    scorer::{Blueprint, Scorer, Verdict},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{
    alloc::System,
    path::Path,
    sync::{Arc, Mutex},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated now.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Ordinary and other statements.
fn bodies() -> Vec<Fields> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let files = ["good/sql.jsonl", "../../training/selftest_sql.jsonl"];
    let texts = files.map(|file| std::fs::read_to_string(Path::new(&package).join(file)).unwrap());
    let rows = texts.iter().flat_map(|text| text.lines());
    let body = |row: &str| Fields(serde_json::from_str(row).unwrap());
    rows.map(body).collect()
}

fn score(scorer: &mut Scorer, bodies: &[Fields], verdicts: &mut Vec<Verdict>) {
    let ts = Timestamp::from_micros(1);
    let kind = Kind::Sql;
    let seen = |body| Seen { kind, body, ts, ts_refused: false, repeated: false, timed: true };
    scorer.score(&bodies.iter().map(seen).collect::<Vec<_>>(), verdicts);
}

#[test]
fn a_patrol_that_is_still_holds_hardly_more_than_one_that_never_worked() {
    let (config, inference) = (Config::default(), inference::Config::default());
    let blueprint = Blueprint::new(find("sql-guard").unwrap(), &config, &inference).unwrap();
    let blueprint = Arc::new(blueprint);
    let mut scorer = blueprint.scorer(Arc::new(Mutex::new(blueprint.armed().unwrap())), None);
    let bodies = bodies();
    let (mut first, mut again) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let before = held();
    score(&mut scorer, &bodies, &mut first);
    let worked = held();
    blueprint.rest_when_still();
    assert!(held() >= worked, "it had just worked");
    blueprint.rest_when_still();
    let rested = held();
    let (grown, kept) = (worked - before, rested.saturating_sub(before));
    assert!(grown > 500_000, "work takes memory: {grown}");
    assert!(kept < grown / 3, "of {grown} bytes {kept} stay");
    score(&mut scorer, &bodies, &mut again);
    assert_eq!(first, again);
}
