//! Features of a name asked for in DNS: a name becomes one or two rows of small integers.
//!
//! The public suffix list says where the *registered* part of a name ends. What its owner chose (the
//! label left of the suffix) is one row, by which generated names are told; what stands left of the
//! registered name (the host part) is another, by which tunnels are told. Each row has n-grams and
//! scalars in ranges of its own, so that one model knows both.
//!
//! Case says nothing: resolvers that vary it on purpose are ordinary. Names that are looked up by
//! address (`in-addr.arpa`), in the local network (`.local`), or have one label only have no row.
//! Of a longer name the last [`NAME_BYTES`] count, which is more than DNS can carry.

mod past;

pub use past::{DomainPast, Runs};

use super::slots::Slots;
use psl::{List, Psl, Type};

/// Slots of one row: the second dimension of the model's input `ids`.
pub const WIDTH: usize = 128;

/// Bytes of a name that are looked at, from its end.
pub const NAME_BYTES: usize = 255;

/// Bytes of the owner's label that n-grams are taken of; scalars see all of it.
const LABEL_BYTES: usize = 24;

/// Bytes of the host part that n-grams are taken of.
const HOST_BYTES: usize = 32;

/// Host parts up to this length say nothing.
const HOST_BYTES_MIN: usize = 4;

/// Endings under which nobody registers a name.
const UNREGISTERED: &[&str] = &[
    "arpa",
    "local",
    "localdomain",
    "localhost",
    "lan",
    "home",
    "internal",
    "intranet",
    "corp",
    "test",
    "invalid",
    "onion",
];

/// First kind of the scalars of host parts; those of labels come before.
const HOST_SCALARS: u32 = 12;

/// A name in lower case, cut, and where its parts are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    whole: String,
    /// Where the registered name begins.
    domain: usize,
    /// Where the suffix begins; the label before it is what its owner chose.
    suffix: usize,
    /// The suffix is one that a company gives names under, not a registry.
    private: bool,
    /// It has a registered part.
    registered: bool,
    cut: bool,
}

/// What a row tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The label that the name's owner chose.
    Label,
    /// What stands left of the registered name.
    Host,
}

impl Name {
    /// Takes a name apart.
    #[must_use]
    pub fn read(name: &str) -> Self {
        let trimmed = name.trim().trim_end_matches('.');
        let from = trimmed.len().saturating_sub(NAME_BYTES);
        let from = (from..=trimmed.len()).find(|at| trimmed.is_char_boundary(*at)).unwrap_or(0);
        let whole = trimmed.get(from..).unwrap_or_default().to_ascii_lowercase();
        let mut read = Self { cut: from > 0, ..Self::default() };
        let last = whole.rsplit('.').next().unwrap_or_default();
        let local = UNREGISTERED.contains(&last) || !whole.contains('.');
        let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(suffix) = List.suffix(whole.as_bytes()).filter(|_| !local && !numeric) {
            let suffix_at = whole.len().saturating_sub(suffix.as_bytes().len());
            let before = whole.get(..suffix_at.saturating_sub(1)).unwrap_or_default();
            read.registered = suffix_at > 1 && !before.is_empty();
            read.private = suffix.typ() == Some(Type::Private);
            read.suffix = suffix_at;
            read.domain = before.rfind('.').map_or(0, |dot| dot + 1);
        }
        read.whole = whole;
        read
    }

    /// The registered name: the owner's label and the suffix. Empty where there is none.
    #[must_use]
    pub fn domain(&self) -> &str {
        if self.registered { self.whole.get(self.domain..).unwrap_or_default() } else { "" }
    }

    /// The label that the owner chose.
    #[must_use]
    pub fn label(&self) -> &str {
        let end = self.suffix.saturating_sub(1);
        if self.registered { self.whole.get(self.domain..end).unwrap_or_default() } else { "" }
    }

    /// What stands left of the registered name, without the dot between.
    #[must_use]
    pub fn host(&self) -> &str {
        let end = if self.registered { self.domain.saturating_sub(1) } else { 0 };
        self.whole.get(..end).unwrap_or_default()
    }

