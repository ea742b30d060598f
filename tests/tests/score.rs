//! `score PATROL FILE|-`: the rows of any file that it says it reads, and what is told of those
//! that it cannot read.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use flate2::{Compression, write::GzEncoder};
use magsentinel_tests::magsentinel;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const INJECTION: &str = "SELECT id FROM t WHERE a = '' UNION SELECT card FROM cards --'";

fn score(patrol: &str, file: &Path, input: &str) -> Output {
    let mut command = Command::new(magsentinel());
    command.arg("score").arg(patrol).arg(file).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn rows(out: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&out.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// What becomes of an ordinary row and an attack.
fn is_scored(out: &Output) {
    assert_eq!(out.status.code(), Some(0), "{}", said(out));
    let rows = rows(out);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(
        (&rows[0]["text"], &rows[0]["scored"]["level"]),
        (&json!("SELECT 1"), &json!("none"))
    );
    assert_eq!(rows[1]["text"], INJECTION);
    let scored = &rows[1]["scored"];
    assert!(scored["level"] == "high" || scored["level"] == "critical", "{scored}");
    for field in ["score", "confidence", "category", "techniques", "reasons"] {
        assert!(scored.get(field).is_some(), "{field} is missing in {scored}");
    }
}

fn lines() -> String {
    format!("{}\n{}\n", json!({"text": "SELECT 1", "label": 0}), json!({"text": INJECTION}))
}

fn table() -> String {
    format!("text,user\nSELECT 1,ann\n{INJECTION},\"bob, jr\"\n")
}

fn gz(path: &Path, text: &str) {
    let mut zipped = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    zipped.write_all(text.as_bytes()).unwrap();
    zipped.finish().unwrap();
}

#[test]
fn json_lines_and_tables_zipped_or_not_and_standard_input_are_scored_alike() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("rows.jsonl"), lines()).unwrap();
    gz(&file("rows.jsonl.gz"), &lines());
    std::fs::write(file("rows.csv"), table()).unwrap();
    gz(&file("rows.csv.gz"), &table());
    for name in ["rows.jsonl", "rows.jsonl.gz", "rows.csv", "rows.csv.gz"] {
        is_scored(&score("sql-guard", &file(name), ""));
    }
    let out = score("sql-guard", Path::new("-"), &lines());
    is_scored(&out);
    // What a row carries comes back with it.
    assert_eq!(rows(&out)[0]["label"], 0);
    assert_eq!(rows(&score("sql_guard", &file("rows.csv"), ""))[1]["user"], "bob, jr");
}

#[test]
fn a_bad_row_is_told_and_the_good_ones_are_scored_all_the_same() {
    let out = score("sql-guard", Path::new("-"), &lines().replace('\n', "\n{\"text\": 7\n"));
    assert_eq!(out.status.code(), Some(65));
    let rows = rows(&out);
    let levels: Vec<&Value> = rows.iter().map(|row| &row["scored"]["level"]).collect();
    assert_eq!(levels, [&json!("none"), &Value::Null, &json!("high"), &Value::Null], "{rows:?}");
    let why = rows[1]["scored"]["error"].as_str().unwrap();
    assert!(why.contains("no JSON object"), "{why}");
    let said = said(&out);
    assert!(said.contains("2 rows could not be read") && said.contains("row 2"), "{said}");
}

#[test]
fn a_patrol_that_there_is_not_and_a_file_that_there_is_not_are_told_apart() {
    let out = score("sql-gourd", Path::new("-"), "");
    assert_eq!((out.status.code(), said(&out).contains("sql-gourd")), (Some(64), true));
    let missing = PathBuf::from("/no/such/rows.jsonl");
    let out = score("sql-guard", &missing, "");
    assert_eq!(out.status.code(), Some(65));
    assert!(said(&out).contains("/no/such/rows.jsonl cannot be read"), "{}", said(&out));
}

#[test]
fn an_archive_that_ends_too_early_is_told_after_the_rows_that_came() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows.jsonl.gz");
    gz(&file, &lines());
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 12]).unwrap();
    let out = score("sql-guard", &file, "");
    assert_eq!(out.status.code(), Some(65));
    assert!(said(&out).contains("cannot be read to its end"), "{}", said(&out));
}
