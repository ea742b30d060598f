//! A responder that is killed at any moment: afterwards what is there is what is desired.

use crate::receiver::{Receiver, webhook};
use futures::TryStreamExt;
use magsentinel_bus_schema::{
    Action, Ask, Id, Order, Outcome, OutcomeStatus, SCHEMA_VERSION, Stream, Subject, subject,
};
use magsentinel_responder::{
    effector::{
        Effector,
        nftables::{Config, Nftables},
    },
    keeper,
    lease::Life,
    thing::Thing,
};
use magsentinel_runtime::{bus::Bus, clock, stage::Publish};
use magsentinel_tests::{
    Mesh, held,
    network::own_network,
    responses::{ENFORCING, ask, block},
    wait_for,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

const LEASES: usize = 1000;
const KILLS: usize = 50;
/// Hundreds of actions were in the hands of the dead. What is delivered again is tried one by one.
const SETTLED_MAX: Duration = Duration::from_secs(240);

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

/// A number in milliseconds that differs from run to run, and can be given again.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let given = std::env::var("MAGSENTINEL_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| clock::now().micros().unsigned_abs() | 1);
        println!("MAGSENTINEL_TEST_SEED={seed}");
        Self(seed.max(1))
    }

    /// From before a responder has read its leases to long after it has answered.
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % 400_000)
    }
}

/// A responder that acts in three places at once, and is killed again and again.
struct Victim {
    mesh: Mesh,
    args: Vec<String>,
    role: usize,
    moments: Moments,
}

impl Victim {
    async fn start(receiver: &Receiver) -> Self {
        let mut mesh = Mesh::new();
        let port = receiver.start();
        let mut settings = webhook(&mesh, port);
        settings.push("responder.decisions.enabled=true".to_owned());
        // What the dead had in hand comes again soon.
        settings.push("responder.ack_wait=5s".to_owned());
        let more = settings.into_iter().flat_map(|set| ["--set".to_owned(), set]);
        let args: Vec<String> = ENFORCING.iter().map(|&arg| arg.to_owned()).chain(more).collect();
        let role = start(&mut mesh, &args);
        mesh.ready().await;
        Self { mesh, args, role, moments: Moments::new() }
    }

    /// Kills it at some moment, and starts the next one.
    async fn killed(&mut self) {
        tokio::time::sleep_until((Instant::now() + self.moments.next()).into()).await;
        self.mesh.signal(self.role, "KILL");
        self.mesh.wait(self.role);
        self.role = start(&mut self.mesh, &self.args);
    }
}

