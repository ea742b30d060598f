//! The accuracy figures of a small tree as others leave it: files that are missing or foreign, rows
//! that are broken. Whatever it holds, there are figures, and what was left out is told.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::{fs, io::Write, path::Path, process::Command};

const INJECTION: &str = "1' UNION SELECT NULL,NULL,NULL-- -";

fn zipped(path: &Path, lines: &[String]) {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    lines.iter().for_each(|line| writeln!(gz, "{line}").unwrap());
    fs::write(path, gz.finish().unwrap()).unwrap();
}

/// The card of a run.
fn card(data: &Path, more: &[&str]) -> String {
    let models = tempfile::tempdir().unwrap();
    for patrol in ["sql-guard", "api-watch", "auth-sentry", "data-flow", "net-sentry"] {
        let list = models.path().join(format!("{patrol}.sources.json"));
        fs::write(list, r#"{"taught": {"rows": 3, "labels": [0]}}"#).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_accuracy"));
    command.arg("--data").arg(data).arg("--program").arg(magsentinel_tests::magsentinel());
    command.arg("--models").arg(models.path()).arg("--alone").args(more);
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{} {said}", out.status);
    String::from_utf8(out.stdout).unwrap()
}

/// The cells of the row of a table whose first is this one.
fn row<'a>(card: &'a str, table: &str, first: &str) -> Vec<&'a str> {
    let at = card.find(table).unwrap_or_else(|| panic!("no {table:?} in {card}"));
    let start = format!("| {first} |");
    let line = card[at..].lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no {first:?} below {table:?} in {card}"));
    line.trim_matches(['|', ' ']).split(" | ").collect()
}

fn sql(source: &str, text: &str, label: i64) -> String {
    json!({"text": text, "kind": "param", "label": label, "source": source}).to_string()
}

#[test]
fn a_tree_with_missing_foreign_and_broken_files_has_its_figures() {
    let data = tempfile::tempdir().unwrap();
    for folder in ["sql", "api"] {
        fs::create_dir(data.path().join(folder)).unwrap();
    }
    let request = |query: &str, label: i64, category: &str| -> Value {
        json!({"path": "/a", "query": query, "label": label, "category": category,
               "source": "shop", "label_quality": "gold"})
    };
    zipped(
        &data.path().join("sql/unheard.jsonl.gz"),
        &[
            sql("unseen", INJECTION, 1),
            sql("unseen", "Ann Smith", 0),
            sql("unseen", "../../etc/passwd", 2),
            sql("taught", INJECTION, 1),
            sql("taught", "blue", 0),
            "no json at all".to_owned(),
            json!({"text": ["x"], "label": 1, "source": "unseen"}).to_string(),
            sql("taught", "green", -1),
        ],
    );
    fs::write(data.path().join("sql/readme.txt"), "nothing").unwrap();
    fs::write(data.path().join("sql/foreign.csv"), "a,b\n1,2\n").unwrap();
    zipped(
        &data.path().join("api/http_requests.jsonl.gz"),
        &[
            request("q=%3Cscript%3Ealert(1)%3C/script%3E", 1, "xss").to_string(),
            request("x=1", 1, "form_spam_bot").to_string(),
            request("name=ann", 0, "").to_string(),
        ],
    );
    let card = card(data.path(), &[]);
    assert_eq!(row(&card, "Attacks", "unseen, param")[1..4], ["no", "1", "100.00 %"]);
    assert_eq!(row(&card, "Attacks", "taught, param")[1..4], ["no", "1", "100.00 %"]);
    assert_eq!(row(&card, "Benign", "taught, param")[1..4], ["yes", "1", "0.00 %"]);
    assert_eq!(row(&card, "Benign", "shop, value of a request")[2], "1");
    // A row that could not be read is an attack all the same, and was not found.
    assert_eq!(row(&card, "Attacks", "unseen")[2..4], ["1", "0.00 %"]);
    assert_eq!(row(&card, "labelled neither", "unseen, param")[1..3], ["2", "1"]);
    assert_eq!(row(&card, "labelled neither", "taught, param")[1..4], ["-1", "1", "0.00 %"]);
    assert_eq!(row(&card, "Rows that could not be read", "unseen")[1], "1");
    assert_eq!(row(&card, "Rows that could not be read", "unheard")[1], "1");
    for note in [
        "sql/sql.jsonl.gz: is not there",
        "sql/unheard.jsonl.gz: is none of the known",
        "sql/readme.txt: is no file of rows",
        "sql/foreign.csv: none of its 1 rows",
        "auth/auth_events.jsonl.gz: is not there",
    ] {
        assert!(card.contains(note), "{note} not in {card}");
    }
    assert_eq!(row(&card, "Families", "cross-site scripting")[1..3], ["1", "100.00 %"]);
    let all = card.find("Sources not in training:\n\n- **api-watch**: detection 50.00 %");
    let content = "Sources not in training, content alone:\n\n- **api-watch**: detection 100.00 %";
    assert!(all.is_some() && card.contains(content), "{card}");
    assert_eq!(row(&card, "not in training, content alone (the", "1 %")[3][..8], *"100.00 %");
}

#[test]
fn whole_requests_have_figures_whatever_lies_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("requests.jsonl");
    let attack = r#"{"raw": "GET /a?q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1\r\n\r\n\udc80",
        "label": 1, "source": "wild"}"#;
    let lines = [
        &attack.replace('\n', " "),
        r#"{"raw": "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "label": 0, "source": "wild"}"#,
        r#"{"label": 1, "source": "wild"}"#,
        "garbage",
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let card = card(folder.path(), &["--raw-http", file.to_str().unwrap()]);
    assert_eq!(row(&card, "Attacks", "wild")[2..4], ["2", "50.00 %"]);
    assert_eq!(row(&card, "Benign", "wild")[2..4], ["1", "0.00 %"]);
    assert_eq!(row(&card, "Rows that could not be read", "wild")[1], "1");
    assert_eq!(row(&card, "Rows that could not be read", "requests")[1], "1");
}
