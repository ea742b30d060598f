//! What came for a key a short while ago: a link that shows up later counts for it as well, so that
//! it does not matter which of two events is delivered first.

use super::Side;
use crate::chain::named;
use magsentinel_bus_schema::{Class, Id, Keyed, Timestamp};
use smallvec::SmallVec;
use std::collections::{HashMap, VecDeque, hash_map::Entry};

/// Share of all that one key may have: a flood of one must not push out all others.
const OF_ONE: usize = 4;

/// One event. Packed, because a shard keeps hundreds that nobody ever asks for: each would lie in a
/// dozen pieces of memory, long cold when it is let go.
#[derive(Debug)]
pub(super) struct Kept {
    number: u64,
    scored: Id,
    ts: Timestamp,
    /// The classes by which it names somebody, a bit each.
    classes: u16,
    packed: Box<[u8]>,
}

impl Kept {
    /// Packs an event by way of a buffer that is used again and again.
    fn of(number: u64, keyed: &Keyed, buffer: &mut Vec<u8>) -> Option<Self> {
        buffer.clear();
        // With names: without them a field that is left out would move the others.
        let packed = rmp_serde::encode::write_named(buffer, keyed);
        let packed = packed.inspect_err(|error| tracing::error!(%error, "an event is not kept"));
        let classes = Class::ALL.iter().filter(|class| named(&keyed.scored, **class).is_some());
        Some(Self {
            number,
            scored: keyed.scored.id,
            ts: keyed.scored.ts,
            classes: classes.fold(0, |classes, class| classes | bit(*class)),
            packed: packed.ok().map(|()| buffer.as_slice().into())?,
        })
    }

    /// Which of all it is.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Its time.
    pub(super) fn ts(&self) -> Timestamp {
        self.ts
    }

    /// Whether it names an entity of a class.
    pub(super) fn names(&self, class: Class) -> bool {
        self.classes & bit(class) != 0
    }

    /// The event again.
    pub(super) fn keyed(&self) -> Option<Keyed> {
        let read = rmp_serde::from_slice(&self.packed);
        read.inspect_err(|error| tracing::error!(%error, "a kept event cannot be read")).ok()
    }
}

fn bit(class: Class) -> u16 {
    1 << class as u16
}

/// The newest events of the keys of a shard.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Most have one.
    of: HashMap<Side, SmallVec<[Kept; 1]>>,
    /// Whose the events are, in the order in which they came; some are kept no longer.
    order: VecDeque<(u64, Side)>,
    kept: usize,
    next: u64,
    buffer: Vec<u8>,
}

impl Recent {
    /// Keeps an event; what is over the bounds is forgotten, the oldest first.
    pub(super) fn keep(&mut self, side: Side, keyed: &Keyed, most: usize) {
        if most == 0 {
            return;
        }
        let of_side = self.of.entry(side.clone()).or_default();
        if of_side.iter().any(|known| known.scored == keyed.scored.id) {
            return;
        }
        let Some(one) = Kept::of(self.next, keyed, &mut self.buffer) else { return };
        of_side.push(one);
        if of_side.len() > most.div_ceil(OF_ONE) {
            of_side.remove(0);
        } else {
            self.kept += 1;
        }
        self.order.push_back((self.next, side));
        self.next += 1;
        while self.kept > most && self.forget_oldest() {}
        // A flood of one key forgets its own, which are still in the order.
        if self.order.len() > most.saturating_mul(2) {
            let of = &self.of;
            self.order.retain(|(number, side)| is_kept(of, *number, side));
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((number, side)) = self.order.pop_front() else { return false };
        // The oldest of all is the oldest of its key.
        if let Entry::Occupied(mut of_side) = self.of.entry(side)
            && of_side.get().first().is_some_and(|oldest| oldest.number == number)
        {
            self.kept -= 1;
            if of_side.get().len() > 1 {
                of_side.get_mut().remove(0);
            } else {
                of_side.remove();
            }
        }
        true
    }

    /// The newest events of a key, in the order in which they came.
    pub(super) fn of(&self, side: &Side) -> impl Iterator<Item = &Kept> {
        self.of.get(side).into_iter().flatten()
    }

    /// All of them, for a next owner.
    pub(super) fn save(&self) -> Vec<(Side, Keyed)> {
        let all = self.order.iter().filter_map(|(number, side)| {
            let of_side = self.of.get(side)?;
            let at = of_side.binary_search_by_key(number, Kept::number).ok()?;
            Some((side.clone(), of_side.get(at)?.keyed()?))
        });
        all.collect()
    }

    /// Goes on from what a former owner kept.
    pub(super) fn restored(saved: Vec<(Side, Keyed)>) -> Self {
        let mut recent = Self::default();
        for (side, keyed) in &saved {
            recent.keep(side.clone(), keyed, usize::MAX);
        }
        recent
    }
}

fn is_kept(of: &HashMap<Side, SmallVec<[Kept; 1]>>, number: u64, side: &Side) -> bool {
    of.get(side).is_some_and(|kept| kept.first().is_some_and(|oldest| oldest.number <= number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{testing::scored, window::Key};
    use magsentinel_bus_schema::{Level, SCHEMA_VERSION};

    fn keyed(n: usize) -> Keyed {
        let scored = scored(&n.to_string(), "sql-guard", Level::High, n as f64);
        Keyed { v: SCHEMA_VERSION, class: Class::User, key: "ann".to_owned(), seq: 1, scored }
    }

    fn side(name: &str) -> Side {
        let tenant = magsentinel_bus_schema::Tenant::default();
        (Key { tenant, class: Class::User, value: name.into() }, false)
    }

    #[test]
    fn a_flood_of_one_key_leaves_the_others_and_no_more_than_the_bound_is_remembered() {
        let mut recent = Recent::default();
        (0..4).for_each(|n| recent.keep(side("bob"), &keyed(n), 16));
        (4..1000).for_each(|n| recent.keep(side("ann"), &keyed(n), 16));
        recent.keep(side("ann"), &keyed(999), 16);
        let of = |recent: &Recent, name: &str| -> Vec<Keyed> {
            recent.of(&side(name)).filter_map(Kept::keyed).collect()
        };
        assert_eq!(of(&recent, "bob"), (0..4).map(keyed).collect::<Vec<_>>());
        assert_eq!(of(&recent, "ann"), (996..1000).map(keyed).collect::<Vec<_>>());
        assert!(recent.order.len() <= 32, "{}", recent.order.len());
        let again = Recent::restored(recent.save());
        assert_eq!(again.save(), recent.save());
        assert_eq!((again.kept, recent.kept), (8, 8));
        // What came first goes first.
        for n in 1000..1016 {
            recent.keep(side(&n.to_string()), &keyed(n), 16);
        }
        assert_eq!((of(&recent, "bob"), of(&recent, "ann")), (vec![], vec![]));
        assert_eq!((recent.kept, recent.of.len()), (16, 16));
    }
}
