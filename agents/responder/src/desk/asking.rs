//! Actions: asked for the first time, again, or anew.

use super::{Desk, Turn};
use crate::{
    effect::Step,
    lease::{Lease, Life},
    policy::{Request, Verdict, judge},
    thing::Thing,
};
use magsentinel_bus_schema::{Action, Effect, Id, Mode, Outcome, OutcomeStatus, Timestamp, Verb};

/// What is to become of an action that may take effect.
enum Way {
    Now,
    Wait(String),
    Never(String),
}

impl Desk {
    /// What follows from actions that were asked for.
    pub fn asked(&mut self, requests: &[Request<'_>], now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        for request in requests {
            self.ask(*request, now, &mut turn);
        }
        turn.before = self.records();
        turn
    }

    fn ask(&mut self, request: Request<'_>, now: Timestamp, turn: &mut Turn) {
        let action = request.action;
        if let Some(held) = self.leases.get(&action.id) {
            let newer = action.evidence_ts > held.lease.action.evidence_ts;
            // What a person approved was for so long and no longer.
            let approved = held.lease.approved_by.is_some() && self.holds(action.id);
            let revoked = held.lease.revoked;
            if !newer || approved || revoked || action.effect != held.lease.action.effect {
                self.tell_again(action.id, turn);
                return;
            }
        }
        let step = match judge(&self.policy, &self.around, request, now) {
            Verdict::Refused(reasons) => {
                turn.tell.push((Vec::new(), self.refused(request, &reasons.join("; "), now)));
                return;
            }
            Verdict::Allowed(step) => step,
        };
        // To keep evidence changes nothing that anybody uses: it needs no leave, has a budget of
        // its own, and is what those want most who only look on. To tell people changes nothing
        // either, but those who only look on have not asked to be told.
        let keeps = step == Step::Preserve;
        let harmless = keeps || matches!(step, Step::Tell { .. });
        let mode = if keeps { Mode::Enforce } else { self.policy.mode.min(action.mode) };
        if mode == Mode::DryRun {
            turn.tell.push((Vec::new(), self.would_apply(request, &step, now)));
            return;
        }
        let way = match Thing::of(&step, self.reach) {
            Ok(_) if harmless => self.harmless(request, now),
            Ok(things) => self.way(mode, request, &things, now),
            Err(why) => Way::Never(why),
        };
        match way {
            Way::Never(why) => {
                turn.tell.push((Vec::new(), self.refused(request, &why, now)));
            }
            Way::Wait(why) => self.wait(request, why, now, turn),
            Way::Now => self.grant(request, &step, now, turn),
        }
    }

    fn holds(&self, id: Id) -> bool {
        self.lease(id).is_some_and(|lease| lease.holds_until().is_some())
    }

    /// Whether it takes effect now, has to wait, or never does.
    fn way(&mut self, mode: Mode, request: Request<'_>, things: &[Thing], now: Timestamp) -> Way {
        let action = request.action;
        if let Some(off) = &self.off {
            let why = format!("enforcement is off since {}, by {:?}", off.since, off.by);
            return Way::Never(why);
        }
        // A renewal takes up nothing that is not taken up already.
        if self.holds(action.id) {
            return Way::Now;
        }
        if self.leases.len() >= self.leases_max {
            let max = self.leases_max;
            return Way::Never(format!("there are {max} leases: as many as leases_max allows"));
        }
        if let Some(why) = self.overlap(things) {
            return Way::Never(why);
        }
        let policy = &self.policy;
        if mode == Mode::Ask {
            return Way::Wait("its mode is ask".to_owned());
        }
        let verb = action.effect.verb();
        if policy.approval.verbs.contains(&verb) {
            return Way::Wait(format!("{verb} is one of approval.verbs"));
        }
        if things.iter().all(|thing| self.wanted.contains_key(thing)) {
            return Way::Now;
        }
        let (budget, minute) = (&policy.budget, self.spent.within_a_minute(now));
        if minute >= budget.targets_per_minute {
            let most = budget.targets_per_minute;
            return Way::Wait(format!("{most} new targets in a minute, as many as the budget has"));
        }
        if self.targets() >= budget.targets_max {
            let most = budget.targets_max;
            return Way::Wait(format!("{most} targets at once, as many as the budget has"));
        }
        Way::Now
    }

    /// Whether evidence is kept, or people are told.
    fn harmless(&mut self, request: Request<'_>, now: Timestamp) -> Way {
        let Action { id, effect, .. } = request.action;
        if self.holds(*id) {
            return Way::Now;
        }
        let budget = &self.policy.budget;
        let (what, key, most) = match effect {
            Effect::Notify { .. } => (
                "people were told something",
                "notifications_per_minute",
                budget.notifications_per_minute,
            ),
            _ => ("evidence was kept", "evidence_per_minute", budget.evidence_per_minute),
        };
        if self.leases.len() >= self.leases_max {
            let max = self.leases_max;
            return Way::Never(format!("there are {max} leases: as many as leases_max allows"));
        }
        let verb = effect.verb();
        if verb == Verb::Notify && self.policy.approval.verbs.contains(&verb) {
            return Way::Wait(format!("{verb} is one of approval.verbs"));
        }
        if self.spent_on(effect).within_a_minute(now) >= most {
            return Way::Never(format!(
                "{what} {most} times within a minute, as often as budget.{key} allows"
            ));
        }
        Way::Now
    }

