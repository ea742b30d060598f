//! What must be found, and what looks like it and must be left alone. Told by counters alone: what the
//! model knows is tested by its figures.

use crate::{Given, inference, patrols, score_rows};
use magsentinel_bus_schema::{Fields, Kind};
use serde_json::{Value, json};

const START: f64 = 1_750_118_400.0;
const SOURCE: &str = "10.0.0.7";

fn given(kind: Kind, body: Value) -> Given {
    let Value::Object(body) = body else { unreachable!("a body is an object") };
    Given { kind: Some(kind), body: Fields(body), refused: None }
}

/// Categories of the flagged rows, in order, and all of what was said.
fn scored(rows: Vec<Given>) -> Vec<Value> {
    let config = patrols::Config::default();
    let rows = score_rows("net-sentry", &config, &inference::Config::default(), rows.into_iter());
    rows.unwrap().map(|row| row.get("scored").cloned().unwrap_or_default()).collect()
}

fn flagged(rows: Vec<Given>) -> Vec<String> {
    let is_flagged = |said: &Value| {
        ["medium", "high", "critical"].iter().any(|level| said["level"] == **level)
    };
    let all = scored(rows).into_iter();
    all.filter(is_flagged).map(|said| said["category"].as_str().unwrap_or("").to_owned()).collect()
}

/// A number of 0..1 that follows from another, spread as if by chance.
fn chance(n: u64) -> f64 {
    let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 31).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40) as f64 / (1u64 << 24) as f64
}

fn flow(ts: f64, dst: &str, port: u16, up: f64, down: f64, state: &str) -> Given {
    let (up, down) = (up as u64, down as u64);
    let body = json!({
        "ts": START + ts, "src_ip": SOURCE, "dst_ip": dst, "dst_port": port, "proto": "tcp",
        "orig_bytes": up, "resp_bytes": down, "conn_state": state,
    });
    given(Kind::Flow, body)
}

fn asked(ts: f64, qname: &str, rcode: &str) -> Given {
    given(Kind::Dns, json!({"ts": START + ts, "src_ip": SOURCE, "qname": qname, "rcode": rcode}))
}

fn with(mut row: Given, name: &str, value: &str) -> Given {
    row.body.0.insert(name.to_owned(), value.into());
    row
}

#[test]
fn a_beacon_with_forty_per_cent_jitter_is_heard_and_named() {
    let mut at = 0.0;
    let beats = (0..60).map(|n| {
        at += 300.0 * (0.6 + 0.8 * chance(n));
        flow(at, "198.51.100.9", 443, 420.0, 180.0, "SF")
    });
    let said = scored(beats.collect());
    let told: Vec<_> = said.iter().filter(|said| said["category"] == "beaconing").collect();
    assert!(told.len() > 20, "{}", told.len());
    let reason = told[0]["reasons"][0].as_str().unwrap();
    assert!(reason.contains("198.51.100.9:443") && reason.contains("times every"), "{reason}");
    assert_eq!(told[0]["techniques"], json!(["T1071", "T1029"]));
}

#[test]
fn clocks_mail_browsers_and_neighbours_are_no_beacons() {
    let every = |period: f64, n: u64| period * n as f64 + chance(n);
    let clock = (0..80).map(|n| {
        with(flow(every(64.0, n), "198.51.100.1", 123, 48.0, 48.0, "SF"), "proto", "udp")
    });
    assert_eq!(flagged(clock.collect()), Vec::<String>::new());
    let mail = (0..80).map(|n| {
        let new = if chance(n + 7) < 0.2 { 40_000.0 } else { 0.0 };
        let down = 1500.0 + 3000.0 * chance(n) + new;
        flow(every(300.0, n), "198.51.100.2", 993, 900.0, down, "SF")
    });
    assert_eq!(flagged(mail.collect()), Vec::<String>::new());
    let mut at = 0.0;
    let browser = (0..300).map(|n| {
        at += 1.011f64.powi((chance(n) * 800.0) as i32);
        let dst = format!("198.51.100.{}", n % 5);
        flow(at, &dst, 443, 1000.0 + 4000.0 * chance(n), 90_000.0 * chance(n + 1), "SF")
    });
    assert_eq!(flagged(browser.collect()), Vec::<String>::new());
    let inside = (0..80).map(|n| flow(every(60.0, n), "10.0.0.9", 9100, 200.0, 900.0, "SF"));
    assert_eq!(flagged(inside.collect()), Vec::<String>::new());
}

#[test]
fn scans_are_told_by_what_they_try_in_vain_and_a_few_dead_hosts_are_not() {
    let ports = (1..40).map(|n| flow(f64::from(n), "192.0.2.1", n, 0.0, 0.0, "REJ"));
    let found = flagged(ports.collect());
    assert!(found.len() > 20 && found.iter().all(|what| what == "port_scan"), "{found:?}");
    let hosts =
        (1..40).map(|n| flow(f64::from(n), &format!("10.0.4.{n}"), 445, 0.0, 0.0, "S0"));
    let found = flagged(hosts.collect());
    assert!(found.len() > 20 && found.iter().all(|what| what == "network_scan"), "{found:?}");
    let monitor = (0..400).map(|n| {
        let host = n % 40;
        let state = if host < 4 { "S0" } else { "SF" };
        flow(f64::from(n), &format!("10.0.5.{host}"), 9100, 90.0, 900.0, state)
    });
    assert_eq!(flagged(monitor.collect()), Vec::<String>::new());
}

