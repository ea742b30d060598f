//! A whole HTTP request as text becomes the body of an `api` event.

use crate::Fields;
use serde_json::{Map, Value};

/// Takes a raw request apart: `method`, `path`, `query`, `headers` (an object; a repeated header
/// is joined by `, `, cookies by `; `), `body` and `body_size` in bytes. Lines end with CRLF or
/// LF. What is malformed is taken as far as it goes: a text without a request line becomes a
/// path. Nothing is decoded.
#[must_use]
pub fn raw_http(text: &str) -> Fields {
    let text = text.trim_start_matches(['\r', '\n']);
    let (head, body) = split(text);
    let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let (method, target) = request_line(lines.next().unwrap_or_default());
    let mut headers = Map::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim(), value.trim());
        let joint = if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " };
        match headers.get_mut(name) {
            Some(Value::String(known)) => {
                known.push_str(joint);
                known.push_str(value);
            }
            _ => {
                headers.insert(name.to_owned(), value.into());
            }
        }
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut fields = Map::new();
    fields.insert("method".to_owned(), method.into());
    fields.insert("path".to_owned(), path.into());
    if let Some(query) = query {
        fields.insert("query".to_owned(), query.into());
    }
    fields.insert("headers".to_owned(), Value::Object(headers));
    fields.insert("body_size".to_owned(), body.len().into());
    if !body.is_empty() {
        fields.insert("body".to_owned(), body.into());
    }
    Fields(fields)
}

/// Head and body, at the first empty line.
fn split(text: &str) -> (&str, &str) {
    let ends = [("\r\n\r\n", 4), ("\n\n", 2), ("\n\r\n", 3)];
    let found = ends.iter().filter_map(|(end, length)| Some((text.find(end)?, *length)));
    match found.min_by_key(|(at, _)| *at) {
        Some((at, length)) => {
            (text.get(..at).unwrap_or_default(), text.get(at + length..).unwrap_or_default())
        }
        None => (text, ""),
    }
}

/// Method and target. A target may hold blanks, which clients should have escaped; a scheme and
/// host before its path are left out.
fn request_line(line: &str) -> (&str, &str) {
    let (method, rest) = match line.split_once([' ', '\t']) {
        Some((method, rest)) if method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') => {
            (method, rest)
        }
        _ => ("GET", line),
    };
    let rest = rest.trim();
    let version = rest.rsplit_once(' ').filter(|(_, last)| last.starts_with("HTTP/"));
    let target = version.map_or(rest, |(target, _)| target.trim_end());
    let lower = target.get(..8).unwrap_or(target).to_ascii_lowercase();
    let absolute = lower.starts_with("http://") || lower.starts_with("https://");
    let after_host = || {
        let host = target.split_once("//").map_or("", |(_, rest)| rest);
        host.find(['/', '?']).and_then(|at| host.get(at..)).unwrap_or("/")
    };
    (method, if absolute { after_host() } else { target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        Value::Object(raw_http(text).0)
    }

    #[test]
    fn a_request_is_taken_apart() {
        let text =
            "POST /a/b?x=1&y=%27 HTTP/1.1\r\nHost: h\r\nAccept: a\r\nAccept: b\r\n\r\nk=v\r\n\r\nw";
        assert_eq!(
            read(text),
            json!({"method": "POST", "path": "/a/b", "query": "x=1&y=%27", "body": "k=v\r\n\r\nw",
                "headers": {"Host": "h", "Accept": "a, b"}, "body_size": 8})
        );
        let unix = read("GET http://h:80/p?q=a b HTTP/1.0\nCookie: a=1\nCookie: b=2\n\n");
        assert_eq!((&unix["path"], &unix["query"]), (&json!("/p"), &json!("q=a b")));
        assert_eq!(unix["headers"]["Cookie"], "a=1; b=2");
    }

    #[test]
    fn what_is_malformed_is_taken_as_far_as_it_goes() {
        for (text, path) in
            [("", ""), ("/only", "/only"), ("GET", "GET"), ("<script> x", "<script> x")]
        {
            assert_eq!(read(text)["path"], *path, "{text}");
        }
        assert_eq!(read("GET /x\r\nnonsense\r\n:empty\r\nA: 1")["headers"]["A"], "1");
        assert_eq!(read("\r\n\r\nGET / HTTP/1.1\n\nbody")["body"], "body");
    }
}
