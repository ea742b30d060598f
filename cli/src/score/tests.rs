//! Rows as others write them, through the tool.

use super::*;
use crate::{exit, output::Format};
use serde_json::json;
use std::path::Path;

const GLOBAL: fn() -> Global =
    || Global { config: None, set: Vec::new(), output: Format::Text, threads: 1, mesh: None };

/// What comes back for the bytes of a file, and the error at the end.
fn score_file(patrol: &str, name: &str, bytes: &[u8], raw_http: bool) -> (Vec<Value>, Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    scored(patrol, &file, raw_http)
}

fn scored(patrol: &str, file: &Path, raw_http: bool) -> (Vec<Value>, Result<()>) {
    let args = ScoreArgs { patrol: patrol.to_owned(), file: file.to_owned(), raw_http };
    let mut out = Vec::new();
    let result =
        score_to(&Settings::load(&GLOBAL()).unwrap(), &args, &mut out, &ProgressBar::hidden());
    let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), result)
}

fn is_flagged(row: &Value) -> bool {
    ["medium", "high", "critical"].iter().any(|level| row["scored"]["level"] == **level)
}

const INJECTION: &str = "1' UNION SELECT NULL,NULL,NULL-- -";
const SCRIPT: &str = "q=%3Cscript%3Ealert(1)%3C/script%3E";

#[test]
fn an_attack_is_found_whatever_its_row_looks_like() {
    let long = format!("{INJECTION}{}", "x".repeat(10 << 20));
    let wrapped = json!({"kind": "sql", "ts": 1, "body": {"text": INJECTION}});
    let raw = format!("GET /a?{SCRIPT} HTTP/1.1\r\nHost: h\r\n\r\n");
    for (patrol, row) in [
        ("sql-guard", json!({"text": INJECTION})),
        ("sql-guard", json!({"text": INJECTION, "kind": "value", "ts": 1_431_857_105_000_i64})),
        ("sql-guard", json!({"statement": INJECTION, "ts": "17/May/2015:10:05:00 +0000"})),
        ("sql-guard", json!({"text": long, "ts": "-"})),
        ("sql-guard", wrapped),
        ("api-watch", json!({"uri": format!("/a?{SCRIPT}")})),
        ("api-watch", json!({"url": format!("/a?{SCRIPT}"), "status": "-", "resp_bytes": "-"})),
        ("api-watch", json!({"query": SCRIPT, "client": "-", "status": "200 OK"})),
        ("api-watch", json!({"query": {"q": "<script>alert(1)</script>"}})),
        ("api-watch", json!({"body": {"a": "<script>alert(1)</script>"}, "resp_bytes": -1})),
        ("api-watch", json!({"headers": "{\"x\": \"<script>alert(1)</script>\"}"})),
        ("api-watch", json!({"headers": [["x", "<script>alert(1)</script>"]]})),
        ("api-watch", json!({"raw": raw})),
        ("api-watch", json!({"method": "GET", "path": "/a", "query": SCRIPT, "user": 7})),
    ] {
        let (rows, result) = score_file(patrol, "r.jsonl", row.to_string().as_bytes(), false);
        assert!(result.is_ok() && rows.len() == 1, "{result:?}");
        assert!(is_flagged(&rows[0]), "{patrol} {:.200}", rows[0].to_string());
    }
}

#[test]
fn guessing_is_found_however_its_outcome_is_written() {
    for told in [
        json!({"event": "login_failed"}),
        json!({"outcome": false}),
        json!({"outcome": 0, "src_port": "-"}),
        json!({"success": false, "location": {"lat": 1, "lon": 2}}),
        json!({"status": 401, "src_port": -1}),
        json!({"event": 4625}),
        json!({"event_id": "4625", "user": "CORP\\ann", "host": 7}),
    ] {
        let rows = (0..12).map(|n| {
            let mut row = json!({"ts": 1_700_000_000 + n, "src_ip": "203.0.113.9",
                                 "user": format!("u{n}")});
            row.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
            row.to_string()
        });
        let text = rows.collect::<Vec<_>>().join("\n");
        let (rows, result) = score_file("auth-sentry", "r.jsonl", text.as_bytes(), false);
        assert!(result.is_ok() && rows.len() == 12, "{told} {result:?}");
        assert!(is_flagged(&rows[11]), "{told} {}", rows[11]);
    }
}

