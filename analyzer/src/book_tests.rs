//! Every shipped chain: what completes it, and what looks like it and does not.

use crate::{
    Config, analyze,
    chain::{SHIPPED, TACTICS},
    testing::{Naming, scored, shipped},
};
use magsentinel_bus_schema::{Class, Kind, Level, Scored, Token, Trust};
use std::collections::BTreeSet;

/// A finding: patrol, kind, category, level, seconds, and the entities it names.
fn finding(
    (patrol, kind, category): (&str, Kind, &str),
    level: Level,
    seconds: f64,
    named: &[(Class, &str)],
) -> Scored {
    let name = format!("{patrol} {category} {seconds} {named:?}");
    let mut scored = scored(&name, patrol, level, seconds);
    scored.kind = kind;
    scored.category = Token::sanitised(category);
    named.iter().fold(scored, |s, (class, value)| s.naming(*class, value, Trust::Observed))
}

const SQLI: (&str, Kind, &str) = ("sql-guard", Kind::Sql, "union_injection");
const READ: (&str, Kind, &str) = ("data-flow", Kind::Data, "bulk_read");
const DRAIN: (&str, Kind, &str) = ("data-flow", Kind::Data, "slow_drain");
const XSS: (&str, Kind, &str) = ("api-watch", Kind::Api, "xss");
const SCAN: (&str, Kind, &str) = ("api-watch", Kind::Api, "scan");
const GUESS: (&str, Kind, &str) = ("auth-sentry", Kind::Auth, "brute_force");
const TAKEN: (&str, Kind, &str) = ("auth-sentry", Kind::Auth, "account_takeover");
const MOVE: (&str, Kind, &str) = ("host-guard", Kind::Host, "remote_execution");
const PLUGIN: (&str, Kind, &str) = ("extension-guard", Kind::Extension, "credential_read");
const DEVICE: (&str, Kind, &str) = ("iot-guard", Kind::Iot, "flood");
const BEACON: (&str, Kind, &str) = ("net-scan", Kind::Flow, "beacon");
const UPLOAD: (&str, Kind, &str) = ("net-scan", Kind::Flow, "bulk_upload");

const ANNE: (Class, &str) = (Class::User, "anne");
const BERT: (Class, &str) = (Class::User, "bert");
const FROM: (Class, &str) = (Class::Client, "203.0.113.7");
const ELSEWHERE: (Class, &str) = (Class::Client, "198.51.100.9");
const WEB: (Class, &str) = (Class::Host, "web1");

/// The chains that some findings complete.
fn found(findings: Vec<Scored>) -> BTreeSet<String> {
    let last = findings.iter().map(|f| f.ts).max().unwrap();
    let all = analyze(&Config::default(), &Default::default(), findings, last).unwrap();
    all.into_iter().map(|assessment| assessment.chain.to_string()).collect()
}

fn expect(findings: Vec<Scored>, chains: &[&str]) {
    let told = format!("{:#?}", findings.iter().map(|f| &f.category).collect::<Vec<_>>());
    assert_eq!(found(findings), chains.iter().map(ToString::to_string).collect(), "{told}");
}

use Level::{High, Medium};

#[test]
fn one_clear_finding_is_an_incident_and_one_doubtful_is_none() {
    for (what, named, chain) in [
        (SQLI, ANNE, "sql_injection"),
        (READ, ANNE, "bulk_exfiltration"),
        (XSS, FROM, "web_attack"),
        (GUESS, FROM, "login_attack"),
        (TAKEN, ANNE, "account_takeover"),
    ] {
        expect(vec![finding(what, High, 0.0, &[named])], &[chain]);
        expect(vec![finding(what, Medium, 0.0, &[named])], &[]);
    }
}

#[test]
fn doubtful_findings_add_up_within_their_window_only() {
    let every = |what, named, count: u32, pause: f64| -> Vec<Scored> {
        (0..count).map(|n| finding(what, Medium, f64::from(n) * pause, &[named])).collect()
    };
    expect(every(SQLI, ANNE, 3, 20.0), &["sql_injection_repeated"]);
    expect(every(SQLI, ANNE, 3, 200.0), &[]);
    expect(every(XSS, FROM, 5, 20.0), &["web_attack_repeated"]);
    expect(every(XSS, FROM, 5, 100.0), &[]);
    expect(every(GUESS, FROM, 3, 20.0), &["login_attack_repeated"]);
    expect(every(GUESS, FROM, 3, 200.0), &[]);
    expect(every(DRAIN, ANNE, 3, 1200.0), &["slow_drain"]);
    expect(every(DRAIN, ANNE, 3, 2400.0), &[]);
}

