//! What the analyzer decides and what the responder does; what the commander writes is named here
//! too.

use crate::{
    Class, Entity, Id, Kind, Level, Rated, Suppressed, Tenant, Timestamp, Token, current_version,
    is_false,
};
pub use crate::{
    analysis::{Analysis, Author, Claim, Grounding, Removed, Suggestion},
    effect::{Effect, Verb},
    response::Response,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an assessment stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// First seen.
    #[default]
    Opened,
    /// More evidence, or another level.
    Updated,
    /// Its window passed without more.
    Closed,
}

/// One cited scored event, small enough to travel with the assessment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The event.
    pub event: Id,
    /// The scored event.
    pub scored: Id,
    /// Time of the event.
    pub ts: Timestamp,
    /// Kind of the event.
    pub kind: Kind,
    /// Who scored.
    pub patrol: Token,
    /// Level of the scored event.
    pub level: Level,
    /// Its score, 0..=1.
    pub score: f32,
    /// Its category.
    pub category: Token,
    /// Its techniques.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// Its reasons.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Its entities.
    #[serde(default)]
    pub entities: Vec<Entity>,
    /// Bounded excerpt of the body. Untrusted text.
    #[serde(default)]
    pub excerpt: String,
}

/// A chain of scored events for one correlation key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from the incident and the revision.
    pub id: Id,
    /// Stays the same while the chain lives: the id of the incident and of its alert.
    pub incident: Id,
    /// 1 when opened, then rising.
    pub revision: u32,
    /// Tenant.
    pub tenant: Tenant,
    /// The chain.
    pub chain: Token,
    /// Class of the correlation key.
    pub class: Class,
    /// The correlation key.
    pub key: String,
    /// Opened, updated or closed.
    pub status: Status,
    /// Level.
    pub level: Level,
    /// How sure the analyzer is of the level, 0..=1.
    pub confidence: f32,
    /// The attack type, a token.
    pub attack_type: Token,
    /// What to do.
    pub response: Response,
    /// The commander is to investigate.
    pub escalate: bool,
    /// Any cited event was played back or back-filled: may alert, never act.
    #[serde(default)]
    pub replayed: bool,
    /// Any cited event was back-filled: its patrol was blind when it came.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backfilled: bool,
    /// Time of the first cited event.
    pub first: Timestamp,
    /// Time of the last cited event.
    pub last: Timestamp,
    /// Why, for a reader.
    #[serde(default)]
    pub reasoning: Vec<String>,
    /// ATT&CK techniques, in the chain's order.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// Who and what is affected.
    #[serde(default)]
    pub affected: Vec<Entity>,
    /// What an operator should do, in order.
    #[serde(default)]
    pub plan: Vec<String>,
    /// The cited events, oldest first, bounded by `analyzer.evidence_events_max`.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// How many events the chain holds in all.
    pub count: u64,
    /// Which events these are, also where they are too many to be cited: the sum of the ids of the
    /// scored events as 128-bit numbers, without its carry, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub members: String,
    /// ATT&CK tactics, in the chain's order: `initial-access`, `exfiltration`, ….
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tactics: Vec<String>,
    /// Suppressions of the operator's that shaped the decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Suppressed>,
    /// What the severity model said, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rated: Option<Rated>,
}

/// The view of an assessment that people and SOAR tools subscribe to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// The incident: stays while the alert lives.
    pub id: Id,
    /// The assessment that this revision shows.
    pub assessment: Id,
    /// Revision of the assessment.
    pub revision: u32,
    /// Tenant.
    pub tenant: Tenant,
    /// Opened, updated or closed.
    pub status: Status,
    /// Level.
    pub level: Level,
    /// Confidence, 0..=1.
    pub confidence: f32,
    /// The attack type.
    pub attack_type: Token,
    /// One line for a reader.
    pub title: String,
    /// What to do.
    pub response: Response,
    /// The commander is investigating.
    pub escalate: bool,
    /// Built from events of which any was played back or back-filled.
    #[serde(default)]
    pub replayed: bool,
    /// Built from events of which any was back-filled: its patrol was blind when it came.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backfilled: bool,
    /// Class of the correlation key.
    pub class: Class,
    /// The correlation key.
    pub key: String,
    /// Time of the first event.
    pub first: Timestamp,
    /// Time of the last event.
    pub last: Timestamp,
    /// Number of events.
    pub count: u64,
    /// ATT&CK techniques.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// Who and what is affected.
    #[serde(default)]
    pub affected: Vec<Entity>,
    /// The cited events.
    #[serde(default)]
    pub events: Vec<Id>,
    /// Suppressions of the operator's that shaped the decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<Suppressed>,
    /// Time of the decision: latency is measured from the last event's receipt to here.
    pub decided: Timestamp,
}

/// How far an action may go by itself.
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
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Say what would be done.
    #[default]
    DryRun,
    /// Wait for approval.
    Ask,
    /// Do it.
    Enforce,
}

/// A lease on a change of the world: typed, bounded in time, reversible.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from incident and effect: also the idempotency key.
    pub id: Id,
    /// The incident.
    pub incident: Id,
    /// The assessment that asks for it.
    pub assessment: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// What is changed.
    pub effect: Effect,
    /// The typed entity that is the target, as the evidence names it.
    pub target: Entity,
    /// How far it may go.
    pub mode: Mode,
    /// How long it holds, in seconds.
    pub ttl_s: u64,
    /// How it is undone, for a reader.
    pub inverse: String,
    /// Why, for a reader.
    pub reason: String,
    /// The cited events.
    #[serde(default)]
    pub events: Vec<Id>,
    /// Time of the newest cited event: actions on the past are refused.
    pub evidence_ts: Timestamp,
    /// Built from played-back events: never acted on.
    #[serde(default)]
    pub replayed: bool,
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// Dry run: `detail` says what would have been done.
    WouldApply,
    /// Refused: `detail` says why.
    Refused,
    /// Waits for approval.
    Pending,
    /// Done.
    Applied,
    /// Undone.
    Reverted,
    /// Holds longer than before.
    Renewed,
    /// Tried, and not done yet: `detail` says why. It is tried again for as long as it is to hold.
    Failed,
}

/// Where the evidence of an outcome is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preserved {
    /// Name of the object in the tenant's evidence store.
    pub object: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What really happened to an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Derived from the action and the status.
    pub id: Id,
    /// The action.
    pub action: Id,
    /// The incident.
    pub incident: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// The effect.
    pub effect: Effect,
    /// What became of it.
    pub status: OutcomeStatus,
    /// The exact effect, or the reason of a refusal, for a reader.
    pub detail: String,
    /// The exact inverse, for a reader.
    pub inverse: String,
    /// When.
    pub ts: Timestamp,
    /// When it ends by itself, where it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What an approval must name, where it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The operator's order that it answers, where it answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Id>,
    /// The evidence, where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Preserved>,
}
