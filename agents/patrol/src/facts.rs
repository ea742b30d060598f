//! Facts: what the owner of another key than the one that gives an event its shard sees of it.

use crate::{body, patrol::Spec};
use magsentinel_bus_schema::{
    Class, Event, Fact, Fields, Id, SCHEMA_VERSION, Shard, Subject, entity::value_of, key, trace,
};
use magsentinel_runtime::stage::Publish;

/// Classes whose owners see facts: all but the first.
pub(crate) fn classes(spec: &Spec) -> &'static [Class] {
    spec.keys.get(1..).unwrap_or_default()
}

/// The body that the owner of a key of `class` sees, where the event names one.
pub(crate) fn body_of(spec: &Spec, class: Class, whole: &Fields) -> Option<(String, Fields)> {
    let key = key::of(class, &value_of(class, whole)?, whole);
    let needed = spec.facts.iter().filter_map(|name| {
        let value = body::field(whole, name)?;
        Some(((*name).to_owned(), value.clone()))
    });
    Some((key, Fields(needed.collect())))
}

/// The messages for the owners of an event's other keys; an id follows from event, patrol and
/// class. `backfilled` says that the event is seen too late.
pub(crate) fn of(
    spec: &Spec,
    event: &Event,
    (seq, backfilled): (u64, bool),
    shards: u16,
) -> Vec<Result<Publish, String>> {
    let named = classes(spec).iter().filter_map(|class| {
        let (key, body) = body_of(spec, *class, &event.body)?;
        Some((*class, key, body))
    });
    named
        .map(|(class, key, body)| {
            let subject = Subject::Fact(spec.token(), class, Shard::of(&key, shards));
            let parts = [
                b"fact",
                event.id.as_bytes().as_slice(),
                spec.name.as_bytes(),
                class.token().as_bytes(),
            ];
            let id = Id::derived(&parts);
            let event = Event { body, ..event.clone() };
            let fact = Fact { v: SCHEMA_VERSION, class, key, seq, event, backfilled };
            let message = Publish::new(subject, id, &fact).map_err(|e| e.to_string())?;
            let trace = fact.event.trace.unwrap_or_else(|| trace::of(fact.event.id));
            Ok(message.traced(Some(trace)))
        })
        .collect()
}
