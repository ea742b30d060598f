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
use std::{collections::BTreeMap, fmt::Debug, sync::LazyLock};

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

static SCHEMAS: LazyLock<BTreeMap<&str, Value>> =
    LazyLock::new(|| reference::messages().into_iter().map(|(n, s)| (n, s.to_value())).collect());

/// What another version wrote: any of the optional fields left out, at any depth, and others added.
struct Between<'a> {
    /// By which field in turn is left out.
    dice: &'a [bool],
}

impl Between<'_> {
    fn leave_out(&self, value: &mut Value, schema: &Value, root: &Value, thrown: &mut usize) {
        let schema = resolved(schema, root);
        if let (Value::Object(map), Some(fields)) = (&mut *value, schema["properties"].as_object())
        {
            let required = schema["required"].as_array();
            for (name, of) in fields {
                let optional = required.is_none_or(|names| !names.contains(&json!(name)));
                *thrown += 1;
                if optional && self.dice[*thrown % self.dice.len()] {
                    map.remove(name);
                } else if let Some(inner) = map.get_mut(name) {
                    self.leave_out(inner, of, root, thrown);
                }
            }
        }
        if let Value::Array(items) = value {
            for item in items {
                self.leave_out(item, &schema["items"], root, thrown);
            }
        }
    }
}

/// The schema that a reference names; of one that may be null, the other.
fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    let of_null = |schema: &&Value| schema["type"] == "null";
    let any = schema["anyOf"].as_array().map(|any| any.iter().find(|one| !of_null(one)));
    let schema = any.flatten().unwrap_or(schema);
    let named = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    named.and_then(|path| root.pointer(path)).map_or(schema, |schema| resolved(schema, root))
}

/// Whether everything that was written was read.
fn kept(written: &Value, read: &Value) -> bool {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            written.iter().all(|(name, w)| read.get(name).is_some_and(|r| kept(w, r)))
        }
        (Value::Array(written), Value::Array(read)) => {
            written.len() == read.len() && written.iter().zip(read).all(|(w, r)| kept(w, r))
        }
        _ => written == read,
    }
}

impl Visit for Between<'_> {
    fn visit<T: Message + PartialEq + Debug>(&mut self, of: &str, name: &str, message: &T) {
        let schema = &SCHEMAS[of];
        let older = |value: &mut Value| self.leave_out(value, schema, schema, &mut 0);
        let mut written: Value = serde_json::from_slice(&encode_json(message).unwrap()).unwrap();
        older(&mut written);
        let bytes = changed(message, |value| {
            older(value);
            extend(value);
        });
        for bytes in bytes {
            let read = decode::<T>(&bytes, None, Limits::default());
            let read = read.unwrap_or_else(|e| panic!("{of} {name}: {e}\n{written}"));
            let read = serde_json::from_slice(&encode_json(&read).unwrap()).unwrap();
            assert!(kept(&written, &read), "{of} {name}: {written}\nread as {read}");
        }
    }
}

proptest! {
    // Each visits every example too.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_another_version_wrote_is_read(
        bytes in prop::collection::vec(any::<u8>(), 0..1500),
        dice in prop::collection::vec(any::<bool>(), 1..64),
    ) {
        let mut between = Between { dice: &dice };
        arbitrary::each(&bytes, &mut between);
        examples::each(&mut between);
    }
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
