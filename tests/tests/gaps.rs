//! A patrol that was blind says so, scores what it missed from the stream, and what is found in it
//! is alerted as back-filled, without action.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{
    Action, Alert, Assessment, Event, Fields, Gap, GapState, Id, Kind, Level, Limits, Receipt,
    SCHEMA_VERSION, Scored, Shard, Source, Status, Stream, Subject, Tenant, Timestamp, Token,
    Trust, subject,
};
use magsentinel_runtime::{
    bus::Bus,
    ledger,
    stage::{Delivery, Publish},
};
use magsentinel_tests::{Mesh, held, wait_for};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// When an event that waits was missed.
const BLIND_AFTER: Duration = Duration::from_secs(3);

/// A statement as a sensor that observed it publishes it.
fn event(name: &str, user: &str, text: &str) -> Publish {
    let body = json!({"text": text, "user": user, "session": format!("s-{user}")});
    observed(name, Kind::Sql, user, &body)
}

fn observed(name: &str, kind: Kind, user: &str, body: &Value) -> Publish {
    let now = magsentinel_runtime::clock::now();
    let event = Event {
        v: SCHEMA_VERSION,
        id: Id::derived(&["gaps", name]),
        tenant: Tenant::default(),
        kind,
        ts: now,
        received: now,
        ts_missing: false,
        replayed: false,
        source: Source { trust: Trust::Observed, ..Source::default() },
        causes: vec![],
        trace: None,
        body: Fields(body.as_object().cloned().unwrap()),
    };
    let shard = Shard::of(user, 64);
    Publish::new(Subject::Event(kind, shard), event.id, &event).unwrap()
}

async fn attack(bus: &Bus, user: &str) {
    let text = "SELECT name FROM t WHERE id = '' UNION SELECT password FROM users-- -'";
    bus.publish_all(&[event(&format!("attack of {user}"), user, text)]).await.unwrap();
}

/// Publishes ordinary events until it is told to stop; how many.
async fn traffic(bus: Bus, stop: Arc<AtomicBool>) -> u64 {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let of = |n| event(&format!("ordinary {n}"), "shop", &format!("SELECT a FROM t{n}"));
        let batch: Vec<_> = (sent..sent + 5).map(of).collect();
        bus.publish_all(&batch).await.unwrap();
        sent += 5;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sent
}

/// By sequence of an event: whether each result about it is marked as back-filled.
async fn results(bus: &Bus) -> BTreeMap<u64, BTreeSet<bool>> {
    let mut said: BTreeMap<u64, BTreeSet<bool>> = BTreeMap::new();
    let show = |d: &Delivery| {
        let (seqs, marked) = match d.decode::<Receipt>(Limits::default()) {
            Ok(receipt) => (receipt.seqs, receipt.backfilled),
            Err(_) => {
                let scored: Scored = d.decode(Limits::default()).unwrap();
                assert_eq!(scored.replayed, scored.backfilled, "{scored:?}");
                (vec![scored.seq], scored.backfilled)
            }
        };
        seqs.into_iter().for_each(|seq| {
            said.entry(seq).or_default().insert(marked);
        });
    };
    let guard: Token = "sql-guard".parse().unwrap();
    let filters = Level::ALL.iter().map(|l| Subject::Scored(guard.clone(), *l).of(bus.tenant()));
    bus.read_all(Stream::Scored, filters.collect(), show).await.unwrap();
    said
}

/// The first alert about a user, and whether an action followed from its incident.
async fn alerted(bus: &Bus, user: &str) -> (Alert, bool) {
    let alert = wait_for("an alert", async || {
        let alerts = held(bus, Stream::Decisions, subject::all_of(bus.tenant(), "alert")).await;
        let of_user = |a: &Alert| a.key == user && a.status == Status::Opened;
        alerts.into_iter().find(of_user)
    })
    .await;
    let actions: Vec<Action> =
        held(bus, Stream::Decisions, subject::all_of(bus.tenant(), "action")).await;
    let acted = actions.iter().any(|action| action.incident == alert.id);
    (alert, acted)
}

async fn gaps(bus: &Bus) -> Vec<Gap> {
    held(bus, Stream::Decisions, subject::all_of(bus.tenant(), "gap")).await
}

