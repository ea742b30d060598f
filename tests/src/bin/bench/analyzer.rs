//! The analyzer's core beside the correlation engine of `rsigma-eval`: events a second of one
//! core on the chains that both can express, with many live keys, and the memory of a key.

use super::score::cpu_seconds;
use magsentinel_analyzer::{Config, chain::Book, core::Core};
use magsentinel_bus_schema::{
    Class, Entity, Id, Keyed, Kind, Level, SCHEMA_VERSION, Scored, Tenant, Timestamp, Token, Trust,
};
use magsentinel_inference as inference;
use magsentinel_runtime::memory::resident_bytes;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, JsonEvent};
use serde_json::json;
use std::{hint::black_box, sync::Arc};

/// Chains in the form that both read: every type of correlation, plain fields, one key.
const CHAINS: &str = include_str!("analyzer.yml");

/// One of them, which any event takes part in.
const ONE_CHAIN: &str = include_str!("analyzer-one.yml");

const PATROLS: [&str; 4] = ["sql-guard", "api-watch", "auth-sentry", "data-flow"];
const EVENTS: u64 = 500_000;
/// As many as the stage is shown at once.
const BATCH: usize = 256;
/// As many as are made before the clock runs: few enough to stay in the processor's cache, as
/// events that were just decoded do.
const CHUNK: u64 = 8 * BATCH as u64;
/// Event time between two events of a key: three of them lie in a window of five minutes.
const TURN_US: u64 = 100_000_000;
/// The window of most chains.
const WINDOW_US: u64 = 300_000_000;
const START_US: i64 = 1_750_000_000_000_000;

/// Live keys at which the engines are compared.
const KEYS: u64 = 100_000;

pub fn run() {
    // First, while the process holds nothing that could be used again.
    let figure = "analyzer, 1,000,000 keys with one event each in one chain";
    println!("{figure:<58} {:>11.0} MB", memory(1_000_000) / 1e6);
    for keys in [1000, 10_000, KEYS, 1_000_000] {
        let figure = format!("analyzer, scored events/s/core, {keys} live keys");
        let ours = rate(&book(CHAINS), Load::of(keys)).0;
        if keys == KEYS {
            let theirs = rival(keys);
            println!("{figure:<58} {ours:>14.0} {theirs:>14.0} rsigma-eval");
        } else {
            println!("{figure:<58} {ours:>14.0}");
        }
    }
    let onnxruntime = std::env::var_os("MAGSENTINEL_ONNXRUNTIME").map(Into::into);
    let inference = inference::Config { onnxruntime, ..inference::Config::default() };
    let shipped = Book::rated(&Config::default(), &inference).expect("the shipped chains");
    let shipped = Arc::new(shipped);
    for (whom, weak) in [("one in 1000", true), ("all", false)] {
        let figure = format!("analyzer with the shipped chains, {KEYS} live keys, {whom} attacked");
        let (rate, told) = rate(&shipped, Load { weak, ..Load::of(KEYS) });
        println!("{figure:<58} {rate:>14.0}   ({told:.3} revisions an event)");
    }
    populations();
}

/// What an event costs by how many others of its key lie in the window: where no chain is complete,
/// and where a quarter of the keys have an incident once there are fifty.
fn populations() {
    const FEW: u64 = 256;
    for held in [10, 100, 1000, 4000] {
        let load = Load { turn_us: WINDOW_US / held, weak: true, ..Load::of(FEW) };
        let cost = |book: &Arc<Book>| 1e9 / rate_after(book, load, FEW * held).0;
        let (open, met) = (cost(&book(&never())), cost(&book(CHAINS)));
        let figure = format!("time an event, {held} of its key in the window | a quarter met");
        println!("{figure:<58} {open:>11.0} ns {met:>11.0} ns");
    }
}

/// The chains, so that nothing ever completes one.
fn never() -> String {
    CHAINS.replace("condition: {gte: 50}", "condition: {gte: 30000}")
}

fn book(chains: &str) -> Arc<Book> {
    Arc::new(Book::parse("analyzer.yml", chains).expect("chains"))
}

fn core(book: &Arc<Book>) -> Core {
    let config = Config { keys_max: 2_000_000, events_per_key_max: 65_536, ..Config::default() };
    Core::new(Arc::new(config), Arc::clone(book))
}

/// What events an engine is shown.
#[derive(Clone, Copy)]
struct Load {
    keys: u64,
    /// Event time between two events of a key.
    turn_us: u64,
    /// All but those of one key in a thousand are weak.
    weak: bool,
}

impl Load {
    fn of(keys: u64) -> Self {
        Self { keys, turn_us: TURN_US, weak: false }
    }

    fn at(self, n: u64) -> Timestamp {
        let us = i64::try_from(n * self.turn_us / self.keys).expect("within centuries");
        Timestamp::from_micros(START_US + us)
    }
}

