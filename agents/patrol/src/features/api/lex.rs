//! One window of a part as a sequence of tokens: marks, known words, and classes of the rest.
//!
//! Quotes are marks here and swallow nothing, because nobody knows into what an application
//! puts the text: markup, a shell, a query, a path.

use super::words;

/// Most tokens of a window.
pub(super) const TOKENS_MAX: usize = 160;

const EDGE: u16 = 1;
const NUMBER: u16 = 2;
const HEX: u16 = 3;
const OPAQUE: u16 = 4;
const NAME: u16 = 5;
const PROSE: u16 = 6;
const CALL: u16 = 7;
const FOREIGN: u16 = 8;
const LIST: u16 = 9;
const SAME: u16 = 10;
const OTHER: u16 = 11;
const HANDLER: u16 = 12;
const UP: u16 = 13;
const UP_MANY: u16 = 14;
const LINE: u16 = 15;
const NUL: u16 = 16;
const CONTROL: u16 = 17;
const ADDRESS: u16 = 18;
const ADDRESS_OWN: u16 = 19;
const ADDRESS_CLOUD: u16 = 20;
const MAIL: u16 = 21;
const MARK: u16 = 0x80;
const PAIR: u16 = 0x100;

/// Marks that mean something of their own when they stand together.
const PAIRS: [&[u8; 2]; 36] = [
    b"<!", b"</", b"<?", b"<%", b"?>", b"%>", b"/>", b"{{", b"}}", b"{%", b"%}", b"${", b"$(",
    b"#{", b"*{", b"@{", b"%{", b"||", b"&&", b"--", b"/*", b"*/", b"//", b"::", b"->", b"=>",
    b"==", b"!=", b"<=", b">=", b"<<", b">>", b"$_", b":=", b"@@", b"{$",
];

/// Whether a mark begins any of [`PAIRS`]: most do not, and need no search.
const BEGINS: [bool; 256] = begins();

#[expect(clippy::indexing_slicing, reason = "runs at compile time, below the lengths")]
const fn begins() -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < PAIRS.len() {
        table[PAIRS[at][0] as usize] = true;
        at += 1;
    }
    table
}

/// The tokens of a window, and what was noticed on the way.
pub(super) struct Lexed {
    codes: [u16; TOKENS_MAX + 2],
    length: usize,
    pub(super) keywords: usize,
    /// Keywords written in both cases at once.
    pub(super) mixed_case: usize,
    /// Literals compared with literals.
    pub(super) constants: usize,
    /// Event handlers of markup.
    pub(super) handlers: usize,
    /// Steps up a path.
    pub(super) ups: usize,
}

