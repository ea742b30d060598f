//! What the evidence holds, in the form in which a template tells it.

use super::{amounts, reference};
use crate::{
    briefing,
    knowledge::Known,
    untrusted::{is_hidden, shown},
};
use magsentinel_bus_schema::{
    Assessment, Class, Entity, Kind, Level, Timestamp, Trust, decision::Evidence,
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Most steps told; beyond that events of one patrol and category are told as one.
const STEPS_MAX: usize = 24;
/// Most entities told of each class.
const NAMES_MAX: usize = 8;
/// Most amounts told.
const AMOUNTS_MAX: usize = 8;
/// Most reasons told of a step.
const REASONS_MAX: usize = 3;
/// Most events cited by a claim that is not a step.
pub(super) const CITES_MAX: usize = 16;
const NAME_CHARS: usize = 96;
const REASON_CHARS: usize = 200;

/// Whether an event shows something.
type Shows = fn(&Evidence) -> bool;

/// What an event may show, by a name that templates cite it under.
const SHOWS: &[(&str, Shows)] = &[
    ("guessing", |e| {
        let category = e.category.as_str();
        ["brute", "spray", "stuffing", "automated_login"].iter().any(|p| category.contains(p))
    }),
    ("takeover", |e| matches!(e.category.as_str(), "account_takeover" | "impossible_travel")),
    ("used", |e| matches!(e.kind, Kind::Api | Kind::Data | Kind::Sql)),
    ("web", |e| e.kind == Kind::Api),
    ("probing", |e| e.kind == Kind::Api && is_probing(e)),
    ("exploit", |e| matches!(e.kind, Kind::Api | Kind::Sql) && !is_probing(e)),
    ("inside", |e| matches!(e.kind, Kind::Host | Kind::Flow | Kind::Dns | Kind::Auth)),
    ("device", |e| e.kind == Kind::Iot),
    ("extension", |e| e.kind == Kind::Extension),
    ("moved", |e| e.kind == Kind::Data),
    ("calls", |e| {
        let category = e.category.as_str();
        ["beacon", "tunnel", "dga", "command_and_control"].iter().any(|p| category.contains(p))
    }),
    ("upload", |e| {
        let category = e.category.as_str();
        e.kind == Kind::Data || ["upload", "exfil"].iter().any(|p| category.contains(p))
    }),
];

fn is_probing(e: &Evidence) -> bool {
    let category = e.category.as_str();
    ["recon", "scan", "fuzz", "enumeration", "sensitive_file", "forbidden", "burst", "scraping"]
        .iter()
        .any(|part| category.contains(part))
}

/// Everything that a template may tell. Every text is one line and cut; `cites` are event ids
/// joined by commas, empty where the evidence holds nothing.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    attack: String,
    chain: String,
    level: &'static str,
    confidence: String,
    class: &'static str,
    key: String,
    first: String,
    last: String,
    lasted: String,
    count: u64,
    shown: u64,
    pub(super) omitted: u64,
    replayed: bool,
    plan: Vec<String>,
    reasoning: Vec<String>,
    techniques: Vec<String>,
    defences: Vec<reference::Defence>,
    exploited: Vec<reference::Vulnerability>,
    past: Vec<reference::Precedent>,
    pub(super) left_out: Vec<String>,
    steps: Vec<Step>,
    clients: Vec<Name>,
    users: Vec<Name>,
    sessions: Vec<Name>,
    keys: Vec<Name>,
    devices: Vec<Name>,
    hosts: Vec<Name>,
    extensions: Vec<Name>,
    resources: Vec<Name>,
    amounts: Vec<Amount>,
    all: String,
    injection: String,
    exfiltration: String,
    /// Event ids by what they show, see [`SHOWS`].
    cited: BTreeMap<&'static str, String>,
    /// What was decided and done before.
    before: Vec<reference::Before>,
    pub(super) attribution_confidence: f32,
}

#[derive(Debug, Serialize)]
struct Step {
    first: String,
    last: String,
    events: usize,
    patrol: String,
    category: String,
    level: &'static str,
    score: String,
    reasons: Vec<String>,
    techniques: Vec<String>,
    names: String,
    excerpt: String,
    cites: String,
}

#[derive(Debug, Serialize)]
struct Name {
    value: String,
    /// It is written like a name. What reads like a sentence may be an instruction, and is not
    /// repeated where people are told what to do.
    plain: bool,
    /// A sensor saw it, so it may be a target.
    observed: bool,
    trust: &'static str,
    cites: String,
}

#[derive(Debug, Serialize)]
struct Amount {
    text: String,
    /// Who says so: a patrol's reason, or the body's excerpt.
    source: &'static str,
    cites: String,
}

