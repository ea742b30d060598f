//! From the client's message to a [`Delivery`].

use crate::stage::Delivery;
use async_nats::jetstream::Message;
use magsentinel_bus_schema::Timestamp;

/// Reads a message; `None` for one without JetStream metadata, which a consumer never gets.
pub(crate) fn of(message: &Message) -> Option<Delivery> {
    let info = message.info().ok()?;
    let header = |name: &str| {
        let headers = message.headers.as_ref()?;
        headers.get(name).map(|v| v.as_str().to_owned())
    };
    let nanos = info.published.unix_timestamp_nanos();
    let (seq, attempt) = (info.stream_sequence, info.delivered);
    let delivery = Delivery {
        subject: message.subject.to_string(),
        seq,
        stored: Timestamp::from_micros(i64::try_from(nanos / 1000).unwrap_or(i64::MAX)),
        attempt: u64::try_from(attempt).unwrap_or(1).max(1),
        content_type: header("Content-Type").or_else(|| header("ce-datacontenttype")),
        message_id: header("Nats-Msg-Id"),
        ce_id: header("ce-id"),
        trace: header("traceparent"),
        payload: message.payload.clone(),
    };
    Some(delivery)
}