fn start(mesh: &mut Mesh, args: &[String]) -> usize {
    mesh.start("responder", &args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_fifty_moments_nothing_is_lost_left_over_or_done_twice() {
    if !own_network("kills::killed_at_fifty_moments_nothing_is_lost_left_over_or_done_twice") {
        return;
    }
    let receiver = Receiver::default();
    let mut victim = Victim::start(&receiver).await;
    let bus = victim.mesh.bus().await;
    // Half of them end while the responder is being killed.
    let actions: Vec<_> = (0..LEASES)
        .map(|n| {
            block(
                &format!("198.18.{}.{}", n / 250, n % 250 + 1),
                [3600, 8][usize::from(is_short(n))],
            )
        })
        .collect();
    for chunk in actions.chunks(LEASES / KILLS) {
        ask(&bus, chunk).await;
        victim.killed().await;
    }
    let lasting: Vec<Action> = actions.iter().step_by(2).cloned().collect();
    settled(&bus, &victim.mesh, &lasting).await;
    told_once_each(&bus, &actions, is_short).await;
    posted(&receiver, &actions, is_short);

    // The others are revoked, while it is killed a few times more: nothing is left of any.
    for chunk in lasting.chunks(LEASES / 10) {
        revoke(&bus, chunk).await;
        victim.killed().await;
    }
    settled(&bus, &victim.mesh, &[]).await;
    told_once_each(&bus, &actions, |_| true).await;
    posted(&receiver, &actions, |_| true);
}

/// Waits until store, kernel and decision list hold these and nothing else, and the note of what
/// was posted says the same.
async fn settled(bus: &Bus, mesh: &Mesh, lasting: &[Action]) {
    let names: BTreeSet<String> = lasting.iter().map(|a| a.target.value.clone()).collect();
    let things: BTreeSet<Thing> = lasting.iter().map(dropped).collect();
    let mut differs = String::new();
    let begun = Instant::now();
    loop {
        differs.clear();
        let kept = [("store", desired(bus).await), ("kernel", real().await)];
        for (what, held) in kept {
            let odd: Vec<&Thing> = held.symmetric_difference(&things).take(3).collect();
            if !odd.is_empty() {
                differs.push_str(&format!("{what}: {odd:?}; "));
            }
        }
        for bucket in ["mag-default-decision", "mag-default-hook"] {
            let held = noted(mesh, bucket).await;
            let odd: Vec<&String> = held.symmetric_difference(&names).take(3).collect();
            if !odd.is_empty() {
                differs.push_str(&format!("{bucket}: {odd:?}; "));
            }
        }
        if differs.is_empty() {
            return;
        }
        assert!(begun.elapsed() < SETTLED_MAX, "not settled after {SETTLED_MAX:?}: {differs}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The clients that a bucket of decisions says are blocked; what is none is named as it is.
async fn noted(mesh: &Mesh, bucket: &str) -> BTreeSet<String> {
    let js = async_nats::jetstream::new(mesh.client().await);
    let store = js.get_key_value(bucket).await.unwrap();
    let keys: Vec<String> = store.keys().await.unwrap().try_collect().await.unwrap();
    let mut names = BTreeSet::new();
    for key in keys {
        let Some(bytes) = store.get(&key).await.unwrap() else { continue };
        let decision: Value = serde_json::from_slice(&bytes).unwrap();
        let is_block = decision["what"] == "client" && decision["state"] == "blocked";
        let name = decision["name"].as_str().filter(|_| is_block);
        names.insert(name.map_or_else(|| key.clone(), str::to_owned));
    }
    names
}

/// Whether a lease may end before any responder has lived long enough to tell that it holds, or to
/// post it.
fn is_short(n: usize) -> bool {
    n % 2 == 1
}

/// Waits until each was told as applied once, and each that has ended as undone once: whatever was
/// told again had the same id.
async fn told_once_each(bus: &Bus, actions: &[Action], ended: impl Fn(usize) -> bool) {
    wait_for("everything to be told", async || {
        let told = told(bus).await;
        let times = |id, status| told.get(&(id, status)).map_or(0, BTreeSet::len);
        let (mut all, mut untold) = (true, 0);
        for (n, action) in actions.iter().enumerate() {
            let applied = times(action.id, OutcomeStatus::Applied);
            let reverted = times(action.id, OutcomeStatus::Reverted);
            let (name, ends) = (&action.target.value, usize::from(ended(n)));
            assert!(applied <= 1 && reverted <= ends, "{name}: {applied}, {reverted}");
            all &= reverted == ends && (applied == 1 || is_short(n));
            untold += 1 - applied;
        }
        all.then(|| println!("{untold} short ones ended before they could be told as applied"))
    })
    .await;
}

/// The receiver was told each under one key, however often, and each end under another; of nothing
/// else, and of no end that has not come. What it was told of, it was told the end of.
fn posted(receiver: &Receiver, actions: &[Action], ended: impl Fn(usize) -> bool) {
    let mut keys: BTreeMap<(String, bool), BTreeSet<String>> = BTreeMap::new();
    let all = receiver.all();
    for seen in &all {
        assert!(seen.is_signed());
        let (body, key) = (seen.json(), seen.headers["idempotency-key"].clone());
        let about = (body["name"].as_str().unwrap().to_owned(), body["holds"].as_bool().unwrap());
        keys.entry(about).or_default().insert(key);
    }
    let mut due = 0;
    for (n, action) in actions.iter().enumerate() {
        let name = &action.target.value;
        let keys = |holds| keys.get(&(name.clone(), holds)).map_or(0, BTreeSet::len);
        let (begun, over) = (keys(true), keys(false));
        assert!(begun == 1 || begun == 0 && is_short(n), "{name}: {begun} beginnings");
        let ends = usize::from(ended(n));
        assert!(over <= ends && (begun == 0 || over == ends), "{name}: {begun}, {over} ends");
        due += begun + over;
    }
    println!("{} posts of {due} changes", all.len());
    let different: BTreeSet<&String> = keys.values().flatten().collect();
    assert_eq!((keys.len(), different.len()), (due, due), "nobody else is named");
}

/// An operator ends these.
async fn revoke(bus: &Bus, actions: &[Action]) {
    let order = |action: &Action| Order {
        v: SCHEMA_VERSION,
        id: Id::derived(&["revoke", &action.id.to_string()]),
        tenant: bus.tenant().clone(),
        ask: Ask::Revoke { lease: action.id },
        by: "ann".to_owned(),
        reason: "it is over".to_owned(),
        ts: clock::now(),
    };
    let message =
        |order: Order| Publish::new(Subject::Order(order.ask.verb()), order.id, &order).unwrap();
    let orders: Vec<Publish> = actions.iter().map(order).map(message).collect();
    bus.publish_all(&orders).await.unwrap();
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
