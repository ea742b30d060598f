//! Packets: blocked, through again, and blocked again after somebody else has meddled.

use magsentinel_bus_schema::OutcomeStatus;
use magsentinel_tests::{
    Mesh,
    dropped::first_dropped_after,
    network::{Neighbour, foreign_tables, nft, own_network},
    responses::{ENFORCING, ask, block, outcome},
    wait_for,
};
use std::{net::TcpListener, time::Instant};

const ATTACKER: &str = "203.0.113.9";
const OTHER: &str = "203.0.113.10";
const ATTACKER6: &str = "2001:db8:1:2::9";
const ITS_NEIGHBOUR6: &str = "2001:db8:1:2::77";
const OTHER6: &str = "2001:db8:1:3::9";

fn port() -> (TcpListener, u16) {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Somebody else's rules, with sets like ours.
fn furnish_foreign() {
    nft("add table inet others");
    nft("add chain inet others input { type filter hook input priority 0; policy accept; }");
    nft("add set inet others blocked4 { type ipv4_addr; flags interval; }");
    nft("add element inet others blocked4 { 192.0.2.0/25, 198.51.100.7 }");
    nft("add rule inet others input ip saddr @blocked4 counter drop");
    nft("add table ip magsentinel");
    nft("add set ip magsentinel blocked4 { type ipv4_addr; }");
    nft("add element ip magsentinel blocked4 { 203.0.113.10 }");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_blocked_and_through_again_when_its_time_is_up() {
    let name = "packets::a_client_is_blocked_and_through_again_when_its_time_is_up";
    if !own_network(name) {
        return;
    }
    furnish_foreign();
    let before = foreign_tables();
    assert!(before.contains("198.51.100.7") && before.contains("table ip magsentinel"));
    let addresses = [ATTACKER, OTHER, ATTACKER6, ITS_NEIGHBOUR6, OTHER6];
    let (neighbour, (_listener, port)) = (Neighbour::with(&addresses), port());
    for address in addresses {
        assert!(neighbour.reaches(address, port), "{address} is not through at the start");
    }
    let mut mesh = Mesh::new();
    mesh.start("responder", ENFORCING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    // Longer than the looks below take on a slow machine.
    let (four, six) = (block(ATTACKER, 12), block(ATTACKER6, 12));
    let begun = Instant::now();
    ask(&bus, &[four.clone(), six.clone()]).await;
    let applied = outcome(&bus, four.id, |o| o.status == OutcomeStatus::Applied).await;
    outcome(&bus, six.id, |o| o.status == OutcomeStatus::Applied).await;
    println!("asked for and told as applied after {:?}", begun.elapsed());
    assert!(applied.until.is_some() && applied.detail.contains("blocked4"), "{applied:?}");
    assert!(!neighbour.reaches(ATTACKER, port), "blocked");
    assert!(!neighbour.reaches(ATTACKER6, port), "blocked");
    assert!(!neighbour.reaches(ITS_NEIGHBOUR6, port), "it may be the same subscriber");
    assert!(neighbour.reaches(OTHER, port) && neighbour.reaches(OTHER6, port));
    assert!(begun.elapsed().as_secs() < 12, "too slow a machine to say anything");
    for (action, address) in [(&four, ATTACKER), (&six, ATTACKER6)] {
        outcome(&bus, action.id, |o| o.status == OutcomeStatus::Reverted).await;
        assert!(begun.elapsed().as_secs() >= 12);
        assert!(neighbour.reaches(address, port), "{address} is through again");
    }
    assert_eq!(foreign_tables(), before, "somebody else's tables are as they were");
}

/// How soon is for `bench response` to say, where nobody else is on the machine.
#[tokio::test(flavor = "multi_thread")]
async fn packets_are_dropped_from_the_decision_on_and_none_comes_through_later() {
    if !own_network(
        "packets::packets_are_dropped_from_the_decision_on_and_none_comes_through_later",
    ) {
        return;
    }
    let addresses: Vec<String> = (20..40).map(|n| format!("203.0.113.{n}")).collect();
    let neighbour = Neighbour::with(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let mut mesh = Mesh::new();
    mesh.start("responder", ENFORCING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let mut took = Vec::new();
    for address in &addresses {
        took.push(first_dropped_after(&bus, &neighbour, address).await);
    }
    took.sort();
    println!("from the decision to the first packet dropped: {took:?}");
    assert_eq!(took.len(), addresses.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_take_away_or_add_is_put_right() {
    if !own_network("packets::what_others_take_away_or_add_is_put_right") {
        return;
    }
    let (neighbour, (_listener, port)) = (Neighbour::with(&[ATTACKER, OTHER]), port());
    let mut mesh = Mesh::new();
    mesh.start("responder", ENFORCING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let action = block(ATTACKER, 3600);
    ask(&bus, std::slice::from_ref(&action)).await;
    outcome(&bus, action.id, |o| o.status == OutcomeStatus::Applied).await;
    for meddling in [
        "flush ruleset",
        "flush table inet magsentinel",
        "flush set inet magsentinel blocked4",
        "delete table inet magsentinel",
        "add rule inet magsentinel input accept",
        "add element inet magsentinel blocked4 { 203.0.113.10 }",
    ] {
        nft(meddling);
        let begun = Instant::now();
        wait_for("it to be put right", async || {
            let listed = nft("list ruleset");
            let rules = listed.matches("@blocked4 drop").count() == 4;
            let set = listed.contains("203.0.113.9 timeout") && !listed.contains("203.0.113.10");
            (rules && set && !listed.contains("\t\taccept")).then_some(())
        })
        .await;
        println!("{meddling}: put right after {:?}", begun.elapsed());
        assert!(begun.elapsed().as_secs() < 5, "{meddling}: {:?}", begun.elapsed());
        assert!(!neighbour.reaches(ATTACKER, port) && neighbour.reaches(OTHER, port), "{meddling}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_just_logged_in_to_administer_is_not_shut_out() {
    if !own_network("packets::whoever_has_just_logged_in_to_administer_is_not_shut_out") {
        return;
    }
    let (neighbour, (listener, port)) = (Neighbour::with(&[ATTACKER, OTHER]), port());
    let mut mesh = Mesh::new();
    let operators = format!("responder.policy.never_block.operator_ports=[{port}]");
    mesh.start("responder", &[ENFORCING, &["--set", &operators]].concat());
    mesh.ready().await;
    let bus = mesh.bus().await;
    // It has looked around, and now somebody comes.
    let _operator = neighbour.connects(OTHER, &listener);
    let (own, other) = (block(OTHER, 600), block(ATTACKER, 600));
    ask(&bus, &[own.clone(), other.clone()]).await;
    let refused = outcome(&bus, own.id, |_| true).await;
    assert_eq!(refused.status, OutcomeStatus::Refused, "{refused:?}");
    assert!(refused.detail.contains("connected to a port of the operators"), "{refused:?}");
    outcome(&bus, other.id, |o| o.status == OutcomeStatus::Applied).await;
    assert!(neighbour.reaches(OTHER, port) && !neighbour.reaches(ATTACKER, port));
}
