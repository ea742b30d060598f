//! What one batch brings for one shard travels as one message: the server stores, and the owner
//! pulls, a fraction of the messages. It holds events for keys of every class, because the order
//! within a shard must stay: what came later would make late what came before it.
//!
//! A batch that is delivered again may be cut into other parcels, under other ids than the first
//! time; the owner of a key drops a second event of one id.

use magsentinel_bus_schema::{Class, Id, Shard, Subject, codec};
use magsentinel_runtime::stage::{Output, Publish};
use std::collections::BTreeMap;

/// Longest parcel of more than one event, in bytes: about a hundred events. An owner has up to
/// four batches of parcels under way, which must not fill its memory.
const BYTES_MAX: usize = 64 * 1024;

/// One encoded event on its way to the owner of a key.
pub(crate) struct Part {
    /// Class of the key.
    pub(crate) class: Class,
    /// Id of the scored event.
    pub(crate) scored: Id,
    /// MessagePack bytes of the keyed event.
    pub(crate) bytes: Vec<u8>,
    /// W3C trace context.
    pub(crate) trace: Option<String>,
}

/// What is gathered for each shard.
#[derive(Default)]
pub(crate) struct Parcels(BTreeMap<Shard, Parcel>);

#[derive(Default)]
struct Parcel {
    parts: Vec<Part>,
    bytes: usize,
}

impl Parcels {
    /// Adds an event for a key of a shard; what it no longer fits beside is sent.
    pub(crate) fn add(&mut self, shard: Shard, part: Part, out: &mut Output) {
        let parcel = self.0.entry(shard).or_default();
        if parcel.bytes + part.bytes.len() > BYTES_MAX {
            std::mem::take(parcel).send(shard, out);
        }
        parcel.bytes += part.bytes.len();
        parcel.parts.push(part);
    }

    /// Sends the rest.
    pub(crate) fn send(self, out: &mut Output) {
        self.0.into_iter().for_each(|(shard, parcel)| parcel.send(shard, out));
    }
}

impl Parcel {
    fn send(mut self, shard: Shard, out: &mut Output) {
        if self.parts.len() < 2 {
            let Some(Part { class, scored, bytes, trace }) = self.parts.pop() else { return };
            let id = alone(scored, class);
            let subject = Subject::Keyed(class, shard);
            return out.publish(Publish { subject, id, payload: bytes.into(), trace });
        }
        let causes = self.parts.iter();
        let causes =
            causes.flat_map(|p| [p.scored.as_bytes().as_slice(), p.class.token().as_bytes()]);
        let causes: Vec<&[u8]> = std::iter::once(b"parcel".as_slice()).chain(causes).collect();
        let id = Id::derived(&causes);
        let payload = codec::join(self.parts.into_iter().map(|part| part.bytes).collect()).into();
        // Each event of several carries its own trace context.
        out.publish(Publish { subject: Subject::Parcel(shard), id, payload, trace: None });
    }
}

/// The id of the message that holds one event.
fn alone(scored: Id, class: Class) -> Id {
    Id::derived(&[b"keyed", scored.as_bytes().as_slice(), class.token().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, bytes: usize) -> Part {
        let (scored, trace) = (Id::derived(&[name]), Some("t".to_owned()));
        Part { class: Class::User, scored, bytes: vec![0xc0; bytes], trace }
    }

    #[test]
    fn each_shard_gets_one_message_in_order_and_a_lone_event_stays_as_it_is() {
        let (mut parcels, mut out) = (Parcels::default(), Output::default());
        for (shard, name, bytes) in [(2, "a", 1), (1, "b", 1), (2, "c", 2)] {
            parcels.add(Shard(shard), part(name, bytes), &mut out);
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
            parcels.add(Shard(0), part(name, BYTES_MAX / 2), &mut out);
        }
        parcels.add(Shard(0), part("d", 2 * BYTES_MAX), &mut out);
        parcels.send(&mut out);
        let lengths: Vec<usize> = out.published().iter().map(|p| p.payload.len()).collect();
        assert_eq!(lengths, [BYTES_MAX + 5, BYTES_MAX / 2, 2 * BYTES_MAX]);
    }
}
