//! The core beside the correlation engine of `rsigma-eval`, where both define the same: events in
//! order, at whole seconds, each with its key, none twice. Where they differ by definition, a test
//! of its own says how.

use crate::{
    Config,
    assess::Revision,
    chain::Book,
    core::Core,
    router,
    testing::{Naming, START, at, scored},
};
use magsentinel_bus_schema::{Class, Level, Scored, Status, Trust};
use magsentinel_runtime::settings::Span;
use proptest::prelude::*;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, JsonEvent};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// By user (none: no name at all): the seconds at which it alerted.
type Alerts = BTreeMap<Option<String>, BTreeSet<i64>>;

/// A correlation over the patrols `p0`, `p1`, …, as both read it. The rival finds rules by `id`.
fn rules(kind: &str, rules: usize, seconds: u64, condition: &str) -> String {
    let names: Vec<String> = (0..rules).map(|i| format!("r{i}")).collect();
    let mut text = format!(
        "title: Tested\nname: tested\nlevel: critical\ncorrelation:\n  type: {kind}\n  \
         rules: [{}]\n  group-by: [user]\n  timespan: {seconds}s\n{condition}",
        names.join(", ")
    );
    for name in &names {
        let patrol = name.replace('r', "p");
        text += &format!(
            "\n---\ntitle: {name}\nid: {name}\nname: {name}\nlogsource: {{product: magsentinel, \
             service: scored}}\ndetection:\n  it: {{patrol: {patrol}}}\n  condition: it\n"
        );
    }
    text
}

fn condition(of: &str) -> String {
    if of.is_empty() { String::new() } else { format!("  condition: {{{of}}}\n") }
}

fn ours(text: &str, stream: &[Scored]) -> Alerts {
    let book = Arc::new(Book::parse("tested.yml", text).unwrap());
    // The stream is in order: nothing has to be waited for.
    let config = Config { lateness: Span::s(0), ..Config::default() };
    let config = if in_order(stream) { config } else { Config::default() };
    // Every instant at which it alerts is compared, and the rival knows of no sources.
    let config = Config { update_every: Span::s(0), source_lag_max: Span::s(0), ..config };
    let mut core = Core::new(Arc::new(config), book.clone());
    let mut alerts = Alerts::new();
    let mut tell = |revisions: Vec<Revision>| {
        for Revision { assessment: of, .. } in revisions {
            if of.status != Status::Closed {
                let second = of.last.micros() / 1_000_000 - START;
                alerts.entry(Some(of.key)).or_default().insert(second);
            }
        }
    };
    for event in stream {
        for keyed in router::route(&book.classes(), event, 1) {
            core.give(keyed.to_keyed(), at(1e6), at(1e6)).unwrap();
        }
        tell(core.settle(at(1e6)));
    }
    tell(core.conclude(at(1e6)));
    alerts
}

fn in_order(stream: &[Scored]) -> bool {
    stream.is_sorted_by_key(|event| event.ts)
}

fn theirs(text: &str, stream: &[Scored]) -> Alerts {
    let mut engine = CorrelationEngine::new(CorrelationConfig::default());
    engine.add_collection(&rsigma_parser::parse_sigma_yaml(text).unwrap()).unwrap();
    let mut alerts = Alerts::new();
    for event in stream {
        let mut plain = json!({ "patrol": event.patrol, "score": event.score });
        for entity in &event.entities {
            plain[entity.class.token()] = json!(entity.value);
        }
        let second = event.ts.micros() / 1_000_000;
        for found in engine.process_event_at(&JsonEvent::borrow(&plain), second) {
            let ours = found.header.rule_title == "Tested";
            let Some(correlation) = found.as_correlation().filter(|_| ours) else { continue };
            let user = correlation.group_key.first().map(|(_, user)| user.clone());
            alerts.entry(user).or_default().insert(second - START);
        }
    }
    alerts
}

fn first(alerts: &Alerts) -> BTreeMap<Option<String>, i64> {
    alerts.iter().filter_map(|(user, at)| Some((user.clone(), *at.first()?))).collect()
}

