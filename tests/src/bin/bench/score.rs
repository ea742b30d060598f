//! Every patrol alone: time and memory of a process that scores, and libinjection and the OWASP
//! rule set on the same inputs.

use super::bodies::body;
use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use magsentinel_patrol::{
    inference,
    patrol::Seen,
    patrols::{self, Entry, TABLE},
    scorer::{Blueprint, Features, Scorer, Verdict},
};
use magsentinel_runtime::memory::resident_bytes;
use magsentinel_tests::rivals::{Request, Rivals, Strictness};
use std::{
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};

const CHILD: &str = "MAGSENTINEL_BENCH_SCORE";
const EVENTS: u64 = 640;
const KEYS: u64 = 50_000;

/// Measures each patrol and runtime in a process of its own, so that memory can be told.
pub async fn run() {
    if let Ok(child) = std::env::var(CHILD) {
        let (patrol, library) = child.split_once(' ').expect("a patrol and a library");
        let entry = patrols::find(patrol).expect("a patrol");
        return measure(entry, Some(library).filter(|l| *l != "tract").map(PathBuf::from));
    }
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    for entry in TABLE {
        for library in [native.as_str(), "tract"] {
            let own = std::env::current_exe().expect("own path");
            let child = format!("{} {library}", entry.spec.name);
            let out = Command::new(own).arg("score").env(CHILD, child).output().expect("runs");
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            let text = String::from_utf8_lossy(&out.stdout);
            text.lines().skip(1).for_each(|line| println!("{line}"));
        }
    }
    match Rivals::load() {
        Ok(rivals) => measure_rivals(&rivals),
        Err(error) => println!("no rivals: {error:#}"),
    }
}

/// Seconds that this thread has run: a busy machine does not count.
pub fn cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

fn say(what: &str, value: impl std::fmt::Display) {
    println!("{what:<58} {value:>14}");
}

fn measure(entry: &'static Entry, onnxruntime: Option<PathBuf>) {
    let name = if onnxruntime.is_some() { "native" } else { "tract" };
    let label = |what: &str| format!("{} {name}, {what}", entry.spec.name);
    let config = patrols::Config::default();
    let inference = inference::Config { onnxruntime, ..inference::Config::default() };
    let blueprint = Arc::new(Blueprint::new(entry, &config, &inference).expect("a blueprint"));
    let model = Arc::new(Mutex::new(blueprint.armed().expect("a model")));
    let class = entry.spec.keys.first().copied();
    let mut scorer = blueprint.scorer(model, class);
    let kind = kind_of(entry);
    let bodies: Vec<Fields> = (0..EVENTS).map(|n| body(entry.spec.name, n, n % 100)).collect();

    let mut features = Features::new(entry, &config, class);
    let rows: usize = seen(kind, &bodies, 0)
        .iter()
        .map(|seen| features.of(seen).map_or(0, magsentinel_patrol::inference::Rows::len))
        .sum();
    let mut each = one_by_one(&mut scorer, kind, &bodies);
    each.sort_by(f64::total_cmp);
    say(&label("one event, p50"), format!("{:.1} µs", super::quantile(&each, 0.5)));
    let rate = in_batches(&mut scorer, kind, &bodies);
    say(&label("batches of 64, events/s/core"), format!("{rate:.0}"));
    let parts = rows as f64 / bodies.len() as f64;
    if parts > 1.5 {
        say(&label("the same, parts/s/core"), format!("{:.0}", rate * parts));
    }
    if class.is_some() {
        say(&label("bytes a live key"), format!("{:.0}", bytes_a_key(&mut scorer, entry)));
    }
}

/// The kind of the events that are scored: that of a body which names none.
fn kind_of(entry: &Entry) -> Kind {
    *entry.spec.kinds.first().expect("a patrol scores a kind")
}

fn seen(kind: Kind, bodies: &[Fields], from: i64) -> Vec<Seen<'_>> {
    let at = |n: usize| Timestamp::from_micros(1_700_000_000_000_000 + from + n as i64 * 50_000);
    let one =
        |(n, body)| Seen { kind, body, ts: at(n), ts_refused: false, repeated: false, timed: true };
    bodies.iter().enumerate().map(one).collect()
}

