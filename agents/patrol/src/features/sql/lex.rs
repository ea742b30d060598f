//! A forgiving lexer for SQL and for whatever else arrives: one pass, no allocation.
//!
//! It keeps what injections are made of (keywords, operators, quotes, comments, literals compared
//! with literals) and folds what only tells one application from another: names, values, lists
//! and runs of plain words become one token each.

use super::words;

/// Tokens kept of one text; more than a cut text of ordinary statements needs.
const TOKENS_MAX: usize = 512;

/// First code of the kept words; below are the classes and, as 0x80 + byte, the operators.
pub(super) const WORD_BASE: u16 = 0x200;

const EDGE: u16 = 1;
const NUMBER: u16 = 2;
const HEX: u16 = 3;
const STRING: u16 = 4;
const EMPTY: u16 = 5;
const OPEN: u16 = 6;
const NAME: u16 = 7;
const PROSE: u16 = 8;
const CALL: u16 = 9;
const SYSTEM: u16 = 10;
const VARIABLE: u16 = 11;
const PARAMETER: u16 = 12;
const LIST: u16 = 13;
const SAME: u16 = 14;
const OTHER: u16 = 15;
const COMMENT: u16 = 16;
const COMMENT_CODE: u16 = 17;
const COMMENT_END: u16 = 18;
const COMMENT_OPEN: u16 = 19;
const DASHES: u16 = 20;
const QUOTED_NAME: u16 = 21;
const MARK: u16 = 0x80;

/// Where the text stands: on its own, or in a string that its first quote closes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Plain,
    Inside(u8),
}

/// The tokens of one reading of a text, and what was noticed on the way.
pub(super) struct Lexed {
    codes: [u16; TOKENS_MAX + 2],
    length: usize,
    /// The text ended inside a string.
    pub(super) open_string: bool,
    pub(super) keywords: usize,
    /// Keywords written in both cases at once.
    pub(super) mixed_case: usize,
    pub(super) comments: usize,
    /// List elements folded away.
    pub(super) folds: usize,
    /// Literals compared with literals.
    pub(super) constants: usize,
    statement: bool,
}

impl Lexed {
    pub(super) fn of(bytes: &[u8], start: Start) -> Self {
        let mut lexed = Self {
            codes: [0; TOKENS_MAX + 2],
            length: 0,
            open_string: false,
            keywords: 0,
            mixed_case: 0,
            comments: 0,
            folds: 0,
            constants: 0,
            statement: false,
        };
        lexed.push(EDGE);
        let at = match start {
            Start::Plain => 0,
            Start::Inside(_) => {
                lexed.push(STRING);
                1
            }
        };
        Lexer { bytes, at, literal: (0, 0), name: (0, 0), lexed: &mut lexed }.run();
        if let Some(slot) = lexed.codes.get_mut(lexed.length) {
            *slot = EDGE;
            lexed.length += 1;
        }
        lexed
    }

    /// The tokens, without the marks at either end.
    pub(super) fn tokens(&self) -> &[u16] {
        self.codes.get(1..self.length.saturating_sub(1)).unwrap_or_default()
    }

    /// The tokens between two marks.
    pub(super) fn padded(&self) -> &[u16] {
        self.codes.get(..self.length).unwrap_or_default()
    }

    pub(super) fn starts_statement(&self) -> bool {
        self.statement
    }

    pub(super) fn ends_in_comment(&self) -> bool {
        let hash = MARK + u16::from(b'#');
        let tail = self.tokens().iter().rev().take(2);
        tail.copied().any(|code| code == DASHES || code == hash || code == COMMENT_OPEN)
    }

    fn back(&self, steps: usize) -> u16 {
        let place = self.length.checked_sub(steps);
        place.and_then(|place| self.codes.get(place)).copied().unwrap_or(0)
    }

    /// Appends a token, folding names, lists and prose.
    fn push(&mut self, code: u16) {
        let (last, before) = (self.back(1), self.back(2));
        let comma = MARK + u16::from(b',');
        let dot = MARK + u16::from(b'.');
        match code {
            NAME if last == PROSE => return,
            NAME if last == NAME && before == NAME => {
                self.length -= 1;
                self.set_last(PROSE);
                return;
            }
            NAME if last == dot && before == NAME => {
                self.length -= 1;
                return;
            }
            NUMBER | HEX | STRING | NAME | PARAMETER | EMPTY if last == comma => {
                let listed = before == LIST && self.back(3) == code;
                if listed || before == code {
                    self.folds += 1;
                    if listed {
                        self.length -= 1;
                    } else {
                        self.set_last(LIST);
                    }
                    return;
                }
            }
            _ => {}
        }
        self.append(code);
    }

