//! Figures of what an operator counts: attacking addresses and clients, users, days of a user.
//!
//! Rows of a source come in order of time. A unit is *found* when a row of it is flagged within
//! the steps that its goal names, and *disturbed* when it is benign and a row of it is flagged.

use crate::{figures::Tally, rows::Row, scoring::Score};
use magsentinel_bus_schema::{Class, Kind, entity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Failed logins within which an attacking address must be flagged.
const FAILURES_MAX: usize = 5;

/// Requests within which an attacking client must be flagged.
const REQUESTS_MAX: usize = 20;

/// Connections of a pair that may have a beat.
const TIMES_OFTEN: usize = 10;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// One figure of one source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) source: String,
    /// What was counted, in words.
    pub(crate) what: String,
    pub(crate) tally: Tally,
}

/// All figures of a patrol.
#[derive(Default)]
pub(crate) struct Units {
    pub(crate) all: Vec<Unit>,
}

impl Units {
    /// Adds the figures of a source.
    pub(crate) fn add(&mut self, kinds: &[Kind], source: &str, rows: &[Row], scores: &[Score]) {
        let scored: Vec<(&Row, bool)> =
            rows.iter().zip(scores).map(|(row, score)| (row, score.flagged)).collect();
        let figures = match kinds {
            [Kind::Auth] => logins(&scored),
            [Kind::Api] => vec![
                ("attacking clients, flagged within 20 requests", clients(&scored)),
                ("benign clients, ever flagged", benign(&scored, Class::Client)),
            ],
            [Kind::Data] => vec![
                ("exfiltrations, flagged", exfiltrations(&scored)),
                ("benign days of a user, flagged", days(&scored)),
            ],
            [Kind::Dns, Kind::Flow] => pairs(&scored),
            _ => Vec::new(),
        };
        for (what, tally) in figures.into_iter().filter(|(_, tally)| tally.rows > 0) {
            self.all.push(Unit { source: source.to_owned(), what: what.to_owned(), tally });
        }
        if kinds == [Kind::Auth] || kinds == [Kind::Dns, Kind::Flow] {
            self.all.extend(attacks(&scored).into_iter().map(|(category, tally)| {
                let what = format!("{category}, attacks flagged");
                Unit { source: source.to_owned(), what, tally }
            }));
        }
    }
}

/// The value of an entity of a row.
fn key(row: &Row, class: Class) -> Option<String> {
    entity::value_of(class, &row.body)
}

/// What is counted of logins.
fn logins(rows: &[(&Row, bool)]) -> Vec<(&'static str, Tally)> {
    let (many, few) = addresses(rows);
    vec![
        ("attacking addresses with 5 failures or more, flagged within 5", many),
        ("attacking addresses with 1 to 4 failures, flagged", few),
        ("benign users, ever flagged", benign(rows, Class::User)),
    ]
}

