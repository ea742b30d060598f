//! The analyzer as a process: how fast it drains a filled stream of scored events, beside a bare
//! consumer; how soon an assessment is stored after its last event; how soon a killed owner of a
//! shard with many keys is replaced.

use async_nats::jetstream::{self, consumer::pull, message::PublishMessage};
use futures::StreamExt;
use magsentinel_bus_schema::{
    Alert, Class, Entity, Id, Keyed, Kind, Level, Limits, SCHEMA_VERSION, Scored, Shard, Stream,
    Subject, Tenant, Timestamp, Token, Trust, encode,
};
use magsentinel_runtime::{bus::Bus, stage::Delivery};
use magsentinel_tests::Mesh;
use std::{
    collections::BTreeSet,
    time::{Instant, SystemTime},
};

const EVENTS: u64 = 200_000;
const KEYS: u64 = 100_000;
const SHARDS: u16 = 64;
const BATCH: usize = 512;
const KEYS_MAX: &str = "analyzer.keys_max=200000";

pub async fn run() {
    drain().await;
    recovery().await;
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp::from_micros(i64::try_from(since.as_micros()).expect("before 200,000"))
}

fn scored(name: &str, user: &str, level: Level) -> Scored {
    Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["bench", name]),
        event: Id::derived(&["event", name]),
        seq: 1,
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts: now(),
        replayed: false,
        backfilled: false,
        patrol: Token::sanitised("sql-guard"),
        by_key: None,
        source: None,
        level,
        score: if level == Level::High { 0.95 } else { 0.6 },
        confidence: 0.9,
        category: Token::sanitised("tautology"),
        techniques: vec!["T1190".to_owned()],
        reasons: vec!["a condition that is always true".to_owned()],
        entities: vec![Entity {
            class: Class::User,
            value: user.to_owned(),
            trust: Trust::Observed,
        }],
        excerpt: "SELECT id, name FROM products WHERE name = 'x' OR 1=1 --'".to_owned(),
        model: "0123456789abcdef".to_owned(),
        patterns: "0123456789abcdef".to_owned(),
        trace: None,
    }
}

/// A user whose shard is this one; `of` tells several apart.
fn user_of(shard: u16, of: u64) -> String {
    let names = (0_u64..).map(|n| format!("of-{of}-{n}"));
    let mut fitting = names.filter(|name| Shard::of(name, SHARDS) == Shard(shard));
    fitting.next().expect("names do not end")
}

/// Three injections make an incident.
fn injections(user: &str, tag: &str) -> Vec<Scored> {
    (0..3).map(|n| scored(&format!("{tag} {user} {n}"), user, Level::High)).collect()
}

async fn publish(mesh: &Mesh, events: impl Iterator<Item = Scored>) {
    let js = jetstream::new(mesh.client().await);
    let mut acks = Vec::new();
    for event in events {
        let subject = Subject::Scored(event.patrol.clone(), event.level).of(&event.tenant);
        let payload = encode(&event).expect("encoded").into();
        let message = PublishMessage::build().message_id(event.id.to_string()).payload(payload);
        acks.push(js.send_publish(subject, message).await.expect("sent"));
        if acks.len() == BATCH {
            for ack in acks.drain(..) {
                ack.await.expect("stored");
            }
        }
    }
    for ack in acks {
        ack.await.expect("stored");
    }
}

/// Time on any core: of a client, and of the server.
#[derive(Clone, Copy)]
struct Spent(f64, f64);

impl Spent {
    fn now(mesh: &Mesh, client: u32) -> Self {
        Self(magsentinel_tests::cpu_seconds(client), mesh.server.cpu_seconds())
    }

    /// In microseconds for each event, since an earlier time.
    fn since(self, before: Self) -> Self {
        let each = |now: f64, before: f64| (now - before) * 1e6 / EVENTS as f64;
        Self(each(self.0, before.0), each(self.1, before.1))
    }
}

