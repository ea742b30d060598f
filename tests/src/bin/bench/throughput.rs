//! Events through JetStream and sql-guard, every one scored, beside two bare hops.

use super::rival;
use async_nats::jetstream::{self, message::PublishMessage};
use magsentinel_bus_schema::{
    Event, Fields, Id, Kind, SCHEMA_VERSION, Shard, Source, Subject, Tenant, Timestamp, encode,
};
use magsentinel_runtime::ledger;
use magsentinel_tests::{Mesh, wait_for};
use std::time::{Duration, Instant};

const EVENTS: u64 = 200_000;

fn payload(n: u64) -> (String, bytes::Bytes) {
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let body = [("text", super::statement(n)), ("user", format!("user-{}", n % 1000))];
    let event = Event {
        v: SCHEMA_VERSION,
        id: Id::derived(&["bench", &n.to_string()]),
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: now,
        received: now,
        ts_missing: false,
        replayed: true,
        source: Source::default(),
        causes: vec![],
        trace: None,
        body: Fields(body.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect()),
    };
    (event.id.to_string(), encode(&event).expect("encoded").into())
}

/// Publishes while sql-guard scores; done when every event is acknowledged after its answer was
/// stored.
async fn mesh(payloads: &[(String, bytes::Bytes)], library: Option<&str>) -> (f64, u64) {
    let mut mesh = Mesh::new();
    let set = library.map(|l| format!("inference.onnxruntime={l}"));
    let more: Vec<&str> = set.iter().flat_map(|s| ["--set", s.as_str()]).collect();
    let role = mesh.start("sql-guard", &more);
    mesh.ready().await;
    let idle = mesh.resident_bytes(role);
    let bus = mesh.bus().await;
    let js = jetstream::new(mesh.client().await);
    let subject = Subject::Event(Kind::Sql, Shard(0)).of(bus.tenant());
    let begun = Instant::now();
    for chunk in payloads.chunks(1024) {
        let mut acks = Vec::with_capacity(chunk.len());
        for (id, payload) in chunk {
            let message = PublishMessage::build().message_id(id).payload(payload.clone());
            acks.push(js.send_publish(subject.clone(), message).await.expect("sent"));
        }
        for ack in acks {
            ack.await.expect("stored");
        }
    }
    loop {
        let rows = ledger::rows(&bus).await.expect("a ledger");
        let row = rows.into_iter().find(|r| r.consumer == "sql-guard").expect("its row");
        if row.is_settled() && row.received == payloads.len() as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rate = payloads.len() as f64 / begun.elapsed().as_secs_f64();
    let patrol = "sql-guard".parse().expect("a token");
    wait_for("the audit", async || {
        let audit = ledger::audit(&bus, &patrol, &[Kind::Sql]).await.ok()?;
        (audit.is_balanced() && audit.received == EVENTS).then_some(())
    })
    .await;
    println!(
        "{:<58} {:>11.1} MB {:>11.1} MB",
        format!("sql-guard {} resident, idle | loaded", library.map_or("tract", |_| "native")),
        idle as f64 / 1e6,
        mesh.resident_bytes(role) as f64 / 1e6,
    );
    (rate, idle)
}

/// Bare, native, tract.
pub async fn run() {
    let payloads: Vec<_> = (0..EVENTS).map(payload).collect();
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    let bare = rival::two_hops(&payloads).await;
    for (name, library) in [("native", Some(native.as_str())), ("tract", None)] {
        let (rate, _) = mesh(&payloads, library).await;
        let label = format!("events/s scored by sql-guard, {name} | bare");
        println!("{label:<58} {rate:>14.0} {bare:>14.0}  ({:.0} %)", 100.0 * rate / bare);
    }
}
