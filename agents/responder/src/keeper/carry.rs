//! A turn, carried out: records first, then the world, then what is told.

use super::{Asked, Keeper, Unstored};
use crate::{
    desk::Turn,
    effector::{Change, Failures},
    lease::Records,
    thing::Thing,
};
use magsentinel_bus_schema::{CodecError, Effect, Id, Outcome, OutcomeStatus, Subject, Timestamp};
use magsentinel_runtime::stage::Publish;
use std::collections::BTreeMap;

impl Keeper {
    /// Carries a turn out.
    pub(super) async fn carry_out(
        &mut self,
        turn: Turn,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, Unstored> {
        self.store(turn.before).await?;
        let failures = self.apply(&turn.changes, now).await;
        let mut told = Vec::new();
        for (things, outcome) in turn.tell {
            match things.iter().find_map(|thing| failures.get(thing)) {
                None => told.push(outcome),
                Some(why) => {
                    told.push(failed(&outcome, why));
                    self.untold.push((things, outcome));
                }
            }
        }
        self.store(turn.after).await?;
        Ok(told)
    }

    pub(super) async fn store(&mut self, records: Records) -> Result<(), Unstored> {
        for (key, record) in records {
            let before = self.revisions.get(&key).copied().unwrap_or(0);
            let failed = |e: magsentinel_runtime::bus::Error| Unstored::Failed(e.to_string());
            match record {
                Some(record) => {
                    let bytes = record.bytes().map_err(|e| Unstored::Failed(e.to_string()))?;
                    let written = self.table.write(&key, bytes, before).await.map_err(failed)?;
                    let revision = written.ok_or(Unstored::Taken)?;
                    self.wrote(revision);
                    self.revisions.insert(key, revision);
                }
                None if before == 0 => {}
                None => {
                    if !self.table.remove(&key, before).await.map_err(failed)? {
                        return Err(Unstored::Taken);
                    }
                    self.revisions.remove(&key);
                    let newest = self.table.newest().await.map_err(failed)?;
                    self.wrote(newest);
                }
            }
        }
        Ok(())
    }

    /// Notes a write of ours; where another lies between it and the one before, all is to be read
    /// again.
    fn wrote(&mut self, revision: u64) {
        if revision == self.newest + 1 {
            self.newest = revision;
        }
    }

    async fn apply(
        &mut self,
        changes: &BTreeMap<Thing, Option<Timestamp>>,
        now: Timestamp,
    ) -> Failures {
        let mut failures = Failures::new();
        for effector in &mut self.effectors {
            let own = changes.iter().filter(|(thing, _)| effector.takes(thing));
            let own: Vec<Change> =
                own.map(|(thing, until)| Change { thing: thing.clone(), until: *until }).collect();
            if own.is_empty() {
                continue;
            }
            let failed = effector.apply(&own, now).await;
            if let Some((thing, why)) = failed.first_key_value() {
                let (effector, count) = (effector.name(), failed.len());
                tracing::warn!(effector, count, %thing, why, "not everything could be changed");
            }
            failures.extend(failed);
        }
        self.counts.failures += failures.len() as u64;
        self.amiss |= !failures.is_empty();
        failures
    }

    /// What is told by itself, of nobody's asking: one that cannot be written does not hold up
    /// the others.
    pub(super) fn writable(&self, told: Vec<Outcome>) -> Vec<Publish> {
        let one = |outcome| self.publishes(&[], vec![outcome]);
        let failed = |error: &String| tracing::error!(error, "an outcome cannot be written");
        told.into_iter().filter_map(|told| one(told).inspect_err(failed).ok()).flatten().collect()
    }

    /// Each outcome in the trace of its action: one that was asked for just now, or whose lease is
    /// known.
    pub(super) fn publishes(
        &self,
        asked: &[Asked],
        told: Vec<Outcome>,
    ) -> Result<Vec<Publish>, String> {
        let just_asked = |id: Id| {
            asked.iter().find_map(|asked| match asked {
                Asked::Action(action, _, trace) if action.id == id => trace.clone(),
                _ => None,
            })
        };
        let one = |outcome: Outcome| {
            if matches!(outcome.effect, Effect::Notify { .. })
                && outcome.status == OutcomeStatus::Applied
            {
                let Outcome { incident, detail, .. } = &outcome;
                tracing::warn!(%incident, detail, "a notification");
            }
            let lease = || self.desk.lease(outcome.action)?.trace.clone();
            let trace = just_asked(outcome.action).or_else(lease);
            let subject = Subject::Outcome(outcome.effect.verb());
            Ok(Publish::new(subject, outcome.id, &outcome)?.traced(trace))
        };
        let all: Result<_, CodecError> = told.into_iter().map(one).collect();
        all.map_err(|e| e.to_string())
    }
}

/// What is told of an outcome that could not come about yet.
fn failed(of: &Outcome, why: &str) -> Outcome {
    let status = OutcomeStatus::Failed;
    let detail = format!("{}: {why}; it is tried again", of.detail);
    // Each that fails is told once, however often it is tried.
    let id = Id::derived(&["failed", &of.id.to_string()]);
    Outcome { id, status, detail, ..of.clone() }
}
