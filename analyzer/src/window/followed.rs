//! What is known of one correlation key: the events that wait and the incidents found, by chain.

use super::{
    lane::{Counters, Limits},
    member::{At, Packed},
    track::{Clock, Entry, Event, Incident, Taken, Track, may_satisfy, next_end},
};
use crate::chain::{Book, Chain, Condition, Part};
use compact_str::CompactString;
use magsentinel_bus_schema::{Class, Id, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use std::slice;

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

/// What became of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// They were told, or are of no account.
    Now,
    /// They were told, but perhaps to nobody: to be told again when this time has passed.
    Again(Timestamp),
    /// They wait for more, until this time has passed.
    After(Timestamp),
}

/// Told about all news, in order.
pub type Tell<'a> = dyn FnMut(&Key, &Chain, &mut Incident, Turn) -> Told + 'a;

/// Told about what there is to tell of one key, in order.
pub(super) type TellOne<'a> = dyn FnMut(&Chain, &mut Incident, Turn) -> Told + 'a;

/// The state of a key. Small for one event in one chain, because that is what nearly all keys are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Followed {
    /// What there was is forgotten.
    Nothing {
        /// Time of its newest event.
        newest: Timestamp,
    },
    /// One event, its newest, and no incident.
    One {
        /// Position of the chain in the book.
        chain: u16,
        /// The event.
        entry: Entry,
        /// It was taken since the last evaluation.
        stale: bool,
    },
    /// All else.
    Many {
        /// Time of its newest event.
        newest: Timestamp,
        /// By the position of the chain in the book.
        tracks: Vec<(u16, Track)>,
    },
}

impl Followed {
    pub(super) fn new(newest: Timestamp) -> Self {
        Self::Nothing { newest }
    }

    /// Time of the newest event.
    pub(super) fn newest(&self) -> Timestamp {
        match self {
            Self::One { entry, .. } => entry.at.0,
            Self::Nothing { newest } | Self::Many { newest, .. } => *newest,
        }
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
        let newest = self.newest().max(at.0);
        let mut kept = false;
        for part in parts {
            let Some(chain) = book.chains().get(usize::from(part.chain)) else { continue };
            let event = Event { at, mask: part.mask, value: part.value, packed: packed.clone() };
            let bounds = (limits.events_max, limits.tally);
            let take = |track: &mut Track| track.take(chain, event, clock, bounds);
            match self.with(part.chain, newest, take) {
                Some(Taken::New(gone)) => {
                    counters.events_let_go += gone as u64;
                    kept = true;
                }
                Some(Taken::Duplicate) => counters.duplicates += 1,
                Some(Taken::Refused) => counters.events_refused += 1,
                None => {}
            }
        }
        kept
    }

    /// Whether an event is kept under any chain.
    pub(super) fn knows(&self, at: At) -> bool {
        match self {
            Self::Nothing { .. } => false,
            Self::One { entry, .. } => entry.at == at,
            Self::Many { tracks, .. } => tracks.iter().any(|(_, track)| track.knows(at)),
        }
    }

    /// Works on what is kept for a chain, nothing at first.
    fn with<R>(
        &mut self,
        chain: u16,
        newest: Timestamp,
        work: impl FnOnce(&mut Track) -> R,
    ) -> Option<R> {
        let mut tracks = match std::mem::replace(self, Self::Nothing { newest }) {
            Self::Nothing { .. } => return Some(self.alone((chain, Track::default()), work)),
            Self::One { chain: of, entry, stale } if of == chain => {
                return Some(self.alone((chain, Track::one(entry, stale)), work));
            }
            Self::One { chain: other, entry, stale } => vec![(other, Track::one(entry, stale))],
            Self::Many { tracks, .. } => tracks,
        };
        let place = tracks.binary_search_by_key(&chain, |(of, _)| *of).unwrap_or_else(|place| {
            // One more at a time: few keys take part in many chains.
            tracks.reserve_exact(1);
            tracks.insert(place, (chain, Track::default()));
            place
        });
        let result = tracks.get_mut(place).map(|(_, track)| work(track));
        *self = Self::Many { newest, tracks };
        result
    }

