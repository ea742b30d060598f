//! The events and incidents of one key under one chain.

use super::{
    Point, find,
    member::{At, Member, Packed},
    tally::{Bounds, Tally},
};
use crate::chain::{Chain, Condition, Mask};
use magsentinel_bus_schema::{Id, Level, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One incident, open or closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Time of its first member.
    pub start: Timestamp,
    /// Time of its last member.
    pub end: Timestamp,
    /// What its members say.
    pub tally: Tally,
    /// How many members the last published revision had; 0 before the first.
    pub published: u64,
    /// The last published revision closed it.
    pub closed: bool,
    /// Levels at which it was alerted.
    pub levels: BTreeSet<Level>,
    /// Actions that were asked for.
    pub acted: BTreeSet<Id>,
}

impl Incident {
    fn over(start: Timestamp, end: Timestamp, rules: usize) -> Self {
        Self {
            start,
            end,
            tally: Tally::new(rules),
            published: 0,
            closed: false,
            levels: BTreeSet::new(),
            acted: BTreeSet::new(),
        }
    }

    /// The event that gives the incident its id: its first member.
    #[must_use]
    pub fn anchor(&self) -> Option<Id> {
        self.tally.anchor.map(|(_, id)| id)
    }
}

/// An event as a chain sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    event: Event,
    /// It was found in a satisfied window.
    member: bool,
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

/// Events kept, and incidents found, for one key under one chain. Small while nothing is found,
/// because that is what nearly all keys are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// In order of time. Room for one in place: most keys never have a second event.
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
    /// Published incidents that were found to be the later part of another, with its anchor.
    superseded: Vec<(Incident, Id)>,
}

impl More {
    fn is_empty(&self) -> bool {
        self.let_go.is_empty() && self.incidents.is_empty() && self.superseded.is_empty()
    }
}

impl Track {
    /// The incidents, in order of time.
    pub fn incidents(&mut self) -> &mut [Incident] {
        self.more.as_mut().map_or(&mut [], |more| &mut more.incidents)
    }