impl Facts {
    pub(super) fn of(
        a: &Assessment,
        evidence: &[&Evidence],
        known: &Known,
        excerpt_chars: usize,
    ) -> Self {
        let steps = steps(evidence);
        let told: Vec<&Evidence> = steps.iter().flatten().copied().collect();
        let shown_events = briefing::distinct(told.iter().copied()).len();
        let names = |class| names(class, &told);
        let identity = [Class::Client, Class::User, Class::Session, Class::Key, Class::Device];
        let (defences, more) = reference::defences(known, &told);
        let mut left_out = known.left_out.clone();
        let (exploited, others) = reference::vulnerabilities(known, &told);
        left_out.extend(more.into_iter().chain(others));
        let lists = |texts: &[String]| texts.iter().take(12).map(|t| shown(t, 300)).collect();
        Self {
            attack: words(a.attack_type.as_str()),
            chain: words(a.chain.as_str()),
            level: a.level.token(),
            confidence: format!("{:.2}", a.confidence),
            class: a.class.token(),
            key: shown(&a.key, NAME_CHARS),
            first: seconds(a.first),
            last: seconds(a.last),
            lasted: lasted(a.last.since(a.first)),
            count: a.count,
            shown: u64::try_from(shown_events).unwrap_or(u64::MAX),
            omitted: briefing::omitted(a, shown_events),
            replayed: a.replayed,
            plan: lists(&a.plan),
            reasoning: lists(&a.reasoning),
            techniques: a.techniques.iter().take(12).map(|t| reference::placed(t, known)).collect(),
            defences,
            exploited,
            past: known.past.iter().map(reference::Precedent::of).collect(),
            left_out,
            steps: steps.iter().map(|step| Step::of(step, known, excerpt_chars)).collect(),
            clients: names(Class::Client),
            users: names(Class::User),
            sessions: names(Class::Session),
            keys: names(Class::Key),
            devices: names(Class::Device),
            hosts: names(Class::Host),
            extensions: names(Class::Extension),
            resources: names(Class::Resource),
            amounts: amounts_of(&told),
            all: cites(&told, CITES_MAX, |_| true),
            injection: cites(&told, CITES_MAX, is_injection),
            exfiltration: cites(&told, CITES_MAX, is_exfiltration),
            cited: SHOWS
                .iter()
                .map(|(what, shows)| (*what, cites(&told, CITES_MAX, shows)))
                .collect(),
            before: known.audit.iter().map(reference::Before::of).collect(),
            attribution_confidence: confidence(&identity.map(|class| best_trust(class, &told))),
        }
    }
}

impl Step {
    fn of(events: &[&Evidence], known: &Known, excerpt_chars: usize) -> Self {
        let gravest =
            events.iter().copied().reduce(|best, e| if e.score > best.score { e } else { best });
        let (mut reasons, mut ids) = (Vec::new(), Vec::new());
        for reason in events.iter().flat_map(|e| &e.reasons).map(|r| shown(r, REASON_CHARS)) {
            if reasons.len() < REASONS_MAX && !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        for id in events.iter().flat_map(|e| &e.techniques) {
            if !ids.contains(id) && ids.len() < 6 {
                ids.push(id.clone());
            }
        }
        let edge = |e: Option<&&Evidence>| e.map(|e| seconds(e.ts)).unwrap_or_default();
        Self {
            first: edge(events.first()),
            last: edge(events.last()),
            events: briefing::distinct(events.iter().copied()).len(),
            patrol: gravest.map(|e| e.patrol.to_string()).unwrap_or_default(),
            category: gravest.map(|e| words(e.category.as_str())).unwrap_or_default(),
            level: events.iter().map(|e| e.level).max().unwrap_or(Level::None).token(),
            score: gravest.map(|e| format!("{:.2}", e.score)).unwrap_or_default(),
            reasons,
            techniques: ids.iter().map(|t| reference::titled(t, known)).collect(),
            names: gravest.map(|e| named(&e.entities)).unwrap_or_default(),
            excerpt: gravest.map(|e| shown(&e.excerpt, excerpt_chars)).unwrap_or_default(),
            cites: cites(events, usize::MAX, |_| true),
        }
    }
}

/// Events in steps: neighbours of one patrol and category are one step; when that makes too many
/// steps, all of one patrol and category are.
fn steps<'a>(evidence: &[&'a Evidence]) -> Vec<Vec<&'a Evidence>> {
    let same = |a: &&Evidence, b: &&Evidence| a.patrol == b.patrol && a.category == b.category;
    let steps: Vec<Vec<&Evidence>> = evidence.chunk_by(same).map(<[_]>::to_vec).collect();
    if steps.len() <= STEPS_MAX {
        return steps;
    }
    let mut merged: Vec<Vec<&Evidence>> = Vec::new();
    for event in evidence {
        let of_same = |step: &&mut Vec<&Evidence>| step.first().is_some_and(|e| same(e, event));
        match merged.iter_mut().find(of_same) {
            Some(step) => step.push(event),
            None => merged.push(vec![event]),
        }
    }
    merged.truncate(STEPS_MAX);
    merged
}

