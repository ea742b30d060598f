//! What the pasts of addresses and accounts have in common: counts, rates, beat and hours.

use super::{Attempt, DAY_US, HOUR_US, LONG_US, MINUTE_US, Outcome, Reason, SECOND_US, flag, ln};
use crate::features::sketch::{Beat, Decayed};
use serde::{Deserialize, Serialize};

/// What the common features say, in order; `ln` is the natural logarithm of one plus the number.
pub(super) const NAMES: [&str; 38] = [
    "this half is filled",
    "failure",
    "success",
    "given up by the server",
    "connection without attempt",
    "no such account",
    "expired or locked",
    "account has a default name",
    "key or ticket shown",
    "address is private",
    "agent is known",
    "agent is scripted",
    "agent is a browser",
    "failures in the last minute (ln)",
    "failures in the last hour (ln)",
    "failures in the last day (ln)",
    "successes in the last hour (ln)",
    "successes in the last day (ln)",
    "successes ever (ln)",
    "share of failures, hour",
    "share of failures, day",
    "failures of the hour against the usual hour (ln ratio)",
    "failures in a row (ln)",
    "attempts before (ln)",
    "hours since first seen (ln)",
    "seconds since the last attempt (ln)",
    "beat (ln seconds)",
    "regularity",
    "regularity beyond the usual share",
    "attempts in the last hour, if regular (ln)",
    "rarity of the hour",
    "rarity of the hour, once known",
    "told before",
    "given up in the last hour (ln)",
    "regularity, wide",
    "unevenness of gaps (ln deviation)",
    "evenness of gaps, times attempts of the day (ln)",
    "two-hour slots with attempts in the last day",
];

/// Attempts that the server's last word stands for, where it told none of them.
const GIVEN_UP_TIMES: f32 = 5.0;
/// How long after the one before an attempt is taken to come whose time nobody knows: slow enough
/// to be no burst, fast enough for a row of failures to be one.
const UNTIMED_US: i64 = 60_000_000;
/// How long reports of one attempt may lie apart.
const REPORTS_US: i64 = 10_000_000;

/// A session under way, and which reports of its latest attempt were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    #[serde(rename = "s")]
    hash: u32,
    /// One bit per name of a report.
    #[serde(rename = "m")]
    names: u16,
    /// When its latest report came, seconds since the first event of the key.
    #[serde(rename = "t")]
    at_s: u32,
}

/// What is remembered of any key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    #[serde(rename = "0")]
    first_us: i64,
    #[serde(rename = "l")]
    last_us: i64,
    #[serde(rename = "n")]
    attempts: u32,
    #[serde(rename = "k")]
    successes: u32,
    /// Failures since the last success.
    #[serde(rename = "r")]
    row: f32,
    /// Failures by half-life: minute, hour, day, long.
    #[serde(rename = "f")]
    failure_sums: [Decayed; 4],
    /// Successes by half-life: hour, day.
    #[serde(rename = "o")]
    success_sums: [Decayed; 2],
    #[serde(rename = "g")]
    given_up: Decayed,
    #[serde(rename = "b")]
    beat: Beat,
    /// Attempts by two hours of the day (UTC), work days then weekend; halved when one is full.
    #[serde(rename = "h")]
    hours: [u8; 24],
    /// The latest twelve slots of two hours, newest in the lowest bit: those with attempts.
    #[serde(rename = "d", default)]
    day_slots: u16,
    #[serde(rename = "s")]
    sessions: [Session; 3],
}

/// How much time passed, and what an event weighs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Event time, never before that of the event before.
    pub now_us: i64,
    /// Microseconds since the event before.
    pub elapsed_us: i64,
    /// Failures that the event stands for; 0 when they were told before.
    pub failures: f32,
    /// The attempt was told before, by another report.
    pub told: bool,
}

impl Turn {
    /// Event time of the event before.
    pub(super) fn since_us(&self) -> i64 {
        self.now_us.saturating_sub(self.elapsed_us)
    }

    /// Failures of the event whose reason is that the password has expired, which only those are
    /// told who typed the right one.
    pub(super) fn expired(&self, seen: &Attempt) -> f32 {
        if seen.reason == Reason::Expired { self.failures } else { 0.0 }
    }
}

