//! What the model would see of recorded events, for its training.

use super::Vector;
use crate::{
    chain::{Book, Chain, Part, named},
    window::{Packed, Point, Shapes, search},
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

/// The events of one key under one chain, with the part that each takes.
type Taken<'s> = Vec<(&'s Scored, Part)>;

/// The rows of all events, which may be in any order: every two spans of every key in which a
/// chain finds members. Conditions that wait for time to pass are left out.
#[must_use]
pub fn rows(book: &Book, scored: &[Scored]) -> Vec<Row> {
    let mut keys: BTreeMap<(u16, Class, &str), Taken<'_>> = BTreeMap::new();
    for event in scored {
        for class in book.classes() {
            let Some(entity) = named(event, class) else { continue };
            for part in book.parts(class, event) {
                let key = (part.chain, part.home, entity.value.as_str());
                keys.entry(key).or_default().push((event, part));
            }
        }
    }
    let rows = keys.into_iter().filter_map(|((chain, class, key), events)| {
        let chain = book.chains().get(usize::from(chain))?;
        Some(key_rows(chain, (class, key), events))
    });
    rows.flatten().collect()
}

fn key_rows(chain: &Chain, (class, key): (Class, &str), mut events: Taken<'_>) -> Vec<Row> {
    events.sort_by_key(|(event, _)| (event.ts, event.id));
    events.dedup_by_key(|(event, _)| event.id);
    let point = |(event, part): &(&Scored, Part)| Point {
        at: event.ts.micros(),
        mask: part.mask,
        value: part.value,
    };
    let points: Vec<Point> = events.iter().map(point).collect();
    let found = search(chain, &points);
    let mut shapes = Shapes::default();
    let mut buffer = Vec::new();
    let mut members: Vec<(Timestamp, Id)> = Vec::new();
    for ((event, _), _) in events.iter().zip(&found.member).filter(|(_, member)| **member) {
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
