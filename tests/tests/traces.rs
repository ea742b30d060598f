//! One trace from what a publisher hands in to everything that follows from it.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use futures::StreamExt;
use magsentinel_bus_schema::{Id, trace};
use magsentinel_tests::{DEADLINE, Mesh};
use serde_json::json;
use std::collections::BTreeSet;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// What follows from one event, by the first token after the tenant.
const STAGES: [&str; 7] =
    ["event", "scored", "assessment", "alert", "action", "outcome", "analysis"];

/// Publishes an injection of a user, with a trace context where one is given.
async fn attack(client: &async_nats::Client, user: &str, context: Option<&str>) {
    let js = async_nats::jetstream::new(client.clone());
    let text = "SELECT name FROM t WHERE id = '' UNION SELECT password FROM users-- -'";
    let body = json!({
        "text": text, "user": user, "id": format!("attack of {user}"), "session": "s1",
        "system": "postgresql",
    });
    let mut headers = async_nats::HeaderMap::new();
    if let Some(context) = context {
        headers.insert("traceparent", context);
    }
    let payload = body.to_string().into();
    let sent = js.publish_with_headers("mag.default.ingest.sql", headers, payload).await;
    sent.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_an_event_belongs_to_its_trace() {
    let mut mesh = Mesh::new();
    mesh.start("sensor", &["--set", "sensor.ingest.trust=observed"]);
    mesh.start("analyzer", &["--set", "analyzer.decision.block_high=0.1"]);
    for role in ["sql-guard", "commander", "responder"] {
        mesh.start(role, &[]);
    }
    mesh.ready().await;
    let client = mesh.client().await;
    let mut all = client.subscribe("mag.default.>").await.unwrap();
    client.flush().await.unwrap();
    let given = format!("00-{TRACE}-00f067aa0ba902b7-01");
    attack(&client, "ann", Some(&given)).await;
    attack(&client, "eve", None).await;
    attack(&client, "zoe", Some("no trace context at all")).await;
    let own = |user: &str| {
        let id = Id::of_publisher("default", &format!("attack of {user}"));
        trace::id(&trace::of(id)).unwrap().to_owned()
    };
    let due: BTreeSet<(String, &str)> = [TRACE.to_owned(), own("eve"), own("zoe")]
        .into_iter()
        .flat_map(|id| STAGES.map(|stage| (id.clone(), stage)))
        .collect();
    let mut seen = BTreeSet::new();
    let all_seen = async {
        while !due.is_subset(&seen) {
            let message = all.next().await.unwrap();
            let stage = message.subject.split('.').nth(2).unwrap_or_default();
            let Some(stage) = STAGES.into_iter().find(|known| *known == stage) else { continue };
            let context = message.headers.as_ref().and_then(|h| h.get("traceparent"));
            // Receipts are about many events.
            let Some(context) = context else {
                assert!(message.subject.ends_with(".none"), "{} has no trace", message.subject);
                continue;
            };
            let id = trace::id(context.as_str()).unwrap();
            seen.insert((id.to_owned(), stage));
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, all_seen).await;
    let missing: Vec<_> = due.difference(&seen).collect();
    assert!(in_time.is_ok(), "not seen: {missing:?}");
    assert_eq!(seen, due, "something belongs to another trace");
}
