//! From the client's message to a [`Delivery`].

use crate::stage::Delivery;
use async_nats::{
    HeaderMap,
    jetstream::{Message, message::StreamMessage},
};
use magsentinel_bus_schema::Timestamp;

/// A message, and what the server said of its delivery.
pub(crate) struct Pulled {
    pub(crate) delivery: Delivery,
    /// The server numbers what it delivers to a consumer.
    pub(crate) number: u64,
    /// Messages that wait for the consumer behind this one.
    pub(crate) waits: u64,
}

/// Reads a message; `None` for one without JetStream metadata, which a consumer never gets.
pub(crate) fn of(message: &Message) -> Option<Pulled> {
    // Once: what the server says is a text that has to be taken apart.
    let info = message.info().ok()?;
    let (number, waits, seq) = (info.consumer_sequence, info.pending, info.stream_sequence);
    let (nanos, attempt) = (info.published.unix_timestamp_nanos(), info.delivered);
    let delivery = Delivery {
        subject: message.subject.to_string(),
        seq,
        stored: stored_at(nanos),
        attempt: u64::try_from(attempt).unwrap_or(1).max(1),
        payload: message.payload.clone(),
        ..headed(message.headers.as_ref())
    };
    Some(Pulled { delivery, number, waits })
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

/// What headers say, and nothing else. Most messages have two, so that they are looked at each
/// once, and not looked up by name.
fn headed(headers: Option<&HeaderMap>) -> Delivery {
    let mut delivery = Delivery {
        subject: String::new(),
        seq: 0,
        stored: Timestamp::default(),
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: bytes::Bytes::new(),
    };
    let mut of_data = None;
    for (name, values) in headers.into_iter().flat_map(HeaderMap::iter) {
        let name: &str = name.as_ref();
        let kept = match name {
            "Content-Type" => &mut delivery.content_type,
            "ce-datacontenttype" => &mut of_data,
            "Nats-Msg-Id" => &mut delivery.message_id,
            "ce-id" => &mut delivery.ce_id,
            "traceparent" => &mut delivery.trace,
            _ => continue,
        };
        *kept = values.first().map(|value| value.as_str().to_owned());
    }
    delivery.content_type = delivery.content_type.or(of_data);
    delivery
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_by_their_names_and_the_first_of_several_counts() {
        let mut headers = HeaderMap::new();
        headers.append("ce-id", "one");
        headers.append("ce-id", "two");
        headers.append("ce-datacontenttype", "application/json");
        headers.append("Nats-Msg-Id", "an id");
        headers.append("traceparent", "a trace");
        headers.append("Other", "something");
        let read = headed(Some(&headers));
        assert_eq!(read.ce_id.as_deref(), Some("one"));
        assert_eq!(read.message_id.as_deref(), Some("an id"));
        assert_eq!(read.trace.as_deref(), Some("a trace"));
        assert_eq!(read.content_type.as_deref(), Some("application/json"));
        headers.append("Content-Type", "application/msgpack");
        assert_eq!(headed(Some(&headers)).content_type.as_deref(), Some("application/msgpack"));
    }
}