#[test]
fn steps_count_in_their_order_and_of_one_key() {
    let two = |first, a: &[(Class, &str)], second, b: &[(Class, &str)], pause| {
        vec![finding(first, Medium, 0.0, a), finding(second, Medium, pause, b)]
    };
    for (first, second, key, chain) in [
        (SQLI, READ, ANNE, "sql_injection_exfiltration"),
        (GUESS, TAKEN, ANNE, "brute_force_takeover"),
        (TAKEN, SCAN, ANNE, "takeover_abuse"),
        (PLUGIN, READ, ANNE, "extension_exfiltration"),
        (BEACON, UPLOAD, WEB, "beacon_upload"),
    ] {
        expect(two(first, &[key], second, &[key], 60.0), &[chain]);
        let other = if key == WEB { (Class::Host, "web2") } else { BERT };
        expect(two(first, &[key], second, &[other], 60.0), &[]);
        expect(two(first, &[key], second, &[key], 7200.0), &[]);
        expect(two(second, &[key], first, &[key], 60.0), &[]);
    }
    let intrusion = |first, second, third| {
        vec![
            finding(first, Medium, 0.0, &[FROM]),
            finding(second, High, 600.0, &[FROM, ANNE]),
            finding(third, Medium, 1200.0, &[FROM]),
        ]
    };
    expect(intrusion(SCAN, SQLI, MOVE), &["intrusion", "sql_injection"]);
    // A scanner that goes on scanning has not got in.
    expect(intrusion(SCAN, SCAN, MOVE), &["web_attack"]);
}

#[test]
fn many_of_a_kind_count_once_each() {
    let device =
        |n: u32, name: &str| finding(DEVICE, Medium, f64::from(n), &[FROM, (Class::Device, name)]);
    expect((0..3).map(|n| device(n, &format!("camera{n}"))).collect(), &["iot_botnet"]);
    expect((0..9).map(|n| device(n, "camera1")).collect(), &[]);

    let guess = |n: u32, from: &str| {
        finding(GUESS, Medium, 60.0 * f64::from(n), &[WEB, (Class::Client, from)])
    };
    let spread = (0..3).map(|n| guess(n, &format!("203.0.113.{n}"))).collect();
    expect(spread, &["distributed_login_attack"]);
    expect((0..2).map(|n| guess(n, "203.0.113.1")).collect(), &[]);
}

#[test]
fn three_patrols_about_one_client_or_user_are_a_burst() {
    let burst = |c: (Class, &'static str), u: (Class, &'static str)| {
        vec![
            finding(XSS, Medium, 0.0, &[FROM]),
            finding(GUESS, Medium, 10.0, &[c]),
            finding(SQLI, Medium, 20.0, &[FROM, u]),
        ]
    };
    // The last finding names both: what the client did before it counts for the user as well.
    expect(burst(FROM, ANNE), &["multi_vector", "multi_vector_user"]);
    expect(burst(ELSEWHERE, ANNE), &[]);
    let of_user = |u| {
        vec![
            finding(XSS, Medium, 0.0, &[ANNE]),
            finding(GUESS, Medium, 10.0, &[ANNE]),
            finding(SQLI, Medium, 20.0, &[u]),
        ]
    };
    expect(of_user(ANNE), &["multi_vector_user"]);
    expect(of_user(BERT), &[]);
}

#[test]
fn a_key_that_is_used_after_its_owner_was_taken_over_is_abused() {
    const KEY: (Class, &str) = (Class::Key, "key-1");
    const OTHER: (Class, &str) = (Class::Key, "key-2");
    // The login names the key.
    let two = |key| vec![finding(TAKEN, Medium, 0.0, &[KEY]), finding(READ, Medium, 60.0, &[key])];
    expect(two(KEY), &["key_abuse"]);
    expect(two(OTHER), &[]);
    // It names the user alone, and a later request names both.
    let by_user = |key| {
        vec![
            finding(TAKEN, Medium, 0.0, &[ANNE]),
            finding(SCAN, Level::Low, 30.0, &[ANNE, KEY]),
            finding(READ, Medium, 60.0, &[key]),
        ]
    };
    assert!(found(by_user(KEY)).contains("key_abuse"));
    assert!(!found(by_user(OTHER)).contains("key_abuse"));
}

#[test]
fn every_chain_names_its_tactics_in_order_and_an_assessment_carries_them() {
    let book = shipped();
    for chain in book.chains() {
        let (name, tactics) = (&chain.name, &chain.tactics);
        assert!(!tactics.is_empty() && !chain.plan.is_empty(), "{name}");
        assert!(tactics.iter().all(|t| TACTICS.contains(&t.as_str())), "{name}: {tactics:?}");
    }
    // Where a file says the same in Sigma's words, it says it in the same order.
    let names: BTreeSet<&str> = book.chains().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names.len(), 21, "{names:?}");
    for (file, text) in SHIPPED {
        for document in text.split("\n---\n").filter(|d| d.contains("\ncorrelation:")) {
            let said = |line: &&str| {
                let tag = line.trim().strip_prefix("- attack.").unwrap_or_default();
                TACTICS.contains(&tag)
            };
            let tags = document.lines().filter(said).map(|l| l.trim().replace("- attack.", ""));
            let told: Vec<String> = tags.collect();
            let own = document.lines().find_map(|l| l.trim().strip_prefix("tactics: ["));
            let own: Vec<&str> = own.unwrap().trim_end_matches(']').split(", ").collect();
            let places: Vec<_> = told.iter().map(|t| own.iter().position(|o| o == t)).collect();
            assert!(places.is_sorted() && places.iter().all(Option::is_some), "{file}: {told:?}");
        }
    }
    let all = vec![finding(SQLI, Medium, 0.0, &[ANNE]), finding(READ, Medium, 60.0, &[ANNE])];
    let last = all.iter().map(|f| f.ts).max().unwrap();
    let found = analyze(&Config::default(), &Default::default(), all, last).unwrap();
    assert_eq!(found[0].tactics, ["initial-access", "collection", "exfiltration"]);
}
