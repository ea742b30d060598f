//! The envelope around everything that sensors publish.

use crate::{Id, Kind, Tenant, Timestamp, Trust, current_version, kinds::Body};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ops::Deref;

/// A body as its publisher sent it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Fields(pub Map<String, Value>);

impl Deref for Fields {
    type Target = Map<String, Value>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Fields {
    /// The typed view of this body; the error names the field that has the wrong type.
    pub fn view<B: Body>(&self) -> Result<B, WrongBody> {
        serde_path_to_error::deserialize(&self.0)
            .map_err(|source| WrongBody { kind: B::KIND, why: source.to_string() })
    }
}

/// A body that is not of its kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("body is no valid {kind}: {why}")]
pub struct WrongBody {
    /// The kind that was expected.
    pub kind: Kind,
    why: String,
}

/// Where an event comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Source {
    /// The sensor that published it: `postgres`, `sshd`, `access`, `ingest`, `replay`.
    pub sensor: String,
    /// The file, socket or publisher that the sensor read.
    pub name: String,
    /// How far the entities in the body can be trusted.
    pub trust: Trust,
}

impl Source {
    /// Most characters of a label.
    const LABEL_CHARS_MAX: usize = 128;

    /// Sensor and name in one, `sensor:name`, cut.
    #[must_use]
    pub fn label(&self) -> String {
        let whole = self.sensor.chars().chain([':']).chain(self.name.chars());
        whole.take(Self::LABEL_CHARS_MAX).collect()
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Schema version.
    #[serde(default = "current_version")]
    pub v: u16,
    /// Deterministic where the source allows it.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// Kind of the body.
    pub kind: Kind,
    /// When it was observed; when the source gave no time, when it was received.
    pub ts: Timestamp,
    /// When the sensor received it.
    pub received: Timestamp,
    /// The source gave no time of its own, so `ts` equals `received`.
    #[serde(default)]
    pub ts_missing: bool,
    /// Played back from a recording: may alert, never act.
    #[serde(default)]
    pub replayed: bool,
    /// Where it comes from.
    #[serde(default)]
    pub source: Source,
    /// Ids of the messages that led to this one.
    #[serde(default)]
    pub causes: Vec<Id>,
    /// W3C trace context (`traceparent`), where the publisher gave one; else it follows from `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What happened.
    pub body: Fields,
}