#[test]
fn every_row_comes_back_in_its_place_and_what_was_wrong_is_told_at_the_end() {
    let good = json!({"text": INJECTION}).to_string();
    let text = format!(
        "{good}\nno json\n{{\"user\": \"ann\", \"n\": 3}}\n\n[]\n{{\"text\": 7, \"n\": 5}}\n\
         {{\"text\": \"x\", \"ts\": \"soon\", \"n\": 6}}\n\
         {{\"kind\": \"api\", \"body\": {{\"path\": \"/\"}}}}\n{good}\n"
    );
    let (rows, result) = score_file("sql-guard", "r.jsonl", text.as_bytes(), false);
    let why = |row: &Value| row["scored"]["error"].as_str().unwrap_or_default().to_owned();
    let told: Vec<String> = rows.iter().map(why).collect();
    let wanted = ["", "JSON", "no text", "JSON", "text", "not a time", "api event", ""];
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    for (told, wanted) in told.iter().zip(wanted) {
        assert_eq!(told.is_empty(), wanted.is_empty(), "{told}");
        assert!(told.contains(wanted), "{told} lacks {wanted}");
    }
    assert_eq!(rows[1]["line"], 2);
    assert_eq!((&rows[2]["n"], &rows[4]["n"], &rows[5]["n"]), (&json!(3), &json!(5), &json!(6)));
    assert!(is_flagged(&rows[0]) && is_flagged(&rows[7]));
    let error = result.unwrap_err();
    assert_eq!(exit::of(&error), exit::DATA);
    assert!(error.to_string().contains("6 rows"), "{error}");
}

#[test]
fn whole_requests_are_read_and_what_has_none_is_told() {
    let attack =
        format!("{{\"raw\": \"POST /a?{SCRIPT} HTTP/1.1\\r\\n\\r\\n\\udc80\", \"label\": 1}}");
    let text = format!("{attack}\n{{\"path\": \"/\"}}\n{{\"raw\": 7}}\n{attack}\n");
    let (rows, result) = score_file("api-watch", "r.jsonl", text.as_bytes(), true);
    let told: Vec<bool> = rows.iter().map(|row| row["scored"].get("error").is_some()).collect();
    assert_eq!(told, [false, true, true, false]);
    assert!(is_flagged(&rows[0]) && is_flagged(&rows[3]), "{}", rows[0]);
    assert_eq!((&rows[0]["label"], &rows[0]["body"]), (&json!(1), &json!("\u{fffd}")));
    assert_eq!(exit::of(&result.unwrap_err()), exit::DATA);
}

#[test]
fn cells_of_a_table_are_read_and_a_ragged_row_keeps_its_place() {
    let text = format!(
        "path,query,status,headers,label\n/a,{SCRIPT},-,\"{{\"\"host\"\": \"\"h\"\"}}\",1\n\
         /a\n/a,{SCRIPT},200,,1\n"
    );
    let (rows, result) = score_file("api-watch", "r.csv", text.as_bytes(), false);
    assert_eq!(rows.len(), 3);
    assert!(is_flagged(&rows[0]) && is_flagged(&rows[2]));
    assert!(rows[1]["scored"]["error"].as_str().unwrap().contains("columns"), "{}", rows[1]);
    assert_eq!((&rows[0]["headers"], &rows[1]["path"]), (&json!({"host": "h"}), &json!("/a")));
    assert_eq!(exit::of(&result.unwrap_err()), exit::DATA);
}

#[test]
fn rows_before_a_broken_end_are_scored_and_the_end_is_told() {
    use flate2::{Compression, write::GzEncoder};
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    (0..500).for_each(|n| writeln!(gz, "{}", json!({"text": INJECTION, "n": n})).unwrap());
    let mut bytes = gz.finish().unwrap();
    bytes.truncate(bytes.len() - 20);
    let (rows, result) = score_file("sql-guard", "r.jsonl.gz", &bytes, false);
    assert!(rows.iter().all(is_flagged));
    let error = result.unwrap_err();
    assert_eq!(exit::of(&error), exit::DATA);
    assert!(error.to_string().contains("to its end"), "{error}");
}

/// The time of a row says how fast; without it nothing may be said about that.
#[test]
fn rows_without_time_are_no_burst_and_their_order_still_counts() {
    let rows = |row: fn(usize) -> Value, count: usize| {
        let text = (0..count).map(|n| row(n).to_string()).collect::<Vec<_>>().join("\n");
        let (rows, result) = score_file("api-watch", "r.jsonl", text.as_bytes(), false);
        assert!(result.is_ok());
        rows.iter().filter(|row| is_flagged(row)).count()
    };
    let calm = |n| {
        json!({"client": "203.0.113.9", "method": "GET", "path": "/news", "status": 200,
                          "query": format!("a={}", n % 7)})
    };
    assert_eq!(rows(calm, 200), 0);
    let timed = |n| {
        let mut row = json!({"client": "203.0.113.9", "method": "GET", "path": "/news",
                             "status": 200});
        row["ts"] = json!(1_700_000_000 + n / 40);
        row
    };
    assert!(rows(timed, 200) > 0);
    let login = |_| {
        json!({"client": "203.0.113.9", "method": "POST", "path": "/login",
                           "status": 401, "body": "user=ann&password=x"})
    };
    assert!(rows(login, 20) > 0);
}
