//! From the fields of a body to parts, each decoded as far as it is written.

use super::*;

/// Reads the fields of one request into its parts.
pub(super) struct Reader<'a> {
    parts: &'a mut Parts,
    limits: Limits,
}

impl<'a> Reader<'a> {
    pub(super) fn new(parts: &'a mut Parts, limits: Limits) -> Self {
        Self { parts, limits }
    }

    /// A field cut to its two halves, where it is too long.
    fn cut<'t>(&mut self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let most = self.limits.field_bytes_max;
        if text.len() <= most {
            return Cow::Borrowed(text);
        }
        self.parts.cut_bytes += text.len() - most;
        let half = most / 2;
        let head = text.get(..half).unwrap_or_default();
        let tail = text.get(text.len() - half..).unwrap_or_default();
        Cow::Owned([head, b"\n", tail].concat())
    }

    /// `name=value` pairs of a query or form.
    pub(super) fn pairs(&mut self, origin: &'static str, text: &[u8]) {
        let text = self.cut(text);
        for pair in text.split(|byte| *byte == b'&') {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match at {
                Some(at) => (pair.get(..at).unwrap_or_default(), pair.get(at + 1..)),
                None => (&b""[..], Some(pair)),
            };
            let value = value.unwrap_or_default();
            self.add(origin, Place::Name, b"", name, Written::Form, 0);
            self.add(origin, Place::Value, name, value, Written::Form, 0);
        }
    }

    pub(super) fn header(&mut self, name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        let value = value.as_bytes();
        match lower.as_str() {
            "cookie" => {
                let value = self.cut(value);
                for pair in value.split(|byte| *byte == b';') {
                    let pair = pair.trim_ascii();
                    let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(0);
                    let name = pair.get(..at).unwrap_or_default();
                    let text = pair.get(if at > 0 { at + 1 } else { 0 }..).unwrap_or_default();
                    self.add("cookie", Place::Name, b"", name, Written::Percent, 0);
                    self.add("cookie", Place::Value, name, text, Written::Percent, 0);
                }
            }
            "user-agent" => {
                self.add("header", Place::Agent, lower.as_bytes(), value, Written::Percent, 0);
            }
            "authorization" => {
                let token = value.iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
                let basic = value.get(..6).is_some_and(|v| v.eq_ignore_ascii_case(b"basic "));
                let token = value.get(token..).unwrap_or_default();
                let read = if basic { decode::base64(token, BASE64_BYTES_MAX) } else { None };
                let value = read.as_deref().unwrap_or(value);
                self.add("header", Place::Header, lower.as_bytes(), value, Written::Plain, 0);
            }
            _ if structural(&lower, value) => {}
            _ => self.add("header", Place::Header, lower.as_bytes(), value, Written::Percent, 0),
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            self.add("header", Place::Name, b"", name.as_bytes(), Written::Percent, 0);
        }
    }

    /// The body that was sent, by its looks first and its declared type second: what a client
    /// declares is its own choice.
    pub(super) fn sent(&mut self, text: &[u8], content_type: &str) {
        let text = &*self.cut(text);
        if text.trim_ascii().is_empty() {
            return;
        }
        let declared = content_type.starts_with("multipart/");
        if let Some(boundary) = multipart::boundary(text)
            && (declared || multipart::find(text, b"form-data").is_some())
        {
            for field in multipart::fields(text, boundary, self.limits.parts_max) {
                self.add("field", Place::Name, b"", field.name, Written::Plain, 0);
                match field.file {
                    Some(file) => {
                        self.add("filename", Place::Name, b"", file, Written::Percent, 0);
                        self.add("file", Place::Content, file, field.content, Written::Plain, 0);
                    }
                    None => {
                        self.add(
                            "field",
                            Place::Value,
                            field.name,
                            field.content,
                            Written::Plain,
                            0,
                        );
                    }
                }
            }
            return;
        }
        if json::begins(text) && self.json("json", b"", text, 0) {
            return;
        }
        let trimmed = text.trim_ascii_start();
        let equals = text.iter().position(|byte| *byte == b'=');
        let name = equals.and_then(|at| text.get(..at)).unwrap_or_default();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]%$+:".contains(byte);
        let form = content_type.contains("urlencoded") && !trimmed.starts_with(b"<?")
            || equals.is_some() && name.iter().all(plain) && name.len() <= 64;
        if form {
            return self.pairs("form", text);
        }
        self.add("body", Place::Content, b"", text, Written::Plain, 0);
    }

    /// The names and texts of a JSON document; false when it is none.
    fn json(&mut self, origin: &'static str, name: &[u8], text: &[u8], depth: usize) -> bool {
        let (parts, windows, arena) =
            (self.parts.parts.len(), self.parts.windows.len(), self.parts.arena.len());
        let mut last = name.to_vec();
        let good = json::scan(text, &mut |found| match found {
            json::Found::Name(name) => {
                self.add(origin, Place::Name, b"", name, Written::Plain, depth + 1);
                last.clear();
                last.extend_from_slice(name);
            }
            json::Found::Text(text) => {
                self.add(origin, Place::Value, &last, text, Written::Plain, depth + 1);
            }
        });
        if !good {
            self.parts.parts.truncate(parts);
            self.parts.windows.truncate(windows);
            self.parts.arena.truncate(arena);
            self.parts.seen.clear();
        }
        good
    }

    /// Decodes a part, follows JSON and Base64 in it, and keeps it with its windows.
    pub(super) fn add(
        &mut self,
        origin: &'static str,
        place: Place,
        name: &[u8],
        text: &[u8],
        written: Written,
        depth: usize,
    ) {
        if text.is_empty() {
            return;
        }
        if self.parts.parts.len() >= self.limits.parts_max {
            self.parts.left_out += 1;
            return;
        }
        let text = &*self.cut(text);
        let at = self.parts.arena.len();
        decode::decode(name, Written::Form, &mut self.parts.arena);
        let from = self.parts.arena.len();
        let undone = decode::decode(text, written, &mut self.parts.arena);
        let text = self.parts.arena.get(from..).unwrap_or_default();
        if place != Place::Path && depth < DEPTH_MAX {
            if json::begins(text) {
                let text = text.to_vec();
                let name = self.parts.arena.get(at..from).unwrap_or_default().to_vec();
                self.parts.arena.truncate(at);
                if self.json(origin, &name, &text, depth) {
                    return;
                }
                self.parts.arena.extend_from_slice(&name);
                self.parts.arena.extend_from_slice(&text);
            } else if place != Place::Name && decode::looks_base64(text) {
                let read = decode::base64(text, BASE64_BYTES_MAX);
                self.keep(place, origin, at..from, from, undone, false);
                if let Some(read) = read {
                    self.add(origin, place, name, &read, Written::Plain, DEPTH_MAX);
                }
                return;
            }
        }
        self.keep(place, origin, at..from, from, undone, true);
    }

    fn keep(
        &mut self,
        place: Place,
        origin: &'static str,
        name: Range<usize>,
        from: usize,
        undone: Undone,
        rows: bool,
    ) {
        let end = self.parts.arena.len();
        let part = self.parts.parts.len();
        self.parts.parts.push(Kept { place, origin, name, text: from..end, undone });
        let mut start = from;
        while rows && start < end {
            let stop = if end - start <= WINDOW { end } else { start + WINDOW };
            let bytes = self.parts.arena.get(start..stop).unwrap_or_default();
            if !tame(bytes, place) && self.parts.seen.insert(hash(bytes, place)) {
                self.parts.windows.push(Window { part, from: start, end: stop });
            }
            if stop == end {
                break;
            }
            start = stop - OVERLAP;
        }
    }
}
