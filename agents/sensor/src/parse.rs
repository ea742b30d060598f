//! Log lines to bodies. Every parser is pure: a line and its receipt time in, what it says out.
//!
//! A line is one of three things: events; well-formed and of no interest (*skipped*, counted by
//! reason); or not to be understood (*rejected*, which the tail publishes as a dead letter).

pub mod access;
pub mod body;
pub mod postgres;
pub mod recent;
pub mod sshd;
pub mod statement;
pub mod suricata;
pub mod syslog;
pub mod when;
pub mod zeek;

use crate::{Format, Tail};
use magsentinel_bus_schema::{Fields, Kind, Timestamp};
use regex::Regex;

/// One event that a line tells of.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its kind.
    pub kind: Kind,
    /// The time that the line gives; `None` when it gives none that can be understood.
    pub ts: Option<Timestamp>,
    /// Its body, in the field names of its kind.
    pub body: Fields,
}

/// What a well-formed line is.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// Events, at least one.
    Events(Vec<Found>),
    /// Of no interest, and why: one of a small fixed set of reasons, fit for counting.
    Skipped(&'static str),
}

impl Parsed {
    /// The events, or the reason when there are none.
    #[must_use]
    pub fn events_or(events: Vec<Found>, reason: &'static str) -> Self {
        if events.is_empty() { Self::Skipped(reason) } else { Self::Events(events) }
    }
}

/// A line that cannot be understood: what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Reject(pub String);

impl Reject {
    /// With what is wrong.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// The parser of one followed file.
#[derive(Debug)]
pub enum Parser {
    /// PostgreSQL.
    Postgres(postgres::Parser),
    /// sshd and its kin.
    Sshd(sshd::Parser),
    /// Access logs.
    Access(access::Parser),
    /// Zeek.
    Zeek(zeek::Parser),
    /// Suricata, whose lines need no memory.
    Suricata,
}

impl Parser {
    /// The parser for a tail; the error says what is wrong with the tail.
    pub fn new(tail: &Tail, sessions_max: usize) -> Result<Self, String> {
        let zone = when::Zone::named(&tail.time_zone)?;
        Ok(match tail.format {
            Format::Postgres => Self::Postgres(postgres::Parser::new(zone, sessions_max)),
            Format::Sshd => Self::Sshd(sshd::Parser::new(zone, sessions_max)),
            Format::Access => Self::Access(access::Parser::new(zone)),
            Format::Zeek => Self::Zeek(zeek::Parser::new()),
            Format::Suricata => Self::Suricata,
        })
    }

    /// Reads one line, without its newline (or one CSV record).
    pub fn line(&mut self, text: &str, received: Timestamp) -> Result<Parsed, Reject> {
        // Editors of Windows begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Ok(Parsed::Skipped("empty"));
        }
        match self {
            Self::Postgres(parser) => parser.line(text),
            Self::Sshd(parser) => parser.line(text, received),
            Self::Access(parser) => parser.line(text),
            Self::Zeek(parser) => parser.line(text),
            Self::Suricata => suricata::line(text),
        }
    }
}

/// A pattern of our own.
fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "every pattern is a constant, and built in the tests")]
    Regex::new(text).expect("a pattern of a parser is a valid regular expression")
}
