//! Section `patterns`.

use crate::life::Budget;
use magsentinel_runtime::{
    bundle::BundleConfig,
    settings::{Section, Span},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a proposed pattern must go through, and who may promote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Public NKeys (`U…`) whose signature makes a pattern live. Default: none, so proposals are
    /// tested and run in shadow, and none is ever used.
    pub signers: Vec<String>,
    /// File with the seed by which the commander promotes, by itself, every pattern that is ready.
    /// Its public key must be one of `signers`. Default: none, so an operator promotes.
    pub promoter: Option<PathBuf>,
    /// Highest share of events that a pattern may match although nothing else explains it, 0 to
    /// 0.01. Default 0.0005.
    pub false_positives_max: f64,
    /// Events after which a pattern in shadow is ready, and the fewest over which the share of its
    /// false positives is counted, 1 to 1000000000. Default 10000.
    pub shadow_events: u64,
    /// Time after which a pattern in shadow is ready although fewer events came; at least one must
    /// have come. 1s to 90d. Default 1d.
    pub shadow_for: Span,
    /// Directory with recordings of good events, `<kind>.jsonl` each (bodies, one a line), and of
    /// good findings for chains, `scored.jsonl` (scored events, one a line), beside those that are
    /// built in. Default: none.
    pub known_good: Option<PathBuf>,
    /// Retained events that a proposal is tested on, from the oldest on, 0 to 100000000; its own
    /// events always are. Default 1000000.
    pub backtest_events_max: u64,
    /// Largest rule, in bytes, 256 to 65536. Default 16384.
    pub rule_bytes_max: usize,
    /// Largest compiled regular expression, in bytes, 1024 to 10485760. Default 262144.
    pub regex_bytes_max: usize,
    /// Patterns in shadow or live of one patrol, and chains of the analyzer, 1 to 64. Beyond it proposals wait. Default 16.
    pub patterns_max: usize,
    /// How often a patrol writes down what it counted, 1s to 1h. Default 10s.
    pub count_every: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signers: Vec::new(),
            promoter: None,
            false_positives_max: 0.0005,
            shadow_events: 10_000,
            shadow_for: Span::s(86_400),
            known_good: None,
            backtest_events_max: 1_000_000,
            rule_bytes_max: 16_384,
            regex_bytes_max: 262_144,
            patterns_max: 16,
            count_every: Span::s(10),
        }
    }
}

impl Config {
    /// The limits of the state machine.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget {
            share_max: self.false_positives_max,
            shadow_events: self.shadow_events,
            shadow_for: self.shadow_for.get(),
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "patterns";

    fn problems(&self) -> Vec<String> {
        let keys = BundleConfig { signers: self.signers.clone(), ..BundleConfig::default() };
        let mut found = keys.problems();
        if !(0.0..=0.01).contains(&self.false_positives_max) {
            let is = self.false_positives_max;
            found.push(format!("false_positives_max: must be 0 to 0.01, is {is}"));
        }
        let size = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for (key, value, min, max) in [
            ("shadow_events", self.shadow_events, 1, 1_000_000_000),
            ("backtest_events_max", self.backtest_events_max, 0, 100_000_000),
            ("rule_bytes_max", size(self.rule_bytes_max), 256, 65_536),
            ("regex_bytes_max", size(self.regex_bytes_max), 1024, 10_485_760),
            ("patterns_max", size(self.patterns_max), 1, 64),
        ] {
            if !(min..=max).contains(&value) {
                found.push(format!("{key}: must be {min} to {max}, is {value}"));
            }
        }
        for (key, value, max) in [
            ("shadow_for", self.shadow_for, Span::s(90 * 86_400)),
            ("count_every", self.count_every, Span::s(3600)),
        ] {
            if !(Span::s(1)..=max).contains(&value) {
                found.push(format!("{key}: must be 1s to {max}, is {value}"));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_fine_and_every_wrong_value_is_told_at_once() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
        let wrong = Config {
            signers: vec!["me".to_owned()],
            false_positives_max: 0.5,
            shadow_events: 0,
            count_every: Span::ms(1),
            ..Config::default()
        };
        let told = wrong.problems();
        assert_eq!(told.len(), 4, "{told:?}");
    }
}
