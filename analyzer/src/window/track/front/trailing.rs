//! A window that ends with an event, moved from event to event.

use super::{super::Entry, News};
use crate::{
    chain::Chain,
    window::{At, gauge::Gauge},
};
use std::collections::VecDeque;

/// The window that ends with the event before `next`, with its number.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Trailing {
    /// Position of the first event that counts.
    floor: usize,
    /// Position of its first event.
    oldest: usize,
    /// Position after its last one.
    next: usize,
    gauge: Gauge,
    /// Events up to there that are in no satisfied window, in order.
    pending: VecDeque<At>,
    news: News,
}

impl Trailing {
    /// Before the first of the events that are not forgotten.
    pub(in super::super) fn after(chain: &Chain, gone: usize) -> Self {
        Self {
            floor: gone,
            oldest: gone,
            next: gone,
            gauge: Gauge::for_condition(&chain.condition, chain.rules.len()),
            pending: VecDeque::new(),
            news: News::default(),
        }
    }

    /// The position of the first event that it has not come to.
    pub(in super::super) fn next(&self) -> usize {
        self.next
    }

    pub(in super::super) fn news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Moves it to the last event, and notes what is satisfied of the windows at whose end `are`.
    pub(in super::super) fn advance(
        &mut self,
        chain: &Chain,
        events: &[Entry],
        are: impl Fn(&Entry) -> bool,
    ) {
        while let Some(entry) = events.get(self.next) {
            if !entry.member {
                self.pend(entry.at);
            }
            self.step(chain, events);
            // A condition that only grows may be asked before all events of one instant are in.
            if are(entry) && self.gauge.satisfies(&chain.condition) {
                self.satisfied(events);
            }
        }
    }

    /// Moves it over all events of the next instant, and notes it where it is satisfied and one
    /// of the windows that `are`.
    pub(in super::super) fn advance_instant(
        &mut self,
        chain: &Chain,
        events: &[Entry],
        are: impl Fn(&Entry) -> bool,
    ) {
        let Some(first) = events.get(self.next) else { return };
        while let Some(entry) = events.get(self.next).filter(|entry| entry.at.0 == first.at.0) {
            if !entry.member {
                self.pend(entry.at);
            }
            self.step(chain, events);
        }
        if are(first) && self.gauge.satisfies(&chain.condition) {
            self.satisfied(events);
        }
    }

    /// Makes the next event its last.
    fn step(&mut self, chain: &Chain, events: &[Entry]) {
        let Some(entry) = events.get(self.next) else { return };
        self.next += 1;
        self.gauge.enter(&entry.point());
        let begin = entry.at.0.minus(chain.window);
        while let Some(left) = events.get(self.oldest).filter(|left| left.at.0 < begin) {
            self.gauge.leave(&left.point());
            self.oldest += 1;
        }
    }

    /// Notes it: all its events are members.
    fn satisfied(&mut self, events: &[Entry]) {
        let last = self.next.checked_sub(1).and_then(|last| events.get(last));
        let (Some(first), Some(last)) = (events.get(self.oldest), last) else { return };
        let (from, to) = (first.at.0, last.at.0);
        self.news.span(from.micros(), to.micros());
        if self.pending.back().is_some_and(|newest| newest.0 >= from) {
            let begin = self.pending.partition_point(|at| at.0 < from);
            let end = self.pending.partition_point(|at| at.0 <= to);
            self.news.members.extend(self.pending.drain(begin..end));
        }
    }

    fn pend(&mut self, at: At) {
        match self.pending.back() {
            Some(newest) if *newest > at => {
                let place = self.pending.partition_point(|before| *before < at);
                self.pending.insert(place, at);
            }
            _ => self.pending.push_back(at),
        }
    }

    /// Goes back to before the place at which an event is about to be put, unless it belongs to
    /// the newest instant.
    pub(in super::super) fn make_room(
        &mut self,
        chain: &Chain,
        events: &[Entry],
        (place, at): (usize, At),
    ) {
        if events.last().is_none_or(|newest| newest.at.0 <= at.0) {
            return;
        }
        while self.next > place.max(self.oldest) {
            self.next -= 1;
            if let Some(entry) = events.get(self.next) {
                self.gauge.leave(&entry.point());
            }
        }
        // Where all of it lies behind that place, nothing is left in it.
        self.next = self.next.min(place);
        self.oldest = self.oldest.min(self.next);
        let Some(end) = place.checked_sub(1).and_then(|end| events.get(end)) else { return };
        let begin = end.at.0.minus(chain.window);
        while self.oldest > self.floor
            && let Some(before) = self.oldest.checked_sub(1)
            && let Some(entry) = events.get(before).filter(|entry| entry.at.0 >= begin)
        {
            self.gauge.enter(&entry.point());
            self.oldest = before;
        }
    }

    /// Takes the event that was put there.
    pub(in super::super) fn take(&mut self, chain: &Chain, events: &[Entry], place: usize) {
        let Some(entry) = events.get(place) else { return };
        self.pend(entry.at);
        if place < self.next {
            // Of the newest instant, before others of it.
            self.gauge.enter(&entry.point());
            self.next += 1;
            if self.gauge.satisfies(&chain.condition) {
                self.satisfied(events);
            }
        }
        while self.next < events.len() {
            self.step(chain, events);
            if self.gauge.satisfies(&chain.condition) {
                self.satisfied(events);
            }
        }
    }

    /// The events before `end` count for nothing any more.
    pub(in super::super) fn forget(&mut self, events: &[Entry], end: usize) {
        while self.oldest < end.min(self.next) {
            if let Some(entry) = events.get(self.oldest) {
                self.gauge.leave(&entry.point());
            }
            self.oldest += 1;
        }
        (self.oldest, self.next) = (self.oldest.max(end), self.next.max(end));
        self.floor = end;
        let kept = events.get(end).map(|entry| entry.at);
        while self.pending.front().is_some_and(|at| kept.is_none_or(|kept| *at < kept)) {
            self.pending.pop_front();
        }
    }

    /// Positions are lower by so much.
    pub(in super::super) fn moved(&mut self, by: usize) {
        self.floor = self.floor.saturating_sub(by);
        self.oldest = self.oldest.saturating_sub(by);
        self.next = self.next.saturating_sub(by);
    }
}
