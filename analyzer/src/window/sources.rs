//! How far the sources of a shard have come, each by itself.
//!
//! A source is a patrol together with the sensor whose events it scored. Each has a pace of its
//! own: a log that is read a minute late must not lose its events because another is read at once.
//!
//! **The front** is the lowest of what the sources have come to, and never goes back. Three do not
//! hold it up: a source of which nothing was stored for `idle` while others went on (judged by the
//! times at which the server stored their events, so that every owner judges alike); one that lies
//! more than `lag_max` behind the foremost, whose clock is wrong or which cannot keep up; and one
//! that comes when the front has passed it, until its events have caught up.
//!
//! An event that is sent for several keys of a shard comes once for each, and is late or in time
//! each time as the front is then.
//!
//! **Bound.** Each of the first `most` sources is kept apart. Those that come when so many are
//! there, none of them idle, share one place: the front then goes with the foremost of these, and
//! what lies behind it by more than the lateness is late.

use compact_str::CompactString;
use magsentinel_bus_schema::{Scored, Timestamp, Token};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, time::Duration};

/// What sources are bounded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Silence after which a source holds nothing up.
    pub idle: Duration,
    /// How far behind the foremost a source may lie and still hold up the front.
    pub lag_max: Duration,
    /// Most sources that are told apart.
    pub most: usize,
}

/// A patrol and the sensor whose events it scored; none: those beyond the bound.
type Name = Option<(Token, CompactString)>;

/// How far one source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Come {
    /// Time of its newest event.
    newest: Timestamp,
    /// When the server stored the one that came last.
    stored: Timestamp,
}

/// Sources as they are kept for a next owner, in the order of their names.
pub(super) type Kept = Vec<(Name, Come)>;

/// The sources of one lane.
#[derive(Debug)]
pub(super) struct Sources {
    pace: Pace,
    of: HashMap<Name, Come>,
    front: Option<Timestamp>,
    /// The newest event of any.
    foremost: Timestamp,
    /// When the server stored the newest of all events.
    stored: Timestamp,
    /// From which time of storing on one that holds up the front now is idle.
    until: Timestamp,
    /// From which foremost event on one that holds up the front now lies too far behind.
    reach: Timestamp,
}

impl Sources {
    pub(super) fn new(pace: Pace) -> Self {
        let zero = Timestamp::from_micros(i64::MIN);
        let (of, front) = (HashMap::new(), None);
        Self { pace, of, front, foremost: zero, stored: zero, until: zero, reach: zero }
    }

    /// The same sources for a next owner.
    pub(super) fn restored(pace: Pace, kept: Kept, front: Option<Timestamp>) -> Self {
        let mut sources = Self::new(pace);
        sources.front = front;
        for (name, come) in kept {
            sources.foremost = sources.foremost.max(come.newest);
            sources.stored = sources.stored.max(come.stored);
            sources.of.insert(name, come);
        }
        sources
    }

    pub(super) fn save(&self) -> Kept {
        let mut all: Kept = self.of.iter().map(|(name, come)| (name.clone(), *come)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The front: before it, less the lateness, nothing is in time.
    pub(super) fn front(&self) -> Option<Timestamp> {
        self.front
    }

    /// How many are told apart.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// An event of this time came, which the server stored then; whether or not it is late.
    pub(super) fn came(&mut self, scored: &Scored, time: Timestamp, stored: Timestamp) {
        let sensor = scored.source.as_deref().unwrap_or_default();
        let name = Some((scored.patrol.clone(), CompactString::from(sensor)));
        self.foremost = self.foremost.max(time);
        self.stored = self.stored.max(stored);
        let lowest = self.front;
        let unmoved = match self.of.get_mut(&name) {
            Some(come) => {
                let before = *come;
                come.newest = come.newest.max(time);
                come.stored = come.stored.max(stored);
                // Nearly always: it was ahead of the front, and still is.
                Some(before.newest) > lowest && self.pace.is_live(before, self.stored)
            }
            None => {
                let name = self.place_for(name);
                let come = self.of.entry(name).or_insert(Come { newest: time, stored });
                come.newest = come.newest.max(time);
                come.stored = come.stored.max(stored);
                false
            }
        };
        if !unmoved || self.stored > self.until || self.foremost > self.reach {
            self.look();
        }
    }

    /// The name under which a new source is kept: its own while there is room.
    fn place_for(&mut self, name: Name) -> Name {
        if self.of.len() >= self.pace.most {
            let (pace, now) = (self.pace, self.stored);
            self.of.retain(|_, come| pace.is_live(*come, now));
        }
        if self.of.len() < self.pace.most { name } else { None }
    }

    /// Finds the front anew.
    fn look(&mut self) {
        let (mut low, mut until) = (self.foremost, Timestamp::from_micros(i64::MAX));
        for come in self.of.values() {
            let near = self.foremost.since(come.newest) <= self.pace.lag_max;
            if near && self.pace.is_live(*come, self.stored) {
                until = until.min(come.stored.plus(self.pace.idle));
                low = low.min(come.newest);
            }
        }
        (self.until, self.reach) = (until, low.plus(self.pace.lag_max));
        self.front = self.front.max(Some(low));
    }
}

impl Pace {
    fn is_live(&self, come: Come, stored: Timestamp) -> bool {
        stored.since(come.stored) <= self.idle
    }
}
