//! What is desired against what is real.

use super::Keeper;
use crate::{
    effector::{Change, Failures},
    thing::Thing,
};
use magsentinel_bus_schema::{Outcome, OutcomeStatus, Timestamp};
use std::time::Duration;

/// Difference between the desired and the real end of a thing that is none: the kernel counts in
/// ticks, and its clock is not ours.
const TOLERANCE: Duration = Duration::from_secs(2);
impl Keeper {
    /// Compares what is desired with what is real, and makes it so. What can be told now.
    ///
    /// All that is desired was handed to each effector when it came to be. So where nothing has
    /// failed, and an effector is certain that nobody has meddled, there is nothing to compare:
    /// with many leases that would keep decisions waiting.
    pub(super) async fn reconcile(&mut self, now: Timestamp) -> Vec<Outcome> {
        let amiss = std::mem::take(&mut self.amiss);
        let mut desired = None;
        let mut open = Failures::new();
        for effector in &mut self.effectors {
            if !amiss && effector.is_untouched() {
                continue;
            }
            let desired = desired.get_or_insert_with(|| self.desk.desired());
            let real = match effector.real(now).await {
                Ok(real) => real,
                Err(why) => {
                    tracing::warn!(effector = effector.name(), why, "cannot tell what is there");
                    let own = desired.keys().filter(|thing| effector.takes(thing));
                    open.extend(own.map(|thing| (thing.clone(), why.clone())));
                    continue;
                }
            };
            let mut changes = Vec::new();
            for (thing, until) in desired.iter().filter(|(thing, _)| effector.takes(thing)) {
                let apart = |real: &Timestamp| real.since(*until).max(until.since(*real));
                if real.get(thing).is_none_or(|real| apart(real) > TOLERANCE) {
                    changes.push(Change { thing: thing.clone(), until: Some(*until) });
                    self.counts.repaired.restored += 1;
                }
            }
            for thing in real.keys().filter(|thing| !desired.contains_key(thing)) {
                changes.push(Change { thing: thing.clone(), until: None });
                self.counts.repaired.removed += 1;
            }
            if !changes.is_empty() {
                let (effector, count) = (effector.name(), changes.len());
                tracing::info!(effector, count, "what is there is made what it should be");
            }
            open.extend(effector.apply(&changes, now).await);
        }
        self.amiss = !open.is_empty();
        let untold = std::mem::take(&mut self.untold);
        let (still, done): (Vec<_>, Vec<_>) = untold
            .into_iter()
            .partition(|(things, _)| things.iter().any(|thing| open.contains_key(thing)));
        self.untold = still;
        let true_by_now = |(things, outcome): &(Vec<Thing>, Outcome)| {
            // What never came about before its time was up was told as failed, and is not told as done.
            let begins = matches!(outcome.status, OutcomeStatus::Applied | OutcomeStatus::Renewed);
            let lease = self.desk.lease(outcome.action);
            !begins || things.is_empty() || lease.is_some_and(|held| held.holds_until().is_some())
        };
        done.into_iter().filter(true_by_now).map(|(_, outcome)| outcome).collect()
    }
}
