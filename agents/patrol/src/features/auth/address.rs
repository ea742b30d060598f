//! The past of an address: whom it tried, whom it got, and how fast.

use super::{ADDRESS, Attempt, DAY_US, HOUR_US, LONG_US, Outcome, Reason, fill, flag, ln, past};
use crate::features::sketch::{Decayed, Known, Recent};
use past::Past;
use serde::{Deserialize, Serialize};

/// What the features of an address say beyond the common ones, in order.
pub(super) const NAMES: [&str; 24] = [
    "accounts refused in the last hour (ln)",
    "accounts refused in the last day (ln)",
    "accounts let in for weeks (ln)",
    "accounts refused against those let in (ln ratio)",
    "failures per account refused, hour (ln)",
    "hosts tried in the last hour (ln)",
    "accounts that do not exist, hour (ln)",
    "share of accounts that do not exist, hour",
    "default names, hour (ln)",
    "account was let in here before",
    "account was refused here in the last day",
    "let in: account is new here",
    "let in: account is new here, times failures of the hour (ln)",
    "let in after the account was refused here",
    "accounts new here let in, hour (ln)",
    "agents in the last hour (ln)",
    "agent is new here",
    "connections without attempt, hour (ln)",
    "failure of an account never let in here",
    "failures of accounts never let in here, hour (ln)",
    "failures of accounts never let in here, day (ln)",
    "let in: account was let in here before",
    "counts say guessing",
    "refusals that said expired, day (ln)",
];

/// How long an account that was let in is remembered, at least.
const KNOWN_US: f64 = 1.5 * LONG_US;

/// Failures in a day of accounts never let in here from which an address guesses, given one of:
/// accounts that do not exist or that every list holds, [`ACCOUNTS_GUESSED`], [`GIVEN_UP`]. Five
/// that lie over a day count for about as much as four within hours.
const FAILURES_GUESSED: f32 = 3.4;
/// Distinct accounts, of which a sketch may lose a part.
const ACCOUNTS_GUESSED: f32 = 2.6;
/// Connections that the server gave up on. One alone is what a client with many keys looks like.
const GIVEN_UP: f32 = 1.5;
/// Failures of accounts that do not exist or have a default name which are still remembered.
const NAMES_GUESSED: f32 = 0.3;

/// All that is remembered of one address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AddressPast {
    #[serde(rename = "c")]
    past: Past,
    #[serde(rename = "h")]
    refused_hour: Recent<2>,
    #[serde(rename = "d")]
    refused_day: Recent<2>,
    #[serde(rename = "k")]
    let_in: Known<6>,
    #[serde(rename = "t")]
    hosts: Recent<1>,
    #[serde(rename = "a")]
    agents: Recent<1>,
    #[serde(rename = "u")]
    unknown: Decayed,
    #[serde(rename = "e")]
    defaults: Decayed,
    #[serde(rename = "n")]
    new_let_in: Decayed,
    #[serde(rename = "o")]
    noise: Decayed,
    #[serde(rename = "s")]
    strange: Decayed,
    #[serde(rename = "y", default)]
    strange_day: Decayed,
    /// Refusals of a right password that had expired: no guess.
    #[serde(rename = "x", default)]
    expired: Decayed,
}

