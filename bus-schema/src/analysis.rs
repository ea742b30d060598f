//! What the commander writes.

use crate::{Effect, Entity, Id, Level, Mode, Tenant, Token, current_version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A statement and what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// The statement.
    pub text: String,
    /// Ids of the events it rests on.
    #[serde(default)]
    pub cites: Vec<Id>,
}

/// An action that an analysis suggests. It is a text for people, as far as the mesh is concerned:
/// no service reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Suggestion {
    /// What would be changed.
    pub effect: Effect,
    /// The typed entity that is the target: one that a sensor observed or verified.
    pub target: Entity,
    /// How far it may go: always `ask`.
    pub mode: Mode,
    /// Why, for a reader.
    pub reason: String,
    /// Ids of the events it rests on: each names the target.
    #[serde(default)]
    pub cites: Vec<Id>,
}

/// Who wrote an analysis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// The deterministic playbook.
    #[default]
    Playbook,
    /// The language model, grounded.
    Model,
}

/// The forensic analysis of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analysis {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from the assessment and the author.
    pub id: Id,
    /// The incident.
    pub incident: Id,
    /// The assessment that was analysed.
    pub assessment: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// The attack type.
    pub attack_type: Token,
    /// Who wrote it.
    pub author: Author,
    /// Name of the model, if one was asked.
    #[serde(default)]
    pub model: Option<String>,
    /// Why the playbook wrote although a model was configured.
    #[serde(default)]
    pub fallback_reason: Option<String>,
    /// Level: never below the assessment's.
    pub level: Level,
    /// How the attack was carried in.
    pub attack_vector: Claim,
    /// The steps, in order.
    #[serde(default)]
    pub chain: Vec<Claim>,
    /// What was reached.
    #[serde(default)]
    pub blast_radius: Vec<Claim>,
    /// Who it may have been.
    pub attribution: Claim,
    /// Confidence of the attribution, 0..=1.
    pub attribution_confidence: f32,
    /// What to do now.
    #[serde(default)]
    pub remediation: Vec<Claim>,
    /// What to change so that it does not happen again.
    #[serde(default)]
    pub prevention: Vec<Claim>,
    /// For those who decide.
    pub executive: String,
    /// Ids of the events that the text for those who decide rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executive_cites: Vec<Id>,
    /// For those who repair.
    pub technical: String,
    /// Ids of the events that the text for those who repair rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub technical_cites: Vec<Id>,
    /// What could be done about whom, as types. Nobody acts on it: each waits for an operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggested: Vec<Suggestion>,
    /// Evidence that did not fit and was left out, in events.
    #[serde(default)]
    pub omitted: u64,
    /// What else did not fit and was left out, for a reader.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How the model's draft stood up to the evidence, where its author is the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounding: Option<Grounding>,
}

/// How a model's draft stood up to the evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grounding {
    /// Share of the draft's statements that the evidence bears out, 0..=1.
    pub score: f32,
    /// Statements of the draft.
    pub statements: u32,
    /// Those that were removed.
    #[serde(default)]
    pub removed: Vec<Removed>,
}

/// A statement that was removed from a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// The part of the analysis that it stood in.
    pub part: String,
    /// Why it was removed. May quote a few of its words: untrusted text.
    pub reason: String,
}
