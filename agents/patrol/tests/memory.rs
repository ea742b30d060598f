//! What a key costs in memory.
//!
//! Counted is what is allocated and not freed, exactly, by this process's own allocator.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use magsentinel_bus_schema::{Class, Fields, Kind, Timestamp};
use magsentinel_patrol::{
    inference::Rows,
    patrol::{Evidence, Patrol, Seen},
    patrols,
};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Just so many that a table that grows by doubling has just grown: no number of keys costs more
/// each.
const KEYS: u64 = 14_337;
/// What may be allocated for a key, whatever it did, its name included.
const BYTES_MAX: f64 = 512.0;

/// Bytes that are allocated now.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn body(patrol: &str, key: u64, n: u64) -> Fields {
    let address = format!("203.0.{}.{}", key >> 8, key & 255);
    let value = match patrol {
        "auth-sentry" => json!({
            "event": if n % 3 == 1 { "failed_password" } else { "accepted_password" },
            "user": format!("firstname.name{key}"), "src_ip": address, "host": format!("web{n}"),
            "session": format!("sshd[{key}]"), "user_agent": format!("agent {n}"),
            "lat": n % 60, "lon": key % 90, "country": "fr",
        }),
        "net-sentry" if n.is_multiple_of(2) => json!({
            "src_ip": address, "qname": format!("host{n}.name-of-somebody-{key}.example"),
        }),
        "net-sentry" => json!({
            "src_ip": address, "dst_ip": format!("198.51.{n}.{}", key & 255), "dst_port": 443,
            "proto": "tcp", "orig_bytes": 900, "resp_bytes": 9000, "conn_state": "SF",
            "process": "a browser of theirs",
        }),
        "api-watch" => json!({
            "client": address, "method": "GET", "path": format!("/orders/{n}/items"),
            "query": "page=2", "status": 200 + n % 2 * 204, "headers": {"user-agent": "Mozilla"},
        }),
        _ => json!({
            "user": format!("firstname.name{key}"), "action": "select", "rows": 20 + n,
            "bytes_out": 4000, "resource": format!("table {n}"), "project": format!("p{n}"),
        }),
    };
    let Value::Object(fields) = value else { return Fields::default() };
    Fields(fields)
}

/// Gives a key its `n`-th event.
fn give(patrol: &mut dyn Patrol, rows: &mut Rows, (kind, body): (Kind, &Fields), n: u64) {
    let ts = Timestamp::from_micros(1_750_000_000_000_000 + n as i64 * 3_600_000_000);
    let seen = Seen { kind, body, ts, ts_refused: false, repeated: false, timed: true };
    rows.truncate(0);
    patrol.features(&seen, rows).unwrap();
    // Every eleventh key is under suspicion: it is kept among others.
    let score = if n % 11 == 10 { 0.4 } else { 0.0 };
    let row = rows.row(0);
    patrol.judge(&seen, &Evidence { score, row, part: 0, hits: &[], normal: None });
}

/// Bytes allocated for each of [`KEYS`] keys that had a few events; some had many.
fn bytes_a_key(name: &str, class: Class) -> f64 {
    let entry = patrols::find(name).unwrap();
    let mut patrol = (entry.maker)(&patrols::Config::default())(Some(class));
    let kinds = entry.spec.kinds;
    let kind = |n: u64| if n.is_multiple_of(2) { kinds[0] } else { kinds[kinds.len() - 1] };
    let mut rows = Rows::new(entry.spec.input);
    for n in 0..12 {
        give(patrol.as_mut(), &mut rows, (kind(n), &body(name, KEYS, n)), n);
    }
    let before = held();
    for key in 0..KEYS {
        let events = if key % 10 == 0 { 12 } else { 2 };
        (0..events)
            .for_each(|n| give(patrol.as_mut(), &mut rows, (kind(n), &body(name, key, n)), n));
    }
    let keys = patrol.report()["keys"].as_u64().unwrap();
    // net-sentry remembers a source, its names, its pairs and its processes, each by a key.
    assert!(keys == KEYS + 1 || kinds.len() > 1 && keys > KEYS, "{keys}: all are remembered");
    (held() - before) as f64 / (keys - 1) as f64
}

#[test]
fn a_live_key_of_every_patrol_fits_into_512_bytes() {
    let all = [
        ("auth-sentry", Class::User),
        ("auth-sentry", Class::Client),
        ("data-flow", Class::User),
        ("api-watch", Class::Client),
        ("net-sentry", Class::Client),
    ]
    .map(|(name, class)| (name, class, bytes_a_key(name, class)));
    for (name, class, each) in all {
        println!("{name}, {class}: {each:.1} bytes a live key");
    }
    assert!(all.iter().all(|(.., each)| *each <= BYTES_MAX), "more than {BYTES_MAX}");
}
