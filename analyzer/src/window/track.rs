//! The events and incidents of one key under one chain.

mod front;
mod judge;
mod merge;

pub(super) use front::may_satisfy;

use super::{
    Point,
    member::{At, Member, Packed},
    search,
    tally::{Bounds, Tally},
};
use crate::chain::{Chain, Condition, Mask};
use front::{FEW, Front, News};
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

    fn point(&self) -> Point {
        Point { at: self.at.0.micros(), mask: self.mask, value: self.value }
    }

    fn unpacked(&self) -> Option<New> {
        Some((self.at, self.mask, self.packed.shared()?))
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
    /// So many of them, the first, are forgotten; they are moved out together, where there are
    /// many.
    gone: usize,
    /// Events were taken since the last evaluation.
    stale: bool,
    more: Option<Box<More>>,
    /// What is carried on from event to event, where there is anything. It follows from the rest.
    #[serde(skip)]
    front: Option<Box<Front>>,
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
    /// Of a judged condition: some of the incidents may still be changed.
    #[serde(default)]
    tentative: bool,
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
        Self { events: SmallVec::from_buf([entry]), stale, ..Self::default() }
    }

    /// That one event, and whether it was taken since the last evaluation, where there is nothing
    /// else.
    pub(super) fn into_one(mut self) -> Result<(Entry, bool), Self> {
        if self.more.is_some() || self.events.len() > 1 || self.gone > 0 {
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
        if self.events.len() - self.gone >= events_max {
            self.evaluate(chain, clock, bounds);
            self.forget_events(clock.watermark.minus(chain.reach()));
        }
        if self.events.len() - self.gone >= events_max {
            gone = self.let_go_oldest((events_max / 8).max(1));
            if self.was_let_go(&event) {
                return Taken::Refused;
            }
        }
        self.insert(chain, event);
        Taken::New(gone)
    }

    fn insert(&mut self, chain: &Chain, event: Event) {
        let (Ok(place) | Err(place)) = self.place(event.at);
        // What waits for time to pass has nothing to do with it before.
        let grows = !matches!(chain.condition, Condition::Judged { .. });
        if let Some(front) = self.front.as_mut().filter(|_| grows) {
            front.before(chain, &self.events, (place, event.at));
        }
        self.events.insert(place, Entry::new(event));
        if let Some(front) = self.front.as_mut().filter(|_| grows) {
            front.took(chain, &self.events, place);
        }
        self.stale = true;
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
        self.move_out();
        self.front = None;
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
        if !stale {
            return;
        }
        let few = self.kept().len() <= FEW;
        if few && self.front.is_none() && !may_satisfy(chain, self.kept()) {
            return;
        }
        let news = if chain.links.is_empty() { self.news(chain) } else { self.look(chain) };
        let new = self.new_members(&news.members);
        // A window is newly satisfied only by an event that was in none before.
        if !new.is_empty() {
            let more = self.more.get_or_insert_default();
            let known = (&mut more.incidents, &mut more.superseded);
            merge::merge(known, (&news.spans, new), chain.rules.len(), bounds);
        }
    }

    /// What became satisfied since the last evaluation.
    fn news(&mut self, chain: &Chain) -> News {
        let (events, gone) = (&self.events, self.gone);
        let front = || Box::new(Front::over(chain, events, gone));
        let kept = events.get(gone..).unwrap_or_default();
        self.front.get_or_insert_with(front).news(chain, kept).in_order()
    }

    /// The same of a chain of chains, for which all kept events are looked at.
    fn look(&self, chain: &Chain) -> News {
        let found = search(chain, &self.points());
        let entries = self.kept().iter().zip(&found.member);
        let members = entries.filter(|(_, member)| **member).map(|(entry, _)| entry.at);
        News { members: members.collect(), spans: found.spans }
    }

    /// The events that are not forgotten.
    fn kept(&self) -> &[Entry] {
        self.events.get(self.gone..).unwrap_or_default()
    }

    fn points(&self) -> Vec<Point> {
        self.kept().iter().map(Entry::point).collect()
    }

    /// Marks members, and returns those that were none before.
    fn new_members(&mut self, members: &[At]) -> Vec<New> {
        let mut new = Vec::new();
        for at in members {
            let entry = self.place(*at).ok().and_then(|place| self.events.get_mut(place));
            if let Some(entry) = entry.filter(|entry| !entry.member) {
                entry.member = true;
                new.extend(entry.unpacked());
            }
        }
        new
    }

    /// How many events have a place, forgotten ones too.
    #[cfg(test)]
    pub(super) fn events_held(&self) -> usize {
        self.events.len()
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
        if old <= self.gone {
            return;
        }
        if let Some(front) = &mut self.front {
            front.forgot(&self.events, self.gone, old);
        }
        self.gone = old;
        if self.events.len() <= FEW || old * 2 >= self.events.len() {
            self.move_out();
        }
    }

    /// Frees the places of the forgotten events.
    fn move_out(&mut self) {
        self.events.drain(..self.gone);
        if let Some(front) = &mut self.front {
            front.moved(self.gone);
        }
        self.gone = 0;
    }
}

/// When the next window ends that the judging clock has not passed.
pub(super) fn next_end(events: &[Entry], judging: Timestamp) -> Option<Timestamp> {
    let next = events.partition_point(|entry| entry.at.0 < judging);
    events.get(next).map(|entry| entry.at.0)
}