/// ln of one plus the sum against what the long memory leads to expect of the same span.
fn against(sum: f32, half_life: f64, long: f32, age_us: f64) -> f32 {
    let life = std::f64::consts::LOG2_E;
    let filled = 1.0 - (-age_us / (LONG_US * life)).exp();
    let span = 1.0 - (-age_us.max(half_life) / (half_life * life)).exp();
    let rate = f64::from(long) / (LONG_US * life * filled.max(0.02));
    ln(sum) - ln((rate * half_life * life * span) as f32)
}

fn share(part: f32, rest: f32) -> f32 {
    part / (part + rest + 0.5)
}

/// The slot of a time in [`Past::hours`]: two hours of a work day or of the weekend.
fn slot_of(now: i64) -> usize {
    let day = now.div_euclid(DAY_US as i64);
    // The first of January 1970 was a Thursday, the fourth day of a week from Monday.
    let weekend = (day + 3).rem_euclid(7) >= 5;
    let hour = now.rem_euclid(DAY_US as i64) / HOUR_US as i64;
    usize::try_from(hour / 2).unwrap_or(0) + if weekend { 12 } else { 0 }
}

/// Microseconds of a slot.
const SLOT_US: i64 = 2 * HOUR_US as i64;
/// All slots of a day.
const DAY_SLOTS: u16 = 0x0FFF;

impl Past {
    /// Attempts seen.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Successes seen.
    pub(super) fn successes(&self) -> u32 {
        self.successes
    }

    /// Connections that the server gave up on, fading within hours.
    pub(super) fn given_up(&self) -> f32 {
        self.given_up.after(0, 1.0)
    }

    /// Event time of the newest event, microseconds UTC.
    pub(super) fn last_us(&self) -> i64 {
        self.last_us
    }

    /// Lets time pass up to an event.
    pub(super) fn turn(&mut self, seen: &Attempt) -> Turn {
        if self.last_us == 0 && self.attempts == 0 {
            (self.first_us, self.last_us) = (seen.ts_us, seen.ts_us);
        }
        let elapsed_us = match seen.timed {
            true => seen.ts_us.saturating_sub(self.last_us).max(0),
            false => UNTIMED_US,
        };
        let now_us = self.last_us.saturating_add(elapsed_us);
        let told = self.told(seen, now_us);
        let failures = match seen.outcome {
            Outcome::Failure if !told => seen.times,
            Outcome::GivenUp if !told => GIVEN_UP_TIMES * seen.times,
            _ => 0.0,
        };
        Turn { now_us, elapsed_us, failures, told }
    }

    /// Whether a report tells of an attempt that another one told. A server writes several lines
    /// about one attempt, each under another name; the same name again is the next attempt.
    fn told(&mut self, seen: &Attempt, now_us: i64) -> bool {
        let failed = matches!(seen.outcome, Outcome::Failure | Outcome::GivenUp);
        let Some(session) = seen.session.filter(|_| failed) else { return false };
        let (hash, bit) = (session as u32, 1u16 << (seen.name % 16));
        let since_first = now_us.saturating_sub(self.first_us).max(0) / SECOND_US as i64;
        let at_s = u32::try_from(since_first).unwrap_or(u32::MAX);
        let within = (REPORTS_US / SECOND_US as i64) as u32;
        let soon = |s: &Session| !seen.timed || at_s.saturating_sub(s.at_s) <= within;
        let fresh = |s: &Session| s.names != 0 && soon(s);
        if let Some(known) = self.sessions.iter_mut().find(|s| s.hash == hash && fresh(s)) {
            known.at_s = at_s;
            // The server's last word follows what it told, or is repeated in other words.
            let again = known.names & bit != 0 && seen.outcome == Outcome::Failure;
            known.names = if again { bit } else { known.names | bit };
            return !again;
        }
        let oldest = self.sessions.iter_mut().min_by_key(|s| (s.names != 0, s.at_s));
        if let Some(slot) = oldest {
            *slot = Session { hash, names: bit, at_s };
        }
        false
    }

    /// How unusual the hour is: −ln of its smoothed share.
    fn rarity(&self, now: i64) -> f32 {
        let all: u32 = self.hours.iter().map(|count| u32::from(*count)).sum();
        let own = self.hours.get(slot_of(now)).copied().unwrap_or(0);
        -((f32::from(own) + 0.5) / (all as f32 + 12.0)).ln()
    }

