//! What belongs to a bundle, and what of it is left out. Pure.

use super::archive::{Part, Section};
use magsentinel_bus_schema::{
    Action, Assessment, Class, Effect, Event, Id, Outcome, OutcomeStatus, Scored, Source,
    Timestamp, entity::entities_of,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Whether an outcome is owed a bundle: something took effect, took effect on newer evidence, or is
/// to be kept. Not the outcome that tells of a bundle, and not a message to people.
#[must_use]
pub fn is_owed(outcome: &Outcome) -> bool {
    matches!(outcome.status, OutcomeStatus::Applied | OutcomeStatus::Renewed)
        && outcome.evidence.is_none()
        && !matches!(outcome.effect, Effect::Notify { .. })
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cited {
    /// The cited events.
    pub events: BTreeSet<Id>,
    /// The cited findings.
    pub scored: BTreeSet<Id>,
    /// The correlation key, where the assessment is known.
    pub key: Option<(Class, String)>,
    /// Time of the first of them.
    pub first: Timestamp,
    /// Time of the newest of them.
    pub last: Timestamp,
}

impl Cited {
    /// What an action and its assessment cite.
    #[must_use]
    pub fn of(action: &Action, assessment: Option<&Assessment>) -> Self {
        let last = action.evidence_ts;
        let events = action.events.iter().copied().collect();
        let mut cited = Self { events, first: last, last, ..Self::default() };
        if let Some(assessment) = assessment {
            cited.events.extend(assessment.evidence.iter().map(|one| one.event));
            cited.scored.extend(assessment.evidence.iter().map(|one| one.scored));
            cited.key = Some((assessment.class, assessment.key.clone()));
            cited.first = assessment.first.min(last);
        }
        cited
    }

    /// Whether a finding is cited, or about the same key.
    #[must_use]
    pub fn takes_scored(&self, scored: &Scored) -> bool {
        let about = |(class, key): &(Class, String)| {
            scored.entity(*class).is_some_and(|entity| entity.value == *key)
        };
        self.scored.contains(&scored.id)
            || self.events.contains(&scored.event)
            || self.key.as_ref().is_some_and(about)
    }

    /// Whether an event is of one of these sources, or about the same key.
    #[must_use]
    pub fn takes_around(&self, event: &Event, sources: &BTreeSet<(String, String)>) -> bool {
        if self.events.contains(&event.id) {
            return false;
        }
        let about = |(class, key): &(Class, String)| {
            let all = entities_of(event.kind, &event.body, event.source.trust);
            all.iter().any(|entity| entity.class == *class && entity.value == *key)
        };
        sources.contains(&source(&event.source)) || self.key.as_ref().is_some_and(about)
    }
}

/// A sensor and what it read.
#[must_use]
pub fn source(of: &Source) -> (String, String) {
    (of.sensor.clone(), of.name.clone())
}

/// The stretches of time around some moments, in order; those that touch are one.
#[must_use]
pub fn stretches(
    moments: impl IntoIterator<Item = Timestamp>,
    before: Duration,
    after: Duration,
) -> Vec<(Timestamp, Timestamp)> {
    let mut moments: Vec<Timestamp> = moments.into_iter().collect();
    moments.sort();
    let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
    for moment in moments {
        let (from, until) = (moment.minus(before), moment.plus(after));
        match found.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => found.push((from, until)),
        }
    }
    found
}

/// Bounds of what is left of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Lines.
    pub lines: usize,
    /// Bytes of lines.
    pub bytes: usize,
}

/// Where a message is, sorted by how far it is from the centre: distance, sequence, element.
type Place = (Duration, u64, usize);

/// Takes the messages of a part, in any order, and keeps those nearest to a moment that fit.
#[derive(Debug)]
pub struct Nearest {
    part: Part,
    centre: Timestamp,
    room: Room,
    kept: BTreeMap<Place, String>,
    bytes: usize,
    /// Nearest place that did not fit: nothing at or behind it is kept, so that what is kept does
    /// not depend on the order of arrival.
    beyond: Option<Place>,
    cut: u64,
    unreadable: u64,
    whole: bool,
}

impl Nearest {
    /// Keeps what is nearest to a moment.
    #[must_use]
    pub fn new(part: Part, centre: Timestamp, room: Room) -> Self {
        let (kept, bytes, beyond) = (BTreeMap::new(), 0, None);
        Self { part, centre, room, kept, bytes, beyond, cut: 0, unreadable: 0, whole: true }
    }

