//! What is known of one correlation key: the events that wait and the incidents found, by chain.

use super::{
    lane::{Counters, Limits},
    member::{At, Packed},
    track::{Clock, Event, Incident, Taken, Track},
};
use crate::chain::{Book, Chain, Condition, Part};
use compact_str::CompactString;
use magsentinel_bus_schema::{Class, Id, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::sync::Arc;

/// A correlation key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Tenant.
    pub tenant: Tenant,
    /// Class of the entity.
    pub class: Class,
    /// Its name.
    pub value: CompactString,
}

/// Why there is a new revision of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It has new members.
    Grew,
    /// Its window passed without more.
    Closed,
    /// It is part of the incident that begins with this event.
    Superseded(Id),
    /// What came after all shows that its condition did not hold.
    Withdrawn,
    /// Its key was given up at the bound of keys.
    GivenUp,
}

/// Told about every revision, in order.
pub type Tell<'a> = dyn FnMut(&Key, &Chain, &mut Incident, Turn) + 'a;

/// The state of a key. Nearly all keys are of one event in one chain: kept small for these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Followed {
    pub(super) key: Arc<Key>,
    /// With the position of the chain in the book.
    tracks: SmallVec<[(u16, Track); 1]>,
    /// Time of the newest event.
    pub(super) newest: Timestamp,
    /// Its time in the lane's order of age, which lags behind `newest`.
    pub(super) aged: Timestamp,
    /// When its next incident is due to be closed.
    pub(super) due: Option<Timestamp>,
    /// It had events since the last settling.
    pub(super) dirty: bool,
}

impl Followed {
    pub(super) fn new(key: Key, ts: Timestamp) -> Self {
        let (key, tracks) = (Arc::new(key), SmallVec::new());
        Self { key, tracks, newest: ts, aged: ts, due: None, dirty: false }
    }

    /// Takes an event under each chain that it has a part in; whether any keeps it.
    pub(super) fn take(
        &mut self,
        book: &Book,
        (at, packed, parts): (At, &Packed, &[Part]),
        clock: Clock,
        limits: &Limits,
        counters: &mut Counters,
    ) -> bool {
        self.newest = self.newest.max(at.0);
        let mut kept = false;
        for part in parts {
            let chain = book.chains().get(usize::from(part.chain));
            let Some((chain, track)) = chain.zip(self.track(part.chain)) else { continue };
            let event = Event { at, mask: part.mask, value: part.value, packed: packed.clone() };
            match track.take(chain, event, clock, (limits.events_max, limits.tally)) {
                Taken::New(gone) => {
                    counters.events_let_go += gone as u64;
                    kept = true;
                }
                Taken::Duplicate => counters.duplicates += 1,
                Taken::Refused => counters.events_refused += 1,
            }
        }
        kept
    }

    /// Whether an event is kept under any chain.
    pub(super) fn knows(&self, at: At) -> bool {
        self.tracks.iter().any(|(_, track)| track.knows(at))
    }

    /// What is kept for a chain, nothing at first.
    fn track(&mut self, chain: u16) -> Option<&mut Track> {
        if !self.tracks.iter().any(|(of, _)| *of == chain) {
            // One more at a time: few keys take part in many chains.
            self.tracks.reserve_exact(1);
            self.tracks.push((chain, Track::default()));
        }
        self.tracks.iter_mut().find(|(of, _)| *of == chain).map(|(_, track)| track)
    }

    /// Evaluates the chains and tells what is new; how many incidents were superseded or
    /// withdrawn.
    pub(super) fn grown(
        &mut self,
        chains: &[Chain],
        clock: Clock,
        limits: &Limits,
        tell: &mut Tell<'_>,
    ) -> u64 {
        let mut superseded = 0;
        let key = Arc::clone(&self.key);
        for (chain, track) in self.tracks(chains) {
            track.evaluate(chain, clock, limits.tally);
            for incident in track.incidents() {
                if incident.rank() > incident.published {
                    tell(&key, chain, incident, Turn::Grew);
                    incident.published = incident.rank();
                    incident.closed = false;
                }
            }
            for (mut former, anchor) in track.take_superseded() {
                superseded += 1;
                let turn = anchor.map_or(Turn::Withdrawn, Turn::Superseded);
                tell(&key, chain, &mut former, turn);
            }
        }
        superseded
    }

    /// When the next window ends that waits to be judged.
    pub(super) fn next_end(&self, chains: &[Chain], judging: Timestamp) -> Option<Timestamp> {
        let judged = |chain: &Chain| matches!(chain.condition, Condition::Judged { .. });
        let tracks = self
            .tracks
            .iter()
            .filter(|(chain, _)| chains.get(usize::from(*chain)).is_some_and(judged));
        tracks.filter_map(|(_, track)| track.next_end(judging)).min()
    }

    pub(super) fn each_incident(
        &mut self,
        chains: &[Chain],
        mut visit: impl FnMut(&Key, &Chain, &mut Incident),
    ) {
        let key = Arc::clone(&self.key);
        for (chain, track) in self.tracks(chains) {
            track.incidents().iter_mut().for_each(|incident| visit(&key, chain, incident));
        }
    }

    /// Forgets old events under the chains that found nothing, where there is nothing to close
    /// first; whether all of them are such.
    pub(super) fn forget_quiet(&mut self, chains: &[Chain], watermark: Timestamp) -> bool {
        let mut quiet = true;
        for (chain, track) in self.tracks(chains) {
            if track.incidents().is_empty() {
                track.forget(chain, watermark);
            } else {
                quiet = false;
            }
        }
        quiet
    }

    /// Forgets what no event at or after `watermark` can meet.
    pub(super) fn forget(&mut self, chains: &[Chain], watermark: Timestamp) {
        self.tracks(chains).for_each(|(chain, track)| track.forget(chain, watermark));
    }

    fn tracks<'a>(
        &'a mut self,
        chains: &'a [Chain],
    ) -> impl Iterator<Item = (&'a Chain, &'a mut Track)> {
        self.tracks.iter_mut().filter_map(|(chain, track)| {
            chains.get(usize::from(*chain)).map(|chain| (chain, track))
        })
    }
}
