//! Words: what a text names, and what the evidence names.
//!
//! A text names by shape (a word with a digit, an underscore, a dot, an at sign; a capital inside
//! a sentence), by quotation marks, and by place (the word after "user", "table", …). A plain
//! word elsewhere, and a capitalised one that opens a sentence, is taken for language.

use super::lists::{COMMAND_SIGNS, NAMERS, ORDINARY, PLAYING_DOWN, TRADE, UNDOING, UNDONE};
use magsentinel_bus_schema::{Class, Id, Timestamp};
use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

/// Words on both sides of a verb that undoes something, within which stands what it undoes.
const REACH: usize = 6;
/// Integers up to this are language, not figures ("two events", "3 steps").
const COUNT_MAX: u64 = 12;
/// In advice, integers up to this are: "within 24 hours", "for 90 days", "every 365 days".
const ADVICE_MAX: u64 = 365;

/// The first sign of a command in a text.
pub(super) fn command_sign(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    COMMAND_SIGNS.iter().copied().find(|sign| lower.contains(sign))
}

/// What the word after this one names.
pub(super) fn classes_named_by(word: &str) -> &'static [Class] {
    match word.to_lowercase().as_str() {
        "user" | "username" | "account" | "role" | "login" => &[Class::User],
        "session" => &[Class::Session],
        "key" => &[Class::Key],
        "device" | "sensor" | "camera" => &[Class::Device],
        "extension" | "plugin" => &[Class::Extension],
        "client" | "address" | "ip" => &[Class::Client, Class::Host],
        "host" | "hostname" | "machine" | "server" => &[Class::Host, Class::Client],
        "table" | "database" | "schema" | "view" | "bucket" | "file" | "endpoint" | "resource" => {
            &[Class::Resource]
        }
        _ => &[],
    }
}

/// Whether a word after one that names something is language all the same.
pub(super) fn is_ordinary(word: &str) -> bool {
    let word = word.to_lowercase();
    ORDINARY.split_whitespace().any(|ordinary| ordinary == word)
}

/// One word of a text.
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    text: &'a str,
    start: usize,
    opens_sentence: bool,
    quoted: bool,
}

/// A text in words.
pub(super) struct Wording<'a> {
    words: Vec<Word<'a>>,
}

impl<'a> Wording<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { words: words(text) }
    }

    /// Words that can be read: letters with a vowel.
    pub(super) fn plain_words(&self) -> usize {
        let vowel =
            |w: &&Word<'_>| w.text.to_ascii_lowercase().contains(['a', 'e', 'i', 'o', 'u', 'y']);
        let letters = |w: &&Word<'_>| w.text.len() > 1 && w.text.chars().all(char::is_alphabetic);
        self.words.iter().filter(letters).filter(vowel).count()
    }

    pub(super) fn plays_down(&self) -> Option<&'static str> {
        let lower = self.lower();
        let text = format!(" {} ", lower.join(" ").replace('-', " "));
        let phrase = PLAYING_DOWN.split(", ").find(|p| text.contains(&format!(" {p} ")));
        phrase.or_else(|| {
            // "close it and the incident", "lower its severity", "promote the pattern".
            let listed = |list: &'static str, word: &String| {
                list.split_whitespace().find(|listed| listed == word)
            };
            lower.iter().enumerate().find_map(|(at, word)| {
                let verb = listed(UNDOING, word)?;
                let near = lower.iter().skip(at.saturating_sub(REACH)).take(2 * REACH + 1);
                near.into_iter().any(|word| listed(UNDONE, word).is_some()).then_some(verb)
            })
        })
    }

    fn lower(&self) -> Vec<String> {
        self.words.iter().map(|w| w.text.to_lowercase()).collect()
    }

    /// The words by which a language shows: lower case, letters alone.
    pub(super) fn language(&self) -> Vec<String> {
        let letters = |w: &String| w.chars().all(char::is_alphabetic);
        self.lower().into_iter().filter(letters).collect()
    }

    /// The words as they stand.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.words.iter().map(|word| word.text)
    }

    /// Each word with the one before it.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let before = [""].into_iter().chain(self.texts());
        before.zip(self.texts())
    }

    /// The sentences, each as a wording.
    pub(super) fn sentences(&self) -> Vec<Wording<'a>> {
        let parts = self.words.chunk_by(|_, word| !word.opens_sentence);
        parts.map(|words| Wording { words: words.to_vec() }).collect()
    }

    /// Whether a word of a list is among these.
    pub(super) fn has_any(&self, list: &str) -> bool {
        self.lower().iter().any(|word| list.split_whitespace().any(|listed| listed == word))
    }

    /// The first word that names something outside `names`.
    pub(super) fn first_unknown(
        &self,
        names: &Names,
        is_label: impl Fn(&str) -> bool,
        advice: bool,
    ) -> Option<&'a str> {
        let mut before = "";
        for word in &self.words {
            let known = names.has(word.text) || is_label(word.text);
            if !known && is_name(word, before, names, advice) {
                return Some(word.text);
            }
            before = word.text;
        }
        None
    }

    /// The text with every label written out.
    pub(super) fn with_labels(&self, text: &str, event: impl Fn(&str) -> Option<Id>) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for word in &self.words {
            if let Some(id) = event(word.text) {
                out.push_str(text.get(done..word.start).unwrap_or_default());
                out.push_str(&id.to_string());
                done = word.start + word.text.len();
            }
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }
}

