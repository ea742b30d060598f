//! Bytes to messages and back.
//!
//! Written as MessagePack maps; read as MessagePack or JSON, by content type, or by the first
//! byte: a MessagePack map never begins with `{` or `[`, nor with white space that precedes one.

use crate::{
    Action, Alert, Analysis, Analyze, Analyzed, Assessment, Closure, DeadLetter, Event, Fact, Gap,
    Keyed, Lease, Order, Outcome, PatternChange, Receipt, SCHEMA_VERSION, Scored,
    SuppressionChange,
};
use rmp_serde::decode::{self, ReadRefReader};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
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
    Event, Fact, Scored, Receipt, Keyed, Assessment, Alert, Analysis, Action, Outcome, Closure,
    Order, Gap, Lease, Analyze, Analyzed, DeadLetter, SuppressionChange, PatternChange,
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

/// The same behind what is there.
pub(crate) fn encode_behind<T: Serialize>(
    message: &T,
    into: &mut Vec<u8>,
) -> Result<(), CodecError> {
    rmp_serde::encode::write_named(into, message).map_err(|e| CodecError::Write(e.to_string()))
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
    let json = is_json(bytes, content_type);
    let read: Result<T, _> = if json { from_json(bytes) } else { from_messagepack(bytes) };
    // A newer message may read as a broken one: then its version is the better explanation.
    let version = match &read {
        Ok(message) => u64::from(message.version()),
        Err(_) => peek::<Versioned>(bytes, json).map_or(0, |one| one.v),
    };
    known_version(version).and(read)
}

/// Reads what was [`Joined`]: one message, or an array of them.
pub fn decode_each<T: Message>(
    bytes: &[u8],
    content_type: Option<&str>,
    limits: Limits,
) -> Result<Vec<T>, CodecError> {
    let json = is_json(bytes, content_type);
    let several = match bytes.trim_ascii_start().first() {
        Some(b'[') => json,
        Some(0x90..=0x9f | 0xdc | 0xdd) => !json,
        _ => false,
    };
    if !several {
        return decode(bytes, content_type, limits).map(|one| vec![one]);
    }
    check_size(bytes, limits)?;
    let read: Result<Vec<T>, _> = if json { from_json(bytes) } else { from_messagepack(bytes) };
    let newest = match &read {
        Ok(messages) => messages.iter().map(|m| u64::from(m.version())).max().unwrap_or(0),
        Err(_) => peek::<Vec<Versioned>>(bytes, json)
            .map_or(0, |all| all.iter().map(|one| one.v).max().unwrap_or(0)),
    };
    known_version(newest).and(read)
}

/// Encoded messages ([`encode`]) joined to one MessagePack array, one after the other; a lone one
/// stays as it is.
#[derive(Debug)]
pub struct Joined {
    bytes: Vec<u8>,
    count: u32,
}

impl Default for Joined {
    fn default() -> Self {
        Self { bytes: vec![ARRAY_32, 0, 0, 0, 0], count: 0 }
    }
}

/// An array of 32 bits' length, of the MessagePack specification.
const ARRAY_32: u8 = 0xdd;
/// Bytes before the first message.
const ARRAY_HEAD: usize = 5;

impl Joined {
    /// Adds a message.
    pub fn add(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.count = self.count.saturating_add(1);
    }

    /// Bytes of the messages that were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(ARRAY_HEAD)
    }

    /// Whether none was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What [`decode_each`] reads.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.count == 1 {
            return self.bytes.split_off(ARRAY_HEAD);
        }
        let length = self.count.to_be_bytes();
        self.bytes.iter_mut().skip(1).zip(length).for_each(|(place, byte)| *place = byte);
        self.bytes
    }
}

/// Just the version.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    v: u64,
}

fn known_version(found: u64) -> Result<(), CodecError> {
    if found > u64::from(SCHEMA_VERSION) { Err(CodecError::Version { found }) } else { Ok(()) }
}

fn peek<T: DeserializeOwned>(bytes: &[u8], json: bool) -> Option<T> {
    if json {
        serde_json::from_slice(bytes).ok()
    } else {
        T::deserialize(&mut messagepack(bytes)).ok()
    }
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
        Some(MESSAGEPACK) => false,
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

pub(crate) fn from_messagepack<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    from_messagepack_within(bytes, 0)
}

/// The same of a message that is nested by so much less deep than any may be.
pub(crate) fn from_messagepack_within<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    spared: usize,
) -> Result<T, CodecError> {
    let mut reader = messagepack(bytes);
    reader.set_max_depth(DEPTH_MAX.saturating_sub(spared));
    let message = T::deserialize(&mut reader).map_err(|e| malformed("MessagePack", &e))?;
    // The reader does not say where it is; only at the end no value begins.
    match IgnoredAny::deserialize(&mut reader) {
        Err(decode::Error::InvalidMarkerRead(_)) => Ok(message),
        _ => Err(CodecError::TrailingBytes(bytes.len().saturating_sub(length(bytes)))),
    }
}

/// Bytes of the first value.
fn length(bytes: &[u8]) -> usize {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(bytes));
    reader.set_max_depth(DEPTH_MAX);
    let read = IgnoredAny::deserialize(&mut reader).map(|_| reader.position());
    read.ok().and_then(|length| usize::try_from(length).ok()).unwrap_or(0)
}

/// Deepest nesting of a message: what `serde_json` allows, so that either form of a body is
/// refused alike, and no stack runs out.
const DEPTH_MAX: usize = 128;

/// Texts are read where they lie.
fn messagepack(bytes: &[u8]) -> rmp_serde::Deserializer<ReadRefReader<'_, [u8]>> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(DEPTH_MAX);
    reader
}

fn malformed(format: &'static str, e: &dyn std::error::Error) -> CodecError {
    CodecError::Malformed { format, why: e.to_string().chars().take(256).collect() }
}
