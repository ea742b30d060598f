//! Envoy's default text format, and Istio's.
//!
//! ```text
//! [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE%
//! %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%
//! "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%"
//! "%UPSTREAM_HOST%"
//! ```
//!
//! Istio adds two words and a quoted one after the flags, and six words at the end, of which the
//! fourth is the client's address. Envoy's own format names no client: all that it holds is what
//! the client says of itself (`x-forwarded-for`), which stays a header.
//!
//! Envoy does not escape quotes in headers. So a line is read from both ends, and only the agent,
//! in the middle, may hold quotes.

use super::{Request, without_port};
use crate::parse::{Reject, pattern, when::Zone};
use regex::Regex;
use std::sync::LazyLock;

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r#"^\[(?<time>[^\]]+)\] "(?<request>[^"]*)" (?<status>\d{1,3}) \S+"#,
        r#"(?<istio> \S+ \S+ "[^"]*")?(?: "[^"]*" "[^"]*")?"#,
        r#" (?<received>\d+) (?<sent>\d+) (?<duration>\d+|-) (?:\d+|-)"#,
        r#" "(?<forwarded>[^"]*)" "(?<agent>.*)" "[^"]*" "(?<host>[^"]*)" "[^"]*""#,
        r#"(?<tail> \S+ \S+ \S+ (?<client>\S+) \S+ \S+)?$"#
    ))
});

/// Reads one line; `None` is a connection that was no request.
pub(super) fn read(line: &str, zone: &Zone) -> Result<Option<Request>, Reject> {
    let cut =
        || Reject::new("line is not of Envoy's default text format, nor of Istio's, or was cut");
    let parts = LINE.captures(line.trim()).ok_or_else(cut)?;
    let part = |name: &str| {
        parts.name(name).map(|m| m.as_str()).filter(|text| !text.is_empty() && *text != "-")
    };
    let ts = zone.iso(part("time").unwrap_or_default()).ok_or_else(cut)?;
    if part("istio").is_some() && part("tail").is_none() {
        return Err(cut());
    }
    let line = part("request").unwrap_or_default();
    if line.starts_with("- - ") {
        return Ok(None);
    }
    let number = |name: &str| part(name).and_then(|text| text.parse::<u64>().ok());
    let mut request = Request {
        ts: Some(ts),
        client: part("client").map(|address| without_port(address.to_owned())),
        // Zero: the client was gone before there was an answer.
        status: number("status").filter(|status| *status > 0),
        resp_bytes: number("sent"),
        body_size: number("received"),
        duration_ms: part("duration").and_then(|ms| ms.parse().ok()),
        ..Request::default()
    };
    request.line(line);
    for (header, name) in
        [("x-forwarded-for", "forwarded"), ("user-agent", "agent"), ("host", "host")]
    {
        request.header(header, part(name).map(str::to_owned));
    }
    Ok(Some(request))
}
