//! A good chain file, and every way to spoil it.

use super::*;
use crate::chain::{Condition, Step};

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
    ("[user]", "[who]\n  aliases: {who: {one: user}}", "gives the rule \"two\" no field"),
    ("[user]", "[who]\n  aliases: {who: {one: user, two: wine}}", "\"wine\" is no class"),
    ("[user]", "[who]\n  aliases: {who: {one: user, two: 7}}", "must map names to fields"),
    ("[user]", "[who]\n  aliases: {}", "must map names to fields"),
    ("[user]", "[who]\n  aliases: {who: {one: user, two: key, three: key}}", "\"three\""),
    ("[user]", "[user]\n  aliases: {who: {one: user, two: key}}", "used by neither"),
    ("[user]", "[user]\n  aliases: {user: {one: user, two: key}}", "is the name of a field"),
    ("timespan: 5m", "timespan: 5m\n  condition: one and two", "combines rules"),
    ("timespan: 5m", "timespan: 5m\n  condition: {gte: 3}", "takes no condition but gte"),
    ("timespan: 5m", "timespan: 5m\n  condition: {gte: 1}", "wants all rules"),
    ("timespan: 5m", "timespan: 5m\n  condition: {gte: 2, percentile: 3}", "takes no percentile"),
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
    (
        "temporal_ordered",
        "value_avg\n  condition: {gte: 2, field: score}",
        "never true of the aver",
    ),
    ("temporal_ordered", "value_avg\n  condition: {lte: 1, field: score}", "always true of the av"),
    ("temporal_ordered", "value_avg\n  condition: {gte: 1}", "value_avg needs condition.field"),
    ("temporal_ordered", "value_avg\n  condition: {gte: 0.5, field: score}", "whole number"),
    ("temporal_ordered", "value_percentile\n  condition: {gte: 1, field: level}", "percentile, 0"),
    (
        "temporal_ordered",
        "value_percentile\n  condition: {gte: 1, field: level, percentile: 101}",
        "between 0 and 100",
    ),
    ("temporal_ordered", "value_median\n  condition: {gt: 4, field: level}", "never true of the m"),
    ("temporal_ordered", "event_count\n  condition: {lt: 1}", "without one there is no key"),
    ("temporal_ordered", "event_count\n  condition: {eq: 0}", "never true"),
    ("temporal_ordered", "event_count\n  condition: {gt: 3, lt: 4}", "never true"),
    ("temporal_ordered", "event_count\n  condition: {neq: 0}", "always true"),
    ("temporal_ordered", "event_count\n  condition: {gt: 3, gte: 4}", "two bounds"),
    ("temporal_ordered", "event_count\n  condition: {eq: 3, gte: 2}", "eq stands alone"),
    ("temporal_ordered", "event_count\n  condition: {lte: 3, field: user}", "no condition.field"),
    ("temporal_ordered", "event_count\n  condition: {lte: 3, percentile: 5}", "no percentile"),
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
    ("plan: [Look.]", "tactics: [nonsense]", "no tactic \"nonsense\""),
    ("plan: [Look.]", "tactics: [impact, impact]", "twice"),
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
fn an_alias_of_one_class_is_that_class_and_one_of_several_goes_by_rule() {
    use crate::chain::{Counted, NumberField, ValueField};
    use magsentinel_bus_schema::Class;
    let chain = |by: &str| {
        let (chains, wrong) = file(&GOOD.replacen("[user]", by, 1));
        assert_eq!(wrong, Vec::<String>::new());
        chains.into_iter().next().unwrap()
    };
    let same = chain("[who]\n  aliases: {who: {one: user, two: user}}");
    assert_eq!((same.classes.as_slice(), same.aliased.len()), (&[Class::User][..], 0));
    let several = chain("[who]\n  aliases: {who: {one: host, two: client}}");
    let both = vec![Class::Host, Class::Client];
    assert_eq!((&several.classes, &several.aliased), (&both, &both));
    let counted = |kind: &str, condition: &str, one: &str, two: &str| {
        let text =
            GOOD.replacen("temporal_ordered", &format!("{kind}\n  condition: {condition}"), 1);
        let of = format!("[user]\n  aliases: {{of: {{one: {one}, two: {two}}}}}");
        let (chains, wrong) = file(&text.replacen("[user]", &of, 1));
        chains.into_iter().next().map(|chain| chain.counted).ok_or(wrong.join(", "))
    };
    let values = counted("value_count", "{gte: 2, field: of}", "client", "host");
    let want = [Class::Client, Class::Host].map(|c| Counted::Value(ValueField::Entity(c)));
    assert_eq!(values, Ok(want.to_vec()));
    let numbers = counted("value_sum", "{gte: 2, field: of}", "score", "confidence");
    let want = [NumberField::Score, NumberField::Confidence].map(Counted::Number);
    assert_eq!(numbers, Ok(want.to_vec()));
    let mixed = counted("value_sum", "{gte: 2, field: of}", "score", "level");
    assert!(mixed.is_err_and(|told| told.contains("different scale")));
}

