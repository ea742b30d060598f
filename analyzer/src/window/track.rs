//! The events and incidents of one key under one chain.

mod judge;
mod merge;

use super::{
    Point,
    member::{At, Member, Packed},
    search,
    tally::{Bounds, Tally},
};
use crate::chain::{Chain, Condition, Mask};
use magsentinel_bus_schema::{Id, Level, Response, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What was decided of an incident: a change of it is told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The level.
    pub level: Level,
    /// What was done.
    pub response: Response,
    /// Whether the commander was asked.
    pub escalate: bool,
    /// When it was told.
    pub at: Timestamp,
}

/// One incident, open or closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Time of its first member.
    pub start: Timestamp,
    /// Time of its last member.
    pub end: Timestamp,
    /// What its members say.
    pub tally: Tally,
    /// Its rank when it was last assessed; 0 before the first time.
    pub published: u64,
    /// Somebody was told of it: while the severity model finds it of no account, nobody is.
    pub told: bool,
    /// Its rank when it was told first.
    pub opened: u64,
    /// The last published revision closed it.
    pub closed: bool,
    /// What was decided when it was told last, and when that was.
    pub decided: Option<Decided>,
    /// Something of it is still to be told, when this time has passed.
    pub tell_at: Option<Timestamp>,
    /// Levels at which it was alerted.
    pub levels: BTreeSet<Level>,
    /// Actions that were asked for, each with the time of the newest evidence it was asked on.
    pub acted: BTreeMap<Id, Timestamp>,
    /// What corrections add to its rank.
    #[serde(default)]
    raised: u64,
}

impl Incident {
    fn over(start: Timestamp, end: Timestamp, rules: usize) -> Self {
        Self {
            start,
            end,
            tally: Tally::new(rules),
            published: 0,
            told: false,
            opened: 0,
            closed: false,
            decided: None,
            tell_at: None,
            levels: BTreeSet::new(),
            acted: BTreeMap::new(),
            raised: 0,
        }
    }

    /// Orders its revisions: how many members it has, and more after a correction took members
    /// away.
    #[must_use]
    pub fn rank(&self) -> u64 {
        self.tally.count + self.raised
    }

    /// It was told for the last time, with all that it has.
    pub fn close(&mut self) {
        self.closed = true;
        self.published = self.rank();
        self.tell_at = None;
    }

    /// The event that gives the incident its id: its first member.
    #[must_use]
    pub fn anchor(&self) -> Option<Id> {
        self.tally.anchor.map(|(_, id)| id)
    }
}

/// An event as a chain sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in time.
    pub at: At,
    /// The rules that it matches, never 0.
    pub mask: Mask,
    /// What it counts for.
    pub value: u64,
    /// All else.
    pub packed: Packed,
}

/// An event that is kept, with what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) at: At,
    value: u64,
    packed: Packed,
    mask: Mask,
    /// It was found in a satisfied window; for a judged condition in one that nothing can change.
    member: bool,
    /// No window that ends with it is to be judged any more. So it is for all before it.
    judged: bool,
}

/// How far time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Events before it are late.
    pub watermark: Timestamp,
    /// Windows that end before it are judged; never before the watermark.
    pub judging: Timestamp,
}

/// A new member of incidents.
type New = (At, Mask, Arc<Member>);

impl Entry {
    fn new(Event { at, mask, value, packed }: Event) -> Self {
        Self { at, value, packed, mask, member: false, judged: false }
    }

    fn unpacked(&self) -> Option<New> {
        Some((self.at, self.mask, Arc::new(self.packed.member()?)))
    }
}

/// The window of a chain, in microseconds.
fn micros(chain: &Chain) -> i64 {
    i64::try_from(chain.window.as_micros()).unwrap_or(i64::MAX)
}

/// What became of an event that was handed to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Kept; so many older ones were let go for it.
    New(usize),
    /// Known already.
    Duplicate,
    /// Older than what was let go at the bound.
    Refused,
}

