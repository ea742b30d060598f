//! What to do about an assessment: a table over level and confidence.
//!
//! | level | confidence | response | escalate |
//! | --- | --- | --- | --- |
//! | critical | above `block_critical` | block | yes |
//! | critical | else | alert | yes |
//! | high | above `block_high` | block | yes |
//! | high | else | alert | yes |
//! | medium | any | alert | no |
//! | low, none | any | allow | no |

use magsentinel_bus_schema::{Level, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The thresholds of the table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// A critical assessment is blocked when its confidence is above this; 0..=1, default 0.9.
    /// 1 never blocks.
    pub block_critical: f32,
    /// A high assessment is blocked when its confidence is above this; 0..=1, default 0.85.
    /// 1 never blocks.
    pub block_high: f32,
}

impl Default for Table {
    fn default() -> Self {
        Self { block_critical: 0.9, block_high: 0.85 }
    }
}

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub response: Response,
    /// The commander is to investigate: every critical, every block, every high below its
    /// threshold.
    pub escalate: bool,
}

impl Table {
    /// The confidence above which a level is blocked, for those levels that can be.
    #[must_use]
    pub fn threshold(&self, level: Level) -> Option<f32> {
        match level {
            Level::Critical => Some(self.block_critical),
            Level::High => Some(self.block_high),
            Level::Medium | Level::Low | Level::None => None,
        }
    }

    /// Decides. A confidence that is not a number never blocks.
    #[must_use]
    pub fn decide(&self, level: Level, confidence: f32) -> Verdict {
        let block = self.threshold(level).is_some_and(|above| confidence > above);
        let response = match level {
            _ if block => Response::Block,
            Level::Critical | Level::High | Level::Medium => Response::Alert,
            Level::Low | Level::None => Response::Allow,
        };
        Verdict { response, escalate: block || matches!(level, Level::Critical | Level::High) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{Critical, High, Low, Medium, None};
    use Response::{Alert, Allow, Block};

    #[test]
    fn the_table_holds_at_and_around_its_thresholds() {
        for (level, confidence, response, escalate) in [
            (Critical, 0.901, Block, true),
            (Critical, 0.9, Alert, true),
            (Critical, 0.0, Alert, true),
            (Critical, f32::NAN, Alert, true),
            (High, 0.851, Block, true),
            (High, 0.85, Alert, true),
            (High, 0.1, Alert, true),
            (Medium, 1.0, Alert, false),
            (Medium, 0.0, Alert, false),
            (Low, 1.0, Allow, false),
            (None, 1.0, Allow, false),
        ] {
            let verdict = Table::default().decide(level, confidence);
            assert_eq!(verdict, Verdict { response, escalate }, "{level} {confidence}");
        }
        let careful = Table { block_critical: 1.0, block_high: 1.0 };
        assert_eq!(careful.decide(Critical, 1.0).response, Alert);
    }
}
