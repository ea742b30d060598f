//! sql-guard alone: time and memory of a process that scores.

use magsentinel_bus_schema::{Fields, Timestamp};
use magsentinel_patrol::{
    inference,
    patrol::Seen,
    patrols::{self, find},
    scorer::Blueprint,
};
use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};

const CHILD: &str = "MAGSENTINEL_BENCH_SCORE";

/// Measures each runtime in a process of its own: a process can only ever have one.
pub async fn run() {
    if let Ok(library) = std::env::var(CHILD) {
        return measure(Some(library).filter(|l| l != "tract").map(PathBuf::from));
    }
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    for library in [native.as_str(), "tract"] {
        let own = std::env::current_exe().expect("own path");
        let out = Command::new(own).arg("score").env(CHILD, library).output().expect("runs");
        let text = String::from_utf8_lossy(&out.stdout);
        text.lines().skip(1).for_each(|line| println!("{line}"));
    }
}

fn measure(onnxruntime: Option<PathBuf>) {
    let name = if onnxruntime.is_some() { "native" } else { "tract" };
    let config = patrols::Config::default();
    let entry = find("sql-guard").expect("sql-guard");
    let inference = inference::Config { onnxruntime, ..inference::Config::default() };
    let blueprint = Blueprint::new(entry, &config, &inference).expect("a blueprint");
    let blueprint = Arc::new(blueprint);
    let model = Arc::new(Mutex::new(blueprint.armed().expect("a model")));
    let mut scorer = blueprint.scorer(model, None);
    let body = |n| {
        let text = super::statement(n);
        Fields(
            [("text".to_owned(), text.into()), ("user".to_owned(), "app".into())]
                .into_iter()
                .collect(),
        )
    };
    let bodies: Vec<Fields> = (0..640).map(body).collect();
    let ts = Timestamp::from_micros(1);
    let seen: Vec<Seen<'_>> =
        bodies.iter().map(|body| Seen { body, ts, ts_refused: false, repeated: false }).collect();
    let mut verdicts = Vec::new();
    for batch in [1, 64] {
        let mut each = Vec::new();
        for _ in 0..(if batch == 1 { 8 } else { 200 }) {
            for chunk in seen.chunks(batch) {
                let begun = Instant::now();
                scorer.score(chunk, &mut verdicts);
                each.push(begun.elapsed().as_secs_f64() * 1e6 / chunk.len() as f64);
            }
        }
        each.sort_by(f64::total_cmp);
        let p50 = super::quantile(&each, 0.5);
        println!(
            "{:<46} {:>11.1} µs",
            format!("sql-guard {name}, batch {batch}, p50 an event"),
            p50
        );
        if batch == 64 {
            let label = format!("sql-guard {name}, batch 64, events/s/core");
            println!("{label:<46} {:>14.0}", 1e6 / p50);
        }
    }
}
