//! The loss ledger under what happens in production: a patrol killed in the middle, the server
//! killed and restarted. Every event is answered for, once.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Id, Kind, Level, Receipt, SCHEMA_VERSION, Subject, Tenant, Token};
use magsentinel_runtime::{
    bus::{Bus, BusConfig},
    ledger::{self, Audit, Row},
    settings::Span,
    stage::Publish,
};
use magsentinel_tests::{Mesh, wait_for};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The whole of the curated data, where `MAGSENTINEL_DATA` names its folder. Elsewhere the
/// recording is made here, of the same size, so that the test never skips.
fn recordings(dir: &Path) -> Vec<(Kind, PathBuf)> {
    let data = std::env::var_os("MAGSENTINEL_DATA").map(PathBuf::from).unwrap_or_default();
    let curated = [
        (Kind::Sql, data.join("sql/sql.jsonl.gz")),
        (Kind::Data, data.join("dataflow/cert_activity.csv.gz")),
        (Kind::Data, data.join("dataflow/cloud_audit.jsonl.gz")),
    ];
    if curated.iter().all(|(_, file)| file.is_file()) {
        return curated.to_vec();
    }
    let file = dir.join("made.jsonl");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
    for n in 0..60_000_u64 {
        let text = match n % 50 {
            0 => format!("SELECT a FROM t WHERE id = '{n}' UNION SELECT card, cvv FROM pay --'"),
            _ => format!("SELECT name, price FROM products WHERE id = {n}"),
        };
        let row = serde_json::json!({"text": text, "user": format!("u{}", n % 97)});
        writeln!(out, "{row}").unwrap();
    }
    out.flush().unwrap();
    vec![(Kind::Sql, file)]
}

/// With the native runtime where `MAGSENTINEL_ONNXRUNTIME` names it: an unoptimised build of the
/// built-in one is no match for a hundred thousand events.
fn patrol(mesh: &mut Mesh, name: &str) -> usize {
    let library = std::env::var("MAGSENTINEL_ONNXRUNTIME").ok();
    let set = library.map(|path| format!("inference.onnxruntime={path}"));
    let args: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    mesh.start(name, &args)
}

fn replay(mesh: &Mesh, kind: Kind, file: &Path) -> std::process::Child {
    let mut command: Command = mesh.command(&["replay"]);
    command.arg(file).args(["--kind", kind.token(), "--speed", "0", "--tenant", "default"]);
    command.args(["--run-id", &Id::derived(&[file.to_str().unwrap()]).to_string()]);
    command.spawn().unwrap()
}

async fn settled(bus: &Bus, consumers: &[&str]) -> Vec<Row> {
    wait_for("the consumers to settle", async || {
        let rows = ledger::rows(bus).await.ok()?;
        let ours: Vec<Row> =
            rows.into_iter().filter(|r| consumers.contains(&r.consumer.as_str())).collect();
        (ours.len() == consumers.len() && ours.iter().all(Row::is_settled)).then_some(ours)
    })
    .await
}

