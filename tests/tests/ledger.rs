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

use flate2::read::GzDecoder;
use magsentinel_analyzer::router;
use magsentinel_bus_schema::{Alert, Analysis, Event, Id, Kind, Outcome, Stream, subject};
use magsentinel_runtime::{
    bus::{Bus, BusConfig},
    ledger::{self, Audit, Row},
    settings::Span,
    stage::Publish,
};
use magsentinel_tests::{Mesh, held, receipt::receipt, wait_for};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long a hundred thousand events may take through an unoptimised build, on a shared machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The patrols that play along, and what they score.
const PATROLS: [(&str, Kind); 2] = [("sql-guard", Kind::Sql), ("data-flow", Kind::Data)];

/// The whole of the curated data, where `MAGSENTINEL_DATA` names its folder. Elsewhere recordings
/// are made here, so that the test never skips.
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
    let statement = |n: u64| {
        let text = match n % 50 {
            0 => format!("SELECT a FROM t WHERE id = '{n}' UNION SELECT card, cvv FROM pay --'"),
            _ => format!("SELECT name, price FROM products WHERE id = {n}"),
        };
        serde_json::json!({"text": text, "user": format!("u{}", n % 97)})
    };
    let access = |n: u64| {
        serde_json::json!({
            "user": format!("u{}", n % 97), "action": "select", "rows": n % 40,
            "resource": format!("t{}", n % 13),
        })
    };
    vec![
        (Kind::Sql, made(&dir.join("sql.jsonl"), (0..60_000).map(statement))),
        (Kind::Data, made(&dir.join("data.jsonl"), (0..40_000).map(access))),
    ]
}

fn made(file: &Path, rows: impl Iterator<Item = serde_json::Value>) -> PathBuf {
    let mut out = std::io::BufWriter::new(File::create(file).unwrap());
    rows.for_each(|row| writeln!(out, "{row}").unwrap());
    out.flush().unwrap();
    file.to_path_buf()
}

