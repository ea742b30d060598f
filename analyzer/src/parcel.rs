//! What one batch brings for one shard travels as one message: the server stores, and the owner
//! pulls, a fraction of the messages. It holds events for keys of every class, because the order
//! within a shard must stay: what came later would make late what came before it.
//!
//! A batch that is delivered again may be cut into other parcels, under other ids than the first
//! time; the owner of a key drops a second event of one id.

use magsentinel_bus_schema::{Class, Id, Shard, Subject, codec::Joined};
use magsentinel_runtime::stage::{Output, Publish};
use std::collections::BTreeMap;

/// Longest parcel of more than one event, in bytes: about a hundred events. An owner has up to
/// four batches of parcels under way, which must not fill its memory.
const BYTES_MAX: usize = 64 * 1024;

/// One encoded event on its way to the owner of a key.
pub(crate) struct Part<'a> {
    /// Class of the key.
    pub(crate) class: Class,
    /// Id of the scored event.
    pub(crate) scored: Id,
    /// MessagePack bytes of the keyed event.
    pub(crate) bytes: &'a [u8],
    /// W3C trace context.
    pub(crate) trace: Option<&'a str>,
}

/// What is gathered for each shard.
#[derive(Default)]
pub(crate) struct Parcels(BTreeMap<Shard, Parcel>);

#[derive(Default)]
struct Parcel {
    joined: Joined,
    causes: Vec<(Id, Class)>,
    /// That of the first event.
    trace: Option<String>,
}

impl Parcels {
    /// Adds an event for a key of a shard; what it no longer fits beside is sent.
    pub(crate) fn add(&mut self, shard: Shard, part: &Part<'_>, out: &mut Output) {
        let parcel = self.0.entry(shard).or_default();
        if parcel.joined.len() + part.bytes.len() > BYTES_MAX {
            std::mem::take(parcel).send(shard, out);
        }
        if parcel.causes.is_empty() {
            parcel.trace = part.trace.map(str::to_owned);
        }
        parcel.joined.add(part.bytes);
        parcel.causes.push((part.scored, part.class));
    }

    /// Sends the rest.
    pub(crate) fn send(self, out: &mut Output) {
        self.0.into_iter().for_each(|(shard, parcel)| parcel.send(shard, out));
    }
}

impl Parcel {
    fn send(self, shard: Shard, out: &mut Output) {
        let Self { joined, causes, trace } = self;
        let (subject, id, trace) = match causes.as_slice() {
            [] => return,
            [(scored, class)] => (Subject::Keyed(*class, shard), alone(*scored, *class), trace),
            // Each event of several carries its own trace context.
            several => (Subject::Parcel(shard), together(several), None),
        };
        out.publish(Publish { subject, id, payload: joined.into_bytes().into(), trace });
    }
}

/// The id of the message that holds several events.
fn together(causes: &[(Id, Class)]) -> Id {
    let parts =
        causes.iter().flat_map(|(id, class)| [&id.as_bytes()[..], class.token().as_bytes()]);
    Id::derived(&std::iter::once(b"parcel".as_slice()).chain(parts).collect::<Vec<&[u8]>>())
}

/// The id of the message that holds one event.
fn alone(scored: Id, class: Class) -> Id {
    Id::derived(&[b"keyed", scored.as_bytes().as_slice(), class.token().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NILS: &[u8] = &[0xc0; 2 * BYTES_MAX];

    fn part(name: &str, bytes: usize) -> Part<'static> {
        let (scored, trace) = (Id::derived(&[name]), Some("t"));
        Part { class: Class::User, scored, bytes: &NILS[..bytes], trace }
    }

    #[test]
    fn each_shard_gets_one_message_in_order_and_a_lone_event_stays_as_it_is() {
        let (mut parcels, mut out) = (Parcels::default(), Output::default());
        for (shard, name, bytes) in [(2, "a", 1), (1, "b", 1), (2, "c", 2)] {
            parcels.add(Shard(shard), &part(name, bytes), &mut out);
        }
        parcels.send(&mut out);
        let [one, two] = out.published() else { panic!("{out:?}") };
        assert_eq!(one.subject, Subject::Keyed(Class::User, Shard(1)));
        assert_eq!((one.id, one.payload.len()), (alone(part("b", 1).scored, Class::User), 1));
        assert_eq!(two.subject, Subject::Parcel(Shard(2)));
        assert_eq!(two.payload[..], [0xdd, 0, 0, 0, 2, 0xc0, 0xc0, 0xc0]);
        assert_eq!((one.trace.as_deref(), two.trace.as_deref()), (Some("t"), None));
    }

    #[test]
    fn a_parcel_is_bounded_and_no_event_is_lost_at_the_bound() {
        let (mut parcels, mut out) = (Parcels::default(), Output::default());
        for name in ["a", "b", "c"] {
            parcels.add(Shard(0), &part(name, BYTES_MAX / 2), &mut out);
        }
        parcels.add(Shard(0), &part("d", 2 * BYTES_MAX), &mut out);
        parcels.send(&mut out);
        let lengths: Vec<usize> = out.published().iter().map(|p| p.payload.len()).collect();
        assert_eq!(lengths, [BYTES_MAX + 5, BYTES_MAX / 2, 2 * BYTES_MAX]);
    }
}
