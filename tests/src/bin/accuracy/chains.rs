//! How many alerts the analyzer makes of other detectors' alerts over days, and whether they tell
//! of the intrusion that was staged in them.
//!
//! An alert of another detector becomes a scored event of the patrol that looks at the same
//! things, by `training/detectors.json`; the analyzer, with shipped chains and configuration,
//! makes incidents of them.

use crate::left_out::Models;
use anyhow::{Context, Result};
use magsentinel_analyzer::{Config, analyze_with, chain::Book};
use magsentinel_bus_schema::{
    Class, Entity, Id, Kind, Level, SCHEMA_VERSION, Scored, Tenant, Timestamp, Token, Trust,
};
use magsentinel_inference as inference;
use magsentinel_sensor::replay::rows::Recording;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// What the command line and the folders of models call it.
pub(crate) const NAME: &str = "severity";

const DETECTORS: &str = include_str!("../../../../training/detectors.json");
const LINE_BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct Detectors {
    rules: Vec<Rule>,
    patrols: BTreeMap<Kind, Token>,
}

#[derive(Deserialize)]
struct Rule {
    r#in: String,
    kind: Kind,
    category: Token,
    level: Level,
    score: f32,
    techniques: Vec<String>,
}

/// One alert of another detector.
struct Raw {
    scored: Scored,
    /// The stage of the intrusion in whose time it falls.
    stage: Option<String>,
}

/// What became of one scenario.
pub(crate) struct Scenario {
    pub(crate) source: String,
    pub(crate) trained: Option<bool>,
    /// Alerts of other detectors.
    pub(crate) raw: usize,
    /// Of these, how many are not weak: medium or above.
    pub(crate) flagged: usize,
    /// Alerts of the analyzer, and those of level high or above.
    pub(crate) alerts: usize,
    pub(crate) high: usize,
    /// Alerts with an event in the time of the intrusion.
    pub(crate) inside: usize,
    /// Stages of the intrusion, and those that an alert has events of.
    pub(crate) stages: usize,
    pub(crate) seen: usize,
}

/// Every scenario of the data; none where the folder has no such data.
pub(crate) fn measure(data: &Path, models: &Models) -> Result<Vec<Scenario>> {
    let file = data.join("chains/ait_alerts.csv.gz");
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let scenarios = read(&file)?;
    scenarios.into_iter().map(|(source, raw)| scenario(source, raw, models)).collect()
}

fn read(file: &Path) -> Result<BTreeMap<String, Vec<Raw>>> {
    let detectors: Detectors = serde_json::from_str(DETECTORS).context("detectors.json")?;
    let mut all: BTreeMap<String, Vec<Raw>> = BTreeMap::new();
    let rows = Recording::File(file.to_owned()).rows(Some(Kind::Host), LINE_BYTES_MAX)?.unshaped();
    for (number, row) in rows.enumerate() {
        let row = row?.map_err(|bad| anyhow::anyhow!("{}: {}", file.display(), bad.reason))?;
        let text = |name: &str| match row.body.0.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let (name, ts) = (text("name"), text("ts"));
        let rule = detectors.rules.iter().find(|rule| name.contains(&rule.r#in));
        let rule = rule.context("detectors.json has no rule for everything else")?;
        let seconds = ts.parse().with_context(|| format!("{}: ts {ts:?}", file.display()))?;
        let at = Timestamp::from_seconds(seconds).context("a time out of range")?;
        let patrol = detectors.patrols.get(&rule.kind).context("a kind without a patrol")?;
        let scored = scored(number, rule, patrol, (at, text("host")));
        let stage = (text("label") == "1").then(|| text("phase"));
        all.entry(text("source")).or_default().push(Raw { scored, stage });
    }
    Ok(all)
}

fn scored(number: usize, rule: &Rule, patrol: &Token, (ts, host): (Timestamp, String)) -> Scored {
    let entity = Entity { class: Class::Host, value: host, trust: Trust::Observed };
    Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["scored", &number.to_string()]),
        event: Id::derived(&["event", &number.to_string()]),
        seq: 1,
        tenant: Tenant::default(),
        kind: rule.kind,
        ts,
        replayed: false,
        backfilled: false,
        patrol: patrol.clone(),
        by_key: None,
        level: rule.level,
        score: rule.score,
        confidence: rule.score,
        category: rule.category.clone(),
        techniques: rule.techniques.clone(),
        reasons: vec![],
        entities: vec![entity],
        excerpt: String::new(),
        model: String::new(),
        patterns: String::new(),
        trace: None,
    }
}

fn host(scored: &Scored) -> &str {
    scored.entity(Class::Host).map_or("", |entity| &entity.value)
}

fn scenario(source: String, mut raw: Vec<Raw>, models: &Models) -> Result<Scenario> {
    let judge = models.for_source(&source);
    let mut config = Config::default();
    config.severity.model = judge.file.map(Path::to_owned);
    let book = Arc::new(Book::rated(&config, &inference::Config::default())?);
    raw.sort_by_key(|raw| (raw.scored.ts, raw.scored.id));
    let staged: Vec<(&str, Timestamp, &str)> = raw
        .iter()
        .filter_map(|raw| Some((host(&raw.scored), raw.scored.ts, raw.stage.as_deref()?)))
        .collect();
    let scored: Vec<Scored> = raw.iter().map(|raw| raw.scored.clone()).collect();
    let newest = scored.iter().map(|scored| scored.ts).max().unwrap_or_default();
    let flagged = scored.iter().filter(|scored| scored.level.is_flagged()).count();
    let mut alerts = analyze_with(&book, &config, scored, newest);
    alerts.retain(|alert| alert.level.is_flagged());
    // Nearly all events of a host are members while an incident lasts, and not all are cited.
    let told = alerts.iter().map(|alert| {
        let time = alert.first..=alert.last;
        let own = staged.iter().filter(|(host, ts, _)| *host == alert.key && time.contains(ts));
        own.map(|(_, _, stage)| *stage).collect::<BTreeSet<&str>>()
    });
    let told: Vec<BTreeSet<&str>> = told.collect();
    Ok(Scenario {
        source,
        trained: judge.trained,
        raw: raw.len(),
        flagged,
        alerts: alerts.len(),
        high: alerts.iter().filter(|alert| alert.level >= Level::High).count(),
        inside: told.iter().filter(|stages| !stages.is_empty()).count(),
        stages: staged.iter().map(|(_, _, stage)| *stage).collect::<BTreeSet<_>>().len(),
        seen: told.into_iter().flatten().collect::<BTreeSet<_>>().len(),
    })
}
