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
fn the_json_formats_that_people_write_for_apache_are_read() {
    let documented = json!({
        "time": "[21/Nov/2026:11:00:00 +0100]", "remoteIP": "203.0.113.9",
        "host": "shop.example", "request": "/a", "query": "?b=c", "method": "GET",
        "status": "200", "userAgent": "curl/8.5", "referer": "-"
    });
    let own_names = json!({
        "timestamp": "2026-11-21T11:00:00+0100", "clientip": "203.0.113.9", "verb": "GET",
        "vhost": "shop.example", "request": "GET /a?b=c HTTP/1.1", "response": 200,
        "agent": "curl/8.5", "duration": 5123
    });
    let elastic = json!({
        "@timestamp": "2026-11-21T10:00:00Z", "source": {"ip": "203.0.113.9"},
        "http": {"request": {"method": "GET"}, "response": {"status_code": 200}},
        "url": {"original": "/a?b=c"}, "user_agent": {"original": "curl/8.5"},
        "host": "shop.example"
    });
    for line in [documented, own_names, elastic] {
        let (ts, body) = read(&line.to_string());
        assert_eq!(ts.as_deref(), Some("2026-11-21T10:00:00Z"), "{line}");
        assert_eq!(
            body,
            json!({
                "client": "203.0.113.9", "method": "GET", "path": "/a", "query": "b=c",
                "status": 200, "headers": {"user-agent": "curl/8.5", "host": "shop.example"}
            }),
            "{line}"
        );
    }
    let without =
        "{\"remoteIP\":\"203.0.113.9\",\"request\":\"/\",\"query\":\"\",\"method\":\"GET\"}";
    assert_eq!(read(without).1.get("query"), None);
}

#[test]
fn a_client_cannot_hide_behind_bytes_that_are_no_json() {
    let (_, body) = read(
        r#"{"remoteIP":"203.0.113.9","request":"GET /a\\x\x22\xc3\xa9\xff HTTP/1.1","userAgent":"a\"\x0a"}"#,
    );
    assert_eq!(body["path"], "/a\\x\"é\u{fffd}");
    assert_eq!(body["headers"]["user-agent"], "a\"\n");
}

#[test]
fn the_default_texts_of_envoy_and_istio_are_read() {
    let envoy = "[2026-11-21T10:00:00.250Z] \"POST /api/v1?b=c HTTP/2\" 204 - 154 0 226 100 \
                 \"198.51.100.4\" \"nsq2http\" \"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2\" \
                 \"locations\" \"tcp://10.0.2.1:80\"";
    let (ts, body) = read(envoy);
    assert_eq!(ts.as_deref(), Some("2026-11-21T10:00:00.25Z"));
    let want = json!({
        "method": "POST", "path": "/api/v1", "query": "b=c", "status": 204, "resp_bytes": 0,
        "body_size": 154, "duration_ms": 226.0,
        "headers": {"x-forwarded-for": "198.51.100.4", "user-agent": "nsq2http", "host": "locations"}
    });
    assert_eq!(body, want);
    let istio = |agent: &str| {
        format!(
            "[2026-11-21T10:00:00.250Z] \"GET /status/418 HTTP/1.1\" 418 - via_upstream - \"-\" 0 \
             135 4 4 \"-\" \"{agent}\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"httpbin:8000\" \
             \"10.44.1.27:80\" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 \
             10.0.45.184:8000 10.44.1.23:46520 - default"
        )
    };
    for agent in ["curl/7.68.0", "x\" \"a\" \"b\" \"c\" - - - 198.51.100.1:1 - \"-"] {
        let (_, body) = read(&istio(agent));
        assert_eq!((&body["client"], &body["status"]), (&json!("10.44.1.23"), &json!(418)));
    }
    let refused = istio("curl").replace(
        "418 - via_upstream - \"-\"",
        "503 UF upstream_reset \
        - \"TLS error: 268435703:SSL routines\"",
    );
    assert_eq!(read(&refused).1["status"], 503);
    let gone = envoy.replace(" 204 - ", " 0 DC ");
    assert_eq!(read(&gone).1.get("status"), None);
    let tcp = envoy.replace("POST /api/v1?b=c HTTP/2", "- - -").replace(" 204 - ", " 0 - ");
    assert_eq!(parse(&tcp), Ok(Parsed::Skipped("tcp_connection")));
}

#[test]
fn a_name_in_the_place_of_the_address_is_claimed() {
    let line = |client: &str| {
        format!("{client} - - [21/Nov/2026:11:00:00 +0100] \"GET / HTTP/1.1\" 200 1")
    };
    let (_, body) = read(&line("crawl-66.search.example"));
    assert_eq!(
        (&body["client"], &body["claimed"]),
        (&json!("crawl-66.search.example"), &json!(["client"]))
    );
    assert_eq!(read(&line("2001:db8::9")).1.get("claimed"), None);
    assert_eq!(read(&line("unix:")).1.get("client"), None);
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