    /// Why a network cannot be added: the kernel's set of networks has no two that overlap.
    fn overlap(&self, things: &[Thing]) -> Option<String> {
        let new = things.iter().find_map(|thing| match thing {
            Thing::Dropped(network) if !network.is_single() => Some(network),
            _ => None,
        })?;
        let mut others = self.wanted.keys().filter_map(|thing| match thing {
            Thing::Dropped(network) if !network.is_single() => Some(network),
            _ => None,
        });
        if let Some(other) = others.find(|other| *other != new && other.overlaps(new)) {
            return Some(format!("{new} overlaps {other}, which is blocked already"));
        }
        let most = self.policy.prefix.networks_max;
        (self.networks >= most)
            .then(|| format!("{most} networks are blocked: as many as prefix.networks_max allows"))
    }

    fn wait(&mut self, request: Request<'_>, why: String, now: Timestamp, turn: &mut Turn) {
        if self.waiting >= self.policy.approval.waiting_max {
            let most = self.policy.approval.waiting_max;
            let why = format!("{why}, but {most} actions wait: as many as waiting_max allows");
            turn.tell.push((Vec::new(), self.refused(request, &why, now)));
            return;
        }
        let until = now.plus(self.policy.approval.expires_after.get());
        let id = self.renewed(request, Life::Waiting { until, why: why.clone() }, now);
        turn.tell.extend(self.lease(id).map(|lease| (Vec::new(), self.pending(lease, now))));
    }

    fn grant(&mut self, request: Request<'_>, step: &Step, now: Timestamp, turn: &mut Turn) {
        let action = request.action;
        let held = self.leases.get(&action.id).and_then(|held| held.lease.holds_until());
        if held.is_none() {
            self.spent_on(&action.effect).note(action.id, now);
        }
        let status = if held.is_some() { OutcomeStatus::Renewed } else { OutcomeStatus::Applied };
        let life = match (Life::begun(action, now), held) {
            (Life::Active { until }, Some(before)) => Life::Active { until: before.max(until) },
            (life, _) => life,
        };
        let id = self.renewed(request, life, now);
        let Some(held) = self.leases.get(&id) else { return };
        self.changes(&held.things, &mut turn.changes);
        let outcome = self.applied(&held.lease, step, status, now);
        turn.tell.push((held.things.clone(), outcome));
    }

    /// The lease of an action, new or anew.
    fn renewed(&mut self, request: Request<'_>, life: Life, now: Timestamp) -> Id {
        let id = request.action.id;
        let holds = self.holds(id);
        let before = self.leases.get(&id);
        let trace = before.and_then(|held| held.lease.trace.clone());
        let before = before.map(|held| (held.page, held.lease.turn));
        let mut lease = Lease::new(request.action, life, &self.version, now);
        lease.turn = before.map_or(0, |(_, turn)| turn + 1);
        lease.renewed = holds;
        lease.trace = request.trace.map(str::to_owned).or(trace);
        let page = match before {
            Some((page, _)) => page,
            None => self.page_for_new(&lease),
        };
        self.put(lease, page);
        id
    }

    /// What is to be told of leases that took effect after a time and hold, once what they hold is
    /// there; and of those that ended after it.
    #[must_use]
    pub fn lately(&self, after: Timestamp, now: Timestamp) -> Vec<(Vec<Thing>, Outcome)> {
        let mut turn = Turn::default();
        for (id, held) in &self.leases {
            let recent = match held.lease.life {
                Life::Active { until } => until > now && held.lease.since > after,
                Life::Ended { at, .. } => at > after,
                // Its action is delivered again, and told then.
                Life::Waiting { .. } => false,
            };
            if recent {
                self.tell_again(*id, &mut turn);
            }
        }
        turn.tell
    }

    /// An action that was delivered again: what became of it is told again, with the same id.
    fn tell_again(&self, id: Id, turn: &mut Turn) {
        let Some(held) = self.leases.get(&id) else { return };
        let lease = &held.lease;
        let outcome = match &lease.life {
            Life::Waiting { .. } => self.pending(lease, lease.since),
            Life::Ended { at, why, .. } if !lease.stays() => self.ended(lease, why, *at),
            Life::Active { .. } | Life::Ended { .. } => {
                let Ok(step) = Step::of(&lease.action.effect, lease.action.ttl_s) else { return };
                let status = match lease.renewed {
                    false => OutcomeStatus::Applied,
                    true => OutcomeStatus::Renewed,
                };
                self.changes(&held.things, &mut turn.changes);
                self.applied(lease, &step, status, lease.since)
            }
        };
        turn.tell.push((held.things.clone(), outcome));
    }
}
