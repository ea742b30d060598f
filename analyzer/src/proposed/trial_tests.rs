//! The gates, and chains that must not pass them.

use super::*;
use crate::{
    proposed::Ground,
    testing::{Naming, at, scored, shipped},
};
use magsentinel_bus_schema::{Token, Trust};
use std::{fmt::Write, sync::LazyLock, time::Duration};

const BUDGET: Budget =
    Budget { share_max: 0.0005, shadow_events: 10_000, shadow_for: Duration::from_secs(1) };

/// A finding that no installed chain makes anything of.
fn finding(name: &str, category: &str, level: Level, who: &str, seconds: f64) -> Scored {
    let mut of = scored(name, "fruit-watch", level, seconds).user(who);
    of.category = Token::sanitised(category);
    let client = if who == "mallory" { "203.0.113.9" } else { "10.0.0.7" };
    of.naming(Class::Client, client, Trust::Observed)
}

fn own() -> Vec<Scored> {
    (0..4)
        .map(|n| {
            let name = format!("own {n}");
            let category = if n < 2 { "odd_fruit" } else { "odd_juice" };
            finding(&name, category, Level::Medium, "mallory", 10.0 * f64::from(n))
        })
        .collect()
}

/// Two thousand findings of ordinary work over a day: of many users, mild, now and then two of them
/// near one another.
fn retained() -> Vec<Scored> {
    (0..2_000_u32)
        .map(|n| {
            let (who, name) = (format!("user{}", n % 900), format!("retained {n}"));
            let level = if n % 50 == 0 { Level::Medium } else { Level::Low };
            let category = if n % 100 == 0 { "odd_fruit" } else { "mild_fruit" };
            finding(&name, category, level, &who, 100.0 + 8.0 * f64::from(n))
        })
        .collect()
}

/// A chain over one rule a line: condition of the correlation, and detections.
pub(in crate::proposed) fn chain(name: &str, head: &str, detections: &[&str]) -> String {
    let rules: Vec<String> = (0..detections.len()).map(|n| format!("{name}_{n}")).collect();
    let mut text = format!(
        "title: Seen in {name}\nname: {name}\nlevel: high\ncorrelation:\n  rules: [{}]\n{head}",
        rules.join(", ")
    );
    for (rule, detection) in rules.iter().zip(detections) {
        write!(
            text,
            "---\ntitle: Step {rule}\nname: {rule}\nlogsource: {{product: magsentinel, service: \
             scored}}\ndetection:\n  it: {{{detection}}}\n  condition: it\n"
        )
        .unwrap();
    }
    text
}

const BY_USER: &str = "  group-by: [user]\n  timespan: 1m\n";

fn many(of: usize) -> String {
    format!("  type: event_count\n{BY_USER}  condition: {{gte: {of}}}\n")
}

fn ordered() -> String {
    format!("  type: temporal_ordered\n{BY_USER}")
}

/// What the gates say of a chain, where some events are explained and some called ordinary.
fn gates(text: &str, told: impl Fn(&mut Trial)) -> (Proof, Option<(Gate, String)>) {
    let config = Arc::new(Config { shards: 1, ..Config::default() });
    static BASE: LazyLock<Arc<Book>> = LazyLock::new(shipped);
    let ground = Ground::new(BASE.clone(), &config, &Default::default()).unwrap();
    let book = match ground.compile(text) {
        Ok(book) => book,
        Err(why) => return (Proof::default(), Some((Gate::Compile, why))),
    };
    let own = own();
    let ids: Vec<Id> = own.iter().map(|scored| scored.event).collect();
    let parts = (ground.base(), book, config);
    let mut trial = Trial::new(parts, &ids, BUDGET, 1_000_000, at(200_000.0));
    trial.good(ground.good());
    own.iter().chain(&retained()).for_each(|scored| trial.scored(scored));
    trial.over();
    told(&mut trial);
    trial.conclude()
}