fn event(n: usize, patrol: u8, second: i64) -> Scored {
    scored(&n.to_string(), &format!("p{patrol}"), Level::High, second as f64)
}

/// Events in order, each of one of two users, with a score that floating point adds up exactly,
/// and most with a resource.
fn streams() -> impl Strategy<Value = Vec<Scored>> {
    let one = (0..4_i64, 0..2_u8, 0..3_u8, 0..5_u8, 0..4_u8);
    prop::collection::vec(one, 0..40).prop_map(|raw| {
        let mut second = 0;
        let made =
            raw.into_iter().enumerate().map(|(n, (pause, user, patrol, score, resource))| {
                second += pause;
                let event = event(n, patrol, second).user(&format!("u{user}"));
                let event = Scored { score: f32::from(score) / 4.0, ..event };
                match resource {
                    0 => event,
                    _ => event.naming(Class::Resource, &format!("t{resource}"), Trust::Observed),
                }
            });
        made.collect()
    })
}

fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn counts_and_sums_alert_at_the_same_instants(
        stream in streams(),
        used in 1..4_usize,
        seconds in 1..12_u64,
        least in 1..6_u64,
        kind in 0..2_usize,
        operator in prop_oneof![Just("gte"), Just("gt")],
    ) {
        let kinds = [("event_count", ""), ("value_sum", "field: score, ")];
        let (kind, field) = kinds[kind];
        let text = rules(kind, used, seconds, &condition(&format!("{field}{operator}: {least}")));
        prop_assert_eq!(ours(&text, &stream), theirs(&text, &stream));
    }

    #[test]
    fn different_values_and_steps_alert_first_at_the_same_instant(
        stream in streams(),
        used in 2..4_usize,
        seconds in 1..12_u64,
        least in 1..4_u64,
        kind in 0..3_usize,
    ) {
        let values = format!("field: resource, gte: {least}");
        // The rival's temporal correlation takes the number of rules as its condition.
        let all = format!("gte: {used}");
        let kinds = [
            ("value_count", values.as_str(), values.as_str()),
            ("temporal", "", all.as_str()),
            ("temporal_ordered", "", ""),
        ];
        let (kind, own, rivals) = kinds[kind];
        let own = ours(&rules(kind, used, seconds, &condition(own)), &stream);
        let rivals = theirs(&rules(kind, used, seconds, &condition(rivals)), &stream);
        prop_assert_eq!(first(&own), first(&rivals));
    }
}