    fn append(&mut self, code: u16) {
        if self.length >= TOKENS_MAX {
            return;
        }
        if let Some(slot) = self.codes.get_mut(self.length) {
            *slot = code;
            self.length += 1;
        }
    }

    fn set_last(&mut self, code: u16) {
        let place = self.length.saturating_sub(1);
        if let Some(slot) = self.codes.get_mut(place) {
            *slot = code;
        }
    }
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the last literal stood.
    literal: (usize, usize),
    /// Where the last name stood, with what qualifies it.
    name: (usize, usize),
    lexed: &'a mut Lexed,
}

impl Lexer<'_> {
    fn run(mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                0..=b' ' | 0x7f => self.at += 1,
                b'\'' | b'"' => self.quote(byte),
                b'`' => self.backtick(),
                b'0'..=b'9' => self.number(),
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'@' | 0x80.. => self.word(),
                b'/' if self.peek(1) == Some(b'*') => self.comment(),
                b'*' if self.peek(1) == Some(b'/') => self.take(COMMENT_END, 2),
                b'-' if self.peek(1) == Some(b'-') => {
                    self.lexed.comments += 1;
                    self.take(DASHES, 2);
                }
                b'$' | b':' if self.peek(1).is_some_and(|next| next.is_ascii_alphanumeric()) => {
                    self.at += 1;
                    self.skip_word();
                    self.lexed.push(PARAMETER);
                }
                b'?' => self.take(PARAMETER, 1),
                _ => self.operator(byte),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn take(&mut self, code: u16, length: usize) {
        self.at += length;
        self.lexed.push(code);
    }

    fn skip_word(&mut self) {
        while let Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..) =
            self.peek(0)
        {
            self.at += 1;
        }
    }

    fn operator(&mut self, first: u8) {
        let double = matches!(
            (first, self.peek(1)),
            (b'<', Some(b'=' | b'>' | b'<'))
                | (b'>', Some(b'=' | b'>'))
                | (b'!' | b':', Some(b'='))
                | (b'|', Some(b'|'))
                | (b'&', Some(b'&'))
                | (b':', Some(b':'))
                | (b'-', Some(b'>'))
        );
        let code = MARK + u16::from(first) + if double { 0x80 } else { 0 };
        if self.lexed.back(1) == code && matches!(first, b'.' | b'*' | b'=' | b'/' | b'!') {
            self.at += 1;
            return;
        }
        self.take(code, if double { 2 } else { 1 });
    }

    fn comment(&mut self) {
        self.lexed.comments += 1;
        if matches!(self.peek(2), Some(b'!' | b'+')) {
            self.take(COMMENT_CODE, 3);
            while self.peek(0).is_some_and(|digit| digit.is_ascii_digit()) {
                self.at += 1;
            }
            return;
        }
        let rest = self.bytes.get(self.at + 2..).unwrap_or_default();
        match rest.windows(2).position(|pair| pair == b"*/") {
            Some(length) => self.take(COMMENT, length + 4),
            None => self.take(COMMENT_OPEN, 2),
        }
    }

    fn backtick(&mut self) {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        match rest.iter().take(64).position(|byte| *byte == b'`') {
            Some(length) => self.take(NAME, length + 2),
            None => self.take(MARK + u16::from(b'`'), 1),
        }
    }

    /// A string, or an apostrophe inside a word ("don't", "O'Brien") in plain text.
    fn quote(&mut self, quote: u8) {
        if quote == b'\'' && self.apostrophe() {
            self.at += 1;
            self.skip_word();
            return;
        }
        let from = self.at + 1;
        let mut end = from;
        loop {
            match self.bytes.get(end) {
                None => break,
                Some(b'\\') => end += 2,
                Some(byte) if *byte == quote => {
                    if self.bytes.get(end + 1) == Some(&quote) && end > from {
                        end += 2;
                    } else {
                        break;
                    }
                }
                Some(_) => end += 1,
            }
        }
        let end = end.min(self.bytes.len());
        let closed = end < self.bytes.len();
        self.at = end + usize::from(closed);
        if !closed {
            self.lexed.open_string = true;
        }
        let code = match (closed, end == from, quote) {
            (false, ..) => OPEN,
            (true, true, _) => EMPTY,
            (true, false, b'"') => QUOTED_NAME,
            _ => STRING,
        };
        self.constant(code, from, end);
    }

    /// Whether the quote here stands in a word as English, French or Irish writers put it.
    fn apostrophe(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.bytes.get(at)).copied();
        if !before.is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return false;
        }
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let tail = rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(rest.len());
        let alone = self.at < 2
            || self.bytes.get(self.at - 2).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let after = rest.get(tail).copied();
        match rest.get(..tail).unwrap_or_default() {
            [b's' | b't' | b'd' | b'm'] | b"re" | b"ve" | b"ll" => {
                !matches!(after, Some(b'\'' | b'"' | b'='))
            }
            long => alone && long.len() > 2 && after != Some(b'\''),
        }
    }

    fn number(&mut self) {
        let from = self.at;
        if self.peek(0) == Some(b'0') && matches!(self.peek(1), Some(b'x' | b'X')) {
            self.at += 2;
            while self.peek(0).is_some_and(|digit| digit.is_ascii_hexdigit()) {
                self.at += 1;
            }
            return self.constant(HEX, from, self.at);
        }
        while let Some(b'0'..=b'9' | b'.') = self.peek(0) {
            self.at += 1;
        }
        if matches!(self.peek(0), Some(b'e' | b'E'))
            && self.peek(1).is_some_and(|next| next.is_ascii_digit() || next == b'+')
        {
            self.at += 2;
            while self.peek(0).is_some_and(|digit| digit.is_ascii_digit()) {
                self.at += 1;
            }
        }
        self.constant(NUMBER, from, self.at);
    }

    /// Pushes a literal, and after `literal = literal` whether the two were the same.
    fn constant(&mut self, code: u16, from: usize, end: usize) {
        let compared = matches!(self.lexed.back(2), NUMBER | HEX | STRING | EMPTY | QUOTED_NAME)
            && {
                let last = self.lexed.back(1);
                let like = words::find(b"like").map_or(0, |place| WORD_BASE + place);
                last == like
                    || [b'=', b'<', b'>'].iter().any(|mark| {
                        let code = MARK + u16::from(*mark);
                        last == code || last == code + 0x80
                    })
            };
        let before = self.bytes.get(self.literal.0..self.literal.1);
        self.literal = (from, end);
        self.lexed.push(code);
        if compared {
            self.lexed.constants += 1;
            let same = before == self.bytes.get(from..end);
            self.lexed.push(if same { SAME } else { OTHER });
        }
    }

    fn word(&mut self) {
        let from = self.at;
        while self.peek(0) == Some(b'@') {
            self.at += 1;
        }
        self.skip_word();
        let word = self.bytes.get(from..self.at).unwrap_or_default();
        if let Some(place) = words::find(word) {
            self.lexed.keywords += 1;
            let upper = word.iter().filter(|byte| byte.is_ascii_uppercase()).count();
            let capital = upper == 1 && word.first().is_some_and(u8::is_ascii_uppercase);
            let letters = word.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
            self.lexed.mixed_case += usize::from(upper > 0 && upper < letters && !capital);
            if self.lexed.length == 1 && words::begins_statement(place) {
                self.lexed.statement = true;
            }
            return self.lexed.push(WORD_BASE + place);
        }
        let code = match word {
            [b'@', b'@', _, ..] => SYSTEM,
            [b'@', _, ..] => VARIABLE,
            [b'@'] => MARK + u16::from(b'@'),
            _ if words::is_system(word) => SYSTEM,
            _ if self.peek(0) == Some(b'(') => CALL,
            _ => NAME,
        };
        let (from, end) = (from, self.at);
        if code == NAME && self.lexed.back(1) == MARK + u16::from(b'.') {
            self.name.1 = end;
            self.lexed.push(code);
            return;
        }
        let equals = self.lexed.back(1) == MARK + u16::from(b'=') && self.lexed.back(2) == NAME;
        let same = self.bytes.get(self.name.0..self.name.1) == self.bytes.get(from..end);
        self.name = (from, end);
        self.lexed.push(code);
        if code == NAME && equals && same && self.peek(0) != Some(b'.') {
            self.lexed.constants += 1;
            self.lexed.push(SAME);
        }
    }
}

#[cfg(test)]
mod tests;
