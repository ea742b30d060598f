//! A chain's way through a running mesh: proposed, tested, in shadow, signed, live, rolled back;
//! with its analyzer killed on the way.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{
    Assessment, Id, Level, PatternChange, SCHEMA_VERSION, Scored, Stream, Subject, subject,
};
use magsentinel_runtime::{bus::Bus, clock, micro, stage::Publish};
use magsentinel_tests::{Mesh, held, wait_for};
use serde_json::{Value, json};
use std::path::PathBuf;

const CHAIN: &str = "odd_fruit";

/// Two findings of one user within a minute, of which no shipped chain makes anything.
const TEXT: &str = "title: Odd fruit twice\nname: odd_fruit\nlevel: high\ncorrelation:\n  \
    type: event_count\n  rules: [odd_fruit_1]\n  group-by: [user]\n  timespan: 1m\n  \
    condition: {gte: 2}\n---\ntitle: Odd fruit\nname: odd_fruit_1\nlogsource: {product: \
    magsentinel, service: scored}\ndetection:\n  it: {category: odd_fruit, level|gte: medium}\n  \
    condition: it\n";

fn finding(name: &str, category: &str, who: &str) -> Scored {
    let (now, odd) = (clock::now(), category == CHAIN);
    let level = if odd { Level::Medium } else { Level::Low };
    serde_json::from_value(json!({
        "v": SCHEMA_VERSION, "id": Id::derived(&["scored", name]),
        "event": Id::derived(&["event", name]), "tenant": "default", "kind": "sql",
        "patrol": "fruit-watch", "ts": now, "received": now, "scored": now, "level": level,
        "score": 0.6, "confidence": 0.9, "category": category, "techniques": [], "reasons": [],
        "entities": [{"class": "user", "value": who, "trust": "observed"}], "excerpt": "",
    }))
    .unwrap()
}

async fn publish(bus: &Bus, all: &[Scored]) {
    let message = |of: &Scored| {
        Publish::new(Subject::Scored(of.patrol.clone(), of.level), of.id, of).unwrap()
    };
    bus.publish_all(&all.iter().map(message).collect::<Vec<_>>()).await.unwrap();
}

/// What makes an incident of the chain.
fn pair(who: &str, number: usize) -> [Scored; 2] {
    [1, 2].map(|n| finding(&format!("{who} {number} {n}"), CHAIN, who))
}

async fn mild(bus: &Bus, from: usize, count: usize) {
    let all = (from..from + count).map(|n| finding(&format!("m{n}"), "mild", &format!("u{n}")));
    publish(bus, &all.collect::<Vec<_>>()).await;
}

fn pattern(mesh: &Mesh, settings: &[&str], args: &[&str]) -> Result<Value, String> {
    let out = mesh.output(&[&["--output", "json", "pattern"], args, settings].concat());
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&out.stdout).unwrap())
}

async fn reaches(mesh: &Mesh, id: &str, state: &str) -> Value {
    wait_for(state, async || {
        let found = pattern(mesh, &[], &["show", id]).unwrap();
        let last = found["steps"].as_array()?.last()?["state"].clone();
        assert!(last != "refused" || state == "refused", "{found:#}");
        (last == state).then_some(found)
    })
    .await
}

/// What the analyzer says of its patterns.
async fn told(bus: &Bus) -> Option<Value> {
    let services = micro::ask_all(bus, "STATS", Some("analyzer")).await.ok()?;
    services.first()?.pointer("/endpoints/0/data/parts/patterns").cloned()
}

/// The users that the chain found.
async fn found(bus: &Bus) -> Vec<String> {
    let filter = subject::all_of(bus.tenant(), "assessment");
    let all: Vec<Assessment> = held(bus, Stream::Decisions, filter).await;
    all.into_iter().filter(|of| of.chain.as_str() == CHAIN).map(|of| of.key).collect()
}

/// Sends findings of one user, who counts once, until the chain finds him.
async fn finds(bus: &Bus, name: &str) {
    let mut sent = 0;
    wait_for("an assessment of the chain", async || {
        publish(bus, &pair(name, sent)).await;
        sent += 1;
        found(bus).await.iter().any(|key| key == name).then_some(())
    })
    .await;
}

