//! What every command promises: JSON for programs, on both outputs; exit codes by class; and roles
//! that end well when they are asked to.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Event, Stream, Timestamp, subject};
use magsentinel_tests::{Mesh, has_drained, held, magsentinel, repository, wait_for};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

const INJECTION: &str =
    "SELECT * FROM users WHERE name = '' UNION SELECT card, cvv FROM payments --'";

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Everything that is printed: one JSON value, or one a line.
fn json_of(args: &[&str], out: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&out.stdout).unwrap();
    let whole = serde_json::from_str::<Value>(text).map(|value| vec![value]);
    let lines = || text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    whole.or_else(|_| lines()).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

/// An incident that all services know of.
async fn incident(mesh: &Mesh) -> Value {
    mesh.ingest("sql", json!({"text": INJECTION, "user": "ann"}).to_string()).await;
    wait_for("an incident", async || {
        let out = mesh.output(&["incident", "list", "--output", "json"]);
        let all: Value = serde_json::from_slice(&out.stdout).ok()?;
        all.get(0).cloned()
    })
    .await
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_json_when_it_is_asked_to() {
    let mut mesh = Mesh::new();
    let key = mesh.dir().join("key.nk").display().to_string();
    let out = mesh.output(&["bundle", "key", &key, "--output", "json"]);
    let public = json_of(&["bundle", "key"], &out)[0]["public"].as_str().unwrap().to_owned();
    let bundles = format!("inference.bundles.signers=[\"{public}\"]");
    mesh.start("sql-guard", &["--set", &bundles]);
    for role in ["sensor", "analyzer", "commander", "responder", "logbook"] {
        mesh.start(role, &[]);
    }
    mesh.ready().await;
    let found = incident(&mesh).await;
    let id = found["id"].as_str().unwrap();
    let rows = write(&mesh.dir().join("rows.jsonl"), "{\"text\": \"SELECT 1\"}\n");
    let folder = mesh.dir().join("rules");
    std::fs::create_dir(&folder).unwrap();
    let rule = write(&folder.join("rule.yml"), RULE);
    let folder = folder.display().to_string();
    let model = repository().join("agents/patrol/models/sql-guard.onnx").display().to_string();
    let evidence = event_of(&mesh).await;
    let kev = write(&mesh.dir().join("kev.jsonl"), &KEV.replace('\n', ""));
    let table: Vec<Vec<&str>> = vec![
        vec!["check"],
        vec!["check", "--connect"],
        vec!["score", "sql-guard", &rows],
        vec!["replay", &rows, "--kind", "sql", "--speed", "flat"],
        vec!["status"],
        vec!["status", "--audit"],
        vec!["incident", "list"],
        vec!["incident", "show", id],
        vec!["incident", "export", id, "--format", "md"],
        vec!["incident", "export", id, "--format", "html"],
        vec!["incident", "export", id, "--format", "stix"],
        vec!["incident", "export", id, "--format", "ocsf"],
        vec!["incident", "close", id, "--as", "true-positive", "--by", "ann"],
        vec!["intel", "import", &kev],
        vec!["intel", "list"],
        vec!["intel", "search", "T1190"],
        vec!["backtest"],
        vec!["explain", id],
        vec!["explain", "--key", "ann"],
        vec!["explain", "event", &evidence],
        vec!["suppress", "add", "--id", "nightly", "--effect", "mute", "--class", "user", "--key"]
            .into_iter()
            .chain(["backup-*", "--until", "8h", "--reason", "nightly", "--by", "ann"])
            .collect(),
        vec!["suppress", "list"],
        vec!["suppress", "list", "--changes"],
        vec!["suppress", "end", "nightly", "--by", "ann"],
        vec!["pattern", "test", &rule, "--patrol", "sql-guard", "--event", &evidence],
        vec!["pattern", "propose", &rule, "--patrol", "sql-guard", "--event", &evidence]
            .into_iter()
            .chain(["--by", "ann"])
            .collect(),
        vec!["pattern", "list", "--all"],
        vec!["bundle", "publish", "sql-guard", "--key", &key, "--model", &model],
        vec!["bundle", "publish", "sql-guard", "--key", &key, "--patterns", &folder],
        vec!["bundle", "list", "sql-guard"],
        vec!["bundle", "rollback", "sql-guard"],
        vec!["bundle", "withdraw", "sql-guard"],
        vec!["lease", "list", "--all"],
        // Without `--end` it would reach for the host's packet filter.
        vec!["panic", "--end", "--by", "ann"],
    ];
    for args in table {
        printed(&mesh, &args);
    }
    let proposed = printed(&mesh, &["pattern", "list"]);
    let id = proposed[0][0]["pattern"].as_str().unwrap();
    printed(&mesh, &["pattern", "show", id]);
    printed(&mesh, &["pattern", "reject", id, "--reason", "not wanted", "--by", "ann"]);
}

/// What a command prints as JSON; everything that it says beside is JSON, too.
fn printed(mesh: &Mesh, args: &[&str]) -> Vec<Value> {
    let out = mesh.output(&[args, &["--output", "json"]].concat());
    let (code, said) = (out.status.code(), said(&out));
    assert_eq!(code, Some(0), "{args:?}: {said}");
    for line in said.lines() {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        // A note, or what is logged.
        assert!(told["note"].is_string() || told["level"].is_string(), "{args:?}: {line}");
    }
    let printed = json_of(args, &out);
    assert!(!printed.is_empty(), "{args:?} prints nothing");
    printed
}

/// The id of the event that was ingested.
async fn event_of(mesh: &Mesh) -> String {
    let bus = mesh.bus().await;
    let filter = subject::events_of(bus.tenant(), magsentinel_bus_schema::Kind::Sql);
    held::<Event>(&bus, Stream::Events, filter).await[0].id.to_string()
}

const RULE: &str = "title: Cards\nlogsource: {product: magsentinel, category: sql}\n\
    tags: [mag.odd_fruit]\nlevel: high\n\
    detection:\n  word: {text|contains: 'cvv FROM payments'}\n  condition: word\n";

const KEV: &str = r#"{"cveID": "CVE-2021-44228", "vendorProject": "Apache", "product": "Log4j2",
"vulnerabilityName": "Apache Log4j2 Remote Code Execution", "dateAdded": "2021-12-10",
"shortDescription": "JNDI", "requiredAction": "Update", "dueDate": "2021-12-24", "notes": ""}"#;

