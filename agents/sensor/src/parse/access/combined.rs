//! `host ident user [time] "request" status bytes "referer" "agent" …`
//!
//! A line that was cut is rejected where that can be seen: by a quote that does not close, a time
//! that is none, or a line that ends before its referer and agent in a file whose lines have
//! both. (Common format ends with a number; nothing tells a number from its beginning.)

use super::Request;
use crate::parse::{Reject, pattern, when::Zone};
use regex::Regex;
use std::{net::IpAddr, sync::LazyLock};

/// The servers escape `"` inside quotes and in names, so that a forged user or request cannot
/// close them, and no field but a quoted one holds a quote.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"^(\S+) (\S+) ((?:[^"\\]|\\.)*?) ?\[([^\]\[]+)\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+|-)"#,
        r#"(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?( .*)?$"#
    ))
});

static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^"((?:[^"\\]|\\.)*)"$"#));

/// Reads one file's lines.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// A line with referer and agent was seen.
    combined: bool,
}

impl Reader {
    pub(super) fn read(&mut self, line: &str, zone: &Zone) -> Result<Request, Reject> {
        let line = without_virtual_host(line.trim());
        let parts = LINE.captures(line).ok_or_else(|| {
            Reject::new(
                "line is neither common nor combined log format, nor Envoy's, nor a JSON object, or \
                 was cut",
            )
        })?;
        let raw = |n: usize| parts.get(n).map(|m| m.as_str());
        let part = |n: usize| raw(n).filter(|s| !s.is_empty() && *s != "-");
        self.check(&parts)?;
        let time = part(4).unwrap_or_default();
        let ts = zone.common_log(time).or_else(|| zone.iso(time));
        if ts.is_none() {
            return Err(Reject::new(format!("{time:?} is no time of an access log")));
        }
        let mut request = Request {
            ts,
            client: part(1).map(str::to_owned),
            user: part(3).map(unescape),
            status: part(6).and_then(|s| s.parse().ok()),
            resp_bytes: part(7).and_then(|s| s.parse().ok()),
            ..Request::default()
        };
        request.line(&unescape(part(5).unwrap_or_default()));
        request.header("referer", part(8).map(unescape));
        request.header("user-agent", part(9).map(unescape));
        extras(&mut request, part(10).unwrap_or_default());
        Ok(request)
    }

    /// Whether the line goes on to its end.
    fn check(&mut self, parts: &regex::Captures<'_>) -> Result<(), Reject> {
        let rest = parts.get(10).map_or("", |m| m.as_str());
        if odd_quotes(rest) {
            return Err(Reject::new("a quote of the line does not close: it was cut"));
        }
        let has_both = parts.get(9).is_some();
        if self.combined && !has_both {
            return Err(Reject::new(
                "line ends before its referer and agent, which lines of this log have: it was cut",
            ));
        }
        self.combined |= has_both;
        Ok(())
    }
}

fn odd_quotes(text: &str) -> bool {
    let mut odd = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => odd = !odd,
            _ => {}
        }
    }
    odd
}

/// Apache's `vhost_combined` puts `name:port` first; then the address is second.
fn without_virtual_host(line: &str) -> &str {
    let Some((first, rest)) = line.split_once(' ') else { return line };
    let second = rest.split(' ').next().unwrap_or_default();
    let addressed = |text: &str| text.parse::<IpAddr>().is_ok();
    if !addressed(first) && addressed(second) { rest } else { line }
}

/// What nginx formats commonly add at the end: a forwarded address in quotes, and the time to
/// answer in seconds, bare with its three decimals or as `rt=` or `request_time=`. Everything
/// else is left alone.
fn extras(request: &mut Request, rest: &str) {
    for word in rest.split_ascii_whitespace() {
        if let Some(quoted) = QUOTED.captures(word).and_then(|c| c.get(1)) {
            let value = quoted.as_str();
            let address = value.split(',').next().is_some_and(|a| a.parse::<IpAddr>().is_ok());
            if address {
                request.header("x-forwarded-for", Some(value.to_owned()));
            }
            continue;
        }
        let named = word.strip_prefix("rt=").or_else(|| word.strip_prefix("request_time="));
        let bare = Some(word).filter(|_| request.duration_ms.is_none());
        // With fewer decimals the line was cut in it.
        let whole =
            named.or(bare).filter(|w| w.rsplit_once('.').is_some_and(|(_, d)| d.len() == 3));
        if let Some(seconds) = whole.and_then(|s| s.parse::<f64>().ok()) {
            request.duration_ms = Some(seconds * 1000.0);
        }
    }
}

/// `\xHH`, `\"`, `\\`, `\n`, `\t`, `\r` back to what the client sent.
pub(in crate::parse) fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        if b != b'\\' {
            bytes.push(b);
            continue;
        }
        let hex = after.get(1..3).filter(|_| after.first() == Some(&b'x'));
        let hex = hex.and_then(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        if let Some(value) = hex {
            bytes.push(value);
            rest = after.get(3..).unwrap_or_default();
        } else if let Some((&c, after)) = after.split_first() {
            bytes.push(match c {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                other => other,
            });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
