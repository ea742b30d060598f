//! Models and patterns are replaced while events flow.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Kind, Level, Scored, Stream, subject};
use magsentinel_runtime::{bus::Bus, ledger, micro};
use magsentinel_tests::{Mesh, held, repository, wait_for};
use serde_json::{Value, json};
use std::path::PathBuf;

fn model() -> PathBuf {
    repository().join("agents/patrol/models/sql-guard.onnx")
}

/// A folder with one rule that knows a word.
fn rules(mesh: &Mesh, word: &str) -> PathBuf {
    let dir = mesh.dir().join(word);
    std::fs::create_dir_all(&dir).unwrap();
    let rule = format!(
        "title: The word {word}\nid: {}\nlogsource: {{product: magsentinel, category: sql}}\n\
         tags: [mag.odd_fruit]\n\
         detection:\n  word: {{text|contains: {word}}}\n  condition: word\nlevel: high\n",
        magsentinel_bus_schema::Id::derived(&[word])
    );
    std::fs::write(dir.join("rule.yml"), rule).unwrap();
    dir
}

fn run(mesh: &Mesh, args: &[&str]) -> (bool, String) {
    let out = mesh.output(args);
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn publish(mesh: &Mesh, key: &str, word: &str) {
    let (rules, model) = (rules(mesh, word), model());
    let files = ["--model", model.to_str().unwrap(), "--patterns", rules.to_str().unwrap()];
    let args = [&["bundle", "publish", "sql-guard", "--key", key], files.as_slice()].concat();
    let (done, said) = run(mesh, &args);
    assert!(done, "{said}");
}

/// What sql-guard says of its bundle.
async fn told(bus: &Bus) -> Option<Value> {
    let services = micro::ask_all(bus, "STATS", Some("sql-guard")).await.ok()?;
    let part = services.first()?.pointer("/endpoints/0/data/parts/bundle")?;
    Some(part.clone())
}

async fn state(bus: &Bus, wanted: &str, revision: u64) -> Value {
    wait_for(wanted, async || {
        let told = told(bus).await?;
        (told["state"] == wanted && told["revision"].as_u64()? >= revision).then_some(told)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_swapped_under_load_and_bad_ones_refused() {
    let mut mesh = Mesh::new();
    let key = |mesh: &Mesh, name: &str| {
        let file = mesh.dir().join(name).display().to_string();
        let (done, public) = run(mesh, &["bundle", "key", &file]);
        assert!(done, "{public}");
        (file, public.trim().to_owned())
    };
    let (ours, public) = key(&mesh, "ours.nk");
    let (strangers, _) = key(&mesh, "strangers.nk");
    mesh.start("sensor", &[]);
    let signers = format!("inference.bundles.signers=[\"{public}\"]");
    mesh.start("sql-guard", &["--set", &signers]);
    mesh.ready().await;
    let bus = mesh.bus().await;

    // Load, while one bundle follows the other.
    let lines = |from: usize| {
        let line = |n| json!({"text": format!("SELECT a FROM t WHERE id = {n}"), "id": n});
        (from..from + 300).map(|n| line(n).to_string()).collect::<Vec<_>>().join("\n")
    };
    for round in 0..8 {
        mesh.ingest("sql", lines(round * 300)).await;
        publish(&mesh, &ours, if round % 2 == 0 { "kumquat" } else { "rambutan" });
    }
    let in_use = state(&bus, "in use", 8).await;
    assert_eq!(in_use["digest"].as_str().unwrap().len(), 64);
    let balanced = wait_for("every event to be answered for once", async || {
        let audit = ledger::audit(&bus, &"sql-guard".parse().unwrap(), &[Kind::Sql]).await.ok()?;
        (audit.received == 2400 && audit.scored == 2400).then_some(audit)
    })
    .await;
    assert!(balanced.is_balanced(), "{balanced:?}");

    // A stranger's is refused, and what was in use stays so.
    publish(&mesh, &strangers, "durian");
    let refused = state(&bus, "refused", 9).await;
    assert!(refused["why"].as_str().unwrap().contains("not among the trusted"), "{refused}");
    let words = ["durian", "rambutan", "kumquat"];
    let bodies = words.map(|w| json!({"text": format!("SELECT {w} FROM fruit"), "id": w}));
    mesh.ingest("sql", bodies.map(|b| b.to_string()).join("\n")).await;
    let high = async || {
        let filter = subject::scored_at(bus.tenant(), &[Level::High]).remove(0);
        let all: Vec<Scored> = held(&bus, Stream::Scored, filter).await;
        all.into_iter().map(|scored| scored.excerpt).collect::<Vec<_>>()
    };
    let found = wait_for("the word of the bundle in use", async || {
        let found = high().await;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(found, ["SELECT rambutan FROM fruit"]);

    // Back to the one before, then to what is built in.
    publish(&mesh, &ours, "kumquat");
    state(&bus, "in use", 10).await;
    let (done, said) = run(&mesh, &["bundle", "withdraw", "sql-guard"]);
    assert!(done, "{said}");
    let withdrawn = state(&bus, "in use", 11).await;
    assert_eq!(withdrawn["digest"], Value::Null);
    let (done, said) = run(&mesh, &["bundle", "list", "sql-guard"]);
    assert!(done && said.contains("REVISION"), "{said}");
}
