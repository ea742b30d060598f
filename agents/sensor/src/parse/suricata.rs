//! Suricata's `eve.json` → `flow`, `dns` and `api`.
//!
//! | `event_type` | event |
//! | --- | --- |
//! | `flow` | `flow`, `evidence` is `flow`; the bytes are those of whole packets, as Suricata counts them |
//! | `tls` | `flow` with the name, version and fingerprint of the handshake and without bytes, `evidence` is `tls`; whoever counts connections counts one `evidence` |
//! | `dns` | `dns`; a query and its answer are an event each, and `evidence` says which |
//! | `http` | `api` |
//!
//! Alerts are not taken over: the mesh draws its own conclusions. They and all other types are
//! skipped and counted.

use super::{
    Found, Parsed, Reject,
    body::Body,
    zeek::{headers, query, request},
};
use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use serde_json::Value;

/// Reads one line.
pub fn line(text: &str) -> Result<Parsed, Reject> {
    let event: Value = serde_json::from_str(text)
        .map_err(|e| Reject::new(format!("line is no JSON object: {e}")))?;
    let eve = Eve(&event);
    let Some(what) = eve.text("event_type") else {
        return Err(Reject::new("line has no event_type: it is not of Suricata's eve.json"));
    };
    let ts = eve.time("timestamp");
    let found = |kind, ts, body| Ok(Parsed::Events(vec![Found { kind, ts, body }]));
    match what {
        "flow" => found(Kind::Flow, eve.time("flow.start").or(ts), eve.flow()),
        "tls" => found(Kind::Flow, ts, eve.tls()),
        "dns" => match eve.dns() {
            Some(body) => found(Kind::Dns, ts, body),
            None => Ok(Parsed::Skipped("no_query")),
        },
        "http" if eve.text("http.http_method").is_none() => Ok(Parsed::Skipped("no_request")),
        "http" => found(Kind::Api, ts, eve.http()),
        "alert" => Ok(Parsed::Skipped("alert")),
        _ => Ok(Parsed::Skipped("other_event")),
    }
}

/// One event.
struct Eve<'a>(&'a Value);

