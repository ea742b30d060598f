//! What the process of each patrol takes while nothing happens.

use magsentinel_patrol::patrols::TABLE;
use magsentinel_tests::Mesh;
use std::time::Duration;

const SPAN: Duration = Duration::from_secs(10);

/// Memory and time of each patrol's process, native and with tract.
pub async fn run() {
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    for entry in TABLE {
        for library in [Some(native.as_str()), None] {
            let mut mesh = Mesh::new();
            let set = library.map(|l| format!("inference.onnxruntime={l}"));
            let more: Vec<&str> = set.iter().flat_map(|s| ["--set", s.as_str()]).collect();
            let role = mesh.start(entry.spec.name, &more);
            mesh.ready().await;
            let before = mesh.cpu_seconds(role);
            tokio::time::sleep(SPAN).await;
            let spent = mesh.cpu_seconds(role) - before;
            let name = format!("{} {}", entry.spec.name, library.map_or("tract", |_| "native"));
            println!(
                "{:<58} {:>11.1} MB {:>8.2} % of a core",
                format!("{name}, idle: resident | time"),
                mesh.resident_bytes(role) as f64 / 1e6,
                100.0 * spent / SPAN.as_secs_f64(),
            );
        }
    }
}
