//! What the severity model said of an incident.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The severity model's rating.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rated {
    /// Probability that the incident is an attack, 0..=1.
    pub rating: f32,
    /// First 16 hexadecimal digits of the SHA-256 of the model.
    pub model: String,
    /// What was rated: the busiest ten minutes, in words.
    pub shape: String,
}