proptest! {
    #![proptest_config(cases())]

    /// The rival looks at a window with every event, ours when nothing can change it: the same
    /// where no two events share an instant.
    #[test]
    fn numbers_that_rise_and_fall_alert_at_the_same_instants(
        raw in prop::collection::vec((1..4_i64, 0..2_u8, 0..2_u8, 0..5_u8, 0..3_u8), 0..40),
        used in 1..3_usize,
        seconds in 1..12_u64,
        (least, most) in (1..4_u64, 0..3_u64),
        kind in prop_oneof![
            Just("event_count|"),
            Just("value_count|field: resource, "),
            Just("value_sum|field: score, "),
            Just("value_avg|field: score, "),
            Just("value_median|field: score, "),
        ],
        operator in 0..4_u8,
    ) {
        let mut second = 0;
        let events = raw.into_iter().enumerate().map(|(n, (pause, user, patrol, score, resource))| {
            second += pause;
            let event = event(n, patrol, second).user(&format!("u{user}"));
            let event = Scored { score: f32::from(score) / 4.0, ..event };
            event.naming(Class::Resource, &format!("t{resource}"), Trust::Observed)
        });
        let stream: Vec<_> = events.collect();
        let (kind, field) = kind.split_once('|').unwrap();
        let (least, most) = if kind == "value_avg" || kind == "value_median" {
            (0, 1)
        } else {
            (least, least + most)
        };
        let range = match operator {
            0 => format!("lte: {most}"),
            1 => format!("lt: {}", most + 1),
            2 => format!("eq: {most}"),
            _ => format!("gt: {least}, lt: {}", most + 2),
        };
        let text = rules(kind, used, seconds, &condition(&format!("{field}{range}")));
        // Averages of scores are at most 1.
        prop_assume!(Book::parse("tested.yml", &text).is_ok());
        prop_assert_eq!(ours(&text, &stream), theirs(&text, &stream));
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_alias_gives_the_same_key_to_different_classes(
        raw in prop::collection::vec((0..4_i64, 0..3_u8, 0..3_u8, 0..2_u8), 0..40),
        seconds in 1..12_u64,
        kind in 0..2_usize,
    ) {
        let mut second = 0;
        let events = raw.into_iter().enumerate().map(|(n, (pause, user, key, patrol))| {
            second += pause;
            let event = event(n, patrol, second).user(&format!("u{user}"));
            event.naming(Class::Key, &format!("u{key}"), Trust::Observed)
        });
        let stream: Vec<_> = events.collect();
        let aliases = "  aliases: {who: {r0: user, r1: key}}\n";
        let (kind, wanted) = [("event_count", "gte: 3"), ("temporal_ordered", "")][kind];
        let text = rules(kind, 2, seconds, &format!("{aliases}{}", condition(wanted)));
        let text = text.replace("[user]", "[who]");
        prop_assert_eq!(first(&ours(&text, &stream)), first(&theirs(&text, &stream)));
    }
}

/// A correlation of another, as both read it.
fn chained(outer: (&str, &str, &str), inner: (&str, &str), seconds: (u64, u64)) -> String {
    let (kind, steps, wanted) = outer;
    let text = rules(kind, 3, seconds.0, &condition(wanted));
    let text = text.replacen("[r0, r1, r2]", &format!("[{steps}]"), 1);
    let (kind, wanted) = inner;
    let counted = rules(kind, 2, seconds.1, &condition(wanted));
    let (head, _) = counted.split_once("\n---\n").unwrap();
    let head = head.replace("title: Tested\nname: tested", "title: Inner\nid: inner\nname: inner");
    let text = format!("{head}\n---\n{text}");
    // A rule that nobody uses is an error of ours.
    if steps.contains("r2") {
        text
    } else {
        text.split("\n---\n").filter(|d| !d.contains("id: r2")).collect::<Vec<_>>().join("\n---\n")
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_correlation_of_a_correlation_alerts_first_at_the_same_instant(
        raw in prop::collection::vec((1..4_i64, 0..2_u8, 0..3_u8), 0..40),
        seconds in (1..12_u64, 1..12_u64),
        (inner, outer) in (1..4_u64, 0..3_usize),
        least in 1..5_u64,
    ) {
        let mut second = 0;
        let events = raw.into_iter().enumerate().map(|(n, (pause, user, patrol))| {
            second += pause;
            event(n, patrol, second).user(&format!("u{user}"))
        });
        let stream: Vec<_> = events.collect();
        let count = format!("gte: {least}");
        // When steps in order are found is defined otherwise: see below.
        let inner = format!("gte: {inner}");
        let inner = ("event_count", inner.as_str());
        let outer = [
            ("temporal_ordered", "inner, r2", ""),
            ("temporal", "r2, inner", "gte: 2"),
            ("event_count", "inner", count.as_str()),
        ][outer];
        let text = chained(outer, inner, seconds);
        prop_assert_eq!(first(&ours(&text, &stream)), first(&theirs(&text, &stream)));
    }
}

fn alerted(user: Option<&str>, at: &[i64]) -> Alerts {
    Alerts::from([(user.map(str::to_owned), at.iter().copied().collect())])
}

#[test]
fn both_find_what_lies_exactly_a_window_apart() {
    let text = rules("event_count", 1, 10, &condition("gte: 2"));
    let ann = |n, second| event(n, 0, second).user("ann");
    let stream = [ann(0, 0), ann(1, 10), ann(2, 21)];
    assert_eq!(ours(&text, &stream), alerted(Some("ann"), &[10]));
    assert_eq!(theirs(&text, &stream), alerted(Some("ann"), &[10]));
}

#[test]
fn an_event_without_the_key_takes_no_part_where_the_rival_groups_all_such() {
    let text = rules("event_count", 1, 10, &condition("gte: 2"));
    let stream = [event(0, 0, 0), event(1, 0, 1)];
    assert_eq!(ours(&text, &stream), Alerts::new());
    assert_eq!(theirs(&text, &stream), alerted(None, &[1]));
}

#[test]
fn an_event_counts_once_where_the_rival_counts_it_for_every_rule_and_every_delivery() {
    let text =
        rules("event_count", 2, 10, &condition("gte: 2")).replace("patrol: p1", "patrol: p*");
    let stream = [event(0, 0, 0).user("ann")];
    assert_eq!(ours(&text, &stream), Alerts::new());
    assert_eq!(theirs(&text, &stream), alerted(Some("ann"), &[0]));
    let text = rules("event_count", 1, 10, &condition("gte: 2"));
    let twice = [stream[0].clone(), stream[0].clone()];
    assert_eq!(ours(&text, &twice), Alerts::new());
    assert_eq!(theirs(&text, &twice), alerted(Some("ann"), &[0]));
}

#[test]
fn what_comes_out_of_order_is_put_in_order_where_the_rival_takes_it_as_it_comes() {
    let text = rules("event_count", 1, 10, &condition("gte: 2"));
    let ann = |n, second| event(n, 0, second).user("ann");
    // Twenty seconds apart, in a window of ten.
    let apart = [ann(0, 25), ann(1, 5)];
    assert_eq!(ours(&text, &apart), Alerts::new());
    assert_eq!(theirs(&text, &apart), alerted(Some("ann"), &[5]));
    // Ten seconds apart, but for one in between in the stream that pushed the first out.
    let near = [ann(0, 5), ann(1, 30), ann(2, 15)];
    assert_eq!(first(&ours(&text, &near)).len(), 1);
    let pushed: Vec<_> = theirs(&text, &near).into_values().flatten().collect();
    assert_eq!(pushed, [15], "by the event of second 30, not that of second 5");
}

#[test]
fn all_rules_must_match_where_the_rival_is_content_with_one() {
    let text = rules("temporal", 2, 10, "");
    let stream = [event(0, 0, 0).user("ann")];
    assert_eq!(ours(&text, &stream), Alerts::new());
    assert_eq!(theirs(&text, &stream), alerted(Some("ann"), &[0]));
}

#[test]
fn a_rule_is_found_by_its_name_where_the_rival_wants_an_id() {
    let text = rules("event_count", 1, 10, &condition("gte: 1")).replace("id: r0\n", "");
    let stream = [event(0, 0, 0).user("ann")];
    assert_eq!(ours(&text, &stream), alerted(Some("ann"), &[0]));
    assert_eq!(theirs(&text, &stream), Alerts::new());
}

#[test]
fn a_window_is_judged_as_a_whole_where_the_rival_judges_it_event_by_event() {
    let text = rules("event_count", 1, 10, &condition("eq: 1"));
    let stream = [event(0, 0, 0).user("ann"), event(1, 0, 0).user("ann")];
    assert_eq!(ours(&text, &stream), Alerts::new());
    assert_eq!(theirs(&text, &stream), alerted(Some("ann"), &[0]));
}

#[test]
fn a_percentile_is_compared_where_the_rival_alerts_on_any() {
    let of = "field: score, percentile: 90, gt: 0";
    let text = rules("value_percentile", 1, 10, &condition(of));
    let stream = [Scored { score: 0.0, ..event(0, 0, 0).user("ann") }];
    assert_eq!(ours(&text, &stream), Alerts::new());
    assert_eq!(theirs(&text, &stream), alerted(Some("ann"), &[0]));
}

#[test]
fn steps_in_order_are_found_at_the_last_of_them_where_the_rival_finds_them_with_every_event() {
    let text = chained(("event_count", "inner", "gte: 2"), ("temporal_ordered", ""), (10, 10));
    let ann = |n, patrol, second| event(n, patrol, second).user("ann");
    let stream = [ann(0, 0, 0), ann(1, 1, 1), ann(2, 0, 2), ann(3, 1, 3)];
    assert_eq!(first(&ours(&text, &stream)).into_values().collect::<Vec<_>>(), [3]);
    assert_eq!(first(&theirs(&text, &stream)).into_values().collect::<Vec<_>>(), [2]);
}
