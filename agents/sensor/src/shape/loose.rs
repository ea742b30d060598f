//! What publishers write in place of a field's own form, brought into it: a dash for nothing, a
//! truth value for an outcome, an object for a place, text for headers, a whole request as `raw`.

use super::numeric;
use magsentinel_bus_schema::{Fields, Kind, entity::NOBODY, raw_http::raw_http};
use serde_json::{Map, Value};

/// Names and words: what is written there as a number or truth value is meant as text, and a dash
/// says that there is none.
const WORDS: &[&str] = &[
    "user",
    "actor",
    "target_user",
    "session",
    "key",
    "device",
    "client_id",
    "host",
    "extension",
    "resource",
    "object",
    "project",
    "client",
    "src_ip",
    "dst_ip",
    "client_ip",
    "ip",
    "dst",
    "service",
    "event",
    "outcome",
    "user_agent",
    "location",
    "database",
    "application",
    "error",
    "action",
    "method",
    "process",
    "exe",
    "topic",
    "msg_type",
    "proto",
    "conn_state",
    "qtype",
    "rcode",
    "raw",
    "kind",
];

/// Of these, the ones whose kind needs them: what is no word there is told as wrong.
const NEEDED: &[&str] = &["event", "action", "extension"];

/// What stands for a number that nobody took.
const NO_NUMBER: &[&str] =
    &["-", "(null)", "\\n", "n/a", "null", "none", "nan", "inf", "-inf", "infinity", "-infinity"];

/// Numbers that have fractions; all others count something.
const FRACTIONS: &[&str] = &["duration", "duration_ms", "cpu_pct"];

/// More than anybody counts.
const COUNT_MAX: f64 = 1e15;

/// What carries a request, one of which an api body needs.
pub(super) const REQUEST: &[&str] = &["path", "uri", "url", "query", "headers", "body"];

/// The name that a dns body asks for, under all its names: Zeek's is `query`.
pub(super) const NAME: &[&str] = &["qname", "query", "domain"];

/// Fields of a place, inside an object that tells it.
const PLACE: &[&str] = &[
    "lat",
    "latitude",
    "lon",
    "lng",
    "longitude",
    "country",
    "country_code",
    "geo_country",
    "city",
];

/// Other names of a sql text, and what form of text they say.
const TEXTS: &[(&str, &str)] = &[
    ("statement", "query"),
    ("query", "query"),
    ("sql", "query"),
    ("value", "param"),
    ("payload", "param"),
];

/// Brings a body's fields into the forms of its kind where it is plain what they mean.
pub(super) fn loosen(kind: Kind, body: &mut Fields) {
    for field in numeric(kind) {
        match body.0.get(*field).map(|value| counted(field, value)) {
            Some(Some(number)) => body.0.insert((*field).to_owned(), number),
            Some(None) => body.0.remove(*field),
            None => None,
        };
    }
    for field in WORDS {
        let Some(value) = body.0.get_mut(*field) else { continue };
        match value {
            Value::String(text) if nobody(text) => {
                body.0.remove(*field);
            }
            Value::Bool(truth) => *value = Value::String(truth.to_string()),
            Value::Object(_) if *field == "location" => {
                if let Some(Value::Object(place)) = body.0.remove(*field) {
                    placed(body, place);
                }
            }
            Value::Array(_) | Value::Object(_) if !NEEDED.contains(field) => {
                *value = Value::String(value.to_string());
            }
            Value::Number(number) => {
                *value = Value::String(super::tidy(number.clone()).to_string())
            }
            _ => {}
        }
    }
    match kind {
        Kind::Sql => sql(body),
        Kind::Api => api(body),
        Kind::Auth => auth(body),
        Kind::Dns => dns(body),
        _ => {}
    }
}

/// A number as its field can hold it; `None` for what stands for none, and for one below zero.
fn counted(field: &str, value: &Value) -> Option<Value> {
    let number = match value {
        Value::String(text) if NO_NUMBER.contains(&&*text.trim().to_ascii_lowercase()) => {
            return None;
        }
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    };
    let whole = !FRACTIONS.contains(&field);
    match number {
        Some(number) if number < 0.0 => None,
        Some(number) if whole && (number.fract() != 0.0 || number > COUNT_MAX) => {
            Some(Value::from(number.trunc().min(COUNT_MAX)))
        }
        _ => Some(value.clone()),
    }
}

fn nobody(text: &str) -> bool {
    NOBODY.iter().any(|none| none.eq_ignore_ascii_case(text.trim()))
}

/// The fields of a place stand beside the others; its name is the place.
fn placed(body: &mut Fields, mut place: Map<String, Value>) {
    for name in PLACE {
        if let Some(value) = place.remove(*name).filter(|value| !value.is_null()) {
            body.0.entry((*name).to_owned()).or_insert(value);
        }
    }
    let name = ["name", "location", "region"].iter().find_map(|name| place.remove(*name));
    if let Some(name) = name.filter(Value::is_string) {
        body.0.insert("location".to_owned(), name);
    }
}

fn auth(body: &mut Fields) {
    let told = body.get("event").and_then(Value::as_str).map(str::trim);
    let number = told.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    if let Some(id) = number.map(str::to_owned) {
        // A bare number is the id that Windows gives an event.
        body.0.entry("event_id").or_insert(Value::String(id));
    }
}

fn dns(body: &mut Fields) {
    let told = body.get("qname").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    let name = NAME.iter().filter_map(|name| body.get(*name)?.as_str()).find(|n| !n.is_empty());
    if let Some(name) = name.filter(|_| !told).map(str::to_owned) {
        body.0.insert("qname".to_owned(), Value::String(name));
    }
}

