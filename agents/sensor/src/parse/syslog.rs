//! The frame of a syslog line: time, host, program, message.

use super::{Reject, pattern, when::Zone};
use magsentinel_bus_schema::Timestamp;
use regex::Regex;
use std::sync::LazyLock;

/// A syslog line in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When; `None` when the time cannot be understood.
    pub ts: Option<Timestamp>,
    /// Host that wrote it.
    pub host: &'a str,
    /// Program with its process id, as written: `sshd[24200]`.
    pub tag: &'a str,
    /// Program: `sshd`.
    pub program: &'a str,
    /// The message.
    pub message: &'a str,
}

/// An optional priority, then the time in either form, the host, and the rest.
static FRAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:<\d{1,3}>)?",
        r"(?:([A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d)|",
        r"(\d{4}-\d\d-\d\dT[0-9:.,]+(?:Z|[+-]\d\d:?\d\d)?))",
        r" +(\S+) (.*)$"
    ))
});

/// `program[pid]: message`; the program's name may hold parentheses and slashes.
static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(([^\s:\[]+)(?:\[\d+\])?): ?(.*)$"));

/// Splits a line. `None` is a line of syslog itself, without a program: `last message repeated
/// 3 times`, `-- MARK --`.
pub fn split<'a>(
    line: &'a str,
    received: Timestamp,
    zone: &Zone,
) -> Result<Option<Line<'a>>, Reject> {
    let frame = FRAME.captures(line);
    let frame = frame.ok_or_else(|| {
        Reject::new(
            "line does not begin with a syslog time and host (Mmm dd hh:mm:ss, or RFC 3339)",
        )
    })?;
    let part = |n| frame.get(n).map(|m| m.as_str());
    let ts = match (part(1), part(2)) {
        (Some(classic), _) => zone.syslog(classic, received),
        (_, Some(iso)) => zone.iso(&iso.replace(',', ".")),
        _ => None,
    };
    let rest = part(4).unwrap_or_default();
    let Some(tag) = TAG.captures(rest) else {
        if rest.starts_with("last message repeated") || rest.starts_with("-- ") {
            return Ok(None);
        }
        return Err(Reject::new("line names no program (program[pid]: message)"));
    };
    let part = |n| tag.get(n).map(|m| m.as_str()).unwrap_or_default();
    let host = frame.get(3).map(|m| m.as_str()).unwrap_or_default();
    Ok(Some(Line { ts, host, tag: part(1), program: part(2), message: part(3) }))
}