    /// The name in lower case.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.whole
    }

    /// Its beginning was cut off.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Its rows, in their order.
    pub fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let label = self.registered.then_some(Part::Label);
        let host = (self.host().len() >= HOST_BYTES_MIN).then_some(Part::Host);
        label.into_iter().chain(host)
    }

    /// Fills the first [`WIDTH`] slots of `out` with the ids of a row, then zeros.
    pub fn ids(&self, part: Part, out: &mut [i32]) {
        let width = out.len().min(WIDTH);
        let (out, rest) = out.split_at_mut(width);
        rest.fill(0);
        let mut slots = Slots::new(out);
        match part {
            Part::Label => self.label_ids(&mut slots),
            Part::Host => self.host_ids(&mut slots),
        }
    }

    fn label_ids(&self, slots: &mut Slots<'_>) {
        let label = self.label().as_bytes();
        let of = Shape::of(label);
        let values = [
            0,
            label.len() / 3,
            of.share(of.digits),
            (of.vowels * 10).checked_div(of.letters).unwrap_or(11),
            of.consonants_row,
            of.digits_row,
            of.turns,
            of.distinct * 10 / label.len().max(1),
            usize::from(of.hex) + 2 * usize::from(of.hyphens > 0) + 4 * usize::from(of.odd > 0),
            usize::from(self.private) + 2 * usize::from(label.starts_with(b"xn--")),
            of.rare,
        ];
        slots.scalars(&values, WIDTH);
        if self.private {
            let suffix = self.whole.get(self.suffix..).unwrap_or_default();
            slots.hashed(0x09, super::sketch::hash(suffix), WIDTH);
        }
        let head = label.get(..label.len().min(LABEL_BYTES)).unwrap_or_default();
        grams(slots, head, 0x11, &[3, 2, 4]);
        pattern(slots, head, 0x15);
    }

    fn host_ids(&self, slots: &mut Slots<'_>) {
        let host = self.host().as_bytes();
        let of = Shape::of(host);
        let longest = host.split(|byte| *byte == b'.').map(<[u8]>::len).max().unwrap_or(0);
        let labels = host.split(|byte| *byte == b'.').count();
        let values = [
            host.len() / 8,
            longest / 6,
            labels,
            of.share(of.digits),
            (of.vowels * 10).checked_div(of.letters).unwrap_or(11),
            of.distinct / 3,
            of.consonants_row,
            of.turns * 10 / host.len(),
            usize::from(of.hex) + 2 * usize::from(of.odd > 0) + 4 * usize::from(of.hyphens > 0),
        ];
        slots.scalars_from(HOST_SCALARS, &values, WIDTH);
        let head = host.get(..host.len().min(HOST_BYTES)).unwrap_or_default();
        grams(slots, head, 0x21, &[3, 2]);
        pattern(slots, head, 0x25);
    }
}

/// 2-, 3- and 4-grams with a mark at either end.
fn grams(slots: &mut Slots<'_>, text: &[u8], salt: u32, sizes: &[usize]) {
    let mut marked = [b'^'; LABEL_BYTES + HOST_BYTES];
    let end = text.len().min(marked.len() - 2);
    if let Some((to, from)) = marked.get_mut(1..=end).zip(text.get(..end)) {
        to.copy_from_slice(from);
    }
    if let Some(mark) = marked.get_mut(end + 1) {
        *mark = b'$';
    }
    let marked = marked.get(..end + 2).unwrap_or_default();
    for size in sizes {
        for gram in marked.windows(*size) {
            let value = gram.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            slots.hashed(salt + u32::try_from(*size).unwrap_or(0), value, WIDTH);
        }
    }
}

/// 4-grams over vowels, consonants, digits and marks: how a name sounds, whatever its letters.
fn pattern(slots: &mut Slots<'_>, text: &[u8], salt: u32) {
    let mut window = u32::from(b'^');
    for (at, byte) in text.iter().chain(b"$").enumerate() {
        let folded = match byte {
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y' => b'a',
            b'b'..=b'z' => b'b',
            b'0'..=b'9' => b'0',
            other => *other,
        };
        window = window << 8 | u32::from(folded);
        if at >= 2 {
            slots.hashed(salt, u64::from(window), WIDTH);
        }
    }
}

/// What is counted of a text.
#[derive(Default)]
struct Shape {
    bytes: usize,
    letters: usize,
    vowels: usize,
    digits: usize,
    hyphens: usize,
    /// Anything that host names do not hold.
    odd: usize,
    /// Letters that are rare in names that people choose.
    rare: usize,
    consonants_row: usize,
    digits_row: usize,
    /// Times that a digit follows a letter or the other way round.
    turns: usize,
    distinct: usize,
    /// Letters and digits are all hexadecimal, and both are there.
    hex: bool,
}

