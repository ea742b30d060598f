//! What is written is read back as it was, in both encodings.

use crate::{
    arbitrary,
    examples::{self, Visit},
};
use magsentinel_bus_schema::{KeyedRef, Limits, Message, codec, decode, encode, encode_json};
use proptest::prelude::*;
use std::fmt::Debug;

struct RoundTrip;

impl Visit for RoundTrip {
    fn visit<T: Message + PartialEq + Debug>(&mut self, _of: &str, name: &str, message: &T) {
        let packed = encode(message).unwrap();
        let json = encode_json(message).unwrap();
        for (bytes, content_type) in [
            (&packed, None),
            (&packed, Some(codec::MESSAGEPACK)),
            (&json, None),
            (&json, Some(codec::JSON)),
            (&json, Some("application/json; charset=utf-8")),
        ] {
            let read = decode::<T>(bytes, content_type, Limits::default());
            let read = read.unwrap_or_else(|e| panic!("{name} as {content_type:?}: {e}"));
            assert_eq!(&read, message, "{name} as {content_type:?}");
        }
        assert!(!codec::is_json(&packed, None), "{name} must not look like JSON");
    }
}

#[test]
fn every_example_is_read_back() {
    examples::each(&mut RoundTrip);
}

proptest! {
    #[test]
    fn every_message_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        arbitrary::each(&bytes, &mut RoundTrip);
    }
}

#[test]
fn a_keyed_event_that_is_borrowed_is_written_as_one_that_is_owned() {
    let keyed = examples::keyed();
    let borrowed = KeyedRef {
        v: keyed.v,
        class: keyed.class,
        key: &keyed.key,
        seq: keyed.seq,
        scored: &keyed.scored,
    };
    assert_eq!(encode(&borrowed).unwrap(), encode(&keyed).unwrap());
    assert_eq!(encode_json(&borrowed).unwrap(), encode_json(&keyed).unwrap());
    assert_eq!(borrowed.to_keyed(), keyed);
}
