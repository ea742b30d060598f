use super::*;
use crate::record::{Draft, Stored, changes, name_of, proposed};
use magsentinel_bus_schema::{Id, Subject, Tenant, Token, pattern::Origin};
use magsentinel_runtime::policy::Document;

const BUDGET: Budget =
    Budget { share_max: 0.0005, shadow_events: 10_000, shadow_for: Duration::from_secs(3600) };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn new() -> Pattern {
    let draft = Draft {
        patrol: Token::sanitised("sql-guard"),
        origin: Origin::Model,
        incident: Some(Id::derived(&["incident"])),
        events: vec![Id::derived(&["event"])],
        title: "Reads the catalogue".to_owned(),
        rule: "title: Reads the catalogue".to_owned(),
    };
    proposed(draft, "commander", at(0))
}

fn seal() -> Seal {
    Seal { signer: "U".to_owned(), signature: "s".to_owned() }
}

fn counted(events: u64, alone: u64) -> Input {
    Input::Counted(Tally { events, hits: alone + 1, alone, samples: vec![Id::derived(&["s"])] })
}

fn verdict(judgement: Judgement, events: u64, ts: i64) -> Input {
    let incident = Id::derived(&["incident"]);
    Input::Judged(Verdict { incident, judgement, events, ts: at(ts) })
}

fn after(pattern: &Pattern, input: Input, seconds: i64) -> Pattern {
    step(pattern, input, "test", at(seconds), &BUDGET).unwrap()
}

/// A life from proposal to roll-back.
fn whole() -> Vec<Input> {
    vec![
        Input::Passed(Proof::default()),
        counted(6_000, 1),
        counted(6_000, 1),
        Input::Promoted(seal()),
        counted(10_000, 2),
        counted(10_000, 20),
    ]
}

#[test]
fn a_pattern_goes_through_every_state_and_out_again_when_its_budget_is_spent() {
    let mut pattern = new();
    let mut states = Vec::new();
    for (second, input) in (1..).zip(whole()) {
        pattern = after(&pattern, input, second);
        states.push(pattern.state());
    }
    use State::{Live, Ready, RolledBack, Shadow};
    assert_eq!(states, [Shadow, Shadow, Ready, Live, Live, RolledBack]);
    let last = pattern.steps.last().unwrap();
    assert_eq!(last.gate, Some(Gate::Watch));
    assert!(last.why.contains("22 of its"), "{}", last.why);
}

/// What the store holds is all there is: whoever reads it goes on where the other stopped, and a
/// step that was taken cannot be taken again.
#[test]
fn a_restart_after_any_step_continues_and_no_step_is_taken_or_told_twice() {
    let inputs = whole();
    let run = |restart_after: usize| {
        let mut pattern = new();
        let mut told = std::collections::BTreeMap::new();
        for (at_step, input) in inputs.iter().enumerate() {
            if at_step == restart_after {
                let bytes = Some(serde_json::to_vec(&pattern).unwrap());
                let name = name_of(&pattern);
                let document = Document { name, revision: 7, stored: at(0), bytes };
                pattern = Stored::read(&document).unwrap().unwrap().pattern;
            }
            pattern = after(&pattern, input.clone(), at_step as i64 + 1);
            for change in changes(&Tenant::default(), &pattern) {
                told.insert(change.id, change.subject.of(&Tenant::default()));
            }
        }
        (pattern, told)
    };
    let (whole, told) = run(usize::MAX);
    assert_eq!(told.len(), whole.steps.len());
    assert_eq!(told.len(), 5);
    for restart_after in 0..inputs.len() {
        assert_eq!(run(restart_after), (whole.clone(), told.clone()), "after {restart_after}");
    }
    // The same input again is refused, or counts as what it is.
    let live = inputs.iter().take(4).fold(new(), |p, input| after(&p, input.clone(), 1));
    let again = step(&live, Input::Promoted(seal()), "test", at(9), &BUDGET).unwrap_err();
    assert_eq!(again.to_string(), "a pattern that is live cannot be promoted");
    assert!(step(&live, Input::Passed(Proof::default()), "test", at(9), &BUDGET).is_err());
}

#[test]
fn nothing_is_promoted_before_it_is_ready_or_after_it_ended() {
    let shadow = after(&new(), Input::Passed(Proof::default()), 1);
    let stopped = Input::Stopped(Gate::Backtest, "too much".to_owned(), None);
    let rejected = after(&shadow, Input::Rejected("no".to_owned()), 2);
    for pattern in [new(), shadow.clone(), after(&new(), stopped, 1), rejected] {
        assert!(step(&pattern, Input::Promoted(seal()), "test", at(2), &BUDGET).is_err());
    }
    let refused = after(&shadow, counted(100, 6), 2);
    assert_eq!((refused.state(), refused.steps[2].gate), (State::Refused, Some(Gate::Shadow)));
    assert!(refused.state().is_final());
}

#[test]
fn shadow_ends_by_time_where_few_events_come_but_never_without_any() {
    let shadow = after(&new(), Input::Passed(Proof::default()), 0);
    assert_eq!(after(&shadow, counted(3, 0), 3599).state(), State::Shadow);
    assert_eq!(after(&shadow, counted(3, 0), 3600).state(), State::Ready);
    let none = Input::Counted(Tally::default());
    assert_eq!(after(&shadow, none, 7200).state(), State::Shadow);
}

#[test]
fn what_operators_say_of_incidents_counts_and_the_newest_word_replaces_the_older() {
    let live = whole().into_iter().take(4).fold(new(), |p, input| after(&p, input, 1));
    let attack = after(&live, verdict(Judgement::TruePositive, 8, 1), 2);
    let busy = after(&attack, counted(100, 8), 3);
    assert_eq!((busy.state(), false_hits(&busy)), (State::Live, 0));
    let ordinary = after(&busy, verdict(Judgement::FalsePositive, 8, 2), 4);
    assert_eq!(ordinary.state(), State::RolledBack);
    // An older word that comes late changes nothing.
    assert_eq!(after(&busy, verdict(Judgement::FalsePositive, 8, 0), 4).state(), State::Live);
}

#[test]
fn steps_are_told_on_the_patrols_subjects_and_what_is_no_pattern_is_refused() {
    let pattern = after(&new(), Input::Passed(Proof::default()), 1);
    let subjects: Vec<_> = changes(&Tenant::default(), &pattern)
        .into_iter()
        .map(|change| change.subject.of(&Tenant::default()))
        .collect();
    let of = |state: &str| {
        Subject::Pattern("sql-guard".parse().unwrap(), state.parse().unwrap())
            .of(&Tenant::default())
    };
    assert_eq!(subjects, [of("proposed"), of("shadow")]);
    let bytes = Some(serde_json::to_vec(&pattern).unwrap());
    let document = Document { name: "sql-guard.x".to_owned(), revision: 1, stored: at(0), bytes };
    assert!(Stored::read(&document).unwrap_err().contains("its name"));
    let strange = Document { bytes: Some(b"{}".to_vec()), ..document };
    assert!(Stored::read(&strange).unwrap_err().contains("magsentinel pattern"));
}
