//! What nobody reads, and streams that somebody else made.

use crate::moody::publish;
use magsentinel_bus_schema::Stream;
use magsentinel_runtime::bus::BusConfig;
use magsentinel_tests::Mesh;
use std::{collections::HashMap, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn events_that_nobody_reads_are_told_also_those_of_no_kind() {
    let mesh = Mesh::with(&["sql-guard"]).await;
    publish(&mesh, "mag.default.event.wine.3", &["red".to_owned(), "white".to_owned()]).await;
    publish(&mesh, "mag.default.event.iot.0", &["{}".to_owned()]).await;
    publish(&mesh, "mag.default.event.sql.0.1", &["{}".to_owned()]).await;
    let told = mesh.output(&["status", "--output", "json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let rows = told["ledger"].as_array().unwrap();
    let unread: HashMap<&str, u64> = rows
        .iter()
        .filter_map(|row| Some((row["consumer"].as_str()?, row["unsubscribed"].as_u64()?)))
        .filter(|(_, unsubscribed)| *unsubscribed > 0)
        .collect();
    let wanted = [("nobody (wine)", 2), ("nobody (iot)", 1), ("nobody (sql)", 1)];
    assert_eq!(unread, HashMap::from(wanted), "{rows:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_somebody_else_made_wrong_is_refused_with_the_difference() {
    let mesh = Mesh::new();
    let js = async_nats::jetstream::new(mesh.client().await);
    let mut config = BusConfig { url: mesh.url(), ..BusConfig::default() };
    config.streams.manage = false;
    let user = magsentinel_runtime::bus::connect(&config, "test").await.unwrap();
    let missing = user.ensure_streams().await.unwrap_err().to_string();
    assert!(missing.contains("not available"), "{missing}");
    // As the mesh makes them: accepted.
    let bus = mesh.bus().await;
    user.ensure_streams().await.unwrap();

    for stream in [Stream::Ingest, Stream::Decisions, Stream::Events] {
        let name = stream.name(bus.tenant());
        let right = js.get_stream(&name).await.unwrap().cached_info().config.clone();
        let mut wrong = right.clone();
        let due: &[&str] = match stream {
            Stream::Ingest => {
                assert!(right.max_age.is_zero(), "what was handed in must not age: {right:?}");
                wrong.max_age = Duration::from_secs(86_400);
                &["maximum age is 86400s, must be \"unlimited\""]
            }
            Stream::Decisions => {
                wrong.discard = async_nats::jetstream::stream::DiscardPolicy::Old;
                wrong.duplicate_window = Duration::from_secs(5);
                &["discard is Old, must be New", "duplicate window is 5s"]
            }
            _ => {
                wrong.subjects = vec!["mag.default.event.sql.*".to_owned()];
                wrong.max_messages = 7;
                &["subjects is [\"mag.default.event.sql.*\"]"]
            }
        };
        js.update_stream(wrong).await.unwrap();
        let told = user.ensure_streams().await.unwrap_err().to_string();
        assert!(told.contains(&name), "{told}");
        due.iter().for_each(|due| assert!(told.contains(due), "{told}"));
        js.update_stream(right).await.unwrap();
        user.ensure_streams().await.unwrap();
    }
}
