//! Conditions that wait for time to pass.
//!
//! A window is *firm* when the watermark has passed its end: nothing can change it. What firm
//! windows make is added up once, because their events will be forgotten. Windows between the
//! watermark and the judging clock are looked at again whenever an event comes, and what they
//! make is set beside what was told.

use super::{
    Clock, Incident, More, New, Track,
    front::{Front, News, Trailing},
    merge, micros, next_end,
};
use crate::{
    chain::{Chain, Measure, Range},
    window::{Bounds, Ends, judged},
};
use magsentinel_bus_schema::{Id, Timestamp};
use serde::{Deserialize, Serialize};

impl Track {
    /// Brings incidents up to date with events and time.
    pub(super) fn judge(
        &mut self,
        chain: &Chain,
        number: (Measure, &Range),
        clock: Clock,
        bounds: Bounds,
    ) {
        let first = self.events.partition_point(|entry| entry.judged);
        match self.events.get(first) {
            Some(entry) if entry.at.0 < clock.judging => {}
            // Nothing waits for this time, and what comes later changes nothing before it.
            _ => return,
        }
        let rules = chain.rules.len();
        let firm = self.firm_news(chain, clock.watermark);
        let new = self.new_members(&firm.members);
        let waiting = self.waiting(chain, number, clock);
        if !new.is_empty() || !waiting.1.is_empty() {
            self.more.get_or_insert_default();
        }
        let Some(more) = &mut self.more else { return };
        let settled = !std::mem::replace(&mut more.tentative, !waiting.1.is_empty());
        if settled && !more.tentative && more.ghosts.is_empty() {
            // What is told is what is firm, and goes on as it does.
            let told = (&mut more.incidents, &mut more.superseded);
            merge::merge(told, (&firm.spans, new.clone()), rules, bounds);
            merge::merge((&mut more.firm, &mut vec![]), (&firm.spans, new), rules, bounds);
            return;
        }
        merge::merge((&mut more.firm, &mut vec![]), (&firm.spans, new), rules, bounds);
        let mut view = more.firm.clone();
        merge::merge((&mut view, &mut vec![]), (&waiting.0, waiting.1), rules, bounds);
        more.correct(view);
    }

    /// What the windows made that the watermark has passed since the last time. No event comes
    /// before it, so that each is judged once, and its number carried on to the next.
    fn firm_news(&mut self, chain: &Chain, watermark: Timestamp) -> News {
        let lost = self.lost();
        let first = self.events.partition_point(|entry| entry.judged);
        let next = self.events.partition_point(|entry| entry.at.0 < watermark);
        let front = self
            .front
            .get_or_insert_with(|| Box::new(Front::Trailing(Trailing::after(chain, self.gone))));
        let Front::Trailing(trailing) = front.as_mut() else { return News::default() };
        let ends = Ends { lost, ..Ends::ALL };
        let window = micros(chain);
        while trailing.next() < next {
            trailing.advance_instant(chain, &self.events, |end| {
                !end.judged && ends.contain(end.at.0.micros(), window)
            });
        }
        let news = trailing.news().in_order();
        for entry in self.events.iter_mut().take(next).skip(first) {
            entry.judged = true;
        }
        news
    }

    /// What the windows make between the watermark and the judging clock, as they are.
    fn waiting(
        &self,
        chain: &Chain,
        (measure, range): (Measure, &Range),
        clock: Clock,
    ) -> (Vec<(i64, i64)>, Vec<New>) {
        let next = self.events.partition_point(|entry| entry.at.0 < clock.watermark);
        if self.events.get(next).is_none_or(|entry| entry.at.0 >= clock.judging) {
            return Default::default();
        }
        let ends = Ends {
            since: clock.watermark.micros(),
            until: clock.judging.micros(),
            lost: self.lost(),
        };
        let found = judged(measure, range, micros(chain), &self.points(), &ends);
        let entries = self.kept().iter().zip(&found.member);
        let new = entries.filter(|(entry, member)| **member && !entry.member);
        (found.spans, new.filter_map(|(entry, _)| entry.unpacked()).collect())
    }

    /// Up to here an event was let go.
    fn lost(&self) -> Option<i64> {
        let lost = self.more.as_ref().and_then(|more| more.let_go.values().max());
        lost.map(|(ts, _)| ts.micros())
    }

    /// When the next window ends that the judging clock has not passed.
    pub fn next_end(&self, judging: Timestamp) -> Option<Timestamp> {
        next_end(&self.events, judging)
    }
}

/// An incident that was told and is none any more, or part of another. Should it be one again, its
/// revisions go on where they ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ghost {
    anchor: Id,
    pub(super) end: Timestamp,
    rank: u64,
}

impl More {
    /// Sets what is found now in place of what was told.
    fn correct(&mut self, mut view: Vec<Incident>) {
        let told = self.incidents.iter().filter_map(Incident::anchor).collect::<Vec<_>>();
        for now in view.iter_mut().filter(|now| now.anchor().is_some_and(|a| !told.contains(&a))) {
            let ghost = self.ghosts.iter().filter(|ghost| Some(ghost.anchor) == now.anchor());
            let rank = ghost.map(|ghost| ghost.rank).max().unwrap_or(0);
            now.raised = (rank + 1).saturating_sub(now.tally.count);
        }
        for mut told in std::mem::take(&mut self.incidents) {
            let same = view.iter_mut().find(|now| now.anchor() == told.anchor());
            if let Some(now) = same {
                now.goes_on_from(&mut told);
                // Fewer members, or others, are news as well.
                if !now.tally.says_what(&told.tally) && now.rank() <= now.published {
                    now.raised += now.published + 1 - now.rank();
                    // A correction waits for nothing.
                    now.decided = None;
                }
            } else if told.published > 0 {
                let over = view.iter().find(|now| now.start <= told.end && told.start <= now.end);
                let anchor = over.and_then(Incident::anchor);
                let told = told.ended();
                let of = told.anchor().map(|anchor| (anchor, told.end, told.rank()));
                self.ghosts.extend(of.map(|(anchor, end, rank)| Ghost { anchor, end, rank }));
                self.superseded.push((told, anchor));
            }
        }
        self.incidents = view;
    }
}
