//! From the client's message to a [`Delivery`].

use crate::stage::Delivery;
use async_nats::{
    HeaderMap,
    jetstream::{Message, message::StreamMessage},
};
use magsentinel_bus_schema::Timestamp;

/// Reads a message; `None` for one without JetStream metadata, which a consumer never gets.
pub(crate) fn of(message: &Message) -> Option<Delivery> {
    let info = message.info().ok()?;
    let (nanos, attempt) = (info.published.unix_timestamp_nanos(), info.delivered);
    let delivery = Delivery {
        subject: message.subject.to_string(),
        seq: info.stream_sequence,
        stored: stored_at(nanos),
        attempt: u64::try_from(attempt).unwrap_or(1).max(1),
        payload: message.payload.clone(),
        ..headed(message.headers.as_ref())
    };
    Some(delivery)
}

/// A message as a stream holds it: its first delivery.
pub(crate) fn stored(message: StreamMessage) -> Delivery {
    Delivery {
        subject: message.subject.to_string(),
        seq: message.sequence,
        stored: stored_at(message.time.unix_timestamp_nanos()),
        payload: message.payload,
        ..headed(Some(&message.headers))
    }
}

fn stored_at(nanos: i128) -> Timestamp {
    Timestamp::from_micros(i64::try_from(nanos / 1000).unwrap_or(i64::MAX))
}

/// What headers say, and nothing else.
fn headed(headers: Option<&HeaderMap>) -> Delivery {
    let header = |name: &str| Some(headers?.get(name)?.as_str().to_owned());
    Delivery {
        subject: String::new(),
        seq: 0,
        stored: Timestamp::default(),
        attempt: 1,
        content_type: header("Content-Type").or_else(|| header("ce-datacontenttype")),
        message_id: header("Nats-Msg-Id"),
        ce_id: header("ce-id"),
        trace: header("traceparent"),
        payload: bytes::Bytes::new(),
    }
}
