//! What an operator has decided beforehand about some alerts, as far as a decision tells of it.

use crate::{Class, Id, Level, Tenant, Timestamp, Token, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a suppression does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The decision is to allow: no alert, no action. The assessment is kept.
    Mute,
    /// An alert as ever, and no action.
    NoAction,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mute => "mute",
            Self::NoAction => "no action",
        })
    }
}

/// A suppression that shaped a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suppressed {
    /// Its name in the configuration.
    pub id: Token,
    /// What it does.
    pub effect: Effect,
    /// When it ends: later events are not suppressed.
    pub until: Timestamp,
    /// Why the operator set it.
    pub reason: String,
    /// Who set it.
    pub by: String,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    /// It holds as the rule says.
    Set,
    /// It was taken out of the store.
    Removed,
    /// It cannot be used: what held before still holds.
    Refused,
}

/// A suppression, as it was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// What it does.
    pub effect: Effect,
    /// Only decisions of this chain; absent: of any.
    #[serde(default)]
    pub chain: Option<Token>,
    /// Class of the key.
    pub class: Class,
    /// The key, with wildcards.
    pub key: String,
    /// Highest level that is suppressed.
    pub level_max: Level,
    /// Decisions whose newest event is earlier are not suppressed.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Decisions whose newest event is later are not suppressed.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub by: String,
    /// Who ended it before its time.
    #[serde(default)]
    pub ended_by: Option<String>,
}

/// A suppression of a running mesh was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressionChange {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from the suppression's name and the revision.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// Name of the suppression.
    pub suppression: Token,
    /// Revision of the store: rises with every change.
    pub revision: u64,
    /// When the store took the change.
    pub ts: Timestamp,
    /// What became of it.
    pub changed: Changed,
    /// The suppression as it now is, where it can be read.
    #[serde(default)]
    pub rule: Option<Rule>,
    /// Why it was refused.
    #[serde(default)]
    pub why: Option<String>,
}