fn is_name(word: &Word<'_>, before: &str, names: &Names, advice: bool) -> bool {
    let lower = normal(word.text);
    let listed = |list: &str| list.split(' ').any(|word| word == lower);
    if listed(TRADE) {
        return false;
    }
    if let Ok(number) = lower.parse::<u64>() {
        return number > if advice { ADVICE_MAX } else { COUNT_MAX };
    }
    let odd = |c: char| matches!(c, '_' | '@' | '\\' | '=' | '$' | '.') || !c.is_ascii();
    if word.quoted || lower.contains(|c: char| c.is_ascii_digit() || odd(c)) {
        return true;
    }
    if lower.contains([':', '/', '-']) {
        // "read/write", "application-layer": each part on its own, and no empty part ("//").
        let mut parts = word.text.split([':', '/', '-']);
        return parts.any(|part| {
            let whole = Word { text: part, ..*word };
            part.is_empty() || (!names.has(part) && is_name(&whole, before, names, advice))
        });
    }
    let mut letters = word.text.chars();
    let capital_first = letters.next().is_some_and(char::is_uppercase);
    let capital_inside = letters.any(char::is_uppercase);
    if capital_inside || (capital_first && !word.opens_sentence) {
        return true;
    }
    NAMERS.split(' ').any(|namer| namer == before.to_lowercase()) && !listed(ORDINARY)
}

/// What evidence names, without case.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Adds a name as a whole.
    pub(super) fn add_whole(&mut self, name: &str) {
        self.0.insert(normal(name.trim()));
    }

    /// Adds a name or text: as a whole, its words, and the parts of its words.
    pub(super) fn add(&mut self, text: &str) {
        self.0.insert(normal(text.trim()));
        for word in words(text) {
            self.0.insert(normal(word.text));
            if let Some((head, tail)) = word.text.rsplit_once([':', '/'])
                && head.parse::<IpAddr>().is_ok()
            {
                self.0.insert(normal(head));
                self.0.insert(normal(tail));
            }
            self.add_parts(word.text);
        }
    }

    /// Parts of compound words. Those of an address, a UUID or a time are no names.
    fn add_parts(&mut self, word: &str) {
        let parts = || word.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty());
        let digits = |part: &str| part.bytes().any(|b| b.is_ascii_digit());
        let compound = parts().filter(|p| digits(p)).count() >= 3;
        for part in parts().filter(|p| !(compound && digits(p))) {
            self.0.insert(normal(part));
        }
        // "5000rows": the number that stands before a unit.
        let number: String = word.chars().take_while(char::is_ascii_digit).collect();
        if !number.is_empty() && !compound {
            self.0.insert(number);
        }
    }

    /// Adds the ways in which a time is written.
    pub(super) fn add_time(&mut self, time: Timestamp) {
        let whole = time.to_string();
        let (date, clock) = whole.split_once('T').unwrap_or((&whole, ""));
        let clock = clock.trim_end_matches('Z');
        let seconds = clock.split('.').next().unwrap_or(clock);
        let minutes = seconds.get(..5).unwrap_or(seconds);
        for form in [
            whole.clone(),
            date.to_owned(),
            clock.to_owned(),
            format!("{clock}Z"),
            seconds.to_owned(),
            format!("{seconds}Z"),
            minutes.to_owned(),
            format!("{date}T{seconds}Z"),
            format!("{date}T{minutes}Z"),
        ] {
            self.0.insert(normal(&form));
        }
    }

    pub(super) fn merge(&mut self, other: &Names) {
        self.0.extend(other.0.iter().cloned());
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.contains(&normal(word))
    }
}

/// Runs of so many words that a text holds, hashed: there are many, and only whether one is there
/// is asked. Who wanted two runs to collide would have a statement of ours removed.
pub(super) struct Runs {
    length: usize,
    runs: HashSet<u64>,
}

/// The words of a text, hashed.
pub(super) struct Hashed(Vec<u64>);

impl Hashed {
    pub(super) fn of(text: &str) -> Self {
        Self::of_words(&words(text))
    }

