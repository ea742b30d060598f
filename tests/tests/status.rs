//! `status`: who runs with which digests, how far behind, what nobody reads for, and the audit.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_tests::{Mesh, wait_for};
use serde_json::{Value, json};

fn text(mesh: &Mesh, args: &[&str]) -> String {
    let out = mesh.output(args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn json(mesh: &Mesh, args: &[&str]) -> Value {
    serde_json::from_str(&text(mesh, &[args, &["--output", "json"]].concat())).unwrap()
}

/// The columns of the line that has these words at their places.
fn row(text: &str, at: &[(usize, &str)]) -> Option<Vec<String>> {
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find(|words| at.iter().all(|(n, word)| words.get(*n) == Some(word)))?;
    Some(found.into_iter().map(str::to_owned).collect())
}

fn is_digest(word: &str) -> bool {
    word.len() == 16 && word.chars().all(|c| c.is_ascii_hexdigit())
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_lag_and_consumers_without_a_service_are_told_and_the_audit_balances() {
    let mut mesh = Mesh::with(&["sensor", "sql-guard"]).await;
    let told = json(&mesh, &["status"]);
    let of = |told: &Value, name: &str| {
        let services = told["services"].as_array().unwrap();
        let service = services.iter().find(|s| s["name"] == name)?;
        Some(service["endpoints"][0]["data"]["parts"][name].clone())
    };
    // Before the first event already.
    let part = of(&told, "sql-guard").unwrap();
    let digest = |key: &str| part[key].as_str().unwrap().to_owned();
    let (model, patterns) = (digest("model"), digest("patterns"));
    assert!(is_digest(&model) && is_digest(&patterns), "{part}");
    assert_eq!(told["unserved"], json!([]), "{told}");
    let shown = text(&mesh, &["status"]);
    let columns = row(&shown, &[(0, "sql-guard"), (2, "sql-guard")]).unwrap();
    assert_eq!(columns[3..6], [&*model, &*patterns, "0"], "{shown}");
    assert!(!shown.contains("NOBODY READS FOR"), "{shown}");

    let rows: Vec<String> =
        (0..20).map(|n| json!({"text": format!("SELECT {n}")}).to_string()).collect();
    mesh.ingest("sql", rows.join("\n")).await;
    let audit = wait_for("the audit to balance", async || {
        let told = json(&mesh, &["status", "--audit"]);
        let all = told["audit"].as_array()?.clone();
        let of_it = all.iter().find(|pair| pair[0] == "sql-guard")?[1].clone();
        (of_it["scored"] == 20).then_some(of_it)
    })
    .await;
    assert_eq!((&audit["received"], &audit["missing"]), (&json!(20), &json!([])), "{audit}");
    let shown = text(&mesh, &["status", "--audit"]);
    let line = "audit of sql-guard: 20 received = 20 scored + 0 dead-lettered; 0 missing, 0 \
                doubled: balanced";
    assert!(shown.contains(line), "{shown}");

    mesh.stop(1);
    mesh.ingest("sql", json!({"text": "SELECT 21"}).to_string()).await;
    let told = wait_for("the event to wait", async || {
        let told = json(&mesh, &["status"]);
        (told["unserved"][0]["lag"] == 1).then_some(told)
    })
    .await;
    let wanted = json!([{"stream": "EVENTS", "consumer": "sql-guard", "lag": 1}]);
    assert_eq!(told["unserved"], wanted);
    let shown = text(&mesh, &["status"]);
    assert!(shown.contains("NOBODY READS FOR"), "{shown}");
    assert_eq!(row(&shown, &[(0, "sql-guard"), (1, "EVENTS")]).unwrap()[2], "1", "{shown}");
}
