//! Access logs written as JSON, one object a line.
//!
//! There is no standard, so each field is looked for under several names, first match wins; a
//! dot steps into a nested object. Letter case does not matter.
//!
//! | field | names |
//! | --- | --- |
//! | time | `time_iso8601`, `@timestamp`, `timestamp`, `StartUTC`, `start_time`, `time_local`, `time`, `ts`, `msec` |
//! | client | `remote_addr`, `client_ip`, `clientip`, `ClientHost`, `remote_ip`, `downstream_remote_address`, `request.remote_ip`, `client`, `src_ip`, `remote_host` |
//! | method | `request_method`, `RequestMethod`, `method`, `http_method`, `verb`, `request.method` |
//! | target | `request_uri`, `RequestPath`, `uri`, `path`, `url`, `uri_path`, `request.uri`; else a whole request line in `request` |
//! | query | `args`, `query_string`, `query`, where the target has none |
//! | status | `status`, `DownstreamStatus`, `response_code`, `status_code`, `code` |
//! | bytes sent | `body_bytes_sent`, `DownstreamContentSize`, `bytes_sent`, `resp_bytes`, `response_size`, `size`, `bytes` |
//! | bytes received | `request_length`, `RequestContentSize`, `bytes_received`, `body_size` |
//! | duration | `request_time` (seconds), `duration_ms`, `latency_ms`; `duration` in Envoy's milliseconds beside `response_code`, in Traefik's nanoseconds beside `DownstreamStatus`, else (Caddy) in seconds |
//! | user | `remote_user`, `ClientUsername`, `user`, `user_id` |
//! | headers | `http_user_agent`, `user_agent`, `request_User-Agent`; `http_referer`, `referer`, `referrer`, `request_Referer`; `http_host`, `authority`, `RequestHost`, `host`, `request.host`; `http_x_forwarded_for`, `x_forwarded_for`; and Caddy's `request.headers` |

use super::Request;
use crate::parse::{Reject, when::Zone};
use magsentinel_bus_schema::Timestamp;
use serde_json::{Map, Value};
use std::net::SocketAddr;

const TIME: &[&str] = &[
    "time_iso8601",
    "@timestamp",
    "timestamp",
    "startutc",
    "start_time",
    "time_local",
    "time",
    "ts",
    "msec",
];
const CLIENT: &[&str] = &[
    "remote_addr",
    "client_ip",
    "clientip",
    "clienthost",
    "remote_ip",
    "downstream_remote_address",
    "request.remote_ip",
    "client",
    "src_ip",
    "remote_host",
];
const METHOD: &[&str] =
    &["request_method", "requestmethod", "method", "http_method", "verb", "request.method"];
const TARGET: &[&str] =
    &["request_uri", "requestpath", "uri", "path", "url", "uri_path", "request.uri"];
const QUERY: &[&str] = &["args", "query_string", "query"];
const STATUS: &[&str] = &["status", "downstreamstatus", "response_code", "status_code", "code"];
const SENT: &[&str] = &[
    "body_bytes_sent",
    "downstreamcontentsize",
    "bytes_sent",
    "resp_bytes",
    "response_size",
    "size",
    "bytes",
];
const RECEIVED: &[&str] = &["request_length", "requestcontentsize", "bytes_received", "body_size"];
const USER: &[&str] = &["remote_user", "clientusername", "user", "user_id"];
const HEADERS: &[(&str, &[&str])] = &[
    ("user-agent", &["http_user_agent", "user_agent", "request_user-agent"]),
    ("referer", &["http_referer", "referer", "referrer", "request_referer"]),
    ("host", &["http_host", "authority", "requesthost", "host", "request.host"]),
    ("x-forwarded-for", &["http_x_forwarded_for", "x_forwarded_for"]),
];

/// Most headers taken over from a nested object.
const HEADERS_MAX: usize = 64;

pub(super) fn read(line: &str, zone: &Zone) -> Result<Request, Reject> {
    let fields: Map<String, Value> = serde_json::from_str(line)
        .map_err(|e| Reject::new(format!("access line is no JSON object: {e}")))?;
    let fields = Fields(fields.into_iter().map(|(k, v)| (k.to_ascii_lowercase(), v)).collect());
    let mut request = Request {
        ts: fields.first(TIME).and_then(|value| time(value, zone)),
        client: fields.text(CLIENT).map(without_port),
        user: fields.text(USER),
        status: fields.number(STATUS).map(whole),
        resp_bytes: fields.number(SENT).map(whole),
        body_size: fields.number(RECEIVED).map(whole),
        duration_ms: fields.duration_ms(),
        ..Request::default()
    };
    match (fields.text(METHOD), fields.text(TARGET)) {
        (Some(method), Some(target)) => {
            let query = fields.text(QUERY).filter(|_| !target.contains('?'));
            request.method = method;
            request.target = match query {
                Some(query) => format!("{target}?{query}"),
                None => target,
            };
        }
        _ => match fields.text(&["request"]) {
            Some(line) => request.line(&line),
            None => {
                return Err(Reject::new(
                    "JSON access line has no method and path under a known name",
                ));
            }
        },
    }
    nested_headers(&mut request, &fields);
    for (header, names) in HEADERS {
        request.header(header, fields.text(names));
    }
    Ok(request)
}

/// Caddy writes every header as a list.
fn nested_headers(request: &mut Request, fields: &Fields) {
    let Some(Value::Object(headers)) = fields.first(&["request.headers"]) else { return };
    for (name, value) in headers.iter().take(HEADERS_MAX) {
        let value = match value {
            Value::Array(items) => items.first().and_then(Value::as_str),
            other => other.as_str(),
        };
        request.header(&name.to_ascii_lowercase(), value.map(str::to_owned));
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn first(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| match name.split_once('.') {
            None => self.0.get(*name).filter(|v| !v.is_null()),
            Some((outer, inner)) => self.0.get(outer)?.get(inner),
        })
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.first(&[name])? {
            Value::String(s) if !s.is_empty() && s != "-" => Some(s.clone()),
            Value::Number(n) => Some(n.to_string()),
            _ => None,
        })
    }

    fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| match self.first(&[name])? {
            Value::Number(n) => n.as_f64(),
            Value::String(s) => s.parse().ok(),
            _ => None,
        })
    }

    fn duration_ms(&self) -> Option<f64> {
        if let Some(seconds) = self.number(&["request_time"]) {
            return Some(seconds * 1000.0);
        }
        if let Some(ms) = self.number(&["duration_ms", "latency_ms"]) {
            return Some(ms);
        }
        let duration = self.number(&["duration"])?;
        Some(if self.0.contains_key("downstreamstatus") {
            duration / 1e6
        } else if self.0.contains_key("response_code") {
            duration
        } else {
            duration * 1000.0
        })
    }
}

fn time(value: &Value, zone: &Zone) -> Option<Timestamp> {
    match value {
        Value::String(text) => {
            let read = zone.common_log(text).or_else(|| zone.iso(text));
            read.or_else(|| text.parse().ok())
        }
        other => Timestamp::from_value(other).ok(),
    }
}

/// `192.0.2.1:443` and `[2001:db8::1]:443` without the port.
fn without_port(address: String) -> String {
    address.parse::<SocketAddr>().map_or(address, |a| a.ip().to_string())
}

fn whole(n: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = n.round() as u64;
    whole
}
