//! What the process of each role takes while nothing happens.

use magsentinel_patrol::patrols::TABLE;
use magsentinel_tests::Mesh;
use std::time::Duration;

const SPAN: Duration = Duration::from_secs(10);

/// The roles that score nothing.
const OTHERS: [&str; 5] = ["sensor", "analyzer", "commander", "responder", "logbook"];

/// Memory and time of each patrol's process, native and with tract, and of every other role's.
pub async fn run() {
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    let set = format!("inference.onnxruntime={native}");
    for entry in TABLE {
        let name = entry.spec.name;
        of_one(name, &format!("{name} native"), &["--set", &set]).await;
        of_one(name, &format!("{name} tract"), &[]).await;
    }
    for name in OTHERS {
        of_one(name, name, &[]).await;
    }
}

async fn of_one(role: &str, name: &str, more: &[&str]) {
    let mut mesh = Mesh::new();
    let role = mesh.start(role, more);
    mesh.ready().await;
    let before = mesh.cpu_seconds(role);
    tokio::time::sleep(SPAN).await;
    let spent = mesh.cpu_seconds(role) - before;
    println!(
        "{:<58} {:>11.1} MB {:>8.2} % of a core",
        format!("{name}, idle: resident | time"),
        mesh.resident_bytes(role) as f64 / 1e6,
        100.0 * spent / SPAN.as_secs_f64(),
    );
}
