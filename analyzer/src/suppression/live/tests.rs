//! Documents in, configuration, report and record out.

use super::*;
use crate::{
    core::Core,
    router,
    testing::{Naming, at, book, scored},
};
use magsentinel_bus_schema::{Assessment, Level, Limits, Response, decode};
use magsentinel_runtime::settings::Span;

fn document(name: &str, revision: u64, of: &Value) -> Document {
    let bytes = Some(of.to_string().into_bytes());
    Document { name: name.to_owned(), revision, stored: at(1.0), bytes }
}

fn nightly(until: f64) -> Value {
    json!({ "rule": {
        "id": "nightly", "effect": "mute", "class": "user", "key": "backup-*",
        "level_max": "critical", "from": at(10.0).to_string(), "until": at(until).to_string(),
        "reason": "the archive is filled", "by": "ann",
    }})
}

fn taken(live: &Live, document: &Document) -> (Value, SuppressionChange) {
    let (report, told) = live.take(&Tenant::default(), document);
    let told = told.unwrap();
    let change: SuppressionChange = decode(&told.payload, None, Limits::default()).unwrap();
    assert_eq!(
        (told.subject, told.id),
        (Subject::Suppression(change.suppression.clone()), change.id)
    );
    (report, change)
}

/// What is decided of one event of a user, in an incident of its own.
fn decided(core: &mut Core, user: &str, seconds: f64) -> Assessment {
    let book = book("event_count", 1, 300, "  condition: {gte: 1}");
    let event = scored(&format!("{user}{seconds}"), "p0", Level::High, seconds).user(user);
    for keyed in router::route(&book.classes(), &event, 1) {
        core.give(keyed.to_keyed(), at(1e3), at(1e3)).unwrap();
    }
    core.settle(at(1e3)).pop().unwrap().assessment
}

#[test]
fn one_holds_by_the_time_of_the_events_whenever_the_analyzer_hears_of_it() {
    // Events of any time are in time.
    let config = Config { lateness: Span::s(3600), ..Config::default() };
    let live = Arc::new(Live::new(Arc::new(config)));
    let one = book("event_count", 1, 300, "  condition: {gte: 1}");
    let mut core = Core::new(live.current(), one).following(Arc::clone(&live));
    assert_eq!(decided(&mut core, "backup-0", 20.0).response, Response::Alert);
    let (report, change) = taken(&live, &document("nightly", 7, &nightly(100.0)));
    assert_eq!(report, json!({"set": 1, "configured": 0, "refused": {}}));
    assert_eq!((change.changed, change.revision, change.ts), (Changed::Set, 7, at(1.0)));
    assert_eq!(change.rule.unwrap().by, "ann");
    for (seconds, response) in [
        (9.999, Response::Alert),
        (10.0, Response::Allow),
        (100.0, Response::Allow),
        (100.001, Response::Alert),
    ] {
        let of = decided(&mut core, &format!("backup-{seconds}"), seconds);
        assert_eq!(
            (of.response, of.suppressed.len()),
            (response, usize::from(response < Response::Alert))
        );
    }
    // Ended at 40: what came before was suppressed, and still is when it is read again.
    let stored = Stored::read(&document("nightly", 7, &nightly(100.0))).unwrap().unwrap();
    let stored = ended(stored, "bob".to_owned(), at(35.0));
    assert_eq!(stored.rule.until, at(40.0));
    let (_, change) = taken(&live, &document("nightly", 8, &json!(stored)));
    assert_eq!(change.rule.unwrap().ended_by.as_deref(), Some("bob"));
    assert_eq!(decided(&mut core, "backup-a", 40.0).response, Response::Allow);
    assert_eq!(decided(&mut core, "backup-b", 40.001).response, Response::Alert);
    // The history, shown again, changes nothing.
    taken(&live, &document("nightly", 7, &nightly(100.0)));
    assert_eq!(decided(&mut core, "backup-c", 50.0).response, Response::Alert);
}

#[test]
fn what_cannot_be_used_is_told_and_what_held_before_still_holds() {
    let configured: Config = serde_json::from_value(json!({"suppressions": [{
        "id": "fixed", "effect": "mute", "class": "user", "key": "x", "reason": "r", "by": "b",
        "until": at(9.0).to_string(),
    }]}))
    .unwrap();
    let live = Live::new(Arc::new(configured));
    taken(&live, &document("nightly", 1, &nightly(100.0)));
    let spoil = |field: &str, value: Value| {
        let mut of = nightly(100.0);
        of["rule"][field] = value;
        of
    };
    let fixed = spoil("id", json!("fixed"));
    for (revision, name, of, why) in [
        (2, "nightly", json!("hello"), "magsentinel suppress add"),
        (3, "nightly", spoil("colour", json!("red")), "colour"),
        (4, "nightly", spoil("until", json!(null)), "time"),
        (5, "nightly", spoil("until", json!(at(5.0).to_string())), "before"),
        (6, "nightly", spoil("from", json!(null)), "from when"),
        (7, "nightly", spoil("reason", json!(" ")), "reason"),
        (8, "nightly", spoil("id", json!("other")), "its name is other"),
        (9, "fixed", fixed, "the configuration has one"),
    ] {
        let (report, change) = taken(&live, &document(name, revision, &of));
        let said = change.why.unwrap();
        assert!(said.contains(why), "{why} in {said}");
        assert_eq!((change.changed, &report["refused"][name]), (Changed::Refused, &json!(said)));
        assert_eq!(report["set"], 1);
    }
    assert_eq!(live.current().suppressions.len(), 2);
    let gone = Document { bytes: None, ..document("nightly", 10, &json!(0)) };
    let (report, change) = taken(&live, &gone);
    assert_eq!((change.changed, &report["set"]), (Changed::Removed, &json!(0)));
    assert_eq!(live.current().suppressions.len(), 1);
}