impl<'a> Eve<'a> {
    /// A dot steps into an object.
    fn field(&self, name: &str) -> Option<&'a Value> {
        name.split('.').try_fold(self.0, |value, name| value.get(name))
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.field(name)?.as_str().filter(|text| !text.is_empty())
    }

    fn whole(&self, name: &str) -> Option<u64> {
        self.field(name)?.as_u64()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name)?.parse().ok()
    }

    /// Both ends of the connection.
    fn ends(&self) -> Body {
        Body::new()
            .text("src_ip", self.text("src_ip"))
            .value("src_port", self.whole("src_port"))
            .text("dst_ip", self.text("dest_ip"))
            .value("dst_port", self.whole("dest_port"))
            .text("proto", self.text("proto").map(str::to_lowercase).as_deref())
            .value("flow_id", self.whole("flow_id"))
    }

    fn flow(&self) -> Fields {
        let known = |service: &&str| !matches!(*service, "failed" | "unknown");
        let times = self.time("flow.start").zip(self.time("flow.end"));
        let duration = times.map(|(start, end)| end.since(start).as_secs_f64());
        self.ends()
            .text("service", self.text("app_proto").filter(known))
            .value("duration", duration)
            .value("orig_bytes", self.whole("flow.bytes_toserver"))
            .value("resp_bytes", self.whole("flow.bytes_toclient"))
            .value("orig_pkts", self.whole("flow.pkts_toserver"))
            .value("resp_pkts", self.whole("flow.pkts_toclient"))
            .text("state", self.text("flow.state"))
            .text("evidence", "flow")
            .done()
    }

    fn tls(&self) -> Fields {
        self.ends()
            .text("service", "tls")
            .text("server_name", self.text("tls.sni"))
            .text("tls_version", self.text("tls.version"))
            .text("ja3", self.text("tls.ja3.hash"))
            .text("ja3s", self.text("tls.ja3s.hash"))
            .text("evidence", "tls")
            .done()
    }

    /// `None` when no name was asked for.
    fn dns(&self) -> Option<Fields> {
        // Since version 8 the questions are a list.
        let first = self.field("dns.queries").and_then(|queries| queries.get(0));
        let asked = first.map_or_else(|| self.field("dns"), Some)?;
        let asked = |name: &str| asked.get(name).and_then(Value::as_str);
        let answer = matches!(self.text("dns.type"), Some("answer" | "response"));
        // Some versions tell the answer's own direction.
        let back = self.whole("src_port") == Some(53) && self.whole("dest_port") != Some(53);
        let client = self.text(if back { "dest_ip" } else { "src_ip" });
        let answers = self.field("dns.answers").and_then(Value::as_array).map_or(0, Vec::len);
        let body = query(client, asked("rrname")?)
            .text("qtype", asked("rrtype"))
            .text("rcode", self.text("dns.rcode").filter(|_| answer))
            .value("n_answers", answer.then_some(answers as u64))
            .text("evidence", if answer { "answer" } else { "query" });
        Some(body.done())
    }

    fn http(&self) -> Fields {
        request(self.text("http.url").unwrap_or_default())
            .text("client", self.text("src_ip"))
            .value("method", self.text("http.http_method"))
            .value(
                "headers",
                headers(&[
                    ("host", self.text("http.hostname")),
                    ("user-agent", self.text("http.http_user_agent")),
                    ("referer", self.text("http.http_refer")),
                ]),
            )
            .value("status", self.whole("http.status").filter(|s| (100..=999).contains(s)))
            .value("resp_bytes", self.whole("http.length"))
            .done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event_type: &str, more: Value) -> Result<Parsed, Reject> {
        let mut event = json!({
            "timestamp": "2026-11-21T10:00:05.500000+0000", "flow_id": 7, "event_type": event_type,
            "src_ip": "192.0.2.7", "src_port": 52222, "dest_ip": "203.0.113.9", "dest_port": 443,
            "proto": "TCP"
        });
        if let (Some(all), Value::Object(more)) = (event.as_object_mut(), more) {
            all.extend(more);
        }
        line(&event.to_string())
    }

    fn found(event_type: &str, more: Value) -> (Kind, Option<String>, Value) {
        match read(event_type, more) {
            Ok(Parsed::Events(mut found)) => {
                let found = found.remove(0);
                (found.kind, found.ts.map(|t| t.to_string()), Value::Object(found.body.0))
            }
            other => panic!("{event_type}: {other:?}"),
        }
    }

    #[test]
    fn flows_and_handshakes_are_read() {
        let flow = json!({
            "app_proto": "tls", "flow": {
                "pkts_toserver": 18, "pkts_toclient": 14, "bytes_toserver": 1030,
                "bytes_toclient": 20275, "start": "2026-11-21T10:00:00.000000+0000",
                "end": "2026-11-21T10:00:02.250000+0000", "age": 2, "state": "closed"
            }
        });
        let want = json!({
            "src_ip": "192.0.2.7", "src_port": 52222, "dst_ip": "203.0.113.9", "dst_port": 443,
            "proto": "tcp", "flow_id": 7, "service": "tls", "duration": 2.25, "orig_bytes": 1030,
            "resp_bytes": 20275, "orig_pkts": 18, "resp_pkts": 14, "state": "closed",
            "evidence": "flow"
        });
        assert_eq!(
            found("flow", flow),
            (Kind::Flow, Some("2026-11-21T10:00:00Z".to_owned()), want)
        );
        let (kind, _, body) =
            found("tls", json!({"tls": {"sni": "shop.example", "ja3": {"hash": "ab"}}}));
        assert_eq!((kind, &body["server_name"]), (Kind::Flow, &json!("shop.example")));
        assert_eq!((&body["ja3"], &body["evidence"]), (&json!("ab"), &json!("tls")));
    }

    #[test]
    fn names_asked_for_are_read_in_every_version() {
        let question = json!({"dns": {"type": "query", "rrname": "a.shop.example", "rrtype": "A"}});
        let (kind, _, body) = found("dns", question);
        let want = json!({
            "src_ip": "192.0.2.7", "qname": "a.shop.example", "host_part": "a", "qtype": "A",
            "evidence": "query"
        });
        assert_eq!((kind, body), (Kind::Dns, want));
        let answer = json!({
            "src_ip": "203.0.113.53", "src_port": 53, "dest_ip": "192.0.2.7", "dest_port": 52222,
            "dns": {"version": 3, "type": "response", "rcode": "NXDOMAIN",
                    "queries": [{"rrname": "a.shop.example", "rrtype": "A"}]}
        });
        let (_, _, body) = found("dns", answer);
        let want = json!({
            "src_ip": "192.0.2.7", "qname": "a.shop.example", "host_part": "a", "qtype": "A",
            "rcode": "NXDOMAIN", "n_answers": 0, "evidence": "answer"
        });
        assert_eq!(body, want);
    }

    #[test]
    fn requests_are_read_and_alerts_left_alone() {
        let http = json!({"http": {
            "hostname": "shop.example", "url": "/a?b=c", "http_user_agent": "curl/8.5",
            "http_method": "GET", "protocol": "HTTP/1.1", "status": 200, "length": 12
        }});
        let (kind, ts, body) = found("http", http);
        let want = json!({
            "client": "192.0.2.7", "method": "GET", "path": "/a", "query": "b=c", "status": 200,
            "resp_bytes": 12, "headers": {"host": "shop.example", "user-agent": "curl/8.5"}
        });
        assert_eq!((kind, ts.as_deref(), body), (Kind::Api, Some("2026-11-21T10:00:05.5Z"), want));
        assert_eq!(read("alert", json!({})), Ok(Parsed::Skipped("alert")));
        assert_eq!(read("stats", json!({})), Ok(Parsed::Skipped("other_event")));
        for bad in ["{}", "[]", "{\"event_type\":\"flow\"", "words"] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }
}
