//! The configuration section `analyzer`.

use crate::{
    decision, join, severity,
    suppression::{self, Suppression},
};
use magsentinel_bus_schema::{Kind, Mode};
use magsentinel_runtime::settings::{Section, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Configuration of the analyzer: router, windows, chains, decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Number of shards of the key space, fixed at installation: the same for router and
    /// analyzer; 1..=1024, default 64.
    pub shards: u16,
    /// Directory whose `*.yml` and `*.yaml` files are chains of the operator's own. A chain
    /// with the name of a shipped one replaces it. Default none: only the shipped chains.
    pub chains_dir: Option<PathBuf>,
    /// Confidence above which a level is blocked.
    pub decision: decision::Table,
    /// The model that has a say in how severe an incident is.
    pub severity: severity::Config,
    /// Most keys that one shard follows at once, for live and for played-back events each;
    /// 1.., default 16384. At the bound the key whose newest event is oldest is given up: its
    /// open incidents are closed with that reason, and `keys_given_up` counts it. What comes
    /// later for that key begins anew.
    pub keys_max: usize,
    /// Most events kept per key and chain; 16..=65536, default 512. At the bound the oldest
    /// eighth of the most numerous sort of event is let go and `events_let_go` counts them; an
    /// event older than what was let go is refused and `events_refused` counts it. Incidents
    /// that are open keep what these events told them. A chain that counts must not ask for
    /// more than half of this.
    pub events_per_key_max: usize,
    /// How far events may lag behind the slowest source of their shard that is followed; an event
    /// that lags more is late: it takes no part in any chain, and `late` counts it. A source is a
    /// patrol together with the sensor whose events it scored. An incident is closed when no
    /// event that is in time can still join it. A duration, default 30s.
    pub lateness: Span,
    /// A source of which nothing was stored for this long, while others went on, is not waited
    /// for. What it brings later is in time where it lags behind the others by no more than
    /// `lateness`. A duration, default 1m.
    pub source_idle: Span,
    /// How far a source may lag behind the foremost one and still be waited for. Incidents close,
    /// and conditions that wait are judged, later by as much as the slowest source lags; one that
    /// lags by more than this is not waited for, and its events are late. A duration, default 5m.
    pub source_lag_max: Span,
    /// Most sources that a shard tells apart; those beyond them, while none is idle, count as one,
    /// whose newest event speaks for all of them. 1..=4096, default 256.
    pub sources_max: usize,
    /// As `lateness`, for events that are played back, which patrols score at different speed, and
    /// for those that were back-filled too late to join the live ones; a duration, default 1h.
    /// The three never meet in a chain.
    pub replay_lateness: Span,
    /// How often an open incident is told that only grew: opening, a change of level, response or
    /// escalation, a new or renewed action, and closing are told at once, and what else comes is
    /// told together this long after the last revision. 0 tells every batch. A duration, default
    /// 10s.
    pub update_every: Span,
    /// How far the time of an event may lie ahead of the server's clock when it was stored; an
    /// event further ahead becomes a dead letter, because it would make all others late. A
    /// duration, default 5m.
    pub ahead_max: Span,
    /// Most events that an assessment cites, shared evenly among the steps of its chain, the
    /// strongest first; `count` says how many there are. 1..=256, default 64.
    pub evidence_events_max: usize,
    /// Most entities of one class that an assessment names as affected and takes as targets;
    /// 1..=64, default 16. At the bound the first in the order of their names stay, and the
    /// reasoning says so.
    pub affected_max: usize,
    /// When events of one key count for another.
    pub join: join::Config,
    /// What is asked of the responder.
    pub action: ActionConfig,
    /// Alerts that nobody wants to see, and keys that no action may follow from, each until a
    /// time. At most 1024; default none.
    pub suppressions: Vec<Suppression>,
    /// Most messages handled at once; 1..=4096, default 256.
    pub batch_max: usize,
    /// How often the state of a shard that changed is stored for its next owner, which reads the
    /// stream from there on. A duration, default 1m.
    pub snapshot_every: Span,
    /// Most scored events that the router takes at once; 1..=16384, default 4096. Those of one
    /// shard among them travel as one message, up to 64 KiB.
    pub router_batch_max: usize,
}

