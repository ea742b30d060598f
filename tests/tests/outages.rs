//! A sensor whose server is away, or takes nothing so large: nothing hangs, and it is told.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{DeadLetter, Event, Stream, subject};
use magsentinel_runtime::{bus::Bus, micro};
use magsentinel_tests::{DEADLINE, Mesh, held, wait_for};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Below the smallest `sensor.event_bytes_max`.
const SMALL: &str = "max_payload: 40000";

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn request(path: &str) -> String {
    format!("203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] \"GET /{path} HTTP/1.1\" 200 1\n")
}

async fn paths(bus: &Bus) -> Vec<String> {
    let filter = subject::all_of(bus.tenant(), "event");
    let events: Vec<Event> = held(bus, Stream::Events, filter).await;
    let path = |e: &Event| e.body.get("path").and_then(Value::as_str).unwrap_or("").to_owned();
    events.iter().map(path).collect()
}

async fn letters(bus: &Bus) -> Vec<DeadLetter> {
    held(bus, Stream::DeadLetter, subject::all_of(bus.tenant(), "deadletter")).await
}

/// What the sensor says of its only tail.
async fn tail(bus: &Bus) -> Option<Value> {
    let services = micro::ask_all(bus, "STATS", Some("sensor")).await.ok()?;
    let tails = &services.first()?["endpoints"][0]["data"]["parts"]["tail"];
    tails.as_object()?.values().next().cloned()
}

/// A sensor that follows an access log from its start.
async fn following(mesh: &mut Mesh, log: &Path) -> usize {
    let config = mesh.dir().join("sensor.yaml");
    let tails = json!({"sensor": {"tails": [{"format": "access", "path": log, "from": "start"}]}});
    fs::write(&config, tails.to_string()).unwrap();
    let role = mesh.start("sensor", &["--config", config.to_str().unwrap()]);
    mesh.ready().await;
    role
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_over_max_payload_is_a_dead_letter_and_the_next_one_an_event() {
    let mut mesh = Mesh::configured(SMALL);
    let log = mesh.dir().join("access.log");
    append(&log, &(request("a") + &request(&"x".repeat(60_000)) + &request("b")));
    following(&mut mesh, &log).await;
    let bus = mesh.bus().await;
    wait_for("two events", async || (paths(&bus).await == ["/a", "/b"]).then_some(())).await;
    let letters =
        wait_for("a letter", async || Some(letters(&bus).await).filter(|l| !l.is_empty())).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(letters[0].reason.contains("max_payload"), "{letters:?}");
    let at = request("a").len() as u64;
    assert_eq!((letters[0].seq, letters[0].subject.as_str()), (at, log.to_str().unwrap()));
    // The position has moved on.
    append(&log, &request("c"));
    wait_for("the next", async || (paths(&bus).await == ["/a", "/b", "/c"]).then_some(())).await;
    let told =
        wait_for("the tail's report", async || tail(&bus).await.filter(|told| told["events"] == 3))
            .await;
    assert_eq!((&told["rejected"], &told["lag_bytes"]), (&json!(1), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_and_nothing_is_lost_in_it() {
    let mut mesh = Mesh::new();
    let log = mesh.dir().join("access.log");
    append(&log, &request("a"));
    let role = following(&mut mesh, &log).await;
    let bus = mesh.bus().await;
    wait_for("the first event", async || (paths(&bus).await == ["/a"]).then_some(())).await;
    mesh.server.kill();
    append(&log, &request("b"));
    wait_for("the outage to be told", async || {
        mesh.log(role).contains("the server has not confirmed 1 messages").then_some(())
    })
    .await;
    mesh.server.restart();
    wait_for("the second event", async || (paths(&bus).await == ["/a", "/b"]).then_some(())).await;
    let told =
        wait_for("the tail's report", async || tail(&bus).await.filter(|told| told["events"] == 2))
            .await;
    assert!(told["publish_failures"].as_u64().unwrap() > 0, "{told}");
    assert_eq!((&told["trouble"], &told["lag_bytes"]), (&Value::Null, &json!(0)));
}

fn recording(mesh: &Mesh, rows: &[Value]) -> PathBuf {
    let path = mesh.dir().join("recording.jsonl");
    let text: Vec<String> = rows.iter().map(ToString::to_string).collect();
    fs::write(&path, text.join("\n")).unwrap();
    path
}

fn replaying(mesh: &Mesh, file: &Path, speed: &str) -> Child {
    let args = ["replay", file.to_str().unwrap(), "--kind", "sql", "--speed", speed];
    let mut command: Command = mesh.command(&args);
    command.args(["--output", "json"]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of a process, at most so long.
async fn ended(mut child: Child, within: Duration) -> Output {
    let begun = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return child.wait_with_output().unwrap();
        }
        if begun.elapsed() >= within {
            child.kill().unwrap();
            panic!("still running after {within:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_over_max_payload_is_a_dead_letter_of_the_replay() {
    let mesh = Mesh::configured(SMALL);
    let long = "x".repeat(60_000);
    let rows: Vec<Value> =
        ["a", &long, "c"].iter().map(|text| json!({"text": text, "ts": 1000})).collect();
    let replay = replaying(&mesh, &recording(&mesh, &rows), "0");
    let output = ended(replay, DEADLINE).await;
    assert!(output.status.success(), "{output:?}");
    let told = report(&output);
    assert_eq!((&told["published"], &told["dead_lettered"]), (&json!(3), &json!(1)));
    let bus = mesh.bus_of("replay").await;
    assert_eq!(letters(&bus).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_interrupt_ends_a_replay_whose_server_is_away() {
    let mut mesh = Mesh::new();
    let rows: Vec<Value> = (0..2000)
        .map(|n| json!({"text": "select 1", "ts": 1000.0 + f64::from(n) / 10.0}))
        .collect();
    let file = recording(&mesh, &rows);
    let replay = replaying(&mesh, &file, "1");
    let bus = mesh.bus_of("replay").await;
    let filter = subject::all_of(bus.tenant(), "event");
    wait_for("the first event", async || {
        let events: Vec<Event> = held(&bus, Stream::Events, filter.clone()).await;
        (!events.is_empty()).then_some(())
    })
    .await;
    mesh.server.kill();
    interrupt(&replay);
    let output = ended(replay, Duration::from_secs(10)).await;
    let told = report(&output);
    assert_eq!((&told["stopped"], &told["rows"]), (&json!(true), &json!(2000)));

    // And one that never had a server.
    let replay = replaying(&mesh, &file, "1");
    let begun = wait_for("the process to listen for signals", async || {
        let status = fs::read_to_string(format!("/proc/{}/status", replay.id())).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught & 0b10 != 0).then(Instant::now)
    })
    .await;
    interrupt(&replay);
    ended(replay, Duration::from_secs(10)).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
}
