//! The section `responder` of the configuration.

use crate::Network;
use magsentinel_bus_schema::Mode;
use magsentinel_runtime::settings::{Section, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Section `responder`: what becomes of actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How far actions may go: `dry-run`, `ask` or `enforce`. Caps the mode that an action asks
    /// for. This build knows dry runs only: with another value here, an action that asks for
    /// more than a dry run is refused. Default `dry-run`.
    pub mode: Mode,
    /// Age of an action's newest evidence above which it is refused, as a duration, 1s to 1d.
    /// The past is not acted on. Default `10m`.
    pub max_action_age: Span,
    /// How far an action's newest evidence may lie in the future before it is refused, as a
    /// duration up to 1h: sources' clocks differ a little, and a forged time must not stay young
    /// for ever. Default `1m`.
    pub clock_skew_max: Span,
    /// Shortest time that an action may hold, as a duration; shorter ones are refused. At least
    /// 1s. Default `1s`.
    pub ttl_min: Span,
    /// Longest time that an action may hold, as a duration; longer ones are refused, not cut. At
    /// most 30d. Default `1d`.
    pub ttl_max: Span,
    /// Who and what is never acted on, whatever the evidence says.
    pub never_block: NeverBlock,
    /// Most actions handled at once, 1 to 10000. Default 100.
    pub batch_max: usize,
    /// Attempts at an action before it becomes a dead letter, 1 to 1000. Default 10.
    pub max_deliver: u64,
    /// Time after which an action that was not acknowledged is delivered again, as a duration,
    /// 1s to 1h. Default `30s`.
    pub ack_wait: Span,
}

/// Who and what is never acted on. Checked last, right before the effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NeverBlock {
    /// Addresses and networks (`192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`), at most 10000.
    /// Loopback, link-local, unspecified, multicast and broadcast addresses and the NAT64 prefix
    /// are protected always. An IPv6 address is blocked with its /64, so a /64 that shares an
    /// address with a listed network is protected whole. Default none.
    pub networks: Vec<Network>,
    /// Users and roles that are never suspended and whose sessions are never ended, at most
    /// 10000; upper and lower case are the same here. Default `postgres` and `root`, because
    /// suspending them locks the administrators out.
    pub users: Vec<String>,
    /// Sessions that are never ended, at most 10000. Default none.
    pub sessions: Vec<String>,
}

/// Most entries of each list in [`NeverBlock`].
pub const NEVER_BLOCK_ENTRIES_MAX: usize = 10_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::DryRun,
            max_action_age: Span::s(600),
            clock_skew_max: Span::s(60),
            ttl_min: Span::s(1),
            ttl_max: Span::s(86_400),
            never_block: NeverBlock::default(),
            batch_max: 100,
            max_deliver: 10,
            ack_wait: Span::s(30),
        }
    }
}

impl Default for NeverBlock {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            users: vec!["postgres".to_owned(), "root".to_owned()],
            sessions: Vec::new(),
        }
    }
}

impl Section for Config {
    const NAME: &'static str = "responder";

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut span = |key: &str, value: Span, least: Span, most: Span| {
            if value < least || value > most {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        };
        span("max_action_age", self.max_action_age, Span::s(1), Span::s(86_400));
        span("clock_skew_max", self.clock_skew_max, Span::ms(0), Span::s(3600));
        span("ttl_min", self.ttl_min, Span::s(1), self.ttl_max.max(Span::s(1)));
        span("ttl_max", self.ttl_max, Span::s(1), Span::s(30 * 86_400));
        span("ack_wait", self.ack_wait, Span::s(1), Span::s(3600));
        if !(1..=10_000).contains(&self.batch_max) {
            problems.push(format!("batch_max: must be 1 to 10000, not {}", self.batch_max));
        }
        if !(1..=1000).contains(&self.max_deliver) {
            problems.push(format!("max_deliver: must be 1 to 1000, not {}", self.max_deliver));
        }
        problems.extend(self.never_block.problems());
        problems
    }
}

impl NeverBlock {
    fn problems(&self) -> Vec<String> {
        let lists = [
            ("networks", self.networks.len(), false),
            ("users", self.users.len(), self.users.iter().any(|u| u.trim().is_empty())),
            ("sessions", self.sessions.len(), self.sessions.iter().any(|s| s.trim().is_empty())),
        ];
        let mut problems = Vec::new();
        for (key, len, blank) in lists {
            if len > NEVER_BLOCK_ENTRIES_MAX {
                problems.push(format!(
                    "never_block.{key}: at most {NEVER_BLOCK_ENTRIES_MAX} entries, not {len}"
                ));
            }
            if blank {
                problems.push(format!("never_block.{key}: an entry is blank"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_defaults_are_sound_and_survive_a_round_trip() {
        let config = Config::default();
        assert_eq!(config.problems(), Vec::<String>::new());
        let text = serde_json::to_value(&config).unwrap();
        assert_eq!(text["mode"], "dry-run");
        assert_eq!(serde_json::from_value::<Config>(text).unwrap(), config);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let config: Config = serde_json::from_value(json!({
            "ttl_min": "2h", "ttl_max": "1h", "batch_max": 0, "max_deliver": 0,
            "max_action_age": "2d", "never_block": {"users": [" "]},
        }))
        .unwrap();
        let keys: Vec<_> =
            config.problems().iter().map(|p| p.split(':').next().unwrap().to_owned()).collect();
        let want = ["max_action_age", "ttl_min", "batch_max", "max_deliver", "never_block.users"];
        assert_eq!(keys, want);
    }

    #[test]
    fn wrong_keys_units_and_networks_are_refused() {
        for wrong in [
            json!({"modus": "dry-run"}),
            json!({"mode": "sometimes"}),
            json!({"ttl_max": 900}),
            json!({"never_block": {"networks": ["10.0.0.0/33"]}}),
        ] {
            assert!(serde_json::from_value::<Config>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
