//! From what was gathered to a verdict with its reasons, and to text.

use super::{Account, Habit, Said, What, shape};
use magsentinel_bus_schema::{Closure, Event, Id, Judgement, Level, entity::entities_of};
use std::collections::{BTreeMap, BTreeSet};

/// Alike events from which a pace can be seen.
const PACE_EVENTS_MIN: u64 = 8;
/// Times between alike events that vary no more than this are a program's.
const PACE_VARIATION_MAX: f64 = 0.15;
/// Faster than this nobody waits for anything: it is work, not a beacon.
const BEACON_EVERY_S_MIN: f64 = 5.0;

/// Paths that probes and collectors ask for.
const PROBED: &[&str] =
    &["/healthz", "/health", "/livez", "/readyz", "/metrics", "/ping", "/status"];
/// Programs that watch, by their user agents.
const WATCHERS: &[&str] =
    &["prometheus", "kube-probe", "googlehc", "elb-healthchecker", "datadog", "uptime", "zabbix"];
/// Programs, by their user agents.
const PROGRAMS: &[&str] = &[
    "curl/",
    "wget/",
    "python-requests",
    "python-urllib",
    "go-http-client",
    "okhttp",
    "java/",
    "axios",
    "node-fetch",
    "libwww-perl",
    "bot",
    "spider",
    "crawler",
    "httpx",
    "postman",
];

pub(super) fn account(
    event: &Event,
    habit: Habit,
    said: Vec<Said>,
    incidents: &BTreeSet<Id>,
    closures: &BTreeMap<Id, Closure>,
) -> Account {
    let (what, because) = verdict(event, &habit, &said, incidents, closures);
    Account {
        event: event.id,
        what,
        because,
        kind: event.kind.to_string(),
        ts: event.ts,
        replayed: event.replayed,
        entities: entities_of(event.kind, &event.body, event.source.trust),
        habit,
        said,
        incidents: incidents.iter().copied().collect(),
        by_model: None,
    }
}

/// The first that holds, the worst first.
fn verdict(
    event: &Event,
    habit: &Habit,
    said: &[Said],
    incidents: &BTreeSet<Id>,
    closures: &BTreeMap<Id, Closure>,
) -> (What, Vec<String>) {
    let is_ordinary = |id: &&Id| {
        closures.get(*id).is_some_and(|closure| closure.judgement == Judgement::FalsePositive)
    };
    let (ordinary, open): (Vec<&Id>, Vec<&Id>) = incidents.iter().partition(is_ordinary);
    let mut because: Vec<String> = ordinary
        .iter()
        .map(|id| format!("an operator found incident {id} to be ordinary"))
        .collect();
    let flagged: Vec<&Said> = said.iter().filter(|of| of.level >= Level::Medium).collect();
    if !open.is_empty() || !flagged.is_empty() && ordinary.is_empty() {
        because.extend(
            flagged.iter().map(|of| format!("{} says {}: {}", of.patrol, of.level, of.category)),
        );
        because.extend(open.iter().map(|id| format!("incident {id} cites it")));
        return (What::ExploitAttempt, because);
    }
    let agent = agent(event);
    let named = |list: &[&'static str]| list.iter().copied().find(|word| agent.contains(word));
    let path = shape::text(&event.body, "path").unwrap_or_default();
    let probed = PROBED.iter().find(|probe| path == **probe);
    if let Some(word) = named(WATCHERS) {
        because.push(format!("its client calls itself {word:?}"));
        return (What::Telemetry, because);
    }
    let even = pace(habit);
    if let (Some(probe), Some(_)) = (probed, &even) {
        because.push(format!("{probe} is asked for at an even pace, as probes do"));
        return (What::Telemetry, because);
    }
    if let Some(word) = named(PROGRAMS) {
        because.push(format!("its client calls itself {word:?}"));
        return (What::AutomatedClient, because);
    }
    if let Some(pace) = even {
        let slow = habit.every_s.is_some_and(|every| every >= BEACON_EVERY_S_MIN);
        because.push(pace);
        // What many do alike is how the system works; what one does alone calls home.
        if slow && habit.others == 0 {
            because.push("nobody else has events like it".to_owned());
            return (What::Beacon, because);
        }
        return (What::AutomatedClient, because);
    }
    because.push("no patrol flagged it, and nothing shows a program's pace or name".to_owned());
    (What::LegitimateUse, because)
}

fn agent(event: &Event) -> String {
    let header = event.body.get("headers").and_then(|headers| headers.get("user-agent"));
    let header = header.and_then(|value| value.as_str()).map(str::to_owned);
    let agent = header.or_else(|| shape::text(&event.body, "user_agent"));
    agent.unwrap_or_default().to_ascii_lowercase()
}

fn pace(habit: &Habit) -> Option<String> {
    let (every, variation) = habit.every_s.zip(habit.variation)?;
    let even = habit.alike >= PACE_EVENTS_MIN && variation <= PACE_VARIATION_MAX;
    even.then(|| {
        format!(
            "{} like it came every {every:.1} s, give or take {:.0} %",
            habit.alike,
            variation * 100.0
        )
    })
}

/// For a terminal. What others wrote is quoted.
pub fn text(of: &Account) -> String {
    let what = match of.what {
        What::ExploitAttempt => "an attempt at an exploit",
        What::Beacon => "a beacon",
        What::Telemetry => "telemetry",
        What::AutomatedClient => "an automated client",
        What::LegitimateUse => "legitimate use",
    };
    let replayed = if of.replayed { ", played back" } else { "" };
    let mut text = format!("{} at {}, {}{replayed}: {what}\n", of.event, of.ts, of.kind);
    for why in &of.because {
        text += &format!("  because {why}\n");
    }
    for entity in &of.entities {
        let trust = format!("{:?}", entity.trust).to_lowercase();
        text += &format!("  by {} {:?} ({trust})\n", entity.class, entity.value);
    }
    let habit = &of.habit;
    if let Some(entity) = &habit.entity {
        text += &format!(
            "  {} of {} retained {} events of {} {:?} are like it, of {} different; {} others have \
             such\n",
            habit.alike,
            habit.events,
            of.kind,
            entity.class,
            entity.value,
            habit.shapes,
            habit.others
        );
        if let Some((first, last)) = habit.first.zip(habit.last) {
            text += &format!("  like it from {first} to {last}\n");
        }
    }
    for said in &of.said {
        text += &format!("  {}: {} {}\n", said.patrol, said.level, said.category);
        for reason in &said.reasons {
            text += &format!("    {reason:?}\n");
        }
    }
    if let Some(by) = &of.by_model {
        text += &format!("  the model {:?} says", by.model);
        text += &by.nothing.as_ref().map_or(":\n".to_owned(), |why| format!(" nothing: {why:?}\n"));
        for line in &by.text {
            text += &format!("    {line:?}\n");
        }
    }
    text
}
