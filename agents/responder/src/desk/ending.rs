//! What ends: by time, by order, by a policy that protects it now.

use super::{Desk, Turn};
use crate::{
    Policy, Surroundings,
    lease::{Lease, Life, words},
    policy::protected,
};
use magsentinel_bus_schema::{Id, Timestamp};
use std::{sync::Arc, time::Duration};

/// Most leases that end by time in one turn: what is due beside them ends in the next.
const ENDS_AT_ONCE: usize = 4096;
/// How long it is remembered that an operator ended a lease, so that its incident is not granted it
/// again.
const REVOKED_KEPT: Duration = Duration::from_secs(86_400);
/// How often what has long ended is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(30);

impl Desk {
    /// What follows from time alone.
    pub fn passed(&mut self, now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        let due = self.due.iter().take_while(|(at, _)| *at <= now).take(ENDS_AT_ONCE);
        let due: Vec<Id> = due.map(|(_, id)| *id).collect();
        for id in due {
            let waits = self.lease(id).is_some_and(|lease| lease.holds_until().is_none());
            let why = if waits { "nobody approved it in time" } else { "its time is up" };
            self.end(id, why, None, now, &mut turn);
        }
        self.forget(now);
        // What is due ends whether or not it is recorded: the record may come last.
        turn.after = self.records();
        turn
    }

    /// Ends a lease.
    pub(super) fn end(
        &mut self,
        id: Id,
        why: &str,
        order: Option<Id>,
        now: Timestamp,
        turn: &mut Turn,
    ) {
        let things = self.change(id, |lease| {
            let held = lease.holds_until().is_some();
            lease.life = Life::Ended { at: now, why: words(why), held };
            lease.order = order.or(lease.order);
            lease.revoked |= order.is_some();
        });
        self.changes(&things, &mut turn.changes);
        if self.lease(id).is_some_and(Lease::stays) {
            return;
        }
        turn.tell.extend(self.lease(id).map(|lease| (things, self.ended(lease, why, now))));
    }

    /// Forgets leases that ended so long ago that their actions would be refused.
    fn forget(&mut self, now: Timestamp) {
        // All are looked at, which nobody who waits for a decision should pay for often.
        if now.since(self.forgot) < FORGET_EVERY {
            return;
        }
        let keep = self.policy.max_action_age.get() + self.policy.clock_skew_max.get();
        let gone: Vec<Id> = self
            .leases
            .iter()
            .filter(|(_, held)| match held.lease.life {
                // An attack that goes on after a pause asks again.
                Life::Ended { at, .. } if held.lease.revoked => now > at.plus(REVOKED_KEPT),
                Life::Ended { at, .. } => now > at.max(held.lease.action.evidence_ts).plus(keep),
                _ => false,
            })
            .map(|(id, _)| *id)
            .take(ENDS_AT_ONCE)
            .collect();
        // The rest of them is forgotten next.
        if gone.len() < ENDS_AT_ONCE {
            self.forgot = now;
        }
        for id in gone {
            self.take(id);
        }
    }

    /// Another policy holds from now on. What it protects ends.
    pub fn governed(&mut self, policy: Arc<Policy>, now: Timestamp) -> Turn {
        self.version = policy.version();
        self.policy = policy;
        self.protect(now)
    }

    /// The surroundings are these now. What is among them ends.
    pub fn surrounded(&mut self, around: Surroundings, now: Timestamp) -> Turn {
        if around == self.around {
            return Turn::default();
        }
        self.around = around;
        self.protect(now)
    }

    fn protect(&mut self, now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        let found: Vec<(Id, String)> = self
            .due
            .iter()
            .filter_map(|(_, id)| {
                let effect = &self.lease(*id)?.action.effect;
                Some((*id, protected(&self.policy, &self.around, effect)?))
            })
            .collect();
        for (id, why) in found {
            self.end(id, &why, None, now, &mut turn);
        }
        turn.before = self.records();
        turn
    }
}
