//! Shards have one owner, and a paused owner that wakes is refused by the server.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Assessment, Lease, Stream, Token, subject};
use magsentinel_runtime::{bus::Bus, stage::Delivery};
use magsentinel_tests::{Mesh, held, wait_for};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

async fn owners(bus: &Bus) -> BTreeMap<String, usize> {
    let service: Token = "analyzer".parse().unwrap();
    let filter = subject::leases_of(bus.tenant(), &service);
    let mut newest = BTreeMap::new();
    for lease in held::<Lease>(bus, Stream::Decisions, filter).await {
        newest.insert(lease.shard, lease.owner);
    }
    let mut counts = BTreeMap::new();
    for owner in newest.into_values().flatten() {
        *counts.entry(owner).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_owner_takes_half_and_a_paused_one_that_wakes_publishes_nothing() {
    let mut mesh = Mesh::with(&["sensor", "sql-guard", "analyzer"]).await;
    let bus = mesh.bus().await;
    assert_eq!(owners(&bus).await.into_values().collect::<Vec<_>>(), [64]);
    let second = mesh.start("analyzer", &[]);
    wait_for("an even share", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [32, 32]).then_some(())
    })
    .await;
    // The first sleeps through its leases; the second takes over; then the first wakes with
    // everything that arrived meanwhile still to be handled.
    let first = 2;
    mesh.signal(first, "STOP");
    wait_for("the second to own all", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [64]).then_some(())
    })
    .await;
    for n in 0..40 {
        let text = format!("SELECT a FROM t WHERE id = '{n}' UNION SELECT card, cvv FROM pay --'");
        let body = json!({"text": text, "user": format!("user-{n}"), "id": format!("e{n}")});
        mesh.ingest("sql", body.to_string()).await;
    }
    let filter = subject::all_of(bus.tenant(), "assessment");
    let decided = async || held::<Assessment>(&bus, Stream::Decisions, filter.clone()).await;
    wait_for("forty incidents", async || {
        let keys: BTreeSet<String> = decided().await.into_iter().map(|a| a.key).collect();
        (keys.len() >= 40).then_some(())
    })
    .await;
    let before = decided().await.len();
    mesh.signal(first, "CONT");
    wait_for("the first to notice", async || {
        let log = mesh.log(first);
        log.contains("lost the shard").then_some(())?;
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [32, 32]).then_some(())
    })
    .await;
    let after = decided().await;
    let ids: BTreeSet<_> = after.iter().map(|a| a.id).collect();
    assert_eq!(ids.len(), after.len(), "a decision was stored twice");
    assert_eq!(after.len(), before, "the woken owner decided again");
    assert!(!mesh.log(second).contains("lost the shard"));
}

/// The newest lease of each shard, with when it was stored.
async fn leases(bus: &Bus) -> BTreeMap<u16, (Lease, i64)> {
    let service: Token = "analyzer".parse().unwrap();
    let filter = subject::leases_of(bus.tenant(), &service);
    let mut newest = BTreeMap::new();
    let show = |d: &Delivery| {
        let lease: Lease = d.decode(bus.limits()).unwrap();
        newest.insert(lease.shard.0, (lease, d.stored.micros()));
    };
    bus.read_all(Stream::Decisions, vec![filter], show).await.unwrap();
    newest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_is_replaced_before_its_leases_run_out() {
    let mut mesh = Mesh::with(&["analyzer"]).await;
    let bus = mesh.bus().await;
    let second = mesh.start("analyzer", &[]);
    wait_for("an even share", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [32, 32]).then_some(())
    })
    .await;
    let before = leases(&bus).await;
    mesh.signal(0, "KILL");
    mesh.wait(0);
    wait_for("the second to own all", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [64]).then_some(())
    })
    .await;
    let after = leases(&bus).await;
    let taken: Vec<_> = after.iter().filter(|(s, (l, _))| l.owner != before[s].0.owner).collect();
    assert_eq!(taken.len(), 32);
    for (shard, (lease, at)) in taken {
        let (held, renewed) = &before[shard];
        let ttl_us = i64::try_from(held.ttl_ms * 1000).unwrap();
        assert!(at - renewed < ttl_us, "shard {shard} waited: {lease:?}");
    }
    assert!(!mesh.log(second).contains("lost the shard"));
}
