//! A scored event read where it lies: nothing of it is copied, and it goes on byte by byte.

use super::Level;
use crate::{
    Class, Id, Kind, Limits, SCHEMA_VERSION, Tenant, Timestamp, Token, Trust,
    codec::{self, CodecError},
    current_version,
};
use serde::{Deserialize, Serialize};

/// How much less deep than any message one may be that goes on as it is: others are put around it,
/// and must not be too deep by it.
const DEPTH_SPARED: usize = 8;

/// [`Scored`](super::Scored) in MessagePack, read where it lies. It has the same fields and refuses
/// the same bytes (a test holds the two together), so that who reads the event from the bytes later
/// will find it.
#[derive(Clone, Debug, Deserialize)]
pub struct ScoredView<'a> {
    #[serde(default = "current_version")]
    v: u16,
    /// Its id.
    pub id: Id,
    /// Tenant.
    pub tenant: Tenant,
    /// Who scored.
    pub patrol: Token,
    /// Level.
    pub level: Level,
    /// Who and what.
    #[serde(default, borrow)]
    pub entities: Vec<EntityView<'a>>,
    /// W3C trace context.
    #[serde(default)]
    pub trace: Option<&'a str>,
    #[serde(skip)]
    payload: &'a [u8],
    /// Read so that they are checked.
    #[serde(rename = "event")]
    _event: Id,
    #[serde(default, rename = "seq")]
    _seq: u64,
    #[serde(rename = "kind")]
    _kind: Kind,
    #[serde(rename = "ts")]
    _ts: Timestamp,
    #[serde(default, rename = "replayed")]
    _replayed: bool,
    #[serde(default, rename = "backfilled")]
    _backfilled: bool,
    #[serde(default, rename = "by_key")]
    _by_key: Option<Class>,
    #[serde(default, rename = "source")]
    _source: Option<&'a str>,
    #[serde(rename = "score")]
    _score: f32,
    #[serde(rename = "confidence")]
    _confidence: f32,
    #[serde(rename = "category")]
    _category: Token,
    #[serde(default, borrow, rename = "techniques")]
    _techniques: Vec<&'a str>,
    #[serde(default, borrow, rename = "reasons")]
    _reasons: Vec<&'a str>,
    #[serde(default, rename = "excerpt")]
    _excerpt: &'a str,
    #[serde(default, rename = "model")]
    _model: &'a str,
    #[serde(default, rename = "patterns")]
    _patterns: &'a str,
}

/// An [`Entity`](crate::Entity), read where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct EntityView<'a> {
    /// What it is.
    pub class: Class,
    /// Its name.
    pub value: &'a str,
    /// How far the name can be trusted.
    #[serde(default)]
    pub trust: Trust,
}

/// What stands around a scored event in [`Keyed`](super::Keyed).
#[derive(Serialize)]
struct Around<'a> {
    v: u16,
    class: Class,
    key: &'a str,
    seq: u64,
    scored: (),
}

impl<'a> ScoredView<'a> {
    /// Reads a message in MessagePack; nothing where it is something else, or cannot be read: then
    /// it is [`Scored`](super::Scored) that says what is wrong.
    #[must_use]
    pub fn read(bytes: &'a [u8], content_type: Option<&str>, limits: Limits) -> Option<Self> {
        if codec::check_size(bytes, limits).is_err() || codec::is_json(bytes, content_type) {
            return None;
        }
        let read: Self = codec::from_messagepack_within(bytes, DEPTH_SPARED).ok()?;
        (read.v <= SCHEMA_VERSION).then_some(Self { payload: bytes, ..read })
    }

    /// The entity of a class, if the event names one.
    #[must_use]
    pub fn entity(&self, class: Class) -> Option<&EntityView<'a>> {
        self.entities.iter().find(|e| e.class == class)
    }

    /// Writes [`Keyed`](super::Keyed) behind what `into` holds, with the bytes of the event as
    /// they are.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_keyed(
        &self,
        (class, key): (Class, &str),
        seq: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        // Its last field is written as one byte, nil, in whose place the event comes.
        let around = Around { v: SCHEMA_VERSION, class, key, seq, scored: () };
        into.reserve(self.payload.len() + key.len() + 64);
        codec::encode_behind(&around, into)?;
        into.pop();
        into.extend_from_slice(self.payload);
        Ok(())
    }
}
