//! What is no message is told so, and nothing that anybody can send makes a reader panic.

use crate::{
    arbitrary,
    examples::{self, Visit},
    tolerance::changed,
};
use magsentinel_bus_schema::{
    CodecError, Event, Limits, Message, SCHEMA_VERSION, codec, decode, encode, encode_json,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Debug;

fn read<T: Message>(bytes: &[u8]) -> Result<T, CodecError> {
    decode(bytes, None, Limits::default())
}

fn is_malformed<T>(read: &Result<T, CodecError>) -> bool {
    matches!(read, Err(CodecError::Malformed { .. }))
}

struct Table;

impl Visit for Table {
    fn visit<T: Message + PartialEq + Debug>(&mut self, _of: &str, name: &str, message: &T) {
        let [packed, json] = [encode(message).unwrap(), encode_json(message).unwrap()];
        for bytes in [&packed, &json] {
            cut::<T>(name, bytes);
            too_long::<T>(name, bytes);
        }
        wrong_types(name, message);
        versions(name, message);
        several(name, message);
    }
}

fn cut<T: Message + Debug>(name: &str, bytes: &[u8]) {
    assert!(matches!(read::<T>(&[]), Err(CodecError::Empty)), "{name}");
    for length in 1..bytes.len() {
        let found = read::<T>(&bytes[..length]);
        assert!(is_malformed(&found), "{name} cut at {length}: {found:?}");
    }
}

fn too_long<T: Message + Debug>(name: &str, bytes: &[u8]) {
    let doubled = [bytes, bytes].concat();
    for (whole, trailing) in [(&doubled, bytes.len()), (&[bytes, &b"x"[..]].concat(), 1)] {
        let found = read::<T>(whole);
        assert!(
            matches!(found, Err(CodecError::TrailingBytes(n)) if n == trailing),
            "{name}: {found:?}"
        );
    }
    let fits = Limits { bytes_max: bytes.len() };
    assert!(decode::<T>(bytes, None, fits).is_ok(), "{name}");
    let small = Limits { bytes_max: bytes.len() - 1 };
    let found = decode::<T>(bytes, None, small);
    let (size, limit) = (bytes.len(), small.bytes_max);
    assert!(
        matches!(found, Err(CodecError::TooLarge { bytes, bytes_max }) if bytes == size
            && bytes_max == limit),
        "{name}: {found:?}"
    );
}

fn joined(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut joined = codec::Joined::default();
    messages.iter().for_each(|message| joined.add(message));
    joined.into_bytes()
}

/// Several messages in one payload are read as such, and nothing else is.
fn several<T: Message + PartialEq + Debug>(name: &str, message: &T) {
    let each = |bytes: &[u8]| codec::decode_each::<T>(bytes, None, Limits::default());
    let packed = encode(message).unwrap();
    let all = joined(&vec![packed.clone(); 3]);
    assert_eq!(all[..5], [0xdd, 0, 0, 0, 3], "{name}");
    let text = String::from_utf8(encode_json(message).unwrap()).unwrap();
    for three in [&all, &format!(" [{text},{text},{text}]").into_bytes()] {
        let all = each(three).unwrap();
        assert!(all.len() == 3 && all.iter().all(|one| one == message), "{name}: {all:?}");
        assert!(is_malformed(&each(&three[..three.len() - 1])), "{name}");
        let found = each(&[&three[..], b"x"].concat());
        assert!(matches!(found, Err(CodecError::TrailingBytes(1))), "{name}: {found:?}");
        let found = codec::decode_each::<T>(three, None, Limits { bytes_max: three.len() - 1 });
        assert!(matches!(found, Err(CodecError::TooLarge { .. })), "{name}: {found:?}");
        assert!(is_malformed(&read::<T>(three)), "{name}");
    }
    for alone in [joined(std::slice::from_ref(&packed)), text.into_bytes()] {
        assert_eq!(each(&alone).unwrap(), std::slice::from_ref(message), "{name}");
    }
    let [newer, _] = changed(message, |value| value["v"] = (SCHEMA_VERSION + 1).into());
    let mixed = joined(&[packed, newer]);
    assert!(matches!(each(&mixed), Err(CodecError::Version { .. })), "{name}");
    assert!(matches!(each(b""), Err(CodecError::Empty)), "{name}");
}

fn wrong_types<T: Message + Debug>(name: &str, message: &T) {
    for bytes in [
        &[0x05][..],                           // a number
        &[0xc0],                               // nil
        &[0xa1, b'x'],                         // a text
        &[0x90],                               // an empty array
        &[0x80],                               // an empty map
        &[0xc1],                               // never used by MessagePack
        &[0xdb, 0xff, 0xff, 0xff, 0xff],       // a text of 4 GiB
        &[0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0], // an array of 4 G elements
        &[0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1], // a map of 4 G pairs
        b"{}",
        b"[]",
        b"[1]",
        b"{\"v\":",
        b"plain words",
    ] {
        let found = read::<T>(bytes);
        assert!(is_malformed(&found), "{name} from {bytes:x?}: {found:?}");
    }
    for text in ["7", "null", "\"text\"", "true", "\u{feff}{}"] {
        let found = decode::<T>(text.as_bytes(), Some(codec::JSON), Limits::default());
        assert!(is_malformed(&found), "{name} from {text}: {found:?}");
    }
    let fields: Value = serde_json::from_slice(&encode_json(message).unwrap()).unwrap();
    for field in fields.as_object().unwrap().keys() {
        for bytes in changed(message, |value| value[field] = json!([[]])) {
            let found = read::<T>(&bytes);
            assert!(is_malformed(&found), "{name} with a wrong {field}: {found:?}");
        }
    }
}

fn versions<T: Message + PartialEq + Debug>(name: &str, message: &T) {
    let next = u64::from(SCHEMA_VERSION) + 1;
    for newer in [next, u64::from(u16::MAX), 70_000, u64::MAX] {
        let whole = changed(message, |value| value["v"] = newer.into());
        // A newer message whose other fields are not ours at all.
        let strange = changed(message, |value| *value = json!({"v": newer, "id": 7}));
        for bytes in whole.iter().chain(&strange) {
            let found = read::<T>(bytes);
            assert!(
                matches!(found, Err(CodecError::Version { found }) if found == newer),
                "{name} of version {newer}: {found:?}"
            );
        }
    }
    for wrong in [json!(-1), json!("1"), json!(1.5), json!(null)] {
        for bytes in changed(message, |value| value["v"] = wrong.clone()) {
            let found = read::<T>(&bytes);
            assert!(is_malformed(&found), "{name} of version {wrong}: {found:?}");
        }
    }
}

#[test]
fn bad_input_is_told_by_its_name() {
    examples::each(&mut Table);
}

#[test]
fn unknown_words_are_told() {
    let event = examples::event();
    for (field, value) in [
        ("kind", json!("wine")),
        ("kind", json!("SQL")),
        ("tenant", json!("Default")),
        ("tenant", json!("a".repeat(33))),
        ("id", json!("7")),
        ("received", json!("yesterday")),
        ("source", json!({"trust": "sworn"})),
    ] {
        for bytes in changed(&event, |message| message[field] = value.clone()) {
            let found = read::<Event>(&bytes);
            assert!(is_malformed(&found), "{field} {value}: {found:?}");
        }
    }
    let [packed, _] = changed(&event, |message| message["kind"] = json!("wine"));
    let why = read::<Event>(&packed).unwrap_err().to_string();
    assert!(why.contains("wine") && why.contains("extension"), "{why}");
}

#[test]
fn text_that_is_no_utf8_is_refused() {
    let event = examples::event();
    for bytes in [encode(&event).unwrap(), encode_json(&event).unwrap()] {
        for within in ["pg_user", "shop-1", "postgres", "nested", "query"] {
            let mut bytes = bytes.clone();
            let at = bytes.windows(within.len()).position(|w| w == within.as_bytes()).unwrap();
            bytes[at + 1] = 0xff;
            let found = read::<Event>(&bytes);
            assert!(is_malformed(&found), "{within}: {found:?}");
        }
    }
}

#[test]
fn a_body_without_bottom_is_refused() {
    let packed = [b"\x81\xa4body".to_vec(), b"\x81\xa1a".repeat(100_000)].concat();
    let lists = [b"\x81\xa4body\x81\xa1a".to_vec(), vec![0x91; 100_000]].concat();
    let json = format!("{{\"body\":{}", "{\"a\":".repeat(100_000)).into_bytes();
    let unknown = [b"\x81\xa7unknown".to_vec(), vec![0x91; 100_000]].concat();
    for bytes in [packed, lists, json, unknown] {
        assert!(is_malformed(&read::<Event>(&bytes)));
    }
}

#[test]
fn either_form_of_a_body_may_be_nested_as_deep() {
    for (depth, good) in [(100, true), (140, false)] {
        let nested = (0..depth).fold(json!(1), |inner, _| json!([inner]));
        for bytes in changed(&examples::event(), |event| event["body"]["deep"] = nested.clone()) {
            let read = read::<Event>(&bytes);
            assert_eq!(read.is_ok(), good, "{depth}");
            assert_eq!(is_malformed(&read), !good, "{depth}");
        }
    }
}

/// Reads whatever it is given, and writes what it could read.
fn survive<T: Message>(bytes: &[u8]) {
    for content_type in [None, Some(codec::JSON), Some(codec::MESSAGEPACK)] {
        if let Ok(message) = decode::<T>(bytes, content_type, Limits::default()) {
            encode(&message).unwrap();
            encode_json(&message).unwrap();
        }
    }
}

struct Flip;

impl Visit for Flip {
    fn visit<T: Message + PartialEq + Debug>(&mut self, _of: &str, name: &str, message: &T) {
        // One flag more than another example: not worth a minute.
        if name.ends_with("-backfilled") {
            return;
        }
        for mut bytes in [encode(message).unwrap(), encode_json(message).unwrap()] {
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                survive::<T>(&bytes);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

#[test]
fn no_single_flipped_bit_makes_a_reader_panic() {
    examples::each(&mut Flip);
}

/// Reads the same bytes as every message.
struct Random<'a>(&'a [u8]);

impl Visit for Random<'_> {
    fn visit<T: Message + PartialEq + Debug>(&mut self, _of: &str, _name: &str, message: &T) {
        survive::<T>(self.0);
        // And in the middle of a message.
        let mut bytes = encode(message).unwrap();
        let at = bytes.len() / 2;
        bytes.splice(at..at, self.0.iter().copied());
        survive::<T>(&bytes);
    }
}

proptest! {
    #[test]
    fn random_bytes_make_no_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        arbitrary::each(&bytes, &mut Random(&bytes));
    }
}