    fn of_words(words: &[Word<'_>]) -> Self {
        Self(words.iter().map(|word| hash(&normal(word.text))).collect())
    }

    fn runs(&self, length: usize) -> impl Iterator<Item = u64> {
        self.0.windows(length).map(hash)
    }
}

fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Runs {
    pub(super) fn of(length: usize) -> Self {
        Self { length, runs: HashSet::new() }
    }

    pub(super) fn add(&mut self, text: &Hashed) {
        self.runs.extend(text.runs(self.length));
    }

    pub(super) fn shared_with(&self, wording: &Wording<'_>) -> Option<String> {
        let hashed = Hashed::of_words(&wording.words);
        let at = hashed.runs(self.length).position(|run| self.runs.contains(&run))?;
        let run = wording.texts().skip(at).take(self.length);
        Some(run.collect::<Vec<_>>().join(" "))
    }

    /// How many of a text's runs these are, 0..=1.
    pub(super) fn share_of(&self, wording: &Wording<'_>) -> f32 {
        let hashed = Hashed::of_words(&wording.words);
        let shared = hashed.runs(self.length).filter(|run| self.runs.contains(run)).count();
        shared as f32 / hashed.runs(self.length).count().max(1) as f32
    }
}

/// Lower case, without the commas that group digits.
fn normal(word: &str) -> String {
    let lower = word.to_lowercase();
    let digits = lower.bytes().all(|b| b.is_ascii_digit() || b == b',');
    if digits { lower.replace(',', "") } else { lower }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let digit = |at: usize| chars.get(at).is_some_and(|(_, c)| c.is_ascii_digit());
    let in_word = |at: usize, c: char| match c {
        ',' => at > 0 && digit(at - 1) && digit(at + 1),
        '_' | '@' | '.' | ':' | '/' | '\\' | '-' | '=' | '$' | '\'' | '’' => true,
        _ => c.is_alphanumeric(),
    };
    let mut found = Vec::new();
    let mut opens_sentence = true;
    let mut at = 0;
    while let Some(&(start, c)) = chars.get(at) {
        if !in_word(at, c) {
            opens_sentence |= matches!(c, '!' | '?' | '\n');
            at += 1;
            continue;
        }
        let before = at.checked_sub(1).and_then(|b| chars.get(b)).map(|(_, c)| *c);
        while chars.get(at).is_some_and(|(_, c)| in_word(at, *c)) {
            at += 1;
        }
        let end = chars.get(at).map_or(text.len(), |(end, _)| *end);
        let raw = text.get(start..end).unwrap_or_default();
        push_word(&mut found, raw, start, before, &mut opens_sentence);
    }
    found
}

fn push_word<'a>(
    found: &mut Vec<Word<'a>>,
    raw: &'a str,
    start: usize,
    before: Option<char>,
    opens_sentence: &mut bool,
) {
    let edge = |c: char| matches!(c, '.' | ':' | '/' | '-' | '=' | '\'' | '’');
    let left = raw.trim_start_matches(edge);
    let cut = raw.strip_suffix(left).unwrap_or_default();
    let mut text = left.trim_end_matches(edge);
    let ends_sentence = left.get(text.len()..).is_some_and(|rest| rest.contains(['.', ':']));
    for possessive in ["'s", "’s"] {
        text = text.strip_suffix(possessive).unwrap_or(text);
    }
    if !text.is_empty() {
        let quoted = cut.contains('\'') || matches!(before, Some('"' | '`' | '“' | '‘' | '«'));
        let start = start + cut.len();
        found.push(Word { text, start, opens_sentence: *opens_sentence, quoted });
        *opens_sentence = false;
    }
    *opens_sentence |= ends_sentence;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown<'a>(evidence: &str, text: &'a str) -> Option<&'a str> {
        let mut names = Names::default();
        names.add(evidence);
        Wording::of(text).first_unknown(&names, |w| w == "E1", false)
    }

    #[test]
    fn what_the_evidence_does_not_hold_is_found_by_shape_place_or_quotes() {
        let evidence = "app_rw read 5000 rows of public.customers from 203.0.113.9:5432 on db1";
        for (text, found) in [
            ("The role app_rw read 5,000 rows of customers from 203.0.113.9.", None),
            ("A SQL injection on E1 reached public.customers; that is bad.", None),
            ("The read/write data went to an application-layer client.", None),
            ("It came from 198.51.100.7 as we saw.", Some("198.51.100.7")),
            ("It came from 2001:db8::1 as we saw.", Some("2001:db8::1")),
            ("The user mallory did this.", Some("mallory")),
            ("The attacker, most likely Lazarus, did this.", Some("Lazarus")),
            ("It read 'payroll' as well.", Some("payroll")),
            ("It read hr.payroll as well.", Some("hr.payroll")),
            ("It read 50000 rows.", Some("50000")),
            ("The address 203.0.113.99 is near.", Some("203.0.113.99")),
            ("The group is APT28 again.", Some("APT28")),
            ("See example.com for more.", Some("example.com")),
            ("The user аlice did it.", Some("аlice")),
            ("On E2 it began.", Some("E2")),
        ] {
            assert_eq!(unknown(evidence, text), found, "{text}");
        }
    }

    #[test]
    fn the_parts_of_an_address_are_no_names() {
        assert_eq!(unknown("from 203.0.113.9", "About 203 rows left."), Some("203"));
    }
}