/// Microseconds of each event, scored alone.
fn one_by_one(scorer: &mut Scorer, kind: Kind, bodies: &[Fields]) -> Vec<f64> {
    let mut verdicts = Vec::new();
    let mut each = Vec::new();
    for round in 0..8 {
        for event in seen(kind, bodies, round * 60_000_000) {
            let begun = Instant::now();
            scorer.score(std::slice::from_ref(&event), &mut verdicts);
            each.push(begun.elapsed().as_secs_f64() * 1e6);
            assert!(!matches!(verdicts.as_slice(), [Verdict::Poison(_) | Verdict::Failed(_)]));
        }
    }
    each
}

/// Events a second of this core.
fn in_batches(scorer: &mut Scorer, kind: Kind, bodies: &[Fields]) -> f64 {
    const ROUNDS: i64 = 50;
    let mut verdicts = Vec::new();
    let begun = cpu_seconds();
    for round in 0..ROUNDS {
        for chunk in seen(kind, bodies, (100 + round) * 60_000_000).chunks(64) {
            scorer.score(chunk, &mut verdicts);
        }
    }
    ROUNDS as f64 * bodies.len() as f64 / (cpu_seconds() - begun)
}

/// Memory that a key takes which has had a few events.
fn bytes_a_key(scorer: &mut Scorer, entry: &Entry) -> f64 {
    let before = resident_bytes(std::process::id()).unwrap_or(0);
    let mut verdicts = Vec::new();
    for n in 0..4 {
        for first in (0..KEYS).step_by(1000) {
            let bodies: Vec<Fields> = (first..first + 1000)
                .map(|key| body(entry.spec.name, n * 7 + key, 1_000_000 + key))
                .collect();
            let from = 10_000_000_000 + n as i64 * 100_000_000_000 + first as i64 * 50_000;
            scorer.score(&seen(kind_of(entry), &bodies, from), &mut verdicts);
        }
    }
    let after = resident_bytes(std::process::id()).unwrap_or(0);
    after.saturating_sub(before) as f64 / KEYS as f64
}

fn measure_rivals(rivals: &Rivals) {
    let texts: Vec<String> = (0..EVENTS).map(super::statement).collect();
    let begun = cpu_seconds();
    let rounds = 100;
    let mut found = 0;
    for _ in 0..rounds {
        found += texts.iter().filter(|text| rivals.is_injection(text)).count();
    }
    let rate = rounds as f64 * texts.len() as f64 / (cpu_seconds() - begun);
    assert!(found > 0, "libinjection finds nothing");
    say("libinjection, the same statements/s/core", format!("{rate:.0}"));
    let few = texts.iter().take(100);
    let parameters: Vec<Request> = few.map(|text| Request::with_parameter(text)).collect();
    let whole: Vec<Request> = (0..100).map(|n| request(&body("api-watch", n, n))).collect();
    for (what, requests) in [("statements as parameters", parameters), ("requests", whole)] {
        for (level, strictness) in [(1, Strictness::One), (2, Strictness::Two)] {
            let begun = cpu_seconds();
            let denied = requests.iter().filter(|r| rivals.is_denied(strictness, r)).count();
            let rate = requests.len() as f64 / (cpu_seconds() - begun);
            let label = format!("OWASP CRS, level {level}, the same {what}/s/core");
            say(&label, format!("{rate:.0} ({denied} % denied)"));
        }
    }
}

fn request(body: &Fields) -> Request {
    let text =
        |name: &str| body.0.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let headers = body.0.get("headers").and_then(|v| v.as_object()).into_iter().flatten();
    let header = |(name, value): (&String, &serde_json::Value)| {
        (name.clone(), value.as_str().unwrap_or_default().to_owned())
    };
    Request {
        method: text("method"),
        uri: format!("{}?{}", text("path"), text("query")),
        headers: headers.map(header).collect(),
        body: text("body"),
    }
    .complete()
}
