//! Zeek's `conn`, `dns`, `http` and `ssl` logs → `flow`, `dns` and `api`, as tab separated values
//! with their header or as JSON lines.
//!
//! | log | event |
//! | --- | --- |
//! | `conn` | `flow`, `evidence` is `conn` |
//! | `ssl` | `flow` with the name, version and fingerprints of the handshake and without bytes, `evidence` is `ssl`; whoever counts connections counts one `evidence` |
//! | `dns` | `dns` |
//! | `http` | `api` |
//!
//! A line of tab separated values means nothing without its file's header (`#path`, `#fields`), so
//! the tail reads that again after a restart. A JSON line may name its log in `_path`; else its
//! fields tell which it is.

use super::{Found, Parsed, Reject, body::Body};
use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use serde_json::{Map, Value};

/// Reads Zeek's logs.
#[derive(Debug, Default)]
pub struct Parser {
    header: Header,
}

/// What the lines that begin with `#` have said.
#[derive(Debug)]
struct Header {
    separator: String,
    set_separator: String,
    empty: String,
    unset: String,
    path: String,
    fields: Vec<String>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            separator: "\t".to_owned(),
            set_separator: ",".to_owned(),
            empty: "(empty)".to_owned(),
            unset: "-".to_owned(),
            path: String::new(),
            fields: Vec::new(),
        }
    }
}

impl Parser {
    /// Before any header.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one line.
    pub fn line(&mut self, text: &str) -> Result<Parsed, Reject> {
        if let Some(header) = text.strip_prefix('#') {
            self.header.read(header);
            return Ok(Parsed::Skipped("header"));
        }
        let (path, fields) = match text.starts_with('{') {
            true => json(text)?,
            false => (self.header.path.clone(), self.header.fields_of(text)?),
        };
        let row = Row { fields, set_separator: &self.header.set_separator };
        let (kind, body) = match path.as_str() {
            "conn" => (Kind::Flow, row.conn()),
            "ssl" => (Kind::Flow, row.ssl()),
            "dns" if row.text("query").is_none() => return Ok(Parsed::Skipped("no_query")),
            "dns" => (Kind::Dns, row.dns()),
            "http" if row.text("method").is_none() => return Ok(Parsed::Skipped("no_request")),
            "http" => (Kind::Api, row.http()),
            _ => return Ok(Parsed::Skipped("other_log")),
        };
        Ok(Parsed::Events(vec![Found { kind, ts: row.ts(), body }]))
    }
}

impl Header {
    fn read(&mut self, line: &str) {
        // This line alone is separated by a blank: it says by what the others are.
        if let Some(separator) = line.strip_prefix("separator ") {
            let hex = separator.trim().strip_prefix("\\x");
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            self.separator = byte.map_or(separator.to_owned(), |b| char::from(b).to_string());
            return;
        }
        let Some((name, value)) = line.split_once(self.separator.as_str()) else { return };
        match name {
            "set_separator" => self.set_separator = value.to_owned(),
            "empty_field" => self.empty = value.to_owned(),
            "unset_field" => self.unset = value.to_owned(),
            "path" => self.path = value.to_owned(),
            "fields" => {
                self.fields = value.split(self.separator.as_str()).map(str::to_owned).collect();
            }
            _ => {}
        }
    }

    fn fields_of(&self, line: &str) -> Result<Map<String, Value>, Reject> {
        if self.fields.is_empty() {
            return Err(Reject::new(
                "line is no JSON, and no #fields of a Zeek log came before it",
            ));
        }
        let cells: Vec<&str> = line.split(self.separator.as_str()).collect();
        if cells.len() != self.fields.len() {
            return Err(Reject::new(format!(
                "line has {} fields, its header {}: it was cut",
                cells.len(),
                self.fields.len()
            )));
        }
        let told = |cell: &&str| **cell != self.unset && **cell != self.empty;
        let told = self.fields.iter().zip(cells).filter(|(_, cell)| told(cell));
        Ok(told.map(|(name, cell)| (name.clone(), super::access::unescape(cell).into())).collect())
    }
}

/// A JSON line, and which log it is of.
fn json(text: &str) -> Result<(String, Map<String, Value>), Reject> {
    let fields: Map<String, Value> = serde_json::from_str(text)
        .map_err(|e| Reject::new(format!("line is no JSON object: {e}")))?;
    if let Some(path) = fields.get("_path").and_then(Value::as_str) {
        return Ok((path.to_owned(), fields));
    }
    let has = |name: &str| fields.contains_key(name);
    let path = if has("conn_state") {
        "conn"
    } else if has("qtype_name") || has("query") && has("trans_id") {
        "dns"
    } else if has("trans_depth") && has("uri") {
        "http"
    } else if has("established") && (has("cipher") || has("server_name") || has("version")) {
        "ssl"
    } else {
        ""
    };
    Ok((path.to_owned(), fields))
}

