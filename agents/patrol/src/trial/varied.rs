//! The same deed by somebody else: an event with other addresses, names, times and numbers.

use crate::body::readable;
use magsentinel_bus_schema::{Class, Fields};
use serde_json::Value;

/// Fields that say when or from where, beside those that name entities.
const OTHERS: &[&str] = &["ts", "src_port", "pid", "duration_ms"];

/// A body with every entity replaced and every number in a text changed. Equal numbers stay equal,
/// so that `1=1` is still true.
pub(super) fn varied(body: &Fields) -> Fields {
    let entity = |name: &str| Class::ALL.iter().any(|class| class.fields().contains(&name));
    let mut varied = body.clone();
    for (name, value) in &mut varied.0 {
        if OTHERS.contains(&name.as_str()) {
            *value = number_changed(value);
        } else if entity(name) {
            *value = replaced(value);
        } else if let Value::String(text) = value {
            *text = digits_changed(text);
        }
    }
    varied
}

/// The texts of a body that a literal could be the whole of, in lower case.
pub(super) fn texts(body: &Fields) -> impl Iterator<Item = String> + '_ {
    let texts = readable(body).filter_map(|(_, value)| value.as_str());
    texts.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
}

fn number_changed(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.as_u64().map_or_else(|| value.clone(), |n| (n + 1).into()),
        // A time goes on by a year where it is written as text.
        Value::String(text) => match text.split_once('-') {
            Some((year, rest)) => match year.parse::<u32>() {
                Ok(year) => format!("{:04}-{rest}", year + 1).into(),
                Err(_) => value.clone(),
            },
            None => value.clone(),
        },
        other => other.clone(),
    }
}

fn replaced(value: &Value) -> Value {
    match value {
        Value::String(text) if text.parse::<std::net::IpAddr>().is_ok() => {
            let other = if text == "192.0.2.77" { "192.0.2.78" } else { "192.0.2.77" };
            other.into()
        }
        Value::String(text) => text.chars().map(next_letter).collect::<String>().into(),
        Value::Number(n) => n.as_u64().map_or_else(|| value.clone(), |n| (n + 1).into()),
        other => other.clone(),
    }
}

fn next_letter(c: char) -> char {
    match c {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from_u32(c as u32 + 1).unwrap_or(c),
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        other => other,
    }
}

/// Changes the digits of numbers that stand by themselves; `%27`, `0x5c` and `md5` stay.
fn digits_changed(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut changed = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        if !c.is_ascii_digit() {
            changed.push(*c);
            at += 1;
            continue;
        }
        let rest = chars.get(at..).unwrap_or_default();
        let length = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let joined =
            |c: Option<&char>| c.is_some_and(|c| c.is_alphabetic() || "_%\\&#".contains(*c));
        let part = joined(before) || joined(chars.get(at + length));
        let digits = rest.iter().take(length);
        changed.extend(digits.map(|c| if part { *c } else { next_letter(*c) }));
        at += length;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_names_differ_and_what_is_meant_stays() {
        let body = json!({
            "ts": "2026-03-02T14:01:06Z", "user": "shop_app", "src_ip": "10.20.0.5",
            "text": "1' or 1=1 union select md5(7), 0x5c, %27 from t -- 42",
        });
        let varied = varied(&Fields(body.as_object().cloned().unwrap_or_default()));
        assert_eq!(varied["text"], "2' or 2=2 union select md5(8), 0x5c, %27 from t -- 53");
        assert_eq!(varied["src_ip"], "192.0.2.77");
        assert_eq!(
            (&varied["user"], &varied["ts"]),
            (&json!("tipq_bqq"), &json!("2027-03-02T14:01:06Z"))
        );
    }
}
