//! What a kept message says, as its type.

use magsentinel_bus_schema::{
    Action, Alert, Analysis, Assessment, Closure, CodecError, DeadLetter, Fields, Gap, Id, Limits,
    Message, Order, Outcome, Subject, SuppressionChange, Tenant, codec,
};
use serde::{Deserialize, Serialize};

/// The stages whose messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// Assessments.
    Assessment,
    /// Alerts.
    Alert,
    /// Analyses.
    Analysis,
    /// Actions.
    Action,
    /// Outcomes.
    Outcome,
    /// What operators say of incidents.
    Closure,
    /// What operators order about leases.
    Order,
    /// Patterns.
    Pattern,
    /// Gaps.
    Gap,
    /// Changes of suppressions.
    Suppression,
    /// Dead letters.
    DeadLetter,
}

impl Kept {
    /// Every stage that is kept.
    pub const ALL: &'static [Kept] = &[
        Kept::Assessment,
        Kept::Alert,
        Kept::Analysis,
        Kept::Action,
        Kept::Outcome,
        Kept::Closure,
        Kept::Order,
        Kept::Pattern,
        Kept::Gap,
        Kept::Suppression,
        Kept::DeadLetter,
    ];

    /// Its token in subjects and in the file.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Assessment => "assessment",
            Self::Alert => "alert",
            Self::Analysis => "analysis",
            Self::Action => "action",
            Self::Outcome => "outcome",
            Self::Closure => "closure",
            Self::Order => "order",
            Self::Pattern => "pattern",
            Self::Gap => "gap",
            Self::Suppression => "suppression",
            Self::DeadLetter => "deadletter",
        }
    }

    /// The stage of a token, if it is kept.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kept| kept.token() == token)
    }

    /// The stage of a subject, if it is kept.
    #[must_use]
    pub fn of(subject: &Subject) -> Option<Self> {
        Some(match subject {
            Subject::Assessment(_) => Self::Assessment,
            Subject::Alert(..) => Self::Alert,
            Subject::Analysis(_) => Self::Analysis,
            Subject::Action(_) => Self::Action,
            Subject::Outcome(_) => Self::Outcome,
            Subject::Closure(_) => Self::Closure,
            Subject::Order(_) => Self::Order,
            Subject::Pattern(..) => Self::Pattern,
            Subject::Gap(_) => Self::Gap,
            Subject::Suppression(_) => Self::Suppression,
            Subject::DeadLetter(_) => Self::DeadLetter,
            _ => return None,
        })
    }
}

/// A message that is kept as it is, without a look at its fields but for the version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub Fields);

impl Message for Opaque {
    fn version(&self) -> u16 {
        let version = self.0.get("v").and_then(serde_json::Value::as_u64).unwrap_or(1);
        u16::try_from(version).unwrap_or(u16::MAX)
    }
}

/// A kept message.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// An assessment.
    Assessment(Box<Assessment>),
    /// An alert.
    Alert(Box<Alert>),
    /// An analysis.
    Analysis(Box<Analysis>),
    /// An action.
    Action(Box<Action>),
    /// An outcome.
    Outcome(Box<Outcome>),
    /// What an operator says of an incident.
    Closure(Box<Closure>),
    /// What an operator orders about leases.
    Order(Box<Order>),
    /// A pattern, which is kept as it is.
    Pattern(Box<Opaque>),
    /// A gap.
    Gap(Box<Gap>),
    /// A change of a suppression.
    Suppression(Box<SuppressionChange>),
    /// A dead letter.
    DeadLetter(Box<DeadLetter>),
}

impl Content {
    /// Reads a message of a stage.
    ///
    /// # Errors
    /// What the codec says about bytes that are no such message.
    pub fn read(
        kept: Kept,
        payload: &[u8],
        content_type: Option<&str>,
        limits: Limits,
    ) -> Result<Self, CodecError> {
        fn boxed<T: Message>(
            payload: &[u8],
            content_type: Option<&str>,
            limits: Limits,
        ) -> Result<Box<T>, CodecError> {
            codec::decode(payload, content_type, limits).map(Box::new)
        }
        Ok(match kept {
            Kept::Assessment => Self::Assessment(boxed(payload, content_type, limits)?),
            Kept::Alert => Self::Alert(boxed(payload, content_type, limits)?),
            Kept::Analysis => Self::Analysis(boxed(payload, content_type, limits)?),
            Kept::Action => Self::Action(boxed(payload, content_type, limits)?),
            Kept::Outcome => Self::Outcome(boxed(payload, content_type, limits)?),
            Kept::Closure => Self::Closure(boxed(payload, content_type, limits)?),
            Kept::Order => Self::Order(boxed(payload, content_type, limits)?),
            Kept::Pattern => Self::Pattern(boxed(payload, content_type, limits)?),
            Kept::Gap => Self::Gap(boxed(payload, content_type, limits)?),
            Kept::Suppression => Self::Suppression(boxed(payload, content_type, limits)?),
            Kept::DeadLetter => Self::DeadLetter(boxed(payload, content_type, limits)?),
        })
    }

    /// The incident that it belongs to, if it belongs to one.
    #[must_use]
    pub fn incident(&self) -> Option<Id> {
        match self {
            Self::Assessment(m) => Some(m.incident),
            Self::Alert(m) => Some(m.id),
            Self::Analysis(m) => Some(m.incident),
            Self::Action(m) => Some(m.incident),
            Self::Outcome(m) => Some(m.incident),
            Self::Closure(m) => Some(m.incident),
            Self::Order(_)
            | Self::Pattern(_)
            | Self::Gap(_)
            | Self::Suppression(_)
            | Self::DeadLetter(_) => None,
        }
    }

    /// The tenant that it names, if it names one.
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::Assessment(m) => Some(&m.tenant),
            Self::Alert(m) => Some(&m.tenant),
            Self::Analysis(m) => Some(&m.tenant),
            Self::Action(m) => Some(&m.tenant),
            Self::Outcome(m) => Some(&m.tenant),
            Self::Closure(m) => Some(&m.tenant),
            Self::Order(m) => Some(&m.tenant),
            Self::Gap(m) => Some(&m.tenant),
            Self::Suppression(m) => Some(&m.tenant),
            Self::DeadLetter(m) => Some(&m.tenant),
            Self::Pattern(_) => None,
        }
    }

    /// What tells it from every other message of its stage, where the publisher sent no message
    /// id; `None` when it has no id of its own.
    #[must_use]
    pub fn own_id(&self) -> Option<String> {
        Some(match self {
            Self::Assessment(m) => m.id.to_string(),
            // An alert keeps its id while it lives.
            Self::Alert(m) => format!("{}/{}", m.id, m.revision),
            Self::Analysis(m) => m.id.to_string(),
            Self::Action(m) => m.id.to_string(),
            Self::Outcome(m) => m.id.to_string(),
            Self::Closure(m) => m.id.to_string(),
            Self::Order(m) => m.id.to_string(),
            Self::Suppression(m) => m.id.to_string(),
            // So does a gap.
            Self::Gap(m) => format!("{}/{}", m.id, m.state),
            Self::DeadLetter(m) => m.id.to_string(),
            Self::Pattern(_) => return None,
        })
    }
}
