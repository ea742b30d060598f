//! The state machine: a pattern and what happened to it make the pattern as it is then.
//!
//! ```text
//! proposed → shadow → ready → live → rolled-back
//!     ↓        ↓        ↓
//!  refused  refused  refused        rejected: from any of the first three
//! ```

use magsentinel_bus_schema::{
    Judgement, Pattern, Timestamp,
    pattern::{Gate, Proof, Seal, State, Step, Tally, Verdict},
};
use std::time::Duration;

/// Samples of hits that are kept, the newest.
pub const SAMPLES_MAX: usize = 10;
/// Incidents whose verdicts are kept, the newest.
const VERDICTS_MAX: usize = 64;

/// When a pattern has shown enough, and when too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Highest share of false positives, 0..=1.
    pub share_max: f64,
    /// Events after which shadow ends, and the fewest over which a share is counted.
    pub shadow_events: u64,
    /// Time after which shadow ends where at least one event came.
    pub shadow_for: Duration,
}

impl Budget {
    /// Whether so many false positives of so many events are too many. Below `shadow_events` the
    /// share is taken of that many: one hit among the first ten events says little.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn is_spent(&self, false_hits: u64, events: u64) -> bool {
        false_hits as f64 > self.share_max * events.max(self.shadow_events) as f64
    }
}

/// What happened to a pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The gates let it through, with what they saw.
    Passed(Proof),
    /// A gate stopped it.
    Stopped(Gate, String, Option<Proof>),
    /// More live traffic was scored; the figures are added to those known.
    Counted(Tally),
    /// An operator said of an incident with its hits whether it was an attack.
    Judged(Verdict),
    /// A trusted promoter has signed it. The signature is checked by whoever uses the pattern.
    Promoted(Seal),
    /// An operator does not want it.
    Rejected(String),
    /// An operator wants it back out.
    RolledBack(String),
}

/// Why a step cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern that is {state} cannot be {what}")]
pub struct Refused {
    /// Where the pattern stands.
    pub state: State,
    /// What was asked.
    pub what: &'static str,
}

/// The pattern after something happened. `by` says who did it.
///
/// # Errors
/// When that cannot happen to a pattern in its state.
pub fn step(
    pattern: &Pattern,
    input: Input,
    by: &str,
    now: Timestamp,
    budget: &Budget,
) -> Result<Pattern, Refused> {
    use State::{Live, Proposed, Ready, Rejected, RolledBack, Shadow};
    let state = pattern.state();
    let refused = |what| Err(Refused { state, what });
    let mut next = pattern.clone();
    let mut enter = |state: State, why: String, gate: Option<Gate>| {
        next.steps.push(Step { state, ts: now, by: by.to_owned(), why, gate });
        next.tally = Tally::default();
    };
    match (state, input) {
        (Proposed, Input::Passed(proof)) => {
            enter(Shadow, told(&proof), None);
            next.proof = Some(proof);
        }
        (Proposed, Input::Stopped(gate, why, proof)) => {
            enter(State::Refused, why, Some(gate));
            next.proof = proof;
        }
        (Shadow | Ready | Live, Input::Counted(more)) => {
            add(&mut next.tally, more);
            settle(&mut next, by, now, budget);
        }
        (Shadow | Ready | Live, Input::Judged(verdict)) => {
            judge(&mut next.verdicts, verdict);
            settle(&mut next, by, now, budget);
        }
        (Ready, Input::Promoted(seal)) => {
            enter(Live, format!("signed by {}", seal.signer), None);
            next.seal = Some(seal);
        }
        (Proposed | Shadow | Ready, Input::Rejected(why)) => enter(Rejected, why, None),
        (Live, Input::RolledBack(why)) => enter(RolledBack, why, None),
        (_, Input::Passed(_) | Input::Stopped(..)) => return refused("tested"),
        (_, Input::Counted(_)) => return refused("counted"),
        (_, Input::Judged(_)) => return refused("judged"),
        (_, Input::Promoted(_)) => return refused("promoted"),
        (_, Input::Rejected(_)) => return refused("rejected"),
        (_, Input::RolledBack(_)) => return refused("rolled back"),
    }
    Ok(next)
}

/// Goes on, or ends it, as the counts say.
fn settle(next: &mut Pattern, by: &str, now: Timestamp, budget: &Budget) {
    let state = next.state();
    let Tally { events, alone, hits, .. } = next.tally;
    let false_hits = false_hits(next);
    let (to, gate) = if budget.is_spent(false_hits, events) {
        if state == State::Live {
            (State::RolledBack, Some(Gate::Watch))
        } else {
            (State::Refused, Some(Gate::Shadow))
        }
    } else if state == State::Shadow && is_done(next, now, budget) {
        (State::Ready, None)
    } else {
        return;
    };
    let why = match gate {
        None => format!("of {events} events in shadow it matched {hits}, {alone} of them alone"),
        Some(_) => format!(
            "{false_hits} of its {hits} matches in {events} events count as false, more than \
             patterns.false_positives_max ({}) allows",
            budget.share_max
        ),
    };
    next.steps.push(Step { state: to, ts: now, by: by.to_owned(), why, gate });
    // A pattern that is ready is still in shadow, and counted on.
    if to != State::Ready {
        next.tally.samples.truncate(SAMPLES_MAX);
    }
}

fn is_done(next: &Pattern, now: Timestamp, budget: &Budget) -> bool {
    let since = next.steps.last().map_or(now, |step| step.ts);
    let events = next.tally.events;
    events >= budget.shadow_events || events > 0 && now.since(since) >= budget.shadow_for
}

/// Matches that count as false: those that nothing else explains, less those that operators found
/// to be attacks, and those that operators found ordinary.
#[must_use]
pub fn false_hits(pattern: &Pattern) -> u64 {
    let said = |judgement| {
        let of = pattern.verdicts.iter().filter(move |v| v.judgement == judgement);
        of.map(|verdict| verdict.events).sum::<u64>()
    };
    let ordinary = said(Judgement::FalsePositive);
    let alone = pattern.tally.alone.saturating_sub(said(Judgement::TruePositive));
    // What operators found ordinary may be among what nothing explains: it is not counted twice.
    alone.max(ordinary)
}

fn add(tally: &mut Tally, more: Tally) {
    tally.events += more.events;
    tally.hits += more.hits;
    tally.alone += more.alone;
    tally.samples.extend(more.samples);
    let surplus = tally.samples.len().saturating_sub(SAMPLES_MAX);
    tally.samples.drain(..surplus);
}

/// The newest word on each incident counts.
fn judge(verdicts: &mut Vec<Verdict>, verdict: Verdict) {
    match verdicts.iter_mut().find(|known| known.incident == verdict.incident) {
        Some(known) if known.ts <= verdict.ts => *known = verdict,
        Some(_) => {}
        None => verdicts.push(verdict),
    }
    let surplus = verdicts.len().saturating_sub(VERDICTS_MAX);
    verdicts.drain(..surplus);
}

fn told(proof: &Proof) -> String {
    format!(
        "it matches {} of {} own events, {} of {} known to be good, {} of {} retained, {} of them \
         unexplained",
        proof.own_hits,
        proof.own_events,
        proof.good_hits,
        proof.good_events,
        proof.hits,
        proof.events,
        proof.false_hits
    )
}

#[cfg(test)]
mod tests;
