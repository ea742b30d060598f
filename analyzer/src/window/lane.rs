//! The keys of one shard: which events are in time, which keys are followed, what is due.
//!
//! Live events and played-back ones each have a lane of their own: their times have nothing to
//! do with each other, so neither may make the other late.
//!
//! **In time.** The watermark is the newest event time seen in the lane less the allowed
//! lateness; an event before it is late, one exactly at it is in time. It moves with events
//! alone, in stream order, so that the same stream always gives the same result.
//!
//! **Closing.** An incident is closed when the closing clock passes its last member by more than
//! a window. That clock is the newest event time less the allowed lateness, and goes on with the
//! time that passes while no event comes. It only shapes what is told: should an event that is
//! in time still join a closed incident, the incident goes on under the same id.

use super::{
    member::Packed,
    tally::Bounds,
    track::{Event, Incident, Taken, Track},
};
use crate::chain::{Book, Chain};
use compact_str::CompactString;
use magsentinel_bus_schema::{Class, Id, Scored, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

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

/// What a lane is bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most keys.
    pub keys_max: usize,
    /// Most events of one key and chain.
    pub events_max: usize,
    /// How far an event may lag behind the newest one.
    pub lateness: Duration,
    /// How far the closing clock lags behind the newest event, at most `lateness`: nothing is
    /// forgotten before it is closed.
    pub closing_lag: Duration,
    /// Bounds of what an incident remembers.
    pub tally: Bounds,
}

/// What a lane counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Events that took part in a chain.
    pub taken: u64,
    /// Events that were known already.
    pub duplicates: u64,
    /// Events that lagged more than the allowed lateness.
    pub late: u64,
    /// Events that no chain of their key's class matches.
    pub unmatched: u64,
    /// Events let go at the bound of events per key and chain.
    pub events_let_go: u64,
    /// Events older than what was let go.
    pub events_refused: u64,
    /// Keys given up at the bound of keys.
    pub keys_given_up: u64,
    /// Incidents that were found to be the later part of another.
    pub superseded: u64,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It took part in at least one chain.
    Taken,
    /// It was known, too old for what is kept, or matches nothing.
    Ignored,
    /// It lagged more than the allowed lateness.
    Late,
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
    /// Its key was given up at the bound of keys.
    GivenUp,
}

/// Told about every revision, in order.
pub type Tell<'a> = dyn FnMut(&Key, &Chain, &mut Incident, Turn) + 'a;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Followed {
    /// With the position of the chain in the book.
    tracks: Vec<(u16, Track)>,
    newest: Timestamp,
    /// Its time in `by_age`, which lags behind `newest`.
    aged: Timestamp,
    /// When its next incident is due to be closed.
    due: Option<Timestamp>,
    /// It is in `dirty`.
    dirty: bool,
}

impl Followed {
    fn new(ts: Timestamp) -> Self {
        let tracks = Vec::with_capacity(1);
        Self { tracks, newest: ts, aged: ts, due: None, dirty: false }
    }

    /// What is kept for a chain, nothing at first.
    fn track(&mut self, chain: u16) -> Option<&mut Track> {
        if !self.tracks.iter().any(|(of, _)| *of == chain) {
            self.tracks.push((chain, Track::default()));
        }
        self.tracks.iter_mut().find(|(of, _)| *of == chain).map(|(_, track)| track)
    }
}

/// The keys of one shard, for live or for played-back events.
#[derive(Debug)]
pub struct Lane {
    limits: Limits,
    keys: HashMap<Arc<Key>, Box<Followed>>,
    /// By the time of the newest event, or an earlier one: put right when it matters.
    by_age: BTreeSet<(Timestamp, Arc<Key>)>,
    by_due: BTreeSet<(Timestamp, Arc<Key>)>,
    /// Keys that had events since the last settling, in the order of the first.
    dirty: Vec<Arc<Key>>,
    given_up: Vec<(Arc<Key>, Box<Followed>)>,
    newest: Option<Timestamp>,
    arrived: Timestamp,
    counters: Counters,
}

/// What a lane knows between two batches, when everything is settled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    keys: Vec<(Key, Followed)>,
    newest: Option<Timestamp>,
    arrived: Timestamp,
    counters: Counters,
}

impl Lane {
    /// A lane that goes on where another was, under its own limits.
    #[must_use]
    pub fn restored(limits: Limits, saved: Saved) -> Self {
        let mut lane = Self::new(limits);
        (lane.newest, lane.arrived) = (saved.newest, saved.arrived);
        lane.counters = saved.counters;
        for (key, followed) in saved.keys {
            let key = Arc::new(key);
            lane.by_age.insert((followed.aged, key.clone()));
            if let Some(due) = followed.due {
                lane.by_due.insert((due, key.clone()));
            }
            lane.keys.insert(key, Box::new(followed));
        }
        lane
    }

