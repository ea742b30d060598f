//! What the model would see of recorded events, for its training.

use super::Vector;
use crate::{
    chain::{Book, Chain},
    window::{Packed, Point, Shapes, find},
};
use magsentinel_bus_schema::{Class, Id, Scored, Timestamp, Token};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Two neighbouring spans of one chain and key.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The chain.
    pub chain: Token,
    /// Class of the key.
    pub class: Class,
    /// The key.
    pub key: String,
    /// When the first span begins.
    pub from: Timestamp,
    /// What the model sees.
    #[serde(serialize_with = "numbers")]
    pub x: Vector,
    /// The scored events that are members of an incident and lie in these spans.
    pub members: Vec<Id>,
}

fn numbers<S: Serializer>(x: &Vector, s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(x)
}

/// The rows of all events, which may be in any order: every two spans of every key in which a
/// chain finds members.
#[must_use]
pub fn rows(book: &Book, scored: &[Scored]) -> Vec<Row> {
    book.chains().iter().flat_map(|chain| chain_rows(chain, scored)).collect()
}

fn chain_rows(chain: &Chain, scored: &[Scored]) -> Vec<Row> {
    let mut keys: BTreeMap<(Class, &str), Vec<&Scored>> = BTreeMap::new();
    for event in scored.iter().filter(|event| chain.mask(event) != 0) {
        if let Some(key) = chain.key(event) {
            keys.entry((key.class, &key.value)).or_default().push(event);
        }
    }
    keys.into_iter().flat_map(|(key, events)| key_rows(chain, key, events)).collect()
}

fn key_rows(chain: &Chain, (class, key): (Class, &str), mut events: Vec<&Scored>) -> Vec<Row> {
    events.sort_by_key(|event| (event.ts, event.id));
    events.dedup_by_key(|event| event.id);
    let point = |event: &&Scored| Point {
        at: event.ts.micros(),
        mask: chain.mask(event),
        value: chain.value(event).unwrap_or_default(),
    };
    let points: Vec<Point> = events.iter().map(point).collect();
    let window = i64::try_from(chain.window.as_micros()).unwrap_or(i64::MAX);
    let found = find(&chain.condition, chain.rules.len(), window, &points);
    let mut shapes = Shapes::default();
    let mut buffer = Vec::new();
    let mut members: Vec<(Timestamp, Id)> = Vec::new();
    for (event, _) in events.iter().zip(&found.member).filter(|(_, member)| **member) {
        let packed = Packed::new(event, &mut buffer).ok().and_then(|packed| packed.member());
        if let Some(member) = packed {
            shapes.add((event.ts, event.id), &member);
            members.push((event.ts, event.id));
        }
    }
    let rows = shapes.pairs().into_iter().map(|(from, shape)| {
        let until = from.plus(crate::window::SPAN * 2);
        let within = members.iter().filter(|(ts, _)| (from..until).contains(ts));
        Row {
            chain: chain.name.clone(),
            class,
            key: key.to_owned(),
            from,
            x: shape.vector(),
            members: within.map(|(_, id)| *id).collect(),
        }
    });
    rows.collect()
}
