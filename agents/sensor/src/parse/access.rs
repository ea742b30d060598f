//! Access logs → `api`: common and combined (nginx, Apache), and JSON.
//!
//! A line that begins with `{` is read as JSON, every other as common or combined; one file may
//! hold both. `client` is the peer that the server saw. A forwarded address is the client's own
//! word and stays in `headers` (`x-forwarded-for`).
//!
//! A request that is no HTTP (a TLS greeting on a plain port, a scanner's noise) is an event
//! with an empty `method`, the raw text as `path` and `malformed: true`.

mod combined;
mod json;

use super::{Found, Parsed, Reject, body::Body, when::Zone};
use magsentinel_bus_schema::{Kind, Timestamp};
use serde_json::{Map, Value};

/// Reads access logs.
#[derive(Debug)]
pub struct Parser {
    zone: Zone,
}

/// One request, whatever form it was written in.
#[derive(Debug, Default)]
struct Request {
    ts: Option<Timestamp>,
    client: Option<String>,
    user: Option<String>,
    method: String,
    /// With query.
    target: String,
    malformed: bool,
    headers: Map<String, Value>,
    status: Option<u64>,
    resp_bytes: Option<u64>,
    body_size: Option<u64>,
    duration_ms: Option<f64>,
}

impl Parser {
    /// With the zone of times that carry no offset.
    #[must_use]
    pub fn new(zone: Zone) -> Self {
        Self { zone }
    }

    /// Reads one line.
    pub fn line(&self, text: &str) -> Result<Parsed, Reject> {
        let request = if text.trim_start().starts_with('{') {
            json::read(text, &self.zone)?
        } else {
            combined::read(text, &self.zone)?
        };
        Ok(Parsed::Events(vec![request.found()]))
    }
}

impl Request {
    /// Takes `GET /path?query HTTP/1.1` apart.
    fn line(&mut self, line: &str) {
        let mut parts = line.splitn(2, ' ');
        let method = parts.next().unwrap_or_default();
        let rest = parts.next().unwrap_or_default();
        let target = rest.rsplit_once(" HTTP/").map_or(rest, |(target, _)| target);
        let token = |m: &str| {
            !m.is_empty()
                && m.len() <= 32
                && m.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
        };
        if token(method) && !target.is_empty() {
            self.method = method.to_owned();
            self.target = target.to_owned();
        } else {
            self.malformed = true;
            self.target = line.to_owned();
        }
    }

    fn header(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value.filter(|v| !v.is_empty() && v != "-") {
            self.headers.insert(name.to_owned(), Value::String(value));
        }
    }

    fn found(self) -> Found {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) if !self.malformed => (path, Some(query)),
            _ => (self.target.as_str(), None),
        };
        let headers = Some(self.headers).filter(|h| !h.is_empty());
        let mut body = Body::new()
            .text("client", self.client.as_deref())
            .text("user", self.user.as_deref())
            .value("method", Some(self.method.as_str()))
            .value("path", Some(path))
            .text("query", query)
            .value("headers", headers)
            .value("status", self.status.filter(|s| (100..=999).contains(s)))
            .value("resp_bytes", self.resp_bytes)
            .value("body_size", self.body_size)
            .value("duration_ms", self.duration_ms.filter(|d| d.is_finite() && *d >= 0.0));
        if self.malformed {
            body = body.value("malformed", Some(true));
        }
        Found { kind: Kind::Api, ts: self.ts, body: body.done() }
    }
}

#[cfg(test)]
mod tests;