/// One line's fields.
struct Row<'a> {
    fields: Map<String, Value>,
    set_separator: &'a str,
}

impl Row<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// As JSON writes it, or as text.
    fn number(&self, name: &str) -> Option<f64> {
        match self.fields.get(name)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        }
        .filter(|n: &f64| n.is_finite() && *n >= 0.0)
    }

    fn whole(&self, name: &str) -> Option<u64> {
        match self.fields.get(name)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        }
    }

    fn ts(&self) -> Option<Timestamp> {
        Timestamp::from_value(self.fields.get("ts")?).ok()
    }

    /// Both ends of the connection.
    fn ends(&self) -> Body {
        Body::new()
            .text("src_ip", self.text("id.orig_h"))
            .value("src_port", self.whole("id.orig_p"))
            .text("dst_ip", self.text("id.resp_h"))
            .value("dst_port", self.whole("id.resp_p"))
            .text("uid", self.text("uid"))
    }

    fn conn(&self) -> Fields {
        self.ends()
            .text("proto", self.text("proto"))
            .text("service", self.text("service"))
            .value("duration", self.number("duration"))
            .value("orig_bytes", self.whole("orig_bytes"))
            .value("resp_bytes", self.whole("resp_bytes"))
            .value("orig_pkts", self.whole("orig_pkts"))
            .value("resp_pkts", self.whole("resp_pkts"))
            .text("conn_state", self.text("conn_state"))
            .text("history", self.text("history"))
            .text("evidence", "conn")
            .done()
    }

    fn ssl(&self) -> Fields {
        self.ends()
            .text("proto", "tcp")
            .text("service", "ssl")
            .text("server_name", self.text("server_name"))
            .text("tls_version", self.text("version"))
            .text("cipher", self.text("cipher"))
            .text("ja3", self.text("ja3"))
            .text("ja3s", self.text("ja3s"))
            .text("evidence", "ssl")
            .done()
    }

    fn dns(&self) -> Fields {
        let qname = self.text("query").unwrap_or_default();
        let answers = match self.fields.get("answers") {
            Some(Value::Array(answers)) => answers.len(),
            Some(Value::String(answers)) => answers.split(self.set_separator).count(),
            _ => 0,
        };
        query(self.text("id.orig_h"), qname)
            .text("qtype", self.text("qtype_name"))
            .text("rcode", self.text("rcode_name"))
            .value("n_answers", Some(answers as u64))
            .done()
    }

    fn http(&self) -> Fields {
        request(self.text("uri").unwrap_or_default())
            .text("client", self.text("id.orig_h"))
            .text("user", self.text("username"))
            .value("method", self.text("method"))
            .value(
                "headers",
                headers(&[
                    ("host", self.text("host")),
                    ("user-agent", self.text("user_agent")),
                    ("referer", self.text("referrer")),
                ]),
            )
            .value("body_size", self.whole("request_body_len"))
            .value("status", self.whole("status_code").filter(|s| (100..=999).contains(s)))
            .value("resp_bytes", self.whole("response_body_len"))
            .done()
    }
}

/// A body of `dns`: who asked for which name, and its labels left of the last two.
pub(super) fn query(client: Option<&str>, qname: &str) -> Body {
    let qname = qname.trim_end_matches('.');
    let mut right = qname.rmatch_indices('.').map(|(at, _)| at);
    let host = right.nth(1).and_then(|at| qname.get(..at)).unwrap_or_default();
    let root = if qname.is_empty() { "." } else { qname };
    Body::new().text("src_ip", client).text("qname", root).text("host_part", host)
}

/// A body of `api` with the path and query of a URI.
pub(super) fn request(uri: &str) -> Body {
    let (path, query) =
        uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
    Body::new().value("path", Some(path)).text("query", query)
}

