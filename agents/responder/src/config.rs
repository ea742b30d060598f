//! The section `responder` of the configuration.

use crate::{
    effector::{decisions, nftables, webhook},
    evidence,
    rules::Policy,
};
use magsentinel_runtime::settings::{Section, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Section `responder`: what becomes of actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What actions may do.
    pub policy: Policy,
    /// A file with the policy, in place of `policy`. It is read again when it changes: whole, or
    /// not at all. Default none.
    pub policy_file: Option<PathBuf>,
    /// nftables, on the host that the responder runs on.
    pub nftables: nftables::Config,
    /// The decision list, for gateways and applications.
    pub decisions: decisions::Config,
    /// A webhook, for what neither of them reaches.
    pub webhook: webhook::Config,
    /// What is kept of what led to an effect.
    pub evidence: evidence::Config,
    /// Folder of the switch that `magsentinel panic` puts there. Default (empty)
    /// `$XDG_STATE_HOME/magsentinel`, or below `$HOME/.local/state`.
    pub state_dir: PathBuf,
    /// How often what is there is compared with what should be, as a duration, 100ms to 10m.
    /// Default `2s`.
    pub reconcile_every: Span,
    /// Most leases that are kept, also those that ended within `max_action_age`, 1 to 1000000.
    /// More are refused. Default 200000, of about 1 KB each.
    pub leases_max: usize,
    /// Most actions handled at once, 1 to 10000. Default 500.
    pub batch_max: usize,
    /// Attempts at an action before it becomes a dead letter, 1 to 1000. Default 10.
    pub max_deliver: u64,
    /// Time after which an action that was not acknowledged is delivered again, as a duration,
    /// 1s to 1h. Default `30s`.
    pub ack_wait: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            policy_file: None,
            nftables: nftables::Config::default(),
            decisions: decisions::Config::default(),
            webhook: webhook::Config::default(),
            evidence: evidence::Config::default(),
            state_dir: PathBuf::new(),
            reconcile_every: Span::s(2),
            leases_max: 200_000,
            batch_max: 500,
            max_deliver: 10,
            ack_wait: Span::s(30),
        }
    }
}

impl Config {
    /// The folder of the switch.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub fn state_folder(&self) -> Result<PathBuf, String> {
        if !self.state_dir.as_os_str().is_empty() {
            return Ok(self.state_dir.clone());
        }
        magsentinel_runtime::place::state_folder().ok_or_else(|| {
            "responder.state_dir is empty, and neither XDG_STATE_HOME nor HOME is set: set one"
                .to_owned()
        })
    }
}

impl Section for Config {
    const NAME: &'static str = "responder";

    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            self.policy.problems().into_iter().map(|p| format!("policy.{p}")).collect();
        let mut span = |key: &str, value: Span, least: Span, most: Span| {
            if value < least || value > most {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        };
        span("reconcile_every", self.reconcile_every, Span::ms(100), Span::s(600));
        span("ack_wait", self.ack_wait, Span::s(1), Span::s(3600));
        let mut number = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        };
        number("leases_max", self.leases_max as u64, 1, 1_000_000);
        number("batch_max", self.batch_max as u64, 1, 10_000);
        number("max_deliver", self.max_deliver, 1, 1000);
        let nftables = &self.nftables;
        number("nftables.addresses_max", nftables.addresses_max.into(), 1024, 4_194_304);
        let rate = nftables.slowed_packets_per_second;
        number("nftables.slowed_packets_per_second", rate.into(), 1, 1_000_000);
        let header = &self.decisions.client_header;
        let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if header.is_empty() || !header.bytes().all(token) {
            problems.push(format!(
                "decisions.client_header: must be a header's name in lower case, not {header:?}"
            ));
        }
        if self.decisions.listen.is_some() && !self.decisions.enabled {
            problems.push("decisions.listen: needs decisions.enabled".to_owned());
        }
        problems.extend(self.webhook.problems().into_iter().map(|p| format!("webhook.{p}")));
        problems.extend(self.evidence.problems().into_iter().map(|p| format!("evidence.{p}")));
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
        assert_eq!(text["policy"]["mode"], "dry-run");
        assert_eq!(serde_json::from_value::<Config>(text).unwrap(), config);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let config: Config = serde_json::from_value(json!({
            "policy": {
                "ttl_min": "2h", "ttl_max": "1h", "max_action_age": "2d",
                "never_block": {"users": [" "]}, "budget": {"targets_max": 2_000_000},
            },
            "batch_max": 0, "max_deliver": 0,
            "decisions": {"listen": "127.0.0.1:0", "client_header": "X Y"},
            "evidence": {
                "before": "2h", "after": "11m", "events_max": 0, "bytes_max": 1, "scan_max": 1,
                "store_bytes_max": 1, "store_age_max": "1s",
            },
        }))
        .unwrap();
        let keys: Vec<_> =
            config.problems().iter().map(|p| p.split(':').next().unwrap().to_owned()).collect();
        let want = [
            "policy.max_action_age",
            "policy.ttl_min",
            "policy.budget.targets_max",
            "policy.never_block.users",
            "batch_max",
            "max_deliver",
            "decisions.client_header",
            "decisions.listen",
            "evidence.before",
            "evidence.after",
            "evidence.store_age_max",
            "evidence.events_max",
            "evidence.bytes_max",
            "evidence.scan_max",
            "evidence.store_bytes_max",
        ];
        assert_eq!(keys, want);
    }

    #[test]
    fn wrong_keys_units_and_networks_are_refused() {
        for wrong in [
            json!({"modus": "dry-run"}),
            json!({"policy": {"mode": "sometimes"}}),
            json!({"policy": {"ttl_max": 900}}),
            json!({"policy": {"never_block": {"networks": ["10.0.0.0/33"]}}}),
        ] {
            assert!(serde_json::from_value::<Config>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
