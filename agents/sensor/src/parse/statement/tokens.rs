//! SQL text to words, names and signs; comments are dropped, literals are opaque.

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word without quotes, in lower case.
    Word(String),
    /// A quoted name.
    Name(String),
    /// A string or number.
    Literal,
    /// Any other character.
    Sign(char),
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        if let Self::Word(w) = self { Some(w) } else { None }
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    pub(super) fn name(&self) -> Option<&str> {
        if let Self::Word(n) | Self::Name(n) = self { Some(n) } else { None }
    }
}

/// Splits a text. What is not closed reaches to the end.
pub(super) fn tokens(sql: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if c.is_whitespace() {
            rest = after;
        } else if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, r)| r);
        } else if rest.starts_with("/*") {
            rest = after_comment(rest);
        } else if c == '\'' {
            let escapes =
                matches!(found.last(), Some(Token::Word(w)) if w == "e") && touches(sql, rest);
            if escapes {
                found.pop();
            }
            rest = after_string(after, escapes);
            found.push(Token::Literal);
        } else if c == '"' {
            let (name, left) = quoted_name(after);
            found.push(Token::Name(name));
            rest = left;
        } else if c == '$' {
            rest = after_dollar(rest);
            found.push(Token::Literal);
        } else if c.is_alphabetic() || c == '_' {
            let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
            let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
            let (word, left) = rest.split_at(end);
            found.push(Token::Word(word.to_lowercase()));
            rest = left;
        } else if c.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest = rest.get(end..).unwrap_or_default();
            found.push(Token::Literal);
        } else {
            found.push(Token::Sign(c));
            rest = after;
        }
    }
    found
}

/// `E` belongs to the quote only when nothing stands between them.
fn touches(sql: &str, rest: &str) -> bool {
    let at = sql.len() - rest.len();
    sql.get(..at).is_some_and(|before| before.ends_with(['e', 'E']))
}

/// PostgreSQL's comments nest.
fn after_comment(text: &str) -> &str {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return text.get(at..).unwrap_or_default();
                }
            }
            _ => at += 1,
        }
    }
    ""
}

fn after_string(text: &str, escapes: bool) -> &str {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if escapes => {
                chars.next();
            }
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
            }
            '\'' => return text.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

fn quoted_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
            name.push('"');
            chars.next();
        } else {
            return (name, text.get(at + 1..).unwrap_or_default());
        }
    }
    (name, "")
}

/// `$tag$ … $tag$`, or a parameter like `$1`, or just the sign.
fn after_dollar(text: &str) -> &str {
    let after = text.get(1..).unwrap_or_default();
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        return after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let tag_end = after.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    let Some(end) = tag_end.filter(|end| after.get(*end..).is_some_and(|r| r.starts_with('$')))
    else {
        return after;
    };
    let (tag, body) = text.split_at(end + 2);
    body.find(tag).map_or("", |at| body.get(at + tag.len()..).unwrap_or_default())
}
