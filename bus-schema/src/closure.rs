//! What an operator says of an incident that is dealt with.

use crate::{Id, Tenant, Timestamp, Token, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether what was found was an attack.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// It was.
    TruePositive,
    /// It was ordinary work.
    FalsePositive,
}

impl Judgement {
    /// Every judgement.
    pub const ALL: &'static [Judgement] = &[Judgement::TruePositive, Judgement::FalsePositive];

    /// Its token.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::TruePositive => "true-positive",
            Self::FalsePositive => "false-positive",
        }
    }

    /// The judgement of a token.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|judgement| judgement.token() == token)
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// How much a patrol had to do with an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// The patrol.
    pub patrol: Token,
    /// Its scored events that the incident cites.
    pub events: u64,
}

/// An operator closes an incident. The newest closure of an incident counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closure {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from the incident, the judgement and the time.
    pub id: Id,
    /// The incident.
    pub incident: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// Whether it was an attack.
    pub judgement: Judgement,
    /// Who says so: a name that the operator gives, not proven.
    #[serde(default)]
    pub by: String,
    /// Why, for a reader.
    #[serde(default)]
    pub note: String,
    /// The patrols whose findings it cites.
    #[serde(default)]
    pub patrols: Vec<Share>,
    /// When.
    pub ts: Timestamp,
}
