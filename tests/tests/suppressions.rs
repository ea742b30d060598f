//! Suppressions that are set and ended while the mesh runs: they hold by the time of the events,
//! after a restart as before, and every change is on record.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{
    Alert, Assessment, Class, Entity, Id, Kind, Level, Response, SCHEMA_VERSION, Scored, Stream,
    Subject, SuppressionChange, Tenant, Timestamp, Token, Trust, subject, suppression::Changed,
};
use magsentinel_runtime::{bus::Bus, clock, micro, stage::Publish};
use magsentinel_tests::{Mesh, held, wait_for};
use serde_json::{Value, json};

/// Something that every analyzer alerts, about a user.
async fn attack(bus: &Bus, user: &str) -> Assessment {
    let patrol: Token = "sql-guard".parse().unwrap();
    let scored = Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["scored", user]),
        event: Id::derived(&["event", user]),
        seq: 1,
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: clock::now(),
        replayed: false,
        backfilled: false,
        patrol: patrol.clone(),
        by_key: None,
        source: None,
        level: Level::High,
        score: 0.9,
        confidence: 0.8,
        category: "union_injection".parse().unwrap(),
        techniques: vec![],
        reasons: vec![],
        entities: vec![Entity {
            class: Class::User,
            value: user.to_owned(),
            trust: Trust::Observed,
        }],
        excerpt: String::new(),
        model: String::new(),
        patterns: String::new(),
        trace: None,
    };
    let message = Publish::new(Subject::Scored(patrol, scored.level), scored.id, &scored).unwrap();
    bus.publish_all(&[message]).await.unwrap();
    wait_for("an assessment", async || {
        let all = subject::all_of(bus.tenant(), "assessment");
        let all: Vec<Assessment> = held(bus, Stream::Decisions, all).await;
        all.into_iter().find(|a| a.key == user)
    })
    .await
}

async fn alerted(bus: &Bus, user: &str) -> bool {
    let all = subject::all_of(bus.tenant(), "alert");
    let all: Vec<Alert> = held(bus, Stream::Decisions, all).await;
    all.iter().any(|alert| alert.key == user)
}

/// What a command prints, or what it says is wrong.
fn suppress(mesh: &Mesh, args: &[&str]) -> Result<Value, String> {
    let out = mesh.output(&[&["--output", "json", "suppress"], args].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        return Err(said);
    }
    Ok(serde_json::from_slice(&out.stdout).unwrap())
}

fn add(mesh: &Mesh, id: &str, key: &str) -> Result<Value, String> {
    let of = ["--id", id, "--key", key, "--class", "user", "--effect", "mute", "--until", "8h"];
    let why = ["--reason", "the archive is filled", "--by", "ann"];
    suppress(mesh, &[&["add"], &of[..], &why].concat())
}

/// When a change takes effect.
async fn passed(rule: &Value, field: &str) {
    let at: Timestamp = serde_json::from_value(rule["rule"][field].clone()).unwrap();
    wait_for("the change to take effect", async || (clock::now() > at).then_some(())).await;
}

async fn report(bus: &Bus) -> Option<Value> {
    let services = micro::ask_all(bus, "STATS", Some("analyzer")).await.ok()?;
    services.first()?.pointer("/endpoints/0/data/parts/suppressions").cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_set_holds_until_it_is_ended_and_every_change_is_on_record() {
    let mut mesh = Mesh::with(&["analyzer", "logbook"]).await;
    // Stateless, and so without shards to wait for.
    let bus = mesh.bus().await;
    let set = add(&mesh, "nightly", "backup-*").unwrap();
    // Before it takes effect, an alert as ever.
    assert!(attack(&bus, "backup-0").await.suppressed.is_empty());
    passed(&set, "from").await;
    let muted = attack(&bus, "backup-1").await;
    assert_eq!((muted.response, muted.suppressed.len()), (Response::Allow, 1));
    assert_eq!(
        (muted.suppressed[0].id.as_str(), muted.suppressed[0].by.as_str()),
        ("nightly", "ann")
    );
    assert!(!alerted(&bus, "backup-1").await && alerted(&bus, "backup-0").await);

    // What is wrong is refused here, …
    assert!(add(&mesh, "nightly", "x").unwrap_err().contains("end it first"));
    assert!(
        suppress(&mesh, &["end", "daily", "--by", "bob"]).unwrap_err().contains("suppress list")
    );
    assert!(add(&mesh, "two words", "x").unwrap_err().contains("two words"));
    assert!(add(&mesh, "empty", " ").unwrap_err().contains("empty.key"));
    // … and by the analyzers, whoever writes it: what holds goes on to hold.
    let js = async_nats::jetstream::new(mesh.client().await);
    let store = js.get_key_value("mag-default-policy").await.unwrap();
    store.put("suppression.strange", "{}".into()).await.unwrap();
    let refused = wait_for("the refusal", async || {
        let told = report(&bus).await?;
        told["refused"]["strange"].as_str().map(str::to_owned)
    })
    .await;
    assert!(refused.contains("magsentinel suppress add"), "{refused}");

    // A new analyzer knows it before it decides anything.
    mesh.signal(0, "KILL");
    mesh.wait(0);
    mesh.start("analyzer", &[]);
    assert_eq!(attack(&bus, "backup-2").await.response, Response::Allow);
    let told = explained(&mesh, "backup-2");
    assert!(told.contains("Suppressed by nightly"), "{told}");

    let ended = suppress(&mesh, &["end", "nightly", "--by", "bob"]).unwrap();
    passed(&ended, "until").await;
    assert_eq!(attack(&bus, "backup-3").await.response, Response::Alert);
    on_record(&mesh, &bus).await;
}

fn explained(mesh: &Mesh, user: &str) -> String {
    String::from_utf8(mesh.output(&["explain", "--key", user]).stdout).unwrap()
}

/// Each change once, although two analyzers have told of the first ones.
async fn on_record(mesh: &Mesh, bus: &Bus) {
    let filter = subject::all_of(bus.tenant(), "suppression");
    let changes: Vec<SuppressionChange> = held(bus, Stream::Decisions, filter).await;
    let said: Vec<_> = changes.iter().map(|c| (c.suppression.as_str(), c.changed)).collect();
    assert_eq!(
        said,
        [("nightly", Changed::Set), ("strange", Changed::Refused), ("nightly", Changed::Set)]
    );
    let ended = changes[2].rule.as_ref().unwrap();
    assert_eq!((ended.ended_by.as_deref(), ended.by.as_str()), (Some("bob"), "ann"));
    let listed = suppress(mesh, &["list", "--changes"]).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let now = suppress(mesh, &["list"]).unwrap();
    assert_eq!((now.as_array().unwrap().len(), &now[0]["ended_by"]), (1, &json!("bob")));
    wait_for("the logbook to have them", async || {
        let rows = magsentinel_runtime::ledger::rows(bus).await.ok()?;
        let kept = rows.iter().find(|row| row.consumer == "logbook")?;
        (kept.is_settled() && kept.dead_lettered == 0).then_some(())
    })
    .await;
}