impl Lexed {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut lexed = Self {
            codes: [0; TOKENS_MAX + 2],
            length: 0,
            keywords: 0,
            mixed_case: 0,
            constants: 0,
            handlers: 0,
            ups: 0,
        };
        lexed.push(EDGE);
        Lexer { bytes, at: 0, literal: (0, 0), since: Since::Nothing, lexed: &mut lexed }.run();
        lexed.length = lexed.length.min(TOKENS_MAX + 1);
        if let Some(slot) = lexed.codes.get_mut(lexed.length) {
            *slot = EDGE;
            lexed.length += 1;
        }
        lexed
    }

    /// The tokens between two marks.
    pub(super) fn padded(&self) -> &[u16] {
        self.codes.get(..self.length).unwrap_or_default()
    }

    fn back(&self, steps: usize) -> u16 {
        let place = self.length.checked_sub(steps);
        place.and_then(|place| self.codes.get(place)).copied().unwrap_or(0)
    }

    /// Appends a token, folding prose, lists and repeated marks.
    fn push(&mut self, code: u16) {
        let (last, before) = (self.back(1), self.back(2));
        let comma = MARK + u16::from(b',');
        match code {
            NAME if last == PROSE => return,
            NAME if last == NAME && before == NAME => {
                self.length -= 1;
                return self.set_last(PROSE);
            }
            NUMBER | HEX | NAME | OPAQUE
                if last == comma && before == LIST && self.back(3) == code =>
            {
                self.length -= 1;
                return;
            }
            NUMBER | HEX | NAME | OPAQUE if last == comma && before == code => {
                return self.set_last(LIST);
            }
            UP if last == UP || last == UP_MANY => return self.set_last(UP_MANY),
            FOREIGN | CONTROL | LINE | NUL if last == code => return,
            _ if code == last && (MARK..PAIR).contains(&code) && before == code => return,
            _ => {}
        }
        if self.length <= TOKENS_MAX
            && let Some(slot) = self.codes.get_mut(self.length)
        {
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

/// What stands between the last literal and here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    /// No literal, or something that compares nothing.
    Nothing,
    /// Quotes and brackets.
    Literal,
    /// A comparison too.
    Compared,
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the last literal stood.
    literal: (usize, usize),
    since: Since,
    lexed: &'a mut Lexed,
}

impl Lexer<'_> {
    fn run(mut self) {
        while let Some(byte) = self.peek(0) {
            if self.lexed.length > TOKENS_MAX {
                return;
            }
            match byte {
                b'\r' | b'\n' => self.take(LINE, 1),
                0 => self.take(NUL, 1),
                b' ' | b'\t' => self.at += 1,
                1..=0x1f | 0x7f => self.take(CONTROL, 1),
                b'0'..=b'9' => self.number(),
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word(),
                b'.' => self.dots(),
                b'\'' if self.apostrophe() => {}
                _ => self.mark(byte),
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

    fn mark(&mut self, byte: u8) {
        self.since = match (self.since, byte) {
            (Since::Nothing, _) => Since::Nothing,
            (_, b'=' | b'<' | b'>') => Since::Compared,
            (since, b'\'' | b'"' | b'(' | b')' | b'!') => since,
            _ => Since::Nothing,
        };
        let next = self.peek(1).unwrap_or(0);
        let begins = BEGINS.get(usize::from(byte)).copied().unwrap_or(false);
        let pair = || PAIRS.iter().zip(0u16..).find(|(pair, _)| ***pair == [byte, next]);
        match begins.then(pair).flatten() {
            Some((_, number)) => self.take(PAIR + number, 2),
            None => self.take(MARK + u16::from(byte), 1),
        }
    }

    /// `../`, `..\`, `....//`, `..;/`; other dots are marks.
    fn dots(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let dots = rest.iter().take_while(|byte| **byte == b'.').count();
        let slash = match rest.get(dots..) {
            Some([b'/' | b'\\', ..]) => 1,
            Some([b';', b'/', ..]) => 2,
            _ => 0,
        };
        if dots < 2 || slash == 0 {
            self.since = Since::Nothing;
            return self.take(MARK + u16::from(b'.'), 1);
        }
        self.lexed.ups += 1;
        self.take(UP, dots + slash);
        while matches!(self.peek(0), Some(b'/' | b'\\')) {
            self.at += 1;
        }
    }

    /// An apostrophe as English, French or Irish writers put it belongs to the word.
    fn apostrophe(&mut self) -> bool {
        let before = |steps: usize| {
            let place = self.at.checked_sub(steps);
            place
                .and_then(|place| self.bytes.get(place))
                .is_some_and(|b| b.is_ascii_alphabetic() || *b >= 0x80)
        };
        if !before(1) {
            return false;
        }
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let letters = |b: &&u8| b.is_ascii_alphabetic() || **b >= 0x80;
        let tail = rest.iter().take_while(letters).count();
        let after = rest.get(tail).copied();
        let ends = matches!(
            after,
            None | Some(
                b' ' | b'.' | b',' | b'!' | b'?' | b')' | b'-' | b'\n' | b'\r' | b';' | b':'
            )
        );
        let short = !before(3);
        let within = match rest.get(..tail).unwrap_or_default() {
            [b's' | b't' | b'd' | b'm' | b'S' | b'T'] | b"re" | b"ve" | b"ll" => ends,
            long => short && long.len() > 2 && ends && words::find(long).is_none(),
        };
        if within {
            self.at += 1 + tail;
        }
        within
    }

    fn number(&mut self) {
        let from = self.at;
        if self.peek(0) == Some(b'0') && matches!(self.peek(1), Some(b'x' | b'X')) {
            self.at += 2;
            while self.peek(0).is_some_and(|digit| digit.is_ascii_hexdigit()) {
                self.at += 1;
            }
            return self.literal(HEX, from);
        }
        let mut dots = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'0'..=b'9'), _) => self.at += 1,
                (Some(b'.'), Some(b'0'..=b'9')) => {
                    dots += 1;
                    self.at += 1;
                }
                (Some(b'a'..=b'z' | b'A'..=b'Z' | b'_'), _) => {
                    self.skip_word();
                    let code = if self.at - from >= 12 { OPAQUE } else { HEX };
                    return self.literal(code, from);
                }
                _ => break,
            }
        }
        if dots == 3 {
            let code = address(self.bytes.get(from..self.at).unwrap_or_default());
            self.since = Since::Nothing;
            return self.lexed.push(code);
        }
        self.literal(NUMBER, from);
    }

    fn skip_word(&mut self) {
        while let Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | 0x80..) = self.peek(0) {
            self.at += 1;
        }
    }

    /// Pushes a literal, and after `literal = literal` whether the two were the same.
    fn literal(&mut self, code: u16, from: usize) {
        let before = self.bytes.get(self.literal.0..self.literal.1);
        let same = before == self.bytes.get(from..self.at);
        let compared = self.since == Since::Compared;
        self.literal = (from, self.at);
        self.since = Since::Literal;
        self.lexed.push(code);
        if compared {
            self.lexed.constants += usize::from(same);
            self.lexed.push(if same { SAME } else { OTHER });
        }
    }

    fn word(&mut self) {
        let from = self.at;
        self.skip_word();
        let word = self.bytes.get(from..self.at).unwrap_or_default();
        if let Some(code) = words::find(word) {
            self.lexed.keywords += 1;
            let upper = word.iter().filter(|byte| byte.is_ascii_uppercase()).count();
            let lower = word.iter().filter(|byte| byte.is_ascii_lowercase()).count();
            let first = word.first().is_some_and(u8::is_ascii_uppercase);
            self.lexed.mixed_case +=
                usize::from(upper > usize::from(first) && lower > 0 && upper > 1);
            if word.eq_ignore_ascii_case(b"like") && self.since != Since::Nothing {
                self.since = Since::Compared;
            } else {
                self.since = Since::Nothing;
            }
            return self.lexed.push(code);
        }
        let next = self.bytes.iter().skip(self.at).find(|byte| **byte != b' ').copied();
        let handler = |word: &[u8]| {
            word.len() > 4
                && word.get(..2).is_some_and(|on| on.eq_ignore_ascii_case(b"on"))
                && word.iter().all(u8::is_ascii_alphabetic)
        };
        if next == Some(b'=') && handler(word) {
            self.lexed.handlers += 1;
            return self.lexed.push(HANDLER);
        }
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        let code = match word {
            _ if word.first().is_some_and(|byte| *byte >= 0x80) => FOREIGN,
            _ if word.len() >= 16 && digits > 1 || word.len() > 40 => OPAQUE,
            _ if self.peek(0) == Some(b'(') => CALL,
            _ if self.peek(0) == Some(b'@')
                && self.peek(1).is_some_and(|b| b.is_ascii_alphanumeric()) =>
            {
                self.at += 1;
                while self
                    .peek(0)
                    .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
                {
                    self.at += 1;
                }
                MAIL
            }
            _ => NAME,
        };
        if matches!(code, NAME | OPAQUE) {
            return self.literal(code, from);
        }
        self.since = Since::Nothing;
        self.lexed.push(code);
    }
}

