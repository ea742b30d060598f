//! Real gateways ask: nginx with `auth_request` and Envoy with `ext_authz`, configured as an
//! operator is told to.

use crate::orders::cli;
use magsentinel_bus_schema::{Action, Class, Effect, OutcomeStatus};
use magsentinel_tests::{
    Mesh,
    gateway::Gateway,
    network::{Neighbour, own_network},
    responses::{action, ask, block, outcome},
    wait_for,
};
use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

const ATTACKER: &str = "203.0.113.9";
const SLOWED: &str = "203.0.113.10";
const OTHER: &str = "203.0.113.11";
const ANSWER: &str = "this is the shop's front page, and all of it";

/// Status and body.
fn answer_with(
    neighbour: &Neighbour,
    from: &str,
    gateway: &Gateway,
    headers: &[&str],
) -> (u16, String) {
    let text = neighbour.gets(from, gateway.port(), headers);
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    let log = gateway.log();
    (status.unwrap_or_else(|| panic!("{text:?}: {log}")), body.unwrap_or_default())
}

fn answer(neighbour: &Neighbour, from: &str, gateway: &Gateway) -> (u16, String) {
    answer_with(neighbour, from, gateway, &[])
}

fn tarpit(address: &str) -> Action {
    let effect = Effect::Tarpit { address: address.parse().unwrap() };
    action(effect, Class::Client, address, 600)
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_refuses_slows_and_lets_pass_again_as_is_decided() {
    if own_network("gateways::nginx_refuses_slows_and_lets_pass_again_as_is_decided") {
        refuses_slows_and_lets_pass_again(Gateway::nginx, 500).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_refuses_slows_and_lets_pass_again_as_is_decided() {
    if own_network("gateways::envoy_refuses_slows_and_lets_pass_again_as_is_decided") {
        refuses_slows_and_lets_pass_again(Gateway::envoy, 503).await;
    }
}

/// `unanswered` is what a gateway says while the responder does not answer.
async fn refuses_slows_and_lets_pass_again(start: fn(u16, &str) -> Gateway, unanswered: u16) {
    let neighbour = Neighbour::with(&[ATTACKER, SLOWED, OTHER]);
    let mut mesh = Mesh::new();
    let (role, port) = super::orders::with_gate(&mut mesh);
    mesh.ready().await;
    wait_for("the gate", async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
    let gateway = start(port, ANSWER);
    let whole = (200, ANSWER.to_owned());
    for address in [ATTACKER, SLOWED, OTHER] {
        assert_eq!(answer(&neighbour, address, &gateway), whole, "{address} at the start");
    }

    let bus = mesh.bus().await;
    let (blocked, slowed) = (block(ATTACKER, 600), tarpit(SLOWED));
    ask(&bus, &[blocked.clone(), slowed.clone()]).await;
    for action in [&blocked, &slowed] {
        outcome(&bus, action.id, |o| o.status == OutcomeStatus::Applied).await;
    }
    let (status, body) = answer(&neighbour, ATTACKER, &gateway);
    assert!(status == 403 && !body.contains(ANSWER), "{status}: {body}");
    // Who a client says it is, to us or to proxies, changes neither.
    for header in ["x-real-ip", "x-forwarded-for", "x-envoy-external-address"] {
        let forged = |address: &str| format!("{header}: {address}");
        let told = answer_with(&neighbour, ATTACKER, &gateway, &[&forged(OTHER)]);
        assert_eq!(told.0, 403, "{header}");
        let told = answer_with(&neighbour, OTHER, &gateway, &[&forged(ATTACKER)]);
        assert_eq!(told, whole, "{header}");
    }
    let begun = Instant::now();
    assert_eq!(answer(&neighbour, OTHER, &gateway), whole);
    let quick = begun.elapsed();
    // It gets all of it, and is kept busy.
    let begun = Instant::now();
    assert_eq!(answer(&neighbour, SLOWED, &gateway), whole);
    let slow = begun.elapsed();
    println!("answered after {quick:?}, and after {slow:?} in the tarpit");
    assert!(slow > Duration::from_secs(2), "{slow:?}");

    for action in [&blocked, &slowed] {
        let id = action.id.to_string();
        let order = ["lease", "revoke", &id, "--by", "ann", "--reason", "over"];
        assert_eq!(cli(&mesh, &order).unwrap()["status"], "reverted");
    }
    assert_eq!(answer(&neighbour, ATTACKER, &gateway), whole);
    let begun = Instant::now();
    assert_eq!(answer(&neighbour, SLOWED, &gateway), whole);
    assert!(begun.elapsed() < slow, "it is slowed no more");
    // Nobody says who may pass, so nobody does.
    mesh.signal(role, "KILL");
    mesh.wait(role);
    assert_eq!(answer(&neighbour, OTHER, &gateway).0, unanswered);
}