/// Events a second of one consumer that pulls and acknowledges, and does nothing else; and what
/// time an event took.
async fn bare(mesh: &Mesh, bus: &Bus) -> (f64, Spent) {
    let js = jetstream::new(mesh.client().await);
    let stream = js.get_stream(Stream::Scored.name(bus.tenant())).await.expect("the stream");
    let config = pull::Config {
        durable_name: Some("bare".to_owned()),
        max_ack_pending: 20_000,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let before = Spent::now(mesh, std::process::id());
    let begun = Instant::now();
    let messages = consumer.stream().max_messages_per_batch(BATCH * 4).messages().await;
    let mut messages = messages.expect("messages");
    for _ in 0..EVENTS {
        let message = messages.next().await.expect("a message").expect("a message");
        message.ack().await.expect("acknowledged");
    }
    let rate = EVENTS as f64 / begun.elapsed().as_secs_f64();
    let spent = Spent::now(mesh, std::process::id()).since(before);
    stream.delete_consumer("bare").await.expect("deleted");
    (rate, spent)
}

/// When messages were stored, first to last.
async fn stored<T: magsentinel_bus_schema::Message>(
    bus: &Bus,
    stream: Stream,
    mut show: impl FnMut(&T, Timestamp),
) {
    let each = |delivery: &Delivery| {
        let messages = delivery.decode_each::<T>(Limits::default());
        messages.iter().flatten().for_each(|message| show(message, delivery.stored));
    };
    bus.read_all(stream, Vec::new(), each).await.expect("the stream can be read");
}

async fn drain() {
    let mut mesh = Mesh::new();
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    let native = format!("inference.onnxruntime={native}");
    let more = ["--set", KEYS_MAX, "--set", &native];
    let first = mesh.start("analyzer", &more);
    mesh.ready().await;
    let idle = mesh.cpu_seconds(first);
    mesh.stop(first);
    let sentinels: Vec<String> = (0..SHARDS).map(|shard| user_of(shard, 1)).collect();
    let mixed = (0..EVENTS - 3 * u64::from(SHARDS))
        .map(|n| scored(&n.to_string(), &format!("user-{}", n % KEYS), Level::Medium));
    publish(&mesh, mixed.chain(sentinels.iter().flat_map(|user| injections(user, "last")))).await;
    let bus = mesh.bus().await;
    let (bare, of_bare) = bare(&mesh, &bus).await;
    let mut alerts =
        mesh.client().await.subscribe("mag.default.alert.>").await.expect("subscribed");
    let before = mesh.server.cpu_seconds();
    let role = mesh.start("analyzer", &more);
    let mut wanted: BTreeSet<String> = sentinels.into_iter().collect();
    while !wanted.is_empty() {
        let alert: Alert = magsentinel_tests::next(&mut alerts).await;
        wanted.remove(&alert.key);
    }
    // But for what the process takes that has nothing to do.
    let spent = Spent(mesh.cpu_seconds(role), mesh.server.cpu_seconds());
    let spent = spent.since(Spent(idle, before));
    let mut times = (i64::MAX, i64::MIN);
    let mut span = |at: Timestamp| times = (times.0.min(at.micros()), times.1.max(at.micros()));
    let mut parcels = BTreeSet::new();
    stored(&bus, Stream::Keyed, |keyed: &Keyed, at| {
        span(at);
        parcels.insert((at, Shard::of(&keyed.key, SHARDS).0));
    })
    .await;
    stored(&bus, Stream::Decisions, |_: &Alert, at| span(at)).await;
    let rate = EVENTS as f64 / ((times.1 - times.0) as f64 / 1e6);
    let label = "scored events/s through router and analyzer | bare drain";
    println!("{label:<58} {rate:>14.0} {bare:>14.0}  ({:.0} %)", 100.0 * rate / bare);
    for (of, ours, bare) in [
        ("the client", spent.0, of_bare.0),
        ("nats-server", spent.1, of_bare.1),
        ("both", spent.0 + spent.1, of_bare.0 + of_bare.1),
    ] {
        let label = format!("time on a core for each event, {of} | bare drain");
        println!("{label:<58} {ours:>11.1} us {bare:>11.1} us");
    }
    let label = "scored events a message between router and analyzer";
    println!("{label:<58} {:>14.1}", EVENTS as f64 / parcels.len() as f64);
}

/// A shard with many keys, its owner killed, another started at once.
async fn recovery() {
    let mut mesh = Mesh::new();
    let more = ["--set", KEYS_MAX];
    let first = mesh.start("analyzer", &more);
    mesh.ready().await;
    let names = (0_u64..).map(|n| format!("many-{n}"));
    let home = names.filter(|name| Shard::of(name, SHARDS) == Shard(0));
    let many = home.take(usize::try_from(KEYS).expect("it fits"));
    publish(&mesh, many.map(|user| scored(&user, &user, Level::Medium))).await;
    let mut alerts =
        mesh.client().await.subscribe("mag.default.alert.>").await.expect("subscribed");
    let mut alert_on = async |mesh: &Mesh, of: u64| {
        let user = user_of(0, of);
        let begun = Instant::now();
        publish(mesh, injections(&user, "recovery").into_iter()).await;
        loop {
            let alert: Alert = magsentinel_tests::next(&mut alerts).await;
            if alert.key == user {
                return begun.elapsed();
            }
        }
    };
    // All before it has been handled then.
    alert_on(&mesh, 2).await;
    mesh.signal(first, "KILL");
    mesh.wait(first);
    mesh.start("analyzer", &more);
    let took = alert_on(&mesh, 3).await;
    println!(
        "{:<58} {:>12.2} s",
        format!("owner of a shard with {KEYS} keys killed → next alert"),
        took.as_secs_f64()
    );
    let mut again = Vec::new();
    for of in 4..104 {
        again.push(alert_on(&mesh, of).await.as_secs_f64() * 1e3);
    }
    again.sort_by(f64::total_cmp);
    let (p50, p99) = (super::quantile(&again, 0.5), super::quantile(&again, 0.99));
    let label = "last of three scored events → alert: p50, p99";
    println!("{label:<58} {p50:>11.2} ms {p99:>11.2} ms");
}