#[test]
fn what_only_grows_is_told_from_what_waits() {
    use crate::chain::{Measure, NumberField, Range};
    use std::ops::Bound;
    let condition = |text: &str| {
        let (chains, wrong) = file(&GOOD.replacen("temporal_ordered", text, 1));
        assert_eq!(wrong, Vec::<String>::new());
        chains.into_iter().next().unwrap().condition
    };
    assert_eq!(condition("temporal\n  condition: {gte: 2}"), Condition::Together);
    let count = |of| condition(&format!("event_count\n  condition: {{{of}}}"));
    assert_eq!(count("gte: 3"), Condition::Count { at_least: 3 });
    assert_eq!(count("gt: 3"), Condition::Count { at_least: 4 });
    let score = |of| condition(&format!("value_sum\n  condition: {{field: score, {of}}}"));
    let field = NumberField::Score;
    assert_eq!(score("gte: 3"), Condition::Sum { field, at_least: 3_000_000 });
    assert_eq!(score("gt: 3"), Condition::Sum { field, at_least: 3_000_001 });
    let judged = |measure, least, most, except| Condition::Judged {
        measure,
        range: Range { least, most, except },
    };
    let (none, at) = (Bound::Unbounded, Bound::Included);
    assert_eq!(count("lte: 3"), judged(Measure::Count, none, at(3), None));
    assert_eq!(count("eq: 3"), judged(Measure::Count, at(3), at(3), None));
    assert_eq!(count("gte: 3, neq: 5"), judged(Measure::Count, at(3), none, Some(5)));
    let range = judged(Measure::Count, Bound::Excluded(3), Bound::Excluded(9), None);
    assert_eq!(count("gt: 3, lt: 9"), range);
    let percent = NumberField::ScorePercent;
    let median = "value_median\n  condition: {field: score_percent, gte: 80}";
    assert_eq!(condition(median), judged(Measure::Percentile(percent, 50), at(80), none, None));
    let high = "value_percentile\n  condition: {field: score_percent, percentile: 95, gt: 80}";
    let want = judged(Measure::Percentile(percent, 95), Bound::Excluded(80), none, None);
    assert_eq!(condition(high), want);
}

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
fn otherwise_and_an_alias_of_several_classes_do_not_go_together() {
    let text = GOOD.replacen("[user]", "[who]\n  aliases: {who: {one: user, two: key}}", 1);
    let told = file(&text.replacen("plan: [Look.]", "otherwise: [client]", 1)).1.join(", ");
    assert!(told.contains("otherwise cannot be combined"), "{told}");
}

