//! A pattern's way through a running mesh: proposed, tested, in shadow, signed, live, rolled back;
//! with its patrol killed on the way.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{
    Event, Level, PatternChange, Scored, Stream,
    pattern::{Origin, State},
    subject,
};
use magsentinel_commander::{Cancel, Desk, Factory, WriteError, Writer, briefing::Briefing};
use magsentinel_pattern::{
    changes,
    record::{Draft, proposed},
};
use magsentinel_runtime::{
    bus::Bus,
    health::HealthConfig,
    micro,
    service::{self, Service},
};
use magsentinel_tests::{Mesh, held, wait_for};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What no shipped pattern and no model takes for an attack.
const ODD: &str = "SELECT name, kumquat FROM fruit WHERE id = 7";

fn pattern(mesh: &Mesh, settings: &[&str], args: &[&str]) -> Result<Value, String> {
    let out = mesh.output(&[&["--output", "json", "pattern"], args, settings].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        return Err(said);
    }
    Ok(serde_json::from_slice(&out.stdout).unwrap())
}

fn rule(mesh: &Mesh, name: &str, word: &str) -> PathBuf {
    let text = format!(
        "title: The word {word}\nlogsource: {{product: magsentinel, category: sql}}\n\
         tags: [mag.odd_fruit]\nlevel: high\n\
         detection:\n  word: {{text|contains: {word}}}\n  condition: word\n"
    );
    let path = mesh.dir().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Bodies of `count` ordinary statements, and one odd one.
async fn ingest(mesh: &Mesh, from: usize, count: usize, odd: bool) {
    let line = |n: usize| {
        json!({"id": format!("e{n}"), "text": "SELECT id, name FROM products WHERE id = $1",
               "user": format!("user{n}")})
        .to_string()
    };
    let mut lines: Vec<String> = (from..from + count).map(line).collect();
    if odd {
        lines.push(json!({"id": format!("odd{from}"), "text": ODD, "user": "eve"}).to_string());
    }
    mesh.ingest("sql", lines.join("\n")).await;
}

async fn odd_event(bus: &Bus) -> Event {
    wait_for("the odd event", async || {
        let filter = subject::events_of(bus.tenant(), magsentinel_bus_schema::Kind::Sql);
        let all: Vec<Event> = held(bus, Stream::Events, filter).await;
        all.into_iter().find(|event| event.body["text"] == ODD)
    })
    .await
}

async fn reaches(mesh: &Mesh, id: &str, state: State) -> Value {
    wait_for(state.token(), async || {
        let found = pattern(mesh, &[], &["show", id]).unwrap();
        let last = found["steps"].as_array()?.last()?["state"].clone();
        let ended = last == "refused" && state != State::Refused;
        assert!(!ended, "{found:#}");
        (last == state.token()).then_some(found)
    })
    .await
}

/// What sql-guard says of its patterns.
async fn told(bus: &Bus) -> Option<Value> {
    let services = micro::ask_all(bus, "STATS", Some("sql-guard")).await.ok()?;
    services.first()?.pointer("/endpoints/0/data/parts/patterns").cloned()
}

async fn odd_findings(bus: &Bus) -> Vec<Scored> {
    let filter = subject::scored_at(bus.tenant(), &[Level::High]).remove(0);
    let all: Vec<Scored> = held(bus, Stream::Scored, filter).await;
    all.into_iter().filter(|scored| scored.excerpt == ODD).collect()
}

fn key(mesh: &Mesh, name: &str) -> (String, String) {
    let file = mesh.dir().join(name).display().to_string();
    let out = mesh.output(&["bundle", "key", &file]);
    (file, String::from_utf8(out.stdout).unwrap().trim().to_owned())
}

/// Kills the patrol and starts another.
async fn kill(mesh: &mut Mesh, role: usize, settings: &[String]) {
    mesh.signal(role, "KILL");
    mesh.wait(role);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    mesh.start("sql-guard", &settings);
}

fn propose(mesh: &Mesh, file: &Path, event: &str) -> Result<String, String> {
    let file = file.to_str().unwrap();
    let args = ["propose", file, "--patrol", "sql-guard", "--event", event, "--by", "ann"];
    pattern(mesh, &[], &args).map(|found| found["pattern"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_lives_through_kills_and_is_told_step_by_step() {
    let mut mesh = Mesh::new();
    let (ours, public) = key(&mesh, "ours.nk");
    let (strangers, _) = key(&mesh, "strangers.nk");
    let signers = format!("patterns.signers=[\"{public}\"]");
    let set = |text: &str| ["--set".to_owned(), text.to_owned()];
    let settings: Vec<String> = [
        set(&signers),
        set("patterns.shadow_events=200"),
        set("patterns.false_positives_max=0.01"),
        set("patterns.count_every=1s"),
    ]
    .concat();
    let given: Vec<&str> = settings.iter().map(String::as_str).collect();
    mesh.start("sensor", &[]);
    mesh.start("logbook", &[]);
    mesh.start("sql-guard", &given);
    mesh.ready().await;
    let bus = mesh.bus().await;
    ingest(&mesh, 0, 100, true).await;
    let odd = odd_event(&bus).await.id.to_string();

    // What any gate would stop is told before it is proposed, where a file shows it.
    let bad = rule(&mesh, "bad.yml", "''");
    let args = ["test", bad.to_str().unwrap(), "--patrol", "sql-guard", "--event", &odd];
    let out = mesh.output(&[&["--output", "json", "pattern"], &args[..]].concat());
    let tested: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((tested["gate"].as_str(), out.status.success()), (Some("known-good"), false));
    let wide = propose(&mesh, &rule(&mesh, "wide.yml", "select"), &odd).unwrap();
    let refused = reaches(&mesh, &wide, State::Refused).await;
    assert_eq!(refused["steps"][1]["gate"], "known-good", "{refused:#}");

    // In shadow: its hits are visible, and have no effect. Its patrol is killed and started again.
    let good = rule(&mesh, "good.yml", "kumquat");
    let id = propose(&mesh, &good, &odd).unwrap();
    assert!(propose(&mesh, &good, &odd).unwrap_err().contains("proposed already"));
    reaches(&mesh, &id, State::Shadow).await;
    ingest(&mesh, 1000, 99, true).await;
    let seen = wait_for("its hit in shadow", async || {
        let found = pattern(&mesh, &[], &["show", &id]).unwrap();
        (found["tally"]["hits"] == 1 && found["tally"]["events"] == 100).then_some(found)
    })
    .await;
    assert_eq!(seen["tally"]["samples"].as_array().unwrap().len(), 1);
    assert!(odd_findings(&bus).await.is_empty());
    let early =
        pattern(&mesh, &["--set", &signers], &["promote", &id, "--key", &ours, "--by", "ann"]);
    let early = early.unwrap_err();
    assert!(early.contains("shadow cannot be promoted"), "{early}");
    kill(&mut mesh, 2, &settings).await;
    ingest(&mesh, 2000, 100, false).await;
    reaches(&mesh, &id, State::Ready).await;

    // Signed by a stranger it is refused; by a trusted key it is live, also in a new process.
    let promote = |mesh: &Mesh, key: &str| {
        pattern(mesh, &["--set", &signers], &["promote", &id, "--key", key, "--by", "ann"])
    };
    assert!(promote(&mesh, &strangers).unwrap_err().contains("patterns.signers"));
    let before = told(&bus).await.unwrap()["digest"].clone();
    promote(&mesh, &ours).unwrap();
    assert!(promote(&mesh, &ours).unwrap_err().contains("live cannot be promoted"));
    wait_for("the patrol to use it", async || {
        let told = told(&bus).await?;
        (told["live"] == 1 && told["digest"] != before).then_some(())
    })
    .await;
    kill(&mut mesh, 3, &settings).await;
    ingest(&mesh, 3000, 9, true).await;
    let found = wait_for("a finding", async || odd_findings(&bus).await.pop()).await;
    assert!(found.reasons.contains(&"The word kumquat".to_owned()), "{found:?}");

    // Back out, and it is not used any more.
    let say = ["rollback", &id, "--reason", "enough", "--by", "bob"];
    pattern(&mesh, &[], &say).unwrap();
    wait_for("the patrol to drop it", async || {
        let told = told(&bus).await?;
        (told["live"] == 0 && told["digest"] == before).then_some(())
    })
    .await;
    on_record(&mesh, &bus, &id).await;
}

/// Each step once, in order, and kept by the logbook.
async fn on_record(mesh: &Mesh, bus: &Bus, id: &str) {
    let want = ["proposed", "shadow", "ready", "live", "rolled-back"];
    let of_it = wait_for("every step to be told", async || {
        let all: Vec<PatternChange> =
            held(bus, Stream::Decisions, subject::all_of(bus.tenant(), "pattern")).await;
        let of_it: Vec<_> = all.into_iter().filter(|c| c.of.pattern.to_string() == id).collect();
        (of_it.len() >= want.len()).then_some(of_it)
    })
    .await;
    let states: Vec<_> = of_it.iter().map(|change| change.taken.state.token()).collect();
    assert_eq!(states, want);
    assert_eq!(of_it[4].taken.by, "bob");
    let all = pattern(mesh, &[], &["list", "--all"]).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(pattern(mesh, &[], &["list"]).unwrap(), json!([]));
    wait_for("the logbook to have them", async || {
        let rows = magsentinel_runtime::ledger::rows(bus).await.ok()?;
        let kept = rows.iter().find(|row| row.consumer == "logbook")?;
        (kept.is_settled() && kept.dead_lettered == 0).then_some(())
    })
    .await;
}

/// What one event is, from the streams of a running mesh, and an analysis for whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_explained_and_an_incident_is_analysed_on_request() {
    let mesh = Mesh::with(&["sensor", "sql-guard", "commander"]).await;
    let bus = mesh.bus().await;
    let attack = "SELECT a FROM p WHERE id = '1' UNION SELECT card, cvv FROM pay --'";
    ingest(&mesh, 0, 20, true).await;
    let line = json!({"text": attack, "user": "mallory", "id": "attack"}).to_string();
    mesh.ingest("sql", line).await;
    let found = wait_for("the attack to be scored", async || {
        let all: Vec<Scored> =
            held(&bus, Stream::Scored, subject::all_of(bus.tenant(), "scored")).await;
        all.into_iter().find(|scored| scored.excerpt == attack)
    })
    .await;
    let explain = |id: &str| -> Value {
        let out = mesh.output(&["--output", "json", "explain", "event", id]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let told = explain(&found.event.to_string());
    assert_eq!(
        (told["what"].as_str(), told["kind"].as_str()),
        (Some("exploit-attempt"), Some("sql"))
    );
    assert_eq!(told["said"][0]["patrol"], "sql-guard", "{told:#}");
    let odd = explain(&odd_event(&bus).await.id.to_string());
    assert_eq!((odd["what"].as_str(), &odd["habit"]["alike"]), (Some("legitimate-use"), &json!(1)));
    let out = mesh.output(&["explain", "event", "ffff0000"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("no retained event begins"));

    let client = mesh.client().await;
    let case = magsentinel_tests::repository().join("commander/tests/cases/injection.json");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "application/json");
    let asked = std::fs::read(case).unwrap();
    let answer = client
        .request_with_headers("mag.default.incident", headers, asked.clone().into())
        .await
        .unwrap();
    let told: Value = serde_json::from_slice(&answer.payload).unwrap();
    let case: Value = serde_json::from_slice(&asked).unwrap();
    assert_eq!((&told["incident"], &told["author"]), (&case["incident"], &json!("playbook")));
    let info = micro::ask_all(&bus, "INFO", Some("commander")).await.unwrap();
    let served = info[0]["endpoints"].as_array().unwrap();
    assert!(served.iter().any(|endpoint| endpoint["name"] == "incident"), "{served:?}");
}

/// Says something that the evidence bears out, whatever it is asked.
struct Honest;

impl Writer for Honest {
    fn write(&mut self, _: &Briefing, _: &Cancel) -> Result<String, WriteError> {
        let claim = |text: &str| json!({"text": text, "cites": ["E1"]});
        let claims = |text: &str| json!([claim(text)]);
        Ok(json!({
            "level": "critical",
            "attack_vector": claim("A statement joined a second table to its answer."),
            "chain": claims("The statement was sent once and was read by a sensor."),
            "blast_radius": claims("Nothing more than the statement is known here."),
            "attribution_confidence": 0.1,
            "remediation": claims("Look at what the statement returned and to whom."),
            "prevention": claims("Pass all input as bound parameters to the statement."),
            "executive": claim("A statement tried to read more than it was made for."),
            "technical": claim("The statement joined a second table to its own answer."),
        })
        .to_string())
    }
}

/// A commander with a model in this process, on the mesh's server, until the sender is dropped.
async fn with_model(
    mesh: &Mesh,
) -> (tokio::sync::watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let factory: Factory = Arc::new(|| Ok(Box::new(Honest) as Box<dyn Writer>));
    let desk = Arc::new(Desk::new(("honest".to_owned(), factory)));
    let config = magsentinel_commander::Config {
        knowledge: Some(mesh.dir().join("model-knowledge.db")),
        ..magsentinel_commander::Config::default()
    };
    let parts = magsentinel_commander::parts_with(&config, Some(desk)).unwrap();
    let mut service = Service::new("commander".parse().unwrap(), 1);
    (service.pools, service.endpoints, service.tasks) = (parts.pools, parts.endpoints, parts.tasks);
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let bus = mesh.bus().await;
    let running = tokio::spawn(async move {
        service::run(service, bus, &HealthConfig::default(), stopping).await.unwrap();
    });
    (stop, running)
}

/// The state of the model is told before anything was asked of it; and where there is one, an event is
/// explained in its words too.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_explained_in_a_models_words_where_one_is_configured() {
    let mesh = Mesh::with(&["sensor", "sql-guard"]).await;
    let bus = mesh.bus().await;
    let attack = "SELECT a FROM p WHERE id = '1' UNION SELECT card, cvv FROM pay --'";
    mesh.ingest("sql", json!({"text": attack, "user": "mallory", "id": "attack"}).to_string())
        .await;
    let found = wait_for("the attack to be scored", async || {
        let all: Vec<Scored> =
            held(&bus, Stream::Scored, subject::all_of(bus.tenant(), "scored")).await;
        all.into_iter().find(|scored| scored.excerpt == attack)
    })
    .await;
    let explain = || -> Value {
        let id = found.event.to_string();
        let out = mesh.output(&["--output", "json", "explain", "event", &id]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    assert!(explain().get("by_model").is_none());
    let (stop, running) = with_model(&mesh).await;
    let state = async || {
        let services = micro::ask_all(&bus, "STATS", Some("commander")).await.ok()?;
        let part = services.first()?.pointer("/endpoints/0/data/parts/commander")?;
        part["model"].as_str().map(str::to_owned)
    };
    let idle = wait_for("the state of the model", async || state().await).await;
    assert_eq!(idle, "not loaded");
    let told = explain();
    assert_eq!(told["what"], "exploit-attempt");
    let by = &told["by_model"];
    assert_eq!(by["model"], "honest");
    assert_eq!(by["text"][0], "A statement tried to read more than it was made for.", "{told:#}");
    wait_for("the model to be ready", async || {
        (state().await.as_deref() == Some("ready")).then_some(())
    })
    .await;
    stop.send(true).unwrap();
    running.await.unwrap();
}

/// What the commander proposes goes live without anybody's hand where an operator has given it a
/// key for that; and not before its patrol has tested it and run it in shadow.
#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_of_the_commander_goes_live_by_policy() {
    let mut mesh = Mesh::new();
    let (key, public) = key(&mesh, "promoter.nk");
    let settings: Vec<String> = [
        format!("patterns.signers=[\"{public}\"]"),
        format!("patterns.promoter={key}"),
        "patterns.shadow_events=50".to_owned(),
        "patterns.count_every=1s".to_owned(),
    ]
    .into_iter()
    .flat_map(|set| ["--set".to_owned(), set])
    .collect();
    let given: Vec<&str> = settings.iter().map(String::as_str).collect();
    for role in ["sensor", "sql-guard", "commander"] {
        mesh.start(role, &given);
    }
    mesh.ready().await;
    let bus = mesh.bus().await;
    ingest(&mesh, 0, 20, true).await;
    let event = odd_event(&bus).await;
    let draft = Draft {
        patrol: "sql-guard".parse().unwrap(),
        origin: Origin::Playbook,
        incident: Some(event.id),
        events: vec![event.id],
        title: "The word kumquat".to_owned(),
        rule: std::fs::read_to_string(rule(&mesh, "good.yml", "kumquat")).unwrap(),
    };
    let proposal = proposed(draft, "playbook", event.ts);
    bus.publish_all(&changes(bus.tenant(), &proposal)).await.unwrap();
    let id = proposal.pattern.to_string();
    wait_for("shadow", async || {
        let found = pattern(&mesh, &[], &["show", &id]).ok()?;
        (found["steps"].as_array()?.last()?["state"] == "shadow").then_some(())
    })
    .await;
    ingest(&mesh, 1000, 60, false).await;
    let live = reaches(&mesh, &id, State::Live).await;
    assert_eq!(live["steps"][3]["by"], "policy", "{live:#}");
    assert_eq!(live["seal"]["signer"], public);
    wait_for("the patrol to use it", async || (told(&bus).await?["live"] == 1).then_some(())).await;
}