async fn audited(bus: &Bus, patrol: &str, kind: Kind, events: u64) -> Audit {
    let patrol: Token = patrol.parse().unwrap();
    wait_for("an answer for every event", async || {
        let audit = ledger::audit(bus, &patrol, kind).await.ok()?;
        (audit.received >= events && audit.missing.is_empty()).then_some(audit)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_event_is_answered_for_once_although_patrols_are_killed() {
    let mut mesh = Mesh::new();
    let sql = patrol(&mut mesh, "sql-guard");
    let data = patrol(&mut mesh, "data-flow");
    mesh.ready().await;
    let bus = mesh.bus().await;
    let recordings = recordings(mesh.dir());
    let playing: Vec<_> =
        recordings.iter().map(|(kind, file)| replay(&mesh, *kind, file)).collect();
    let sql_guard: Token = "sql-guard".parse().unwrap();
    wait_for("sql-guard to be in the middle", async || {
        let audit = ledger::audit(&bus, &sql_guard, Kind::Sql).await.ok()?;
        (audit.scored > 2000).then_some(())
    })
    .await;
    for role in [sql, data] {
        mesh.signal(role, "KILL");
        mesh.wait(role);
    }
    patrol(&mut mesh, "sql-guard");
    patrol(&mut mesh, "data-flow");
    for mut child in playing {
        assert!(child.wait().unwrap().success());
    }
    let kinds = [("sql-guard", Kind::Sql), ("data-flow", Kind::Data)];
    for (patrol, kind) in kinds {
        if recordings.iter().all(|(k, _)| *k != kind) {
            continue;
        }
        let audit = audited(&bus, patrol, kind, 1).await;
        assert!(audit.is_balanced(), "{patrol}: {audit:?}");
        assert_eq!(audit.received, audit.scored + audit.dead_lettered, "{patrol}");
        println!("{patrol}: {audit:?}");
    }
    let rows = settled(&bus, &["sql-guard"]).await;
    println!("{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_load_comes_back_and_nothing_is_missing() {
    let mut mesh = Mesh::with(&["sensor", "sql-guard", "analyzer"]).await;
    let bus = mesh.bus().await;
    let js = async_nats::jetstream::new(mesh.client().await);
    let publish = tokio::spawn(async move {
        let mut stored = 0_u64;
        for n in 0..3000_u32 {
            let body = format!("{{\"text\":\"SELECT {n} FROM t\",\"user\":\"u\",\"id\":\"e{n}\"}}");
            // A publisher that wants its event to arrive waits for the server's word, and
            // otherwise says it again; the id makes that harmless.
            loop {
                let sent = js.publish("mag.default.ingest.sql", body.clone().into()).await;
                let confirmed = match sent {
                    Ok(ack) => tokio::time::timeout(Duration::from_secs(2), ack).await,
                    Err(_) => continue,
                };
                if matches!(confirmed, Ok(Ok(_))) {
                    stored += 1;
                    break;
                }
            }
        }
        stored
    });
    let patrol: Token = "sql-guard".parse().unwrap();
    wait_for("some events", async || {
        let audit = ledger::audit(&bus, &patrol, Kind::Sql).await.ok()?;
        (audit.scored > 300).then_some(())
    })
    .await;
    mesh.server.kill();
    mesh.server.restart();
    assert_eq!(publish.await.unwrap(), 3000);
    let audit = audited(&bus, "sql-guard", Kind::Sql, 3000).await;
    assert!(audit.is_balanced(), "{audit:?}");
    // An event that its publisher had to say twice has one id and may lie in the stream twice,
    // when the server lost the memory of the first; both are answered for.
    assert!(audit.received < 3100, "{audit:?}");
    let rows = settled(&bus, &["ingest", "sql-guard", "analyzer-router"]).await;
    assert!(rows.iter().all(|r| r.dead_lettered == 0), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_server_took_with_it_are_missed_once_not_one_by_one() {
    const MESSAGES: u64 = 200;
    let mut mesh = Mesh::new();
    mesh.bus().await;
    let config = BusConfig { url: mesh.url(), timeout: Span::s(1), ..BusConfig::default() };
    let bus = magsentinel_runtime::bus::connect(&config, "test").await.unwrap();
    let messages: Vec<Publish> = (0..MESSAGES).map(receipt).collect();
    mesh.server.freeze();
    let mut publishing = tokio::spawn(async move { bus.publish_all(&messages).await });
    let early = tokio::time::timeout(Duration::from_millis(500), &mut publishing).await;
    assert!(early.is_err(), "a frozen server answers nobody: {early:?}");
    mesh.server.kill();
    mesh.server.restart();
    // One wait after the other would be over three minutes: longer than a test may take.
    let done = tokio::time::timeout(magsentinel_tests::DEADLINE, publishing).await;
    done.expect("two spans, not one for each message").unwrap().unwrap();
}

fn receipt(n: u64) -> Publish {
    let (patrol, id): (Token, _) = ("test".parse().unwrap(), Id::derived(&[&n.to_le_bytes()]));
    let receipt = Receipt {
        v: SCHEMA_VERSION,
        id,
        tenant: Tenant::default(),
        patrol: patrol.clone(),
        model: String::new(),
        patterns: String::new(),
        events: vec![id],
        seqs: vec![n],
        backfilled: false,
    };
    Publish::new(Subject::Scored(patrol, Level::None), id, &receipt).unwrap()
}
