//! Behaviour of the features of `data-flow`.

use super::*;

fn read(ts_us: i64, rows: u64) -> Observation<'static> {
    Observation {
        ts_us,
        timed: true,
        action: "select",
        resource: "products",
        project: Some("shop"),
        rows: Some(rows),
        bytes: None,
        src: Some("10.0.0.7"),
    }
}

fn value(out: &[f32; WIDTH], name: &str) -> f32 {
    let at = NAMES.iter().position(|known| *known == name);
    at.and_then(|at| out.get(at)).copied().unwrap_or(f32::NAN)
}

#[test]
fn a_large_copy_after_small_reads_stands_out() {
    let mut profile = Profile::default();
    for minute in 0..60 {
        profile.observe(&read(minute * 60_000_000, 3 + minute as u64 % 5));
    }
    let copy = Observation { action: "COPY", resource: "customers", ..read(3_600_000_000, 50_000) };
    let out = profile.observe(&copy);
    assert!(value(&out, "rows above the user's mean (deviations)") > 5.0);
    assert!(value(&out, "bulk action, rare for the user") > 4.0);
    assert!((value(&out, "resource is new to the user") - 1.0).abs() < 1e-6);
    assert!((value(&out, "sensitive and bulk or large") - 1.0).abs() < 1e-6);
}

#[test]
fn the_first_read_of_a_stranger_is_nothing() {
    let out = Profile::default().observe(&read(1_700_000_000_000_000, 12));
    assert!(value(&out, "rows above the user's mean (deviations)").abs() < 1e-6);
    assert!(value(&out, "resource is new to the user").abs() < 1e-6);
}

#[test]
fn absurd_numbers_and_times_stay_finite() {
    let mut profile = Profile::default();
    let times = [0, i64::MAX, i64::MIN, -1, 5, 1_700_000_000_000_000, i64::MAX];
    for ts_us in times {
        for rows in [None, Some(0), Some(u64::MAX)] {
            let out = profile.observe(&Observation { rows, bytes: rows, ..read(ts_us, 0) });
            assert!(out.iter().all(|value| value.is_finite() && value.abs() <= 40.0));
        }
    }
    assert_eq!(profile.last_us(), i64::MAX);
}

#[test]
fn a_clock_that_goes_back_counts_as_no_time() {
    let mut profile = Profile::default();
    profile.observe(&read(10_000_000, 1));
    let out = profile.observe(&read(1, 1));
    assert!(value(&out, "seconds since the last event (ln)").abs() < 1e-6);
    assert_eq!(profile.last_us(), 10_000_000);
}

#[test]
fn a_profile_survives_its_serialised_form() {
    let mut profile = Profile::default();
    for at in 0..500i64 {
        let resource = format!("table {}", at % 90);
        let seen = Observation { resource: &resource, ..read(at * 300_000_000, at as u64 * 97) };
        profile.observe(&seen);
    }
    let text = serde_json::to_string(&profile).unwrap_or_default();
    let back: Result<Profile, _> = serde_json::from_str(&text);
    assert_eq!(back.ok().as_ref().map(Profile::events), Some(profile.events()));
    assert!(size_of::<Profile>() <= 352, "{}", size_of::<Profile>());
}

#[test]
fn a_stranger_who_reads_many_secrets_stands_out_and_their_keeper_does_not() {
    let taken = "counts say secrets are taken";
    let read = |at: i64| Observation {
        action: "GetSecretValue",
        resource: "secret",
        rows: None,
        ..read(at * 1_000_000, 0)
    };
    let mut thief = Profile::default();
    let last = (0..9).map(|at| value(&thief.observe(&read(at)), taken)).last();
    assert_eq!(last, Some(1.0));
    let mut few = Profile::default();
    assert!((0..5).all(|at| value(&few.observe(&read(at)), taken) < 0.5), "a program's start");
    let mut keeper = Profile::default();
    keeper.observe(&Observation { action: "CreateSecret", ..read(0) });
    assert!((0..20).all(|at| value(&keeper.observe(&read(at)), taken) < 0.5));
    let mut busy = Profile::default();
    // Every half hour for days: so many are this account's usual hour.
    let calm = (0..400).map(|n| (n, value(&busy.observe(&read(n * 180)), taken)));
    let late = calm.filter(|(n, value)| *n > 100 && *value > 0.5).count();
    assert_eq!(late, 0);
}

#[test]
fn without_time_neither_hours_nor_rates_stand_out() {
    let mut profile = Profile::default();
    let mut out = [0.0; WIDTH];
    for _ in 0..300 {
        out = profile.observe(&Observation { timed: false, ..read(0, 5) });
    }
    assert!(value(&out, "rarity of the hour for the user").abs() < 1e-6);
    assert!(value(&out, "events in the last hour (ln)").exp_m1() < 12.0);
    assert!(value(&out, "events of the hour against the user's usual hour (ln ratio)") < 0.5);
}
