use super::*;
use serde_json::{Value, json};

fn parser() -> Parser {
    Parser::new(Zone::named("UTC").unwrap(), 16)
}

fn record(severity: &str, message: &str, more: Value) -> String {
    let mut record = json!({
        "timestamp": "2026-11-21 10:00:00.250 UTC", "user": "shop", "dbname": "store",
        "pid": 4711, "remote_host": "10.0.0.5", "remote_port": 55312,
        "session_id": "6740a1b2.1267", "line_num": 3, "ps": "SELECT",
        "session_start": "2026-11-21 09:59:00 UTC", "vxid": "3/12", "txid": 0,
        "error_severity": severity, "message": message, "application_name": "web",
        "backend_type": "client backend", "query_id": 0
    });
    if let (Some(all), Value::Object(more)) = (record.as_object_mut(), more) {
        all.extend(more);
    }
    record.to_string()
}

fn events(parser: &mut Parser, line: &str) -> Vec<(Kind, Value)> {
    match parser.line(line) {
        Ok(Parsed::Events(found)) => {
            found.into_iter().map(|f| (f.kind, Value::Object(f.body.0))).collect()
        }
        other => panic!("{line}: {other:?}"),
    }
}

fn skipped(parser: &mut Parser, line: &str) -> &'static str {
    match parser.line(line) {
        Ok(Parsed::Skipped(reason)) => reason,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_statement_is_a_sql_event_and_a_read_without_rows() {
    let line = record("LOG", "statement: SELECT * FROM public.users WHERE id = 7", json!({}));
    let found = parser().line(&line).unwrap();
    let Parsed::Events(found) = found else { panic!("{found:?}") };
    assert_eq!(found[0].ts, Some("2026-11-21T10:00:00.25Z".parse().unwrap()));
    assert_eq!(
        Value::Object(found[0].body.0.clone()),
        json!({
            "text": "SELECT * FROM public.users WHERE id = 7", "kind": "query", "user": "shop",
            "session": "6740a1b2.1267", "src_ip": "10.0.0.5", "database": "store",
            "application": "web", "pid": 4711
        })
    );
    assert_eq!(
        Value::Object(found[1].body.0.clone()),
        json!({
            "user": "shop", "session": "6740a1b2.1267", "src_ip": "10.0.0.5",
            "action": "select", "resource": "public.users", "project": "store",
            "application": "web", "evidence": "statement"
        })
    );
}

#[test]
fn extended_protocol_lines_carry_parameters_and_are_not_counted_thrice() {
    let mut p = parser();
    let more = json!({"detail": "Parameters: $1 = '7'"});
    let line = record("LOG", "duration: 1.5 ms  execute S_1: SELECT 1 + $1", more);
    let found = events(&mut p, &line);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1["text"], "SELECT 1 + $1");
    assert_eq!(found[0].1["parameters"], "$1 = '7'");
    assert_eq!(found[0].1["duration_ms"], 1.5);
    for (message, reason) in [
        ("duration: 0.1 ms  parse <unnamed>: SELECT 1", "parse_or_bind"),
        ("duration: 0.1 ms  bind S_1/C_2: SELECT 1", "parse_or_bind"),
        ("duration: 0.1 ms", "duration_only"),
        ("execute fetch from S_1/C_2: SELECT 1", "portal_continued"),
        ("checkpoint complete: wrote 3 buffers", "not_a_statement"),
        ("connection authorized: user=shop database=store", "not_a_statement"),
    ] {
        assert_eq!(skipped(&mut p, &record("LOG", message, json!({}))), reason, "{message}");
    }
    let prepare = "PREPARE q(int) AS\nSELECT * FROM cards WHERE id > $1";
    let more = json!({"detail": format!("prepare: {prepare}")});
    let found = events(&mut p, &record("LOG", "statement: EXECUTE q(1)", more));
    assert_eq!(found[1].1["resource"], "cards");
    let node = json!({"Node Type": "Seq Scan", "Relation Name": "cards", "Actual Rows": 4});
    let found = events(&mut p, &plan(prepare, node));
    assert_eq!((found.len(), &found[0].1["rows"]), (1, &json!(4)));
}

#[test]
fn a_failed_statement_tells_its_sqlstate_and_reads_nothing() {
    let more = json!({"state_code": "42601", "statement": "SELECT * FROM users WHERE id = ''' "});
    let line = record("ERROR", "unterminated quoted string", more);
    let found = events(&mut parser(), &line);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1["error"], "42601");
    assert_eq!(found[0].1["text"], "SELECT * FROM users WHERE id = ''' ");
    let bare = record("FATAL", "terminating connection", json!({}));
    assert_eq!(skipped(&mut parser(), &bare), "error_without_statement");
}

fn plan(text: &str, plan: Value) -> String {
    let json = json!({"Query Text": text, "Plan": plan});
    record("LOG", &format!("duration: 3.25 ms  plan:\n{json:#}"), json!({}))
}

#[test]
fn a_plan_adds_the_rows_and_no_second_statement() {
    let mut p = parser();
    let text = "SELECT * FROM users; SELECT * FROM cards";
    let scan = |table: &str, rows: Value| {
        json!({"Node Type": "Limit", "Actual Rows": rows, "Actual Loops": 1, "Plans": [
            {"Node Type": "Seq Scan", "Relation Name": table, "Actual Rows": 999999}]})
    };
    assert_eq!(events(&mut p, &record("LOG", &format!("statement: {text}"), json!({}))).len(), 3);
    for (table, rows) in [("users", json!(12)), ("cards", json!(7.00))] {
        let found = events(&mut p, &plan(text, scan(table, rows.clone())));
        assert_eq!(found.len(), 1, "the plain line told of the statement already");
        assert_eq!(found[0].0, Kind::Data);
        assert_eq!(found[0].1["resource"], table);
        assert_eq!(found[0].1["rows"].as_f64(), rows.as_f64());
        assert_eq!(found[0].1["evidence"], "plan");
    }
    // Without log_analyze there is nothing new in it.
    let bare = json!({"Node Type": "Seq Scan", "Relation Name": "users"});
    assert_eq!(skipped(&mut p, &plan(text, bare)), "repeated");
}

