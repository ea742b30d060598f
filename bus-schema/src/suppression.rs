//! What an operator has decided beforehand about some alerts, as far as a decision tells of it.

use crate::{Timestamp, Token};
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
