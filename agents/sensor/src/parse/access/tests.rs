use super::*;
use serde_json::json;

fn parse(line: &str) -> Result<Parsed, Reject> {
    Parser::new(Zone::named("UTC").unwrap()).line(line)
}

fn read(line: &str) -> (Option<String>, Value) {
    match parse(line) {
        Ok(Parsed::Events(found)) => {
            (found[0].ts.map(|t| t.to_string()), Value::Object(found[0].body.0.clone()))
        }
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn combined_lines_are_read() {
    let (ts, body) = read(
        "203.0.113.9 - ann [21/Nov/2026:11:00:00 +0100] \"GET /api/users?id=1%27 HTTP/1.1\" 200 \
         5123 \"https://shop.example/\" \"curl/8.5\" \"198.51.100.4, 10.0.0.1\" 0.042",
    );
    assert_eq!(ts.as_deref(), Some("2026-11-21T10:00:00Z"));
    assert_eq!(
        body,
        json!({
            "client": "203.0.113.9", "user": "ann", "method": "GET", "path": "/api/users",
            "query": "id=1%27", "status": 200, "resp_bytes": 5123, "duration_ms": 42.0,
            "headers": {"referer": "https://shop.example/", "user-agent": "curl/8.5"}
        })
    );
    let (_, body) = read("2001:db8::9 - - [21/Nov/2026:11:00:00 +0100] \"POST /a HTTP/2.0\" 304 -");
    assert_eq!(
        body,
        json!({"client": "2001:db8::9", "method": "POST", "path": "/a", "status": 304})
    );
    let (_, body) = read(
        "shop.example:443 203.0.113.9 - - [21/Nov/2026:11:00:00 +0100] \"GET / HTTP/1.1\" 200 1 \
         \"-\" \"-\"",
    );
    assert_eq!((&body["client"], &body.get("headers")), (&json!("203.0.113.9"), &None));
}

#[test]
fn escaped_text_is_what_the_client_sent_and_cannot_forge_a_line() {
    let (_, body) = read(
        r#"203.0.113.9 - x [21/Nov/2026:11:00:00 +0100] \"GET /forged HTTP/1.1\" 200 1 [21/Nov/2026:12:00:00 +0100] "GET /a\x22b\\c HTTP/1.1" 404 7 "-" "a\"b""#,
    );
    assert_eq!(body["path"], "/a\"b\\c");
    assert_eq!(body["status"], 404);
    assert_eq!(body["headers"]["user-agent"], "a\"b");
}

#[test]
fn what_is_no_http_is_told_as_such() {
    for (raw, path) in [("\\x16\\x03\\x01", "\u{16}\u{3}\u{1}"), ("-", ""), ("", "")] {
        let line =
            format!("203.0.113.9 - - [21/Nov/2026:11:00:00 +0100] \"{raw}\" 400 157 \"-\" \"-\"");
        let (_, body) = read(&line);
        assert_eq!((&body["method"], &body["malformed"]), (&json!(""), &json!(true)), "{raw}");
        assert_eq!(body["path"], path);
    }
}

#[test]
fn json_lines_of_four_servers_are_read() {
    let nginx = json!({
        "time_iso8601": "2026-11-21T11:00:00+01:00", "remote_addr": "203.0.113.9",
        "request": "GET /a?b=c HTTP/1.1", "status": "200", "body_bytes_sent": "12",
        "request_time": "0.005", "http_user_agent": "curl/8.5", "remote_user": "-"
    });
    let envoy = json!({
        "start_time": "2026-11-21T10:00:00.000Z", "method": "GET", "path": "/a?b=c",
        "response_code": 200, "bytes_sent": 12, "duration": 5, "user_agent": "curl/8.5",
        "downstream_remote_address": "203.0.113.9:40022", "x_forwarded_for": null
    });
    let traefik = json!({
        "StartUTC": "2026-11-21T10:00:00Z", "ClientHost": "203.0.113.9", "RequestMethod": "GET",
        "RequestPath": "/a?b=c", "DownstreamStatus": 200, "DownstreamContentSize": 12,
        "Duration": 5_000_000, "request_User-Agent": "curl/8.5"
    });
    let caddy = json!({
        "ts": 1_795_255_200.0, "status": 200, "size": 12, "duration": 0.005,
        "request": {"remote_ip": "203.0.113.9", "method": "GET", "uri": "/a?b=c",
                    "headers": {"User-Agent": ["curl/8.5"]}}
    });
    for line in [nginx, envoy, traefik, caddy] {
        let (ts, body) = read(&line.to_string());
        assert_eq!(ts.as_deref(), Some("2026-11-21T10:00:00Z"), "{line}");
        assert_eq!(
            body,
            json!({
                "client": "203.0.113.9", "method": "GET", "path": "/a", "query": "b=c",
                "status": 200, "resp_bytes": 12, "duration_ms": 5.0,
                "headers": {"user-agent": "curl/8.5"}
            }),
            "{line}"
        );
    }
}

#[test]
fn what_is_no_access_line_is_rejected_with_a_reason() {
    for line in [
        "word",
        "203.0.113.9 - - [21/Nov/2026:11:00:00 +0100] \"GET / HT",
        "{\"method\":\"GET\"",
        "{\"level\":\"info\",\"msg\":\"started\"}",
        "2026/11/21 11:00:00 [error] 7#7: *1 open() failed",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
