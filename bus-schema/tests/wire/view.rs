//! A scored event that is read where it lies is read as one that is copied.

use crate::examples;
use magsentinel_bus_schema::{
    Class, Entity, Keyed, Limits, SCHEMA_VERSION, Scored, ScoredView, codec, decode, encode,
};
use proptest::prelude::*;

fn view(bytes: &[u8]) -> Option<ScoredView<'_>> {
    ScoredView::read(bytes, None, Limits::default())
}

fn whole(bytes: &[u8]) -> Option<Scored> {
    decode(bytes, None, Limits::default()).ok()
}

/// What the bytes of an event say.
fn fields() -> serde_json::Value {
    rmp_serde::from_slice(&encode(&examples::scored()).unwrap()).unwrap()
}

/// Both read the bytes, or neither does; and what is passed on is what is written anew.
fn agree(bytes: &[u8]) {
    let (view, whole) = (view(bytes), whole(bytes));
    // What is JSON by its first byte is read as a whole alone.
    if codec::is_json(bytes, None) {
        return assert!(view.is_none());
    }
    assert_eq!(view.is_some(), whole.is_some(), "{whole:?} in {bytes:x?}");
    let (Some(view), Some(whole)) = (view, whole) else { return };
    let said = (view.id, &view.tenant, &view.patrol, view.level, view.trace);
    let trace = whole.trace.as_deref();
    assert_eq!(said, (whole.id, &whole.tenant, &whole.patrol, whole.level, trace));
    let entity = |e: &Entity| (e.class, e.value.clone(), e.trust);
    let seen = view.entities.iter().map(|e| (e.class, e.value.to_owned(), e.trust));
    assert_eq!(seen.collect::<Vec<_>>(), whole.entities.iter().map(entity).collect::<Vec<_>>());
    let mut passed_on = b"before".to_vec();
    view.write_keyed((Class::User, "ann"), 7, &mut passed_on).unwrap();
    let (class, key) = (Class::User, "ann".to_owned());
    let anew = Keyed { v: SCHEMA_VERSION, class, key, seq: 7, scored: whole };
    let read: Keyed = decode(&passed_on[6..], None, Limits::default()).unwrap();
    // By what it writes: a number that is none is not equal to itself.
    assert_eq!(encode(&read).unwrap(), encode(&anew).unwrap());
}

#[test]
fn an_event_is_passed_on_as_it_would_be_written() {
    let scored = examples::scored();
    let bytes = encode(&scored).unwrap();
    agree(&bytes);
    let mut passed_on = Vec::new();
    view(&bytes).unwrap().write_keyed((Class::User, "ann"), 7, &mut passed_on).unwrap();
    let (class, key) = (Class::User, "ann".to_owned());
    let anew = Keyed { v: SCHEMA_VERSION, class, key, seq: 7, scored };
    assert_eq!(passed_on, encode(&anew).unwrap());
}

#[test]
fn whatever_stands_in_a_field_both_read_it_or_neither() {
    let scored = fields();
    assert!(view(&rmp_serde::to_vec_named(&scored).unwrap()).is_some());
    let others = serde_json::json!([null, true, -1, 70_000, 0.5, "", "x", "user", [], ["x"], {}]);
    let names = scored.as_object().unwrap().keys().cloned().chain(["more".to_owned()]);
    for name in names.collect::<Vec<_>>() {
        for other in others.as_array().unwrap() {
            let mut changed = scored.clone();
            changed[&name] = other.clone();
            agree(&rmp_serde::to_vec_named(&changed).unwrap());
        }
        let mut without = scored.clone();
        without.as_object_mut().unwrap().remove(&name);
        agree(&rmp_serde::to_vec_named(&without).unwrap());
    }
    let entity = |n: usize, name: &str, value: serde_json::Value| {
        let mut changed = scored.clone();
        changed["entities"][n][name] = value;
        agree(&rmp_serde::to_vec_named(&changed).unwrap());
    };
    for (name, other) in ["class", "value", "trust"]
        .iter()
        .flat_map(|name| others.as_array().unwrap().iter().map(move |other| (*name, other.clone())))
    {
        entity(0, name, other);
    }
}

#[test]
fn however_deep_one_is_it_is_passed_on_only_where_it_can_be_read_within_others() {
    let within = |inner, _| serde_json::Value::Array(vec![inner]);
    let mut scored = fields();
    let mut alone_only = 0;
    for levels in 0..140 {
        scored["more"] = (0..levels).fold(serde_json::json!(1), within);
        let bytes = rmp_serde::to_vec_named(&scored).unwrap();
        let Some(view) = view(&bytes) else {
            alone_only += u32::from(whole(&bytes).is_some());
            continue;
        };
        let mut joined = codec::Joined::default();
        let mut keyed = Vec::new();
        view.write_keyed((Class::User, "ann"), 7, &mut keyed).unwrap();
        joined.add(&keyed);
        joined.add(&keyed);
        let read = codec::decode_each::<Keyed>(&joined.into_bytes(), None, Limits::default());
        assert_eq!(read.unwrap().len(), 2, "{levels} levels");
    }
    assert!(alone_only > 0, "none was too deep to be passed on");
}

proptest! {
    #[test]
    fn of_bytes_that_were_changed_both_read_the_same(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = encode(&examples::scored()).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        agree(&bytes);
    }
}
