//! What operators order.

use super::{Desk, Turn};
use crate::{
    effect::Step,
    lease::{Life, Off, Record, SWITCH, words},
    policy::{Request, Verdict, judge, ttl},
};
use magsentinel_bus_schema::{Ask, Id, Order, OutcomeStatus, Timestamp};
use std::time::Duration;

/// Orders that are older than this are not carried out: like actions, the past is not acted on.
const ORDER_AGE_MAX: Duration = Duration::from_secs(600);

impl Desk {
    /// What follows from an operator's order.
    ///
    /// # Errors
    /// Why it is not carried out. Nothing has changed then.
    pub fn ordered(&mut self, order: &Order, now: Timestamp) -> Result<Turn, String> {
        let calming = matches!(order.ask, Ask::Revoke { .. } | Ask::Panic {});
        if now.since(order.ts) > ORDER_AGE_MAX && !calming {
            return Err(format!("the order is of {}: too old", order.ts));
        }
        let mut turn = Turn::default();
        match &order.ask {
            Ask::Approve { lease, hash } => self.approve(order, *lease, hash, now, &mut turn)?,
            Ask::Revoke { lease } => {
                let held = self.known(*lease)?;
                if let Life::Ended { at, why, .. } = &held.life {
                    if held.order != Some(order.id) {
                        return Err(format!("it ended at {at}: {why}"));
                    }
                    // Delivered again.
                    let outcome = self.ended(held, why, *at);
                    turn.tell.push((Vec::new(), outcome));
                } else {
                    let why = format!("revoked by {:?}: {}", order.by, order.reason);
                    self.end(*lease, &why, Some(order.id), now, &mut turn);
                }
            }
            Ask::Extend { lease, ttl_s } => self.extend(order, *lease, *ttl_s, now, &mut turn)?,
            Ask::Panic {} => return Ok(self.panicked(&order.by, &order.reason, now)),
            Ask::Resume {} => {
                self.off = None;
                turn.before.insert(SWITCH.to_owned(), None);
            }
        }
        turn.before.extend(self.records());
        Ok(turn)
    }

    /// Undoes everything, and lets nothing take effect until enforcement is on again.
    pub fn panicked(&mut self, by: &str, reason: &str, now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        let off = Off { by: by.to_owned(), reason: reason.to_owned(), since: now };
        turn.before.insert(SWITCH.to_owned(), Some(Record::Switch(off.clone())));
        self.off = Some(off);
        let why = format!("panic, by {by:?}: {reason}");
        let open: Vec<Id> = self.due.iter().map(|(_, id)| *id).collect();
        for id in open {
            self.end(id, &why, None, now, &mut turn);
        }
        turn.before.extend(self.records());
        turn
    }

    fn known(&self, id: Id) -> Result<&crate::lease::Lease, String> {
        self.lease(id).ok_or_else(|| format!("there is no lease {id}"))
    }

    fn approve(
        &mut self,
        order: &Order,
        id: Id,
        hash: &str,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), String> {
        let lease = self.known(id)?;
        if lease.order == Some(order.id) && (lease.holds_until().is_some() || lease.stays()) {
            // Delivered again.
            self.approved(id, turn);
            return Ok(());
        }
        let Life::Waiting { until, .. } = &lease.life else {
            return Err("it does not wait for approval".to_owned());
        };
        if now >= *until {
            return Err(format!("it was given up at {until}"));
        }
        if lease.hash.as_deref() != Some(hash) {
            return Err("it is not what was approved: look at it again".to_owned());
        }
        // Made under another policy: what is approved may not be what would be done now.
        if crate::lease::hash(&lease.action, &self.version) != hash {
            return Err("the policy has changed since it was asked for".to_owned());
        }
        if let Some(off) = &self.off {
            return Err(format!("enforcement is off since {}, by {:?}", off.since, off.by));
        }
        let (action, asked) = (lease.action.clone(), lease.asked);
        let (tenant, verb) = (&action.tenant, action.effect.verb());
        let request = Request { action: &action, tenant, verb, trace: None };
        // As old as it was when it was asked for; the wait has an end of its own.
        if let Verdict::Refused(why) = judge(&self.policy, &self.around, request, asked) {
            return Err(why.join("; "));
        }
        self.spent_on(&action.effect).note(id, now);
        self.change(id, |lease| {
            lease.life = Life::begun(&action, now);
            lease.renewed = false;
            lease.since = now;
            lease.turn += 1;
            lease.order = Some(order.id);
            lease.approved_by = Some(words(&order.by));
        });
        self.approved(id, turn);
        Ok(())
    }

    fn approved(&self, id: Id, turn: &mut Turn) {
        let Some(held) = self.leases.get(&id) else { return };
        let action = &held.lease.action;
        let Ok(step) = Step::of(&action.effect, action.ttl_s) else { return };
        self.changes(&held.things, &mut turn.changes);
        let at = held.lease.since;
        let outcome = self.applied(&held.lease, &step, OutcomeStatus::Applied, at);
        turn.tell.push((held.things.clone(), outcome));
    }

    fn extend(
        &mut self,
        order: &Order,
        id: Id,
        ttl_s: u64,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), String> {
        let lease = self.known(id)?;
        if lease.holds_until().is_none() {
            return Err("it does not hold".to_owned());
        }
        if let Some(why) = ttl(&self.policy, ttl_s) {
            return Err(why);
        }
        if lease.order != Some(order.id) {
            let until = now.plus(Duration::from_secs(ttl_s));
            self.change(id, |lease| {
                lease.life = Life::Active { until };
                lease.renewed = true;
                lease.since = now;
                lease.turn += 1;
                lease.order = Some(order.id);
            });
        }
        let Some(held) = self.leases.get(&id) else { return Ok(()) };
        self.changes(&held.things, &mut turn.changes);
        let step = Step::of(&held.lease.action.effect, ttl_s)?;
        let outcome = self.applied(&held.lease, &step, OutcomeStatus::Renewed, held.lease.since);
        turn.tell.push((held.things.clone(), outcome));
        Ok(())
    }
}
