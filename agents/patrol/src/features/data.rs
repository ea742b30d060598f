//! Features of `data-flow`: one access to data against the user's own past.
//!
//! [`Profile`] is all that is kept of a user, at most 352 bytes; [`Profile::observe`] compares an
//! access with it, then learns the access. Only event time is read. A clock that goes back counts
//! as no time passed, an absurd number is capped, and what is absent stays absent: a count of rows
//! that nobody reported is a feature of its own, never a guess.

mod action;

use super::sketch::{Bits, Decayed, Sizes, hash};
pub use action::{CLASSES, Class, Secrets, class, is_sensitive, secrets};
use serde::{Deserialize, Serialize};

/// One access to data, borrowed from an event's body.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// When it happened, microseconds UTC.
    pub ts_us: i64,
    /// `ts_us` says when: else the access only came after the one before.
    pub timed: bool,
    /// What was done, in the words of the source: `select`, `COPY`, `GetObject`.
    pub action: &'a str,
    /// What it was done to: a table, a bucket, a file.
    pub resource: &'a str,
    /// The project, database or account that the resource belongs to.
    pub project: Option<&'a str>,
    /// Rows returned or copied, where known.
    pub rows: Option<u64>,
    /// Bytes sent out, where known.
    pub bytes: Option<u64>,
    /// Where the user came from: an address or a host.
    pub src: Option<&'a str>,
}

/// Number of features.
pub const WIDTH: usize = 49;

/// What each feature says, in order; `ln` is the natural logarithm of one plus the number.
pub const NAMES: [&str; WIDTH] = [
    "action is read",
    "action is copy",
    "action is export",
    "action is list",
    "action is write",
    "action is delete",
    "action is admin",
    "action is login",
    "action is other",
    "rows (ln)",
    "rows are known",
    "bytes (ln)",
    "bytes are known",
    "rows above the user's mean (deviations)",
    "bytes above the user's mean (deviations)",
    "rows beyond the user's largest (ln)",
    "bytes beyond the user's largest (ln)",
    "rows above the user's mean of bulk actions (deviations)",
    "bulk actions seen before (ln)",
    "events seen before (ln)",
    "hours since first seen (ln)",
    "rows in the last hour (ln)",
    "rows in the last day (ln)",
    "bytes in the last hour (ln)",
    "bytes in the last day (ln)",
    "rows of the day against the user's usual day (ln ratio)",
    "bytes of the day against the user's usual day (ln ratio)",
    "rows of the week against the user's usual week (ln ratio)",
    "events in the last hour (ln)",
    "events of the hour against the user's usual hour (ln ratio)",
    "rarity of the hour for the user",
    "rarity of the hour for the user, once known",
    "resource is new to the user",
    "distinct resources today (ln)",
    "distinct resources today against the user's usual day (ln ratio)",
    "project is new to the user",
    "distinct projects today (ln)",
    "distinct projects today against the user's usual day (ln ratio)",
    "address is new to the user",
    "rarity of the action for the user",
    "bulk action, rare for the user",
    "seconds since the last event (ln)",
    "resource holds sensitive data",
    "sensitive and bulk or large",
    "bulk action of unknown size",
    "new resources in the last day (ln)",
    "secrets read in the last hour (ln)",
    "secrets of the hour against the user's usual hour (ln ratio)",
    "counts say secrets are taken",
];

const SECOND_US: f64 = 1e6;
const HOUR_US: f64 = 3600.0 * SECOND_US;
const DAY_US: f64 = 24.0 * HOUR_US;
const WEEK_US: f64 = 7.0 * DAY_US;
/// Half-life of the long memory, against which days and weeks are measured.
const LONG_US: f64 = 28.0 * DAY_US;
/// How long after the one before an access is taken to come whose time nobody knows.
const UNTIMED_US: i64 = 600_000_000;
/// Mean life of a decayed sum in half-lives: 1 / ln 2.
const LIFE: f64 = std::f64::consts::LOG2_E;
/// Rows and bytes above this are taken as this (2^50).
const SIZE_MAX: u64 = 1 << 50;
/// Rows from which a read counts as large whoever makes it.
const ROWS_LARGE: u64 = 1000;