    /// What the lane knows. Called between two batches.
    #[must_use]
    pub fn save(&self) -> Saved {
        let pair = |(_, key): &(Timestamp, Arc<Key>)| {
            self.keys.get(key).map(|followed| ((**key).clone(), (**followed).clone()))
        };
        Saved {
            keys: self.by_age.iter().filter_map(pair).collect(),
            newest: self.newest,
            arrived: self.arrived,
            counters: self.counters,
        }
    }

    /// An empty lane.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            keys: HashMap::new(),
            by_age: BTreeSet::new(),
            by_due: BTreeSet::new(),
            dirty: Vec::new(),
            given_up: Vec::new(),
            newest: None,
            arrived: Timestamp::default(),
            counters: Counters::default(),
        }
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many keys are followed.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The watermark: events before it are late.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.newest.map(|newest| newest.minus(self.limits.lateness))
    }

    /// Takes an event of a key. `stored` is when the server stored it (an event from the future
    /// moves the watermark only up to there), `arrived` when it came here.
    ///
    /// # Errors
    /// When it cannot be packed.
    pub fn give(
        &mut self,
        book: &Book,
        key: Key,
        scored: Scored,
        stored: Timestamp,
        arrived: Timestamp,
    ) -> Result<Given, rmp_serde::encode::Error> {
        let at = (scored.ts, scored.id);
        if self.watermark().is_some_and(|watermark| at.0 < watermark) {
            self.counters.late += 1;
            return Ok(Given::Late);
        }
        let time = at.0.min(stored);
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
        self.arrived = arrived;
        let parts = book.parts(key.class, &scored);
        if parts.is_empty() {
            self.counters.unmatched += 1;
            return Ok(Given::Ignored);
        }
        let packed = Packed::new(&scored.into())?;
        let watermark = self.watermark().unwrap_or_default();
        if self.keys.len() >= self.limits.keys_max && !self.keys.contains_key(&key) {
            self.give_up_oldest();
        }
        let (key, followed) = follow(&mut self.keys, &mut self.by_age, key, at.0);
        let mut given = Given::Ignored;
        for part in parts {
            let chain = book.chains().get(usize::from(part.chain));
            let Some((chain, track)) = chain.zip(followed.track(part.chain)) else { continue };
            let bounds = (self.limits.events_max, self.limits.tally);
            let event = Event { at, mask: part.mask, value: part.value, packed: packed.clone() };
            match track.take(chain, event, watermark, bounds) {
                Taken::New(gone) => {
                    self.counters.events_let_go += gone as u64;
                    given = Given::Taken;
                }
                Taken::Duplicate => self.counters.duplicates += 1,
                Taken::Refused => self.counters.events_refused += 1,
            }
        }
        self.counters.taken += u64::from(given == Given::Taken);
        if !std::mem::replace(&mut followed.dirty, true) {
            self.dirty.push(key);
        }
        Ok(given)
    }

    /// Makes room for a key in place of the one whose newest event is oldest.
    fn give_up_oldest(&mut self) {
        if let Some((_, oldest)) = self.oldest()
            && let Some(followed) = self.remove(&oldest)
        {
            self.counters.keys_given_up += 1;
            self.given_up.push((oldest, followed));
        }
    }

    /// The key whose newest event is oldest.
    fn oldest(&mut self) -> Option<(Timestamp, Arc<Key>)> {
        loop {
            let (aged, key) = self.by_age.first().cloned()?;
            let followed = self.keys.get_mut(&key)?;
            if followed.newest == aged {
                return Some((aged, key));
            }
            followed.aged = followed.newest;
            self.by_age.pop_first();
            self.by_age.insert((followed.newest, key));
        }
    }

    fn remove(&mut self, key: &Arc<Key>) -> Option<Box<Followed>> {
        let followed = self.keys.remove(key)?;
        self.by_age.remove(&(followed.aged, key.clone()));
        if let Some(due) = followed.due {
            self.by_due.remove(&(due, key.clone()));
        }
        Some(followed)
    }

    /// Tells what has changed since the last call: grown, superseded and given-up incidents, and
    /// those that are due to be closed at `now`.
    pub fn settle(&mut self, chains: &[Chain], now: Timestamp, tell: &mut Tell<'_>) {
        for (key, mut followed) in std::mem::take(&mut self.given_up) {
            self.counters.superseded += grown(&key, &mut followed, chains, &self.limits, tell);
            each_incident(&mut followed, chains, |chain, incident| {
                if !incident.closed {
                    tell(&key, chain, incident, Turn::GivenUp);
                }
            });
        }
        let watermark = self.watermark().unwrap_or_default();
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.retain(|key| {
            let Some(followed) = self.keys.get_mut(key) else { return false };
            followed.dirty = false;
            self.counters.superseded += grown(key, followed, chains, &self.limits, tell);
            let quiet = forget_quiet(followed, chains, watermark);
            if !quiet {
                self.plan(key, chains);
            }
            !quiet
        });
        self.close(chains, now, tell);
        self.forget(chains, &dirty);
    }

    /// Puts a key down for its next closing.
    fn plan(&mut self, key: &Arc<Key>, chains: &[Chain]) {
        let Some(followed) = self.keys.get_mut(key) else { return };
        let mut due: Option<Timestamp> = None;
        each_incident(followed, chains, |chain, incident| {
            if !incident.closed {
                let at = incident.end.plus(chain.window);
                due = Some(due.map_or(at, |d| d.min(at)));
            }
        });
        if let Some(before) = std::mem::replace(&mut followed.due, due) {
            self.by_due.remove(&(before, key.clone()));
        }
        if let Some(due) = due {
            self.by_due.insert((due, key.clone()));
        }
    }

    fn close(&mut self, chains: &[Chain], now: Timestamp, tell: &mut Tell<'_>) {
        let Some(newest) = self.newest else { return };
        let clock = newest.minus(self.limits.closing_lag).plus(now.since(self.arrived));
        while self.by_due.first().is_some_and(|(due, _)| *due < clock) {
            let Some((_, key)) = self.by_due.pop_first() else { break };
            if let Some(followed) = self.keys.get_mut(&key) {
                each_incident(followed, chains, |chain, incident| {
                    if !incident.closed && incident.end.plus(chain.window) < clock {
                        tell(&key, chain, incident, Turn::Closed);
                        incident.closed = true;
                    }
                });
            }
            self.plan(&key, chains);
        }
    }

    /// Forgets what no event that is in time can meet any more: a key when its newest event has
    /// left the longest window, older incidents of a key whenever it has a new event.
    fn forget(&mut self, chains: &[Chain], dirty: &[Arc<Key>]) {
        let Some(watermark) = self.watermark() else { return };
        let longest = chains.iter().map(|c| c.window).max().unwrap_or_default();
        let horizon = watermark.minus(longest);
        while let Some((_, key)) = self.oldest().filter(|(newest, _)| *newest < horizon) {
            self.remove(&key);
        }
        for key in dirty {
            let Some(followed) = self.keys.get_mut(key) else { continue };
            for (i, track) in &mut followed.tracks {
                if let Some(chain) = chains.get(usize::from(*i)) {
                    track.forget(chain, watermark);
                }
            }
            self.plan(key, chains);
        }
    }
}

