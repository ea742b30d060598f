//! What two events have in common that differ in values only.

use magsentinel_bus_schema::{Event, Fields, Kind};
use serde_json::Value;

/// Characters of a shape.
const CHARS_MAX: usize = 160;

/// The shape of an event: its deed without its values.
pub(super) fn of(event: &Event) -> String {
    let body = &event.body;
    let of = |names: &[&str]| {
        let parts = names.iter().filter_map(|name| text(body, name));
        parts.collect::<Vec<_>>().join(" ")
    };
    let shape = match event.kind {
        Kind::Sql => without_values(&of(&["text"])),
        Kind::Api => without_values(&of(&["method", "path"])),
        Kind::Auth => of(&["service", "event", "outcome"]),
        Kind::Data => of(&["action", "resource"]),
        Kind::Extension => of(&["action", "resource"]),
        Kind::Iot => of(&["msg_type", "topic"]),
        Kind::Flow => of(&["dst_ip", "dst_port", "proto"]),
        Kind::Dns => of(&["qname", "qtype"]),
        Kind::Host => of(&["process", "action"]),
    };
    shape.chars().take(CHARS_MAX).collect()
}

/// A field as text.
pub(super) fn text(body: &Fields, name: &str) -> Option<String> {
    match body.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Lower case, numbers as `#`, what is in quotes as `?`, white space once.
fn without_values(text: &str) -> String {
    let mut shape = String::new();
    let (mut quoted, mut last) = (false, ' ');
    for c in text.chars() {
        let c = match c {
            '\'' => {
                quoted = !quoted;
                if quoted { '?' } else { continue }
            }
            _ if quoted => continue,
            c if c.is_ascii_digit() => '#',
            c if c.is_whitespace() || c.is_control() => ' ',
            c => c.to_ascii_lowercase(),
        };
        if !(c == last && matches!(c, '#' | ' ' | '?')) {
            shape.push(c);
        }
        last = c;
    }
    shape
}