/// Secrets read within an hour from which it is many, for who keeps none.
const SECRETS_MANY: f32 = 8.0;
/// How many times the usual hour's that must be, as a logarithm.
const SECRETS_UNUSUAL: f32 = 1.4;
/// Below this, an account is no keeper of secrets.
const KEEPS: f32 = 0.5;

/// All that is remembered of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    #[serde(rename = "f")]
    first_us: i64,
    #[serde(rename = "l")]
    last_us: i64,
    #[serde(rename = "n")]
    events: u32,
    /// Day number of the sets of today.
    #[serde(rename = "d")]
    day: i32,
    #[serde(rename = "rs")]
    rows: Sizes,
    #[serde(rename = "bs")]
    bytes: Sizes,
    #[serde(rename = "us")]
    bulk: Sizes,
    #[serde(rename = "dr")]
    day_resources: Sizes,
    #[serde(rename = "dp")]
    day_projects: Sizes,
    /// Rows by half-life: hour, day, week, long.
    #[serde(rename = "r")]
    row_sums: [Decayed; 4],
    /// Bytes by half-life: hour, day, long.
    #[serde(rename = "b")]
    byte_sums: [Decayed; 3],
    /// Events by half-life: hour, long.
    #[serde(rename = "e")]
    event_sums: [Decayed; 2],
    #[serde(rename = "nr")]
    new_resources: Decayed,
    /// Secrets read by half-life: hour, long.
    #[serde(rename = "x", default)]
    secret_sums: [Decayed; 2],
    /// Calls that keep secrets, long memory.
    #[serde(rename = "xk", default)]
    secrets_kept: Decayed,
    /// Events by class, long memory.
    #[serde(rename = "c")]
    classes: [Decayed; CLASSES],
    /// Events by three hours of the day (UTC), work days then weekend; halved when one is full.
    #[serde(rename = "h")]
    hours: [u8; 16],
    #[serde(rename = "sr")]
    seen_resources: Bits<8>,
    #[serde(rename = "sp")]
    seen_projects: Bits<2>,
    #[serde(rename = "ss")]
    seen_sources: Bits<2>,
    #[serde(rename = "tr")]
    today_resources: Bits<4>,
    #[serde(rename = "tp")]
    today_projects: Bits<1>,
}

fn ln(value: f32) -> f32 {
    value.max(0.0).ln_1p()
}

fn ln_of(value: Option<u64>) -> f32 {
    value.map_or(0.0, |value| (value.min(SIZE_MAX) as f64).ln_1p() as f32)
}

fn flag(value: bool) -> f32 {
    f32::from(u8::from(value))
}

/// ln of one plus the sum against what the long memory leads to expect of the same span.
fn against(sum: f32, half_life: f64, long: f32, age_us: f64) -> f32 {
    // A user known for less than the long memory has filled only a part of it.
    let filled = 1.0 - (-age_us / (LONG_US * LIFE)).exp();
    let span = 1.0 - (-age_us.max(half_life) / (half_life * LIFE)).exp();
    let rate = f64::from(long) / (LONG_US * LIFE * filled.max(0.02));
    let usual = (rate * half_life * LIFE * span) as f32;
    ln(sum) - ln(usual)
}

