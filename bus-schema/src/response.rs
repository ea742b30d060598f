//! What is to be done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What to do about an assessment.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Nothing.
    #[default]
    Allow,
    /// Tell people.
    Alert,
    /// Tell people and act.
    Block,
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Alert => "alert",
            Self::Block => "block",
        })
    }
}
