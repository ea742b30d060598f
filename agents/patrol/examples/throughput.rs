//! How fast sql-guard scores texts, on one core: `throughput TEXTS [LIBONNXRUNTIME|- [MODEL]]`.
//!
//! TEXTS holds one statement or value per line. Prints events per second of CPU time (so that a
//! busy machine does not count) of each part alone, of features, model and patterns together in
//! batches of 64, of the same with decoding and receipts, and the median of single events.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use magsentinel_bus_schema::{Event, Fields, Id, Kind, Limits, Source, Tenant, Timestamp, encode};
use magsentinel_patrol::{
    features::sql,
    inference::{self, Rows},
    patrol::Seen,
    patrols::{self, find},
    patterns::{Book, Normal},
    scorer::Blueprint,
    stage::PatrolStage,
};
use magsentinel_runtime::stage::{Batch, Delivery, Output, Stage};
use serde_json::json;
use std::{
    error::Error,
    sync::{Arc, Mutex},
};

fn delivery(seq: u64, body: &Fields) -> Result<Delivery, Box<dyn Error>> {
    let ts = Timestamp::from_micros(1);
    let event = Event {
        v: 1,
        id: Id::derived(&[seq.to_string()]),
        tenant: Tenant::default(),
        kind: Kind::Sql,
        ts,
        received: ts,
        ts_missing: false,
        replayed: false,
        source: Source::default(),
        causes: Vec::new(),
        trace: None,
        body: body.clone(),
    };
    Ok(Delivery {
        subject: "mag.default.event.sql.0".to_owned(),
        seq,
        stored: ts,
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: encode(&event)?.into(),
    })
}

/// Seconds that this thread has run.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}

/// Runs `work` on all events for two seconds; events per second.
fn rate(name: &str, mut work: impl FnMut() -> usize) -> Result<(), Box<dyn Error>> {
    work();
    let (mut events, start) = (0, cpu_seconds()?);
    while cpu_seconds()? - start < 2.0 {
        events += work();
    }
    let each = (cpu_seconds()? - start) / events as f64;
    println!("{name:40} {:9.0} events/s {:7.2} µs", 1.0 / each, each * 1e6);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("TEXTS: a file with one text per line")?;
    let library = args.next().filter(|library| library != "-");
    let inference = inference::Config { onnxruntime: library.map(Into::into) };
    let mut config = patrols::Config::default();
    config.sql_guard.model = args.next().map(Into::into);
    let entry = find("sql-guard").ok_or("no sql-guard")?;
    let blueprint = Arc::new(Blueprint::new(entry, &config, &inference)?);
    println!("{}", blueprint.runtime().name());

    let text = std::fs::read_to_string(file)?;
    let lines: Vec<&str> = text.lines().collect();
    let body = |text: &&str| {
        let body = json!({"text": text, "kind": "query", "user": "app", "session": "7"});
        Fields(body.as_object().cloned().unwrap_or_default())
    };
    let bodies: Vec<Fields> = lines.iter().map(body).collect();
    parts(&blueprint, &lines, &bodies)?;
    whole(&blueprint, &bodies)
}

fn parts(blueprint: &Blueprint, lines: &[&str], bodies: &[Fields]) -> Result<(), Box<dyn Error>> {
    let spec = blueprint.spec();
    let mut ids = vec![0; sql::WIDTH];
    rate("features", || {
        lines.iter().for_each(|text| sql::ids(text, &mut ids));
        lines.len()
    })?;
    let mut normal = Normal::default();
    rate("normal form", || {
        lines.iter().for_each(|text| normal.set(text, 65_536));
        lines.len()
    })?;
    let book = Book::load(spec.kind, spec.patterns, None)?;
    let mut hits = Vec::new();
    rate("normal form and patterns", || {
        for (text, body) in lines.iter().zip(bodies) {
            normal.set(text, 65_536);
            hits.clear();
            book.matches(body, Some(&normal), &mut hits);
        }
        lines.len()
    })?;
    let mut model = blueprint.model()?;
    let (mut rows, mut scores) = (Rows::new(spec.input), Vec::new());
    lines.iter().take(64).for_each(|text| sql::ids(text, rows.ids()));
    for count in [64, 1] {
        rows.truncate(count);
        rate(&format!("model, batch {count}"), || {
            model.run(&rows, &mut scores).map_or(0, |()| count)
        })?;
    }
    Ok(())
}

fn whole(blueprint: &Arc<Blueprint>, bodies: &[Fields]) -> Result<(), Box<dyn Error>> {
    let ts = Timestamp::from_micros(1);
    let model = Arc::new(Mutex::new(blueprint.model()?));
    let mut scorer = blueprint.scorer(Arc::clone(&model), None);
    let seen: Vec<_> =
        bodies.iter().map(|b| Seen { body: b, ts, ts_refused: false, repeated: false }).collect();
    let mut verdicts = Vec::new();
    rate("all three, batch 64", || {
        for chunk in seen.chunks(64) {
            scorer.score(chunk, &mut verdicts);
        }
        seen.len()
    })?;

    let deliveries: Vec<_> =
        (1..).zip(bodies).map(|(n, b)| delivery(n, b)).collect::<Result<_, _>>()?;
    let mut stage = PatrolStage::new(Arc::clone(blueprint), blueprint.scorer(model, None), None);
    rate("decoding", || {
        let read = |d: &Delivery| d.decode::<Event>(Limits::default()).is_ok();
        deliveries.iter().filter(|d| read(d)).count()
    })?;
    rate("with decoding and receipts, batch 64", || {
        for deliveries in deliveries.chunks(64) {
            let mut out = Output::default();
            let batch = Batch { shard: None, deliveries, now: ts, rebuilding: false };
            stage.handle(&batch, &mut out);
        }
        deliveries.len()
    })?;

    let mut times = Vec::new();
    for one in seen.iter().take(5000) {
        let start = std::time::Instant::now();
        scorer.score(std::slice::from_ref(one), &mut verdicts);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("{:40} {:?} median", "one at a time", times.get(times.len() / 2));
    Ok(())
}
