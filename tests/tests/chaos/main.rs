//! What several replicas publish under faults is what one process would publish that nothing ever
//! happens to.
//!
//! `MAGSENTINEL_CHAOS_EVENTS` (default 4000) and `MAGSENTINEL_CHAOS_SEED` (default: the clock)
//! are the run's; the seed is printed, and gives the same traffic and the same order of faults.
//! `cargo xtask chaos` runs the long form.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

mod faults;
mod traffic;

use faults::Chaos;
use magsentinel_analyzer::{Config, analyze_with, chain::Book};
use magsentinel_bus_schema::{
    Assessment, Id, Kind, Level, Limits, Response, Scored, Stream, Timestamp, Token, subject,
};
use magsentinel_inference as inference;
use magsentinel_runtime::{bus::Bus, ledger, settings::Span, stage::Delivery};
use magsentinel_tests::{Mesh, ait, held};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

/// Longer than any outage here, so that no event is late: what is late depends on when it came.
const LATENESS: Span = Span::s(7200);
/// Longest that the mesh may take to settle once the last event is in and all is healed.
const SETTLE_MAX: Duration = Duration::from_secs(180);

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |n| n.parse().unwrap())
}

/// What an incident came to in the end.
#[derive(Debug, PartialEq)]
struct Final {
    chain: Token,
    key: String,
    level: Level,
    response: Response,
    escalate: bool,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    cited: BTreeSet<Id>,
}

/// The last revision of every incident that did not become part of another one.
fn finals(assessments: impl IntoIterator<Item = Assessment>) -> BTreeMap<Id, Final> {
    let mut newest: BTreeMap<Id, Assessment> = BTreeMap::new();
    for assessment in assessments {
        let known = newest.get(&assessment.incident).map(|known| known.revision);
        if known < Some(assessment.revision) {
            newest.insert(assessment.incident, assessment);
        }
    }
    let part_of_another =
        |a: &Assessment| a.reasoning.iter().any(|line| line.contains("goes on as incident"));
    newest.retain(|_, a| !part_of_another(a));
    let told = |a: Assessment| Final {
        chain: a.chain,
        key: a.key,
        level: a.level,
        response: a.response,
        escalate: a.escalate,
        count: a.count,
        first: a.first,
        last: a.last,
        cited: a.evidence.into_iter().map(|e| e.event).collect(),
    };
    newest.into_iter().map(|(id, a)| (id, told(a))).collect()
}

/// Every scored event once.
async fn scored(bus: &Bus) -> Vec<Scored> {
    let mut found: BTreeMap<Id, Scored> = BTreeMap::new();
    let filters = subject::scored_at(
        bus.tenant(),
        &[Level::Low, Level::Medium, Level::High, Level::Critical],
    );
    let show = |d: &Delivery| {
        let scored: Scored = d.decode(Limits::default()).unwrap();
        found.entry(scored.id).or_insert(scored);
    };
    bus.read_all(Stream::Scored, filters, show).await.unwrap();
    found.into_values().collect()
}

/// Waits until every event has an answer and nothing waits anywhere.
async fn settled(bus: &Bus, events: &BTreeMap<Kind, u64>) {
    let begun = Instant::now();
    loop {
        let told = unsettled(bus, events).await;
        if told.is_empty() {
            return;
        }
        assert!(begun.elapsed() < SETTLE_MAX, "not settled after {SETTLE_MAX:?}: {told:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn unsettled(bus: &Bus, events: &BTreeMap<Kind, u64>) -> Vec<String> {
    let mut found = Vec::new();
    for (patrol, kind) in faults::PATROLS {
        match ledger::audit(bus, &patrol.parse().unwrap(), kind).await {
            Ok(audit) if audit.received < events[&kind] || !audit.missing.is_empty() => {
                let (want, missing) = (events[&kind], audit.missing.len());
                found.push(format!("{patrol}: {} of {want}, {missing} open", audit.received));
            }
            Ok(_) => {}
            Err(e) => found.push(format!("{patrol}: {e}")),
        }
    }
    match ledger::rows(bus).await {
        Ok(rows) => {
            let open = rows.into_iter().filter(|row| !row.is_settled());
            found.extend(open.map(|row| format!("{row:?}")));
        }
        Err(e) => found.push(e.to_string()),
    }
    // The analyzers keep how far they are in their leases, not in a durable.
    let analyzer: Token = "analyzer".parse().unwrap();
    let keyed = [subject::all_of(bus.tenant(), "keyed")];
    match ledger::sharded_row(bus, &analyzer, Stream::Keyed, &keyed).await {
        Ok(Some(row)) if row.is_settled() => {}
        Ok(row) => found.push(format!("{row:?}")),
        Err(e) => found.push(e.to_string()),
    }
    found
}

/// Alerts of other detectors, in order, where `MAGSENTINEL_DATA` names the folder of the curated
/// data; elsewhere all traffic is generated.
fn found() -> Vec<Scored> {
    let Some(data) = std::env::var_os("MAGSENTINEL_DATA") else { return Vec::new() };
    let scenarios = ait::read(&PathBuf::from(data).join("chains/ait_alerts.csv.gz")).unwrap();
    let raw = scenarios.into_values().flatten().map(|raw| raw.scored);
    // A weak finding without a level goes no further than its patrol.
    let mut found: Vec<Scored> = raw.filter(|scored| scored.level > Level::None).collect();
    found.sort_by_key(|scored| (scored.ts, scored.id));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_under_faults_decide_what_one_process_would() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = setting("MAGSENTINEL_CHAOS_SEED", clock.as_secs());
    let wanted = setting("MAGSENTINEL_CHAOS_EVENTS", 4000);
    println!("seed {seed}, {wanted} events");
    let mut chaos = Chaos::start(Mesh::clustered(), LATENESS).await;
    let bus = chaos.mesh.bus().await;

    let stored = Arc::new(AtomicU64::new(0));
    let publishing = tokio::spawn(traffic::publish(
        chaos.mesh.client().await,
        traffic::items(seed, wanted, clock, &found()),
        Arc::clone(&stored),
    ));
    chaos.strike_all(seed, wanted, &stored).await;
    let events = publishing.await.unwrap();
    settled(&bus, &events).await;

    let scored = scored(&bus).await;
    let newest = scored.iter().map(|s| s.ts).max().unwrap();
    let config = Config { lateness: LATENESS, ..Config::default() };
    let book = Arc::new(Book::rated(&config, &inference::Config::default()).unwrap());
    let want = finals(analyze_with(&book, &config, scored.clone(), newest));
    let filter = subject::all_of(bus.tenant(), "assessment");
    let decided: Vec<Assessment> = held(&bus, Stream::Decisions, filter).await;
    let ids: BTreeSet<Id> = decided.iter().map(|a| a.id).collect();
    let (revisions, repeated) = (decided.len(), decided.len() - ids.len());
    let got = finals(decided);

    println!(
        "{} events of patrols that run, {} scored, {} incidents in {revisions} revisions ({repeated} repeated)",
        events.values().sum::<u64>(),
        scored.len(),
        got.len()
    );
    for (id, incident) in &want {
        assert_eq!(got.get(id), Some(incident), "incident {id}");
    }
    let more: Vec<_> = got.iter().filter(|(id, _)| !want.contains_key(id)).collect();
    assert!(more.is_empty(), "nobody else would have found {more:?}");
    assert!(want.len() >= 10, "{} incidents prove little", want.len());
}