/// Rows of a recording, counted here. No field of the curated ones holds a newline.
fn rows_of(file: &Path) -> u64 {
    let plain = File::open(file).unwrap();
    let zipped = file.extension().is_some_and(|ending| ending == "gz");
    let text: Box<dyn Read> =
        if zipped { Box::new(GzDecoder::new(plain)) } else { Box::new(plain) };
    let lines = BufReader::new(text).lines().map(Result::unwrap);
    let lines = lines.filter(|line| !line.trim().is_empty()).count() as u64;
    let named = file.to_string_lossy().contains(".csv");
    lines - u64::from(named)
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
    let mut command: Command = mesh.command(&["replay", "--output", "json"]);
    command.arg(file).args(["--kind", kind.token(), "--speed", "0", "--tenant", "default"]);
    command.args(["--run-id", &Id::derived(&[file.to_str().unwrap()]).to_string()]);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// Waits as long as a whole recording takes.
async fn patiently<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Every durable's row, and those of the services that own shards, once all are settled.
async fn settled(bus: &Bus, durables: &[&str]) -> Vec<Row> {
    let services = [
        ("data-flow", Stream::Events, subject::events_of(bus.tenant(), Kind::Data)),
        ("analyzer", Stream::Keyed, subject::all_of(bus.tenant(), "keyed")),
    ];
    patiently("every consumer to settle", async || {
        let mut rows = ledger::rows(bus).await.ok()?;
        let there = |name: &&str| rows.iter().any(|row| row.consumer == **name);
        assert!(durables.iter().all(there), "{durables:?} are not all in {rows:?}");
        for (name, stream, filter) in &services {
            let (name, filter) = (name.parse().unwrap(), std::slice::from_ref(filter));
            rows.push(ledger::sharded_row(bus, &name, *stream, filter).await.ok()??);
        }
        let (name, filters) = (router::NAME.parse().unwrap(), router::filters(bus.tenant()));
        rows.push(ledger::whole_row(bus, &name, Stream::Scored, filters).await.ok()??);
        rows.iter().all(Row::is_settled).then_some(rows)
    })
    .await
}

async fn audit(bus: &Bus, patrol: &str, kind: Kind) -> Option<Audit> {
    ledger::audit(bus, &patrol.parse().unwrap(), &[kind]).await.ok()
}

async fn audited(bus: &Bus, patrol: &str, kind: Kind, events: u64) -> Audit {
    let audit = patiently("an answer for every event", async || {
        let audit = audit(bus, patrol, kind).await?;
        (audit.received >= events && audit.missing.is_empty()).then_some(audit)
    })
    .await;
    assert!(audit.is_balanced(), "{patrol}: {audit:?}");
    assert_eq!(audit.received, audit.scored + audit.dead_lettered, "{patrol}");
    audit
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_event_is_answered_for_once_although_patrols_are_killed() {
    let mut mesh = Mesh::new();
    for role in ["sensor", "analyzer", "logbook"] {
        mesh.start(role, &[]);
    }
    let killed = PATROLS.map(|(name, _)| patrol(&mut mesh, name));
    mesh.ready().await;
    let bus = mesh.bus().await;
    let recordings = recordings(mesh.dir());
    let playing: Vec<_> =
        recordings.iter().map(|(kind, file)| replay(&mesh, *kind, file)).collect();
    patiently("both patrols to be in the middle", async || {
        for (name, kind) in PATROLS {
            audit(&bus, name, kind).await.filter(|audit| audit.scored > 1000)?;
        }
        Some(())
    })
    .await;
    killed.iter().for_each(|role| mesh.signal(*role, "KILL"));
    for role in killed {
        mesh.wait(role);
    }
    for (name, kind) in PATROLS {
        let open = audit(&bus, name, kind).await.unwrap();
        assert!(!open.missing.is_empty() && open.doubled.is_empty(), "{name} was done: {open:?}");
        println!("{name} killed with {} of {} unanswered", open.missing.len(), open.received);
    }
    for (name, _) in PATROLS {
        patrol(&mut mesh, name);
    }

    let mut events: BTreeMap<Kind, u64> = BTreeMap::new();
    for (child, (kind, file)) in playing.into_iter().zip(&recordings) {
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let told: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let figure = |name: &str| told[name].as_u64().unwrap();
        assert_eq!((figure("rows"), figure("published")), (rows_of(file), figure("rows")));
        *events.entry(*kind).or_default() += figure("published") - figure("dead_lettered");
    }
    for (name, kind) in PATROLS {
        let audit = audited(&bus, name, kind, events[&kind]).await;
        assert_eq!(audit.received, events[&kind], "{name}: what replay published");
        println!("{name}: {} events, {} dead letters", audit.received, audit.dead_lettered);
    }
    let rows = settled(&bus, &["ingest", "sql-guard", "logbook"]).await;
    rows.iter().for_each(|row| println!("{row:?}"));
}

/// Lines of an access log.
fn visit(log: &mut File, path: &str, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let line = format!(
            "192.0.2.1 - - [29/Nov/2026:21:00:00 +0000] \"GET {path}/{n} HTTP/1.1\" 200 12 \"-\" \
             \"Mozilla/5.0\"\n"
        );
        log.write_all(line.as_bytes()).unwrap();
    }
}

/// Requests that became events, by path, with their ids.
async fn visits(bus: &Bus, under: &str) -> Vec<(String, Id)> {
    let filter = subject::events_of(bus.tenant(), Kind::Api);
    let events: Vec<Event> = held(bus, Stream::Events, filter).await;
    let path = |event: &Event| event.body.get("path").and_then(|p| p.as_str()).map(str::to_owned);
    let all = events.iter().filter_map(|event| Some((path(event)?, event.id)));
    all.filter(|(path, _)| path.starts_with(under)).collect()
}

/// Publishes so many bodies as a publisher that wants them to arrive: it waits for the server's
/// word, and otherwise says it again; the id makes that harmless.
async fn publisher(client: async_nats::Client, kind: &'static str, events: u32) -> u32 {
    let js = async_nats::jetstream::new(client);
    let mut stored = 0;
    for n in 0..events {
        let body = serde_json::json!({
            "text": format!("SELECT {n} FROM t"), "user": format!("u{}", n % 7),
            "id": format!("{kind} {n}"), "action": "select", "resource": "t", "rows": 1,
        });
        loop {
            let subject = format!("mag.default.ingest.{kind}");
            let sent = js.publish(subject, body.to_string().into()).await;
            let Ok(ack) = sent else { continue };
            if matches!(tokio::time::timeout(Duration::from_secs(2), ack).await, Ok(Ok(_))) {
                stored += 1;
                break;
            }
        }
    }
    stored
}

/// What is published after the restart goes the whole way.
async fn alerted_and_answered(mesh: &Mesh, bus: &Bus) {
    let text = "SELECT name FROM t WHERE id = '' UNION SELECT password FROM users-- -'";
    let body = serde_json::json!({"text": text, "user": "zoe", "session": "s1"});
    mesh.ingest("sql", body.to_string()).await;
    let all = async |stage: &str| subject::all_of(bus.tenant(), stage);
    let alert = wait_for("an alert", async || {
        let alerts: Vec<Alert> = held(bus, Stream::Decisions, all("alert").await).await;
        alerts.into_iter().find(|alert| alert.key == "zoe")
    })
    .await;
    wait_for("its outcome and analysis", async || {
        let outcomes: Vec<Outcome> = held(bus, Stream::Decisions, all("outcome").await).await;
        let analyses: Vec<Analysis> = held(bus, Stream::Decisions, all("analysis").await).await;
        let done = outcomes.iter().any(|o| o.incident == alert.id)
            && analyses.iter().any(|a| a.incident == alert.id);
        done.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_load_comes_back_and_nothing_is_missing() {
    let mut mesh = Mesh::new();
    let path = mesh.dir().join("access.log");
    let mut log = File::create(&path).unwrap();
    let tail = format!("access={}", path.display());
    mesh.start("sensor", &["--tail", &tail, "--set", "sensor.ingest.trust=observed"]);
    mesh.start("analyzer", &["--set", "analyzer.decision.block_high=0.1"]);
    for role in ["commander", "responder", "logbook"] {
        mesh.start(role, &[]);
    }
    for (name, _) in PATROLS {
        patrol(&mut mesh, name);
    }
    mesh.ready().await;
    let bus = mesh.bus().await;
    // A tail reads what is written after it has found the file.
    wait_for("the tail", async || {
        visit(&mut log, "/first", 0..1);
        (!visits(&bus, "/first/").await.is_empty()).then_some(())
    })
    .await;
    let publishing = [("sql", 2000), ("data", 500)];
    let client = mesh.client().await;
    let published = publishing.map(|(kind, n)| tokio::spawn(publisher(client.clone(), kind, n)));
    visit(&mut log, "/item", 0..200);
    wait_for("some events", async || {
        for (name, kind) in PATROLS {
            audit(&bus, name, kind).await.filter(|audit| audit.scored > 50)?;
        }
        Some(())
    })
    .await;
    mesh.server.kill();
    visit(&mut log, "/item", 200..400);
    mesh.server.restart();
    let begun = Instant::now();
    visit(&mut log, "/item", 400..600);
    for (publisher, (_, n)) in published.into_iter().zip(publishing) {
        assert_eq!(publisher.await.unwrap(), n);
    }
    for ((name, kind), (_, n)) in PATROLS.into_iter().zip(publishing) {
        let audit = audited(&bus, name, kind, u64::from(n)).await;
        // An event that its publisher had to say twice has one id and may lie in the stream twice,
        // when the server lost the memory of the first; both are answered for.
        assert!(audit.received < u64::from(n) + 100, "{name}: {audit:?}");
    }
    println!("everything was answered for {:?} after the restart", begun.elapsed());
    let found = wait_for("every line of the log", async || {
        let found = visits(&bus, "/item/").await;
        let paths: BTreeSet<&String> = found.iter().map(|(path, _)| path).collect();
        (paths.len() == 600).then_some(found)
    })
    .await;
    let ids: BTreeSet<Id> = found.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids.len(), 600, "a line has two ids");
    alerted_and_answered(&mesh, &bus).await;
    let durables = ["ingest", "sql-guard", "commander", "responder", "logbook"];
    let rows = settled(&bus, &durables).await;
    assert!(rows.iter().all(|row| row.dead_lettered == 0), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_server_took_with_it_are_missed_once_not_one_by_one() {
    const MESSAGES: u64 = 200;
    let mut mesh = Mesh::new();
    mesh.bus().await;
    let config = BusConfig { url: mesh.url(), timeout: Span::s(1), ..BusConfig::default() };
    let bus = magsentinel_runtime::bus::connect(&config, "test").await.unwrap();
    let messages: Vec<Publish> =
        (0..MESSAGES).map(|n| receipt("test", Id::derived(&[&n.to_le_bytes()]), n)).collect();
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