/// What the analyzer asks of the responder when it decides to block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActionConfig {
    /// How far an action may go by itself: `dry-run` says what would be done, `ask` waits for
    /// approval, `enforce` does it. Default `dry-run`.
    pub mode: Mode,
    /// How long an action holds before it is undone; a duration of at least 1s, default 15m. While
    /// the attack goes on it is asked for again whenever half of this has passed, by the times of
    /// the events.
    pub ttl: Span,
    /// An incident whose newest event is older than this gets an alert but no action; a
    /// duration, default 10m.
    pub max_age: Span,
    /// The system that holds the sessions and users of events of a kind. Kinds that are not
    /// named here never lead to the suspension of a session or user. Default: `sql` and `data`
    /// are of `postgresql`.
    pub systems: BTreeMap<Kind, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 64,
            chains_dir: None,
            decision: decision::Table::default(),
            severity: severity::Config::default(),
            keys_max: 16_384,
            events_per_key_max: 512,
            lateness: Span::s(30),
            source_idle: Span::s(60),
            source_lag_max: Span::s(300),
            sources_max: 256,
            replay_lateness: Span::s(3600),
            update_every: Span::s(10),
            ahead_max: Span::s(300),
            evidence_events_max: 64,
            affected_max: 16,
            join: join::Config::default(),
            action: ActionConfig::default(),
            suppressions: Vec::new(),
            batch_max: 256,
            snapshot_every: Span::s(60),
            router_batch_max: 4096,
        }
    }
}

impl Default for ActionConfig {
    fn default() -> Self {
        let postgresql = |kind| (kind, "postgresql".to_owned());
        Self {
            mode: Mode::DryRun,
            ttl: Span::s(900),
            max_age: Span::s(600),
            systems: [Kind::Sql, Kind::Data].map(postgresql).into(),
        }
    }
}

/// Longest duration that the section accepts, in days: sums of durations stay far from overflow.
const DAYS_MAX: u64 = 366;

impl Section for Config {
    const NAME: &'static str = "analyzer";

    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut number = |key: &str, value: usize, min: usize, max: usize| {
            if !(min..=max).contains(&value) {
                found.push(format!("{key}: must be between {min} and {max}, not {value}"));
            }
        };
        number("shards", self.shards.into(), 1, 1024);
        number("keys_max", self.keys_max, 1, 16 << 20);
        number("events_per_key_max", self.events_per_key_max, 16, 65_536);
        number("evidence_events_max", self.evidence_events_max, 1, 256);
        number("sources_max", self.sources_max, 1, 4096);
        number("affected_max", self.affected_max, 1, 64);
        number("batch_max", self.batch_max, 1, 4096);
        number("router_batch_max", self.router_batch_max, 1, 16_384);
        number("join.most", self.join.most, 0, 16);
        number("join.recent_max", self.join.recent_max, 0, 65_536);
        number("join.keys_max", self.join.keys_max, 1, 16 << 20);
        for (key, value) in [
            ("decision.block_critical", self.decision.block_critical),
            ("decision.block_high", self.decision.block_high),
        ] {
            if !(0.0..=1.0).contains(&value) {
                found.push(format!("{key}: must be between 0 and 1, not {value}"));
            }
        }
        for (key, span) in [
            ("lateness", self.lateness),
            ("replay_lateness", self.replay_lateness),
            ("source_idle", self.source_idle),
            ("source_lag_max", self.source_lag_max),
            ("update_every", self.update_every),
            ("snapshot_every", self.snapshot_every),
            ("ahead_max", self.ahead_max),
            ("join.within", self.join.within),
            ("action.ttl", self.action.ttl),
            ("action.max_age", self.action.max_age),
        ] {
            if span > Span::s(DAYS_MAX * 86_400) {
                found.push(format!("{key}: must be at most {DAYS_MAX}d, not {span}"));
            }
        }
        if self.action.ttl < Span::s(1) {
            found.push("action.ttl: must be at least 1s".to_owned());
        }
        if let Err(why) = self.severity.thresholds.check() {
            found.push(format!("severity.thresholds: {why}"));
        }
        found.extend(suppression::problems(&self.suppressions));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_every_wrong_value_is_told_at_once() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong: Config = serde_json::from_value(serde_json::json!({
            "shards": 0, "batch_max": 0, "decision": {"block_high": 1.5}, "action": {"ttl": "1ms"}
        }))
        .unwrap();
        let problems = wrong.problems();
        for key in ["shards", "batch_max", "decision.block_high", "action.ttl"] {
            assert!(problems.iter().any(|p| p.starts_with(key)), "{key} in {problems:?}");
        }
        assert!(serde_json::from_str::<Config>(r#"{"shard": 3}"#).is_err());
    }
}
