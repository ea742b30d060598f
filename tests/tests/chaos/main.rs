//! What several replicas publish under faults is what one process would publish that nothing ever
//! happens to.
//!
//! `MAGSENTINEL_CHAOS_EVENTS` (default 4000) and `MAGSENTINEL_CHAOS_SEED` (default: the clock)
//! are the run's; the seed is printed, and gives the same traffic and the same order of faults.
//! The clocks of sources are off, and so are the wall clocks of replicas.
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
use magsentinel_analyzer::{Config, assess::Revision, chain::Book, core::Core, router};
use magsentinel_bus_schema::{
    Action, Alert, Assessment, Class, Id, Keyed, KeyedRef, Kind, Level, Limits, Response, Scored,
    Shard, Status, Stream, Timestamp, Token, subject,
};
use magsentinel_inference as inference;
use magsentinel_runtime::{
    bus::Bus,
    clock, ledger,
    settings::{Layers, Span},
    stage::Delivery,
};
use magsentinel_tests::{Mesh, ait, held, wait_for};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

/// Longer than any outage here, so that no event is late: what is late depends on when it came.
const LATENESS: Span = Span::s(7200);
/// Longest that what was folded may take to be told.
const FOLDED_MAX: Duration = Duration::from_secs(60);
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
    /// All of them, also those that are not cited.
    members: String,
    cited: BTreeSet<Id>,
    /// What was asked for, by the ids of the actions.
    actions: BTreeSet<Id>,
}

/// What was published: assessments and actions.
#[derive(Default)]
struct Published {
    assessments: Vec<Assessment>,
    actions: Vec<Action>,
}