async fn kill(mesh: &mut Mesh, role: usize, settings: &[&str]) {
    mesh.signal(role, "KILL");
    mesh.wait(role);
    mesh.start("analyzer", settings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_lives_through_kills_and_is_told_step_by_step() {
    let mut mesh = Mesh::new();
    let key = mesh.dir().join("ours.nk").display().to_string();
    let out = mesh.output(&["bundle", "key", &key]);
    let signers =
        format!("patterns.signers=[\"{}\"]", String::from_utf8(out.stdout).unwrap().trim());
    let given = [
        signers.as_str(),
        "patterns.shadow_events=200",
        "patterns.false_positives_max=0.01",
        "patterns.count_every=1s",
    ];
    let settings: Vec<&str> = given.into_iter().flat_map(|set| ["--set", set]).collect();
    mesh.start("analyzer", &settings);
    mesh.start("logbook", &[]);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let own = pair("mallory", 0);
    publish(&bus, &own).await;
    mild(&bus, 0, 20).await;

    let file: PathBuf = mesh.dir().join("odd.yml");
    std::fs::write(&file, TEXT).unwrap();
    let events = own.each_ref().map(|scored| scored.event.to_string());
    let of = [file.to_str().unwrap(), "--patrol", "analyzer", "--event", &events[0]];
    let tested = wait_for("the findings to be retained", async || {
        pattern(&mesh, &settings, &[&["test"], &of[..]].concat()).ok()
    })
    .await;
    assert_eq!((&tested["gate"], &tested["proof"]["hits"]), (&Value::Null, &json!(1)), "{tested}");
    let args = [&["propose"], &of[..], &["--by", "ann"]].concat();
    let id = pattern(&mesh, &settings, &args).unwrap()["pattern"].as_str().unwrap().to_owned();

    // In shadow its hits are visible and have no effect. Its analyzer is killed and started again.
    reaches(&mesh, &id, "shadow").await;
    publish(&bus, &pair("eve", 0)).await;
    mild(&bus, 1000, 100).await;
    wait_for("its hit in shadow", async || {
        let seen = pattern(&mesh, &[], &["show", &id]).unwrap();
        (seen["tally"]["hits"] == 1 && seen["tally"]["alone"] == 1).then_some(())
    })
    .await;
    assert_eq!(found(&bus).await, Vec::<String>::new());
    let promotion = ["promote", &id, "--key", &key, "--by", "ann"];
    assert!(
        pattern(&mesh, &settings, &promotion).unwrap_err().contains("shadow cannot be promoted")
    );
    kill(&mut mesh, 0, &settings).await;
    let mut from = 2000;
    wait_for("the end of its shadow", async || {
        mild(&bus, from, 50).await;
        from += 50;
        let found = pattern(&mesh, &[], &["show", &id]).unwrap();
        (found["steps"].as_array()?.last()?["state"] == "ready").then_some(())
    })
    .await;

    // Signed it is live, also in a new process.
    let before = told(&bus).await.unwrap()["digest"].clone();
    pattern(&mesh, &settings, &promotion).unwrap();
    wait_for("the analyzer to use it", async || {
        let told = told(&bus).await?;
        (told["live"] == 1 && told["digest"] != before).then_some(())
    })
    .await;
    finds(&bus, "trudy").await;
    kill(&mut mesh, 2, &settings).await;
    finds(&bus, "oscar").await;
    assert!(!found(&bus).await.iter().any(|key| key == "eve" || key == "mallory"));

    // And back out.
    let say = ["rollback", &id, "--reason", "enough", "--by", "bob"];
    pattern(&mesh, &[], &say).unwrap();
    wait_for("the analyzer to drop it", async || (told(&bus).await?["live"] == 0).then_some(()))
        .await;
    let filter = subject::all_of(bus.tenant(), "pattern");
    let steps: Vec<PatternChange> = held(&bus, Stream::Decisions, filter).await;
    let states: Vec<&str> = steps.iter().map(|change| change.taken.state.token()).collect();
    assert_eq!(states, ["proposed", "shadow", "ready", "live", "rolled-back"]);
    wait_for("the logbook to have them", async || {
        let rows = magsentinel_runtime::ledger::rows(&bus).await.ok()?;
        let kept = rows.iter().find(|row| row.consumer == "logbook")?;
        (kept.is_settled() && kept.dead_lettered == 0).then_some(())
    })
    .await;
}