fn api(body: &mut Fields) {
    if body.get("raw").is_some_and(Value::is_string)
        && !REQUEST.iter().any(|n| body.contains_key(*n))
    {
        take_apart(body);
    }
    let headers = body.0.get_mut("headers");
    if let Some(headers) = headers.filter(|headers| !headers.is_object()) {
        *headers = Value::Object(headers_of(headers));
    }
    for field in REQUEST.iter().filter(|field| **field != "headers") {
        let Some(value) = body.0.get_mut(*field) else { continue };
        match value {
            Value::Object(pairs) if *field == "query" => *value = Value::String(joined(pairs)),
            Value::String(_) => {}
            Value::Array(_) | Value::Object(_) if *field != "body" => {}
            other => *other = Value::String(other.to_string()),
        }
    }
    for field in numeric(Kind::Api) {
        let Some(value) = body.0.get(*field) else { continue };
        let read = if *field == "status" { status(value) } else { size(value) };
        // None of them makes the request another: what is no number is left out.
        match read {
            Some(number) => body.0.insert((*field).to_owned(), number),
            None => body.0.remove(*field),
        };
    }
}

/// `200`, `"200"`, `"200 OK"`.
fn status(value: &Value) -> Option<Value> {
    let number = match value {
        Value::String(text) => text.split_ascii_whitespace().next()?.parse::<u16>().ok(),
        Value::Number(number) => u16::try_from(super::tidy(number.clone()).as_u64()?).ok(),
        _ => None,
    };
    number.map(Value::from)
}

/// The request in `raw` as fields; those that the body has of its own stay.
pub fn take_apart(body: &mut Fields) {
    let Some(Value::String(raw)) = body.0.remove("raw") else { return };
    for (name, value) in raw_http(&raw).0 {
        body.0.entry(name).or_insert(value);
    }
}

/// A size or duration, with or without commas between thousands.
fn size(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => {
            let number: f64 = text.trim().replace(',', "").parse().ok()?;
            number.is_finite().then(|| Value::from(number))
        }
        Value::Number(_) => Some(value.clone()),
        _ => None,
    }
}

/// Headers as an object: of JSON in text, of lines, or of a list of pairs.
fn headers_of(value: &Value) -> Map<String, Value> {
    let mut headers = Map::new();
    match value {
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(map)) => return map,
            Ok(list @ Value::Array(_)) => return headers_of(&list),
            _ => {
                for line in text.lines().filter(|line| !line.trim().is_empty()) {
                    let (name, value) = line.split_once(':').unwrap_or(("header", line));
                    headers.insert(name.trim().to_owned(), value.trim().into());
                }
            }
        },
        Value::Array(items) => {
            for item in items {
                let pair = match item {
                    Value::Array(pair) => pair.first().zip(pair.get(1)),
                    Value::Object(pair) => pair.get("name").zip(pair.get("value")),
                    _ => None,
                };
                if let Some((Value::String(name), value)) = pair {
                    headers.insert(name.clone(), value.clone());
                } else if let Value::String(line) = item {
                    headers.extend(headers_of(&Value::String(line.clone())));
                }
            }
        }
        other => {
            headers.insert("header".to_owned(), Value::String(other.to_string()));
        }
    }
    headers
}

/// A query string of named values.
fn joined(pairs: &Map<String, Value>) -> String {
    let escaped = |text: &str| {
        text.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace('#', "%23")
    };
    let pairs = pairs.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{}={}", escaped(name), escaped(text)),
        other => format!("{}={}", escaped(name), escaped(&other.to_string())),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// A sql text under another name, and the form of the text where none or no known one is told.
fn sql(body: &mut Fields) {
    let told = TEXTS.iter().find(|(name, _)| body.get(*name).is_some_and(Value::is_string));
    if let Some((name, form)) = told.filter(|_| !body.contains_key("text")) {
        let text = body.0.remove(*name).unwrap_or_default();
        body.0.insert("text".to_owned(), text);
        body.0.entry("kind").or_insert((*form).into());
    }
    let kind = body.get("kind").and_then(Value::as_str).unwrap_or_default().trim();
    let form = match &*kind.to_ascii_lowercase() {
        "query" | "statement" | "sql" | "stmt" => Some("query"),
        "param" | "parameter" | "value" | "input" | "payload" | "argument" | "field" => {
            Some("param")
        }
        "free_text" | "text" | "prose" | "comment" => Some("free_text"),
        "fragment" | "expression" | "clause" => Some("fragment"),
        _ => body.get("text").and_then(Value::as_str).map(form_of),
    };
    if let Some(form) = form.filter(|form| *form != kind) {
        body.0.insert("kind".to_owned(), form.into());
    }
}

/// A text that begins as statements do is one; any other is a value on its way into one.
fn form_of(text: &str) -> &'static str {
    const VERBS: [&str; 32] = [
        "select", "insert", "update", "delete", "with", "create", "alter", "drop", "truncate",
        "merge", "replace", "explain", "grant", "revoke", "set", "show", "use", "call", "exec",
        "execute", "begin", "commit", "rollback", "declare", "copy", "vacuum", "analyze", "pragma",
        "values", "describe", "prepare", "lock",
    ];
    let lead = |c: char| c.is_whitespace() || c == '(';
    let mut rest = text.trim_start_matches(lead);
    while let Some(comment) = rest.strip_prefix("/*") {
        rest = comment.split_once("*/").map_or("", |(_, after)| after).trim_start_matches(lead);
    }
    let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    // A word alone is a value: a verb is followed by what it is about.
    let follows = rest.get(word.len()..).is_some_and(|after| !after.trim().is_empty());
    let statement = VERBS.iter().any(|verb| verb.eq_ignore_ascii_case(word));
    if statement && follows { "query" } else { "param" }
}
