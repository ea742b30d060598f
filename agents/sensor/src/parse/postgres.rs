//! PostgreSQL's jsonlog and csvlog (13 to 17) → `sql` and `data`.
//!
//! | line | events |
//! | --- | --- |
//! | `statement: …`, `execute <name>: …`, either after a `duration: … ms` | one `sql`, and one `data` without rows for every read that the text makes |
//! | an error with its statement | one `sql` with the SQLSTATE in `error` |
//! | auto_explain's plan in JSON (`log_analyze` on), pgaudit's `AUDIT:` (`log_rows` on) | one `data` with `rows` |
//!
//! **Rows** come from a plan or an audit line and are absent otherwise. The server logs those
//! when a statement has ended, after its plain line; so a read is told twice when both are
//! switched on: at once without rows, then as an event of its own with them (`evidence` is
//! `statement`, `plan` or `audit`). Whoever adds up rows adds nothing twice, because the first
//! has none; whoever counts reads counts one `evidence`. A COPY of a whole table has no plan, so
//! only pgaudit counts its rows; a COPY of a query has one.
//!
//! **Statements** become one `sql` event each: a plan or audit line adds one only when its
//! session's last plain line was not the same statement, that is, when the plain lines are
//! switched off. An error is told on top, because its plain line was written before it failed.
//!
//! A function can `RAISE LOG 'statement: …'`; what such a line says is its author's word, and
//! the context, which only the server writes, gives it away. It is skipped.

mod audit;
mod plan;
mod record;

use super::{
    Found, Parsed, Reject,
    body::Body,
    recent::Recent,
    statement::{Read, reads},
    when::Zone,
};
use magsentinel_bus_schema::Kind;
use record::Record;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Which line told of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Statement,
    Audit,
    Plan,
}

impl Evidence {
    fn token(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Audit => "audit",
            Self::Plan => "plan",
        }
    }
}

/// Reads PostgreSQL logs.
#[derive(Debug)]
pub struct Parser {
    zone: Zone,
    /// Columns of csvlog's last record.
    columns: usize,
    /// Digest of each session's last statement, and which line told of it.
    last: Recent<(u64, Evidence)>,
}

/// A statement with what surrounds it.
#[derive(Clone, Copy, Debug, Default)]
struct Said<'a> {
    text: &'a str,
    /// The text whose reads count: of a prepared statement, when `text` is its EXECUTE.
    reads: Option<&'a str>,
    parameters: Option<&'a str>,
    duration_ms: Option<f64>,
    error: Option<&'a str>,
    message: Option<&'a str>,
}

impl Parser {
    /// `sessions_max` bounds the sessions remembered.
    #[must_use]
    pub fn new(zone: Zone, sessions_max: usize) -> Self {
        Self { zone, columns: 0, last: Recent::new(sessions_max) }
    }

    /// Reads one record: a line of jsonlog begins with `{`, and none of csvlog does.
    pub fn line(&mut self, text: &str) -> Result<Parsed, Reject> {
        let json = text.trim_start().starts_with('{');
        let record = match json {
            true => Record::from_json(text)?,
            false => Record::from_csv(text, &mut self.columns)?,
        };
        let message = record.message.as_str();
        if let Some(audited) = message.strip_prefix("AUDIT: ") {
            return self.audited(&record, audited);
        }
        let (duration_ms, said) = after_duration(message);
        if let Some(plan) = said.strip_prefix("plan:").filter(|_| duration_ms.is_some()) {
            return self.planned(&record, plan.trim_start(), duration_ms);
        }
        match record.error_severity.as_str() {
            "ERROR" | "FATAL" | "PANIC" => Ok(self.failed(&record)),
            "LOG" => Ok(self.logged(&record, duration_ms, said)),
            _ => Ok(Parsed::Skipped("notice")),
        }
    }

    fn logged(&mut self, record: &Record, duration_ms: Option<f64>, said: &str) -> Parsed {
        let text = match kind_of(said) {
            Message::Statement(text) => text,
            Message::Skip(reason) => return Parsed::Skipped(reason),
        };
        if !record.context.is_empty() {
            return Parsed::Skipped("raised_by_function");
        }
        let detail = record.detail.as_str();
        // The plan of an EXECUTE quotes its PREPARE.
        let preparing = detail.strip_prefix("prepare: ");
        self.remember(record, preparing.unwrap_or(text), Evidence::Statement);
        let parameters =
            detail.strip_prefix("parameters: ").or_else(|| detail.strip_prefix("Parameters: "));
        let said = Said {
            text,
            reads: preparing.and_then(prepared),
            parameters,
            duration_ms,
            ..Said::default()
        };
        let mut events = vec![self.sql(record, &said)];
        for read in reads(said.reads.unwrap_or(text)) {
            events.push(self.data(record, &read, None, Evidence::Statement));
        }
        Parsed::Events(events)
    }

    fn failed(&mut self, record: &Record) -> Parsed {
        if record.statement.is_empty() {
            return Parsed::Skipped("error_without_statement");
        }
        let said = Said {
            text: &record.statement,
            error: Some(&record.state_code),
            message: Some(&record.message),
            ..Said::default()
        };
        Parsed::Events(vec![self.sql(record, &said)])
    }

