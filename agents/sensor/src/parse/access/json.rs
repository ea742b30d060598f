//! Access logs written as JSON, one object a line.
//!
//! There is no standard, so each field is looked for under several names, first match wins. A dot
//! steps into a nested object, or is part of the name. Letter case, `_` and `-` do not matter:
//! `remoteIP`, `remote_ip` and `remote-ip` are one name.
//!
//! | field | names |
//! | --- | --- |
//! | time | `time_iso8601`, `@timestamp`, `timestamp`, `StartUTC`, `start_time`, `time_local`, `time`, `ts`, `msec`; also Apache's `%t` in its brackets |
//! | client | `remote_addr`, `client_ip`, `ClientHost`, `remote_ip`, `remote_address`, `client_addr`, `downstream_remote_address`, `request.remote_ip`, `source.ip`, `client.ip`, `client`, `src_ip`, `remote_host`, `ip` |
//! | method | `request_method`, `method`, `http_method`, `verb`, `request.method`, `http.request.method` |
//! | target | `request_uri`, `request_path`, `uri`, `path`, `url`, `uri_path`, `request.uri`, `url.original`, `url.path`; `request` as a whole request line, or as a path beside a method |
//! | query | `args`, `query_string`, `query`, `url.query`, where the target has none; with or without its `?` |
//! | status | `status`, `DownstreamStatus`, `response_code`, `status_code`, `response`, `code`, `http.response.status_code` |
//! | bytes sent | `body_bytes_sent`, `DownstreamContentSize`, `bytes_sent`, `resp_bytes`, `response_size`, `size`, `bytes`, `http.response.body.bytes` |
//! | bytes received | `request_length`, `RequestContentSize`, `bytes_received`, `body_size` |
//! | duration | `request_time` (seconds), `duration_ms`, `latency_ms`; `duration` in Envoy's milliseconds beside `response_code`, in Traefik's nanoseconds beside `DownstreamStatus`, in Caddy's seconds beside a `request` object; anywhere else its unit is not known, and it is left out |
//! | user | `remote_user`, `ClientUsername`, `user`, `user_id`, `user.name` |
//! | headers | `http_user_agent`, `user_agent`, `agent`, `request_User-Agent`, `user_agent.original`; `http_referer`, `referer`, `referrer`, `request_Referer`; `http_host`, `authority`, `RequestHost`, `host`, `vhost`, `virtual_host`, `server_name`, `request.host`; `http_x_forwarded_for`, `x_forwarded_for`, `forwarded_for`; and Caddy's `request.headers` |
//!
//! Apache, and nginx without `escape=json`, write bytes that are no text as `\xHH`, which is no
//! JSON: that is read all the same, because whoever sends such a byte would not be seen otherwise.

use super::{Request, without_port};
use crate::parse::{Reject, when::Zone};
use magsentinel_bus_schema::Timestamp;
use serde_json::{Map, Value};

const TIME: &[&str] = &[
    "timeiso8601",
    "@timestamp",
    "timestamp",
    "startutc",
    "starttime",
    "timelocal",
    "time",
    "ts",
    "msec",
];
const CLIENT: &[&str] = &[
    "remoteaddr",
    "clientip",
    "clienthost",
    "remoteip",
    "remoteaddress",
    "clientaddr",
    "downstreamremoteaddress",
    "request.remoteip",
    "source.ip",
    "client.ip",
    "client",
    "srcip",
    "remotehost",
    "ip",
];
const METHOD: &[&str] =
    &["requestmethod", "method", "httpmethod", "verb", "request.method", "http.request.method"];
const TARGET: &[&str] = &[
    "requesturi",
    "requestpath",
    "uri",
    "path",
    "url",
    "uripath",
    "request.uri",
    "url.original",
    "url.path",
];
const QUERY: &[&str] = &["args", "querystring", "query", "url.query"];
const STATUS: &[&str] = &[
    "status",
    "downstreamstatus",
    "responsecode",
    "statuscode",
    "response",
    "code",
    "http.response.statuscode",
];
const SENT: &[&str] = &[
    "bodybytessent",
    "downstreamcontentsize",
    "bytessent",
    "respbytes",
    "responsesize",
    "size",
    "bytes",
    "http.response.body.bytes",
];
const RECEIVED: &[&str] = &["requestlength", "requestcontentsize", "bytesreceived", "bodysize"];
const USER: &[&str] = &["remoteuser", "clientusername", "user", "userid", "user.name"];
const HEADERS: &[(&str, &[&str])] = &[
    (
        "user-agent",
        &["httpuseragent", "useragent", "agent", "requestuseragent", "useragent.original"],
    ),
    ("referer", &["httpreferer", "referer", "referrer", "requestreferer"]),
    (
        "host",
        &[
            "httphost",
            "authority",
            "requesthost",
            "host",
            "vhost",
            "virtualhost",
            "servername",
            "request.host",
        ],
    ),
    ("x-forwarded-for", &["httpxforwardedfor", "xforwardedfor", "forwardedfor"]),
];

