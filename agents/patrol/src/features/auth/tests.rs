//! Behaviour of the features of `auth-sentry`.

use super::*;
use magsentinel_bus_schema::Fields;
use serde_json::{Value, json};

/// Where a feature stands; a name that does not exist does not compile.
macro_rules! auth_feature {
    (address $name:literal) => {
        const { address_feature($name) }
    };
    (user $name:literal) => {
        const { user_feature($name) }
    };
}

const START_US: i64 = 1_700_000_000_000_000;
const SECOND: i64 = 1_000_000;

fn attempt(at_s: i64, body: Value) -> Attempt {
    let fields = Fields(body.as_object().cloned().unwrap_or_default());
    Attempt::read(&fields, START_US + at_s * SECOND).unwrap()
}

fn address(past: &mut AddressPast, at_s: i64, body: Value) -> Vec<f32> {
    let mut out = vec![0.0; WIDTH];
    past.observe(&attempt(at_s, body), &mut out);
    out
}

fn user(past: &mut UserPast, at_s: i64, body: Value) -> Vec<f32> {
    let mut out = vec![0.0; WIDTH];
    past.observe(&attempt(at_s, body), &mut out);
    out
}

#[test]
fn names_are_one_per_feature_and_each_half_writes_its_own() {
    assert_eq!(names().count(), WIDTH);
    let body = json!({"event": "accepted", "user": "ann", "src_ip": "192.0.2.1"});
    let one = address(&mut AddressPast::default(), 0, body.clone());
    let two = user(&mut UserPast::default(), 0, body);
    assert!(one[USER_FROM..].iter().all(|value| *value == 0.0) && one[0] == 1.0);
    assert!(two[..USER_FROM].iter().all(|value| *value == 0.0) && two[USER_FROM] == 1.0);
    assert_eq!(auth_feature!(user "this half is filled"), USER_FROM);
}

#[test]
fn a_spray_is_many_accounts_with_few_tries_each() {
    let mut past = AddressPast::default();
    let mut out = Vec::new();
    for n in 0..30 {
        let body = json!({"event": "login_failed", "user": format!("u{n}"), "src_ip": "a.b"});
        out = address(&mut past, n * 20, body);
    }
    assert!(out[auth_feature!(address "accounts refused in the last hour (ln)")] > 3.0);
    assert!(out[auth_feature!(address "failures per account refused, hour (ln)")] < 0.2);
    assert!(out[auth_feature!(address "regularity")] > 0.5);
}

#[test]
fn counts_say_guessing_only_where_nobody_was_ever_let_in() {
    let sign = auth_feature!(address "counts say guessing");
    let failed =
        |user: &str, ip: &str| json!({"event": "login_failed", "user": user, "src_ip": ip});
    let signs = |past: &mut AddressPast, user: &str, ip: &str, gap_s: i64| -> Vec<bool> {
        (1..=5).map(|n| address(past, n * gap_s, failed(user, ip))[sign] > 0.5).collect()
    };
    let never = [false; 5];
    let (day, ip) = (4 * 3600, "203.0.113.9");
    let fourth = [false, false, false, true, true];
    assert_eq!(signs(&mut AddressPast::default(), "root", ip, 60), fourth);
    assert!(signs(&mut AddressPast::default(), "root", ip, day)[4], "five within a day");
    // One account that may be the client's own says nothing, nor does a job inside.
    assert_eq!(signs(&mut AddressPast::default(), "ann", ip, 60), never);
    assert_eq!(signs(&mut AddressPast::default(), "backup", "10.0.0.7", 60), never);
    let mut office = AddressPast::default();
    address(&mut office, 0, json!({"event": "accepted", "user": "bob", "src_ip": ip}));
    assert_eq!(signs(&mut office, "root", ip, 60), never);
    // A client with many keys makes the server hang up once, not twice.
    let hung = |past: &mut AddressPast, at: i64| {
        let body = json!({"event": "max_attempts", "user": "ann", "src_ip": ip,
                          "session": format!("sshd[{at}]")});
        address(past, at, body)[sign] > 0.5
    };
    let mut keys = AddressPast::default();
    assert!(!hung(&mut keys, 1) && hung(&mut keys, 60));
}

