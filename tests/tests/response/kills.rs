//! A responder that is killed at any moment: afterwards what is there is what is desired.

use magsentinel_bus_schema::{Action, Id, Outcome, OutcomeStatus, Stream, subject};
use magsentinel_responder::{
    effector::{
        Effector,
        nftables::{Config, Nftables},
    },
    keeper,
    lease::Life,
    thing::Thing,
};
use magsentinel_runtime::{bus::Bus, clock};
use magsentinel_tests::{
    Mesh, held,
    network::own_network,
    responses::{ENFORCING, ask, block},
    wait_for,
};
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

const LEASES: usize = 1000;
const KILLS: usize = 50;

/// What the store says is to be dropped, by address.
async fn desired(bus: &Bus) -> BTreeSet<Thing> {
    let (leases, _) = keeper::read(bus).await.unwrap();
    let active = leases.iter().filter(|lease| matches!(lease.life, Life::Active { .. }));
    active.map(|lease| dropped(&lease.action)).collect()
}

fn dropped(action: &Action) -> Thing {
    Thing::Dropped(action.target.value.parse().unwrap())
}

async fn real() -> BTreeSet<Thing> {
    let mut nftables = Nftables::open(&Config { enabled: true, ..Config::default() }).unwrap();
    nftables.real(clock::now()).await.unwrap().into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_fifty_moments_nothing_is_lost_left_over_or_done_twice() {
    if !own_network("kills::killed_at_fifty_moments_nothing_is_lost_left_over_or_done_twice") {
        return;
    }
    let mut mesh = Mesh::new();
    let mut role = mesh.start("responder", ENFORCING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    // Half of them end while the responder is being killed.
    let actions: Vec<_> = (0..LEASES)
        .map(|n| block(&format!("198.18.{}.{}", n / 250, n % 250 + 1), [3600, 8][n % 2]))
        .collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for chunk in actions.chunks(LEASES / KILLS) {
        ask(&bus, chunk).await;
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // From before the responder has read its leases to long after it has answered.
        let moment = Instant::now() + Duration::from_micros(seed % 400_000);
        tokio::time::sleep_until(moment.into()).await;
        mesh.signal(role, "KILL");
        mesh.wait(role);
        role = mesh.start("responder", ENFORCING);
    }
    let lasting: BTreeSet<Thing> = actions.iter().step_by(2).map(dropped).collect();
    wait_for("everything to be settled", async || {
        let settled = desired(&bus).await == lasting && real().await == lasting;
        settled.then_some(())
    })
    .await;
    // Each was told once: whatever was told again had the same id.
    wait_for("everything to be told", async || {
        let told = told(&bus).await;
        let times = |id, status| told.get(&(id, status)).map_or(0, BTreeSet::len);
        let all = actions.iter().enumerate().all(|(n, action)| {
            let counts = (
                times(action.id, OutcomeStatus::Applied),
                times(action.id, OutcomeStatus::Reverted),
            );
            assert!(counts.0 <= 1 && counts.1 <= n % 2, "{}: {counts:?}", action.target.value);
            counts == (1, n % 2)
        });
        all.then_some(())
    })
    .await;
}

/// The ids of the outcomes of each action, by status.
async fn told(bus: &Bus) -> HashMap<(Id, OutcomeStatus), BTreeSet<Id>> {
    let filter = subject::all_of(bus.tenant(), "outcome");
    let mut told = HashMap::new();
    for outcome in held::<Outcome>(bus, Stream::Decisions, filter).await {
        let ids: &mut BTreeSet<Id> = told.entry((outcome.action, outcome.status)).or_default();
        ids.insert(outcome.id);
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn two_responders_at_once_do_no_harm_to_each_other() {
    if !own_network("kills::two_responders_at_once_do_no_harm_to_each_other") {
        return;
    }
    let mut mesh = Mesh::new();
    mesh.start("responder", ENFORCING);
    mesh.start("responder", ENFORCING);
    mesh.ready().await;
    let bus = mesh.bus().await;
    let name = |n: usize| format!("198.18.{}.{}", n / 250, n % 250 + 1);
    let actions: Vec<_> = (0..LEASES).map(|n| block(&name(n), 3600)).collect();
    for chunk in actions.chunks(50) {
        ask(&bus, chunk).await;
    }
    let whole = || async { desired(&bus).await.len() == LEASES && real().await.len() == LEASES };
    wait_for("everything to be there", async || whole().await.then_some(())).await;
    // Longer than either takes to compare several times: neither undoes what the other did.
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        assert_eq!(real().await.len(), LEASES);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