impl AddressPast {
    /// The features of an event against the past, which then includes the event. Only the
    /// address's half of `out` is written.
    pub fn observe(&mut self, seen: &Attempt, out: &mut [f32]) {
        let turn = self.past.turn(seen);
        let first = self.past.attempts() == 0;
        self.refused_hour.turn(turn.since_us(), turn.now_us, HOUR_US);
        self.refused_day.turn(turn.since_us(), turn.now_us, DAY_US);
        self.let_in.turn(turn.since_us(), turn.now_us, KNOWN_US);
        self.hosts.turn(turn.since_us(), turn.now_us, HOUR_US);
        self.agents.turn(turn.since_us(), turn.now_us, HOUR_US);
        let success = seen.outcome == Outcome::Success;
        let failed = matches!(seen.outcome, Outcome::Failure | Outcome::GivenUp);
        let user = seen.user;
        let known = user.is_some_and(|user| self.let_in.has(user));
        let refused_before = user.is_some_and(|user| self.refused_day.has(user));
        let refused_now = user.is_some_and(|user| self.refused_hour.has(user));
        if let Some(user) = user.filter(|_| failed) {
            self.refused_hour.add(user);
            self.refused_day.add(user);
        }
        if let Some(user) = user.filter(|_| success) {
            self.let_in.add(user);
        }
        if let Some(host) = seen.host.filter(|_| seen.is_attempt()) {
            self.hosts.add(host);
        }
        let new_agent = seen.agent.is_some_and(|agent| self.agents.add(agent.family));
        let newly = success && !known && user.is_some();
        let unknown = if seen.reason == Reason::Unknown { turn.failures } else { 0.0 };
        let default = if seen.user_default { turn.failures } else { 0.0 };
        let strange = if known { 0.0 } else { turn.failures };
        let noise = flag(seen.outcome == Outcome::Noise);
        for (sum, value) in [
            (&mut self.unknown, unknown),
            (&mut self.defaults, default),
            (&mut self.new_let_in, flag(newly)),
            (&mut self.noise, noise),
            (&mut self.strange, strange),
        ] {
            sum.add(turn.elapsed_us, HOUR_US, value);
        }
        self.strange_day.add(turn.elapsed_us, DAY_US, strange);
        self.expired.add(turn.elapsed_us, DAY_US, turn.expired(seen));
        let common = self.past.observe(seen, turn);
        let failures_hour = common.get(14).copied().unwrap_or(0.0);
        let accounts = ln(self.refused_hour.distinct());
        let accounts_day = ln(self.refused_day.distinct());
        let accounts_ok = ln(self.let_in.distinct());
        let now = |sum: Decayed| sum.after(0, 1.0);
        let own: [f32; NAMES.len()] = [
            accounts,
            accounts_day,
            accounts_ok,
            accounts_day - accounts_ok,
            failures_hour - accounts,
            ln(self.hosts.distinct()),
            ln(now(self.unknown)),
            now(self.unknown) / (failures_hour.exp_m1().max(0.0) + 0.5),
            ln(now(self.defaults)),
            flag(known),
            flag(refused_before),
            flag(newly),
            if newly { failures_hour } else { 0.0 },
            flag(success && refused_now),
            ln(now(self.new_let_in)),
            ln(self.agents.distinct()),
            flag(new_agent && !first),
            ln(now(self.noise)),
            flag(failed && !known),
            ln(now(self.strange)),
            ln(now(self.strange_day)),
            flag(success && known),
            flag(strange > 0.0 && self.guesses(seen.private)),
            ln(now(self.expired)),
        ];
        fill(out.get_mut(..ADDRESS).unwrap_or_default(), common.into_iter().chain(own));
    }

    /// Whether counts alone say that this address guesses: nobody was ever let in from it, and
    /// within a day it failed as only those do who know no account of their own.
    fn guesses(&self, private: bool) -> bool {
        let now = |sum: Decayed| sum.after(0, 1.0);
        let failures = now(self.strange_day);
        if failures < FAILURES_GUESSED || self.past.successes() > 0 {
            return false;
        }
        // Inside, a forgotten job with a default account fails for days.
        let named = now(self.unknown).max(now(self.defaults)) > NAMES_GUESSED && !private;
        named || self.refused_day.distinct() > ACCOUNTS_GUESSED || self.past.given_up() > GIVEN_UP
    }

    /// Attempts seen.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.past.attempts()
    }

    /// Event time of the newest event, microseconds UTC.
    #[must_use]
    pub fn last_us(&self) -> i64 {
        self.past.last_us()
    }
}