/// The `n`-th event. Every key has its turn, each time with the same patrol; but for one key in a
/// thousand, at which the patrols take turns, so that chains are found.
fn event(n: u64, load: Load) -> Keyed {
    let keys = load.keys;
    let (user, round) = (n % keys, n / keys);
    let attacked = keys >= 1000 && user.is_multiple_of(1000);
    let level = if load.weak && !attacked { Level::Low } else { Level::Medium };
    let patrol = if attacked { round % 4 } else { user % 4 };
    let key = format!("user-{user}");
    let of = |class, value: &str| Entity { class, value: value.to_owned(), trust: Trust::Observed };
    let scored = Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["bench", &n.to_string()]),
        event: Id::derived(&["event", &n.to_string()]),
        seq: n,
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: load.at(n),
        replayed: false,
        backfilled: false,
        patrol: Token::sanitised(PATROLS.get(patrol as usize).expect("one of four")),
        by_key: None,
        source: None,
        level,
        score: 0.6,
        confidence: 0.7,
        category: Token::sanitised(if n.is_multiple_of(2) { "tautology" } else { "bulk_export" }),
        techniques: vec!["T1190".to_owned()],
        reasons: vec!["a reason".to_owned()],
        entities: vec![of(Class::User, &key), of(Class::Client, "10.0.0.7")],
        excerpt: "SELECT 1".to_owned(),
        model: String::new(),
        patterns: String::new(),
        trace: None,
    };
    Keyed { v: SCHEMA_VERSION, class: Class::User, key, seq: n, scored }
}

/// Events a second of this core after every key has been met, and how many revisions each brought.
fn rate(book: &Arc<Book>, load: Load) -> (f64, f64) {
    rate_after(book, load, load.keys)
}

/// The same after so many events.
fn rate_after(book: &Arc<Book>, load: Load, before: u64) -> (f64, f64) {
    let mut core = core(book);
    let (mut told, mut shown) = (0, 0);
    let rate = measured(
        (load, before),
        |keyed| keyed,
        |batch| {
            let end = batch.last().map_or(load.at(0), |keyed| keyed.scored.ts);
            shown += batch.len();
            for keyed in batch.drain(..) {
                let ts = keyed.scored.ts;
                core.give(keyed, ts, ts).expect("accepted");
            }
            told += black_box(core.settle(end)).len();
        },
    );
    (rate, told as f64 / shown as f64)
}

/// The same of the rival, whose events are JSON. Its clock has whole seconds.
fn rival(keys: u64) -> f64 {
    let chains = rsigma_parser::parse_sigma_yaml(CHAINS).expect("Sigma");
    let mut engine = CorrelationEngine::new(CorrelationConfig {
        max_state_entries: 10_000_000,
        emit_detections: false,
        ..CorrelationConfig::default()
    });
    engine.add_collection(&chains).expect("what it can express");
    let mut fired = 0;
    let rate = measured(
        (Load::of(keys), keys),
        |keyed| (keyed.scored.ts, plain(&keyed)),
        |batch| {
            for (ts, value) in batch.drain(..) {
                let found =
                    engine.process_event_at(&JsonEvent::borrow(&value), ts.micros() / 1_000_000);
                fired += found.iter().filter(|result| result.is_correlation()).count();
            }
        },
    );
    assert!(fired > 0, "the rival finds nothing");
    rate
}

/// Shows an engine events in batches; events a second of this core after the first ones, without
/// making them.
fn measured<T>(
    (load, before): (Load, u64),
    make: impl Fn(Keyed) -> T,
    mut show: impl FnMut(&mut Vec<T>),
) -> f64 {
    let (mut spent, mut counted) = (0.0, 0);
    for first in (0..before + EVENTS).step_by(CHUNK as usize) {
        let mut batches: Vec<Vec<T>> = Vec::new();
        let mut made = (first..first + CHUNK).map(|n| make(event(n, load))).peekable();
        while made.peek().is_some() {
            batches.push(made.by_ref().take(BATCH).collect());
        }
        let begun = cpu_seconds();
        batches.iter_mut().for_each(&mut show);
        if first >= before {
            spent += cpu_seconds() - begun;
            counted += CHUNK;
        }
    }
    counted as f64 / spent
}

fn plain(keyed: &Keyed) -> serde_json::Value {
    let Keyed { key, scored, .. } = keyed;
    json!({ "patrol": scored.patrol, "category": scored.category, "user": key })
}

/// Bytes that the core takes for keys which had one event each, beside the events.
fn memory(keys: u64) -> f64 {
    let (book, load) = (book(ONE_CHAIN), Load::of(keys));
    let mut core = core(&book);
    let own = || resident_bytes(std::process::id()).unwrap_or(0);
    let before = own();
    for first in (0..keys).step_by(BATCH) {
        for n in first..(first + BATCH as u64).min(keys) {
            let keyed = event(n, load);
            // All at once, so that none is forgotten.
            let scored = Scored { ts: load.at(0), ..keyed.scored };
            core.give(Keyed { scored, ..keyed }, load.at(0), load.at(0)).expect("accepted");
        }
        black_box(core.settle(load.at(0)));
    }
    own().saturating_sub(before) as f64
}