impl Profile {
    /// The features of an access against the past, which then includes the access.
    pub fn observe(&mut self, seen: &Observation<'_>) -> [f32; WIDTH] {
        let class = class(seen.action);
        if self.events == 0 {
            self.first_us = seen.ts_us;
            self.last_us = seen.ts_us;
        }
        let elapsed = match seen.timed {
            true => seen.ts_us.saturating_sub(self.last_us).max(0),
            false => UNTIMED_US,
        };
        let now = self.last_us.saturating_add(elapsed);
        self.turn_day(now);

        let rows = ln_of(seen.rows);
        let bytes = ln_of(seen.bytes);
        let bulk = class.is_bulk();
        let resource = hash(seen.resource);
        let new = [
            self.seen_resources.add(resource),
            seen.project.is_some_and(|project| self.seen_projects.add(hash(project))),
            seen.src.is_some_and(|src| self.seen_sources.add(hash(src))),
        ];
        self.today_resources.add(resource);
        if let Some(project) = seen.project {
            self.today_projects.add(hash(project));
        }
        let mut rarity = self.rarities(class, elapsed, now);
        if !seen.timed {
            rarity.hour = 0.0;
        }
        let compared = [
            seen.rows.map_or(0.0, |_| self.rows.excess(rows)),
            seen.bytes.map_or(0.0, |_| self.bytes.excess(bytes)),
            seen.rows.map_or(0.0, |_| self.rows.beyond(rows)),
            seen.bytes.map_or(0.0, |_| self.bytes.beyond(bytes)),
            seen.rows.filter(|_| bulk).map_or(0.0, |_| self.bulk.excess(rows)),
        ];
        let before = (self.events, self.bulk.count());
        let first = self.events == 0;

        let secrets = secrets(seen.action);
        self.learn_secrets(secrets, elapsed);
        self.learn(class, seen, elapsed, now, new[0]);
        let age = now.saturating_sub(self.first_us).max(0) as f64;
        let [row_hour, row_day, row_week, row_long] = self.row_sums.map(|sum| sum.after(0, 1.0));
        let [byte_hour, byte_day, byte_long] = self.byte_sums.map(|sum| sum.after(0, 1.0));
        let [event_hour, event_long] = self.event_sums.map(|sum| sum.after(0, 1.0));
        let [secret_hour, secret_long] = self.secret_sums.map(|sum| sum.after(0, 1.0));
        let secrets_unusual = against(secret_hour, HOUR_US, secret_long, age);
        let takes_secrets = secrets.read > 0.0
            && secret_hour >= SECRETS_MANY
            && secrets_unusual >= SECRETS_UNUSUAL
            && self.secrets_kept.after(0, 1.0) < KEEPS;
        let (resources, projects) =
            (self.today_resources.distinct(), self.today_projects.distinct());
        let sensitive = is_sensitive(seen.resource);
        let large = seen.rows.is_some_and(|rows| rows >= ROWS_LARGE);

        let mut out = [0.0; WIDTH];
        let tail = [
            rows,
            flag(seen.rows.is_some()),
            bytes,
            flag(seen.bytes.is_some()),
            compared[0],
            compared[1],
            compared[2],
            compared[3],
            compared[4],
            ln(before.1),
            ln(before.0 as f32),
            ln((age / HOUR_US) as f32),
            ln(row_hour),
            ln(row_day),
            ln(byte_hour),
            ln(byte_day),
            against(row_day, DAY_US, row_long, age),
            against(byte_day, DAY_US, byte_long, age),
            against(row_week, WEEK_US, row_long, age),
            ln(event_hour),
            against(event_hour, HOUR_US, event_long, age),
            rarity.hour,
            rarity.hour * (before.0.min(100) as f32 / 100.0),
            flag(new[0] && !first),
            ln(resources),
            self.day_resources.excess(ln(resources)),
            flag(new[1] && !first),
            ln(projects),
            self.day_projects.excess(ln(projects)),
            flag(new[2] && !first),
            rarity.class,
            if bulk { rarity.class } else { 0.0 },
            ln((elapsed as f64 / SECOND_US) as f32),
            flag(sensitive),
            flag(sensitive && (bulk || large)),
            flag(bulk && seen.rows.is_none() && seen.bytes.is_none()),
            ln(self.new_resources.after(0, 1.0)),
            ln(secret_hour),
            secrets_unusual,
            flag(takes_secrets),
        ];
        let one_hot = (0..CLASSES).map(|at| flag(at == class as usize));
        for (slot, value) in out.iter_mut().zip(one_hot.chain(tail)) {
            *slot = value.clamp(-40.0, 40.0);
        }
        out
    }