fn json(mesh: &Mesh, args: &[&str]) -> Value {
    let out = mesh.output(&[&["--output", "json"], args].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn sql_guard(mesh: &mut Mesh) -> usize {
    let bound = format!("patrols.sql_guard.blind_after={}s", BLIND_AFTER.as_secs());
    let library = std::env::var("MAGSENTINEL_ONNXRUNTIME").ok();
    let library = library.map(|path| format!("inference.onnxruntime={path}"));
    let sets: Vec<&str> =
        [Some(&bound), library.as_ref()].into_iter().flatten().map(String::as_str).collect();
    let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    mesh.start("sql-guard", &args)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_patrol_missed_is_back_filled_counted_and_alerted_without_action() {
    let mut mesh = Mesh::new();
    mesh.start("analyzer", &["--set", "analyzer.decision.block_high=0.1"]);
    mesh.start("logbook", &[]);
    let guard = sql_guard(&mut mesh);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let stop = Arc::new(AtomicBool::new(false));
    let playing = tokio::spawn(traffic(bus.clone(), Arc::clone(&stop)));

    attack(&bus, "ann").await;
    let (seen, acted) = alerted(&bus, "ann").await;
    assert!(!seen.backfilled && !seen.replayed && acted, "{seen:?}");

    mesh.signal(guard, "KILL");
    mesh.wait(guard);
    let (begun, before) = (Instant::now(), results(&bus).await.len());
    attack(&bus, "eve").await;
    wait_for("the patrol to be blind", async || {
        (begun.elapsed() > BLIND_AFTER + Duration::from_secs(1)).then_some(())
    })
    .await;
    let told = json(&mesh, &["status"]);
    let rows = told["ledger"].as_array().unwrap();
    let row = rows.iter().find(|row| row["consumer"] == "sql-guard").unwrap();
    assert!(row["waiting"].as_u64() > Some(0) && row["waiting_since"].is_string(), "{row}");
    assert_eq!(gaps(&bus).await, [], "nobody is there who could tell");

    sql_guard(&mut mesh);
    let open = wait_for("the gap", async || gaps(&bus).await.into_iter().next()).await;
    assert_eq!(open.state, GapState::Open, "{open:?}");
    let (found, acted) = alerted(&bus, "eve").await;
    assert!(found.backfilled && found.replayed && !acted, "{found:?}");

    // What was under way when it was killed is delivered again after 30 seconds.
    let closed = wait_for("the gap to be closed", async || {
        gaps(&bus).await.into_iter().find(|gap| gap.state == GapState::Backfilled)
    })
    .await;
    attack(&bus, "zoe").await;
    let (seen, acted) = alerted(&bus, "zoe").await;
    assert!(!seen.backfilled && acted, "{seen:?}");
    stop.store(true, Ordering::Relaxed);
    let sent = playing.await.unwrap() + 3;

    let patrol: Token = "sql-guard".parse().unwrap();
    let audit = wait_for("an answer for every event", async || {
        let audit = ledger::audit(&bus, &patrol, &[Kind::Sql]).await.ok()?;
        (audit.received == sent && audit.missing.is_empty()).then_some(audit)
    })
    .await;
    assert!(audit.is_balanced(), "{audit:?}");
    let results = results(&bus).await;
    let in_time = results.values().filter(|marks| marks.contains(&false)).count();
    let missed: Vec<u64> =
        results.iter().filter(|(_, m)| !m.contains(&false)).map(|(seq, _)| *seq).collect();
    assert!(in_time >= before && missed.len() > 100, "{in_time} in time, {}", missed.len());
    assert_eq!(closed.count, missed.len() as u64, "{closed:?}");
    assert_eq!((closed.from_seq, closed.to_seq), (missed[0], missed[missed.len() - 1]));
    assert_eq!((closed.id, gaps(&bus).await.len()), (open.id, 2));
    let blind = closed.to.unwrap().since(closed.from.unwrap());
    assert!(blind < begun.elapsed() && closed.to < Some(closed.noticed), "{closed:?}");

    told_to_people(&mesh, &bus, &found, &closed).await;
}

/// What a reader of the alert, of the logbook and of `status` is told.
async fn told_to_people(mesh: &Mesh, bus: &Bus, alert: &Alert, gap: &Gap) {
    let filter = subject::all_of(bus.tenant(), "assessment");
    let decided: Vec<Assessment> = held(bus, Stream::Decisions, filter).await;
    let of = decided.iter().find(|a| a.id == alert.assessment).unwrap();
    let said = of.reasoning.join(" ");
    assert!(said.contains("From back-fill") && said.contains("sql-guard was blind"), "{said}");
    let shown = wait_for("the logbook to know", async || {
        let out = mesh.output(&["incident", "show", &alert.id.to_string()]);
        out.status.success().then(|| String::from_utf8(out.stdout).unwrap())
    })
    .await;
    assert!(shown.contains("from back-fill"), "{shown}");
    let told = json(mesh, &["status"]);
    let [shown] = told["gaps"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&shown["state"], &shown["count"]), (&json!("backfilled"), &json!(gap.count)));
    let since: Timestamp = serde_json::from_value(shown["from"].clone()).unwrap();
    assert_eq!(Some(since), gap.from);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patrol_of_shards_that_slept_tells_of_its_gap_too() {
    let bound = Duration::from_secs(15);
    let mut mesh = Mesh::new();
    mesh.start("data-flow", &["--set", "patrols.data_flow.blind_after=15s"]);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let send = async |numbers: std::ops::Range<u64>| {
        let of = |n: u64| {
            let user = format!("u{}", n % 7);
            let body = json!({"user": user, "action": "select", "resource": "t", "rows": n});
            observed(&format!("access {n}"), Kind::Data, &user, &body)
        };
        bus.publish_all(&numbers.map(of).collect::<Vec<_>>()).await.unwrap();
    };
    let flow: Token = "data-flow".parse().unwrap();
    let scored = async |wanted: u64| {
        wait_for("all to be scored", async || {
            let audit = ledger::audit(&bus, &flow, &[Kind::Data]).await.ok()?;
            (audit.scored >= wanted).then_some(())
        })
        .await;
    };
    send(0..20).await;
    scored(20).await;

    mesh.signal(0, "STOP");
    let begun = Instant::now();
    send(20..70).await;
    // Longer than the bound: what was sent was stored a little later than the watch was started.
    let asleep = bound + Duration::from_secs(1);
    wait_for("the patrol to be blind", async || (begun.elapsed() > asleep).then_some(())).await;
    mesh.signal(0, "CONT");
    scored(70).await;
    send(70..80).await;
    let closed = wait_for("the gap to be closed", async || {
        gaps(&bus).await.into_iter().find(|gap| gap.state == GapState::Backfilled)
    })
    .await;
    assert_eq!((closed.patrol, closed.count), (flow, 50));
    assert_eq!((closed.from_seq, closed.to_seq), (21, 70));
}