fn is_injection(e: &Evidence) -> bool {
    e.kind == Kind::Sql || e.category.as_str().contains("inject")
}

fn is_exfiltration(e: &Evidence) -> bool {
    let category = e.category.as_str();
    let by_name = ["exfil", "export", "dump", "bulk"].iter().any(|part| category.contains(part));
    !is_injection(e) && (by_name || matches!(e.kind, Kind::Data | Kind::Flow | Kind::Dns))
}

pub(super) fn cites(
    events: &[&Evidence],
    max: usize,
    wanted: impl Fn(&Evidence) -> bool,
) -> String {
    let ids = briefing::distinct(events.iter().copied().filter(|e| wanted(e)));
    ids.iter().take(max).map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn names(class: Class, events: &[&Evidence]) -> Vec<Name> {
    let mut found: Vec<&Entity> = Vec::new();
    for entity in events.iter().flat_map(|e| &e.entities).filter(|e| e.class == class) {
        let room = found.len() < NAMES_MAX;
        match found.iter_mut().find(|known| known.value == entity.value) {
            Some(known) if known.trust < entity.trust => *known = entity,
            Some(_) => {}
            None if room => found.push(entity),
            None => {}
        }
    }
    let name = |entity: &Entity| Name {
        value: shown(&entity.value, NAME_CHARS),
        plain: is_plain(&entity.value),
        observed: entity.trust >= Trust::Observed,
        trust: trust(entity.trust),
        cites: cites(events, CITES_MAX, |e| {
            e.entities.iter().any(|x| x.class == class && x.value == entity.value)
        }),
    };
    found.into_iter().map(name).collect()
}

fn is_plain(name: &str) -> bool {
    name.chars().count() <= NAME_CHARS
        && !name.contains(|c: char| c.is_whitespace() || is_hidden(c))
}

fn best_trust(class: Class, events: &[&Evidence]) -> Option<Trust> {
    let all = events.iter().flat_map(|e| &e.entities);
    all.filter(|e| e.class == class).map(|e| e.trust).max()
}

/// Low by design: one mesh sees accounts and addresses, not people.
fn confidence(trusts: &[Option<Trust>]) -> f32 {
    match trusts.iter().flatten().max() {
        Some(Trust::Verified) => 0.3,
        Some(Trust::Observed) => 0.2,
        Some(Trust::Claimed) => 0.1,
        None => 0.0,
    }
}

fn amounts_of(events: &[&Evidence]) -> Vec<Amount> {
    let mut found: BTreeMap<(Timestamp, String), Amount> = BTreeMap::new();
    for e in events {
        let reasons = e.reasons.iter().flat_map(|r| amounts::in_text(r)).map(|t| (t, "reason"));
        let body = amounts::in_text(&e.excerpt).into_iter().map(|t| (t, "excerpt"));
        for (text, source) in reasons.chain(body) {
            let amount = Amount { text: text.clone(), source, cites: e.event.to_string() };
            // A reason may group the digits that the body writes without commas.
            found.entry((e.ts, text.replace(',', ""))).or_insert(amount);
        }
    }
    found.into_values().take(AMOUNTS_MAX).collect()
}

fn named(entities: &[Entity]) -> String {
    let one =
        |e: &Entity| format!("{} {} ({})", e.class, shown(&e.value, NAME_CHARS), trust(e.trust));
    entities.iter().take(NAMES_MAX).map(one).collect::<Vec<_>>().join(", ")
}

fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Claimed => "claimed",
        Trust::Observed => "observed",
        Trust::Verified => "verified",
    }
}

pub(super) fn words(token: &str) -> String {
    let spelt = |word| if word == "sql" { "SQL" } else { word };
    token.split('_').map(spelt).collect::<Vec<_>>().join(" ")
}

/// RFC 3339 to the second.
pub(super) fn seconds(time: Timestamp) -> String {
    let micros = time.micros();
    Timestamp::from_micros(micros - micros.rem_euclid(1_000_000)).to_string()
}

fn lasted(span: Duration) -> String {
    let s = span.as_secs();
    match (s / 86_400, s % 86_400 / 3600, s % 3600 / 60, s % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}