/// Most headers taken over from a nested object.
const HEADERS_MAX: usize = 64;

pub(super) fn read(line: &str, zone: &Zone) -> Result<Request, Reject> {
    let fields = Fields::read(line)?;
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
    let line = fields.text(&["request"]);
    // Beside a method, `request` is a path.
    let path = || line.clone().filter(|text| text.starts_with('/') && !text.contains(' '));
    match (fields.text(METHOD), fields.text(TARGET).or_else(path), line) {
        (Some(method), Some(target), _) => {
            let query = fields.text(QUERY).filter(|_| !target.contains('?'));
            let query = query.map(|query| query.trim_start_matches('?').to_owned());
            request.method = method;
            request.target = match query.filter(|query| !query.is_empty()) {
                Some(query) => format!("{target}?{query}"),
                None => target,
            };
        }
        (_, _, Some(line)) => request.line(&line),
        _ => {
            return Err(Reject::new("JSON access line has no method and path under a known name"));
        }
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
    fn read(line: &str) -> Result<Self, Reject> {
        let read = serde_json::from_str(line).or_else(|error| {
            let repaired = repaired(line).ok_or(error)?;
            serde_json::from_str(&repaired)
        });
        let fields: Map<String, Value> =
            read.map_err(|e| Reject::new(format!("access line is no JSON object: {e}")))?;
        Ok(Self(fields.into_iter().map(|(name, value)| (plain(&name), value)).collect()))
    }

    fn first(&self, names: &[&str]) -> Option<&Value> {
        let found = |name: &&str| self.0.get(*name).or_else(|| nested(&self.0, name));
        names.iter().filter_map(found).find(|value| !value.is_null())
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
        if let Some(seconds) = self.number(&["requesttime"]) {
            return Some(seconds * 1000.0);
        }
        if let Some(ms) = self.number(&["durationms", "latencyms"]) {
            return Some(ms);
        }
        let duration = self.number(&["duration"])?;
        if self.0.contains_key("downstreamstatus") {
            Some(duration / 1e6)
        } else if self.0.contains_key("responsecode") {
            Some(duration)
        } else {
            let caddy = self.0.get("request").is_some_and(Value::is_object);
            caddy.then_some(duration * 1000.0)
        }
    }
}

/// A name without what does not matter in it.
fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '_' | '-'));
    kept.flat_map(char::to_lowercase).collect()
}

/// Steps into nested objects, whose names are as they came.
fn nested<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let (outer, inner) = name.split_once('.')?;
    let of = |map: &'a Map<String, Value>, name: &str| {
        map.iter().find(|(key, _)| plain(key) == name).map(|(_, value)| value)
    };
    let Value::Object(map) = of(fields, outer)? else { return None };
    of(map, inner).or_else(|| nested(map, inner))
}

/// `\xHH` as the byte that it stands for; `None` when the line holds none.
fn repaired(line: &str) -> Option<String> {
    if !line.contains("\\x") {
        return None;
    }
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(1..3).filter(|_| first == b'\\' && after.first() == Some(&b'x'));
        let hex = hex.and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        if let Some(byte) = hex {
            match byte {
                0x80.. => bytes.push(byte),
                _ => bytes.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            }
            rest = after.get(3..).unwrap_or_default();
            continue;
        }
        bytes.push(first);
        rest = after;
        // What is escaped is no beginning of an escape.
        if first == b'\\'
            && let Some((&second, after)) = rest.split_first()
        {
            bytes.push(second);
            rest = after;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn time(value: &Value, zone: &Zone) -> Option<Timestamp> {
    match value {
        Value::String(text) => {
            let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
            let read = zone.common_log(bare).or_else(|| zone.iso(bare));
            read.or_else(|| bare.parse().ok())
        }
        other => Timestamp::from_value(other).ok(),
    }
}

fn whole(n: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = n.round() as u64;
    whole
}