/// A command without a mesh around it.
fn alone(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(magsentinel());
    command.current_dir(dir).args(args).env("XDG_STATE_HOME", dir.join("state")).output().unwrap()
}

#[test]
fn exit_codes_are_those_that_the_help_promises() {
    let mesh = Mesh::new();
    let dir = mesh.dir();
    let cut = dir.join("cut.jsonl.gz");
    std::fs::write(&cut, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab").unwrap();
    let cut = cut.display().to_string();
    let broken = write(&dir.join("broken.onnx"), "not a model");
    let selftest = repository().join("agents/patrol/models/sql-guard.selftest.json");
    std::fs::copy(selftest, dir.join("broken.selftest.json")).unwrap();
    let missing = "patrols.sql_guard.model=/no/such.onnx";
    let broken = format!("patrols.sql_guard.model={broken}");
    let gone = "bus.url=nats://127.0.0.1:1";
    let table: &[(u8, &[&str], &str)] = &[
        (64, &["run", "chef"], "no role"),
        (64, &["sing"], "unrecognized"),
        (64, &["replay", "x", "--speed", "fast"], "flat"),
        (64, &["check", "--set", "analyzer.latenes=3s"], "latenes"),
        (64, &["check", "--set", missing], "/no/such.onnx"),
        (64, &["check", "--set", &broken], "broken.onnx"),
        (64, &["run", "sql-guard", "--set", missing], "/no/such.onnx"),
        (64, &["run", "sql-guard", "--set", &broken], "broken.onnx"),
        (64, &["score", "sql-guard", "-", "--set", missing], "/no/such.onnx"),
        (64, &["backtest", "--chains", "/no/such.yml"], "/no/such.yml"),
        (64, &["status", "--mesh", "/no/such"], "--data"),
        (65, &["score", "sql-guard", "/no/such.jsonl"], "/no/such.jsonl"),
        (65, &["replay", "/no/such.jsonl"], "/no/such.jsonl"),
        (65, &["replay", &cut, "--kind", "sql"], "cut.jsonl.gz"),
        (65, &["intel", "import", "/no/such.json"], "/no/such.json"),
        (69, &["status", "--set", gone, "--set", "bus.startup=100ms"], "127.0.0.1:1"),
        (69, &["incident", "list", "--set", "logbook.path=/no/such.db"], "no logbook"),
    ];
    for (code, args, part) in table {
        let url = format!("bus.url={}", mesh.server.url());
        let named = [&["--set", &url][..], args].concat();
        let out = alone(dir, &named);
        let told = said(&out);
        assert_eq!(out.status.code(), Some(i32::from(*code)), "{args:?}: {told}");
        assert!(told.contains("error: ") && told.contains(part), "{args:?}: {told}");
        // The same for programs.
        let out = alone(dir, &[&named[..], &["--output", "json"]].concat());
        let last = said(&out).lines().last().unwrap_or_default().to_owned();
        let told: Value = serde_json::from_str(&last).unwrap_or_else(|e| panic!("{e}: {last}"));
        assert_eq!(told["code"], u64::from(*code), "{args:?}: {told}");
        assert!(told["error"].as_str().is_some_and(|why| why.contains(part)), "{args:?}: {told}");
    }
    let help = String::from_utf8(alone(dir, &["--help"]).stdout).unwrap();
    for code in ["64", "65", "69", "130"] {
        assert!(help.contains(&format!("\n  {code} ")), "{code} is missing in {help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_drains_and_ends_well_when_it_is_asked_to() {
    let roles = [
        "sensor",
        "sql-guard",
        "data-flow",
        "api-watch",
        "auth-sentry",
        "net-sentry",
        "analyzer",
        "commander",
        "responder",
        "logbook",
    ];
    let mut mesh = Mesh::with(&roles).await;
    for (at, role) in roles.iter().enumerate() {
        mesh.stop(at);
        let log = mesh.log(at);
        assert!(has_drained(&log), "{role}: {log}");
    }
}

/// Two rows, two seconds apart.
fn recording(mesh: &Mesh) -> String {
    let row = |second: i64| {
        let ts = Timestamp::from_micros((1_764_000_000 + second) * 1_000_000);
        json!({"ts": ts, "text": format!("SELECT {second}"), "user": "ann"}).to_string()
    };
    write(&mesh.dir().join("two.jsonl"), &format!("{}\n{}\n", row(0), row(2)))
}

#[test]
fn a_recording_is_played_as_recorded_faster_or_flat_out() {
    let mesh = Mesh::new();
    let file = recording(&mesh);
    let play = |speed: &[&str]| {
        let begun = Instant::now();
        let args = ["replay", &file, "--kind", "sql", "--output", "json"];
        let out = mesh.output(&[&args[..], speed].concat());
        assert!(out.status.success(), "{speed:?}: {}", said(&out));
        let told = &json_of(speed, &out)[0];
        assert_eq!((&told["rows"], &told["published"]), (&json!(2), &json!(2)), "{told}");
        let unread = "nobody reads for tenant replay here";
        assert!(said(&out).contains(unread) && said(&out).contains("--tenant default"));
        begun.elapsed()
    };
    // What starting and connecting takes is in all of them.
    let flat = play(&["--speed", "flat"]);
    let recorded = [&[][..], &["--speed", "1"], &["--speed", "1x"]].map(play);
    let faster = ["2", "2x"].map(|n| play(&["--speed", n]));
    for took in recorded {
        assert!(took >= Duration::from_secs(2), "{took:?}");
    }
    for took in faster {
        assert!(took >= Duration::from_secs(1), "{took:?}");
    }
    let zero = play(&["--speed", "0"]);
    let much = play(&["--speed", "2000"]);
    let quickest = flat.min(zero).min(much);
    assert!(quickest < Duration::from_secs(1), "{flat:?} {zero:?} {much:?}");
}
