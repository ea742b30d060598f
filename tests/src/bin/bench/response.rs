//! The responder: how soon after it was asked for a block is in the kernel and told, and a packet is
//! dropped, alone and beside a large set of intervals of somebody else's; how many in a second; how soon many addresses are
//! loaded.

use crate::quantile;
use futures::StreamExt;
use magsentinel_bus_schema::{Action, Mode, Outcome, OutcomeStatus};
use magsentinel_responder::{
    self as responder,
    effector::{
        Change, Effector,
        nftables::{Config, Nftables},
    },
    keeper::{self, Asked, Keeper},
    thing::Thing,
};
use magsentinel_runtime::{bus::Bus, clock, context::Context};
use magsentinel_tests::{
    Mesh,
    dropped::first_dropped_after,
    network::{Neighbour, nft, own_network_with, run as tool},
    next,
    responses::{ENFORCING, ask, block},
    wait_for,
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
/// How soon after the decision 99 of 100 are blocked.
const AIM_MS: f64 = 50.0;

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
    told_after(&bus, &mut nats, 1, ", beside them").await;
    dropped_after(&bus, &neighbour, beside, ", beside them").await;
    let begun = Instant::now();
    nft("list table inet magsentinel");
    row("one call of nft beside them", begun.elapsed().as_secs_f64() * 1e3, "ms");
    put_right().await;
    drop(mesh);
    nft("flush ruleset");
    in_process().await;
}

fn row(name: &str, value: f64, unit: &str) {
    println!("{name:<58} {value:>11.2} {unit}");
}

/// As [`row`], with what is aimed at and whether it was met: at most so much.
fn most(name: &str, value: f64, unit: &str, aim: f64) {
    let met = if value <= aim { "met" } else { "MISSED" };
    row(name, value, &format!("{unit}, aim {aim} at most: {met}"));
}

/// At least so much.
fn least(name: &str, value: f64, unit: &str, aim: f64) {
    let met = if value >= aim { "met" } else { "MISSED" };
    row(name, value, &format!("{unit}, aim {aim} at least: {met}"));
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
    most(&format!("a block, asked for to done, p99{beside}"), quantile(&took, 0.99), "ms", AIM_MS);
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
    most(&format!("{name}, p99{beside}"), quantile(&took, 0.99), "ms", AIM_MS);
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

/// The set of addresses is emptied by somebody else: how soon it is as it was.
async fn put_right() {
    let held = || nft("list set inet magsentinel blocked4").matches(" timeout ").count();
    let (before, begun) = (held(), Instant::now());
    nft("flush set inet magsentinel blocked4");
    let whole = async || (held() >= before).then(|| begun.elapsed().as_secs_f64());
    let took = wait_for("the set to be as it was", whole).await;
    most(&format!("{before} addresses flushed, and there again in"), took, "s", 5.0);
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
    println!("from here on beside 100,000 intervals of somebody else's");
}

/// Policy, records on a server and effector, without the streams by which actions come and outcomes
/// go; and the effector alone.
async fn in_process() {
    let mesh = Mesh::new();
    let bus = mesh.bus().await;
    let (_running, shutdown) = tokio::sync::watch::channel(false);
    let context = Context::new(bus.clone(), "bench", shutdown);
    let mut config = responder::Config {
        nftables: Config { enabled: true, ..Config::default() },
        state_dir: mesh.dir().join("state"),
        leases_max: 1_000_000,
        ..responder::Config::default()
    };
    config.policy.mode = Mode::Enforce;
    let budget = &mut config.policy.budget;
    (budget.targets_per_minute, budget.targets_max) = (10_000_000, 1_000_000);
    let (mut keeper, _) = Keeper::open(Arc::new(config), &bus).await.expect("a keeper");
    let stored = keeper.asking().ask().await;
    keeper.tend(&context, stored).await;
    let actions: Vec<Action> = (0..MANY).map(|n| block(&address(3, n), 3600)).collect();
    let asked = |action: &Action| {
        let from = (action.tenant.clone(), action.effect.verb());
        Asked::Action(Box::new(action.clone()), from, None)
    };
    let begun = Instant::now();
    for chunk in actions.chunks(BATCH) {
        let asked: Vec<Asked> = chunk.iter().map(asked).collect();
        let told = keeper.answer(&context, &asked).await.expect("stored");
        assert_eq!(told.len(), chunk.len());
    }
    let rate = f64::from(MANY) / begun.elapsed().as_secs_f64();
    least("blocks through policy, records and kernel, 500 at once", rate, "a second", 10_000.0);
    let (leases, _) = keeper::read(&bus).await.expect("leases");
    let held = leases.iter().filter(|lease| lease.holds_until().is_some()).count();
    assert_eq!(held, actions.len(), "all of them are recorded");
    let records = keeper.report()["records"].as_f64().expect("a number");
    row("leases in a record", f64::from(MANY) / records, "");

    let mut nftables = Nftables::open(&Config { enabled: true, ..Config::default() });
    let nftables = nftables.as_mut().expect("nftables");
    let now = clock::now();
    let until = Some(now.plus(Duration::from_secs(3600)));
    let thing = |n| Thing::Dropped(address(4, n).parse().expect("a network"));
    let changes: Vec<Change> = (0..LOADED).map(|n| Change { thing: thing(n), until }).collect();
    let begun = Instant::now();
    assert!(nftables.apply(&changes, now).await.is_empty());
    most("100,000 addresses loaded in", begun.elapsed().as_secs_f64(), "s", 2.0);
    let begun = Instant::now();
    let real = nftables.real(now).await.expect("a list");
    assert!(real.len() >= LOADED as usize);
    row(&format!("{} addresses compared in", real.len()), begun.elapsed().as_secs_f64(), "s");
}