/// Events kept, and incidents found, for one key under one chain. Small while nothing is found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// In order of time. Room for one in place: most have no second.
    events: SmallVec<[Entry; 1]>,
    /// Events were taken since the last evaluation.
    stale: bool,
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct More {
    /// By sort of event (its mask): the newest that was let go at the bound.
    let_go: BTreeMap<Mask, At>,
    incidents: Vec<Incident>,
    /// Of a judged condition: the incidents as far as nothing can change them. The others are
    /// made of these whenever something changes.
    #[serde(default)]
    firm: Vec<Incident>,
    /// Of a judged condition: what was told and taken back.
    #[serde(default)]
    ghosts: Vec<judge::Ghost>,
    /// Published incidents that are none any more.
    superseded: Vec<Gone>,
}

/// A published incident that is none any more, and the anchor of the one that it is part of now,
/// if any.
pub(super) type Gone = (Incident, Option<Id>);

impl More {
    fn is_empty(&self) -> bool {
        let incidents = self.incidents.is_empty() && self.firm.is_empty() && self.ghosts.is_empty();
        self.let_go.is_empty() && incidents && self.superseded.is_empty()
    }
}

impl Track {
    /// A track of one event.
    pub(super) fn one(entry: Entry, stale: bool) -> Self {
        Self { events: SmallVec::from_buf([entry]), stale, more: None }
    }

    /// That one event, and whether it was taken since the last evaluation, where there is nothing
    /// else.
    pub(super) fn into_one(mut self) -> Result<(Entry, bool), Self> {
        if self.more.is_some() || self.events.len() > 1 {
            return Err(self);
        }
        let stale = self.stale;
        self.events.pop().map(|entry| (entry, stale)).ok_or(self)
    }

    /// The incidents, in order of time.
    pub fn incidents(&mut self) -> &mut [Incident] {
        self.more.as_mut().map_or(&mut [], |more| &mut more.incidents)
    }

    /// Published incidents that are none any more.
    pub(super) fn take_superseded(&mut self) -> Vec<Gone> {
        self.more.as_mut().map(|more| std::mem::take(&mut more.superseded)).unwrap_or_default()
    }

    /// Whether an event is kept.
    pub fn knows(&self, at: At) -> bool {
        self.place(at).is_ok()
    }

    /// Keeps an event. At the bound the conditions are evaluated and what is out of reach is
    /// forgotten first, so that what is let go has told all it can.
    pub fn take(
        &mut self,
        chain: &Chain,
        event: Event,
        clock: Clock,
        (events_max, bounds): (usize, Bounds),
    ) -> Taken {
        if self.place(event.at).is_ok() {
            return Taken::Duplicate;
        }
        if self.was_let_go(&event) {
            return Taken::Refused;
        }
        let mut gone = 0;
        if self.events.len() >= events_max {
            self.evaluate(chain, clock, bounds);
            self.forget_events(clock.watermark.minus(chain.reach()));
        }
        if self.events.len() >= events_max {
            gone = self.let_go_oldest((events_max / 8).max(1));
            if self.was_let_go(&event) {
                return Taken::Refused;
            }
        }
        let (Ok(place) | Err(place)) = self.place(event.at);
        self.events.insert(place, Entry::new(event));
        self.stale = true;
        Taken::New(gone)
    }

    /// Where the event of this time is, or belongs. Nearly always it is the newest.
    fn place(&self, at: At) -> Result<usize, usize> {
        match self.events.last() {
            Some(newest) if newest.at >= at => {
                self.events.binary_search_by_key(&at, |entry| entry.at)
            }
            _ => Err(self.events.len()),
        }
    }

    fn was_let_go(&self, event: &Event) -> bool {
        let newest = self.more.as_ref().and_then(|more| more.let_go.get(&event.mask));
        newest.is_some_and(|newest| event.at <= *newest)
    }

