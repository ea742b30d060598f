//! From an event's publish to its alert, at 1,000 events a second.

use futures::StreamExt;
use magsentinel_bus_schema::{Alert, Event, Id, Keyed, Limits, Message, Scored, Status, Stream};
use magsentinel_runtime::{bus::Bus, stage::Delivery};
use magsentinel_tests::Mesh;
use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

const RATE: u64 = 1000;
const SECONDS: u64 = 20;

/// One user in fifty injects; the time until the alert on that user is what counts.
pub async fn run() {
    let mut mesh = Mesh::new();
    let native = std::env::var("MAGSENTINEL_ONNXRUNTIME").expect("MAGSENTINEL_ONNXRUNTIME");
    let set = format!("inference.onnxruntime={native}");
    let roles = ["sensor", "sql-guard", "analyzer", "logbook"];
    let started = roles.map(|role| (role, mesh.start(role, &["--set", &set])));
    mesh.ready().await;
    let spent = |mesh: &Mesh| started.map(|(_, at)| mesh.cpu_seconds(at));
    let before = spent(&mesh);
    let client = mesh.client().await;
    let mut alerts = client.subscribe("mag.default.alert.>").await.expect("a subscription");
    let publisher = mesh.client().await;
    let publish = tokio::spawn(async move {
        let mut sent = HashMap::new();
        let begun = tokio::time::Instant::now();
        for n in 0..RATE * SECONDS {
            tokio::time::sleep_until(begun + Duration::from_micros(n * 1_000_000 / RATE)).await;
            let user = format!("user-{n}");
            let text = super::statement(n);
            let body = serde_json::json!({"text": text, "user": user}).to_string();
            if n % 50 == 7 {
                sent.insert(user, Sent::now());
            }
            publisher.publish("mag.default.ingest.sql", body.into()).await.expect("published");
        }
        sent
    });
    let mut seen: HashMap<String, Instant> = HashMap::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(SECONDS + 5);
    while let Ok(Some(message)) = tokio::time::timeout_at(deadline, alerts.next()).await {
        let at = Instant::now();
        let alert: magsentinel_bus_schema::Alert =
            magsentinel_bus_schema::decode(&message.payload, None, Default::default())
                .expect("an alert");
        seen.entry(alert.key).or_insert(at);
    }
    let sent = publish.await.expect("published");
    let after = spent(&mesh);
    let mut ms: Vec<f64> = sent
        .iter()
        .filter_map(|(user, at)| Some(seen.get(user)?.duration_since(at.at).as_secs_f64() * 1e3))
        .collect();
    ms.sort_by(f64::total_cmp);
    let (p50, p99) = (super::quantile(&ms, 0.5), super::quantile(&ms, 0.99));
    println!("{:<58} {:>9} of {}", "event → alert at 1,000/s: alerts", ms.len(), sent.len());
    let bare = super::rival::five_hops(RATE, SECONDS).await;
    let (bare50, bare99) = (super::quantile(&bare, 0.5), super::quantile(&bare, 0.99));
    println!("{:<58} {p50:>11.2} ms {bare50:>11.2} ms", "event → alert at 1,000/s: p50");
    println!("{:<58} {p99:>11.2} ms {bare99:>11.2} ms", "event → alert at 1,000/s: p99");
    for (((role, _), before), after) in started.iter().zip(before).zip(after) {
        let share = 100.0 * (after - before) / (SECONDS + 5) as f64;
        println!("{:<58} {share:>11.1} % of a core", format!("{role} at 1,000/s"));
    }
    hops(&mesh.bus().await, &sent).await;
}

/// When an event was published, by this machine's two clocks.
struct Sent {
    at: Instant,
    us: i64,
}

impl Sent {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Self { at: Instant::now(), us: i64::try_from(since.as_micros()).expect("before 200,000") }
    }
}

/// Where the time went: how long after its publish each stage's output was stored.
async fn hops(bus: &Bus, sent: &HashMap<String, Sent>) {
    let mut of_event: HashMap<Id, i64> = HashMap::new();
    let events = stored(bus, Stream::Events, |event: &Event| {
        let published = sent.get(event.body.0.get("user")?.as_str()?)?;
        of_event.insert(event.id, published.us);
        Some(published.us)
    });
    let mut rows = vec![("event", events.await)];
    let of = |id: &Id| of_event.get(id).copied();
    rows.push(("scored", stored(bus, Stream::Scored, |s: &Scored| of(&s.event)).await));
    rows.push(("keyed", stored(bus, Stream::Keyed, |k: &Keyed| of(&k.scored.event)).await));
    let mut decided = Vec::new();
    let alerts = stored(bus, Stream::Decisions, |alert: &Alert| {
        let published = sent.get(&alert.key)?;
        decided.push((alert.decided.micros() - published.us) as f64 / 1e3);
        (alert.status == Status::Opened).then_some(published.us)
    });
    let alerts = alerts.await;
    decided.sort_by(f64::total_cmp);
    rows.extend([("decision begun, not", decided), ("alert", alerts)]);
    for (name, ms) in rows {
        let figure = format!("event → {name} stored: p50, p99");
        let (p50, p99) = (super::quantile(&ms, 0.5), super::quantile(&ms, 0.99));
        println!("{figure:<58} {p50:>11.2} ms {p99:>11.2} ms");
    }
}

/// Milliseconds from an event's publish to the storing of what came of it, sorted.
async fn stored<T: Message>(
    bus: &Bus,
    stream: Stream,
    mut published: impl FnMut(&T) -> Option<i64>,
) -> Vec<f64> {
    let mut ms = Vec::new();
    let show = |delivery: &Delivery| {
        let Ok(messages) = delivery.decode_each::<T>(Limits::default()) else { return };
        let after = |us| (delivery.stored.micros() - us) as f64 / 1e3;
        ms.extend(messages.iter().filter_map(&mut published).map(after));
    };
    bus.read_all(stream, Vec::new(), show).await.expect("the stream can be read");
    ms.sort_by(f64::total_cmp);
    ms
}
