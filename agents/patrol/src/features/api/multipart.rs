//! The fields of a multipart body.

/// One field.
pub(super) struct Field<'a> {
    /// Its name, empty when it has none.
    pub(super) name: &'a [u8],
    /// Name of the file, where one is uploaded.
    pub(super) file: Option<&'a [u8]>,
    /// Its content.
    pub(super) content: &'a [u8],
}

/// The boundary: what the body's own first line says, which is what a server goes by where the
/// header agrees, and what shows a field at all where it does not.
pub(super) fn boundary(body: &[u8]) -> Option<&[u8]> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let body = body.get(start..).filter(|body| body.starts_with(b"--"))?;
    let end = body.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    body.get(..end).map(<[u8]>::trim_ascii_end).filter(|line| (3..=200).contains(&line.len()))
}

/// The fields of a body, at most `fields_max` of them; the last may be cut.
pub(super) fn fields<'a>(body: &'a [u8], boundary: &[u8], fields_max: usize) -> Vec<Field<'a>> {
    let mut fields = Vec::new();
    let mut rest = body;
    while let Some(at) = find(rest, boundary) {
        rest = rest.get(at + boundary.len()..).unwrap_or_default();
        let end = find(rest, boundary).unwrap_or(rest.len());
        let part = rest.get(..end).unwrap_or_default();
        if fields.len() >= fields_max {
            break;
        }
        if !part.trim_ascii().is_empty() && !part.starts_with(b"--") {
            fields.push(field(part));
        }
    }
    fields
}

fn field(part: &[u8]) -> Field<'_> {
    let part = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n")).unwrap_or(part);
    let (head, content) = match (find(part, b"\r\n\r\n"), find(part, b"\n\n")) {
        (Some(at), other) if other.is_none_or(|other| at <= other) => (at, at + 4),
        (_, Some(at)) => (at, at + 2),
        _ => (0, 0),
    };
    let head = part.get(..head).unwrap_or_default();
    let content = part.get(content..).unwrap_or_default();
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    Field {
        name: value(head, b"name=").unwrap_or_default(),
        file: value(head, b"filename="),
        content,
    }
}

/// The value of a parameter of the part's header, quoted or not.
fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut from = 0;
    loop {
        let at = from + find(head.get(from..)?, name)?;
        let before = at.checked_sub(1).and_then(|at| head.get(at)).copied().unwrap_or(b' ');
        from = at + name.len();
        if before.is_ascii_alphanumeric() {
            continue;
        }
        let rest = head.get(from..)?;
        let line = rest.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(rest.len());
        let rest = rest.get(..line)?;
        return match rest {
            [quote @ (b'"' | b'\''), tail @ ..] => {
                let end = tail.iter().rposition(|b| b == quote && *quote == b'\'');
                let end = end.or_else(|| tail.iter().position(|b| b == quote));
                tail.get(..end.unwrap_or(tail.len()))
            }
            _ => rest.split(|byte| *byte == b';').next(),
        };
    }
}

pub(super) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first) {
        if text.get(from + at..)?.starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_files_and_cut_bodies_are_read() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
            Content-Disposition: form-data; filename=\"s.php\"; name=f\r\nContent-Type: image/png\
            \r\n\r\n<?php a\r\n\r\nb?>\r\n--x--\r\n";
        let boundary = boundary(body).unwrap();
        let found = fields(body, boundary, 10);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name, found[0].file, found[0].content), (&b"a"[..], None, &b"1"[..]));
        assert_eq!((found[1].name, found[1].file), (&b"f"[..], Some(&b"s.php"[..])));
        assert_eq!(found[1].content, b"<?php a\r\n\r\nb?>");
        let cut = body.get(..150).unwrap();
        assert_eq!(fields(cut, boundary, 10).len(), 2);
        assert_eq!(fields(b"--\n--\n", b"--", 10).len(), 0);
    }
}
