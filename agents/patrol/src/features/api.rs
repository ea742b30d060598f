//! Features of `api-watch`: each part of a request becomes sets of small integers.
//!
//! A request is taken apart ([`Parts`]): path, names and values of the query, cookies, headers,
//! leaves of JSON, fields of forms and of multipart bodies, everything else as it is. Each part
//! is decoded the way an application would, long ones are read in windows of [`WINDOW`] bytes,
//! and each window is one row, so that no amount of ordinary text around an attack dilutes it,
//! and a model never sees a whole request, by which it would know the site.
//!
//! A row ([`ids`]) holds scalars, 1..3-grams over tokens ([`lex`]) and 4-grams over shapes of
//! characters. What is plainly harmless (letters, digits, `-` and `_` only) needs no row.

mod client;
mod decode;
mod json;
mod lex;
mod multipart;
mod parts;
mod words;

pub use super::slots::BUCKETS;
pub use client::{Call, Client, Sign};
pub use magsentinel_bus_schema::raw_http::raw_http;
pub use parts::{Limits, Part, Parts, Place, Window};

use super::slots::{Slots, log2};
use decode::Undone;
use lex::Lexed;

/// Slots of one window: the second dimension of the model's input `ids`.
pub const WIDTH: usize = 192;

/// Most bytes of a decoded part in one row.
pub const WINDOW: usize = 192;

/// Bytes that two neighbouring windows share, so that nothing hides on their border.
const OVERLAP: usize = 48;

/// The last slot that the tokens may fill; the shapes have the rest.
const TOKENS_END: usize = 144;

/// Fills the first [`WIDTH`] slots of `out` with ids in `1..BUCKETS`, then zeros (padding).
fn ids(bytes: &[u8], place: Place, undone: Undone, inner: bool, out: &mut [i32]) {
    let width = out.len().min(WIDTH);
    let (out, rest) = out.split_at_mut(width);
    rest.fill(0);
    let lexed = Lexed::of(bytes);
    let mut slots = Slots::new(out);
    scalars(&mut slots, bytes, &lexed, (place, undone, inner));
    slots.grams(lexed.padded(), 0x3B, TOKENS_END);
    slots.shape(bytes, WINDOW, WIDTH);
}

fn scalars(
    slots: &mut Slots<'_>,
    bytes: &[u8],
    lexed: &Lexed,
    (place, undone, inner): (Place, Undone, bool),
) {
    let (mut singles, mut doubles, mut marks, mut digits, mut odd) = (0, 0, 0, 0, 0);
    let (mut round, mut angle, mut curly) = (0i32, 0i32, 0i32);
    let mut round_min = 0;
    for byte in bytes {
        match byte {
            b'\'' => singles += 1,
            b'"' => doubles += 1,
            b'(' => round += 1,
            b')' => round -= 1,
            b'<' => angle += 1,
            b'>' => angle -= 1,
            b'{' => curly += 1,
            b'}' => curly -= 1,
            _ => {}
        }
        round_min = round_min.min(round);
        marks += usize::from(byte.is_ascii_punctuation());
        digits += usize::from(byte.is_ascii_digit());
        odd += usize::from(!matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
    }
    let share = |part: usize| (part * 10 / bytes.len().max(1)).min(10);
    let sign = |depth: i32| usize::from(depth < 0) + 2 * usize::from(depth > 0);
    let first = bytes.first().copied().unwrap_or(b' ');
    let values = [
        place as usize,
        log2(bytes.len()),
        log2(lexed.padded().len()),
        if singles == 0 { 0 } else { 1 + singles % 2 },
        if doubles == 0 { 0 } else { 1 + doubles % 2 },
        sign(round) + 4 * usize::from(round_min < 0),
        sign(angle) + 4 * sign(curly).min(1),
        lexed.mixed_case.min(3),
        usize::from(undone.percent) + 4 * usize::from(undone.disguised),
        usize::from(undone.entities) + 2 * usize::from(undone.escapes),
        lexed.keywords.min(11),
        share(marks),
        share(digits),
        share(odd),
        lexed.constants.min(3),
        lexed.handlers.min(2) + 3 * lexed.ups.min(3),
        class_of(first) + 6 * usize::from(inner),
    ];
    slots.scalars(&values, WIDTH);
}

fn class_of(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => 0,
        b'0'..=b'9' => 1,
        b'/' => 2,
        b'<' | b'{' | b'[' => 3,
        b'\'' | b'"' | b')' | b';' | b'|' | b'&' | b'$' | b'`' => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests;