    /// When the day changes, its distinct counts become history.
    fn turn_day(&mut self, now: i64) {
        let day = i32::try_from(now.div_euclid(DAY_US as i64)).unwrap_or(i32::MAX);
        if self.events == 0 {
            self.day = day;
        }
        if day != self.day {
            self.day_resources.add(ln(self.today_resources.distinct()));
            self.day_projects.add(ln(self.today_projects.distinct()));
            self.today_resources.clear();
            self.today_projects.clear();
            self.day = day;
        }
    }

    /// How unusual the class and the hour are: −ln of their smoothed shares.
    fn rarities(&self, class: Class, elapsed: i64, now: i64) -> Rarity {
        let counts = self.classes.map(|sum| sum.after(elapsed, LONG_US));
        let total: f32 = counts.iter().sum();
        let own = counts.get(class as usize).copied().unwrap_or(0.0);
        let hours: u32 = self.hours.iter().map(|count| u32::from(*count)).sum();
        let own_hour = self.hours.get(slot_of(now)).copied().unwrap_or(0);
        Rarity {
            class: -((own + 0.5) / (total + 0.5 * CLASSES as f32)).ln(),
            hour: -((f32::from(own_hour) + 0.5) / (hours as f32 + 8.0)).ln(),
        }
    }

    fn learn_secrets(&mut self, secrets: Secrets, elapsed: i64) {
        for (sum, half_life) in self.secret_sums.iter_mut().zip([HOUR_US, LONG_US]) {
            sum.add(elapsed, half_life, secrets.read);
        }
        self.secrets_kept.add(elapsed, LONG_US, flag(secrets.kept));
    }

    fn learn(&mut self, class: Class, seen: &Observation<'_>, elapsed: i64, now: i64, new: bool) {
        let obtained = |value: Option<u64>| {
            let value = value.filter(|_| class.obtains()).unwrap_or(0);
            value.min(SIZE_MAX) as f32
        };
        let (rows, bytes) = (obtained(seen.rows), obtained(seen.bytes));
        for (sum, half_life) in self.row_sums.iter_mut().zip([HOUR_US, DAY_US, WEEK_US, LONG_US]) {
            sum.add(elapsed, half_life, rows);
        }
        for (sum, half_life) in self.byte_sums.iter_mut().zip([HOUR_US, DAY_US, LONG_US]) {
            sum.add(elapsed, half_life, bytes);
        }
        for (sum, half_life) in self.event_sums.iter_mut().zip([HOUR_US, LONG_US]) {
            sum.add(elapsed, half_life, 1.0);
        }
        self.new_resources.add(elapsed, DAY_US, flag(new));
        for (at, sum) in self.classes.iter_mut().enumerate() {
            sum.add(elapsed, LONG_US, flag(at == class as usize));
        }
        if class.obtains() {
            if seen.rows.is_some() {
                self.rows.add(ln_of(seen.rows));
            }
            if seen.bytes.is_some() {
                self.bytes.add(ln_of(seen.bytes));
            }
        }
        if class.is_bulk() {
            self.bulk.add(ln_of(seen.rows));
        }
        if let Some(count) = self.hours.get_mut(slot_of(now)).filter(|_| seen.timed) {
            *count = count.saturating_add(1);
            if *count >= 120 {
                self.hours.iter_mut().for_each(|count| *count /= 2);
            }
        }
        self.events = self.events.saturating_add(1);
        self.last_us = now;
    }

    /// Event time of the newest access, microseconds UTC; for eviction.
    #[must_use]
    pub fn last_us(&self) -> i64 {
        self.last_us
    }

    /// Accesses seen.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.events
    }
}

struct Rarity {
    class: f32,
    hour: f32,
}

/// The slot of a time in [`Profile::hours`]: three hours of a work day or of the weekend.
fn slot_of(now: i64) -> usize {
    let day = now.div_euclid(DAY_US as i64);
    // The first of January 1970 was a Thursday, the fourth day of a week from Monday.
    let weekend = (day + 3).rem_euclid(7) >= 5;
    let hour = now.rem_euclid(DAY_US as i64) / HOUR_US as i64;
    usize::try_from(hour / 3).unwrap_or(0) + if weekend { 8 } else { 0 }
}

#[cfg(test)]
mod tests;