    /// Its part.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// Takes a message of a time: the `element`-th of the one with sequence `seq`.
    pub fn take(&mut self, at: Timestamp, (seq, element): (u64, usize), line: String) {
        let distance = at.since(self.centre).max(self.centre.since(at));
        let place = (distance, seq, element);
        if self.kept.contains_key(&place) {
            return;
        }
        if self.beyond.is_some_and(|beyond| place >= beyond) {
            self.cut += 1;
            return;
        }
        self.bytes += line.len();
        self.kept.insert(place, line);
        self.shrink();
    }

    /// Notes a message that could not be read.
    pub fn unreadable(&mut self) {
        self.unreadable += 1;
    }

    /// Notes that more of the stream should have been looked at.
    pub fn stopped(&mut self) {
        self.whole = false;
    }

    /// The same in less room.
    #[must_use]
    pub fn within(mut self, room: Room) -> Self {
        self.room = room;
        self.shrink();
        self
    }

    fn shrink(&mut self) {
        while self.kept.len() > self.room.lines || self.bytes > self.room.bytes {
            let Some((place, line)) = self.kept.pop_last() else { break };
            self.bytes -= line.len();
            self.beyond = Some(place);
            self.cut += 1;
        }
    }

    /// The part, in the order of the stream, and the room that is left.
    #[must_use]
    pub fn finish(self) -> (Section, Room) {
        let Self { part, cut, unreadable, whole, room, .. } = self;
        let left = Room { lines: room.lines - self.kept.len(), bytes: room.bytes - self.bytes };
        let mut lines: Vec<(Place, String)> = self.kept.into_iter().collect();
        lines.sort_by_key(|((_, seq, element), _)| (*seq, *element));
        let lines = lines.into_iter().map(|(_, line)| line).collect();
        (Section { part, lines, cut, unreadable, whole }, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn stretches_that_touch_are_one() {
        let (before, after) = (Duration::from_secs(5), Duration::from_secs(2));
        let found = stretches([at(100), at(0), at(6), at(107)], before, after);
        assert_eq!(found, [(at(-5), at(8)), (at(95), at(109))]);
        assert_eq!(stretches([], before, after), []);
    }

    #[test]
    fn what_is_farthest_goes_first_and_is_counted() {
        let room = Room { lines: 2, bytes: 100 };
        let mut nearest = Nearest::new(Part::Around, at(10), room);
        for (seq, second) in [(1, 0), (2, 9), (3, 11), (4, 30)] {
            nearest.take(at(second), (seq, 0), format!("line {seq}"));
        }
        nearest.unreadable();
        nearest.stopped();
        let (section, left) = nearest.finish();
        assert_eq!(section.lines, ["line 2", "line 3"]);
        assert_eq!((section.cut, section.unreadable, section.whole), (2, 1, false));
        assert_eq!(left, Room { lines: 0, bytes: 88 });
    }

    proptest! {
        /// Against the plain way: sort all, take from the nearest on until one does not fit.
        #[test]
        fn what_is_kept_does_not_depend_on_the_order(
            mut all in prop::collection::vec((0_i64..60, 0_usize..40), 0..40),
            lines in 0_usize..20,
            bytes in 0_usize..300,
            turn in 0_usize..40,
        ) {
            let named: Vec<(i64, u64, String)> = all.drain(..).zip(1_u64..)
                .map(|((second, size), seq)| (second, seq, "x".repeat(size))).collect();
            let mut sorted = named.clone();
            sorted.sort_by_key(|(second, seq, _)| ((second - 30).abs(), *seq));
            let (mut due, mut size) = (Vec::new(), 0);
            for (_, seq, line) in &sorted {
                size += line.len();
                if due.len() == lines || size > bytes {
                    break;
                }
                due.push((*seq, line.clone()));
            }
            due.sort();
            let mut nearest = Nearest::new(Part::Window, at(30), Room { lines, bytes });
            let turn = turn.min(named.len());
            for (second, seq, line) in named[turn..].iter().chain(&named[..turn]) {
                nearest.take(at(*second), (*seq, 0), line.clone());
            }
            let (section, _) = nearest.finish();
            let due: Vec<String> = due.into_iter().map(|(_, line)| line).collect();
            prop_assert_eq!(section.cut as usize, named.len() - due.len());
            prop_assert_eq!(section.lines, due);
        }
    }
}