    fn planned(
        &mut self,
        record: &Record,
        plan: &str,
        duration_ms: Option<f64>,
    ) -> Result<Parsed, Reject> {
        if record.raised() {
            return Ok(Parsed::Skipped("raised_by_function"));
        }
        if !plan.starts_with('{') {
            return Ok(Parsed::Skipped("plan_not_json"));
        }
        let plan = plan::read(plan)?;
        let fresh = self.is_news(record, &plan.text, Evidence::Plan);
        let mut events = Vec::new();
        if fresh {
            let said = Said { text: &plan.text, duration_ms, ..Said::default() };
            events.push(self.sql(record, &said));
        }
        if let Some(read) = &plan.read
            && (fresh || plan.rows.is_some())
        {
            events.push(self.data(record, read, plan.rows, Evidence::Plan));
        }
        Ok(Parsed::events_or(events, "repeated"))
    }

    fn audited(&mut self, record: &Record, line: &str) -> Result<Parsed, Reject> {
        if record.raised() {
            return Ok(Parsed::Skipped("raised_by_function"));
        }
        let audit = audit::read(line)?;
        let mut events = Vec::new();
        let text = audit.text.as_deref();
        let fresh = text.is_some_and(|text| self.is_news(record, text, Evidence::Audit));
        if let Some(text) = text.filter(|_| fresh) {
            let parameters = audit.parameters.as_deref();
            events.push(self.sql(record, &Said { text, parameters, ..Said::default() }));
        }
        if let Some(read) = &audit.read
            && (fresh || audit.rows.is_some())
        {
            events.push(self.data(record, read, audit.rows, Evidence::Audit));
        }
        Ok(Parsed::events_or(events, "repeated"))
    }

    fn remember(&mut self, record: &Record, text: &str, evidence: Evidence) {
        self.last.put(&record.session_id, (digest(text), evidence));
    }

    /// Whether no line of another sort has told of the session's current statement before.
    fn is_news(&mut self, record: &Record, text: &str, evidence: Evidence) -> bool {
        let told = self.last.get(&record.session_id);
        let news = !told.is_some_and(|(last, by)| *last == digest(text) && *by != evidence);
        if news {
            self.remember(record, text, evidence);
        }
        news
    }

    fn sql(&self, record: &Record, said: &Said<'_>) -> Found {
        let body = Body::new()
            .text("text", said.text)
            .text("kind", "query")
            .text("user", record.user.as_str())
            .text("session", record.session_id.as_str())
            .text("src_ip", record.address())
            .text("database", record.dbname.as_str())
            .text("application", record.application_name.as_str())
            .text("error", said.error)
            .text("message", said.message)
            .text("parameters", said.parameters)
            .value("duration_ms", said.duration_ms)
            .value("pid", record.pid)
            .done();
        Found { kind: Kind::Sql, ts: self.zone.postgres(&record.timestamp), body }
    }

    fn data(&self, record: &Record, read: &Read, rows: Option<u64>, evidence: Evidence) -> Found {
        let dumper = matches!(record.application_name.as_str(), "pg_dump" | "pg_dumpall");
        let action = if dumper && read.action == "copy_to" { "dump" } else { read.action };
        let body = Body::new()
            .text("user", record.user.as_str())
            .text("session", record.session_id.as_str())
            .text("src_ip", record.address())
            .text("action", action)
            .text("resource", read.resource.as_str())
            .text("destination", read.destination.as_deref())
            .value("rows", rows)
            .text("project", record.dbname.as_str())
            .text("application", record.application_name.as_str())
            .text("evidence", evidence.token())
            .done();
        Found { kind: Kind::Data, ts: self.zone.postgres(&record.timestamp), body }
    }
}

/// What the message of a LOG line is.
enum Message<'a> {
    Statement(&'a str),
    Skip(&'static str),
}

fn kind_of(said: &str) -> Message<'_> {
    if said.trim().is_empty() {
        // The statement stands in the line before, which `log_statement` wrote.
        return Message::Skip("duration_only");
    }
    let named = |verb: &str| {
        let rest = said.strip_prefix(verb)?.strip_prefix(' ')?;
        rest.split_once(": ").map(|(_, text)| text)
    };
    if let Some(text) = said.strip_prefix("statement: ") {
        Message::Statement(text)
    } else if said.starts_with("execute fetch from ") {
        // The next slice of a portal whose execution was told already.
        Message::Skip("portal_continued")
    } else if let Some(text) = named("execute") {
        Message::Statement(text)
    } else if named("parse").or_else(|| named("bind")).is_some() {
        Message::Skip("parse_or_bind")
    } else {
        Message::Skip("not_a_statement")
    }
}

/// Strips `duration: 0.123 ms  `.
fn after_duration(message: &str) -> (Option<f64>, &str) {
    let split = message.strip_prefix("duration: ").and_then(|rest| {
        let (number, said) = rest.split_once(" ms")?;
        Some((Some(number.parse().ok()?), said.trim_start()))
    });
    split.unwrap_or((None, message))
}

/// The statement inside `PREPARE name (types) AS …`.
fn prepared(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let spaced = |at: &usize| lower.get(at + 3..).is_some_and(|r| r.starts_with([' ', '\n', '\t']));
    let at = lower.match_indices(" as").map(|(at, _)| at).find(spaced)?;
    text.get(at + 3..)
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.trim().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
