//! The keys of one shard: which events are in time, which keys are followed, what is due.
//!
//! Live events and played-back ones each have a lane of their own: their times have nothing to
//! do with each other, so neither may make the other late. What was back-filled joins the live
//! lane where it is in time there, and has a third lane where it is not: nothing that a patrol
//! missed is lost for being late, and nothing in time is kept from the events that it belongs to.
//!
//! **In time.** The watermark is the front of the sources ([`sources`]: as far as the slowest of
//! those that are followed has come) less the allowed lateness; an event before it is late, one
//! exactly at it is in time. It moves with events alone, in stream order, so that the same stream
//! always gives the same result.
//!
//! [`sources`]: super::sources
//!
//! **Closing.** An incident is closed when the closing clock passes its last member by more than
//! a window. That clock is the front less the allowed lateness, and goes on with the
//! time that passes while no event comes. It only shapes what is told: should an event that is
//! in time still join a closed incident, the incident goes on under the same id.
//!
//! **Judging.** Windows whose number may fall as well as rise are judged when the watermark has
//! passed their end. When no event has come for as long as the closing clock lags, they are judged
//! as that clock passes: what is told then may be corrected by an event that is in time.

use super::{
    agenda::Agenda,
    ages::Ages,
    followed::{Followed, Key, Tell, Turn},
    member::{At, Packed},
    saved::{Keys, Saved, Saving},
    slots::{Slot, Slots},
    sources::{Pace, Sources},
    tally::Bounds,
    track::{Clock, Incident},
};
use crate::chain::{Book, Chain, Part, Parts};
use magsentinel_bus_schema::{Scored, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a lane is bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most keys.
    pub keys_max: usize,
    /// Most events of one key and chain.
    pub events_max: usize,
    /// How far an event may lag behind the front of the sources.
    pub lateness: Duration,
    /// How far the closing clock lags behind the front of the sources, at most `lateness`: nothing
    /// is forgotten before it is closed.
    pub closing_lag: Duration,
    /// When a source is not waited for.
    pub pace: Pace,
    /// Bounds of what an incident remembers.
    pub tally: Bounds,
    /// Longest that what is folded waits to be told.
    pub fold_max: Duration,
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
    /// Incidents that were found to be the later part of another, or, where a condition waits for
    /// time to pass, none at all.
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

/// The keys of one shard, for live or for played-back events.
#[derive(Debug)]
pub struct Lane {
    limits: Limits,
    keys: Slots,
    by_age: Ages,
    by_due: Agenda,
    /// Keys with windows that wait to be judged, by the end of the first.
    to_judge: Agenda,
    /// How far windows were judged.
    judging: Option<Timestamp>,
    /// Keys that had events since the last settling, in the order of the first.
    dirty: Vec<Slot>,
    /// With the clock at which they were.
    given_up: Vec<(Key, Followed, Clock)>,
    /// Keys with incidents of which something is still to be told, by when.
    to_tell: Agenda,
    /// It goes on where another was, and has not settled yet.
    restored: bool,
    sources: Sources,
    arrived: Timestamp,
    counters: Counters,
    buffer: Vec<u8>,
}

impl Lane {
    /// A lane that goes on where another was, under its own limits and the same chains.
    #[must_use]
    pub fn restored(limits: Limits, saved: Saved, chains: &[Chain]) -> Self {
        let mut lane = Self::new(limits);
        lane.sources = Sources::restored(limits.pace, saved.sources, saved.newest);
        (lane.arrived, lane.judging) = (saved.arrived, saved.judging);
        let judging = lane.clock().judging;
        lane.counters = saved.counters;
        for (key, followed) in saved.keys {
            let (newest, next_end) = (followed.newest(), followed.next_end(chains, judging));
            let Some(slot) = lane.keys.follow(key, followed) else { continue };
            lane.by_age.add(newest, slot);
            lane.to_judge.set(slot, next_end);
            lane.remind(slot, chains);
            lane.plan(slot, chains);
        }
        lane.restored = true;
        lane
    }

    /// What the lane knows. Called between two batches.
    #[must_use]
    pub fn save(&self) -> Saving<'_> {
        Saving {
            keys: Keys(&self.keys),
            newest: self.sources.front(),
            sources: self.sources.save(),
            arrived: self.arrived,
            judging: self.judging,
            counters: self.counters,
        }
    }

    /// An empty lane.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            keys: Slots::default(),
            by_age: Ages::default(),
            by_due: Agenda::default(),
            to_judge: Agenda::default(),
            judging: None,
            dirty: Vec::new(),
            given_up: Vec::new(),
            to_tell: Agenda::default(),
            restored: false,
            sources: Sources::new(limits.pace),
            arrived: Timestamp::default(),
            counters: Counters::default(),
            buffer: Vec::new(),
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

    /// How many sources are told apart.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// The watermark: events before it are late.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.sources.front().map(|newest| newest.minus(self.limits.lateness))
    }

    /// How far time has come by the events alone, and by the silence before them.
    fn clock(&self) -> Clock {
        let watermark = self.watermark().unwrap_or_default();
        Clock {
            watermark,
            judging: self.judging.map_or(watermark, |judging| judging.max(watermark)),
        }
    }

    /// How far the silence up to `now` lets windows be judged: where no event has come for the
    /// closing lag, everything that waits is.
    fn judging_at(&self, now: Timestamp) -> Option<Timestamp> {
        let silence = now.since(self.arrived);
        let newest = self.sources.front().filter(|_| silence >= self.limits.closing_lag)?;
        Some(newest.minus(self.limits.closing_lag).plus(silence))
    }

    /// Lets time pass up to `now`.
    fn pass(&mut self, now: Timestamp) -> Clock {
        self.judging = self.judging.max(self.judging_at(now));
        self.clock()
    }

    /// Whether a settling at `now` may judge what only silence lets it judge.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let judging = self.judging_at(now).filter(|judging| Some(*judging) > self.judging);
        judging.is_some_and(|judging| !self.dirty.is_empty() || self.to_judge.is_due(judging))
    }

    /// Takes it that no event will come any more: the next settling judges all that waits, and
    /// tells what is still to be told.
    pub fn conclude(&mut self) {
        self.judging = Some(Timestamp::from_micros(i64::MAX));
        self.wake(Timestamp::from_micros(i64::MAX));
    }

    /// Has the next settling look at keys of which something is to be told before `now`.
    fn wake(&mut self, now: Timestamp) {
        while let Some(slot) = self.to_tell.next(now) {
            if let Some(place) = self.keys.get_mut(slot)
                && !std::mem::replace(&mut place.dirty, true)
            {
                self.dirty.push(slot);
            }
        }
    }

    /// Lets nothing wait longer to be told than this: by when was noted by another's clock.
    fn tell_by(&mut self, latest: Timestamp, chains: &[Chain]) {
        let waiting = std::iter::from_fn(|| self.to_tell.next(Timestamp::from_micros(i64::MAX)));
        for slot in waiting.collect::<Vec<_>>() {
            let Some(place) = self.keys.get_mut(slot) else { continue };
            place.followed.each_incident(chains, |_, incident| {
                incident.tell_at = incident.tell_at.map(|at| at.min(latest));
            });
            self.remind(slot, chains);
        }
    }

    /// Puts a key down for when something is to be told of it that was not told at once.
    fn remind(&mut self, slot: Slot, chains: &[Chain]) {
        let Some(place) = self.keys.get_mut(slot) else { return };
        let mut first: Option<Timestamp> = None;
        place.followed.each_incident(chains, |_, incident| {
            if let Some(at) = incident.tell_at {
                first = Some(first.map_or(at, |first| first.min(at)));
            }
        });
        self.to_tell.set(slot, first);
    }

    /// Whether an event of this time is late.
    #[must_use]
    pub fn is_late(&self, ts: Timestamp) -> bool {
        self.watermark().is_some_and(|watermark| ts < watermark)
    }

    /// Whether an event of a key is kept, which then counts as a duplicate.
    pub fn knows(&mut self, key: &Key, at: At) -> bool {
        let place = self.keys.find(key).and_then(|slot| self.keys.get(slot));
        let known = place.is_some_and(|place| place.followed.knows(at));
        self.counters.duplicates += u64::from(known);
        known
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
        scored: &Scored,
        stored: Timestamp,
        arrived: Timestamp,
    ) -> Result<Given, rmp_serde::encode::Error> {
        let at = (scored.ts, scored.id);
        let late = self.is_late(at.0);
        self.sources.came(scored, at.0.min(stored), stored);
        if late {
            self.counters.late += 1;
            return Ok(Given::Late);
        }
        self.arrived = arrived;
        let parts = book.parts(key.class, scored);
        if parts.is_empty() {
            self.counters.unmatched += 1;
            return Ok(Given::Ignored);
        }
        let packed = Packed::new(scored, &mut self.buffer)?;
        // Nearly always all of them: only an alias gives another class.
        let kept = if parts.iter().all(|part| part.home == key.class) {
            self.take(book, key, (at, &packed, parts.as_slice()))
        } else {
            self.take_apart(book, &key, (at, &packed), parts)
        };
        self.counters.taken += u64::from(kept);
        Ok(if kept { Given::Taken } else { Given::Ignored })
    }

    /// Takes an event under the key that each of its parts gives it.
    fn take_apart(
        &mut self,
        book: &Book,
        key: &Key,
        (at, packed): (At, &Packed),
        mut rest: Parts,
    ) -> bool {
        let mut kept = false;
        while let Some(home) = rest.first().map(|part| part.home) {
            let (own, others): (Parts, Parts) =
                rest.into_iter().partition(|part| part.home == home);
            let key = Key { class: home, ..key.clone() };
            kept |= self.take(book, key, (at, packed, own.as_slice()));
            rest = others;
        }
        kept
    }

    /// Takes an event under a key; whether any chain keeps it.
    fn take(&mut self, book: &Book, key: Key, event: (At, &Packed, &[Part])) -> bool {
        let clock = self.clock();
        if let Some(slot) = self.keys.find(&key)
            && let Some(place) = self.keys.get_mut(slot)
        {
            let (limits, counters) = (&self.limits, &mut self.counters);
            let kept = place.followed.take(book, event, clock, limits, counters);
            if !std::mem::replace(&mut place.dirty, true) {
                self.dirty.push(slot);
            }
            return kept;
        }
        let mut new = Followed::new(event.0.0);
        let kept = new.take(book, event, clock, &self.limits, &mut self.counters);
        self.follow(key, new);
        kept
    }

    /// Follows a key, if need be in place of the one whose newest event is oldest.
    fn follow(&mut self, key: Key, new: Followed) {
        if self.keys.len() >= self.limits.keys_max {
            self.give_up_oldest();
        }
        let newest = new.newest();
        let Some(slot) = self.keys.follow(key, new) else {
            self.counters.keys_given_up += 1;
            return;
        };
        if let Some(place) = self.keys.get_mut(slot) {
            place.dirty = true;
            self.dirty.push(slot);
        }
        self.by_age.add(newest, slot);
    }

    fn give_up_oldest(&mut self) {
        if self.oldest().is_some()
            && let Some((key, followed)) = self.remove_oldest()
        {
            self.counters.keys_given_up += 1;
            self.given_up.push((key, followed, self.clock()));
        }
    }

    /// Puts the key whose newest event is oldest first; when that event was.
    fn oldest(&mut self) -> Option<Timestamp> {
        loop {
            let (aged, slot) = self.by_age.first()?;
            let newest = self.keys.get(slot).map(|place| place.followed.newest());
            if newest == Some(aged) {
                return newest;
            }
            self.by_age.pop();
            if let Some(newest) = newest {
                self.by_age.add(newest, slot);
            }
        }
    }

    /// Follows the first key no longer.
    fn remove_oldest(&mut self) -> Option<(Key, Followed)> {
        let (_, slot) = self.by_age.pop()?;
        self.by_due.set(slot, None);
        self.to_judge.set(slot, None);
        self.to_tell.set(slot, None);
        self.keys.remove(slot)
    }

    /// Tells what has changed since the last call: grown, superseded and given-up incidents, and
    /// those that are due to be closed at `now`.
    pub fn settle(&mut self, chains: &[Chain], now: Timestamp, tell: &mut Tell<'_>) {
        for (key, mut followed, clock) in std::mem::take(&mut self.given_up) {
            let mut of_it =
                |chain: &Chain, incident: &mut Incident, turn| tell(&key, chain, incident, turn);
            self.counters.superseded += followed.grown(chains, clock, &self.limits, &mut of_it);
            followed.each_incident(chains, |chain, incident| {
                if !incident.closed {
                    of_it(chain, incident, Turn::GivenUp);
                }
            });
        }
        if std::mem::take(&mut self.restored) {
            self.tell_by(now.plus(self.limits.fold_max), chains);
        }
        self.wake(now);
        let clock = self.pass(now);
        while let Some(slot) = self.to_judge.next(clock.judging) {
            if let Some(place) = self.keys.get_mut(slot)
                && !std::mem::replace(&mut place.dirty, true)
            {
                self.dirty.push(slot);
            }
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.retain(|slot| self.grown(*slot, chains, clock, tell));
        self.close(chains, now, tell);
        self.forget(chains, &dirty);
    }

    /// Tells what is new of a key; whether there is anything to close and forget.
    fn grown(&mut self, slot: Slot, chains: &[Chain], clock: Clock, tell: &mut Tell<'_>) -> bool {
        let Some(place) = self.keys.get_mut(slot) else { return false };
        place.dirty = false;
        let Some((name, followed)) = self.keys.named(slot) else { return false };
        let mut of_it =
            |chain: &Chain, incident: &mut Incident, turn| tell(&name.key(), chain, incident, turn);
        self.counters.superseded += followed.grown(chains, clock, &self.limits, &mut of_it);
        self.to_judge.set(slot, followed.next_end(chains, clock.judging));
        let quiet = followed.forget_quiet(chains, clock.watermark);
        if !quiet {
            self.remind(slot, chains);
            self.plan(slot, chains);
        }
        !quiet
    }

    /// Puts a key down for its next closing.
    fn plan(&mut self, slot: Slot, chains: &[Chain]) {
        let Some(place) = self.keys.get_mut(slot) else { return };
        let mut due: Option<Timestamp> = None;
        place.followed.each_incident(chains, |chain, incident| {
            if !incident.closed {
                let at = incident.end.plus(chain.reach());
                due = Some(due.map_or(at, |d| d.min(at)));
            }
        });
        self.by_due.set(slot, due);
    }

    fn close(&mut self, chains: &[Chain], now: Timestamp, tell: &mut Tell<'_>) {
        let Some(front) = self.sources.front() else { return };
        let clock = front.minus(self.limits.closing_lag).plus(now.since(self.arrived));
        while let Some(slot) = self.by_due.next(clock) {
            if let Some((name, followed)) = self.keys.named(slot) {
                followed.each_incident(chains, |chain, incident| {
                    if !incident.closed && incident.end.plus(chain.reach()) < clock {
                        tell(&name.key(), chain, incident, Turn::Closed);
                        incident.close();
                    }
                });
            }
            self.plan(slot, chains);
        }
    }

    /// Forgets what no event that is in time can meet any more: a key when its newest event has
    /// left the longest window, older incidents of a key whenever it has a new event.
    fn forget(&mut self, chains: &[Chain], dirty: &[Slot]) {
        let Some(watermark) = self.watermark() else { return };
        let longest = chains.iter().map(Chain::reach).max().unwrap_or_default();
        let horizon = watermark.minus(longest);
        while self.oldest().is_some_and(|newest| newest < horizon) {
            self.remove_oldest();
        }
        for slot in dirty {
            let Some(place) = self.keys.get_mut(*slot) else { continue };
            place.followed.forget(chains, watermark);
            self.plan(*slot, chains);
        }
    }
}
