//! Older and newer writers are understood.

use crate::{
    arbitrary,
    examples::{self, Visit},
};
use magsentinel_bus_schema::{
    Action, CodecError, Entity, Event, Limits, Message, Source, Trust, decode, encode, encode_json,
    reference,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Debug};

/// A message's map in each encoding, after a change: bytes to read.
pub(crate) fn changed<T: Message>(message: &T, change: impl Fn(&mut Value)) -> [Vec<u8>; 2] {
    let mut packed: Value = rmp_serde::from_slice(&encode(message).unwrap()).unwrap();
    let mut json: Value = serde_json::from_slice(&encode_json(message).unwrap()).unwrap();
    change(&mut packed);
    change(&mut json);
    [rmp_serde::to_vec_named(&packed).unwrap(), serde_json::to_vec(&json).unwrap()]
}

/// Adds fields to every map but an event's body, whose fields are carried.
fn extend(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(extend),
        Value::Object(map) => {
            map.iter_mut().filter(|(name, _)| *name != "body").for_each(|(_, v)| extend(v));
            map.insert("a_new_field".to_owned(), json!({"list": [1, null, {"deep": "x"}]}));
            map.insert("zz_new_field".to_owned(), json!(-1.5));
        }
        _ => {}
    }
}

struct Forward;

impl Visit for Forward {
    fn visit<T: Message + PartialEq + Debug>(&mut self, _of: &str, name: &str, message: &T) {
        for bytes in changed(message, extend) {
            let read = decode::<T>(&bytes, None, Limits::default());
            let read = read.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(&read, message, "{name}");
        }
    }
}

#[test]
fn unknown_fields_are_ignored_in_every_example() {
    examples::each(&mut Forward);
}

proptest! {
    #[test]
    fn unknown_fields_are_ignored(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        arbitrary::each(&bytes, &mut Forward);
    }
}

/// The required fields of every message, by the reference.
struct Backward(BTreeMap<&'static str, Value>);

impl Visit for Backward {
    fn visit<T: Message + PartialEq + Debug>(&mut self, of: &str, name: &str, message: &T) {
        let schema = &self.0[of];
        let required = schema["required"].as_array().unwrap();
        for field in schema["properties"].as_object().unwrap().keys() {
            let without = |value: &mut Value| {
                value.as_object_mut().unwrap().remove(field);
            };
            for bytes in changed(message, without) {
                let read = decode::<T>(&bytes, None, Limits::default());
                let told = match &read {
                    Err(CodecError::Malformed { why, .. }) => why.contains(field),
                    _ => false,
                };
                let due = if required.contains(&json!(field)) { told } else { read.is_ok() };
                assert!(due, "{name} without {field}: {read:?}");
            }
        }
    }
}

#[test]
fn exactly_what_the_reference_calls_required_must_be_there() {
    let schemas = reference::messages().into_iter();
    examples::each(&mut Backward(schemas.map(|(n, s)| (n, s.to_value())).collect()));
}

#[test]
fn what_an_older_writer_left_out_is_never_read_as_more_trusted() {
    let strip = |value: &mut Value| {
        let map = value.as_object_mut().unwrap();
        map.remove("source");
        map.remove("trace");
        map.remove("v");
    };
    let mut event = examples::event();
    for bytes in changed(&event, strip) {
        event.source = Source::default();
        event.trace = None;
        let read: Event = decode(&bytes, None, Limits::default()).unwrap();
        assert_eq!(read, event);
        assert_eq!(read.source.trust, Trust::Claimed);
    }
    let action = examples::action(examples::effects().remove(0));
    let untrusted = |value: &mut Value| {
        value["target"].as_object_mut().unwrap().remove("trust");
    };
    for bytes in changed(&action, untrusted) {
        let read: Action = decode(&bytes, None, Limits::default()).unwrap();
        assert_eq!(read.target, Entity { trust: Trust::Claimed, ..action.target.clone() });
    }
}
