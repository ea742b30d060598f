//! Life of a small shop with an attack now and then, the same for the same seed, and among it what
//! other detectors found in days of real intrusions.

use bytes::Bytes;
use futures::StreamExt;
use magsentinel_bus_schema::{Kind, Scored, Subject, Tenant, Timestamp, encode};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Users of the shop.
const USERS: u64 = 120;
/// How far the clocks of sources are off, in microseconds: as far ahead as nobody objects to, and
/// much further behind than the others lie apart.
const SKEWS_US: [i64; 4] = [0, 240_000_000, -600_000_000, 0];
/// Event time that the whole of it takes.
const SPAN_US: i64 = 40 * 60 * 1_000_000;
/// Events on their way to the server at once.
const ON_THE_WAY: usize = 64;
/// Time that publishing takes at least, so that events flow while things happen.
const FLOW: Duration = Duration::from_secs(60);

/// Numbers that look random (SplitMix64; Steele, Lea and Flood, OOPSLA 2014).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// One message of the traffic.
pub(crate) enum Item {
    /// A body that a publisher hands in.
    Event(Kind, Value),
    /// What a patrol that is not run here found.
    Scored(Box<Scored>),
}

/// So many items in the order in which they happen, the last of them at `end`. Each source says
/// when by a clock of its own. Up to half of them are `found`, evenly chosen, and moved to the time
/// of the others.
pub(crate) fn items(seed: u64, how_many: u64, end: Duration, found: &[Scored]) -> Vec<Item> {
    let mut numbers = Numbers(seed);
    let begin = i64::try_from(end.as_micros()).unwrap() - SPAN_US;
    let step = SPAN_US / i64::try_from(how_many.max(1)).unwrap();
    let total = usize::try_from(how_many).unwrap();
    let taken = found.len().min(total / 2);
    let mut given = 0;
    let mut item = |n: usize| {
        let source = n % SKEWS_US.len();
        let happened = begin + step * i64::try_from(n).unwrap();
        let ts = Timestamp::from_micros(happened + SKEWS_US[source]);
        if (n + 1) * taken / total > given {
            let scored = found[given * found.len() / taken].clone();
            given += 1;
            let source = Some(format!("clock-{source}"));
            return Item::Scored(Box::new(Scored { ts, source, ..scored }));
        }
        let (kind, mut body) = event(&mut numbers, n as u64);
        body["id"] = json!(format!("chaos-{seed}-{n}"));
        body["ts"] = json!(ts.to_string());
        Item::Event(kind, body)
    };
    (0..total).map(&mut item).collect()
}

/// What a user of the shop does, of whom one in five attacks, every third time.
fn event(numbers: &mut Numbers, n: u64) -> (Kind, Value) {
    let number = numbers.below(USERS);
    let user = format!("user-{number}");
    let attacks = user.ends_with(['3', '7']) && numbers.below(3) == 0;
    let from = format!("203.0.113.{number}");
    let (kind, mut body) = match (attacks, numbers.below(10)) {
        (true, 0..=3) => (Kind::Sql, json!({ "text": injection(n) })),
        (true, 4..=6) => (Kind::Data, dump(numbers)),
        (true, 7..=8) => (Kind::Api, request(&from, "/../../etc/passwd", "file=..%2f..%2fetc")),
        (true, _) => (Kind::Auth, login(&from, "failed_password")),
        (false, 0..=4) => (Kind::Sql, json!({ "text": query(n) })),
        (false, 5..=6) => (Kind::Data, read(numbers)),
        (false, 7..=8) => (Kind::Api, request(&from, "/products/17", "sort=price")),
        (false, _) => (Kind::Auth, login(&from, "accepted_password")),
    };
    body["user"] = json!(user);
    (kind, body)
}

fn request(from: &str, path: &str, query: &str) -> Value {
    json!({ "client": from, "method": "GET", "path": path, "query": query, "status": 200 })
}

fn login(from: &str, event: &str) -> Value {
    json!({ "src_ip": from, "event": event, "host": "web1", "service": "sshd" })
}

fn query(n: u64) -> String {
    format!("SELECT id, name, price FROM products WHERE id = {n}")
}

fn injection(n: u64) -> String {
    format!("SELECT name FROM products WHERE id = '{n}' UNION SELECT card, cvv FROM payments --'")
}

fn read(numbers: &mut Numbers) -> Value {
    let rows = 1 + numbers.below(20);
    json!({ "action": "select", "resource": "orders", "rows": rows, "bytes_out": rows * 200 })
}

fn dump(numbers: &mut Numbers) -> Value {
    let rows = 1_000_000 + numbers.below(1_000_000);
    json!({ "action": "copy_to", "resource": "payments", "rows": rows, "bytes_out": rows * 400 })
}

/// Publishes items, each until the server has said that it is stored; how many events of each
/// kind.
pub(crate) async fn publish(
    client: async_nats::Client,
    items: Vec<Item>,
    stored: Arc<AtomicU64>,
) -> BTreeMap<Kind, u64> {
    let js = async_nats::jetstream::new(client);
    let mut counts = BTreeMap::new();
    for item in &items {
        if let Item::Event(kind, _) = item {
            *counts.entry(*kind).or_default() += 1;
        }
    }
    let send = |item: Item| {
        let (js, stored) = (js.clone(), Arc::clone(&stored));
        async move {
            let (subject, payload) = message(&item);
            // The id makes a repetition harmless.
            loop {
                if let Ok(ack) = js.publish(subject.clone(), payload.clone()).await
                    && let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(3), ack).await
                {
                    break;
                }
            }
            stored.fetch_add(1, Ordering::Relaxed);
        }
    };
    let total = u32::try_from(items.len()).unwrap();
    let mut pace = tokio::time::interval(FLOW / total);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let items = futures::stream::iter(items)
        .zip(futures::stream::poll_fn(move |context| pace.poll_tick(context).map(Some)));
    items.map(|(item, _)| item).map(send).buffer_unordered(ON_THE_WAY).collect::<()>().await;
    counts
}

fn message(item: &Item) -> (String, Bytes) {
    let tenant = Tenant::default();
    match item {
        Item::Event(kind, body) => (Subject::Ingest(*kind).of(&tenant), body.to_string().into()),
        Item::Scored(scored) => {
            let subject = Subject::Scored(scored.patrol.clone(), scored.level);
            (subject.of(&tenant), encode(scored.as_ref()).unwrap().into())
        }
    }
}
