//! An operator's word on an incident is kept, and told to the patrols that it cites.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_runtime::{bus::Bus, micro};
use magsentinel_tests::{Mesh, wait_for};
use serde_json::{Value, json};

/// What a service tells of itself.
async fn told(bus: &Bus, service: &str, pointer: &str) -> Option<Value> {
    let services = micro::ask_all(bus, "STATS", Some(service)).await.ok()?;
    let data = services.first()?.pointer("/endpoints/0/data")?;
    data.pointer(pointer).cloned()
}

fn incident(mesh: &Mesh, args: &[&str]) -> Result<Value, String> {
    let out = mesh.output(&[&["--output", "json", "incident"], args].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        return Err(said);
    }
    Ok(serde_json::from_slice(&out.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closure_is_kept_and_counted_by_the_patrol_it_concerns() {
    let mut mesh = Mesh::with(&["sensor", "sql-guard", "analyzer", "logbook"]).await;
    let bus = mesh.bus().await;
    let text = "SELECT name FROM t WHERE id = '' UNION SELECT password FROM users-- -'";
    let body = json!({"text": text, "user": "shop", "session": "s1"});
    mesh.ingest("sql", body.to_string()).await;
    let id = wait_for("an incident", async || {
        let all = incident(&mesh, &["list"]).ok()?;
        Some(all.get(0)?["id"].as_str()?.to_owned())
    })
    .await;

    let closed = incident(&mesh, &["close", &id[..13], "--as", "false-positive", "--by", "dana"]);
    let closed = closed.unwrap();
    assert_eq!((&closed["incident"], &closed["by"]), (&json!(id), &json!("dana")));
    assert_eq!(closed["patrols"][0]["patrol"], "sql-guard");
    let judged = async |right: u64, wrong: u64| {
        wait_for("the patrol to know", async || {
            let said = told(&bus, "sql-guard", "/parts/judged").await?;
            (said["true_positive"] == right && said["false_positive"] == wrong).then_some(said)
        })
        .await
    };
    assert_eq!(judged(0, 1).await["false_positive_rate"], 1.0);
    wait_for("the logbook to know", async || {
        let shown = incident(&mesh, &["show", &id]).ok()?;
        (shown["incident"]["judgement"] == "false-positive").then_some(())
    })
    .await;

    // The operator thinks again; a patrol that starts later knows it too.
    incident(&mesh, &["close", &id, "--as", "true-positive", "--note", "it was one"]).unwrap();
    assert_eq!(judged(1, 0).await["false_positive_rate"], 0.0);
    mesh.stop(1);
    mesh.start("sql-guard", &[]);
    judged(1, 0).await;

    // What a patrol costs stands beside how right it is.
    mesh.ingest("sql", json!({"text": "SELECT 1"}).to_string()).await;
    let cost = wait_for("a run of the model", async || {
        let cost = told(&bus, "sql-guard", "/parts/sql-guard").await?;
        (cost["inference"]["rows"].as_u64()? > 0).then_some(cost)
    })
    .await;
    assert!(
        cost["inference"]["us"].as_u64().unwrap() >= cost["inference"]["us_max"].as_u64().unwrap()
    );
    assert!(cost["model_bytes_max"].as_u64().unwrap() > 100_000, "{cost}");
    assert!(told(&bus, "sql-guard", "/resident_bytes").await.unwrap().as_u64() > Some(1 << 20));

    let unknown = incident(&mesh, &["close", "ffffffff", "--as", "true-positive"]).unwrap_err();
    assert!(unknown.contains("no incident"), "{unknown}");
    assert!(incident(&mesh, &["close", &id, "--as", "maybe"]).is_err());
}
