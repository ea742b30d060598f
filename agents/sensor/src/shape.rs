//! Is a body a body of its kind? Tolerant of how numbers, names and requests are written, strict
//! about the rest.

mod loose;

pub use loose::take_apart;

use magsentinel_bus_schema::{Fields, Kind, event::WrongBody, kinds};
use serde_json::{Number, Value};

/// Fields of a kind that hold numbers.
fn numeric(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Sql => &[],
        Kind::Api => &["body_size", "status", "resp_bytes", "duration_ms"],
        Kind::Auth => &["src_port"],
        Kind::Data => &["rows", "bytes_out", "bytes"],
        Kind::Extension => &["count", "cpu_pct", "net_bytes"],
        Kind::Iot => &["payload_len"],
        Kind::Flow => &["src_port", "dst_port", "duration", "orig_bytes", "resp_bytes"],
        Kind::Dns => &["n_answers"],
        Kind::Host => &["pid", "cpu_pct"],
    }
}

/// The fields of which a body of this kind needs one, group by group: without, it says nothing.
pub(crate) fn essential(kind: Kind) -> &'static [&'static [&'static str]] {
    match kind {
        Kind::Sql => &[&["text"]],
        Kind::Api => &[loose::REQUEST],
        Kind::Auth => &[&[
            "event",
            "outcome",
            "result",
            "success",
            "status",
            "sub_status",
            "status_code",
            "event_id",
        ]],
        Kind::Data | Kind::Host => &[&["action"]],
        Kind::Extension => &[&["extension"], &["action"]],
        Kind::Dns => &[loose::NAME],
        Kind::Iot | Kind::Flow => &[],
    }
}

/// Brings a body into its kind's shape: a number written as text becomes a number, a name
/// written as a number becomes text, a blank number and a null are dropped, and so is what stands
/// for nothing (`-`, a count below zero). The error names what is missing or of the wrong type.
pub fn shape(kind: Kind, body: &mut Fields) -> Result<(), String> {
    body.0.retain(|_, value| !value.is_null());
    loose::loosen(kind, body);
    for field in numeric(kind) {
        let Some(value) = body.0.get(*field) else { continue };
        match number(value) {
            // A port beyond the last is none.
            Some(Some(number)) if field.ends_with("_port") && number.as_u64() > Some(65_535) => {
                body.0.remove(*field);
            }
            Some(Some(number)) => {
                body.0.insert((*field).to_owned(), Value::Number(number));
            }
            Some(None) => {
                body.0.remove(*field);
            }
            None => {}
        }
    }
    for fields in essential(kind) {
        // A request that is no HTTP has an empty method or path, which says something.
        let blank = |v: &Value| v.as_str() == Some("") && kind != Kind::Api;
        let told = fields.iter().any(|field| body.0.get(*field).is_some_and(|v| !blank(v)));
        if !told {
            let fields = fields.join(", ");
            let one = if fields.contains(',') { "none of " } else { "no " };
            return Err(format!("body has {one}{fields}, which every {kind} body needs"));
        }
    }
    check(kind, body).map_err(|e| e.to_string())
}

/// `Some(None)` for blank text; `None` for what is left as it is.
fn number(value: &Value) -> Option<Option<Number>> {
    match value {
        Value::String(text) if text.trim().is_empty() => Some(None),
        Value::String(text) => {
            let text = text.trim();
            let whole = text.parse::<u64>().ok().map(Number::from);
            whole.or_else(|| Number::from_f64(text.parse().ok()?)).map(|n| Some(tidy(n)))
        }
        Value::Number(n) => Some(Some(tidy(n.clone()))),
        _ => None,
    }
}

/// `7.0` is seven.
fn tidy(number: Number) -> Number {
    let whole = number.as_f64().filter(|n| !number.is_u64() && n.fract() == 0.0);
    match whole {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some(n) if (0.0..9.0e15).contains(&n) => Number::from(n as u64),
        _ => number,
    }
}