#[test]
fn a_cycle_is_told_and_a_chained_correlation_is_one_chain() {
    let second = GOOD.replace("two_steps", "outer").replace("Two steps", "Outer");
    let (head, _) = second.split_once("---").unwrap();
    let chained = format!("{GOOD}---\n{}", head.replace("[one, two]", "[one, two_steps]"));
    let (chains, wrong) = file(&chained.replacen("magsentinel:\n  plan: [Look.]\n", "", 1));
    assert_eq!(wrong, Vec::<String>::new());
    let [chain] = chains.as_slice() else { panic!("{} chains", chains.len()) };
    assert_eq!((chain.name.as_str(), chain.rules.len(), chain.links.len()), ("outer", 2, 1));
    assert_eq!(chain.steps, [Step::Rule(0), Step::Link(0)]);
    assert_eq!(chain.links[0].steps, [Step::Rule(0), Step::Rule(1)]);
    assert_eq!(chain.reach(), Duration::from_secs(600));
    let told = file(&chained).1.join("\n");
    assert!(told.contains("alerts nobody by itself"), "{told}");
    let cycle = chained.replace("rules: [one, two]", "rules: [one, outer]");
    let told = file(&cycle).1.join("\n");
    assert!(told.contains("outer -> two_steps -> outer"), "{told}");
}

/// A correlation that counts what another finds, which begins the file.
const LINKED: &str = r"
title: Outer
name: outer
level: high
correlation:
  type: event_count
  rules: [two_steps]
  group-by: [user]
  timespan: 5m
  condition: {gte: 2}
---";

#[test]
fn what_cannot_refer_or_be_referred_to_is_told() {
    let good = format!("{LINKED}{}", GOOD.replacen("magsentinel:\n  plan: [Look.]\n", "", 1));
    assert_eq!(file(&good).1, Vec::<String>::new());
    for (from, to, part) in [
        ("condition: {gte: 2}", "condition: {lte: 2}", "waits for time to pass"),
        ("condition: {gte: 2}", "condition: {gte: 2}\n  generate: true", "generate"),
        ("  type: event_count", "  type: value_sum", "needs condition.field"),
        (
            "type: event_count\n  rules: [two_steps]\n  group-by: [user]\n  timespan: 5m\n  \
             condition: {gte: 2}",
            "type: value_sum\n  rules: [two_steps]\n  group-by: [user]\n  timespan: 5m\n  \
             condition: {gte: 2, field: score}",
            "counts values of a correlation",
        ),
        ("group-by: [user]", "group-by: [client]", "of another group-by"),
        ("timespan: 5m", "timespan: 86399s", "exceed 1d together"),
        ("[two_steps]", "[outer]", "cycle of correlations: outer -> outer"),
        ("name: two_steps", "name: outer", "two correlations have the name"),
        ("name: one\n", "name: outer\n", "a rule and a correlation have the name"),
    ] {
        assert!(good.contains(from), "{from}");
        let told = file(&good.replacen(from, to, 1)).1.join("\n");
        assert!(told.contains(part), "{from} -> {to}: {told:?}");
    }
    let inner = good.replacen("type: temporal_ordered", "type: event_count", 1);
    let waits = inner.replacen("timespan: 5m\n---", "timespan: 5m\n  condition: {lte: 3}\n---", 1);
    let told = file(&waits).1.join("\n");
    assert!(told.contains("waits for time to pass"), "{told}");
}

#[test]
fn correlations_that_refer_in_a_row_are_bounded() {
    let row = |length: usize| {
        let mut text = GOOD.replacen("magsentinel:\n  plan: [Look.]\n", "", 1);
        let mut before = "two_steps".to_owned();
        for n in 1..length {
            let name = format!("n{n}");
            let next = LINKED.replace("[two_steps]", &format!("[{before}]"));
            let next = next.replace("outer", &name).replace("Outer", &name);
            text = format!("{next}{text}");
            before = name;
        }
        file(&text).1.join("\n")
    };
    assert_eq!(row(4), "");
    assert!(row(5).contains("more than 4 that refer in a row"), "{}", row(5));
}