    /// Published incidents that are now part of another one, with the other's anchor.
    pub fn take_superseded(&mut self) -> Vec<(Incident, Id)> {
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
        watermark: Timestamp,
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
            self.evaluate(chain, bounds);
            self.forget_events(watermark.minus(chain.window));
        }
        if self.events.len() >= events_max {
            gone = self.let_go_oldest((events_max / 8).max(1));
            if self.was_let_go(&event) {
                return Taken::Refused;
            }
        }
        let (Ok(place) | Err(place)) = self.place(event.at);
        self.events.insert(place, Entry { event, member: false });
        self.stale = true;
        Taken::New(gone)
    }

    /// Where the event of this time is, or belongs. Nearly always it is the newest.
    fn place(&self, at: At) -> Result<usize, usize> {
        match self.events.last() {
            Some(newest) if newest.event.at >= at => {
                self.events.binary_search_by_key(&at, |entry| entry.event.at)
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
            *counts.entry(entry.event.mask).or_default() += 1;
        }
        let Some((mask, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return 0 };
        let (mut gone, mut newest) = (0, None);
        self.events.retain(|entry| {
            let goes = gone < how_many && entry.event.mask == mask;
            if goes {
                gone += 1;
                newest = Some(entry.event.at);
            }
            !goes
        });
        if let Some(newest) = newest {
            self.more.get_or_insert_default().let_go.insert(mask, newest);
        }
        gone
    }

    /// Brings members and incidents up to date with the kept events.
    pub fn evaluate(&mut self, chain: &Chain, bounds: Bounds) {
        if !std::mem::take(&mut self.stale) || !self.may_satisfy(chain) {
            return;
        }
        let points = |entry: &Entry| Point {
            at: entry.event.at.0.micros(),
            mask: entry.event.mask,
            value: entry.event.value,
        };
        let points: Vec<Point> = self.events.iter().map(points).collect();
        let window = i64::try_from(chain.window.as_micros()).unwrap_or(i64::MAX);
        let found = find(&chain.condition, chain.rules.len(), window, &points);
        let news = self.events.iter_mut().zip(&found.member);
        let new: Vec<(At, Mask, Arc<Member>)> = news
            .filter(|(entry, member)| **member && !entry.member)
            .filter_map(|(entry, _)| {
                entry.member = true;
                let event = &entry.event;
                Some((event.at, event.mask, Arc::new(event.packed.member()?)))
            })
            .collect();
        // A window is newly satisfied only by an event that was in none before.
        if !new.is_empty() {
            let spans = found.spans.iter();
            let micros = Timestamp::from_micros;
            self.merge(chain, spans.map(|(a, b)| (micros(*a), micros(*b))).collect(), new, bounds);
        }
    }

    /// False where no window can satisfy the condition, however the kept events lie: most keys,
    /// most of the time, and found without looking at windows.
    fn may_satisfy(&self, chain: &Chain) -> bool {
        match &chain.condition {
            Condition::Ordered | Condition::Together => {
                let met = self.events.iter().fold(0, |met, entry| met | entry.event.mask);
                met.count_ones() as usize == chain.rules.len()
            }
            Condition::Count { at_least } | Condition::Distinct { at_least, .. } => {
                self.events.len() as u64 >= *at_least
            }
            Condition::Sum { at_least, .. } => {
                let values = self.events.iter().map(|entry| entry.event.value);
                values.fold(0, u64::saturating_add) >= *at_least
            }
        }
    }

    /// Merges what was known with newly found intervals and members.
    fn merge(
        &mut self,
        chain: &Chain,
        spans: Vec<(Timestamp, Timestamp)>,
        new: Vec<(At, Mask, Arc<Member>)>,
        bounds: Bounds,
    ) {
        let more = self.more.get_or_insert_default();
        let known = std::mem::take(&mut more.incidents);
        let mut all: Vec<(Timestamp, Timestamp, Option<Incident>)> =
            spans.into_iter().map(|(start, end)| (start, end, None)).collect();
        all.extend(known.into_iter().map(|i| (i.start, i.end, Some(i))));
        all.sort_by_key(|(start, end, _)| (*start, *end));
        let mut groups: Vec<(Incident, Vec<Incident>)> = Vec::new();
        for (start, end, incident) in all {
            match groups.last_mut() {
                Some((group, parts)) if start <= group.end => {
                    group.end = group.end.max(end);
                    parts.extend(incident);
                }
                _ => {
                    let group = Incident::over(start, end, chain.rules.len());
                    groups.push((group, Vec::from_iter(incident)));
                }
            }
        }
        let mut new = new.into_iter().peekable();
        for (mut group, parts) in groups {
            while let Some((at, mask, member)) = new.next_if(|(at, ..)| at.0 <= group.end) {
                group.tally.add(at, mask, &member, bounds);
            }
            more.settle(group, parts, bounds);
        }
    }

    /// Forgets what no event at or after `watermark` can meet: events before
    /// `watermark - window`, and incidents that ended before that. Call it after
    /// [`Track::evaluate`], and when such incidents have been closed.
    pub fn forget(&mut self, chain: &Chain, watermark: Timestamp) {
        let horizon = watermark.minus(chain.window);
        self.forget_events(horizon);
        if let Some(more) = &mut self.more {
            more.let_go.retain(|_, (ts, _)| *ts >= horizon);
            more.incidents.retain(|incident| incident.end >= horizon);
        }
        self.more.take_if(|more| more.is_empty());
    }

    fn forget_events(&mut self, horizon: Timestamp) {
        let old = self.events.partition_point(|entry| entry.event.at.0 < horizon);
        self.events.drain(..old);
    }
}

impl More {
    /// Adds up one incident from new members (in `group`) and its former parts.
    fn settle(&mut self, mut group: Incident, parts: Vec<Incident>, bounds: Bounds) {
        let anchors = parts.iter().filter_map(|p| p.tally.anchor);
        let anchor = anchors.chain(group.tally.anchor).min().map(|(_, id)| id);
        for mut part in parts {
            if part.anchor() == anchor {
                group.published = part.published;
                group.closed = part.closed;
                group.levels = std::mem::take(&mut part.levels);
                group.acted = std::mem::take(&mut part.acted);
            } else if let Some(anchor) = anchor
                && part.published > 0
                && !part.closed
            {
                self.superseded.push((part.clone(), anchor));
            }
            group.tally.join(part.tally, bounds);
        }
        self.incidents.push(group);
    }
}