    /// Lets go the oldest events of the most numerous sort, so that a flood of one step does not
    /// push out the other steps.
    fn let_go_oldest(&mut self, how_many: usize) -> usize {
        let mut counts: BTreeMap<Mask, usize> = BTreeMap::new();
        for entry in &self.events {
            *counts.entry(entry.mask).or_default() += 1;
        }
        let Some((mask, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return 0 };
        let (mut gone, mut newest) = (0, None);
        self.events.retain(|entry| {
            let goes = gone < how_many && entry.mask == mask;
            if goes {
                gone += 1;
                newest = Some(entry.at);
            }
            !goes
        });
        if let Some(newest) = newest {
            self.more.get_or_insert_default().let_go.insert(mask, newest);
        }
        gone
    }

    /// Brings members and incidents up to date with the kept events, and with time where the
    /// condition waits for it.
    pub fn evaluate(&mut self, chain: &Chain, clock: Clock, bounds: Bounds) {
        let stale = std::mem::take(&mut self.stale);
        if let Condition::Judged { measure, range } = &chain.condition {
            self.judge(chain, (*measure, range), clock, bounds);
            return;
        }
        if !stale || !may_satisfy(chain, &self.events) {
            return;
        }
        let found = search(chain, &self.points());
        let new = self.new_members(&found.member);
        // A window is newly satisfied only by an event that was in none before.
        if !new.is_empty() {
            let more = self.more.get_or_insert_default();
            let found = (found.spans.as_slice(), new);
            let known = (&mut more.incidents, &mut more.superseded);
            merge::merge(known, found, chain.rules.len(), bounds);
        }
    }

    fn points(&self) -> Vec<Point> {
        let point =
            |entry: &Entry| Point { at: entry.at.0.micros(), mask: entry.mask, value: entry.value };
        self.events.iter().map(point).collect()
    }

    /// Marks members, and returns those that were none before.
    fn new_members(&mut self, member: &[bool]) -> Vec<New> {
        let news = self.events.iter_mut().zip(member);
        news.filter(|(entry, member)| **member && !entry.member)
            .filter_map(|(entry, _)| {
                entry.member = true;
                entry.unpacked()
            })
            .collect()
    }

    /// Forgets what no event at or after `watermark` can meet: events before
    /// `watermark - window`, and incidents that ended before that. Call it after
    /// [`Track::evaluate`], and when such incidents have been closed.
    pub fn forget(&mut self, chain: &Chain, watermark: Timestamp) {
        let horizon = watermark.minus(chain.reach());
        self.forget_events(horizon);
        if let Some(more) = &mut self.more {
            more.let_go.retain(|_, (ts, _)| *ts >= horizon);
            more.incidents.retain(|incident| incident.end >= horizon);
            more.firm.retain(|incident| incident.end >= horizon);
            more.ghosts.retain(|ghost| ghost.end >= horizon);
        }
        self.more.take_if(|more| more.is_empty());
    }

    fn forget_events(&mut self, horizon: Timestamp) {
        let old = self.events.partition_point(|entry| entry.at.0 < horizon);
        self.events.drain(..old);
    }
}

/// False where no window can satisfy the condition, however the kept events lie: most keys,
/// most of the time, and found without looking at windows.
pub(super) fn may_satisfy(chain: &Chain, events: &[Entry]) -> bool {
    if !chain.links.is_empty() {
        return true;
    }
    match &chain.condition {
        Condition::Ordered | Condition::Together => {
            let met = events.iter().fold(0, |met, entry| met | entry.mask);
            met.count_ones() as usize == chain.rules.len()
        }
        Condition::Count { at_least } | Condition::Distinct { at_least, .. } => {
            events.len() as u64 >= *at_least
        }
        Condition::Sum { at_least, .. } => {
            let values = events.iter().map(|entry| entry.value);
            values.fold(0, u64::saturating_add) >= *at_least
        }
        Condition::Judged { .. } => true,
    }
}

/// When the next window ends that the judging clock has not passed.
pub(super) fn next_end(events: &[Entry], judging: Timestamp) -> Option<Timestamp> {
    let next = events.partition_point(|entry| entry.at.0 < judging);
    events.get(next).map(|entry| entry.at.0)
}
