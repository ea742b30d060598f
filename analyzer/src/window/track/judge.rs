//! Conditions that wait for time to pass.
//!
//! A window is *firm* when the watermark has passed its end: nothing can change it. What firm
//! windows make is added up once, because their events will be forgotten. Windows between the
//! watermark and the judging clock are looked at again whenever an event comes, and what they
//! make is set beside what was told.

use super::{Clock, Incident, More, New, Track, merge, micros, next_end};
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
        (measure, range): (Measure, &Range),
        clock: Clock,
        bounds: Bounds,
    ) {
        let first = self.events.partition_point(|entry| entry.judged);
        let since = match self.events.get(first) {
            Some(entry) if entry.at.0 < clock.judging => entry.at.0.micros(),
            // Nothing waits for this time, and what comes later changes nothing before it.
            _ => return,
        };
        let lost = self.more.as_ref().and_then(|more| more.let_go.values().max());
        let lost = lost.map(|(ts, _)| ts.micros());
        let (points, window) = (self.points(), micros(chain));
        let ending = |since: i64, until: Timestamp| {
            let ends = Ends { since, until: until.micros(), lost };
            judged(measure, range, window, &points, &ends)
        };
        let rules = chain.rules.len();
        let firm = ending(since, clock.watermark);
        let new = self.new_members(&firm.member);
        self.events.iter_mut().skip(first).for_each(|entry| {
            entry.judged = entry.at.0 < clock.watermark;
        });
        if !new.is_empty() {
            let more = self.more.get_or_insert_default();
            merge::merge((&mut more.firm, &mut vec![]), (&firm.spans, new), rules, bounds);
        }
        let waiting = ending(since.max(clock.watermark.micros()), clock.judging);
        let entries = self.events.iter().zip(&waiting.member);
        let new = entries.filter(|(entry, member)| **member && !entry.member);
        let new: Vec<New> = new.filter_map(|(entry, _)| entry.unpacked()).collect();
        if !new.is_empty() {
            self.more.get_or_insert_default();
        }
        if let Some(more) = &mut self.more {
            let mut view = more.firm.clone();
            merge::merge((&mut view, &mut vec![]), (&waiting.spans, new), rules, bounds);
            more.correct(view);
        }
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