/// Uploads of five working days, then one night.
fn nights(usual_nights: bool) -> Vec<Given> {
    let day = |n: u64| n as f64 * 86_400.0;
    let mut rows: Vec<Given> = Vec::new();
    for n in 0..6 {
        for hour in 9..17 {
            let up = 2e6 + 3e6 * chance(n * 24 + hour);
            let ts = day(n) + hour as f64 * 3600.0;
            rows.push(flow(ts, "198.51.100.7", 443, up, 900.0, "SF"));
        }
        if usual_nights {
            rows.push(flow(day(n) + 22.0 * 3600.0, "198.51.100.8", 443, 4e8, 900.0, "SF"));
        }
    }
    rows.push(flow(day(6) + 2.0 * 3600.0, "198.51.100.9", 443, 4e8, 900.0, "SF"));
    rows.sort_by(|a, b| a.body.get("ts").unwrap().as_f64().unwrap().total_cmp(
        &b.body.get("ts").unwrap().as_f64().unwrap(),
    ));
    rows
}

#[test]
fn an_upload_at_night_is_odd_unless_nights_are_when_backups_run() {
    assert_eq!(flagged(nights(false)), ["upload_burst"]);
    assert_eq!(flagged(nights(true)), Vec::<String>::new());
}

#[test]
fn a_process_that_keeps_to_few_destinations_is_told_when_it_leaves_them() {
    let usual = (0..300).map(|n| {
        let ts = n as f64 * 600.0 * (0.5 + chance(n));
        let dst = format!("198.51.100.{}", n % 3);
        with(flow(ts, &dst, 443, 900.0 + 9000.0 * chance(n), 900.0, "SF"), "process", "postgres")
    });
    let new = flow(400.0 * 600.0, "203.0.113.9", 443, 900.0, 900.0, "SF");
    let rows = usual.chain([with(new.clone(), "process", "postgres")]);
    assert_eq!(flagged(rows.collect()), ["rare_destination"]);
    let browser = (0..300).map(|n| {
        let dst = format!("198.{}.100.3", n % 90);
        let ts = n as f64 * 600.0 * (0.5 + chance(n));
        with(flow(ts, &dst, 443, 900.0 + 9000.0 * chance(n), 900.0, "SF"), "process", "browser")
    });
    let rows = browser.chain([with(new, "process", "browser")]);
    assert_eq!(flagged(rows.collect()), Vec::<String>::new());
}

#[test]
fn many_names_that_do_not_exist_are_guesses_and_one_domain_asked_often_is_not() {
    let words = ["river", "table", "green", "market", "winter", "silver", "paper", "garden"];
    let name = |n: usize| format!("{}{}.net", words[n % 8], words[n / 8 % 8]);
    let guesses = (0..40).map(|n| asked(n as f64, &name(n), "NXDOMAIN"));
    let found = flagged(guesses.collect());
    assert!(found.len() >= 20 && found.iter().all(|what| what == "dga"), "{found:?}");
    let search = (0..200).map(|n| {
        let rcode = if n % 2 == 0 { "NXDOMAIN" } else { "NOERROR" };
        asked(n as f64, &format!("{}.corp.example.com", words[n % 8]), rcode)
    });
    assert_eq!(flagged(search.collect()), Vec::<String>::new());
}

#[test]
fn a_list_of_the_operators_is_looked_up_for_connections_and_names() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "203.0.113.0/24\nbad.example\n").unwrap();
    let mut config = patrols::Config::default();
    config.net_sentry.known_bad = Some(file.path().to_owned());
    let rows = [
        flow(0.0, "203.0.113.77", 443, 9.0, 9.0, "SF"),
        asked(1.0, "mail.bad.example", "NOERROR"),
        flow(2.0, "203.0.114.77", 443, 9.0, 9.0, "SF"),
    ];
    let rows = score_rows("net-sentry", &config, &inference::Config::default(), rows.into_iter());
    let said: Vec<Value> = rows.unwrap().map(|row| row.get("scored").cloned().unwrap()).collect();
    assert_eq!((&said[0]["level"], &said[0]["category"]), (&json!("high"), &json!("known_bad_address")));
    assert_eq!(said[1]["category"], "known_bad_name");
    assert_eq!(said[2]["level"], "none");
}

#[test]
fn bad_rows_are_refused_by_field_and_odd_ones_are_scored() {
    let huge = "a1b2".repeat(2_500_000);
    let told = scored(vec![
        given(Kind::Dns, json!({"src_ip": SOURCE})),
        given(Kind::Dns, json!({"qname": 7})),
        given(Kind::Flow, json!({"ts": START})),
        given(Kind::Flow, json!({"src_ip": SOURCE, "dst_ip": "x", "orig_bytes": "many"})),
        given(Kind::Dns, json!({"qname": huge + ".example.org", "src_ip": SOURCE})),
        given(Kind::Dns, json!({"qname": "\u{0}\u{fffd}..", "src_ip": SOURCE})),
        flow(5.0, "not an address", 443, 1e15, 1e15, "??"),
        flow(-9e8, "192.0.2.9", 0, 0.0, 0.0, ""),
        flow(9e8, "::1", 65_535, 0.0, 0.0, "SF"),
    ]);
    for (at, part) in [(0, "no qname"), (1, "qname is a number"), (2, "neither src_ip"), (3, "orig_bytes")]
    {
        let why = told[at]["error"].as_str().unwrap_or_default();
        assert!(why.contains(part), "{at}: {}", told[at]);
    }
    assert!(told[4..].iter().all(|said| said.get("error").is_none()), "{told:#?}");
}

#[test]
fn a_pattern_of_names_says_nothing_of_connections() {
    let mine = [asked(0.0, "eu1.nanopool.org", "NOERROR")];
    assert_eq!(flagged(mine.to_vec()), ["crypto_mining"]);
    let flow = with(flow(0.0, "198.51.100.3", 443, 9.0, 9.0, "SF"), "qname", "eu1.nanopool.org");
    assert_eq!(flagged(vec![flow]), Vec::<String>::new());
}