/// Forgets old events under the chains that found nothing, where there is nothing to close first;
/// whether all of them are such.
fn forget_quiet(followed: &mut Followed, chains: &[Chain], watermark: Timestamp) -> bool {
    let mut quiet = true;
    for (i, track) in &mut followed.tracks {
        let Some(chain) = chains.get(usize::from(*i)) else { continue };
        if track.incidents().is_empty() {
            track.forget(chain, watermark);
        } else {
            quiet = false;
        }
    }
    quiet
}

/// The state of a key, which is followed from now on.
fn follow<'k>(
    keys: &'k mut HashMap<Arc<Key>, Box<Followed>>,
    by_age: &mut BTreeSet<(Timestamp, Arc<Key>)>,
    key: Key,
    ts: Timestamp,
) -> (Arc<Key>, &'k mut Followed) {
    match keys.entry(Arc::new(key)) {
        Entry::Occupied(known) => {
            let key = known.key().clone();
            let followed = known.into_mut();
            followed.newest = followed.newest.max(ts);
            (key, followed)
        }
        Entry::Vacant(place) => {
            let key = place.key().clone();
            by_age.insert((ts, key.clone()));
            (key, place.insert(Box::new(Followed::new(ts))))
        }
    }
}

/// Evaluates the chains of a key and tells what grew; how many incidents were superseded.
fn grown(
    key: &Key,
    followed: &mut Followed,
    chains: &[Chain],
    limits: &Limits,
    tell: &mut Tell<'_>,
) -> u64 {
    let mut superseded = 0;
    for (i, track) in &mut followed.tracks {
        let Some(chain) = chains.get(usize::from(*i)) else { continue };
        track.evaluate(chain, limits.tally);
        for incident in track.incidents() {
            if incident.tally.count > incident.published {
                tell(key, chain, incident, Turn::Grew);
                incident.published = incident.tally.count;
                incident.closed = false;
            }
        }
        for (mut former, anchor) in track.take_superseded() {
            superseded += 1;
            tell(key, chain, &mut former, Turn::Superseded(anchor));
        }
    }
    superseded
}

fn each_incident(
    followed: &mut Followed,
    chains: &[Chain],
    mut visit: impl FnMut(&Chain, &mut Incident),
) {
    for (i, track) in &mut followed.tracks {
        if let Some(chain) = chains.get(usize::from(*i)) {
            track.incidents().iter_mut().for_each(|incident| visit(chain, incident));
        }
    }
}
