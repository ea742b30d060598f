//! What changes nothing and what cannot be done: people are told, and a refusal says what is missing.

use crate::orders::listed;
use magsentinel_bus_schema::{Class, Effect, Outcome, OutcomeStatus};
use magsentinel_tests::{
    Mesh,
    network::own_network,
    next,
    responses::{ENFORCING, action, ask, outcome, outcomes},
    wait_for,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_told_on_its_subject_and_in_the_log_and_only_once() {
    let mut mesh = Mesh::new();
    let role = mesh.start("responder", &["--set", "responder.policy.mode=ask"]);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let client = mesh.client().await;
    let mut told = client.subscribe("mag.default.outcome.notify").await.unwrap();
    client.flush().await.unwrap();
    let effect = Effect::Notify { message: "orders are copied\nby night".to_owned() };
    let notify = action(effect, Class::Resource, "orders", 0);
    ask(&bus, std::slice::from_ref(&notify)).await;
    let first: Outcome = next(&mut told).await;
    assert_eq!((first.action, first.status), (notify.id, OutcomeStatus::Applied), "{first:?}");
    // The message is of others' making: what would break a line is written out.
    let words = "tell the operators: \"orders are copied\\nby night\"";
    assert_eq!(first.detail, words);
    let line = wait_for("the line", async || {
        let log = mesh.log(role);
        log.lines().find(|line| line.contains("a notification")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("orders are copied"), "{line}");
    assert!(listed(&mesh).is_empty(), "nothing is held, and nothing waits");

    // Whoever comes next tells it under the same id, which the stream holds once.
    mesh.signal(role, "KILL");
    mesh.wait(role);
    mesh.start("responder", &["--set", "responder.policy.mode=ask"]);
    mesh.ready().await;
    let effect = Effect::Notify { message: "and again".to_owned() };
    let other = action(effect, Class::Resource, "customers", 0);
    ask(&bus, std::slice::from_ref(&other)).await;
    outcome(&bus, other.id, |o| o.status == OutcomeStatus::Applied).await;
    let all = outcomes(&bus, notify.id).await;
    assert!(all.len() == 1 && all[0].id == first.id, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarpit_where_only_packets_can_be_acted_on_is_refused_and_says_what_is_missing() {
    let name =
        "tells::a_tarpit_where_only_packets_can_be_acted_on_is_refused_and_says_what_is_missing";
    if !own_network(name) {
        return;
    }
    let mut mesh = Mesh::new();
    mesh.start("responder", ENFORCING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let effect = Effect::Tarpit { address: "198.51.100.7".parse().unwrap() };
    let tarpit = action(effect, Class::Client, "198.51.100.7", 600);
    ask(&bus, std::slice::from_ref(&tarpit)).await;
    let refused = outcome(&bus, tarpit.id, |_| true).await;
    assert_eq!(refused.status, OutcomeStatus::Refused);
    assert!(refused.detail.contains("set responder.decisions.enabled"), "{}", refused.detail);
    assert!(listed(&mesh).is_empty());
}
