//! A good chain file, and every way to spoil it.

use super::*;

const GOOD: &str = r"
title: Two steps
name: two_steps
level: critical
correlation:
  type: temporal_ordered
  rules: [one, two]
  group-by: [user]
  timespan: 5m
magsentinel:
  plan: [Look.]
---
title: One
name: one
logsource: {product: magsentinel, service: scored}
detection:
  it: {patrol: sql-guard, level|gte: medium}
  condition: it
---
title: Two
name: two
logsource: {product: magsentinel, service: scored}
detection:
  it: {patrol: data-flow}
  condition: it
";

#[test]
fn a_good_file_is_a_chain() {
    let (chains, wrong) = file(GOOD);
    assert_eq!(wrong, Vec::<String>::new());
    let chain = chains.first().unwrap();
    assert_eq!((chain.name.as_str(), chain.rules.len()), ("two_steps", 2));
    assert_eq!(chain.condition, Condition::Ordered);
    assert_eq!(chain.severity, Severity::Fixed(Level::Critical));
    assert_eq!(chain.window, Duration::from_secs(300));
}

/// What to replace in the good file, by what, and what the error must name.
const SPOILED: &[(&str, &str, &str)] = &[
    ("name: two_steps", "name: two_steps\nseverity: 3", "severity is an unknown field"),
    ("timespan: 5m", "timespan: 5m\n  windw: x", "correlation.windw is an unknown field"),
    ("timespan: 5m", "timespan: 5m\n  window: tumbling", "window is not supported"),
    ("timespan: 5m", "timespan: 5m\n  aliases: {a: {one: user}}", "aliases is not supported"),
    ("timespan: 5m", "timespan: 5m\n  condition: one and two", "combines rules"),
    ("timespan: 5m", "timespan: 5m\n  condition: {gte: 2}", "takes no condition"),
    ("timespan: 5m", "timespan: 0s", "timespan 0s"),
    ("timespan: 5m", "timespan: 2d", "timespan 2d"),
    ("timespan: 5m", "timespan: soon", "soon"),
    ("name: two_steps", "generate: true\nname: two_steps", "generate is not supported"),
    ("name: two_steps", "", "needs a name"),
    ("name: two_steps", "name: Two.Steps", "Two.Steps"),
    ("level: critical", "", "needs a level"),
    ("level: critical", "level: hihg", "hihg"),
    ("level: critical", "level: informational", "informational"),
    ("temporal_ordered", "value_sum\n  condition: {gte: 1, field: user}", "none of score"),
    ("temporal_ordered", "value_sum\n  condition: {gte: 1}", "needs condition.field"),
    ("temporal_ordered", "value_avg\n  condition: {gte: 1, field: score}", "type value_avg"),
    ("temporal_ordered", "event_count\n  condition: {lte: 1}", "lte is not supported"),
    ("temporal_ordered", "event_count\n  condition: {gte: -1}", "whole number"),
    ("temporal_ordered", "event_count\n  condition: {gte: 0}", "always true"),
    ("temporal_ordered", "value_count\n  condition: {gte: 2}", "needs condition.field"),
    ("temporal_ordered", "value_count\n  condition: {gte: 2, field: score}", "\"score\""),
    ("temporal_ordered", "sometimes", "sometimes"),
    ("temporal_ordered", "event_count", "condition"),
    ("[user]", "[wine]", "\"wine\" is no class"),
    ("[user]", "[user, client]", "exactly one"),
    ("[user]", "[]", "group-by must be a list"),
    ("[user]", "[7]", "group-by must be a list"),
    ("[one, two]", "[one, one]", "twice"),
    ("[one, two]", "[one]", "2 to 16 rules"),
    ("[one, two]", "[one, three]", "\"three\""),
    ("[one, two]", "[one, two_steps]", "cycle of correlations: two_steps -> two_steps"),
    ("plan:", "plann:", "plann"),
    ("plan: [Look.]", "otherwise: [user]", "twice"),
    ("plan: [Look.]", "otherwise: [wine]", "wine"),
    ("plan: [Look.]", "confidence: high", "`high`"),
    ("plan: [Look.]", "attack_type: A B", "A B"),
    ("patrol: sql-guard", "patrl: sql-guard", "unknown field \"patrl\""),
    ("patrol: sql-guard", "patrol|re: sql.*", "not supported"),
    ("patrol: sql-guard", "patrol|startswith|endswith: sql", "cannot be combined"),
    ("patrol: sql-guard", "patrol: null", "not supported"),
    ("patrol: sql-guard", "score: many", "not supported"),
    ("patrol: sql-guard", "kind: wine", "wine"),
    ("level|gte: medium", "level|gte: hihg", "hihg"),
    ("{patrol: data-flow}", "[exfil]", "keywords"),
    ("{patrol: data-flow}", "{}", "is empty"),
    ("condition: it", "condition: that", "\"that\""),
    ("condition: it", "condition: 1 of that*", "that*"),
    ("condition: it", "condition: it\n  timeframe: 5m", "timeframe"),
    ("service: scored", "service: syslog", "logsource must be"),
    ("name: two\n", "", "no name"),
    ("name: two\n", "name: one\n", "two rules"),
    ("title: Two steps", "title: Two steps\ntitle: Two", "duplicate entry"),
    ("title: Two steps", "- title", ""),
];

#[test]
fn every_bad_file_is_refused_with_the_construct_named() {
    for (from, to, part) in SPOILED {
        assert!(GOOD.contains(from), "{from}");
        let (_, wrong) = file(&GOOD.replacen(from, to, 1));
        let told = wrong.join("\n");
        assert!(!wrong.is_empty() && told.contains(part), "{from} -> {to}: {told:?}");
    }
    assert!(!file("").1.is_empty());
    assert!(!file("\u{0}").1.is_empty());
}

#[test]
fn a_cycle_and_a_chained_correlation_are_told_apart() {
    let second = GOOD.replace("two_steps", "outer").replace("Two steps", "Outer");
    let (head, _) = second.split_once("---").unwrap();
    let chained = format!("{GOOD}---\n{}", head.replace("[one, two]", "[one, two_steps]"));
    let told = file(&chained).1.join("\n");
    assert!(told.contains("chained correlations are not supported"), "{told}");
    let cycle = chained.replace("rules: [one, two]", "rules: [one, outer]");
    let told = file(&cycle).1.join("\n");
    assert!(told.contains("outer -> two_steps -> outer"), "{told}");
}
