//! Shards have one owner, and a paused owner that wakes is refused by the server.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use async_nats::jetstream::message::PublishMessage;
use magsentinel_analyzer::router;
use magsentinel_bus_schema::{
    Assessment, Gap, GapState, Id, Keyed, Lease, Limits, SCHEMA_VERSION, Scored, Shard, Stream,
    Subject, Tenant, Timestamp, Token, codec::MESSAGEPACK, decode, encode, subject,
};
use magsentinel_runtime::{
    bus::{Bus, Error, Fence},
    ledger,
    stage::{Delivery, Publish},
};
use magsentinel_tests::{
    Mesh, held,
    keyed::{injection, shard_of, unrouted},
    proxy::Proxy,
    wait_for,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

async fn inject(bus: &Bus, users: Range<u32>) {
    let name = |n| format!("user-{n}");
    let all: Vec<Publish> = users.map(|n| injection(&name(n), &name(n))).collect();
    bus.publish_all(&all).await.unwrap();
}

async fn decided(bus: &Bus) -> Vec<Assessment> {
    held(bus, Stream::Decisions, subject::all_of(bus.tenant(), "assessment")).await
}

/// Waits until so many keys have an incident.
async fn incidents(bus: &Bus, wanted: usize) {
    wait_for("incidents", async || {
        let keys: BTreeSet<String> = decided(bus).await.into_iter().map(|a| a.key).collect();
        (keys.len() == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_its_way_when_the_connection_broke_is_read_again() {
    let mut mesh = Mesh::new();
    let proxy = Proxy::to(&mesh.server.url()).await;
    let behind = format!("bus.url={}", proxy.url());
    mesh.start("analyzer", &["--set", &behind]);
    mesh.ready().await;
    let bus = mesh.bus().await;
    inject(&bus, 0..40).await;
    incidents(&bus, 40).await;
    // The server sends them, and nobody hears it; the connection is made anew within a moment, and
    // others follow.
    let before = proxy.lost();
    proxy.lose();
    inject(&bus, 40..80).await;
    wait_for("the server to have sent them", async || {
        (proxy.lost() - before > 40 * 300).then_some(())
    })
    .await;
    proxy.cut();
    proxy.heal();
    inject(&bus, 80..120).await;
    incidents(&bus, 120).await;
    let service: Token = "analyzer".parse().unwrap();
    let keyed = [subject::all_of(bus.tenant(), "keyed")];
    let row = wait_for("all to be handled", async || {
        let row = ledger::sharded_row(&bus, &service, Stream::Keyed, &keyed).await.ok()??;
        row.is_settled().then_some(row)
    })
    .await;
    let counted: u64 = leases(&bus).await.values().map(|(lease, _)| lease.handled).sum();
    assert_eq!((row.received, row.handled, counted), (120, 120, 120));
}

/// A counter of a role, as it serves it.
async fn counter(mesh: &Mesh, role: usize, name: &str) -> Option<f64> {
    let log = mesh.log(role);
    let address = log.split("address=").nth(1)?.split_whitespace().next()?;
    let mut connection = tokio::net::TcpStream::connect(address).await.ok()?;
    let request = "GET /metrics HTTP/1.1\r\nHost: mesh\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    connection.read_to_string(&mut text).await.ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().last()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_publishes_that_slept_since_it_decided_is_refused_by_the_server() {
    let mut mesh = Mesh::new();
    let proxy = Proxy::to(&mesh.server.url()).await;
    let behind = format!("bus.url={}", proxy.url());
    let first = mesh.start("analyzer", &["--set", &behind]);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let second = mesh.start("analyzer", &[]);
    wait_for("an even share", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [32, 32]).then_some(())
    })
    .await;
    // It is sent events, decides, and its decisions do not get through before it falls asleep.
    proxy.hold();
    inject(&bus, 0..80).await;
    wait_for("the first to have decided", async || {
        proxy.holds(b"mag.default.assessment.").then_some(())
    })
    .await;
    mesh.signal(first, "STOP");
    wait_for("the second to own all", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [64]).then_some(())
    })
    .await;
    incidents(&bus, 80).await;
    let before = decided(&bus).await;
    proxy.heal();
    mesh.signal(first, "CONT");
    let refused = wait_for("the first to be refused", async || {
        let name = "magsentinel_shell_fenced_total{consumer=\"analyzer\"}";
        counter(&mesh, first, name).await.filter(|count| *count >= 1.0)
    })
    .await;
    println!("refused {refused} times");
    wait_for("an even share again", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [32, 32]).then_some(())
    })
    .await;
    // All of it is opened, by one of them, once.
    let after = decided(&bus).await;
    let ids: BTreeSet<_> = after.iter().map(|a| a.id).collect();
    assert_eq!((ids.len(), after.len()), (before.len(), before.len()));
    assert!(!mesh.log(second).contains("lost the shard"));
}

