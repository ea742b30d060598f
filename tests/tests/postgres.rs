//! A real database, a deliberately unsafe client, a real injection and a real dump.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Action, Alert, Effect, Outcome, OutcomeStatus, Response};
use magsentinel_tests::{Mesh, next, postgres::Postgres};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

async fn connect(postgres: &Postgres, user: &str, database: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&postgres.url(user, database), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The shop's search, as nobody should write it.
async fn search(client: &Client, term: &str) {
    let statement = format!("SELECT id::text, name FROM products WHERE name = '{term}'");
    drop(client.simple_query(&statement).await);
}

async fn furnish(postgres: &Postgres) {
    let admin = connect(postgres, "admin", "postgres").await;
    for statement in ["CREATE ROLE shop_app LOGIN", "CREATE DATABASE shop OWNER shop_app"] {
        admin.batch_execute(statement).await.unwrap();
    }
    let owner = connect(postgres, "shop_app", "shop").await;
    owner
        .batch_execute(
            "CREATE TABLE products AS SELECT n AS id, 'product ' || n AS name \
               FROM generate_series(1, 500) n;
             CREATE TABLE customers AS SELECT n AS id, 'c' || n || '@example.org' AS email, \
               md5(n::text) AS card_token FROM generate_series(1, 40000) n",
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injection_that_becomes_a_dump_is_alerted_and_answered_within_ten_seconds() {
    let postgres = Postgres::start();
    furnish(&postgres).await;
    let mut mesh = Mesh::new();
    let tail = format!("postgres={}", postgres.log().display());
    mesh.start("sensor", &["--tail", &tail]);
    for role in ["sql-guard", "data-flow", "analyzer", "commander", "responder", "logbook"] {
        mesh.start(role, &[]);
    }
    mesh.ready().await;
    let nats = mesh.client().await;
    let mut alerts =
        nats.subscribe("mag.default.alert.critical.sql_injection_exfiltration").await.unwrap();
    let mut actions = nats.subscribe("mag.default.action.suspend_session").await.unwrap();
    let mut outcomes = nats.subscribe("mag.default.outcome.suspend_session").await.unwrap();
    nats.flush().await.unwrap();

    let shop = connect(&postgres, "shop_app", "shop").await;
    for n in 1..=120 {
        search(&shop, &format!("product {n}")).await;
    }
    let begun = Instant::now();
    search(&shop, "x' AND 1=CAST((SELECT version()) AS int)--").await;
    search(&shop, "x' UNION SELECT email, card_token FROM customers--").await;
    search(&shop, "x'; COPY customers TO STDOUT --").await;

    let alert: Alert = next(&mut alerts).await;
    let action: Action = next(&mut actions).await;
    let outcome: Outcome = next(&mut outcomes).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "took {took:?}");
    assert_eq!((alert.response, alert.escalate), (Response::Block, true));
    assert_eq!(alert.key, "shop_app");
    let Effect::SuspendSession { user, system, .. } = &action.effect else {
        panic!("{:?}", action.effect)
    };
    assert_eq!((user.as_deref(), system.as_str()), (Some("shop_app"), "postgresql"));
    assert_eq!(outcome.action, action.id);
    assert_eq!(outcome.status, OutcomeStatus::WouldApply);
    assert!(outcome.detail.contains("pg_terminate_backend"), "{}", outcome.detail);

    let shown = magsentinel_tests::wait_for("the incident in the logbook", async || {
        let out = mesh.output(&["incident", "show", &alert.id.to_string()]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        (out.status.success() && text.contains("suspend_session")).then_some(text)
    })
    .await;
    assert!(shown.contains("shop_app"), "{shown}");
    println!("alert, action and outcome after {took:?}");
}
