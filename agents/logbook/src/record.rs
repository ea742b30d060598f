//! One delivery as one record.

use crate::{Content, Kept, chain::Link};
use bytes::Bytes;
use magsentinel_bus_schema::{Id, Limits, Subject, Tenant, Timestamp};
use magsentinel_runtime::stage::Delivery;

/// Longest message id that is kept as it is, in bytes. A longer one is kept as the id derived
/// from it.
const MESSAGE_ID_BYTES_MAX: usize = 128;

/// A message to keep.
#[derive(Clone, Debug)]
pub struct Record {
    /// Tenant, as its subject says.
    pub tenant: Tenant,
    /// Stage.
    pub kept: Kept,
    /// What it is kept once by, among the messages of its tenant and stage.
    pub message_id: String,
    /// When the server stored it.
    pub stored: Timestamp,
    /// Subject.
    pub subject: String,
    /// Sequence in its stream.
    pub stream_seq: i64,
    /// Content type, where it says one.
    pub content_type: Option<String>,
    /// The message as it came.
    pub payload: Bytes,
    /// The message as its type.
    pub content: Content,
    /// The incident's id as text, where it belongs to one.
    pub incident: Option<String>,
}

impl Record {
    /// The record of a delivery.
    ///
    /// # Errors
    /// A sentence that says why it is no message that the logbook keeps.
    pub fn of(delivery: &Delivery, limits: Limits) -> Result<Self, String> {
        let (tenant, subject) = Subject::parse(&delivery.subject).map_err(|e| e.to_string())?;
        let kept = Kept::of(&subject)
            .ok_or_else(|| format!("messages on {:?} are not kept", delivery.subject))?;
        let content_type = delivery.content_type.clone();
        let content = Content::read(kept, &delivery.payload, content_type.as_deref(), limits)
            .map_err(|e| format!("no {} can be read: {e}", kept.token()))?;
        if let Some(named) = content.tenant().filter(|named| **named != tenant) {
            return Err(format!("published by tenant {tenant}, but it names tenant {named}"));
        }
        Ok(Self {
            message_id: message_id(delivery, &content),
            tenant,
            kept,
            stored: delivery.stored,
            subject: delivery.subject.clone(),
            stream_seq: i64::try_from(delivery.seq).unwrap_or(i64::MAX),
            content_type,
            payload: delivery.payload.clone(),
            incident: content.incident().map(|id| id.to_string()),
            content,
        })
    }

    /// The record as it is hashed at its place in the chain.
    #[must_use]
    pub fn link(&self, seq: i64) -> Link<'_> {
        Link {
            seq,
            tenant: self.tenant.as_str(),
            stage: self.kept.token(),
            message_id: &self.message_id,
            incident: self.incident.as_deref(),
            stored_us: self.stored.micros(),
            subject: &self.subject,
            stream_seq: self.stream_seq,
            content_type: self.content_type.as_deref(),
            payload: &self.payload,
        }
    }
}

fn message_id(delivery: &Delivery, content: &Content) -> String {
    let given = delivery.message_id.clone().filter(|id| !id.is_empty());
    match given.or_else(|| content.own_id()) {
        Some(id) if id.len() <= MESSAGE_ID_BYTES_MAX => id,
        Some(id) => Id::derived(&["message", &id]).to_string(),
        // No id at all: its bytes tell it from others.
        None => Id::derived(&[&b"payload"[..], &delivery.payload]).to_string(),
    }
}