fn check(kind: Kind, body: &Fields) -> Result<(), WrongBody> {
    match kind {
        Kind::Sql => body.view::<kinds::Sql>().map(drop),
        Kind::Api => body.view::<kinds::Api>().map(drop),
        Kind::Auth => body.view::<kinds::Auth>().map(drop),
        Kind::Data => body.view::<kinds::Data>().map(drop),
        Kind::Extension => body.view::<kinds::Extension>().map(drop),
        Kind::Iot => body.view::<kinds::Iot>().map(drop),
        Kind::Flow => body.view::<kinds::Flow>().map(drop),
        Kind::Dns => body.view::<kinds::Dns>().map(drop),
        Kind::Host => body.view::<kinds::Host>().map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shaped(kind: Kind, body: Value) -> Result<Value, String> {
        let Value::Object(map) = body else { panic!("{body}") };
        let mut fields = Fields(map);
        shape(kind, &mut fields).map(|()| Value::Object(fields.0))
    }

    #[test]
    fn numbers_and_names_are_taken_as_they_come() {
        let body = json!({"event": "logon", "src_port": "52942", "user": 42, "host": null});
        assert_eq!(
            shaped(Kind::Auth, body),
            Ok(json!({"event": "logon", "src_port": 52942, "user": "42"}))
        );
        let body = json!({"action": "select", "rows": "", "bytes": 7.0, "label": "1"});
        assert_eq!(
            shaped(Kind::Data, body),
            Ok(json!({"action": "select", "bytes": 7, "label": "1"}))
        );
    }

    #[test]
    fn what_is_plainly_meant_is_read() {
        for (kind, body, want) in [
            (Kind::Auth, json!({"outcome": true}), json!({"outcome": "true"})),
            (Kind::Auth, json!({"outcome": 0}), json!({"outcome": "0"})),
            (Kind::Auth, json!({"event": 4625}), json!({"event": "4625", "event_id": "4625"})),
            (
                Kind::Auth,
                json!({"status": 401, "src_ip": "-", "src_port": "-", "user": "(null)"}),
                json!({"status": 401}),
            ),
            (
                Kind::Auth,
                json!({"event": "x", "location": {"lat": 1.5, "lon": 2, "city": "Rome"}}),
                json!({"event": "x", "lat": 1.5, "lon": 2, "city": "Rome"}),
            ),
            (Kind::Auth, json!({"event": "x", "src_port": 70000}), json!({"event": "x"})),
            (Kind::Data, json!({"action": "a", "rows": 7.5}), json!({"action": "a", "rows": 7})),
            (Kind::Data, json!({"action": "a", "rows": -1, "bytes": "-"}), json!({"action": "a"})),
            (Kind::Api, json!({"uri": "/a?b"}), json!({"uri": "/a?b"})),
            (Kind::Api, json!({"query": {"a": "1&2", "b": 3}}), json!({"query": "a=1%262&b=3"})),
            (Kind::Api, json!({"body": {"a": 1}}), json!({"body": "{\"a\":1}"})),
            (
                Kind::Api,
                json!({"path": "/", "headers": "{\"host\": \"h\"}", "status": "200 OK",
                       "resp_bytes": "-", "duration_ms": "1,200"}),
                json!({"path": "/", "headers": {"host": "h"}, "status": 200, "duration_ms": 1200}),
            ),
            (
                Kind::Api,
                json!({"headers": "Host: h\r\nX-A: b:c\r\n"}),
                json!({"headers": {"Host": "h", "X-A": "b:c"}}),
            ),
            (
                Kind::Api,
                json!({"headers": [["a", "b"], {"name": "c", "value": "d"}, "e: f"]}),
                json!({"headers": {"a": "b", "c": "d", "e": "f"}}),
            ),
            (
                Kind::Api,
                json!({"raw": "GET /a?b=c HTTP/1.1\r\n\r\n", "status": "oops"}),
                json!({"method": "GET", "path": "/a", "query": "b=c", "headers": {},
                       "body_size": 0}),
            ),
        ] {
            assert_eq!(shaped(kind, body.clone()), Ok(want), "{kind} {body}");
        }
    }

    #[test]
    fn a_sql_text_says_what_form_it_has() {
        for (body, form) in [
            (json!({"text": "SELECT 1"}), "query"),
            (json!({"text": " /* a */ (select 1)"}), "query"),
            (json!({"text": "1' or 1=1 --"}), "param"),
            (json!({"text": "select"}), "param"),
            (json!({"text": "x", "kind": "value"}), "param"),
            (json!({"text": "x", "kind": "statement"}), "query"),
            (json!({"text": "x", "kind": "free_text"}), "free_text"),
            (json!({"text": "x", "kind": "weird"}), "param"),
            (json!({"statement": "x"}), "query"),
            (json!({"value": "SELECT 1"}), "param"),
        ] {
            let made = shaped(Kind::Sql, body.clone());
            assert!(made.as_ref().is_ok_and(|m| m["kind"] == form), "{body}: {made:?}");
        }
    }

    #[test]
    fn numbers_in_texts_and_signs_for_none_are_understood_and_nested_objects_are_named() {
        let body = json!({"method": "GET", "path": "/", "status": "200", "resp_bytes": "-",
                          "duration_ms": " 4.5 ", "body_size": "NULL"});
        let want = json!({"method": "GET", "path": "/", "status": 200, "duration_ms": 4.5});
        assert_eq!(shaped(Kind::Api, body), Ok(want));
        let body = json!({"action": "select", "rows": "1e3", "bytes_out": "12.0"});
        let want = json!({"action": "select", "rows": 1000, "bytes_out": 12});
        assert_eq!(shaped(Kind::Data, body), Ok(want));
        for (body, named) in [
            (json!({"action": "select", "rows": {"count": 7}}), "map"),
            (json!({"action": {"name": "select"}}), "map"),
            (json!({"action": "select", "rows": "1,234"}), "1,234"),
        ] {
            let error = shaped(Kind::Data, body.clone()).unwrap_err();
            assert!(error.contains(named), "{body}: {error}");
        }
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_type_is_named() {
        for (kind, body, named) in [
            (Kind::Sql, json!({}), "text"),
            (Kind::Sql, json!({"text": ["a"]}), "sequence"),
            (Kind::Sql, json!({"text": 7}), "text"),
            (Kind::Api, json!({"method": "GET"}), "path"),
            (Kind::Api, json!({"path": ["a"]}), "sequence"),
            (Kind::Data, json!({"action": "select", "rows": "many"}), "many"),
            (Kind::Auth, json!({"user": "ann"}), "event"),
            (Kind::Auth, json!({"event": ["x"]}), "sequence"),
            (Kind::Dns, json!({"qname": ""}), "qname"),
        ] {
            let error = shaped(kind, body.clone()).unwrap_err();
            assert!(error.contains(named), "{kind} {body}: {error}");
        }
    }
}
