//! From a body to what is published: envelope, shard, and the bound on its size.

use base64::{Engine, engine::general_purpose::STANDARD};
use magsentinel_bus_schema::{
    DeadLetter, Event, Failure, Fields, Id, SCHEMA_VERSION, Shard, Subject, Tenant, Timestamp,
    Token,
    entity::{NOBODY, shard_key},
    ops::DEAD_LETTER_BYTES_MAX,
    trace,
};
use magsentinel_runtime::stage::Publish;
use serde_json::Value;

/// Bounds of what is published, from the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Shards of a tenant's events.
    pub shards: u16,
    /// Most bytes of one text in a body.
    pub text_bytes_max: usize,
    /// Most bytes of an encoded event.
    pub event_bytes_max: usize,
}

impl From<&crate::Config> for Bounds {
    fn from(config: &crate::Config) -> Self {
        Self {
            shards: config.shards,
            text_bytes_max: config.text_bytes_max,
            event_bytes_max: config.event_bytes_max,
        }
    }
}

/// The message for an event, on its shard's subject. Texts over the bound are cut, and named in
/// the body's field `cut`; the error says why the event cannot be published at all.
pub fn publish(mut event: Event, bounds: Bounds) -> Result<Publish, String> {
    cut(&mut event.body, bounds.text_bytes_max);
    let message = encode(&event, bounds)?;
    if message.payload.len() <= bounds.event_bytes_max {
        return Ok(message);
    }
    // Many texts that are each within the bound can still be too much together.
    cut(&mut event.body, bounds.text_bytes_max / 16);
    let message = encode(&event, bounds)?;
    match message.payload.len() {
        size if size <= bounds.event_bytes_max => Ok(message),
        size => Err(format!(
            "event of {size} bytes is over event_bytes_max ({}), even with its texts cut",
            bounds.event_bytes_max
        )),
    }
}

fn encode(event: &Event, bounds: Bounds) -> Result<Publish, String> {
    let shard = Shard::of(&shard_key(event.kind, &event.body), bounds.shards);
    let message = Publish::new(Subject::Event(event.kind, shard), event.id, event);
    let trace = event.trace.clone().unwrap_or_else(|| trace::of(event.id));
    message.map(|m| m.traced(Some(trace))).map_err(|e| e.to_string())
}

/// Cuts every text of a body to a size, and notes which ones.
fn cut(body: &mut Fields, bytes_max: usize) {
    let mut names: Vec<Value> = Vec::new();
    for (name, value) in &mut body.0 {
        if cut_value(value, bytes_max) {
            names.push(Value::String(name.clone()));
        }
    }
    if !names.is_empty() {
        body.0.insert("cut".to_owned(), Value::Array(names));
    }
}

fn cut_value(value: &mut Value, bytes_max: usize) -> bool {
    match value {
        Value::String(text) if text.len() > bytes_max => {
            let end = text.floor_char_boundary(bytes_max);
            text.truncate(end);
            true
        }
        // Every one of them is cut, so counting must not stop at the first.
        Value::Array(items) => {
            items.iter_mut().filter_map(|v| cut_value(v, bytes_max).then_some(())).count() > 0
        }
        Value::Object(map) => {
            map.values_mut().filter_map(|v| cut_value(v, bytes_max).then_some(())).count() > 0
        }
        _ => false,
    }
}

/// Names under which others write the time of an event that has no `ts`.
const TIMES: &[&str] = &["@timestamp", "timestamp"];

/// Whether anything stands there: a blank or a dash is no time.
pub fn is_told(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.trim().is_empty() && !NOBODY.contains(&text.trim()),
        value => !value.is_null(),
    }
}

/// The time that a body gives: its `ts`, which must be one, else what others write in its place,
/// where that is one.
pub fn time_of(body: &Fields) -> Result<Option<Timestamp>, String> {
    if let Some(given) = body.get("ts").filter(|given| is_told(given)) {
        return Timestamp::from_value(given).map(Some).map_err(|e| format!("ts is {e}"));
    }
    let read = |name: &&str| Timestamp::from_value(body.get(*name)?).ok();
    Ok(TIMES.iter().find_map(read))
}

/// A part of a file that is no event.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Its file or recording.
    pub name: &'a str,
    /// What identifies the file's content.
    pub fingerprint: &'a str,
    /// Byte offset, or row number.
    pub at: u64,
    /// The event that was made of it, where there is one: of several, each has its letter.
    pub event: Option<Id>,
    /// Its beginning.
    pub bytes: &'a [u8],
    /// Its whole length in bytes.
    pub len: u64,
    /// What is wrong with it.
    pub reason: &'a str,
}

/// The dead letter of what a file held and nobody can read.
pub fn dead_letter(
    tenant: &Tenant,
    refused: &Refused<'_>,
    now: Timestamp,
) -> Result<Publish, String> {
    let at = refused.at.to_string();
    let event = refused.event.map(|id| id.to_string());
    let mut of = vec!["refused", tenant.as_str(), refused.fingerprint, &at];
    of.extend(event.as_deref());
    let id = Id::derived(&of);
    let kept = refused.bytes.get(..DEAD_LETTER_BYTES_MAX).unwrap_or(refused.bytes);
    let letter = DeadLetter {
        v: SCHEMA_VERSION,
        id,
        tenant: tenant.clone(),
        // No stream held it: the file and the place in it take the stream's stead.
        stream: refused.fingerprint.to_owned(),
        seq: refused.at,
        subject: refused.name.to_owned(),
        consumer: "sensor".to_owned(),
        element: None,
        failure: Failure::Poison,
        reason: refused.reason.chars().take(1024).collect(),
        ts: now,
        payload_len: refused.len,
        payload: STANDARD.encode(kept),
    };
    let subject = Subject::DeadLetter(Token::sanitised("sensor"));
    Publish::new(subject, id, &letter).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::{Kind, Limits, Source, decode};
    use serde_json::json;

    fn event(body: Value) -> Event {
        let Value::Object(map) = body else { panic!("{body}") };
        let now = Timestamp::from_micros(1);
        Event {
            v: SCHEMA_VERSION,
            id: Id::derived(&["x"]),
            tenant: Tenant::default(),
            kind: Kind::Sql,
            ts: now,
            received: now,
            ts_missing: false,
            replayed: false,
            source: Source::default(),
            causes: vec![],
            trace: None,
            body: Fields(map),
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character_and_named() {
        let bounds = Bounds { shards: 64, text_bytes_max: 1024, event_bytes_max: 65_536 };
        let body =
            json!({"text": "é".repeat(40_000), "user": "ann", "headers": {"x": "y".repeat(2000)}});
        let message = publish(event(body), bounds).unwrap();
        let read: Event = decode(&message.payload, None, Limits::default()).unwrap();
        assert_eq!(read.body.get("cut"), Some(&json!(["headers", "text"])));
        assert_eq!(read.body.get("text").and_then(Value::as_str).map(str::len), Some(1024));
        assert_eq!(read.body.get("user"), Some(&json!("ann")));
    }

    #[test]
    fn what_is_too_large_in_pieces_is_refused_with_its_size() {
        let bounds = Bounds { shards: 64, text_bytes_max: 1024, event_bytes_max: 65_536 };
        let many: Vec<_> = (0..40_000).collect();
        let refused = publish(event(json!({"text": "a", "list": many})), bounds).map(|_| ());
        assert!(refused.unwrap_err().contains("event_bytes_max"));
    }
}
