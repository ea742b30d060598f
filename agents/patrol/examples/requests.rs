//! How fast api-watch scores requests, on one core: `requests BODIES [LIBONNXRUNTIME|- [MODEL]]`.
//!
//! BODIES holds one event body per line (JSON). Prints, in CPU time of this thread so that a busy
//! machine does not count: parts to rows a second, the model's rows a second at batch 64, whole
//! requests a second in batches of 64 events, and the median of single requests.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use magsentinel_bus_schema::{Class, Fields, Timestamp};
use magsentinel_patrol::{
    inference,
    patrol::Seen,
    patrols::{self, find},
    scorer::{Blueprint, Features},
};
use serde_json::Value;
use std::{
    error::Error,
    sync::{Arc, Mutex},
};

/// Seconds that this thread has run.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("usage: requests BODIES [LIBONNXRUNTIME|- [MODEL]]")?;
    let onnxruntime = args.next().filter(|path| path != "-").map(Into::into);
    let mut config = patrols::Config::default();
    config.api_watch.model = args.next().map(Into::into);
    let text = std::fs::read_to_string(file)?;
    let bodies = text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let bodies: Vec<Fields> =
        bodies.iter().filter_map(|body| body.as_object().cloned().map(Fields)).collect();
    let bytes: usize = text.len() / bodies.len().max(1);
    let ts = Timestamp::from_micros(1_700_000_000_000_000);
    let seen: Vec<Seen<'_>> =
        bodies.iter().map(|body| Seen { body, ts, ts_refused: false, repeated: false }).collect();

    let entry = find("api-watch").ok_or("no api-watch")?;
    let inference = inference::Config { onnxruntime, ..inference::Config::default() };
    let blueprint = Arc::new(Blueprint::new(entry, &config, &inference)?);
    let mut features = Features::new(entry, &config, Some(Class::Client));
    let (from, mut rows) = (cpu_seconds()?, 0);
    for event in &seen {
        rows += features.of(event)?.len();
    }
    let spent = cpu_seconds()? - from;
    let each = spent * 1e6 / bodies.len() as f64;
    println!("{} bodies of {bytes} bytes, {rows} rows", bodies.len());
    println!("features: {each:.1} us a request, {:.0} rows/s", rows as f64 / spent);

    let model = Arc::new(Mutex::new(blueprint.armed()?));
    let mut scorer = blueprint.scorer(Arc::clone(&model), Some(Class::Client));
    let mut verdicts = Vec::new();
    scorer.score(&seen, &mut verdicts);
    let from = cpu_seconds()?;
    scorer.score(&seen, &mut verdicts);
    let spent = cpu_seconds()? - from;
    println!(
        "whole, {}: {:.0} requests/s, {:.0} rows/s",
        blueprint.runtime().name(),
        bodies.len() as f64 / spent,
        rows as f64 / spent
    );
    let mut singles = Vec::new();
    for event in seen.iter().take(2000) {
        let from = cpu_seconds()?;
        scorer.score(std::slice::from_ref(event), &mut verdicts);
        singles.push((cpu_seconds()? - from) * 1e6);
    }
    singles.sort_by(f64::total_cmp);
    let at = |share: f64| singles.get((singles.len() as f64 * share) as usize).copied();
    println!(
        "single: p50 {:.1} us, p99 {:.1} us",
        at(0.5).unwrap_or_default(),
        at(0.99).unwrap_or_default()
    );
    Ok(())
}