impl Shape {
    fn of(text: &[u8]) -> Self {
        let mut of = Self { bytes: text.len(), ..Self::default() };
        let (mut consonants, mut digits, mut not_hex) = (0, 0, false);
        let mut seen = [0u64; 4];
        let mut before = 0u8;
        for byte in text {
            let vowel = matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
            let digit = byte.is_ascii_digit();
            of.letters += usize::from(byte.is_ascii_lowercase());
            of.vowels += usize::from(vowel);
            of.digits += usize::from(digit);
            of.hyphens += usize::from(matches!(byte, b'-' | b'_'));
            of.odd += usize::from(!byte.is_ascii_alphanumeric() && !b"-_.".contains(byte));
            of.rare += usize::from(b"jqxzwvk".contains(byte));
            consonants = if byte.is_ascii_lowercase() && !vowel { consonants + 1 } else { 0 };
            digits = if digit { digits + 1 } else { 0 };
            of.consonants_row = of.consonants_row.max(consonants);
            of.digits_row = of.digits_row.max(digits);
            of.turns += usize::from(
                before.is_ascii_digit() && byte.is_ascii_lowercase()
                    || before.is_ascii_lowercase() && digit,
            );
            not_hex |= byte.is_ascii_lowercase() && !byte.is_ascii_hexdigit();
            if let Some(word) = seen.get_mut(usize::from(*byte) / 64) {
                *word |= 1 << (byte % 64);
            }
            before = *byte;
        }
        of.distinct = seen.iter().map(|word| word.count_ones() as usize).sum();
        of.hex = !not_hex && of.letters > 0 && of.digits > 0;
        of
    }

    /// A share in tenths.
    fn share(&self, part: usize) -> usize {
        part * 10 / self.bytes.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::slots::BUCKETS;

    #[test]
    fn a_name_is_taken_apart_where_it_was_registered() {
        for (name, host, label, domain) in [
            ("www.Example.co.uk.", "www", "example", "example.co.uk"),
            ("a.b.hidemyself.org", "a.b", "hidemyself", "hidemyself.org"),
            ("d1x9.cloudfront.net", "", "d1x9", "d1x9.cloudfront.net"),
            ("adeijkad.bazar", "", "adeijkad", "adeijkad.bazar"),
            ("7.0.0.10.in-addr.arpa", "", "", ""),
            ("printer._ipp._tcp.local", "", "", ""),
            ("10.0.0.7", "", "", ""),
            ("localhost", "", "", ""),
            ("co.uk", "", "", ""),
            (".com", "", "", ""),
            ("", "", "", ""),
            ("...", "", "", ""),
        ] {
            let read = Name::read(name);
            assert_eq!((read.host(), read.label(), read.domain()), (host, label, domain), "{name}");
        }
    }

    #[test]
    fn any_name_gives_ids_in_range_and_a_huge_one_is_cut() {
        let huge = "\u{e9}x.".repeat(3_000_000) + "example.org";
        let long = "a1b2".repeat(60) + ".example.org";
        for name in ["x.y", "ü.example", "*.example.com", "a..b.example.com", &long, &huge] {
            let read = Name::read(name);
            for part in read.parts() {
                let mut out = [-1; WIDTH + 3];
                read.ids(part, &mut out);
                let filled = out.iter().position(|id| *id == 0).unwrap_or(WIDTH);
                assert!(filled > 10 && filled <= WIDTH, "{filled}");
                assert!(out.iter().skip(filled).all(|id| *id == 0), "padding only at the end");
                assert!(out.iter().all(|id| (0..BUCKETS as i32).contains(id)), "{out:?}");
            }
        }
        assert!(Name::read(&huge).is_cut() && !Name::read("example.org").is_cut());
    }

    #[test]
    fn case_says_nothing_and_both_parts_count_apart() {
        let row = |name: &str, part| {
            let mut out = [0; WIDTH];
            Name::read(name).ids(part, &mut out);
            out
        };
        let same = |part| row("WwW9.eXaMpLe.CoM", part) == row("www9.example.com", part);
        assert!(same(Part::Label) && same(Part::Host));
        assert_eq!(row("aaaa.example.com", Part::Label), row("bbbb.example.com", Part::Label));
        assert_ne!(row("aaaa.example.com", Part::Host), row("bbbb.example.com", Part::Host));
    }
}
