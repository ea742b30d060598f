//! Reading a body: tolerant of how a publisher writes a number, strict about what it is, and
//! blind to the annotations that recorded rows carry.

use magsentinel_bus_schema::{Fields, Timestamp, entity::NOBODY};
use serde_json::Value;

/// Fields of recorded rows that say what the row is, or where it comes from. No patrol reads
/// them, and no output quotes them.
pub const ANNOTATIONS: &[&str] =
    &["label", "label_quality", "category", "source", "phase", "event_label", "scored"];

/// Every field that may be read.
pub(crate) fn readable(body: &Fields) -> impl Iterator<Item = (&str, &Value)> {
    let fields = body.iter().map(|(name, value)| (name.as_str(), value));
    fields.filter(|(name, _)| !ANNOTATIONS.contains(name))
}

/// A field, unless it is an annotation or null.
pub(crate) fn field<'a>(body: &'a Fields, name: &str) -> Option<&'a Value> {
    let value = body.get(name).filter(|value| !value.is_null())?;
    (!ANNOTATIONS.contains(&name)).then_some(value)
}

/// The first of some fields that holds text; blank text counts as absent.
pub(crate) fn text<'a>(body: &'a Fields, names: &[&str]) -> Result<Option<&'a str>, String> {
    for name in names {
        match field(body, name) {
            None => {}
            Some(Value::String(text)) if text.trim().is_empty() => {}
            Some(Value::String(text)) => return Ok(Some(text)),
            Some(other) => return Err(format!("{name} is {}, expected text", kind_of(other))),
        }
    }
    Ok(None)
}

/// The first of some fields that holds a count: a whole number, a float without fraction that
/// matters, or either as text. Blank text counts as absent; anything else is an error.
pub(crate) fn count(body: &Fields, names: &[&str]) -> Result<Option<u64>, String> {
    for name in names {
        let number = match field(body, name) {
            None => continue,
            Some(Value::Number(n)) => n.as_u64().map_or_else(|| n.as_f64(), |n| Some(n as f64)),
            Some(Value::String(text)) if text.trim().is_empty() => continue,
            Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
            Some(_) => None,
        };
        let number = number.filter(|n| n.is_finite() && *n >= 0.0);
        let number = number.ok_or_else(|| format!("{name} is no count of zero or more"))?;
        #[expect(clippy::cast_possible_truncation, reason = "saturating is what we want")]
        #[expect(clippy::cast_sign_loss, reason = "checked above")]
        return Ok(Some(number as u64));
    }
    Ok(None)
}

/// The time that the body gives, where it gives one.
pub(crate) fn time(body: &Fields) -> Result<Option<Timestamp>, String> {
    let told = |text: &str| !text.trim().is_empty() && !NOBODY.contains(&text.trim());
    let given = field(body, "ts").filter(|v| v.as_str().is_none_or(told));
    given.map(|v| Timestamp::from_value(v).map_err(|e| format!("ts is {e}"))).transpose()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The body in one line of at most `chars_max` characters, for people. Untrusted text.
pub(crate) fn excerpt(body: &Fields, chars_max: usize) -> String {
    let mut line = String::new();
    for (name, value) in readable(body) {
        if line.len() / 4 > chars_max {
            break;
        }
        let gap = if line.is_empty() { "" } else { " " };
        match value {
            Value::String(text) => {
                let text: String = text.chars().take(chars_max).collect();
                line.push_str(&format!("{gap}{name}={text}"));
            }
            other => line.push_str(&format!("{gap}{name}={other}")),
        }
    }
    line.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> Fields {
        Fields(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn counts_are_read_in_every_form_and_nothing_else_is() {
        let of = |value| count(&body(json!({"rows": value})), &["rows"]);
        assert_eq!(of(json!(7)), Ok(Some(7)));
        assert_eq!(of(json!("7")), Ok(Some(7)));
        assert_eq!(of(json!(7.0)), Ok(Some(7)));
        assert_eq!(of(json!(1e300)), Ok(Some(u64::MAX)));
        assert_eq!(of(json!("")), Ok(None));
        assert_eq!(of(json!(null)), Ok(None));
        for wrong in [json!(-1), json!("many"), json!([]), json!(true), json!("NaN")] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn annotations_are_neither_read_nor_quoted() {
        let body = body(json!({"label": 1, "category": "union", "text": "select 1"}));
        assert_eq!(text(&body, &["category", "text"]), Ok(Some("select 1")));
        assert_eq!(excerpt(&body, 100), "text=select 1");
        assert_eq!(excerpt(&body, 8), "text=sel");
    }
}
