//! Alerts of other detectors over days, each with one intrusion that was staged (the AIT alert data
//! set), as scored events of the patrols that look at the same things.

use anyhow::{Context, Result};
use magsentinel_bus_schema::{
    Class, Entity, Id, Kind, Level, SCHEMA_VERSION, Scored, Tenant, Timestamp, Token, Trust,
};
use magsentinel_sensor::replay::rows::Recording;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

const DETECTORS: &str = include_str!("../../training/detectors.json");
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
#[derive(Debug)]
pub struct Raw {
    /// As a patrol would have said it.
    pub scored: Scored,
    /// The stage of the intrusion in whose time it falls.
    pub stage: Option<String>,
}

/// Reads `chains/ait_alerts.csv.gz`: the alerts by scenario.
///
/// # Errors
/// A row that cannot be read, or for which `training/detectors.json` has no rule.
pub fn read(file: &Path) -> Result<BTreeMap<String, Vec<Raw>>> {
    let detectors: Detectors = serde_json::from_str(DETECTORS).context("detectors.json")?;
    let mut all: BTreeMap<String, Vec<Raw>> = BTreeMap::new();
    let rows = Recording::File(file.to_owned()).rows(&[Kind::Host], LINE_BYTES_MAX)?.unshaped();
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
        source: None,
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
