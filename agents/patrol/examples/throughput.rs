//! How fast a patrol scores texts, on one core: `throughput TEXTS [LIBONNXRUNTIME]`.
//!
//! TEXTS holds one statement or value per line. Prints events per second of features, model and
//! patterns together (batches of 64), of the same with decoding, and the median of single events.

use magsentinel_bus_schema::{Event, Fields, Id, Kind, Timestamp};
use magsentinel_patrol::{
    inference, patrol::Seen, patrols, patrols::find, scorer::Blueprint, stage::PatrolStage,
};
use magsentinel_runtime::stage::{Batch, Delivery, Output, Stage};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

fn deliveries(bodies: &[Fields]) -> Vec<Delivery> {
    let event = |(n, body): (usize, &Fields)| Event {
        v: 1,
        id: Id::derived(&[n.to_string()]),
        tenant: "default".parse().expect("a tenant"),
        kind: Kind::Sql,
        ts: Timestamp::from_micros(1),
        received: Timestamp::from_micros(1),
        ts_missing: false,
        replayed: false,
        source: magsentinel_bus_schema::Source::default(),
        causes: Vec::new(),
        trace: None,
        body: body.clone(),
    };
    let delivery = |(seq, event): (u64, Event)| Delivery {
        subject: "mag.default.event.sql.0".to_owned(),
        seq,
        stored: Timestamp::from_micros(1),
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: magsentinel_bus_schema::encode(&event).expect("encodes").into(),
    };
    (1..).zip(bodies.iter().enumerate().map(event)).map(delivery).collect()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("TEXTS: a file with one text per line");
    let inference = inference::Config { onnxruntime: args.next().map(Into::into) };
    let config = patrols::Config::default();
    let entry = find("sql-guard").expect("in the table");
    let blueprint = Arc::new(Blueprint::new(entry, &config, &inference).expect("loads"));
    let model = Arc::new(Mutex::new(blueprint.model().expect("loads")));
    let mut scorer = blueprint.scorer(Arc::clone(&model));

    let lines = std::fs::read_to_string(file).expect("can be read");
    let body = |text: &str| {
        Fields(
            json!({"text": text, "kind": "query", "user": "app", "session": "7"})
                .as_object()
                .cloned()
                .unwrap_or_default(),
        )
    };
    let bodies: Vec<Fields> = lines.lines().map(body).collect();
    let ts = Timestamp::from_micros(1);
    let seen: Vec<_> =
        bodies.iter().map(|b| Seen { body: b, ts, ts_refused: false, repeated: false }).collect();

    let mut verdicts = Vec::new();
    let (mut events, start) = (0, Instant::now());
    while start.elapsed() < Duration::from_secs(3) {
        for chunk in seen.chunks(64) {
            scorer.score(chunk, &mut verdicts);
            events += verdicts.len();
        }
    }
    println!("{}, batch 64: {:.0} events/s", blueprint.runtime().name(), rate(events, start));

    let deliveries = deliveries(&bodies);
    let mut stage =
        PatrolStage::new(Arc::clone(&blueprint), blueprint.scorer(Arc::clone(&model)), None);
    let (mut events, start) = (0, Instant::now());
    while start.elapsed() < Duration::from_secs(3) {
        for chunk in deliveries.chunks(64) {
            let mut out = Output::default();
            let batch = Batch { shard: None, deliveries: chunk, now: ts, rebuilding: false };
            stage.handle(&batch, &mut out);
            events += chunk.len();
        }
    }
    println!("with decoding and receipts: {:.0} events/s", rate(events, start));

    let mut times: Vec<Duration> = Vec::new();
    for one in seen.iter().take(5000) {
        let start = Instant::now();
        scorer.score(std::slice::from_ref(one), &mut verdicts);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("one at a time: median {:?}", times.get(times.len() / 2).unwrap_or(&Duration::ZERO));
}

fn rate(events: usize, start: Instant) -> f64 {
    events as f64 / start.elapsed().as_secs_f64()
}
