//! A pattern on its way from a proposal to a rule that every patrol uses, or to its refusal.

use crate::{Id, Judgement, Tenant, Timestamp, Token, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! tokens {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $token:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$of])* $variant),* }

        impl $name {
            /// Every one.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// Its token.
            #[must_use]
            pub fn token(self) -> &'static str {
                match self { $(Self::$variant => $token),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.token())
            }
        }
    };
}

tokens! {
    /// How far a pattern has come.
    State {
        /// Waits to be tested.
        Proposed = "proposed",
        /// A gate has stopped it.
        Refused = "refused",
        /// Runs beside the patrol's own patterns, without effect; its hits are counted.
        Shadow = "shadow",
        /// Was long enough in shadow; waits for a promoter's signature, still without effect.
        Ready = "ready",
        /// Every patrol of its name uses it.
        Live = "live",
        /// An operator does not want it.
        Rejected = "rejected",
        /// Was live, and is not used any more.
        RolledBack = "rolled-back",
    }
}

tokens! {
    /// What stops a pattern.
    Gate {
        /// It is no rule that the patrol could load.
        Compile = "compile",
        /// It does not match what it was made for.
        OwnEvents = "own-events",
        /// It matches the incident's literal bytes and nothing else.
        Overfitted = "overfitted",
        /// It matches too many events that are known to be good.
        KnownGood = "known-good",
        /// It matches too many retained events that nothing else explains.
        Backtest = "backtest",
        /// It matched too many events while it was without effect.
        Shadow = "shadow",
        /// It matched too many events, or too many that operators found ordinary, while live.
        Watch = "watch",
    }
}

tokens! {
    /// Who thought of a pattern.
    Origin {
        /// An operator.
        Operator = "operator",
        /// The playbook.
        Playbook = "playbook",
        /// The language model: untrusted.
        Model = "model",
    }
}

impl State {
    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Refused | Self::Rejected | Self::RolledBack)
    }
}

/// One step of a pattern's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The state that it leads to.
    pub state: State,
    /// When.
    pub ts: Timestamp,
    /// Who took it: an operator's name, or the part of the mesh.
    pub by: String,
    /// Why, for a reader. May quote a few words of the pattern: untrusted text.
    #[serde(default)]
    pub why: String,
    /// The gate that stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
}

/// What the tests before the shadow have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Events of the incident that were retained.
    pub own_events: u64,
    /// Those of them that it matches.
    pub own_hits: u64,
    /// Events known to be good that were tried.
    pub good_events: u64,
    /// Those of them that it matches.
    pub good_hits: u64,
    /// Retained events that were tried.
    pub events: u64,
    /// Those of them that it matches.
    pub hits: u64,
    /// Those of the matches that nothing else explains, or that operators found ordinary.
    pub false_hits: u64,
    /// Some of the latter.
    #[serde(default)]
    pub samples: Vec<Id>,
}

/// What was counted of live traffic by all processes of the patrol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Events that were scored while it ran; of a chain, findings that name what it groups by.
    pub events: u64,
    /// Those of them that it matches; of a chain, its incidents.
    pub hits: u64,
    /// Those of the matches that the patrol would not have flagged without it, or that no other chain
    /// cites; of a live pattern each entity counts once.
    pub alone: u64,
    /// Some of the matches, the newest last.
    #[serde(default)]
    pub samples: Vec<Id>,
}

/// What an operator said of an incident that cites its hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The incident.
    pub incident: Id,
    /// Whether it was an attack.
    pub judgement: Judgement,
    /// Cited events that it matched.
    pub events: u64,
    /// When it was said.
    pub ts: Timestamp,
}

/// A promoter's signature (Ed25519, an NKey's).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seal {
    /// Public key.
    pub signer: String,
    /// Signature, base64.
    pub signature: String,
}

/// A pattern and everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pattern {
    /// Derived from patrol, rule and incident: proposing it twice is proposing it once.
    pub pattern: Id,
    /// The patrol that is to use it; `analyzer` for a chain.
    pub patrol: Token,
    /// Who thought of it.
    pub origin: Origin,
    /// The incident that it was made for, where there is one.
    #[serde(default)]
    pub incident: Option<Id>,
    /// The events that it must match, of the patrol's kind.
    #[serde(default)]
    pub events: Vec<Id>,
    /// Its title, as the reason of every hit gives it.
    #[serde(default)]
    pub title: String,
    /// The Sigma rule; of a chain its correlation and rules.
    pub rule: String,
    /// SHA-256 of the rule, hexadecimal.
    pub digest: String,
    /// What it went through, oldest first. Never empty.
    pub steps: Vec<Step>,
    /// What the tests have shown, once they were made.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// Counted in its present state.
    #[serde(default)]
    pub tally: Tally,
    /// What operators said.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
    /// The promoter's signature, once it is live.
    #[serde(default)]
    pub seal: Option<Seal>,
}

impl Pattern {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.steps.last().map_or(State::Proposed, |step| step.state)
    }
}

/// A pattern has taken a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatternChange {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from the pattern and the number of the step.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// Number of the step in [`Pattern::steps`], from 0.
    pub step: u32,
    /// The step.
    pub taken: Step,
    /// The pattern when the step was told.
    pub of: Pattern,
}
