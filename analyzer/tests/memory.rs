//! What a key costs in memory.
//!
//! Counted is what is allocated and not freed, exactly, by this process's own allocator.

use magsentinel_analyzer::{Config, chain::Book, core::Core};
use magsentinel_bus_schema::{
    Class, Entity, Id, Keyed, Kind, Level, SCHEMA_VERSION, Scored, Tenant, Timestamp, Token, Trust,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{alloc::System, sync::Arc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One chain, which any event takes part in and none completes.
const CHAIN: &str = "
title: Many categories
name: broad
correlation:
  type: value_count
  rules: [any_patrol]
  group-by: [user]
  timespan: 5m
  condition: {field: category, gte: 20}
level: medium
---
title: Anything
name: any_patrol
logsource: {product: magsentinel, service: scored}
detection: {it: {patrol: '*'}, condition: it}
";

/// A sixteenth of a million: what grows by doubling is as full then as with a million.
const KEYS: u64 = 62_500;
/// Names as long as the longest among a million.
const FIRST_KEY: u64 = 900_000;
/// Less than 300, because an allocator rounds up.
const BYTES_MAX: f64 = 280.0;

/// Bytes that are allocated now.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn event(n: u64) -> Keyed {
    let key = format!("user-{}", FIRST_KEY + n);
    let of = |class, value: &str| Entity { class, value: value.to_owned(), trust: Trust::Observed };
    let scored = Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["scored", &key]),
        event: Id::derived(&["event", &key]),
        seq: n,
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: Timestamp::from_micros(1_750_000_000_000_000),
        replayed: false,
        backfilled: false,
        patrol: Token::sanitised("auth-sentry"),
        by_key: None,
        source: None,
        level: Level::Medium,
        score: 0.6,
        confidence: 0.7,
        category: Token::sanitised("bulk_export"),
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

#[test]
fn a_million_keys_with_one_event_each_fit_into_300_mb() {
    let config = Config { keys_max: 2_000_000, ..Config::default() };
    let book = Arc::new(Book::parse("memory.yml", CHAIN).unwrap());
    let mut core = Core::new(Arc::new(config), book);
    let before = held();
    for n in 0..KEYS {
        let keyed = event(n);
        let now = keyed.scored.ts;
        core.give(keyed, now, now).unwrap();
        if n % 256 == 0 {
            core.settle(now);
        }
    }
    core.settle(event(0).scored.ts);
    assert_eq!(core.counters()[0].2 as u64, KEYS);
    let each = (held() - before) as f64 / KEYS as f64;
    assert!(each <= BYTES_MAX, "{each:.1} bytes a key");
}