/// How many failures a row tells of.
fn failures(row: &Row) -> usize {
    let text = |name: &str| match row.body.get(name) {
        Some(Value::String(text)) => text.trim().to_lowercase(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let event = text("event");
    if event == "max_attempts" {
        // All that the server tells of the tries of a connection.
        return FAILURES_MAX;
    }
    let status = text("status");
    // A name that does not fit its address (`break_in_attempt`) is no try at an account.
    let words = ["fail", "invalid", "check_pass_unknown"];
    let refused = |word: String| {
        word.contains("fail") || ["false", "0", "no", "denied", "rejected"].contains(&&*word)
    };
    let failed = words.iter().any(|word| event.contains(word))
        || ["outcome", "result", "success"].into_iter().map(text).any(refused)
        || ["event", "event_id"].into_iter().map(text).any(|id| id == "4625" || id == "4771")
        || status.starts_with("0xc0")
        || status == "401";
    usize::from(failed)
}

/// What an attacking address did so far.
#[derive(Default)]
struct Address {
    failures: usize,
    in_time: bool,
    ever: bool,
    /// Session and names of the reports of the latest attempt: a server may tell of it in several
    /// lines, each under a name of its own.
    session: String,
    told: BTreeSet<String>,
}

impl Address {
    fn see(&mut self, row: &Row, flagged: bool) {
        self.in_time |= flagged && self.failures < FAILURES_MAX;
        self.ever |= flagged;
        let tells = failures(row);
        let session = row.text("session").unwrap_or_default();
        let same = !session.is_empty() && session == self.session;
        let name = row.text("event").unwrap_or_default().to_owned();
        if tells == 0 || same && self.told.insert(name.clone()) {
            return;
        }
        session.clone_into(&mut self.session);
        self.told = BTreeSet::from([name]);
        self.failures += tells;
    }
}

/// Attacking addresses that failed: those that did so often, flagged up to their last counted
/// failure, and the others, flagged ever.
fn addresses(rows: &[(&Row, bool)]) -> (Tally, Tally) {
    let mut units: BTreeMap<String, Address> = BTreeMap::new();
    for (row, flagged) in rows.iter().filter(|(row, _)| row.label == 1) {
        let Some(key) = key(row, Class::Client) else { continue };
        units.entry(key).or_default().see(row, *flagged);
    }
    let (mut many, mut few) = (Tally::default(), Tally::default());
    for unit in units.values() {
        match unit.failures {
            0 => {}
            FAILURES_MAX.. => many.count(unit.in_time),
            _ => few.count(unit.ever),
        }
    }
    (many, few)
}

/// By behaviour: attacks that the source tells apart, each with a row of it flagged.
fn attacks(rows: &[(&Row, bool)]) -> BTreeMap<String, Tally> {
    let mut units: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for (row, flagged) in rows.iter().filter(|(row, _)| row.label == 1) {
        if let Some(attack) = row.text("attack") {
            *units.entry((&row.category, attack)).or_default() |= *flagged;
        }
    }
    let mut kinds: BTreeMap<String, Tally> = BTreeMap::new();
    for ((category, _), found) in units {
        kinds.entry(category.to_owned()).or_default().count(found);
    }
    kinds
}

/// Attacking clients, flagged up to their last counted request.
fn clients(rows: &[(&Row, bool)]) -> Tally {
    let mut units: BTreeMap<String, (usize, bool)> = BTreeMap::new();
    for (row, flagged) in rows.iter().filter(|(row, _)| row.label == 1) {
        let Some(key) = key(row, Class::Client) else { continue };
        let (steps, found) = units.entry(key).or_default();
        *found |= *steps < REQUESTS_MAX && *flagged;
        *steps += 1;
    }
    let mut tally = Tally::default();
    units.values().for_each(|(_, found)| tally.count(*found));
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

/// Benign pairs of source and destination, and whether one was ever flagged: all of them, and those
/// that talk often enough to have a beat.
fn pairs(rows: &[(&Row, bool)]) -> Vec<(&'static str, Tally)> {
    let mut units: BTreeMap<(String, String, String), (usize, bool, bool)> = BTreeMap::new();
    for (row, flagged) in rows.iter().filter(|(row, _)| row.kind == Kind::Flow) {
        let (Some(src), Some(dst)) = (row.text("src_ip"), row.text("dst_ip")) else { continue };
        let port = row.body.get("dst_port").map(Value::to_string).unwrap_or_default();
        let unit = units.entry((src.to_owned(), dst.to_owned(), port)).or_insert((0, true, false));
        *unit = (unit.0 + 1, unit.1 && row.label == 0, unit.2 || *flagged);
    }
    let (mut all, mut often) = (Tally::default(), Tally::default());
    for (times, _, hit) in units.into_values().filter(|(_, clean, _)| *clean) {
        all.count(hit);
        if times >= TIMES_OFTEN {
            often.count(hit);
        }
    }
    vec![
        ("benign pairs, ever flagged", all),
        ("benign pairs that talk ten times or more, ever flagged", often),
    ]
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

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::Fields;
    use serde_json::json;

    fn row(label: i64, body: Value) -> Row {
        let Value::Object(body) = body else { unreachable!("a row is an object") };
        Row {
            kind: Kind::Auth,
            source: "s".to_owned(),
            part: String::new(),
            quality: String::new(),
            category: "guessing".to_owned(),
            label,
            ts: None,
            body: Fields(body),
        }
    }

    #[test]
    fn reports_of_one_attempt_count_once_however_failures_are_spelt() {
        let told = ["check_pass_unknown", "auth_failure", "failed_password"];
        let mut one = Address::default();
        for session in ["a", "b"] {
            for event in told {
                one.see(&row(1, json!({"event": event, "session": session})), false);
            }
        }
        assert_eq!(one.failures, 2);
        for body in [
            json!({"event": "login", "outcome": "failure"}),
            json!({"event": "sign-in", "status": 401}),
            json!({"event": "login", "outcome": "false"}),
            json!({"success": false}),
            json!({"event_id": 4625}),
            json!({"event": "ntlm_validation", "status": "0xc000006a"}),
        ] {
            assert_eq!(failures(&row(1, body.clone())), 1, "{body}");
        }
        assert_eq!(failures(&row(1, json!({"event": "login", "status": 200}))), 0);
        assert_eq!(failures(&row(1, json!({"event": "max_attempts"}))), 5);
        assert_eq!(failures(&row(1, json!({"event": "break_in_attempt"}))), 0);
    }

    #[test]
    fn addresses_users_and_attacks_are_counted_by_themselves() {
        let try_from = |ip: &str, label| {
            let body = json!({"event": "login_failed", "src_ip": ip, "user": ip, "attack": "1"});
            row(label, body)
        };
        let (late, soon, once, owner) =
            (try_from("a", 1), try_from("b", 1), try_from("c", 1), try_from("d", 0));
        let mut rows = vec![(&late, false); 5];
        rows.extend([(&late, true), (&once, true), (&owner, false)]);
        rows.extend([(&soon, false), (&soon, true), (&soon, true), (&soon, false), (&soon, false)]);
        let (many, few) = addresses(&rows);
        assert_eq!((many, few), (Tally { rows: 2, flagged: 1 }, Tally { rows: 1, flagged: 1 }));
        assert_eq!(benign(&rows, Class::User), Tally { rows: 1, flagged: 0 });
        assert_eq!(attacks(&rows).get("guessing"), Some(&Tally { rows: 1, flagged: 1 }));
    }
}