/// The class of a dotted address.
fn address(text: &[u8]) -> u16 {
    if text == b"169.254.169.254" || text == b"100.100.100.200" {
        return ADDRESS_CLOUD;
    }
    let own: [&[u8]; 5] = [b"127.", b"10.", b"192.168.", b"169.254.", b"0."];
    let is_own = own.iter().any(|start| text.starts_with(start));
    if is_own { ADDRESS_OWN } else { ADDRESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexed(text: &str) -> Lexed {
        Lexed::of(text.as_bytes())
    }

    fn has(text: &str, code: u16) -> bool {
        lexed(text).padded().contains(&code)
    }

    #[test]
    fn what_attacks_are_made_of_is_recognised() {
        assert!(
            has("' or '1'='1", SAME) && has("1 or 7=7", SAME) && has("x' or 'a' like 'a", SAME)
        );
        assert!(!has("a=1&b=1", SAME) && has("1=2", OTHER));
        assert!(
            has("<x onfoo=1>", HANDLER) && !has("online = yes", HANDLER) || has("a onx=1", NAME)
        );
        assert!(has("../x", UP) && has("..;/../a", UP_MANY) && has("....//....//a", UP_MANY));
        assert!(has("http://169.254.169.254/", ADDRESS_CLOUD) && has("127.0.0.1", ADDRESS_OWN));
        assert!(has("system('id')", words::find(b"system").unwrap()));
        assert_eq!(lexed("<ScRiPt>").mixed_case, 1);
        assert_eq!(lexed("<Script>").mixed_case, 0);
    }

    #[test]
    fn ordinary_writing_is_folded() {
        let quote = MARK + u16::from(b'\'');
        for text in ["it's", "O'Brien", "don't go", "l'avion", "d'Angelo Marco"] {
            assert!(!has(text, quote), "{text}");
        }
        for text in ["x'", "admin'--", "a' or 'b", "x'y'z"] {
            assert!(has(text, quote), "{text}");
        }
        assert_eq!(lexed("the quick brown fox jumps").padded(), [EDGE, PROSE, EDGE]);
        assert!(has("1,2,3,4,5,6", LIST) && has("me@example.org", MAIL));
    }

    #[test]
    fn any_bytes_end_in_bounded_tokens() {
        let mut state = 1u32;
        for length in 0..600 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            assert!(Lexed::of(&bytes).padded().len() <= TOKENS_MAX + 2);
        }
    }
}