#[test]
fn every_bad_chain_is_stopped_at_its_gate_with_the_reason() {
    let everything = "level|gte: low";
    let fruit = "category: odd_fruit, level|gte: medium";
    let by = |class: &str| many(2).replace("user", class);
    let two = [chain("a", &many(2), &[fruit]), chain("b", &many(2), &[fruit])].join("---\n");
    let cases = [
        ("no YAML", "title: [".to_owned(), Gate::Compile, ""),
        ("no chain", "title: x\nname: x\n".to_owned(), Gate::Compile, ""),
        ("two chains", two, Gate::Compile, "must hold one chain, and holds 2"),
        (
            "an installed chain's name",
            chain("web_attack", &many(2), &[fruit]),
            Gate::Compile,
            "name",
        ),
        (
            "a class that nothing is keyed by",
            chain("c", &by("resource"), &[fruit]),
            Gate::Compile,
            "groups by resource",
        ),
        (
            "a window that is too long",
            chain("d", &many(2).replace("1m", "1d"), &[fruit]),
            Gate::Compile,
            "reach back 86400 s",
        ),
        (
            "a count beyond what is kept",
            chain("e", &many(5_000), &[fruit]),
            Gate::Compile,
            "events_per_key_max",
        ),
        ("an unknown field", chain("f", &many(2), &["colour: red"]), Gate::Compile, "colour"),
        (
            "more text than a rule may have",
            chain("g", &many(2), &[&format!("category: {}", "x".repeat(20_000))]),
            Gate::Compile,
            "rule_bytes_max",
        ),
        (
            "another category",
            chain("h", &many(2), &["category: odd_nut"]),
            Gate::OwnEvents,
            "no incident",
        ),
        ("more than there were", chain("i", &many(3), &[fruit]), Gate::OwnEvents, "no incident"),
        (
            "the other order",
            chain("j", &ordered(), &["category: odd_juice", fruit]),
            Gate::OwnEvents,
            "no incident",
        ),
        (
            "this attacker's name",
            chain("k", &many(2), &["user: mallory"]),
            Gate::Overfitted,
            "other names",
        ),
        (
            "this attacker's address",
            chain("l", &many(2), &["client: 203.0.113.9"]),
            Gate::Overfitted,
            "other names",
        ),
        (
            "this attacker's network",
            chain("m", &many(2), &["client|startswith: '203.0.113.'"]),
            Gate::Overfitted,
            "other names",
        ),
        ("everything", chain("n", &many(1), &[everything]), Gate::KnownGood, "known to be good"),
        (
            "two of anything in an hour",
            chain("o", &many(2).replace("1m", "1h"), &[everything]),
            Gate::KnownGood,
            "known to be good",
        ),
        (
            "what this installation does daily",
            chain("p", &many(1), &[fruit]),
            Gate::Backtest,
            "nothing else explains",
        ),
    ];
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for (name, text, gate, want) in &cases {
        let (_, stopped) = gates(text, |_| {});
        let (at, why) = stopped.map_or(("none", String::new()), |(g, why)| (g.token(), why));
        let line: String = why.lines().next().unwrap_or_default().chars().take(110).collect();
        writeln!(table, "{name:<34} {at:<11} {line}").unwrap();
        if at != gate.token() || !why.contains(want) {
            wrong.push(format!("{name}: {at} {why}"));
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_good_chain_and_a_good_threshold_pass_every_gate() {
    let fruit = "category: odd_fruit, level|gte: medium";
    for text in [
        chain("q", &many(2), &[fruit]),
        chain("r", &ordered(), &[fruit, "category: odd_juice, level|gte: medium"]),
    ] {
        let (proof, stopped) = gates(&text, |_| {});
        assert_eq!(stopped, None, "{proof:?}");
        assert_eq!((proof.own_events, proof.hits, proof.false_hits), (4, 1, 0), "{proof:?}");
        assert!(proof.own_hits >= 2 && proof.events > 2_000 && proof.good_events > 400);
        assert_eq!(proof.good_hits, 0);
    }
}

/// What another chain tells of is no false alert, until an operator says that it was one.
#[test]
fn what_is_explained_does_not_count_and_what_operators_call_ordinary_does() {
    let text = chain("s", &many(1), &["category: odd_fruit, level|gte: medium"]);
    let retained: Vec<Id> = retained().iter().map(|scored| scored.event).collect();
    let explain = |trial: &mut Trial| retained.iter().for_each(|event| trial.explain(*event));
    let (proof, stopped) = gates(&text, explain);
    assert_eq!((proof.false_hits, stopped), (0, None), "{proof:?}");
    let (proof, stopped) = gates(&text, |trial| {
        explain(trial);
        retained.iter().for_each(|event| trial.found_ordinary(*event));
    });
    assert_eq!(stopped.map(|(gate, _)| gate), Some(Gate::Backtest));
    assert!(proof.false_hits >= 18 && !proof.samples.is_empty(), "{proof:?}");
}
