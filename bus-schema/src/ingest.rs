//! What publishers may hand in on `ingest`, split into elements.
//!
//! One body, an array of bodies, newline-delimited JSON, and Fluent Bit's `[time, record]`
//! pairs; each element stands alone, so that a bad one never sinks the rest.

use crate::{
    Fields, Limits,
    codec::{CodecError, check_size, from_messagepack, is_json},
};
use serde_json::Value;

/// One element of an ingest message: a body, or why it is none.
pub type Element = Result<Fields, String>;

/// Splits an ingest message. An error means that not even the elements could be told apart.
pub fn split(
    bytes: &[u8],
    content_type: Option<&str>,
    limits: Limits,
) -> Result<Vec<Element>, CodecError> {
    check_size(bytes, limits)?;
    // A byte order mark begins no MessagePack map, and no JSON either.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if !is_json(bytes, content_type) {
        return Ok(elements_of(from_messagepack(bytes)?));
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => Ok(elements_of(value)),
        Err(whole) => lines(bytes)
            .ok_or_else(|| CodecError::Malformed { format: "JSON", why: whole.to_string() }),
    }
}

/// Newline-delimited JSON, if that is what it is: at least two lines, of which one can be read.
fn lines(bytes: &[u8]) -> Option<Vec<Element>> {
    let rows: Vec<_> = bytes
        .split(|b| *b == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(serde_json::from_slice::<Value>)
        .collect();
    if rows.len() < 2 || rows.iter().all(Result::is_err) {
        return None;
    }
    Some(
        rows.into_iter()
            .flat_map(|row| match row {
                Ok(value) => elements_of(value),
                Err(e) => vec![Err(format!("line is no JSON: {e}"))],
            })
            .collect(),
    )
}

fn elements_of(value: Value) -> Vec<Element> {
    match value {
        Value::Array(items) if is_pair(&items) => vec![pair(items)],
        Value::Array(items) => items.into_iter().map(element).collect(),
        other => vec![element(other)],
    }
}

fn element(value: Value) -> Element {
    match value {
        Value::Object(map) => Ok(Fields(map)),
        Value::Array(items) if is_pair(&items) => pair(items),
        other => Err(format!("element is {}, expected an object", name_of(&other))),
    }
}

/// Fluent Bit's forward form: `[time, {…}]`, the time a number or `[time, {metadata}]`.
fn is_pair(items: &[Value]) -> bool {
    matches!(items, [Value::Number(_) | Value::Array(_), Value::Object(_)])
}

fn pair(items: Vec<Value>) -> Element {
    let mut items = items.into_iter();
    let (time, record) = (items.next(), items.next());
    let Some(Value::Object(mut body)) = record else {
        return Err("element is an array, expected [time, record]".to_owned());
    };
    let seconds = match time {
        Some(Value::Array(parts)) => parts.into_iter().next(),
        other => other,
    };
    if let Some(seconds) = seconds.filter(Value::is_number) {
        body.entry("ts").or_insert(seconds);
    }
    Ok(Fields(body))
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_json(text: &str) -> Vec<Element> {
        split(text.as_bytes(), None, Limits::default()).unwrap_or_default()
    }

    #[test]
    fn every_form_yields_its_elements() {
        assert_eq!(split_json(r#"{"text":"select 1"}"#).len(), 1);
        assert_eq!(split_json(r#"[{"text":"a"},{"text":"b"}]"#).len(), 2);
        assert_eq!(split_json("{\"text\":\"a\"}\n{\"text\":\"b\"}\n").len(), 2);
        let pairs = split_json(r#"[[1481352946.5,{"text":"a"}],[[1,{}],{"text":"b"}]]"#);
        let times: Vec<_> =
            pairs.iter().flatten().map(|b| b.get("ts").map(ToString::to_string)).collect();
        assert_eq!(times, [Some("1481352946.5".to_owned()), Some("1".to_owned())]);
        assert_eq!(split_json(r#"[1,{"text":"a"}]"#).len(), 1);
    }

    #[test]
    fn byte_order_marks_and_carriage_returns_are_no_part_of_a_body() {
        assert_eq!(split_json("\u{feff}{\"text\":\"a\"}").len(), 1);
        let lines = split_json("\u{feff}{\"text\":\"a\"}\r\n{\"text\":\"b\"}\r\n");
        assert_eq!(lines.iter().filter(|e| e.is_ok()).count(), 2);
    }

    #[test]
    fn a_bad_element_leaves_the_others_alone() {
        let found = split_json("[{\"text\":\"a\"}, 7, \"x\", null]");
        assert_eq!(found.iter().filter(|e| e.is_ok()).count(), 1);
        let found = split_json("{\"text\":\"a\"}\n{\"text\":\n{\"text\":\"c\"}");
        assert_eq!(found.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn what_has_no_elements_is_refused_whole() {
        for bytes in [&b""[..], b"{\"text\":", b"\xff\xfe\x00", b"[", b"plain words"] {
            assert!(split(bytes, None, Limits::default()).is_err(), "{bytes:?}");
        }
    }
}
