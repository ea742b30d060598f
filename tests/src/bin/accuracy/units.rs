//! Figures of what an operator counts: attacking addresses and clients, users, days of a user.
//!
//! Rows of a source come in order of time. A unit is *found* when a row of it is flagged within
//! the steps that its goal names, and *disturbed* when it is benign and a row of it is flagged.

use crate::{figures::Tally, rows::Row, scoring::Score};
use magsentinel_bus_schema::{Class, Kind, entity};
use std::collections::{BTreeMap, BTreeSet};

/// Failed logins within which an attacking address must be flagged.
const FAILURES_MAX: usize = 5;

/// Requests within which an attacking client must be flagged.
const REQUESTS_MAX: usize = 20;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// One figure of one source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) source: String,
    /// What was counted, in words.
    pub(crate) what: &'static str,
    pub(crate) tally: Tally,
}

/// All figures of a patrol.
#[derive(Default)]
pub(crate) struct Units {
    pub(crate) all: Vec<Unit>,
}

impl Units {
    /// Adds the figures of a source.
    pub(crate) fn add(&mut self, kind: Kind, source: &str, rows: &[Row], scores: &[Score]) {
        let scored: Vec<(&Row, bool)> =
            rows.iter().zip(scores).map(|(row, score)| (row, score.flagged)).collect();
        let figures = match kind {
            Kind::Auth => vec![
                ("attacking addresses, flagged within 5 failures", addresses(&scored)),
                ("benign users, ever flagged", benign(&scored, Class::User)),
            ],
            Kind::Api => vec![
                ("attacking clients, flagged within 20 requests", clients(&scored)),
                ("benign clients, ever flagged", benign(&scored, Class::Client)),
            ],
            Kind::Data => vec![
                ("exfiltrations, flagged", exfiltrations(&scored)),
                ("benign days of a user, flagged", days(&scored)),
            ],
            _ => Vec::new(),
        };
        for (what, tally) in figures.into_iter().filter(|(_, tally)| tally.rows > 0) {
            self.all.push(Unit { source: source.to_owned(), what, tally });
        }
    }
}

/// The value of an entity of a row.
fn key(row: &Row, class: Class) -> Option<String> {
    entity::value_of(class, &row.body)
}

/// Whether a row says that a login failed.
fn is_failure(row: &Row) -> bool {
    let event = row.text("event").unwrap_or_default();
    let words = ["fail", "invalid", "max_attempts", "check_pass_unknown", "break_in"];
    words.iter().any(|word| event.contains(word))
}

/// Attacking addresses that failed at least once, flagged up to their last counted failure.
fn addresses(rows: &[(&Row, bool)]) -> Tally {
    within(rows, FAILURES_MAX, is_failure)
}

/// Attacking clients, flagged up to their last counted request.
fn clients(rows: &[(&Row, bool)]) -> Tally {
    within(rows, REQUESTS_MAX, |_| true)
}

fn within(rows: &[(&Row, bool)], steps_max: usize, is_step: impl Fn(&Row) -> bool) -> Tally {
    let mut units: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for (row, flagged) in rows.iter().filter(|(row, _)| row.label == 1) {
        let Some(key) = key(row, Class::Client) else { continue };
        let (steps, found) = units.entry(key).or_default();
        let open = *steps < steps_max;
        *steps += usize::from(is_step(row));
        *found |= open && *flagged;
    }
    let mut tally = Tally::default();
    units.values().filter(|(steps, _)| *steps > 0).for_each(|(_, found)| tally.count(*found));
    tally
}

/// Entities all of whose rows are benign, and whether one was ever flagged.
fn benign(rows: &[(&Row, bool)], class: Class) -> Tally {
    let mut units: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for (row, flagged) in rows {
        let Some(key) = key(row, class) else { continue };
        let (clean, disturbed) = units.entry(key).or_insert((true, false));
        *clean &= row.label == 0;
        *disturbed |= *flagged;
    }
    let mut tally = Tally::default();
    units.values().filter(|(clean, _)| *clean).for_each(|(_, hit)| tally.count(*hit));
    tally
}

/// Attacks of one sort by one user, each with a row of it flagged.
fn exfiltrations(rows: &[(&Row, bool)]) -> Tally {
    let mut units: BTreeMap<(String, &str), bool> = BTreeMap::new();
    for (row, flagged) in rows.iter().filter(|(row, _)| row.label == 1) {
        let Some(user) = key(row, Class::User) else { continue };
        *units.entry((user, &row.category)).or_default() |= *flagged;
    }
    let mut tally = Tally::default();
    units.values().for_each(|found| tally.count(*found));
    tally
}

/// Days of a user without a row of an attack, and whether one was flagged.
fn days(rows: &[(&Row, bool)]) -> Tally {
    let mut units: BTreeMap<(String, i64), bool> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for (row, flagged) in rows {
        let (Some(user), Some(ts)) = (key(row, Class::User), row.ts) else { continue };
        let day = (user, ts.micros().div_euclid(DAY_MICROS));
        if row.label != 0 {
            left_out.insert(day.clone());
        }
        *units.entry(day).or_default() |= *flagged;
    }
    let mut tally = Tally::default();
    let clean = units.iter().filter(|(day, _)| !left_out.contains(*day));
    clean.for_each(|(_, hit)| tally.count(*hit));
    tally
}
