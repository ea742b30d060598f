//! More is asked for than the budget has: the first take effect, the rest waits for a person.

use crate::orders::{cli, listed};
use magsentinel_bus_schema::{Action, OutcomeStatus};
use magsentinel_tests::{
    Mesh,
    network::{nft, own_network},
    responses::{ENFORCING, ask, block, outcome, outcomes},
};
use std::collections::BTreeSet;

const BUDGET: usize = 3;
const ASKED: usize = 8;

/// Which of these addresses the kernel drops.
fn dropped(of: &[Action]) -> BTreeSet<String> {
    let rules = nft("list ruleset");
    let addresses = of.iter().map(|action| action.target.value.clone());
    addresses.filter(|address| rules.contains(&format!("{address} timeout"))).collect()
}

fn names(of: &[Action]) -> BTreeSet<String> {
    of.iter().map(|action| action.target.value.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_budget_the_rest_asks_and_what_is_approved_takes_effect() {
    if !own_network("budget::beyond_the_budget_the_rest_asks_and_what_is_approved_takes_effect") {
        return;
    }
    let mut mesh = Mesh::new();
    let budget = format!("responder.policy.budget.targets_per_minute={BUDGET}");
    mesh.start("responder", &[ENFORCING, &["--set", &budget]].concat());
    mesh.ready().await;
    let bus = mesh.bus().await;
    let actions: Vec<_> = (1..=ASKED).map(|n| block(&format!("198.51.100.{n}"), 600)).collect();
    ask(&bus, &actions).await;
    let (first, rest) = actions.split_at(BUDGET);
    for action in first {
        outcome(&bus, action.id, |o| o.status == OutcomeStatus::Applied).await;
    }
    for action in rest {
        let waits = outcome(&bus, action.id, |_| true).await;
        assert_eq!(waits.status, OutcomeStatus::Pending, "{waits:?}");
        let why = "3 new targets in a minute, as many as the budget has";
        assert!(waits.detail.contains(why), "{}", waits.detail);
    }
    assert_eq!(dropped(&actions), names(first), "what waits has no effect");
    let waiting = listed(&mesh).iter().filter(|l| l["life"]["waiting"].is_object()).count();
    assert_eq!(waiting, ASKED - BUDGET);

    // A person may exceed the budget: for the one that is named, and for no other.
    let (one, id) = (&rest[2], rest[2].id.to_string());
    let told = cli(&mesh, &["lease", "approve", &id, "--by", "ann", "--reason", "agreed"]).unwrap();
    assert_eq!(told["status"], "applied", "{told}");
    assert!(told["detail"].as_str().unwrap().contains("approved by \"ann\""), "{told}");
    let mut now = names(first);
    now.insert(one.target.value.clone());
    assert_eq!(dropped(&actions), now);
    for action in rest.iter().filter(|action| action.id != one.id) {
        let told = outcomes(&bus, action.id).await;
        assert!(told.iter().all(|o| o.status == OutcomeStatus::Pending), "{told:?}");
    }
}
