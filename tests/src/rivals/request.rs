//! A request as a web application firewall would have seen it.

/// What a browser sends with every request. Recordings often leave these out, and a rule set
/// would flag their absence rather than the attack.
const USUAL: &[(&str, &str)] = &[
    ("host", "www.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "*/*"),
];

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// Path and query, as sent.
    pub uri: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Request {
    /// One that carries a text as a parameter.
    #[must_use]
    pub fn with_parameter(text: &str) -> Self {
        let uri = format!("/search?q={}", percent_encoded(text));
        Self { method: "GET".to_owned(), uri, ..Self::default() }.complete()
    }

    /// Request line, headers, a blank line, body; anything may be missing.
    #[must_use]
    pub fn of_raw(raw: &str) -> Self {
        let split = raw.split_once("\r\n\r\n").or_else(|| raw.split_once("\n\n"));
        let (head, body) = split.unwrap_or((raw, ""));
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().splitn(2, ' ');
        let method = words.next().unwrap_or("GET").to_owned();
        let rest = words.next().unwrap_or("/");
        let uri = rest.rsplit_once(" HTTP/").map_or(rest, |(uri, _)| uri).to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        Self { method, uri, headers: lines.filter_map(header).collect(), body: body.to_owned() }
    }

    /// Adds what every browser sends where it is absent, and a true length of the body.
    #[must_use]
    pub fn complete(self) -> Self {
        let mut request = self;
        let has = |headers: &[(String, String)], name: &str| {
            headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name))
        };
        for (name, value) in USUAL {
            if !has(&request.headers, name) {
                request.headers.insert(0, ((*name).to_owned(), (*value).to_owned()));
            }
        }
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        if !request.body.is_empty() {
            if !has(&request.headers, "content-type") {
                let form = "application/x-www-form-urlencoded";
                request.headers.push(("content-type".to_owned(), form.to_owned()));
            }
            request.headers.push(("content-length".to_owned(), request.body.len().to_string()));
        }
        request
    }
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_request_is_read_with_either_line_end_and_completed() {
        let crlf = "POST /a b?c=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx=1&y=2";
        for raw in [crlf.to_owned(), crlf.replace("\r\n", "\n")] {
            let request = Request::of_raw(&raw).complete();
            assert_eq!((request.method.as_str(), request.uri.as_str()), ("POST", "/a b?c=1"));
            assert_eq!(request.body, "x=1&y=2");
            let value = |name: &str| {
                let found = request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.as_str())
            };
            assert_eq!(value("host"), Some("h"));
            assert_eq!(value("content-length"), Some("7"));
            assert!(value("user-agent").is_some() && value("content-type").is_some());
        }
        assert_eq!(Request::of_raw("").uri, "/");
    }

    #[test]
    fn a_value_is_encoded_byte_by_byte() {
        assert_eq!(percent_encoded("a' é"), "a%27%20%C3%A9");
    }
}
