use super::*;
use crate::testing::{Naming, at, scored};
use crate::window::{Packed, Shapes};
use magsentinel_bus_schema::{Kind, Scored};
use proptest::prelude::*;
use std::time::Duration;

fn model() -> Model {
    Model::load(&Config::default(), &inference::Config::default()).unwrap().unwrap()
}

fn shapes(events: &[Scored]) -> Shapes {
    let mut shapes = Shapes::default();
    for event in events {
        let member = Packed::new(event, &mut vec![]).unwrap().member().unwrap();
        shapes.add((event.ts, event.id), &member);
    }
    shapes
}

#[test]
fn a_surer_model_raises_a_chains_confidence_and_none_lowers_it() {
    let model = model();
    let fixed = chain::Severity::Fixed(Level::Critical);
    let of = |chain: f32, rating: f32| model.combine(fixed, (Level::Critical, chain), rating);
    assert_eq!(of(0.9, 0.2), (Level::Critical, 0.9));
    let (_, raised) = of(0.5, 0.96);
    assert!((raised - 0.8305).abs() < 1e-3, "{raised}");
    let (_, bounded) = of(0.5, 1.0);
    assert!((bounded - 0.969).abs() < 1e-3, "nothing counts without bounds: {bounded}");
    let own = model.combine(chain::Severity::Model, (Level::High, 0.99), 0.4);
    assert_eq!(own, (Level::Low, 0.4));
    assert_eq!(model.combine(chain::Severity::Model, (Level::High, 0.99), 0.1).0, Level::None);
}

#[test]
fn an_attack_over_several_stages_is_rated_above_the_same_weak_finding_again_and_again() {
    let model = model();
    let noise: Vec<Scored> = (0..40)
        .map(|i| scored(&format!("n{i}"), "sql-guard", Level::Low, f64::from(i)).user("u"))
        .collect();
    let mut attack = Vec::new();
    for (i, (kind, patrol, technique)) in [
        (Kind::Api, "api-watch", "T1595"),
        (Kind::Sql, "sql-guard", "T1190"),
        (Kind::Data, "data-flow", "T1213"),
        (Kind::Data, "data-flow", "T1567"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = scored(&format!("a{i}"), patrol, Level::High, i as f64).user("u");
        event.kind = kind;
        event.techniques = vec![technique.to_owned()];
        attack.push(event);
    }
    let rating = |events: &[Scored]| shapes(events).rate(&model, Duration::ZERO).unwrap().rating;
    let (weak, strong) = (rating(&noise), rating(&attack));
    assert!(weak < 0.5 && strong > 0.85, "{weak} {strong}");
    let hidden: Vec<Scored> = noise.iter().chain(&attack).cloned().collect();
    assert!(rating(&hidden) >= strong, "weak findings hide nothing");
}

#[test]
fn a_model_that_cannot_be_loaded_is_told_and_one_that_is_switched_off_is_none() {
    let off = Config { enabled: false, ..Config::default() };
    assert!(Model::load(&off, &inference::Config::default()).unwrap().is_none());
    let missing = Config { model: Some("/nowhere/s.onnx".into()), ..Config::default() };
    let told = Model::load(&missing, &inference::Config::default()).unwrap_err().to_string();
    assert!(told.contains("/nowhere/s.onnx"), "{told}");
}

/// Some events of one key: any kind, level and technique, within an hour.
fn events() -> impl Strategy<Value = Vec<Scored>> {
    let kinds = proptest::sample::select(Kind::ALL);
    let levels = proptest::sample::select(&Level::ALL[1..]);
    let techniques = proptest::sample::select(vec!["T1595", "T1110.003", "T1190", "T1567", "none"]);
    let one = (kinds, levels, techniques, 0.0..=1.0_f32, 0..3600_u32, 0..4_u8);
    proptest::collection::vec(one, 1..40).prop_map(|all| {
        let event = |(i, (kind, level, technique, score, second, who))| {
            let patrol = format!("p{}", i % 3);
            let mut event: Scored = scored(&format!("e{i}"), &patrol, level, f64::from(second));
            (event.kind, event.score, event.confidence) = (kind, score, score);
            event.techniques = vec![String::from(technique)];
            event.user(&format!("u{who}"))
        };
        all.into_iter().enumerate().map(event).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The rating follows from the set of events: neither their order, nor when they were rated,
    /// nor in which parts they came together leaves a trace.
    #[test]
    fn the_rating_is_that_of_the_set(all in events(), cut in 0..40_usize, turn in 0..40_usize) {
        let model = model();
        let keep = Duration::from_secs(7200);
        let whole = shapes(&all).rate(&model, keep).unwrap().clone();
        let mut other = all.clone();
        other.rotate_left(turn % all.len());
        let (first, second) = other.split_at(cut.min(all.len()));
        let mut parts = shapes(first);
        parts.rate(&model, keep);
        let mut rest = shapes(second);
        rest.rate(&model, keep);
        parts.join(rest);
        prop_assert_eq!(parts.rate(&model, keep).unwrap(), &whole);
    }

    /// One more event never lowers any number that the model sees, nor the rating.
    #[test]
    fn more_evidence_is_never_rated_lower(all in events()) {
        let model = model();
        let (mut shapes, mut last) = (Shapes::default(), 0.0);
        for event in &all {
            let member = Packed::new(event, &mut vec![]).unwrap().member().unwrap();
            shapes.add((event.ts, event.id), &member);
            let rating = shapes.clone().rate(&model, Duration::from_secs(7200)).unwrap().rating;
            prop_assert!(rating >= last - 1e-6, "{} after {}", rating, last);
            last = rating;
        }
        let mut fewer = self::shapes(&all[..all.len() - 1]).pairs().into_iter();
        for (from, shape) in self::shapes(&all).pairs() {
            let Some((_, before)) = fewer.find(|(at, _)| *at == from) else { continue };
            for (a, b) in before.vector().iter().zip(shape.vector()) {
                prop_assert!(*a <= b);
            }
        }
    }
}

#[test]
fn an_old_span_is_forgotten_only_when_no_event_in_time_can_change_it() {
    let model = model();
    let event =
        |name: &str, seconds: f64| scored(name, "sql-guard", Level::High, seconds).user("u");
    let mut shapes = shapes(&[event("a", 0.0), event("b", 3000.0)]);
    shapes.rate(&model, Duration::from_secs(3600));
    assert_eq!(shapes.pairs().len(), 2);
    shapes.rate(&model, Duration::from_secs(30));
    assert_eq!(shapes.pairs().len(), 1);
    assert!(shapes.pairs()[0].0 > at(2600.0));
}
