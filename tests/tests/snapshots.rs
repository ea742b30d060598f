//! What outlives an owner: snapshots of keyed state, and the word about what nobody saw.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{
    Assessment, Gap, GapState, Id, Lease, Level, SCHEMA_VERSION, Scored, Stream, Subject, Tenant,
    Timestamp, Token, subject,
};
use magsentinel_runtime::{
    bus::{Bus, Error, Fence},
    stage::Publish,
};
use magsentinel_tests::{
    Mesh, held,
    keyed::{injection, shard_of},
    wait_for,
};
use serde_json::json;
use std::collections::BTreeSet;

async fn stream(mesh: &Mesh, stream: Stream) -> async_nats::jetstream::stream::Stream {
    let js = async_nats::jetstream::new(mesh.client().await);
    js.get_stream(stream.name(&Tenant::default())).await.unwrap()
}

/// The newest lease of every shard of a service.
async fn leases(bus: &Bus, service: &str) -> Vec<Lease> {
    let service: Token = service.parse().unwrap();
    held(bus, Stream::Decisions, subject::leases_of(bus.tenant(), &service)).await
}

/// Thirty days of a clerk who reads a few rows.
async fn a_past(mesh: &Mesh) {
    let lines: Vec<String> = (0..120)
        .map(|n| {
            let ts = 1_760_000_000 + n * 6 * 3600;
            let body = json!({"user": "clerk", "action": "select", "resource": "orders",
                              "rows": 20, "ts": ts, "id": format!("past-{n}")});
            body.to_string()
        })
        .collect();
    mesh.ingest("data", lines.join("\n")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_owner_knows_what_the_killed_one_knew() {
    let mut mesh = Mesh::new();
    // Reading the stream again would show next to nothing: only a snapshot can tell.
    let more =
        ["--set", "patrols.data_flow.rebuild=1ms", "--set", "patrols.data_flow.snapshot_every=1s"];
    mesh.start("sensor", &[]);
    let first = mesh.start("data-flow", &more);
    mesh.ready().await;
    let bus = mesh.bus().await;
    a_past(&mesh).await;
    wait_for("a snapshot of the past", async || {
        let all = leases(&bus, "data-flow").await;
        all.iter().any(|l| l.handled == 120 && l.snapshot.is_some()).then_some(())
    })
    .await;
    mesh.signal(first, "KILL");
    mesh.wait(first);
    mesh.start("data-flow", &more);
    let shown = async || {
        let told = magsentinel_runtime::micro::ask_all(&bus, "STATS", Some("data-flow")).await;
        let told = told.ok()?;
        let part = told.iter().map(|s| s["endpoints"][0]["data"]["parts"]["data-flow"].clone());
        part.into_iter().find(|p| p["shards"] == 64)
    };
    let part = wait_for("the second to own all shards", shown).await;
    assert_eq!(part["state"]["keys"], 1, "{part}");
    let dump = json!({"user": "clerk", "action": "copy", "resource": "payment_cards",
                      "rows": 900_000, "ts": 1_762_700_000, "id": "dump"});
    mesh.ingest("data", dump.to_string()).await;
    let filter = subject::scored_at(bus.tenant(), &[Level::Medium, Level::High]);
    let found = wait_for("the dump to be flagged", async || {
        let mut all = Vec::new();
        for filter in &filter {
            all.extend(held::<Scored>(&bus, Stream::Scored, filter.clone()).await);
        }
        all.into_iter().next()
    })
    .await;
    let reasons = found.reasons.join("; ");
    assert!(reasons.contains("above this user's mean"), "it has no past: {reasons}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_refuses_what_is_published_under_an_older_lease() {
    let mut mesh = Mesh::with(&["analyzer"]).await;
    let bus = mesh.bus().await;
    let subject = Subject::Lease("analyzer".parse().unwrap(), magsentinel_bus_schema::Shard(7));
    let subject = subject.of(&Tenant::default());
    let stream = stream(&mesh, Stream::Decisions).await;
    let newest = stream.get_last_raw_message_by_subject(&subject).await.unwrap().sequence;
    mesh.signal(0, "KILL");
    mesh.wait(0);
    let gap = gap();
    let message = Publish::new(Subject::Gap(gap.patrol.clone()), gap.id, &gap).unwrap();
    let fence = |seq| [Some(Fence { subject: subject.clone(), seq })];
    let told = bus.publish_fenced(std::slice::from_ref(&message), &fence(newest - 1)).await;
    assert!(matches!(&told, Err(Error::Fenced { lease }) if *lease == subject), "{told:?}");
    bus.publish_fenced(&[message], &fence(newest)).await.unwrap();
}

fn gap() -> Gap {
    Gap {
        v: SCHEMA_VERSION,
        id: Id::derived(&["a gap"]),
        tenant: Tenant::default(),
        patrol: "nobody".parse().unwrap(),
        kind: None,
        from_seq: 1,
        to_seq: 2,
        count: 2,
        reason: "a test".to_owned(),
        noticed: Timestamp::from_micros(1),
        state: GapState::Lost,
        from: None,
        to: None,
        scored_after: 0,
    }
}

/// One event for each of the two patrols, one pair after the other: within a pair either may be
/// stored first.
async fn a_pair(mesh: &Mesh, n: u64) {
    let sql = json!({"text": format!("SELECT {n}"), "client": "203.0.113.9"});
    let data = json!({"user": "ann", "action": "select", "resource": "t", "rows": n});
    mesh.ingest("sql", sql.to_string()).await;
    mesh.ingest("data", data.to_string()).await;
    let stream = stream(mesh, Stream::Events).await;
    wait_for("the pair", async || {
        let info = stream.get_info().await.ok()?;
        (info.state.last_sequence == 2 * (n + 1)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_lost_while_a_patrol_was_down_is_told() {
    let mut mesh = Mesh::with(&["sensor", "sql-guard", "data-flow"]).await;
    let bus = mesh.bus().await;
    a_pair(&mesh, 0).await;
    let handled = async |least: u64| {
        let rows = magsentinel_runtime::ledger::rows(&bus).await.ok()?;
        let guard = rows.into_iter().find(|r| r.consumer == "sql-guard")?;
        let flow = leases(&bus, "data-flow").await;
        let position = flow.iter().map(|l| l.position).max()?;
        (guard.handled >= least && position >= 2 * least - 1).then_some(())
    };
    wait_for("both to have handled the first", async || handled(1).await).await;
    for role in [1, 2] {
        mesh.signal(role, "KILL");
        mesh.wait(role);
    }
    for n in 1..=4 {
        a_pair(&mesh, n).await;
    }
    let stream = stream(&mesh, Stream::Events).await;
    // What a limit does to those that are too long away; the roles lift it when they start.
    let mut config = stream.cached_info().config.clone();
    config.max_messages = 4;
    async_nats::jetstream::new(mesh.client().await).update_stream(config).await.unwrap();
    mesh.start("sql-guard", &[]);
    mesh.start("data-flow", &[]);
    let gaps = wait_for("two gaps", async || {
        let filter = subject::all_of(bus.tenant(), "gap");
        let gaps: Vec<Gap> = held(&bus, Stream::Decisions, filter).await;
        (gaps.len() >= 2).then_some(gaps)
    })
    .await;
    for gap in gaps {
        // Two of each were lost, and how many of the rest were for the other nobody can say now.
        let most = gap.to_seq - gap.from_seq + 1;
        assert!(gap.to_seq == 6 && (2..=most).contains(&gap.count), "{gap:?}");
        // How far each had come is known as of when it was looked at.
        assert!((1..=4).contains(&gap.from_seq), "{gap:?}");
    }
    // What is left is scored all the same.
    wait_for("the rest to be scored", async || handled(2).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_tampered_with_or_is_missing_is_done_without() {
    let mut mesh = Mesh::new();
    let more = ["--set", "analyzer.snapshot_every=1s", "--set", "analyzer.update_every=0s"];
    let first = mesh.start("analyzer", &more);
    mesh.ready().await;
    let bus = mesh.bus().await;
    // Of three incidents the snapshot of one is changed, that of another lost.
    let users = ["ann", "bob", "cid"];
    let shards = users.map(shard_of);
    assert!(shards[0] != shards[1] && shards[1] != shards[2] && shards[0] != shards[2]);
    let inject = async |turn: &str| {
        let all = users.map(|user| injection(&format!("{user} {turn}"), user));
        bus.publish_all(&all).await.unwrap();
    };
    inject("first").await;
    let named = wait_for("snapshots", async || {
        let all = leases(&bus, "analyzer").await;
        let of = |shard| all.iter().rfind(|l| l.shard == shard)?.snapshot.clone();
        let names: Vec<String> = shards.iter().filter_map(|s| Some(of(*s)?.name)).collect();
        (names.len() == 3).then_some(names)
    })
    .await;
    mesh.signal(first, "KILL");
    mesh.wait(first);
    let js = async_nats::jetstream::new(mesh.client().await);
    let store = js.get_object_store("mag-default-snapshots").await.unwrap();
    let object = store.info(named[0].as_str()).await.unwrap();
    let zeros = vec![0_u8; object.size];
    store.put(named[0].as_str(), &mut zeros.as_slice()).await.unwrap();
    store.delete(named[1].as_str()).await.unwrap();
    let second = mesh.start("analyzer", &more);
    inject("second").await;
    let incidents = wait_for("three incidents of two events each", async || {
        let filter = subject::all_of(bus.tenant(), "assessment");
        let told: Vec<Assessment> = held(&bus, Stream::Decisions, filter).await;
        let of = |user| told.iter().filter(move |a| a.key == user);
        let all = users.iter().all(|user| of(*user).any(|a| a.count == 2));
        let ids: Vec<BTreeSet<Id>> =
            users.iter().map(|user| of(*user).map(|a| a.incident).collect()).collect();
        all.then_some(ids)
    })
    .await;
    assert!(incidents.iter().all(|ids| ids.len() == 1), "{incidents:?}");
    let log = mesh.log(second);
    let told = log.matches("snapshot is of no use: the stream is read again").count();
    assert_eq!(told, 2, "{log}");
}