    /// Learns an event, and says what is common about it.
    pub(super) fn observe(&mut self, seen: &Attempt, turn: Turn) -> [f32; NAMES.len()] {
        let before = self.attempts;
        let known = seen.timed && seen.is_attempt();
        let rarity = if known { self.rarity(turn.now_us) } else { 0.0 };
        let gap = ln(self.beat.since_last_s(turn.now_us));
        let usual = self.beat.usual();
        self.learn(seen, turn);

        let [f_minute, f_hour, f_day, f_long] = self.failure_sums.map(|sum| sum.after(0, 1.0));
        let [s_hour, s_day] = self.success_sums.map(|sum| sum.after(0, 1.0));
        let age = turn.now_us.saturating_sub(self.first_us).max(0) as f64;
        let regular = self.beat.regularity();
        let scripted = seen.agent.is_some_and(|agent| agent.scripted);
        let attempt = seen.is_attempt();
        [
            1.0,
            flag(seen.outcome == Outcome::Failure),
            flag(seen.outcome == Outcome::Success),
            flag(seen.outcome == Outcome::GivenUp),
            flag(seen.outcome == Outcome::Noise),
            flag(attempt && seen.reason == Reason::Unknown),
            flag(attempt && matches!(seen.reason, Reason::Expired | Reason::Locked)),
            flag(seen.user_default && attempt),
            flag(seen.keyed),
            flag(seen.private),
            flag(seen.agent.is_some()),
            flag(scripted),
            flag(seen.agent.is_some_and(|agent| agent.browser)),
            ln(f_minute),
            ln(f_hour),
            ln(f_day),
            ln(s_hour),
            ln(s_day),
            ln(self.successes as f32),
            share(f_hour, s_hour),
            share(f_day, s_day),
            against(f_hour, HOUR_US, f_long, age),
            ln(self.row),
            ln(before as f32),
            ln((age / HOUR_US) as f32),
            gap,
            ln(self.beat.period_s()),
            regular,
            regular * (1.0 - usual),
            regular * ln(f_hour + s_hour),
            rarity,
            rarity * (before.min(60) as f32 / 60.0),
            flag(turn.told),
            ln(self.given_up()),
            self.beat.regularity_wide(),
            self.beat.unevenness(),
            (-2.0 * self.beat.unevenness()).exp() * ln(f_day + s_day),
            self.day_slots.count_ones() as f32 / 12.0,
        ]
    }

    fn learn(&mut self, seen: &Attempt, turn: Turn) {
        let success = seen.outcome == Outcome::Success;
        for (sum, half_life) in
            self.failure_sums.iter_mut().zip([MINUTE_US, HOUR_US, DAY_US, LONG_US])
        {
            sum.add(turn.elapsed_us, half_life, turn.failures);
        }
        for (sum, half_life) in self.success_sums.iter_mut().zip([HOUR_US, DAY_US]) {
            sum.add(turn.elapsed_us, half_life, flag(success));
        }
        let given_up = flag(seen.outcome == Outcome::GivenUp && !turn.told);
        self.given_up.add(turn.elapsed_us, HOUR_US, given_up);
        let slot = |at_us: i64| at_us.div_euclid(SLOT_US);
        let slots = slot(turn.now_us).saturating_sub(slot(turn.since_us())).clamp(0, 12);
        self.day_slots = (self.day_slots << slots) & DAY_SLOTS;
        self.last_us = turn.now_us;
        if !seen.is_attempt() || turn.told {
            return;
        }
        if seen.timed {
            self.day_slots |= 1;
            self.beat.add(turn.now_us);
        }
        self.attempts = self.attempts.saturating_add(1);
        self.successes = self.successes.saturating_add(u32::from(success));
        self.row = if success { 0.0 } else { (self.row + turn.failures).min(1e6) };
        let hour = self.hours.get_mut(slot_of(turn.now_us)).filter(|_| seen.timed);
        if let Some(count) = hour {
            *count = count.saturating_add(1);
            if *count >= 120 {
                self.hours.iter_mut().for_each(|count| *count /= 2);
            }
        }
    }
}
