//! A real database, a deliberately unsafe client, a real injection and a real dump.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Action, Alert, Analysis, Effect, Outcome, OutcomeStatus, Response};
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
    let mut analyses =
        nats.subscribe("mag.default.analysis.sql_injection_exfiltration").await.unwrap();
    let mut sessions = nats.subscribe("mag.default.action.suspend_session").await.unwrap();
    let mut users = nats.subscribe("mag.default.action.suspend_user").await.unwrap();
    let mut outcomes = nats.subscribe("mag.default.outcome.*").await.unwrap();
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
    let session: Action = next(&mut sessions).await;
    let user: Action = next(&mut users).await;
    let outcomes = of_both(&mut outcomes, &session, &user).await;
    let analysis: Analysis = next(&mut analyses).await;
    let shown = magsentinel_tests::wait_for("the incident in the logbook", async || {
        let out = mesh.output(&["incident", "show", &alert.id.to_string()]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let all = ["suspend_session", "suspend_user", "Analysis (by the playbook"];
        (out.status.success() && all.iter().all(|part| text.contains(*part))).then_some(text)
    })
    .await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "took {took:?}");
    assert_eq!((alert.response, alert.escalate), (Response::Block, true));
    assert_eq!(alert.key, "shop_app");
    let Effect::SuspendSession { user: role, system, .. } = &session.effect else {
        panic!("{:?}", session.effect)
    };
    assert_eq!((role.as_deref(), system.as_str()), (Some("shop_app"), "postgresql"));
    let Effect::SuspendUser { user: role, system } = &user.effect else {
        panic!("{:?}", user.effect)
    };
    assert_eq!((role.as_str(), system.as_str()), ("shop_app", "postgresql"));
    for (outcome, command) in outcomes.iter().zip(["pg_terminate_backend", "NOLOGIN"]) {
        assert_eq!(outcome.status, OutcomeStatus::WouldApply);
        assert!(outcome.detail.contains(command), "{}", outcome.detail);
    }
    assert_eq!(analysis.incident, alert.id);
    assert!(shown.contains("shop_app"), "{shown}");
    println!("alert, both actions, their outcomes, analysis and incident after {took:?}");
}

/// The outcomes of two actions, in whatever order they come, among others.
async fn of_both(
    outcomes: &mut async_nats::Subscriber,
    first: &Action,
    second: &Action,
) -> [Outcome; 2] {
    let (mut of_first, mut of_second) = (None, None);
    loop {
        let outcome: Outcome = next(outcomes).await;
        if outcome.action == first.id {
            of_first = Some(outcome);
        } else if outcome.action == second.id {
            of_second = Some(outcome);
        }
        if let (Some(first), Some(second)) = (&of_first, &of_second) {
            return [first.clone(), second.clone()];
        }
    }
}
