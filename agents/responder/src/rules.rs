//! The rules of the policy: what may be done, to whom, how much of it, and what wants a person's
//! word first. Part of the configuration, or a file of its own that is read again when it changes.

mod file;

pub use file::{Error, Watch, read};

use crate::Network;
use magsentinel_bus_schema::{Mode, Verb};
use magsentinel_runtime::settings::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What actions may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// How far actions may go: `dry-run` says what would be done, `ask` waits for an approval of
    /// each, `enforce` acts. Caps the mode that an action asks for. Default `dry-run`.
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
    /// How much may be done by itself.
    pub budget: Budget,
    /// What waits for a person's approval, although the mode is `enforce`.
    pub approval: Approval,
    /// How large a network may be.
    pub prefix: Prefix,
}

/// How much may be done without a person: what goes beyond waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// New targets within any minute, 0 to 10000000: one that ends and is asked for anew within it
    /// counts once. Default 60.
    pub targets_per_minute: u64,
    /// Targets acted on at the same time, 0 to 1000000. Default 10000.
    pub targets_max: u64,
    /// Incidents within any minute whose evidence is kept because it was asked for, 0 to 10000000.
    /// More are refused, so that whoever causes many cannot fill the store. Default 60.
    pub evidence_per_minute: u64,
    /// Notifications within any minute, 0 to 10000000. More are refused: who is told everything
    /// reads nothing. Default 60.
    pub notifications_per_minute: u64,
}

/// What waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Approval {
    /// Kinds of actions that always wait. Default `block_prefix`, `quarantine_namespace`,
    /// `suspend_user` and `revoke_user`: each hits more than one client, or a person.
    pub verbs: Vec<Verb>,
    /// How long an action waits before it is given up, as a duration, 1m to 7d. Default `1h`.
    pub expires_after: Span,
    /// Most actions that wait at once, 1 to 100000; more are refused. Default 1000.
    pub waiting_max: usize,
}

/// How large a network may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prefix {
    /// Shortest prefix of an IPv4 network, 8 to 32. Default 24: at most 256 addresses.
    pub v4_bits_min: u8,
    /// Shortest prefix of an IPv6 network, 16 to 64. Default 56: at most 256 subscribers.
    pub v6_bits_min: u8,
    /// Most networks blocked at the same time, 0 to 10000. Default 1000.
    pub networks_max: usize,
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
    /// Kubernetes namespaces whose pods are never cut off, at most 10000. Default `kube-system`.
    pub namespaces: Vec<String>,
    /// Also what the responder sees around it: the host's own addresses, its gateways and DNS
    /// servers, the NATS servers, the Kubernetes API, and the far ends of connections to
    /// `operator_ports`. Default true.
    pub surroundings: bool,
    /// Ports of this host by which operators work on it. Whoever is connected to one of them is
    /// not blocked. At most 100. Default 22.
    pub operator_ports: Vec<u16>,
}

/// Most entries of each list in [`NeverBlock`].
pub const NEVER_BLOCK_ENTRIES_MAX: usize = 10_000;

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::DryRun,
            max_action_age: Span::s(600),
            clock_skew_max: Span::s(60),
            ttl_min: Span::s(1),
            ttl_max: Span::s(86_400),
            never_block: NeverBlock::default(),
            budget: Budget::default(),
            approval: Approval::default(),
            prefix: Prefix::default(),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            targets_per_minute: 60,
            targets_max: 10_000,
            evidence_per_minute: 60,
            notifications_per_minute: 60,
        }
    }
}

impl Default for Approval {
    fn default() -> Self {
        let verbs =
            vec![Verb::BlockPrefix, Verb::SuspendUser, Verb::RevokeUser, Verb::QuarantineNamespace];
        Self { verbs, expires_after: Span::s(3600), waiting_max: 1000 }
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self { v4_bits_min: 24, v6_bits_min: 56, networks_max: 1000 }
    }
}

impl Default for NeverBlock {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            users: vec!["postgres".to_owned(), "root".to_owned()],
            sessions: Vec::new(),
            namespaces: vec!["kube-system".to_owned()],
            surroundings: true,
            operator_ports: vec![22],
        }
    }
}

impl Policy {
    /// Tells this policy from every other: an approval given under one is none under another.
    #[must_use]
    pub fn version(&self) -> String {
        // Fields are written in the order of the type, so equal policies have equal text.
        let told = |e: serde_json::Error| format!("{e}: {self:?}").into_bytes();
        let text = serde_json::to_vec(self).unwrap_or_else(told);
        let digest = Sha256::digest(&text);
        digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
    }

    /// Everything that is wrong with it, each with its key first.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
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
        let waits = self.approval.expires_after;
        span("approval.expires_after", waits, Span::s(60), Span::s(7 * 86_400));
        let mut number = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("{key}: must be {least} to {most}, not {value}"));
            }
        };
        let budget = &self.budget;
        number("budget.targets_per_minute", budget.targets_per_minute, 0, 10_000_000);
        number("budget.evidence_per_minute", budget.evidence_per_minute, 0, 10_000_000);
        number("budget.notifications_per_minute", budget.notifications_per_minute, 0, 10_000_000);
        number("budget.targets_max", budget.targets_max, 0, 1_000_000);
        number("approval.waiting_max", self.approval.waiting_max as u64, 1, 100_000);
        number("prefix.v4_bits_min", self.prefix.v4_bits_min.into(), 8, 32);
        number("prefix.v6_bits_min", self.prefix.v6_bits_min.into(), 16, 64);
        number("prefix.networks_max", self.prefix.networks_max as u64, 0, 10_000);
        problems.extend(self.never_block.problems());
        problems
    }
}

impl NeverBlock {
    fn problems(&self) -> Vec<String> {
        let blank = |list: &[String]| list.iter().any(|entry| entry.trim().is_empty());
        let lists = [
            ("networks", self.networks.len(), false),
            ("users", self.users.len(), blank(&self.users)),
            ("sessions", self.sessions.len(), blank(&self.sessions)),
            ("namespaces", self.namespaces.len(), blank(&self.namespaces)),
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
        if self.operator_ports.len() > 100 {
            let len = self.operator_ports.len();
            problems.push(format!("never_block.operator_ports: at most 100 entries, not {len}"));
        }
        problems
    }
}