#[test]
fn slots_of_the_day_tell_a_script_from_a_working_day() {
    let slots = auth_feature!(user "two-hour slots with attempts in the last day");
    let login = || json!({"event": "login", "outcome": "success", "user": "ann"});
    let (mut script, mut person) = (UserPast::default(), UserPast::default());
    let mut last = (0.0, 0.0);
    for n in 0..60i64 {
        last.0 = user(&mut script, n * 3600, login())[slots];
        if n % 24 < 8 {
            last.1 = user(&mut person, n * 3600, login())[slots];
        }
    }
    assert!(last.0 > 0.95 && last.1 < 0.5, "{last:?}");
    let later = user(&mut script, 400 * 3600, login())[slots];
    assert!(later < 0.1, "{later}");
}

#[test]
fn one_attempt_that_is_told_four_times_counts_once() {
    let mut past = AddressPast::default();
    let mut out = Vec::new();
    for at in [0, 3] {
        for event in ["check_pass_unknown", "auth_failure", "failed_password"] {
            let body = json!({"event": event, "src_ip": "192.0.2.1", "session": "sshd[7]"});
            out = address(&mut past, at, body);
        }
    }
    let row = auth_feature!(address "failures in a row (ln)");
    assert!((out[row].exp_m1() - 2.0).abs() < 0.01, "{}", out[row].exp_m1());
    let last = json!({"event": "max_attempts", "src_ip": "192.0.2.1", "session": "sshd[7]"});
    let out = address(&mut past, 3, last);
    assert!((out[row].exp_m1() - 2.0).abs() < 0.01, "the last word tells nothing new");
    let alone = json!({"event": "max_attempts", "src_ip": "192.0.2.1", "session": "sshd[8]"});
    assert!((address(&mut past, 4, alone)[row].exp_m1() - 7.0).abs() < 0.01);
}

#[test]
fn nobody_is_in_two_places_at_once() {
    let mut past = UserPast::default();
    let at = |lat: f64, lon: f64, ip: &str| {
        json!({"event": "login", "outcome": "success", "user": "ann", "src_ip": ip,
               "lat": lat, "lon": lon, "country": "de", "user_agent": "Mozilla/5.0 X"})
    };
    for day in 0..10 {
        user(&mut past, day * 86_400, at(52.5, 13.4, "192.0.2.1"));
    }
    let fast = auth_feature!(user "faster than any aeroplane");
    let near = user(&mut past, 9 * 86_400 + 60, at(52.6, 13.1, "198.51.100.1"));
    assert!(near[fast] < 0.5);
    let far = user(&mut past, 9 * 86_400 + 3600, at(35.7, 139.7, "203.0.113.9"));
    assert!(far[fast] > 0.5 && far[auth_feature!(user "network is new, once known")] > 0.9);
    let flown = user(&mut past, 10 * 86_400, at(52.5, 13.4, "192.0.2.1"));
    assert!(flown[fast] < 0.5 && flown[auth_feature!(user "address is new")] < 0.5);
}

#[test]
fn absurd_times_and_numbers_stay_finite_and_a_clock_that_goes_back_changes_nothing() {
    let (mut one, mut two) = (AddressPast::default(), UserPast::default());
    let body = json!({"event": "login_failed", "user": "ann", "src_ip": "192.0.2.1",
                      "repeated": 1e300, "lat": -1e9, "lon": "x", "session": 7, "host": 3.5});
    let fields = Fields(body.as_object().cloned().unwrap_or_default());
    for ts_us in [0, i64::MAX, i64::MIN, -1, 5, START_US, i64::MAX] {
        let seen = Attempt::read(&fields, ts_us).unwrap();
        let mut out = vec![0.0; WIDTH];
        one.observe(&seen, &mut out);
        two.observe(&seen, &mut out);
        assert!(out.iter().all(|value| value.is_finite() && value.abs() <= 40.0));
    }
    assert_eq!((one.last_us(), two.last_us()), (i64::MAX, i64::MAX));
}