#[test]
fn without_plain_lines_every_plan_tells_its_statement() {
    let mut p = parser();
    let node = json!({"Node Type": "Seq Scan", "Relation Name": "users", "Actual Rows": 3});
    for _ in 0..2 {
        let found = events(&mut p, &plan("SELECT * FROM users", node.clone()));
        let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::Sql, Kind::Data]);
    }
    let insert = json!({
        "Node Type": "ModifyTable", "Operation": "Insert", "Relation Name": "b",
        "Actual Rows": 0, "Plans": [
            {"Node Type": "Seq Scan", "Relation Name": "a", "Actual Rows": 50}]
    });
    let found = events(&mut p, &plan("INSERT INTO b SELECT * FROM a", insert));
    assert_eq!(found[1].1["action"], "insert_select");
    assert_eq!((&found[1].1["rows"], &found[1].1["resource"]), (&json!(50), &json!("a")));
    let text = record("LOG", "duration: 1 ms  plan:\nQuery Text: SELECT 1\nResult", json!({}));
    assert_eq!(skipped(&mut p, &text), "plan_not_json");
    assert!(p.line(&record("LOG", "duration: 1 ms  plan:\n{\"Plan\":", json!({}))).is_err());
}

#[test]
fn audit_lines_carry_rows_when_the_server_logs_them() {
    let mut p = parser();
    let audit = "AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.users,\"SELECT a, \"\"b\"\" FROM \
                 users\",<none>";
    let found = events(&mut p, &record("LOG", &format!("{audit},42"), json!({})));
    assert_eq!(found[0].1["text"], "SELECT a, \"b\" FROM users");
    assert_eq!(found[1].1["rows"], 42);
    assert_eq!(found[1].1["resource"], "public.users");
    let without = events(&mut p, &record("LOG", audit, json!({})));
    assert_eq!(without[1].1.get("rows"), None);
    let ddl = "AUDIT: SESSION,2,1,DDL,DROP TABLE,TABLE,public.t,DROP TABLE t,<none>";
    assert_eq!(events(&mut p, &record("LOG", ddl, json!({}))).len(), 1);
    assert!(p.line(&record("LOG", "AUDIT: SESSION,1", json!({}))).is_err());
}

#[test]
fn what_a_function_raises_is_not_believed() {
    let mut p = parser();
    let raised = json!({"context": "PL/pgSQL function inline_code_block line 1 at RAISE"});
    for message in [
        "statement: SELECT * FROM users",
        "AUDIT: SESSION,1,1,READ,SELECT,TABLE,t,SELECT 1 FROM t,<none>,1000000",
        "duration: 1 ms  plan:\n{\"Query Text\": \"SELECT 1\", \"Plan\": {}}",
    ] {
        let line = record("LOG", message, raised.clone());
        assert_eq!(skipped(&mut p, &line), "raised_by_function", "{message}");
    }
}

#[test]
fn pg_dump_is_told_from_other_copies() {
    let copy = "statement: COPY public.users (id, mail) TO stdout;";
    let mut p = parser();
    assert_eq!(events(&mut p, &record("LOG", copy, json!({})))[1].1["action"], "copy_to");
    let more = json!({"application_name": "pg_dump"});
    let found = events(&mut p, &record("LOG", copy, more));
    assert_eq!(found[1].1["action"], "dump");
    assert_eq!(found[1].1["resource"], "public.users");
}

#[test]
fn csvlog_of_every_version_is_read() {
    let columns = |last: &str| {
        format!(
            "2026-11-21 10:00:00.250 UTC,\"shop\",\"store\",4711,\"::1:55312\",6740a1b2.1267,3,\
             \"SELECT\",2026-11-21 09:59:00 UTC,3/12,0,LOG,00000,\"statement: SELECT \"\"a\"\",\n\
             'x' FROM users\",,,,,,,,,\"web\"{last}"
        )
    };
    for last in
        ["", ",\"client backend\"", ",\"client backend\",,0", ",\"client backend\",,0,\"new\""]
    {
        let found = events(&mut parser(), &columns(last));
        assert_eq!(found[0].1["text"], "SELECT \"a\",\n'x' FROM users", "{last}");
        assert_eq!(found[0].1["src_ip"], "::1");
        assert_eq!(found[0].1["application"], "web");
        assert_eq!(found[1].1["resource"], "users");
    }
    let local = columns("").replace("::1:55312", "[local]");
    assert_eq!(events(&mut parser(), &local)[0].1.get("src_ip"), None);
}

#[test]
fn lines_cut_in_the_middle_are_rejected_with_a_reason() {
    let whole = record("LOG", "statement: SELECT 1", json!({}));
    for line in [&whole[..40], "{}", "[]", "plain text", "{\"timestamp\":5}"] {
        assert!(parser().line(line).is_err(), "{line}");
    }
    for line in ["a,b,c", "2026-11-21 10:00:00.250 UTC,\"shop\",\"st"] {
        assert!(parser().line(line).unwrap_err().0.contains("cut"), "{line}");
    }
}