    /// Works on the only track, and keeps it as small as it is then.
    fn alone<R>(
        &mut self,
        (chain, mut track): (u16, Track),
        work: impl FnOnce(&mut Track) -> R,
    ) -> R {
        let newest = self.newest();
        let result = work(&mut track);
        *self = match track.into_one() {
            Ok((entry, stale)) if entry.at.0 == newest => Self::One { chain, entry, stale },
            Ok((entry, stale)) => {
                Self::Many { newest, tracks: vec![(chain, Track::one(entry, stale))] }
            }
            Err(track) => Self::Many { newest, tracks: vec![(chain, track)] },
        };
        result
    }

    /// Evaluates the chains and tells what is new; how many incidents were superseded or
    /// withdrawn.
    pub(super) fn grown(
        &mut self,
        chains: &[Chain],
        clock: Clock,
        limits: &Limits,
        tell: &mut TellOne<'_>,
    ) -> u64 {
        let mut grown = |chain: &Chain, track: &mut Track| {
            track.evaluate(chain, clock, limits.tally);
            for incident in track.incidents() {
                if incident.rank() > incident.published || incident.tell_at.is_some() {
                    let told = tell(chain, incident, Turn::Grew);
                    incident.tell_at = match told {
                        Told::Now => None,
                        Told::Again(time) | Told::After(time) => Some(time),
                    };
                    if !matches!(told, Told::After(_)) {
                        incident.published = incident.rank();
                        incident.closed = false;
                    }
                }
            }
            let superseded = track.take_superseded();
            let count = superseded.len() as u64;
            for (mut former, anchor) in superseded {
                tell(chain, &mut former, anchor.map_or(Turn::Withdrawn, Turn::Superseded));
            }
            count
        };
        if let Self::Many { tracks, .. } = self {
            return each(tracks, chains).map(|(chain, track)| grown(chain, track)).sum();
        }
        let Self::One { chain: of, entry, stale } = self else { return 0 };
        let Some(chain) = chains.get(usize::from(*of)) else { return 0 };
        if !may_satisfy(chain, slice::from_ref(entry)) {
            *stale = false;
            return 0;
        }
        let (of, newest) = (*of, entry.at.0);
        self.with(of, newest, |track| grown(chain, track)).unwrap_or(0)
    }

    /// When the next window ends that waits to be judged.
    pub(super) fn next_end(&self, chains: &[Chain], judging: Timestamp) -> Option<Timestamp> {
        let judged = |chain: &u16| {
            let chain = chains.get(usize::from(*chain));
            chain.is_some_and(|chain| matches!(chain.condition, Condition::Judged { .. }))
        };
        match self {
            Self::Nothing { .. } => None,
            Self::One { chain, entry, .. } => {
                judged(chain).then(|| next_end(slice::from_ref(entry), judging))?
            }
            Self::Many { tracks, .. } => {
                let tracks = tracks.iter().filter(|(chain, _)| judged(chain));
                tracks.filter_map(|(_, track)| track.next_end(judging)).min()
            }
        }
    }

    pub(super) fn each_incident(
        &mut self,
        chains: &[Chain],
        mut visit: impl FnMut(&Chain, &mut Incident),
    ) {
        let Self::Many { tracks, .. } = self else { return };
        for (chain, track) in each(tracks, chains) {
            track.incidents().iter_mut().for_each(|incident| visit(chain, incident));
        }
    }

    /// Forgets old events under the chains that found nothing, where there is nothing to close
    /// first; whether all of them are such.
    pub(super) fn forget_quiet(&mut self, chains: &[Chain], watermark: Timestamp) -> bool {
        let Self::Many { tracks, .. } = self else {
            self.forget(chains, watermark);
            return true;
        };
        let mut quiet = true;
        for (chain, track) in each(tracks, chains) {
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
        match self {
            Self::Nothing { .. } => {}
            Self::One { chain, entry, .. } => {
                let reach = chains.get(usize::from(*chain)).map(Chain::reach);
                let newest = entry.at.0;
                if reach.is_some_and(|reach| newest < watermark.minus(reach)) {
                    *self = Self::Nothing { newest };
                }
            }
            Self::Many { tracks, .. } => {
                each(tracks, chains).for_each(|(chain, track)| track.forget(chain, watermark));
            }
        }
    }
}

/// What is kept for each chain.
fn each<'a>(
    tracks: &'a mut [(u16, Track)],
    chains: &'a [Chain],
) -> impl Iterator<Item = (&'a Chain, &'a mut Track)> {
    tracks
        .iter_mut()
        .filter_map(|(chain, track)| chains.get(usize::from(*chain)).map(|chain| (chain, track)))
}