#[test]
fn a_past_is_small_and_survives_its_serialised_form() {
    let (mut one, mut two) = (AddressPast::default(), UserPast::default());
    for n in 0..3000i64 {
        let body = json!({
            "event": if n % 3 == 0 { "accepted" } else { "failed_password" },
            "user": format!("u{}", n % 700), "src_ip": format!("10.{}.{}.1", n % 250, n % 7),
            "session": format!("s{n}"), "user_agent": format!("agent {}", n % 90),
            "host": format!("h{}", n % 70), "lat": n % 90, "lon": n % 180, "country": "fr",
        });
        address(&mut one, n * 400, body.clone());
        user(&mut two, n * 400, body);
    }
    let text = serde_json::to_string(&(&one, &two)).unwrap();
    let back: (AddressPast, UserPast) = serde_json::from_str(&text).unwrap();
    assert_eq!(back.0.events(), one.events());
    assert_eq!(back.1.last_us(), two.last_us());
    assert!(size_of::<AddressPast>() <= 448, "{}", size_of::<AddressPast>());
    assert!(size_of::<UserPast>() <= 448, "{}", size_of::<UserPast>());
}

#[test]
fn without_time_only_the_order_counts() {
    let untimed = |body: Value| Attempt { timed: false, ..attempt(0, body) };
    let mut past = AddressPast::default();
    let mut out = vec![0.0; WIDTH];
    for _ in 0..200 {
        let body = json!({"event": "accepted", "user": "ann", "src_ip": "192.0.2.1"});
        past.observe(&untimed(body), &mut out);
    }
    for name in [
        auth_feature!(address "regularity"),
        auth_feature!(address "rarity of the hour"),
        auth_feature!(address "attempts in the last hour, if regular (ln)"),
    ] {
        assert!(out[name].abs() < 1e-6, "{name} {}", out[name]);
    }
    for n in 0..5 {
        let body = json!({"event": "failed_password", "user": "ann", "session": format!("s{n}"),
                          "src_ip": "192.0.2.1"});
        past.observe(&untimed(body), &mut out);
    }
    assert!((out[auth_feature!(address "failures in a row (ln)")].exp_m1() - 5.0).abs() < 0.01);
    assert!(out[auth_feature!(address "failures in the last minute (ln)")].exp_m1() < 2.1);

    let mut account = UserPast::default();
    let mut kmh = |timed: bool, place: &str| {
        let body = json!({"event": "accepted", "user": "ann", "location": place});
        account.observe(&Attempt { timed, ..attempt(0, body) }, &mut out);
        (
            out[auth_feature!(user "kilometres an hour since the last success (ln)")],
            out[auth_feature!(user "kilometres since the last success (ln)")],
        )
    };
    kmh(false, "52.5,13.4");
    let (fast, far) = kmh(false, "35.7,139.7");
    assert!(fast.abs() < 1e-6 && far > 8.0, "{fast} {far}");
    assert!(kmh(true, "52.5,13.4").0 > 8.0);
}

#[test]
fn one_account_and_one_network_are_one_however_they_are_written() {
    let read = |user: &str, ip: &str| attempt(0, json!({"event": "x", "user": user, "src_ip": ip}));
    let ann = read("ann", "2001:db8:0:7::1");
    for (user, ip) in [("CORP\\ANN", "2001:db8:0:7::2"), ("ann@corp", "2001:db8:0:7:9::")] {
        let other = read(user, ip);
        assert_eq!((other.user, other.address), (ann.user, ann.address), "{user} {ip}");
    }
    let there = read("ann@example.org", "2001:db8:0:8::1");
    assert!(there.user != ann.user && there.address != ann.address);
}

#[test]
fn that_a_password_had_expired_is_remembered_for_a_day_of_both() {
    let (mut from, mut of) = (AddressPast::default(), UserPast::default());
    let refused = |reason: &str| json!({"event": "login_failed", "user": "ann", "src_ip": "192.0.2.1", "reason": reason});
    address(&mut from, 0, refused("password_expired"));
    user(&mut of, 0, refused("password_expired"));
    let day = 86_400;
    let later = address(&mut from, day, refused("wrong_password"));
    let told = later[auth_feature!(address "refusals that said expired, day (ln)")];
    assert!((told - 0.5f32.ln_1p()).abs() < 1e-3, "{told}");
    let later = user(&mut of, day, refused("account_locked"));
    let told = later[auth_feature!(user "refusals that said expired, day (ln)")];
    assert!((told - 0.5f32.ln_1p()).abs() < 1e-3, "a locked account says nothing: {told}");
}