/// The process that routes, by the lease of the router.
async fn routes(bus: &Bus) -> Option<String> {
    let filter = subject::leases_of(bus.tenant(), &router::NAME.parse().unwrap());
    held::<Lease>(bus, Stream::Decisions, filter).await.pop()?.owner
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_router_had_not_passed_on_another_passes_on_in_its_place() {
    let mut mesh = Mesh::with(&["analyzer"]).await;
    let bus = mesh.bus().await;
    let first = routes(&bus).await.unwrap();
    mesh.start("analyzer", &[]);
    wait_for("an even share", async || {
        (owners(&bus).await.into_values().collect::<Vec<_>>() == [32, 32]).then_some(())
    })
    .await;
    assert_eq!(routes(&bus).await.as_ref(), Some(&first), "one routes, and goes on");
    let publish = async |users: Range<u32>| {
        let name = |n| format!("user-{n}");
        let all: Vec<Publish> = users.map(|n| unrouted(&name(n), &name(n))).collect();
        bus.publish_all(&all).await.unwrap();
    };
    publish(0..200).await;
    incidents(&bus, 200).await;
    mesh.signal(0, "STOP");
    publish(200..400).await;
    // It has not been heard of: what it was sent is nobody's until it ends.
    mesh.signal(0, "KILL");
    mesh.wait(0);
    publish(400..600).await;
    incidents(&bus, 600).await;
    assert_ne!(routes(&bus).await, Some(first));
    let (name, filters) = (router::NAME.parse().unwrap(), router::filters(bus.tenant()));
    let row = wait_for("the ledger to settle", async || {
        let row = ledger::whole_row(&bus, &name, Stream::Scored, filters.clone()).await.ok()??;
        row.is_settled().then_some(row)
    })
    .await;
    assert_eq!((row.received, row.handled), (600, 600), "{row:?}");
}

/// Any decision, told from others by its number.
fn numbered(from_seq: u64) -> Publish {
    let patrol: Token = "test".parse().unwrap();
    let gap = Gap {
        v: SCHEMA_VERSION,
        id: Id::derived(&["numbered", &from_seq.to_string()]),
        tenant: Tenant::default(),
        patrol: patrol.clone(),
        kind: None,
        from_seq,
        to_seq: from_seq,
        count: 1,
        reason: String::new(),
        noticed: Timestamp::default(),
        state: GapState::Lost,
        from: None,
        to: None,
        scored_after: 0,
    };
    Publish::new(Subject::Gap(patrol), gap.id, &gap).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_stores_all_that_is_published_under_one_lease_and_nothing_under_a_former() {
    let mesh = Mesh::clustered();
    let bus = wait_for("a cluster", async || mesh.try_bus("default").await.ok()).await;
    // A cluster has one message at a time under way for a lease.
    let js = async_nats::jetstream::new(mesh.client().await);
    let leased = async |n: u64| {
        let lease = format!("mag.default.lease.test.{n}");
        let stored = js.publish(lease.clone(), "a lease".into()).await.unwrap().await.unwrap();
        Fence { subject: lease, seq: stored.sequence }
    };
    let fences = [leased(0).await, leased(1).await];
    let all: Vec<Publish> = (0..60).map(numbered).collect();
    let of = |n: usize| fences.get(n % 3).cloned();
    let under: Vec<Option<Fence>> = (0..60).map(of).collect();
    let begun = Instant::now();
    bus.publish_fenced(&all, &under).await.unwrap();
    println!("60 decisions, 20 under each of two leases: {:?}", begun.elapsed());
    let filter = subject::all_of(bus.tenant(), "gap");
    let stored: Vec<Gap> = held(&bus, Stream::Decisions, filter).await;
    let numbers: BTreeSet<u64> = stored.iter().map(|gap| gap.from_seq).collect();
    assert_eq!((stored.len(), numbers.len()), (60, 60));
    // And nothing of a former owner.
    js.publish(fences[0].subject.clone(), "the next".into()).await.unwrap().await.unwrap();
    let late = bus.publish_fenced(&[numbered(60)], &[Some(fences[0].clone())]).await;
    assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
}

/// Writes the lease of a shard as an owner would that goes on behind all that its stream holds, and
/// has handled none of it.
async fn pass_over(mesh: &Mesh, bus: &Bus, service: &str, shard: Shard, stream: Stream) {
    let js = async_nats::jetstream::new(mesh.client().await);
    let stream = js.get_stream(stream.name(bus.tenant())).await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let lease = lease_of(bus, service, shard).await;
    write(mesh, bus, &Lease { position: last, ..lease }).await;
}

/// The newest lease of a shard.
async fn lease_of(bus: &Bus, service: &str, shard: Shard) -> Lease {
    let filter = subject::leases_of(bus.tenant(), &service.parse().unwrap());
    let leases = held::<Lease>(bus, Stream::Decisions, filter).await;
    leases.into_iter().rfind(|lease| lease.shard == shard).unwrap()
}

async fn write(mesh: &Mesh, bus: &Bus, lease: &Lease) {
    let js = async_nats::jetstream::new(mesh.client().await);
    let message = PublishMessage::build()
        .payload(encode(lease).unwrap().into())
        .header("Content-Type", MESSAGEPACK)
        .header("Nats-Rollup", "sub");
    let subject = Subject::Lease(lease.service.clone(), lease.shard).of(bus.tenant());
    js.send_publish(subject, message).await.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_owner_told_and_did_not_write_down_is_put_right_by_the_next_one() {
    let mut mesh = Mesh::with(&["analyzer"]).await;
    let bus = mesh.bus().await;
    let shard = shard_of("ann");
    let before = lease_of(&bus, "analyzer", shard).await;
    let later = injection("later", "ann");
    bus.publish_all(std::slice::from_ref(&later)).await.unwrap();
    incidents(&bus, 1).await;
    mesh.signal(0, "KILL");
    mesh.wait(0);
    // As it was when it told: it writes down how far it is every few seconds.
    write(&mesh, &bus, &before).await;
    // By a clock that is behind, or delivered late.
    let keyed: Keyed =
        decode(&injection("earlier", "ann").payload, None, Limits::default()).unwrap();
    let ts = keyed.scored.ts.minus(Duration::from_secs(20));
    let keyed = Keyed { scored: Scored { ts, ..keyed.scored }, ..keyed };
    let id = Id::derived(&["keyed", "earlier"]);
    let earlier = Publish::new(Subject::Keyed(keyed.class, shard), id, &keyed).unwrap();
    bus.publish_all(&[earlier]).await.unwrap();
    mesh.start("analyzer", &[]);
    let told = wait_for("both to be one incident", async || {
        let mut newest = BTreeMap::new();
        for assessment in decided(&bus).await.into_iter().filter(|a| a.key == "ann") {
            newest.insert(assessment.incident, assessment);
        }
        newest.values().any(|a| a.count == 2).then_some(newest)
    })
    .await;
    let goes_on =
        |a: &&Assessment| a.reasoning.iter().any(|line| line.contains("goes on as incident"));
    let (gone, open): (Vec<&Assessment>, Vec<&Assessment>) = told.values().partition(goes_on);
    assert_eq!((gone.len(), open.len()), (1, 1), "{told:?}");
    assert_eq!((gone[0].count, open[0].count), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_passes_over_is_missing_and_stays_so_under_the_next_one() {
    let mut mesh = Mesh::with(&["analyzer"]).await;
    let bus = mesh.bus().await;
    let (keyed, routed) = (subject::all_of(bus.tenant(), "keyed"), router::filters(bus.tenant()));
    let (analyzer, routing) = ("analyzer".parse().unwrap(), router::NAME.parse().unwrap());
    // Of the owners' rows, once nothing waits: received, handled, missing.
    let rows = async || {
        wait_for("nothing to wait", async || {
            let filters = std::slice::from_ref(&keyed);
            let sharded = ledger::sharded_row(&bus, &analyzer, Stream::Keyed, filters).await;
            let whole = ledger::whole_row(&bus, &routing, Stream::Scored, routed.clone()).await;
            let rows = [sharded.ok()??, whole.ok()??];
            let told = |row: &ledger::Row| (row.received, row.handled, row.missing);
            rows.iter().all(|row| row.waiting == 0).then(|| rows.each_ref().map(told))
        })
        .await
    };
    let publish = async |users: Range<u32>| {
        let name = |n| format!("user-{n}");
        let all: Vec<Publish> = users.map(|n| unrouted(&name(n), &name(n))).collect();
        bus.publish_all(&all).await.unwrap();
    };
    publish(0..40).await;
    incidents(&bus, 40).await;
    // One that is killed has not told all that it counted: the next counts it again.
    mesh.signal(0, "KILL");
    mesh.wait(0);
    let second = mesh.start("analyzer", &[]);
    publish(40..80).await;
    incidents(&bus, 80).await;
    let [(passed, keyed_handled, 0), (80, 80, 0)] = rows().await else {
        panic!("{:?}", rows().await)
    };
    assert_eq!(passed, keyed_handled);
    mesh.signal(second, "TERM");
    mesh.wait(second);
    publish(80..81).await;
    pass_over(&mesh, &bus, router::NAME, Shard(0), Stream::Scored).await;
    inject(&bus, 81..82).await;
    pass_over(&mesh, &bus, "analyzer", shard_of("user-81"), Stream::Keyed).await;
    let missing = [(passed + 1, passed, 1), (81, 80, 1)];
    assert_eq!(rows().await, missing);
    mesh.start("analyzer", &[]);
    inject(&bus, 82..83).await;
    incidents(&bus, 81).await;
    assert_eq!(rows().await, [(passed + 2, passed + 1, 1), (81, 80, 1)]);
}
