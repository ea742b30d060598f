//! How many alerts the analyzer makes of other detectors' alerts over days, and whether they tell
//! of the intrusion that was staged in them.
//!
//! An alert of another detector becomes a scored event of the patrol that looks at the same
//! things, by `training/detectors.json`; the analyzer, with shipped chains and configuration,
//! makes incidents of them.

use crate::left_out::Models;
use anyhow::Result;
use magsentinel_analyzer::{Config, analyze_with, chain::Book};
use magsentinel_bus_schema::{Class, Level, Scored, Timestamp};
use magsentinel_inference as inference;
use magsentinel_tests::ait::{Raw, read};
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// What the command line and the folders of models call it.
pub(crate) const NAME: &str = "severity";

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
        trained: judge.trained.ever(),
        raw: raw.len(),
        flagged,
        alerts: alerts.len(),
        high: alerts.iter().filter(|alert| alert.level >= Level::High).count(),
        inside: told.iter().filter(|stages| !stages.is_empty()).count(),
        stages: staged.iter().map(|(_, _, stage)| *stage).collect::<BTreeSet<_>>().len(),
        seen: told.into_iter().flatten().collect::<BTreeSet<_>>().len(),
    })
}
