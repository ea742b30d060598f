//! Steps in order, carried on from event to event.
//!
//! Kept is, for every two steps, when the latest run of the steps from one to the other began. A
//! new last step ends a window where the latest run of all steps began within one window of it.
//! Members are then the events that wait at a step from which this is the first end: each waits
//! once at every step that it matches, with the latest begin of the steps up to it.

use super::{super::Entry, News};
use crate::{chain::Mask, window::At};
use std::collections::VecDeque;

/// No run began.
const NEVER: i64 = i64::MIN;

/// Steps in order, as far as the newest instant.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Ordered {
    /// How many of the kept events match each step.
    counts: Vec<u32>,
    /// The instant of the newest event, and the steps that its events match.
    now: i64,
    met: Mask,
    /// By first step, then by last: when the latest run of these steps began.
    begun: Vec<i64>,
    /// By step: events whose first end is not known, each with the latest begin of the steps up
    /// to it.
    waiting: Vec<VecDeque<(At, i64)>>,
    /// Times of the first steps within one window of the newest instant.
    firsts: VecDeque<i64>,
    /// An event of this time came after newer ones: all windows that may hold it are to be looked
    /// at again.
    again: Option<i64>,
    news: News,
}

impl Ordered {
    pub(super) fn over(steps: usize, kept: &[Entry]) -> Self {
        let mut of = Self {
            counts: vec![0; steps],
            now: NEVER,
            met: 0,
            begun: vec![NEVER; steps * steps],
            waiting: vec![VecDeque::new(); steps],
            firsts: VecDeque::new(),
            again: Some(NEVER),
            news: News::default(),
        };
        kept.iter().for_each(|entry| of.count(entry.mask, |count| count + 1));
        of
    }

    fn count(&mut self, mask: Mask, to: impl Fn(u32) -> u32) {
        let matched = self.counts.iter_mut().enumerate().filter(|(step, _)| mask >> step & 1 == 1);
        matched.for_each(|(_, count)| *count = to(*count));
    }

    pub(super) fn take(&mut self, window: i64, entry: &Entry) {
        self.count(entry.mask, |count| count + 1);
        let time = entry.at.0.micros();
        if time < self.now || self.again.is_some() {
            self.again = Some(self.again.map_or(time, |again| again.min(time)));
        } else {
            self.enter(window, entry.at, entry.mask);
        }
    }

    /// These events count for nothing any more, nor does what is older than those that are kept.
    pub(super) fn forget(&mut self, gone: &[Entry], kept: Option<At>) {
        gone.iter().for_each(|entry| self.count(entry.mask, |count| count.saturating_sub(1)));
        for waiting in &mut self.waiting {
            while waiting.front().is_some_and(|(at, _)| kept.is_none_or(|kept| *at < kept)) {
                waiting.pop_front();
            }
        }
    }

    /// What became satisfied since it was last asked, of the events that are not forgotten.
    pub(super) fn news(&mut self, window: i64, kept: &[Entry]) -> News {
        // Where a step is not met at all there is no window.
        if self.counts.iter().all(|count| *count > 0)
            && let Some(again) = self.again.take()
        {
            self.clear();
            let from = again.saturating_sub(window);
            let first = kept.partition_point(|entry| entry.at.0.micros() < from);
            for entry in kept.iter().skip(first) {
                self.enter(window, entry.at, entry.mask);
            }
        }
        std::mem::take(&mut self.news)
    }

    fn clear(&mut self) {
        (self.now, self.met) = (NEVER, 0);
        self.begun.fill(NEVER);
        self.waiting.iter_mut().for_each(VecDeque::clear);
        self.firsts.clear();
    }

    fn begun(&self, first: usize, last: usize) -> i64 {
        self.begun.get(first * self.counts.len() + last).copied().unwrap_or(NEVER)
    }

    /// When the latest run of the steps before this one began, for an event of the newest
    /// instant.
    fn begun_before(&self, step: usize) -> i64 {
        step.checked_sub(1).map_or(self.now, |before| self.begun(0, before))
    }

    /// Takes an event that is not older than any before it.
    fn enter(&mut self, window: i64, at: At, mask: Mask) {
        let steps = self.counts.len();
        let time = at.0.micros();
        if time > self.now {
            (self.now, self.met) = (time, 0);
        }
        let more = mask & !self.met != 0;
        self.met |= mask;
        if mask & 1 == 1 {
            self.firsts.push_back(time);
        }
        let oldest = time.saturating_sub(window);
        while self.firsts.front().is_some_and(|first| *first < oldest) {
            self.firsts.pop_front();
        }
        if more {
            self.run();
        }
        for step in (0..steps).filter(|step| mask >> step & 1 == 1) {
            let begun = self.begun_before(step);
            if let Some(waiting) = self.waiting.get_mut(step) {
                while waiting.front().is_some_and(|(at, _)| at.0.micros() < oldest) {
                    waiting.pop_front();
                }
                waiting.push_back((at, begun));
            }
        }
        let ends = steps.checked_sub(1).is_some_and(|last| self.met >> last & 1 == 1);
        if ends && steps.checked_sub(1).map_or(NEVER, |last| self.begun(0, last)) >= oldest {
            self.satisfied(oldest);
        }
    }

    /// Carries the runs on, after the events of the newest instant match more steps. Steps of one
    /// instant follow one another in either order.
    fn run(&mut self) {
        let steps = self.counts.len();
        for last in (0..steps).filter(|last| self.met >> last & 1 == 1) {
            for first in 0..=last {
                let before = last.checked_sub(1).filter(|_| first < last);
                let begun = before.map_or(self.now, |before| self.begun(first, before));
                if let Some(known) = self.begun.get_mut(first * steps + last) {
                    *known = begun.max(*known);
                }
            }
        }
        for step in 1..steps {
            let begun = self.begun_before(step);
            let of_now = self.waiting.get_mut(step).into_iter().flatten().rev();
            let now = self.now;
            of_now.take_while(|(at, _)| at.0.micros() == now).for_each(|(_, b)| *b = begun);
        }
    }

    /// A window ends now: notes it, and those whose first end this is. Whose latest begin lies
    /// before `oldest` is in no window.
    fn satisfied(&mut self, oldest: i64) {
        let Some(first) = self.firsts.front() else { return };
        self.news.span(*first, self.now);
        let steps = self.counts.len();
        for step in 0..steps {
            let latest = if step + 1 == steps { self.now } else { self.begun(step + 1, steps - 1) };
            let now = self.now;
            let Some(waiting) = self.waiting.get_mut(step) else { continue };
            while let Some((at, begun)) = waiting.front().copied() {
                let time = at.0.micros();
                // What has no begin yet may get one by another event of this instant.
                if time > latest || (begun < oldest && time == now) {
                    break;
                }
                waiting.pop_front();
                if begun >= oldest {
                    self.news.members.push(at);
                }
            }
        }
    }
}
