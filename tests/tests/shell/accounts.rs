//! The ledger when not all is well: what is lost stays told, and what nobody answers for is an
//! alarm.

use crate::moody::{Gate, Seen, accounted, figure, gated, moody, open, publish, row, run};
use magsentinel_bus_schema::{Gap, GapState, Stream, subject};
use magsentinel_runtime::{
    bus::{BusConfig, StreamLimits},
    settings::Span,
};
use magsentinel_tests::{Mesh, held, wait_for};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_drops_while_a_pool_is_stuck_is_told_and_stays_told() {
    let mesh = Mesh::new();
    let mut config = BusConfig { url: mesh.url(), ..BusConfig::default() };
    config.streams.events = StreamLimits { bytes_max: 1024 * 1024, age_max: Span::s(86_400) };
    let bus = magsentinel_runtime::bus::connect(&config, "test").await.unwrap();
    bus.ensure_streams().await.unwrap();
    let (seen, gate) = (Seen::default(), Gate::default());
    let (running, at) = run(&mesh, gated(&seen, &gate), bus.clone());
    publish(&mesh, "mag.default.event.sql.0", &["hold on".to_owned()]).await;
    wait_for("it to be held", async || seen.lock().unwrap().get("hold on").copied()).await;
    let texts: Vec<String> = (0..200).map(|n| format!("good {n} {}", "x".repeat(1000))).collect();
    publish(&mesh, "mag.default.event.sql.0", &texts).await;
    let waiting = wait_for("the watch to see them", async || {
        figure(at, "magsentinel_patrol_lag_events").await.filter(|waiting| *waiting > 100)
    })
    .await;
    // What others publish pushes all of them out.
    let others: Vec<String> = (0..24).map(|_| "x".repeat(64 * 1024)).collect();
    publish(&mesh, "mag.default.event.auth.0", &others).await;
    open(&gate);
    publish(&mesh, "mag.default.event.sql.0", &["good at last".to_owned()]).await;
    wait_for("the last to be handled", async || seen.lock().unwrap().get("good at last").copied())
        .await;
    let row = wait_for("the loss to be told", async || {
        row(&bus).await.filter(|row| row.shed > 0 && row.in_flight + row.waiting == 0)
    })
    .await;
    // What was in flight counts too, and so do the few of the others that came and went unseen.
    assert!((waiting..=201 + 24).contains(&row.shed), "{waiting} waited: {row:?}");
    assert!(row.is_balanced() && !row.is_settled(), "{row:?}");
    assert_eq!(row.received, accounted(&row), "{row:?}");
    let gaps: Vec<Gap> = held(&bus, Stream::Decisions, subject::all_of(bus.tenant(), "gap")).await;
    assert!(gaps.iter().all(|gap| gap.state == GapState::Lost), "{gaps:?}");
    assert_eq!(gaps.iter().map(|gap| gap.count).sum::<u64>(), row.shed);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_neither_handled_nor_delivered_again_are_an_alarm() {
    let mesh = Mesh::new();
    let bus = mesh.bus().await;
    let texts: Vec<String> = (0..5).map(|n| format!("good {n}")).collect();
    publish(&mesh, "mag.default.event.sql.0", &texts).await;
    // A consumer that takes messages and dies, each time, before it can look at them.
    let js = async_nats::jetstream::new(mesh.client().await);
    let stream = js.get_stream(Stream::Events.name(bus.tenant())).await.unwrap();
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("moody".to_owned()),
        filter_subject: "mag.default.event.sql.*".to_owned(),
        max_deliver: 1,
        ack_wait: Duration::from_millis(200),
        ..Default::default()
    };
    let crashing = stream.create_consumer(config).await.unwrap();
    let taken = crashing.fetch().max_messages(3).messages().await.unwrap();
    assert_eq!(futures::StreamExt::count(taken).await, 3);
    let alarmed = wait_for("the ledger to miss them", async || {
        // The server tells of it when it looks for what to deliver next.
        let _next = crashing.fetch().max_messages(1).messages().await.ok()?;
        row(&bus).await.filter(|row| row.missing >= 3)
    })
    .await;
    assert!(!alarmed.is_balanced() && !alarmed.is_settled(), "{alarmed:?}");
    let shown = mesh.output(&["status"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("moody of EVENTS: NOT BALANCED"), "{shown}");

    let (running, at) = run(&mesh, moody(&Seen::default()), mesh.bus().await);
    wait_for("the alarm", async || {
        figure(at, "magsentinel_ledger_missing_events").await.filter(|missing| *missing >= 3)
    })
    .await;
    running.end().await;
}