/// The last revision of every incident that did not become part of another one.
fn finals(Published { assessments, actions }: Published) -> BTreeMap<Id, Final> {
    let mut asked: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    for action in actions {
        asked.entry(action.incident).or_default().insert(action.id);
    }
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
    let mut told = |a: Assessment| Final {
        actions: asked.remove(&a.incident).unwrap_or_default(),
        members: a.members,
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

/// What one process publishes that is shown all of it in the order of time.
fn one_process(config: &Config, scored: &[Scored]) -> Published {
    let book = Arc::new(Book::rated(config, &inference::Config::default()).unwrap());
    let config = Arc::new(config.clone());
    let newest = scored.iter().map(|s| s.ts).max().unwrap();
    let mut shards: BTreeMap<Shard, Core> = BTreeMap::new();
    let mut published = Published::default();
    let mut keep = |revisions: Vec<Revision>| {
        for revision in revisions {
            published.assessments.push(revision.assessment);
            published.actions.extend(revision.actions);
        }
    };
    let classes = book.classes();
    for event in scored {
        let routed = router::route(&classes, event, 1);
        let mut waiting: VecDeque<Keyed> = routed.map(KeyedRef::to_keyed).collect();
        while let Some(keyed) = waiting.pop_front() {
            let shard = Shard::of(&keyed.key, config.shards);
            let new = || Core::new(Arc::clone(&config), Arc::clone(&book));
            let core = shards.entry(shard).or_insert_with(new);
            core.give(keyed, newest, newest).unwrap();
            waiting.extend(core.take_joined());
            keep(core.settle(newest));
        }
    }
    shards.values_mut().for_each(|core| keep(core.conclude(newest)));
    published
}

/// What the mesh has published so far. Whoever says something twice says the same twice.
async fn published(bus: &Bus) -> Published {
    let of = |stage| subject::all_of(bus.tenant(), stage);
    let assessments: Vec<Assessment> = held(bus, Stream::Decisions, of("assessment")).await;
    let mut by_id: BTreeMap<Id, Assessment> = BTreeMap::new();
    for assessment in &assessments {
        // Whether somebody had said less before is not known to whoever says it again.
        let status = match assessment.status {
            Status::Opened => Status::Updated,
            known => known,
        };
        let of = Assessment { status, ..assessment.clone() };
        let first = by_id.entry(of.id).or_insert_with(|| of.clone());
        assert_eq!(*first, of, "two say different things under one id");
    }
    Published { actions: held(bus, Stream::Decisions, of("action")).await, assessments }
}

/// What people see last of each incident is what was decided last.
async fn alerts_agree(bus: &Bus, decided: &[Assessment], begun: Timestamp) {
    let all: Vec<Alert> =
        held(bus, Stream::Decisions, subject::all_of(bus.tenant(), "alert")).await;
    let mut alerts: BTreeMap<Id, &Alert> = BTreeMap::new();
    for alert in &all {
        let known = alerts.entry(alert.id).or_insert(alert);
        if known.revision < alert.revision {
            *known = alert;
        }
    }
    let mut newest: BTreeMap<Id, &Assessment> = BTreeMap::new();
    for assessment in decided {
        let known = newest.entry(assessment.incident).or_insert(assessment);
        if known.revision < assessment.revision {
            *known = assessment;
        }
    }
    let mut shown = 0;
    for (id, of) in newest.iter().filter(|(_, of)| of.response != Response::Allow) {
        let alert = alerts.get(id).unwrap_or_else(|| panic!("no alert of {of:?}"));
        let told = (alert.revision, alert.level, alert.response, alert.count);
        assert_eq!(told, (of.revision, of.level, of.response, of.count), "{alert:?}");
        shown += 1;
    }
    println!("{shown} alerts in {} revisions say what was decided", all.len());
    // They are told by the clocks of those who decided.
    if std::env::var_os("MAGSENTINEL_CHAOS_EVENTS").is_none() {
        return;
    }
    let decided = || all.iter().map(|alert| alert.decided);
    assert!(decided().any(|at| at > clock::now()), "nobody's clock is ahead");
    assert!(decided().any(|at| at < begun), "nobody's clock is behind");
}

/// Every scored event once, in the order of time.
async fn scored(bus: &Bus) -> Vec<Scored> {
    let mut found: BTreeMap<Id, Scored> = BTreeMap::new();
    let filters = subject::scored_at(
        bus.tenant(),
        &[Level::Low, Level::Medium, Level::High, Level::Critical],
    );
    // A cluster that was just struck may not answer at once.
    wait_for("the scored events", async || {
        let show = |d: &Delivery| {
            let scored: Scored = d.decode(Limits::default()).unwrap();
            found.entry(scored.id).or_insert(scored);
        };
        bus.read_all(Stream::Scored, filters.clone(), show).await.ok()
    })
    .await;
    let mut all: Vec<Scored> = found.into_values().collect();
    all.sort_by_key(|scored| (scored.ts, scored.id));
    all
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
        match ledger::audit(bus, &patrol.parse().unwrap(), &[kind]).await {
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
    let (name, filters) = (router::NAME.parse().unwrap(), router::filters(bus.tenant()));
    match ledger::whole_row(bus, &name, Stream::Scored, filters).await {
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
    let begun = clock::now();
    let now = Duration::from_micros(begun.micros().unsigned_abs());
    let seed = setting("MAGSENTINEL_CHAOS_SEED", now.as_secs());
    let wanted = setting("MAGSENTINEL_CHAOS_EVENTS", 4000);
    println!("seed {seed}, {wanted} events");
    let mut chaos = Chaos::start(Mesh::clustered(), LATENESS).await;
    let bus = chaos.mesh.bus().await;

    let stored = Arc::new(AtomicU64::new(0));
    let publishing = tokio::spawn(traffic::publish(
        chaos.mesh.client().await,
        traffic::items(seed, wanted, now, &found()),
        Arc::clone(&stored),
    ));
    chaos.strike_all(seed, wanted, &stored).await;
    let events = publishing.await.unwrap();
    settled(&bus, &events).await;

    let scored = scored(&bus).await;
    let set: Vec<String> = faults::SETTINGS.iter().map(ToString::to_string).collect();
    let config = Config { lateness: LATENESS, ..configured(&set) };
    let want = finals(one_process(&config, &scored));
    // What was folded is told within `analyzer.update_every`.
    let settled = Instant::now();
    let decided = loop {
        let decided = published(&bus).await;
        let assessments = decided.assessments.clone();
        let got = finals(decided);
        if got == want || settled.elapsed() > FOLDED_MAX {
            break (assessments, got);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (decided, got) = decided;
    let ids: BTreeSet<Id> = decided.iter().map(|a| a.id).collect();
    let (revisions, repeated) = (decided.len(), decided.len() - ids.len());

    println!(
        "{} events of patrols that run, {} scored, {} incidents in {revisions} revisions \
         ({repeated} repeated), {} actions",
        events.values().sum::<u64>(),
        scored.len(),
        got.len(),
        got.values().map(|of| of.actions.len()).sum::<usize>()
    );
    for (id, incident) in &want {
        assert_eq!(got.get(id), Some(incident), "incident {id}");
    }
    let more: Vec<_> = got.iter().filter(|(id, _)| !want.contains_key(id)).collect();
    assert!(more.is_empty(), "nobody else would have found {more:?}");
    assert!(want.len() >= 10, "{} incidents prove little", want.len());
    assert!(want.values().any(|of| !of.actions.is_empty()), "nothing was to be acted on");
    // Statements name no address: they are there because somebody logged in from it.
    let joined = |a: &&Assessment| {
        a.class == Class::Client && a.evidence.iter().any(|e| e.kind == Kind::Sql)
    };
    assert!(decided.iter().any(|a| joined(&a)), "no event counted for another key");
    alerts_agree(&bus, &decided, begun).await;
}

/// The configuration of the analyzer that these settings make.
fn configured(set: &[String]) -> Config {
    let mut layers = Layers::load(None, set).unwrap();
    layers.section()
}
