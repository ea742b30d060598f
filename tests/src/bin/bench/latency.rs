//! From an event's publish to its alert, at 1,000 events a second.

use futures::StreamExt;
use magsentinel_tests::Mesh;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

const RATE: u64 = 1000;
const SECONDS: u64 = 20;

/// One user in fifty injects; the time until the alert on that user is what counts.
pub async fn run() {
    let mut mesh = Mesh::new();
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    let set = format!("inference.onnxruntime={native}");
    for role in ["sensor", "sql-guard", "analyzer", "logbook"] {
        mesh.start(role, &["--set", &set]);
    }
    mesh.ready().await;
    let client = mesh.client().await;
    let mut alerts = client.subscribe("mag.default.alert.>").await.expect("a subscription");
    let publisher = mesh.client().await;
    let publish = tokio::spawn(async move {
        let mut sent = HashMap::new();
        let begun = tokio::time::Instant::now();
        for n in 0..RATE * SECONDS {
            tokio::time::sleep_until(begun + Duration::from_micros(n * 1_000_000 / RATE)).await;
            let user = format!("user-{n}");
            let text = super::statement(n);
            let body = serde_json::json!({"text": text, "user": user}).to_string();
            if n % 50 == 7 {
                sent.insert(user, Instant::now());
            }
            publisher.publish("mag.default.ingest.sql", body.into()).await.expect("published");
        }
        sent
    });
    let mut seen: HashMap<String, Instant> = HashMap::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(SECONDS + 5);
    while let Ok(Some(message)) = tokio::time::timeout_at(deadline, alerts.next()).await {
        let at = Instant::now();
        let alert: magsentinel_bus_schema::Alert =
            magsentinel_bus_schema::decode(&message.payload, None, Default::default())
                .expect("an alert");
        seen.entry(alert.key).or_insert(at);
    }
    let sent = publish.await.expect("published");
    let mut ms: Vec<f64> = sent
        .iter()
        .filter_map(|(user, at)| Some(seen.get(user)?.duration_since(*at).as_secs_f64() * 1e3))
        .collect();
    ms.sort_by(f64::total_cmp);
    let (p50, p99) = (super::quantile(&ms, 0.5), super::quantile(&ms, 0.99));
    println!("{:<58} {:>9} of {}", "event → alert at 1,000/s: alerts", ms.len(), sent.len());
    println!("{:<58} {p50:>11.2} ms", "event → alert at 1,000/s: p50");
    println!("{:<58} {p99:>11.2} ms", "event → alert at 1,000/s: p99");
}
