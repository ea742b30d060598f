//! Which key's newest event is oldest.

use super::slots::Slot;
use magsentinel_bus_schema::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

/// Keys by the time of their newest event, or an earlier one: put right when it matters. Nearly
/// all come in the order of time, and for these it costs nothing to keep it.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// Rising.
    in_order: VecDeque<(Timestamp, Slot)>,
    others: BinaryHeap<Reverse<(Timestamp, Slot)>>,
}

impl Ages {
    /// Adds a key that is not there.
    pub(super) fn add(&mut self, time: Timestamp, slot: Slot) {
        let new = (time, slot);
        if self.in_order.back().is_none_or(|last| *last <= new) {
            self.in_order.push_back(new);
        } else {
            self.others.push(Reverse(new));
        }
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<(Timestamp, Slot)> {
        let other = self.others.peek().map(|Reverse(other)| *other);
        self.in_order.front().copied().into_iter().chain(other).min()
    }

    /// Takes out the oldest.
    pub(super) fn pop(&mut self) -> Option<(Timestamp, Slot)> {
        let first = self.first()?;
        if self.in_order.front() == Some(&first) {
            self.in_order.pop_front()
        } else {
            self.others.pop().map(|Reverse(other)| other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Key, followed::Followed, slots::Slots};
    use magsentinel_bus_schema::{Class, Tenant};

    #[test]
    fn they_come_out_in_order_however_they_went_in() {
        let mut slots = Slots::default();
        let mut slot = |n: i64| {
            let key =
                Key { tenant: Tenant::default(), class: Class::User, value: n.to_string().into() };
            slots.follow(key, Followed::new(Timestamp::default())).unwrap()
        };
        // Rising for the most part, with some before their time and some of the same.
        let times = (0..300).map(|n| if n % 7 == 0 { n / 2 } else { n / 3 * 3 });
        let mut all: Vec<_> = times.map(|n| (Timestamp::from_micros(n), slot(n))).collect();
        let mut ages = Ages::default();
        let (early, late) = all.split_at(200);
        early.iter().for_each(|(time, slot)| ages.add(*time, *slot));
        let mut out: Vec<_> = std::iter::from_fn(|| ages.pop()).take(50).collect();
        let again = out.split_off(20);
        late.iter().chain(&again).for_each(|(time, slot)| ages.add(*time, *slot));
        assert!(!ages.in_order.is_empty() && !ages.others.is_empty());
        out.extend(std::iter::from_fn(|| ages.pop()));
        all.sort();
        assert_eq!(out, all);
        assert_eq!(ages.first(), None);
    }
}
