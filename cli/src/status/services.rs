//! Who runs, with which models and patterns, how far behind, and what nobody runs for.

use super::Status;
use magsentinel_runtime::ledger::Row;
use serde::Serialize;
use serde_json::{Map, Value};

/// A consumer that was made, and that no running service reads for.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Unserved {
    /// Its stream.
    pub stream: &'static str,
    /// The durable, or the name of the leases.
    pub consumer: String,
    /// What waits for it.
    pub lag: u64,
}

/// Fields of a part's report that have columns of their own.
const IN_COLUMNS: [&str; 2] = ["model", "patterns"];

/// The parts of a service's report, by name.
fn parts(service: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let parts = service.pointer("/endpoints/0/data/parts").and_then(Value::as_object);
    parts.into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// What waits for a consumer, or is under way to it.
fn lag(row: &Row) -> u64 {
    row.waiting + row.in_flight
}

/// Consumers with a backlog or without, for which none of these services is there. A service is
/// there for what it reports as a part, and for the consumer of its own name.
pub fn unserved(services: &[Value], ledger: &[Row]) -> Vec<Unserved> {
    let serves = |service: &Value, consumer: &str| {
        text(service, "/name") == Some(consumer) || parts(service).any(|(part, _)| part == consumer)
    };
    let idle = |row: &&Row| {
        row.unsubscribed == 0 && !services.iter().any(|s| serves(s, owner(&row.consumer)))
    };
    let named =
        |row: &Row| Unserved { stream: row.stream, consumer: row.consumer.clone(), lag: lag(row) };
    ledger.iter().filter(idle).map(named).collect()
}

/// The service of a consumer whose own name no service bears, and that is reported only once
/// something was read.
fn owner(consumer: &str) -> &str {
    match consumer {
        "ingest" => "sensor",
        "analyzer-router" => "analyzer",
        "commander-critical" | "commander-high" | "commander-medium" => "commander",
        "evidence" => "responder",
        "logbook-deadletter" => "logbook",
        other => other,
    }
}

/// One row per part of every service's every process.
pub fn rows(status: &Status) -> Vec<Vec<String>> {
    let head = ["SERVICE", "INSTANCE", "PART", "MODEL", "PATTERNS", "LAG", "REPORT"];
    let mut rows = Vec::new();
    for service in &status.services {
        let name = text(service, "/name").unwrap_or("?");
        let instance = text(service, "/endpoints/0/data/instance");
        // A service that reads under several names announces each of them, with the same report.
        if instance.is_some_and(|own| !own.starts_with(&format!("{name}-"))) {
            continue;
        }
        let begin =
            |part: &str| vec![name.to_owned(), instance.unwrap_or("?").to_owned(), part.to_owned()];
        let before = rows.len();
        for (part, report) in parts(service) {
            let mut row = begin(part);
            let digest = |key: &str| text(report, &format!("/{key}")).unwrap_or("-").to_owned();
            row.extend(IN_COLUMNS.map(digest));
            let of_it = status.ledger.iter().filter(|row| row.consumer == *part);
            let lags: Vec<u64> = of_it.map(lag).collect();
            row.push(match lags.is_empty() {
                true => "-".to_owned(),
                false => lags.iter().sum::<u64>().to_string(),
            });
            row.push(rest(report));
            rows.push(row);
        }
        if rows.len() == before {
            rows.push(begin("-"));
        }
    }
    rows.sort();
    rows.insert(0, head.map(str::to_owned).to_vec());
    rows
}

/// A report without what has a column.
fn rest(report: &Value) -> String {
    match report.as_object() {
        None => report.to_string(),
        Some(fields) => {
            let rest = fields
                .iter()
                .filter(|(key, value)| !(IN_COLUMNS.contains(&key.as_str()) && value.is_string()));
            let rest: Map<_, _> = rest.map(|(k, v)| (k.clone(), v.clone())).collect();
            Value::Object(rest).to_string()
        }
    }
}

/// The consumers that nobody reads for.
pub fn unserved_rows(unserved: &[Unserved]) -> Vec<Vec<String>> {
    let mut rows = vec![["NOBODY READS FOR", "OF", "LAG"].map(str::to_owned).to_vec()];
    rows.extend(
        unserved
            .iter()
            .map(|of| vec![of.consumer.clone(), of.stream.to_owned(), of.lag.to_string()]),
    );
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(consumer: &str, waiting: u64) -> Row {
        Row {
            stream: "EVENTS",
            consumer: consumer.to_owned(),
            received: waiting,
            handled: 0,
            dead_lettered: 0,
            in_flight: 1,
            waiting,
            waiting_since: None,
            shed: 0,
            unsubscribed: 0,
            missing: 0,
        }
    }

    fn status() -> Status {
        let parts = json!({"sql-guard": {"model": "aa", "patterns": "bb", "found": 3}});
        let data = json!({"instance": "sql-guard-1", "parts": parts});
        let services = vec![json!({"name": "sql-guard", "endpoints": [{"data": data}]})];
        let ledger = vec![row("sql-guard", 4), row("data-flow", 2), row("ingest", 0)];
        let unserved = unserved(&services, &ledger);
        Status { services, ledger, unserved, gaps: Vec::new(), audit: Vec::new() }
    }

    #[test]
    fn digests_and_lag_have_columns_and_are_not_said_twice() {
        let rows = rows(&status());
        let want = ["sql-guard", "sql-guard-1", "sql-guard", "aa", "bb", "5", r#"{"found":3}"#];
        assert_eq!(rows[1], want);
    }

    #[test]
    fn consumers_without_a_running_service_are_named_with_their_lag() {
        let told = status().unserved;
        let named: Vec<_> = told.iter().map(|of| (of.consumer.as_str(), of.lag)).collect();
        assert_eq!(named, [("data-flow", 3), ("ingest", 1)]);
    }
}
