//! Bytes to messages and back.
//!
//! Written as MessagePack maps; read as MessagePack or JSON, by content type, or by the first
//! byte: a MessagePack map never begins with `{` or `[`, nor with white space that precedes one.

use crate::{
    Action, Alert, Analysis, Analyze, Analyzed, Assessment, Closure, DeadLetter, Event, Fact, Gap,
    Keyed, Lease, Order, Outcome, Receipt, SCHEMA_VERSION, Scored, SuppressionChange,
};
use rmp_serde::decode::ReadReader;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::Cursor;

/// What travels on a subject. Every message says which schema version it was written with.
pub trait Message: Serialize + DeserializeOwned {
    /// The version it was written with.
    fn version(&self) -> u16;
}

macro_rules! messages {
    ($($name:ident),* $(,)?) => {
        $(impl Message for $name {
            fn version(&self) -> u16 {
                self.v
            }
        })*
    };
}

messages! {
    Event, Fact, Scored, Receipt, Keyed, Assessment, Alert, Analysis, Action, Outcome, Closure, Order, Gap, Lease, Analyze,
    Analyzed,
    DeadLetter, SuppressionChange,
}

/// Content type of JSON.
pub const JSON: &str = "application/json";
/// Content type of MessagePack.
pub const MESSAGEPACK: &str = "application/msgpack";

/// Bounds of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in bytes.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// 1 MiB, the default `max_payload` of nats-server.
    fn default() -> Self {
        Self { bytes_max: 1024 * 1024 }
    }
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Nothing there.
    #[error("message is empty")]
    Empty,
    /// Over the limit.
    #[error("message of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not of this type, truncated, or not UTF-8 where text is due.
    #[error("message cannot be read as {format}: {why}")]
    Malformed {
        /// `JSON` or `MessagePack`.
        format: &'static str,
        /// What the parser said.
        why: String,
    },
    /// A whole message, and then more.
    #[error("{0} bytes follow the message")]
    TrailingBytes(usize),
    /// From a newer mesh.
    #[error("schema version {found} is newer than {SCHEMA_VERSION}: upgrade this reader first")]
    Version {
        /// The version found.
        found: u64,
    },
    /// The message cannot be written.
    #[error("message cannot be written: {0}")]
    Write(String),
}

/// Writes a message as a MessagePack map.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    rmp_serde::to_vec_named(message).map_err(|e| CodecError::Write(e.to_string()))
}

/// Writes a message as JSON.
pub fn encode_json<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    serde_json::to_vec(message).map_err(|e| CodecError::Write(e.to_string()))
}

/// Reads a message. `content_type` is the message's header, if it has one.
pub fn decode<T: Message>(
    bytes: &[u8],
    content_type: Option<&str>,
    limits: Limits,
) -> Result<T, CodecError> {
    check_size(bytes, limits)?;
    let read = if is_json(bytes, content_type) {
        from_json::<T>(bytes)
    } else {
        from_messagepack::<T>(bytes)
    };
    // A newer message may read as a broken one: then its version is the better explanation.
    let version = match &read {
        Ok(message) => u64::from(message.version()),
        Err(_) => peek_version(bytes, content_type),
    };
    if version > u64::from(SCHEMA_VERSION) {
        return Err(CodecError::Version { found: version });
    }
    read
}

fn peek_version(bytes: &[u8], content_type: Option<&str>) -> u64 {
    /// Just the version.
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default)]
        v: u64,
    }
    let peeked = if is_json(bytes, content_type) {
        serde_json::from_slice::<Versioned>(bytes).ok()
    } else {
        Versioned::deserialize(&mut messagepack(bytes)).ok()
    };
    peeked.map_or(0, |m| m.v)
}

pub(crate) fn check_size(bytes: &[u8], limits: Limits) -> Result<(), CodecError> {
    match bytes.len() {
        0 => Err(CodecError::Empty),
        n if n > limits.bytes_max => {
            Err(CodecError::TooLarge { bytes: n, bytes_max: limits.bytes_max })
        }
        _ => Ok(()),
    }
}

/// Whether bytes are JSON, by header, else by their first byte.
#[must_use]
pub fn is_json(bytes: &[u8], content_type: Option<&str>) -> bool {
    match content_type.map(|c| c.split(';').next().unwrap_or(c).trim()) {
        Some(c) if c.eq_ignore_ascii_case(JSON) || c.ends_with("+json") => true,
        Some("application/x-ndjson" | "application/jsonl") => true,
        Some(c) if c.to_ascii_lowercase().contains("msgpack") => false,
        _ => matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')),
    }
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    let message = reader.next().unwrap_or_else(|| T::deserialize(serde_json::Value::Null));
    let message = message.map_err(|e| malformed("JSON", &e))?;
    let rest = bytes.get(reader.byte_offset()..).unwrap_or_default().trim_ascii();
    if rest.is_empty() { Ok(message) } else { Err(CodecError::TrailingBytes(rest.len())) }
}

pub(crate) fn from_messagepack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    // `rmp_serde::from_slice` accepts trailing bytes; a cursor's position shows them.
    let mut reader = messagepack(bytes);
    let message = T::deserialize(&mut reader).map_err(|e| malformed("MessagePack", &e))?;
    let read = usize::try_from(reader.position()).unwrap_or(usize::MAX);
    match bytes.len().saturating_sub(read) {
        0 => Ok(message),
        rest => Err(CodecError::TrailingBytes(rest)),
    }
}

/// Deepest nesting of a message: what `serde_json` allows, so that either form of a body is
/// refused alike, and no stack runs out.
const DEPTH_MAX: usize = 128;

fn messagepack(bytes: &[u8]) -> rmp_serde::Deserializer<ReadReader<Cursor<&[u8]>>> {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(bytes));
    reader.set_max_depth(DEPTH_MAX);
    reader
}

fn malformed(format: &'static str, e: &dyn std::error::Error) -> CodecError {
    CodecError::Malformed { format, why: e.to_string().chars().take(256).collect() }
}
