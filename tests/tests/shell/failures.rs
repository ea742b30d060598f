//! Poison, passing failures and panics end where they should.

use crate::moody::HUGE;
use crate::moody::{Seen, answered, moody, publish, row, run};
use magsentinel_bus_schema::{DeadLetter, Failure, Stream, subject};
use magsentinel_runtime::{health::HealthConfig, ledger, service};
use magsentinel_tests::{Mesh, held, wait_for};
use std::sync::Arc;
use tokio::sync::watch;

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
    assert_eq!((row.received, row.handled, row.dead_lettered), (7, 4, 3));
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

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_too_large_buries_what_it_was_made_from_and_nothing_else() {
    let mesh = Mesh::new();
    let bus = mesh.bus().await;
    let mut texts: Vec<String> = (0..8).map(|n| format!("good {n}")).collect();
    texts.insert(3, "large".to_owned());
    texts.insert(6, "shared".to_owned());
    publish(&mesh, "mag.default.event.sql.0", &texts).await;
    let (running, _) = run(&mesh, moody(&Seen::default()), mesh.bus().await);
    let row = wait_for("a settled ledger", async || {
        row(&bus).await.filter(|row| row.is_settled() && row.received == 10)
    })
    .await;
    let answers = answered(&bus).await;
    assert_eq!(answers.len(), 8, "{answers:?}");
    let filter = subject::all_of(bus.tenant(), "deadletter");
    let letters: Vec<DeadLetter> = held(&bus, Stream::DeadLetter, filter).await;
    let [large, shared] = letters.as_slice() else { panic!("{letters:#?}") };
    assert_eq!((large.seq, large.subject.as_str()), (4, "mag.default.event.sql.0"));
    assert_eq!(large.payload_len, "large".len() as u64);
    // Made from no message alone: its own beginning is kept.
    assert_eq!((shared.seq, shared.payload_len), (1, HUGE as u64));
    assert_eq!(shared.subject, "mag.default.scored.moody.none");
    assert!(letters.iter().all(|l| l.reason.contains("max_payload")), "{letters:#?}");
    assert_eq!((row.handled, row.dead_lettered), (8, 2));
    running.end().await;
}
