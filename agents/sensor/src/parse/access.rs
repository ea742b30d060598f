//! Access logs → `api`: common and combined (nginx, Apache), Envoy's and Istio's text, and JSON.
//!
//! A line that begins with `{` is read as JSON, one that begins with `[` as Envoy's, every other
//! as common or combined; one file may hold all of them. `client` is the peer that the server
//! saw; a host name in its place (`HostnameLookups`) is claimed, because names are not acted on.
//! A forwarded address is the client's own word and stays in `headers` (`x-forwarded-for`).
//!
//! A request that is no HTTP (a TLS greeting on a plain port, a scanner's noise) is an event
//! with an empty `method`, the raw text as `path` and `malformed: true`.

mod combined;
mod envoy;
mod json;

pub(super) use combined::unescape;

use super::{Found, Parsed, Reject, body::Body, when::Zone};
use magsentinel_bus_schema::{Kind, Timestamp, entity::CLAIMED};
use serde_json::{Map, Value};
use std::net::{IpAddr, SocketAddr};

/// Reads access logs.
#[derive(Debug)]
pub struct Parser {
    zone: Zone,
    combined: combined::Reader,
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
        Self { zone, combined: combined::Reader::default() }
    }

    /// Reads one line.
    pub fn line(&mut self, text: &str) -> Result<Parsed, Reject> {
        let request = match text.trim_start().bytes().next() {
            Some(b'{') => json::read(text, &self.zone)?,
            Some(b'[') => match envoy::read(text, &self.zone)? {
                Some(request) => request,
                None => return Ok(Parsed::Skipped("tcp_connection")),
            },
            _ => self.combined.read(text, &self.zone)?,
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
        // A socket of the same host has no address.
        let client = self.client.filter(|client| !client.is_empty() && client != "unix:");
        let named = client.as_ref().is_some_and(|client| client.parse::<IpAddr>().is_err());
        let headers = Some(self.headers).filter(|h| !h.is_empty());
        let mut body = Body::new()
            .text("client", client.as_deref())
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
        if named {
            body = body.value(CLAIMED, Some(vec!["client"]));
        }
        Found { kind: Kind::Api, ts: self.ts, body: body.done() }
    }
}

/// `192.0.2.1:443` and `[2001:db8::1]:443` without the port.
fn without_port(address: String) -> String {
    address.parse::<SocketAddr>().map_or(address, |a| a.ip().to_string())
}

#[cfg(test)]
mod tests;
