//! Life of a small shop with an attack now and then, the same for the same seed.

use futures::StreamExt;
use magsentinel_bus_schema::{Kind, Timestamp};
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

/// So many events with their kinds, in order of time; the last of them happens at `end`.
pub(crate) fn events(seed: u64, how_many: u64, end: Duration) -> Vec<(Kind, Value)> {
    let mut numbers = Numbers(seed);
    let begin = i64::try_from(end.as_micros()).unwrap() - SPAN_US;
    let step = SPAN_US / i64::try_from(how_many.max(1)).unwrap();
    let mut events = Vec::new();
    for n in 0..how_many {
        let at = Timestamp::from_micros(begin + step * i64::try_from(n).unwrap());
        let user = format!("user-{}", numbers.below(USERS));
        // One in five users attacks, with every third event.
        let attacks = user.ends_with(['3', '7']) && numbers.below(3) == 0;
        let (kind, mut body) = match (attacks, numbers.below(8)) {
            (true, 0..=3) => (Kind::Sql, json!({ "text": injection(n) })),
            (true, _) => (Kind::Data, dump(&mut numbers)),
            (false, 0..=5) => (Kind::Sql, json!({ "text": query(n) })),
            (false, _) => (Kind::Data, read(&mut numbers)),
        };
        body["id"] = json!(format!("chaos-{seed}-{n}"));
        body["ts"] = json!(at.to_string());
        body["user"] = json!(user);
        events.push((kind, body));
    }
    events
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

/// Publishes events, each until the server has said that it is stored; how many of each kind.
pub(crate) async fn publish(
    client: async_nats::Client,
    events: Vec<(Kind, Value)>,
    stored: Arc<AtomicU64>,
) -> BTreeMap<Kind, u64> {
    let js = async_nats::jetstream::new(client);
    let mut counts = BTreeMap::new();
    for (kind, _) in &events {
        *counts.entry(*kind).or_default() += 1;
    }
    let send = |(kind, body): (Kind, Value)| {
        let (js, stored) = (js.clone(), Arc::clone(&stored));
        async move {
            let subject = format!("mag.default.ingest.{}", kind.token());
            let payload = bytes::Bytes::from(body.to_string());
            // The body's id makes a repetition harmless.
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
    let total = u32::try_from(events.len()).unwrap();
    let mut pace = tokio::time::interval(FLOW / total);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let events = futures::stream::iter(events)
        .zip(futures::stream::poll_fn(move |context| pace.poll_tick(context).map(Some)));
    events.map(|(event, _)| event).map(send).buffer_unordered(ON_THE_WAY).collect::<()>().await;
    counts
}
