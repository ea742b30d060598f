//! The windows that end with the newest events of a key, kept from event to event, so that what an
//! event costs does not depend on how many others lie in its window.
//!
//! For conditions that only grow. An event that is not older than all others can newly satisfy
//! the window that ends with it alone, and for that the number of the window before is carried
//! on. One that is older than `k` others has the windows of these looked at again: `k` events leave
//! the number and enter it once more, however many lie before them. Of ordered steps all windows
//! that may hold it are looked at again, where every step is met at all. Neither is more than the
//! events that are kept.
//!
//! All of it follows from the events; a next owner makes it anew.

mod ordered;
mod trailing;

pub(super) use trailing::Trailing;

use super::Entry;
use crate::{
    chain::{Chain, Condition},
    window::{At, joined},
};
use ordered::Ordered;

/// Most events for which nothing is carried on where none of them can satisfy the condition.
pub(super) const FEW: usize = 16;

/// What became satisfied.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct News {
    /// Intervals of satisfied windows: all that are new, and perhaps others.
    pub(super) spans: Vec<(i64, i64)>,
    /// Their events, but for those that are in windows that were satisfied before; in no order,
    /// and perhaps more than once.
    pub(super) members: Vec<At>,
}

impl News {
    /// Adds the interval of a satisfied window.
    fn span(&mut self, start: i64, end: i64) {
        match self.spans.last_mut() {
            // Mostly the one before goes on.
            Some(last) if last.0 <= start && start <= last.1 => last.1 = last.1.max(end),
            _ => self.spans.push((start, end)),
        }
    }

    /// The same with intervals that do not overlap, in order.
    pub(super) fn in_order(self) -> Self {
        let Self { spans, mut members } = self;
        members.sort_unstable();
        members.dedup();
        Self { spans: joined(spans), members }
    }
}

/// What is carried on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Front {
    /// Of a window that ends with the newest event.
    Trailing(Trailing),
    /// Of steps in order.
    Ordered(Ordered),
}

impl Front {
    /// Of events of which some may be members already; those before `gone` count for nothing.
    pub(super) fn over(chain: &Chain, events: &[Entry], gone: usize) -> Self {
        if chain.condition == Condition::Ordered {
            let kept = events.get(gone..).unwrap_or_default();
            return Self::Ordered(Ordered::over(chain.rules.len(), kept));
        }
        let mut trailing = Trailing::after(chain, gone);
        trailing.advance(chain, events, |_| true);
        Self::Trailing(trailing)
    }

    /// An event of this time is about to be put at this place.
    pub(super) fn before(&mut self, chain: &Chain, events: &[Entry], (place, at): (usize, At)) {
        if let Self::Trailing(trailing) = self {
            trailing.make_room(chain, events, (place, at));
        }
    }

    /// The event at this place was put there.
    pub(super) fn took(&mut self, chain: &Chain, events: &[Entry], place: usize) {
        match self {
            Self::Trailing(trailing) => trailing.take(chain, events, place),
            Self::Ordered(ordered) => {
                if let Some(entry) = events.get(place) {
                    ordered.take(super::micros(chain), entry);
                }
            }
        }
    }

    /// The events at `gone..end` count for nothing any more.
    pub(super) fn forgot(&mut self, events: &[Entry], gone: usize, end: usize) {
        match self {
            Self::Trailing(trailing) => trailing.forget(events, end),
            Self::Ordered(ordered) => {
                let kept = events.get(end).map(|entry| entry.at);
                ordered.forget(events.get(gone..end).unwrap_or_default(), kept);
            }
        }
    }

    /// Events before this position are no longer there.
    pub(super) fn moved(&mut self, by: usize) {
        if let Self::Trailing(trailing) = self {
            trailing.moved(by);
        }
    }

    /// What became satisfied since this was last asked.
    pub(super) fn news(&mut self, chain: &Chain, kept: &[Entry]) -> News {
        match self {
            Self::Trailing(trailing) => trailing.news(),
            Self::Ordered(ordered) => ordered.news(super::micros(chain), kept),
        }
    }
}

/// False where no window can satisfy the condition, however the events lie, which are few: most
/// keys, most of the time, and found without looking at windows.
pub(in crate::window) fn may_satisfy(chain: &Chain, events: &[Entry]) -> bool {
    if !chain.links.is_empty() {
        return true;
    }
    match &chain.condition {
        Condition::Ordered | Condition::Together => {
            let met = events.iter().fold(0, |met, entry| met | entry.mask);
            met.count_ones() as usize == chain.rules.len()
        }
        Condition::Count { at_least } => events.len() as u64 >= *at_least,
        Condition::Distinct { at_least, .. } => {
            let first = |(n, entry): &(usize, &Entry)| {
                events.iter().take(*n).all(|before| before.value != entry.value)
            };
            // Quadratic, of a few.
            let enough = events.len() as u64 >= *at_least;
            enough && events.iter().enumerate().filter(first).count() as u64 >= *at_least
        }
        Condition::Sum { at_least, .. } => {
            let values = events.iter().map(|entry| entry.value);
            values.fold(0, u64::saturating_add) >= *at_least
        }
        Condition::Judged { .. } => true,
    }
}
