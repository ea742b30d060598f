//! The contract of the shell, with stages made to fail: published before acknowledged, the
//! three classes of failure, and none of them disturbs the next message.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{
    DeadLetter, Failure, Id, Level, Receipt, SCHEMA_VERSION, Stream, Subject, Tenant, Token,
    subject,
};
use magsentinel_runtime::{
    bus::Bus,
    health::HealthConfig,
    ledger,
    service::{self, Pool, Service},
    settings::Span,
    stage::{Batch, Delivery, Failed, Output, Publish, Stage},
};
use magsentinel_tests::{Mesh, held, wait_for};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::watch;

/// Answers every message with a receipt; does what the message says.
struct Moody {
    seen: Arc<Mutex<HashMap<String, u64>>>,
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.payload).into_owned()
}

impl Stage for Moody {
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output) {
        for (index, delivery) in batch.deliveries.iter().enumerate() {
            let text = text(delivery);
            let times = {
                let mut seen = self.seen.lock().unwrap();
                let times = seen.entry(text.clone()).or_default();
                *times += 1;
                *times
            };
            match text.split(' ').next().unwrap_or_default() {
                "panic" => panic!("asked to"),
                "poison" => out.fail(index, Failed::Poison("asked to".to_owned())),
                "transient" => out.fail(index, Failed::Transient("asked to".to_owned())),
                "once" if times == 1 => out.fail(index, Failed::Transient("once".to_owned())),
                _ => out.publish(receipt(delivery)),
            }
        }
    }
}

fn receipt(delivery: &Delivery) -> Publish {
    let patrol: Token = "moody".parse().unwrap();
    let id = Id::derived(&[&delivery.payload[..]]);
    let receipt = Receipt {
        v: SCHEMA_VERSION,
        id,
        tenant: Tenant::default(),
        patrol: patrol.clone(),
        model: String::new(),
        patterns: String::new(),
        events: vec![id],
        seqs: vec![delivery.seq],
        backfilled: false,
    };
    Publish::new(Subject::Scored(patrol, Level::None), id, &receipt).unwrap()
}

fn moody(seen: &Arc<Mutex<HashMap<String, u64>>>) -> Service {
    let mut service = Service::new("moody".parse().unwrap(), 64);
    let seen = Arc::clone(seen);
    service.pools.push(Pool {
        durable: "moody".parse().unwrap(),
        stream: Stream::Events,
        filters: |tenant| vec![subject::all_of(tenant, "event")],
        batch_max: 16,
        batches_in_flight: 2,
        slow: false,
        max_deliver: 3,
        ack_wait: Span::s(5),
        make: Arc::new(move || Ok(Box::new(Moody { seen: Arc::clone(&seen) }))),
    });
    service
}

async fn answered(bus: &Bus) -> Vec<Receipt> {
    let filter = Subject::Scored("moody".parse().unwrap(), Level::None).of(bus.tenant());
    held(bus, Stream::Scored, filter).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_failure_ends_where_it_should() {
    let mesh = Mesh::new();
    let bus = mesh.bus().await;
    let seen = Arc::default();
    let (stop, stopping) = watch::channel(false);
    let run = tokio::spawn({
        let (service, bus) = (moody(&seen), mesh.bus().await);
        async move { service::run(service, bus, &HealthConfig::default(), stopping).await }
    });
    let js = async_nats::jetstream::new(mesh.client().await);
    let told =
        ["good 1", "panic now", "good 2", "poison it", "transient for ever", "once", "good 3"];
    for word in told {
        let ack = js.publish("mag.default.event.sql.0", word.into()).await.unwrap();
        ack.await.unwrap();
    }
    let filter = subject::all_of(bus.tenant(), "deadletter");
    let letters = wait_for("three dead letters", async || {
        let found = held::<DeadLetter>(&bus, Stream::DeadLetter, filter.clone()).await;
        (found.len() >= 3).then_some(found)
    })
    .await;
    let mut classes: Vec<(u64, Failure)> = letters.iter().map(|l| (l.seq, l.failure)).collect();
    classes.sort_by_key(|(seq, _)| *seq);
    assert_eq!(classes, [(2, Failure::Bug), (4, Failure::Poison), (5, Failure::GaveUp)]);
    let answers =
        wait_for("four answers", async || Some(answered(&bus).await).filter(|a| a.len() >= 4))
            .await;
    let mut seqs: Vec<u64> = answers.iter().flat_map(|r| r.seqs.clone()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 3, 6, 7]);
    // Three attempts, of which one may have ended before its turn, in the batch that panicked.
    let attempts = seen.lock().unwrap().get("transient for ever").copied();
    assert!((2..=3).contains(&attempts.unwrap_or_default()), "{attempts:?}");
    let row = wait_for("a settled ledger", async || {
        let rows = ledger::rows(&bus).await.ok()?;
        rows.into_iter().find(|r| r.consumer == "moody" && r.is_settled())
    })
    .await;
    assert_eq!((row.received, row.handled, row.dead_lettered), (7, 7, 3));
    stop.send_replace(true);
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_acknowledges_what_was_handled_and_leaves_the_rest_to_the_next() {
    let mesh = Mesh::new();
    let bus = mesh.bus().await;
    let js = async_nats::jetstream::new(mesh.client().await);
    for n in 0..2000 {
        js.publish("mag.default.event.sql.0", format!("good {n}").into()).await.unwrap();
    }
    js.wait_for_acks().await;
    let seen = Arc::default();
    for _ in 0..3 {
        let (stop, stopping) = watch::channel(false);
        let before = answered(&bus).await.len();
        let (service, own) = (moody(&seen), mesh.bus().await);
        let run = tokio::spawn(async move {
            service::run(service, own, &HealthConfig::default(), stopping).await
        });
        wait_for("some progress", async || {
            let now = answered(&bus).await.len();
            (now > before || now == 2000).then_some(())
        })
        .await;
        stop.send_replace(true);
        run.await.unwrap().unwrap();
    }
    let (stop, stopping) = watch::channel(false);
    let (service, own) = (moody(&seen), mesh.bus().await);
    let run = tokio::spawn(async move {
        service::run(service, own, &HealthConfig::default(), stopping).await
    });
    wait_for("all answers", async || (answered(&bus).await.len() >= 2000).then_some(())).await;
    assert_eq!(answered(&bus).await.len(), 2000, "an id was stored twice");
    stop.send_replace(true);
    run.await.unwrap().unwrap();
}
