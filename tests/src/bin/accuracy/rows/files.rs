//! Which files of the data hold bodies of a kind.

use anyhow::{Context, Result};
use magsentinel_bus_schema::Kind;
use std::{collections::BTreeSet, fs, path::Path};

/// Endings of files that can hold rows; all of them may be zipped.
const ENDINGS: [&str; 4] = [".jsonl", ".ndjson", ".json", ".csv"];

/// Files that describe sessions in sums and hold no events.
const SUMS: [&str; 1] = ["api/api_behaviour_sessions.csv.gz"];

/// Files with bodies of a kind.
pub(super) struct Listed {
    /// Below the folder of the data, known ones first.
    pub(super) names: Vec<String>,
    /// What is missing, and what holds no rows.
    pub(super) notes: Vec<String>,
}

/// Files of the curated data that hold bodies of a kind.
fn known(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Sql => &["sql/sql.jsonl.gz"],
        Kind::Api => &["api/http_requests.jsonl.gz"],
        Kind::Auth => &[
            "auth/auth_events.jsonl.gz",
            "auth/cowrie_sessions.jsonl.gz",
            "auth/cert_logons.csv.gz",
            "auth/windows_logons.jsonl.gz",
        ],
        Kind::Data => &["dataflow/cloud_audit.jsonl.gz", "dataflow/cert_activity.csv.gz"],
        Kind::Iot => &["iot/mqtt_messages.jsonl.gz", "iot/ton_iot_telemetry.jsonl.gz"],
        Kind::Flow => &["net/flows.jsonl.gz"],
        Kind::Dns => &["net/dns_queries.jsonl.gz", "net/domains.csv.gz"],
        Kind::Host => &["chains/windows_events.jsonl.gz"],
        Kind::Extension => &[],
    }
}

/// The folder whose files all hold bodies of one kind.
fn folder(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Sql => Some("sql"),
        Kind::Api => Some("api"),
        Kind::Auth => Some("auth"),
        Kind::Data => Some("dataflow"),
        _ => None,
    }
}

/// The known files that are there, then all others of the kind's folder.
pub(super) fn of(kind: Kind, data: &Path) -> Result<Listed> {
    let mut listed = Listed { names: Vec::new(), notes: Vec::new() };
    for name in known(kind) {
        match data.join(name).is_file() {
            true => listed.names.push((*name).to_owned()),
            false => listed.notes.push(format!("{name}: is not there")),
        }
    }
    let Some(folder) = folder(kind) else { return Ok(listed) };
    let path = data.join(folder);
    if !path.is_dir() {
        return Ok(listed);
    }
    let entries = fs::read_dir(&path).with_context(|| format!("{}", path.display()))?;
    let files = entries.map(|entry| Ok(format!("{folder}/{}", entry?.file_name().display())));
    for name in files.collect::<Result<BTreeSet<String>>>()? {
        let zipless = name.strip_suffix(".gz").unwrap_or(&name);
        if listed.names.contains(&name) || data.join(&name).is_dir() {
            continue;
        } else if SUMS.contains(&&*name) {
            listed.notes.push(format!("{name}: sums of sessions, no events; left out"));
        } else if !ENDINGS.iter().any(|ending| zipless.ends_with(ending)) {
            listed.notes.push(format!("{name}: is no file of rows; left out"));
        } else {
            listed.notes.push(format!("{name}: is none of the known files; read as {kind} events"));
            listed.names.push(name);
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_rows_is_found_and_the_others_are_told() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir_all(data.path().join("auth/old")).unwrap();
        for name in ["cert_logons.csv.gz", "other.jsonl", "b.csv", "notes.txt"] {
            fs::write(data.path().join("auth").join(name), "").unwrap();
        }
        let listed = of(Kind::Auth, data.path()).unwrap();
        assert_eq!(listed.names, ["auth/cert_logons.csv.gz", "auth/b.csv", "auth/other.jsonl"]);
        let told = |name: &str| listed.notes.iter().filter(|note| note.contains(name)).count();
        assert_eq!((told("is not there"), told("notes.txt"), told("none of the known")), (3, 1, 2));
        assert!(of(Kind::Sql, data.path()).unwrap().names.is_empty());
    }
}