/// Headers, where there are any.
pub(super) fn headers(told: &[(&str, Option<&str>)]) -> Option<Map<String, Value>> {
    let told = told.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.into())));
    Some(told.collect::<Map<_, _>>()).filter(|headers| !headers.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(parser: &mut Parser, line: &str) -> (Kind, Option<String>, Value) {
        match parser.line(line) {
            Ok(Parsed::Events(mut found)) => {
                let found = found.remove(0);
                (found.kind, found.ts.map(|t| t.to_string()), Value::Object(found.body.0))
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    fn with_header(path: &str, fields: &str) -> Parser {
        let mut parser = Parser::new();
        for line in [
            "#separator \\x09",
            "#set_separator\t,",
            "#empty_field\t(empty)",
            "#unset_field\t-",
            &format!("#path\t{path}"),
            "#open\t2026-11-21-10-00-00",
            &format!("#fields\t{}", fields.replace(' ', "\t")),
        ] {
            assert_eq!(parser.line(line), Ok(Parsed::Skipped("header")));
        }
        parser
    }

    #[test]
    fn connections_are_flows_in_either_form() {
        let mut tsv = with_header(
            "conn",
            "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes \
             resp_bytes conn_state history orig_pkts resp_pkts tunnel_parents",
        );
        let line = "1795255200.500000\tCk\t192.0.2.7\t52222\t203.0.113.9\t443\ttcp\thttp,ssl\t0.084044\
                    \t1030\t20275\tSF\tShADadFf\t18\t14\t(empty)";
        let json_line = json!({
            "ts": 1_795_255_200.5, "uid": "Ck", "id.orig_h": "192.0.2.7", "id.orig_p": 52222,
            "id.resp_h": "203.0.113.9", "id.resp_p": 443, "proto": "tcp", "service": "http,ssl",
            "duration": 0.084_044, "orig_bytes": 1030, "resp_bytes": 20275, "conn_state": "SF",
            "history": "ShADadFf", "orig_pkts": 18, "resp_pkts": 14
        });
        let want = json!({
            "src_ip": "192.0.2.7", "src_port": 52222, "dst_ip": "203.0.113.9", "dst_port": 443,
            "uid": "Ck", "proto": "tcp", "service": "http,ssl", "duration": 0.084_044,
            "orig_bytes": 1030, "resp_bytes": 20275, "orig_pkts": 18, "resp_pkts": 14,
            "conn_state": "SF", "history": "ShADadFf", "evidence": "conn"
        });
        let when = Some("2026-11-21T10:00:00.5Z".to_owned());
        assert_eq!(read(&mut tsv, line), (Kind::Flow, when.clone(), want.clone()));
        assert_eq!(read(&mut Parser::new(), &json_line.to_string()), (Kind::Flow, when, want));
        let unset = line.replace("http,ssl\t0.084044\t1030", "-\t-\t-");
        let (_, _, body) = read(&mut tsv, &unset);
        assert_eq!((body.get("service"), body.get("duration")), (None, None));
        assert!(tsv.line(&line[..60]).unwrap_err().0.contains("cut"));
        assert!(Parser::new().line(line).unwrap_err().0.contains("#fields"));
    }

    #[test]
    fn names_asked_for_and_handshakes_are_read() {
        let mut tsv =
            with_header("dns", "ts id.orig_h query qtype_name rcode_name answers rejected");
        let (kind, _, body) = read(
            &mut tsv,
            "1795255200.5\t192.0.2.7\ta.b.shop.example\tA\tNOERROR\t1.2.3.4,1.2.3.5\tF",
        );
        let want = json!({
            "src_ip": "192.0.2.7", "qname": "a.b.shop.example", "host_part": "a.b", "qtype": "A",
            "rcode": "NOERROR", "n_answers": 2
        });
        assert_eq!((kind, body), (Kind::Dns, want));
        let none = "1795255200.5\t192.0.2.7\t-\t-\t-\t-\tF";
        assert_eq!(tsv.line(none), Ok(Parsed::Skipped("no_query")));
        let line = json!({
            "ts": 1_795_255_200.5, "id.orig_h": "192.0.2.7", "id.resp_h": "203.0.113.9",
            "id.resp_p": 443, "version": "TLSv13", "cipher": "TLS_AES_128_GCM_SHA256",
            "server_name": "shop.example", "established": true
        });
        let (kind, _, body) = read(&mut Parser::new(), &line.to_string());
        assert_eq!((kind, &body["service"]), (Kind::Flow, &json!("ssl")));
        assert_eq!(
            (&body["server_name"], &body["evidence"]),
            (&json!("shop.example"), &json!("ssl"))
        );
    }

    #[test]
    fn requests_are_read_and_other_logs_skipped() {
        let mut tsv = with_header(
            "http",
            "ts id.orig_h method host uri user_agent request_body_len response_body_len status_code",
        );
        let line = "1795255200.5\t192.0.2.7\tGET\tshop.example\t/a?b=\\x27\tcurl/8.5\t0\t12\t200";
        let (kind, _, body) = read(&mut tsv, line);
        let want = json!({
            "client": "192.0.2.7", "method": "GET", "path": "/a", "query": "b='", "body_size": 0,
            "status": 200, "resp_bytes": 12,
            "headers": {"host": "shop.example", "user-agent": "curl/8.5"}
        });
        assert_eq!((kind, body), (Kind::Api, want));
        let mut weird = with_header("weird", "ts name");
        assert_eq!(weird.line("1.0\tx"), Ok(Parsed::Skipped("other_log")));
    }
}
