use super::*;
use magsentinel_bus_schema::Fields;
use serde_json::{Value, json};

const LIMITS: Limits = Limits { field_bytes_max: 65_536, parts_max: 256, rows_max: 64 };

fn parts(body: Value) -> Parts {
    let mut parts = Parts::default();
    parts.read(&Fields(body.as_object().cloned().unwrap_or_default()), LIMITS).unwrap();
    parts
}

/// `origin name=text` of the parts with rows.
fn shown(body: Value) -> Vec<String> {
    let parts = parts(body);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let of = |window: &Window| {
        let part = parts.part_of(*window).unwrap();
        format!("{} {}={}", part.origin, text(part.name), text(part.text))
    };
    parts.windows().iter().map(of).collect()
}

#[test]
fn every_place_of_a_request_is_read_and_decoded() {
    let attack = "<b onx=1>";
    let escaped = "%3Cb+onx%3D1%3E";
    for (body, wanted) in [
        (json!({"path": "/a/%3cb%20onx=1>"}), "path =/a/<b onx=1>"),
        (json!({"path": format!("/?x={escaped}")}), "query x=<b onx=1>"),
        (json!({"path": "/", "query": format!("a=1&q={escaped}")}), "query q=<b onx=1>"),
        (json!({"query": format!("{escaped}=1")}), "query =<b onx=1>"),
        (json!({"query": escaped.replace('%', "%25")}), "query =<b onx=1>"),
        (json!({"headers": {"Cookie": "a=b; c=%3Cb%20onx=1>"}}), "cookie c=<b onx=1>"),
        (json!({"headers": {"X-Foo": attack}}), "header x-foo=<b onx=1>"),
        (json!({"headers": {"Accept": attack}}), "header accept=<b onx=1>"),
        (
            json!({"headers": {"Authorization": "Basic YTo8YiBvbng9MT4gYWJj"}}),
            "header authorization=a:<b onx=1> abc",
        ),
        (json!({"body": format!("a=1&b={escaped}")}), "form b=<b onx=1>"),
        (json!({"body": r#"{"a": {"b": ["<b onx=1\u003e"]}}"#}), "json b=<b onx=1>"),
        (json!({"body": {"a": attack}}), "json a=<b onx=1>"),
        (json!({"body": r#"{"a": "{\"b\": \"<b onx=1>\"}"}"#}), "json b=<b onx=1>"),
        (json!({"query": "j=%7B%22a%22%3A%22%3Cb%20onx%3D1%3E%22%7D"}), "query a=<b onx=1>"),
        (json!({"query": "b=PGIgb254PTE+YWJjZGVmZw=="}), "query b=<b onx=1>abcdefg"),
        (json!({"body": "<b onx=1>"}), "body =<b onx=1>"),
        (
            json!({"body": "--x\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n<b onx=1>\r\n--x--"}),
            "field n=<b onx=1>",
        ),
    ] {
        let found = shown(body.clone());
        assert!(found.iter().any(|part| part == wanted), "{body} gives {found:?}, not {wanted}");
    }
}

#[test]
fn what_is_plainly_harmless_needs_no_row() {
    let body = json!({
        "method": "GET", "path": "/v1/orders/8f14e45f-ceea",
        "query": "sort=-created&limit=50&from=2024-01-02T10:00:00Z&mail=me@example.net",
        "headers": {
            "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Host": "shop.example:443",
            "Sec-Ch-Ua": "\"Chromium\";v=\"122\", \"Not(A:Brand\";v=\"24\"",
            "Cookie": "sid=0a1b2c3d; theme=dark",
            "Authorization": "Bearer abcdefghijk",
        },
        "body": r#"{"name": "Ada Lovelace", "age": 36, "active": true}"#,
    });
    let rows = shown(body);
    assert!(rows.len() <= 2, "{rows:?}");
}

#[test]
fn padding_hides_nothing_and_costs_little() {
    let attack = "<script>alert(document.cookie)</script>";
    let filler = "lorem (ipsum) dolor; sit, amet. ".repeat(400);
    for body in [
        format!("{filler}{attack}"),
        format!("{attack}{filler}"),
        format!("{filler}{attack}{filler}"),
    ] {
        let rows = shown(json!({"path": "/", "body": body}));
        assert!(rows.len() <= LIMITS.rows_max && rows.iter().any(|r| r.contains("alert(doc")));
    }
    let huge = parts(json!({"path": "/", "body": "a' ".repeat(3_500_000)}));
    assert!(huge.windows().len() <= LIMITS.rows_max && huge.left_out().0 > 10_000_000);
    let many = (0..5000).map(|n| format!("a{n}=%27{n}")).collect::<Vec<_>>().join("&");
    let many = parts(json!({"query": many}));
    assert!(many.iter().count() <= LIMITS.parts_max && many.left_out().1 > 4000);
}

#[test]
fn rows_hold_each_id_once_and_padding_at_the_end() {
    let body = json!({"path": "/../../etc/passwd%00", "query": "q=%27+or+1%3D1--&x=%ff%fe%00<>",
        "headers": {"user-agent": "() { :;}; /bin/bash -c 'id'"}});
    let parts = parts(body);
    assert!(parts.windows().len() >= 4);
    for window in parts.windows() {
        let mut out = vec![-1; WIDTH + 3];
        parts.ids(*window, &mut out);
        let filled = out.iter().position(|id| *id == 0).unwrap();
        assert!(filled > 17 && out.iter().skip(filled).all(|id| *id == 0));
        let mut ids: Vec<i32> = out.into_iter().take(filled).collect();
        assert!(ids.iter().all(|id| (1..BUCKETS as i32).contains(id)));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), filled);
    }
}

#[test]
fn what_is_no_request_is_told() {
    let mut parts = Parts::default();
    for (body, why) in [
        (json!({}), "no path"),
        (json!({"path": 5}), "path is"),
        (json!({"query": []}), "query is"),
    ] {
        let body = Fields(body.as_object().cloned().unwrap_or_default());
        assert!(parts.read(&body, LIMITS).is_err_and(|e| e.contains(why)), "{body:?}");
    }
}

#[test]
fn patterns_see_one_line_a_part() {
    let mut lines = String::new();
    parts(json!({"path": "/A", "query": "q=X%0d%0aY&n=%00"})).lines(&mut lines);
    assert_eq!(lines, "path : /a\nquery : q\nquery q: x␍␊y\nquery : n\nquery n: ␀\n");
}
