//! The responder: how soon after it was asked for a block is in the kernel and told, and a packet is
//! dropped, alone and beside a large set of intervals of somebody else's; how many in a second; how soon many addresses are
//! loaded.

use crate::quantile;
use futures::StreamExt;
use magsentinel_bus_schema::{Action, Mode, Outcome, OutcomeStatus};
use magsentinel_responder::{
    Policy,
    desk::Desk,
    effector::{
        Change, Effector,
        nftables::{Config, Nftables},
    },
    policy::Request,
    thing::{Reach, Thing},
};
use magsentinel_runtime::{bus::Bus, clock};
use magsentinel_tests::{
    Mesh,
    dropped::first_dropped_after,
    network::{Neighbour, nft, own_network_with, run as tool},
    next,
    responses::{ENFORCING, ask, block},
};
use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

const SINGLE: u32 = 300;
const MANY: u32 = 20_000;
const LOADED: u32 = 100_000;
const BATCH: usize = 500;

pub async fn run() {
    if !own_network_with(&["response"]) {
        return;
    }
    let mut mesh = Mesh::new();
    let large = ["--set", "responder.leases_max=1000000"];
    mesh.start("responder", &[ENFORCING, &large].concat());
    mesh.ready().await;
    let bus = mesh.bus().await;
    let mut nats = mesh.client().await.subscribe("mag.default.outcome.>").await.expect("outcomes");
    told_after(&bus, &mut nats, 0, "").await;
    let dropped: Vec<String> = (20..220).map(|n| format!("203.0.113.{n}")).collect();
    let neighbour = Neighbour::with(&dropped.iter().map(String::as_str).collect::<Vec<_>>());
    let (alone, beside) = dropped.split_at(100);
    dropped_after(&bus, &neighbour, alone, "").await;
    nats = mesh.client().await.subscribe("mag.default.outcome.>").await.expect("outcomes");
    through_the_mesh(&bus, &mut nats).await;
    foreign_intervals();
    told_after(&bus, &mut nats, 1, ", beside 100,000 intervals").await;
    dropped_after(&bus, &neighbour, beside, ", beside 100,000 intervals").await;
    let begun = Instant::now();
    nft("list table inet magsentinel");
    row("one call of nft beside them", begun.elapsed().as_secs_f64() * 1e3, "ms");
    drop(mesh);
    in_process().await;
}

fn row(name: &str, value: f64, unit: &str) {
    println!("{name:<58} {value:>11.2} {unit}");
}

fn address(of: u32, n: u32) -> String {
    Ipv4Addr::from_bits(0x6440_0000 + (of << 18) + n).to_string()
}

/// One block after the other: from the request to the outcome, which is told after the effect.
async fn told_after(bus: &Bus, nats: &mut async_nats::Subscriber, of: u32, beside: &str) {
    let mut took = Vec::new();
    for n in 0..SINGLE {
        let action = block(&address(of, n), 3600);
        let begun = Instant::now();
        ask(bus, std::slice::from_ref(&action)).await;
        let outcome: Outcome = next(nats).await;
        assert_eq!((outcome.action, outcome.status), (action.id, OutcomeStatus::Applied));
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    row(&format!("a block, asked for to done, p50{beside}"), quantile(&took, 0.5), "ms");
    row(&format!("a block, asked for to done, p99{beside}"), quantile(&took, 0.99), "ms");
}

/// One block after the other: from the request to the first packet that a neighbour sent and that did
/// not arrive.
async fn dropped_after(bus: &Bus, neighbour: &Neighbour, addresses: &[String], beside: &str) {
    let mut took = Vec::new();
    for address in addresses {
        let after = first_dropped_after(bus, neighbour, address).await;
        took.push(after.as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let name = "a block, asked for to the first packet dropped";
    row(&format!("{name}, p50{beside}"), quantile(&took, 0.5), "ms");
    row(&format!("{name}, p99{beside}"), quantile(&took, 0.99), "ms");
}

/// Many at once, through streams, records and kernel.
async fn through_the_mesh(bus: &Bus, nats: &mut async_nats::Subscriber) {
    let actions: Vec<Action> = (0..MANY).map(|n| block(&address(2, n), 3600)).collect();
    let begun = Instant::now();
    let asking = async {
        for chunk in actions.chunks(2000) {
            ask(bus, chunk).await;
        }
    };
    let telling = async {
        for _ in 0..MANY {
            let message = tokio::time::timeout(Duration::from_secs(120), nats.next()).await;
            message.expect("an outcome in time").expect("an open subscription");
        }
    };
    tokio::join!(asking, telling);
    let rate = f64::from(MANY) / begun.elapsed().as_secs_f64();
    row("blocks through the mesh: streams, records, kernel", rate, "a second");
}

/// A set of networks of somebody else's.
fn foreign_intervals() {
    use std::fmt::Write as _;
    let mut text = "add table inet others\nadd set inet others many \
                    { type ipv4_addr; flags interval; }\nadd element inet others many { "
        .to_owned();
    for n in 0..LOADED {
        let network = Ipv4Addr::from_bits(0x0b00_0000 + n * 16);
        write!(text, "{network}/30, ").expect("a text grows");
    }
    text.push_str("}\n");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    tool("nft", &["-f", file.path().to_str().expect("a path")]);
}

/// Policy and effector without streams and records.
async fn in_process() {
    let config = Config { enabled: true, ..Config::default() };
    let mut nftables = Nftables::open(&config).expect("nftables");
    let mut policy = Policy { mode: Mode::Enforce, ..Policy::default() };
    (policy.budget.targets_per_minute, policy.budget.targets_max) = (10_000_000, 1_000_000);
    let reach = Reach { nftables: true, ..Reach::default() };
    let mut desk = Desk::new(Arc::new(policy), reach, 1_000_000);
    let actions: Vec<Action> = (0..MANY).map(|n| block(&address(3, n), 3600)).collect();
    let begun = Instant::now();
    for chunk in actions.chunks(BATCH) {
        let now = clock::now();
        let request = |action| Request {
            action,
            tenant: &action.tenant,
            verb: action.effect.verb(),
            trace: None,
        };
        let turn = desk.asked(&chunk.iter().map(request).collect::<Vec<_>>(), now);
        let change = |(thing, until): (Thing, _)| Change { thing, until };
        let changes: Vec<Change> = turn.changes.into_iter().map(change).collect();
        assert!(nftables.apply(&changes, now).await.is_empty());
    }
    let rate = f64::from(MANY) / begun.elapsed().as_secs_f64();
    row("blocks through policy and kernel, 500 at once", rate, "a second");
    let now = clock::now();
    let until = Some(now.plus(Duration::from_secs(3600)));
    let thing = |n| Thing::Dropped(address(4, n).parse().expect("a network"));
    let changes: Vec<Change> = (0..LOADED).map(|n| Change { thing: thing(n), until }).collect();
    let begun = Instant::now();
    assert!(nftables.apply(&changes, now).await.is_empty());
    row("100,000 addresses loaded in", begun.elapsed().as_secs_f64(), "s");
    let begun = Instant::now();
    let real = nftables.real(now).await.expect("a list");
    assert!(real.len() >= LOADED as usize);
    row(&format!("{} addresses compared in", real.len()), begun.elapsed().as_secs_f64(), "s");
}
