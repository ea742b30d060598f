//! What is asked of a service, and its answer: request and reply, nothing stored.

use crate::{Assessment, Scored, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks what the analyzer would make of scored events, in this order, if nothing else were known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analyze {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// The scored events.
    pub scored: Vec<Scored>,
}

/// The answer to [`Analyze`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analyzed {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// The newest assessment of each incident, oldest incident first.
    pub assessments: Vec<Assessment>,
}
