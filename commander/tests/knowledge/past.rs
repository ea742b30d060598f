//! Incidents of the past.

use crate::{LIMITS, assessment, library};
use magsentinel_bus_schema::{
    Assessment, Class, Closure, Entity, Id, Judgement, Level, Tenant, Trust,
};
use magsentinel_commander::{Library, knowledge::library::Limits};
use tempfile::TempDir;

/// Another incident, of a role and a table of its own.
fn other(n: usize, attack: &str, user: &str) -> Assessment {
    let mut a = assessment();
    a.incident = Id::derived(&["incident", &n.to_string()]);
    a.attack_type = attack.parse().expect("a token");
    for e in &mut a.evidence {
        e.entities =
            vec![Entity { class: Class::User, value: user.to_owned(), trust: Trust::Observed }];
    }
    a.affected.clear();
    a
}

fn learn(library: &mut Library, all: &[Assessment]) {
    library.learn(all.iter(), [].iter());
}

#[test]
fn the_most_alike_come_first_with_what_is_shared_and_what_was_said_of_them() {
    let folder = TempDir::new().expect("a folder");
    let mut library = library(&folder);
    let mut strange = other(1, "beaconing", "nobody");
    strange.chain = "call_home".parse().expect("a token");
    strange.techniques.clear();
    for e in &mut strange.evidence {
        (e.category, e.patrol) = ("beacon".parse().expect("a token"), "flow".parse().expect("one"));
        e.techniques.clear();
    }
    let same_role = other(2, "sql_injection_exfiltration", "shop_web");
    let same_type = other(3, "sql_injection_exfiltration", "reporting");
    learn(&mut library, &[same_role.clone(), strange, same_type.clone()]);
    let closure = Closure {
        v: 1,
        id: Id::derived(&["closure"]),
        incident: same_role.incident,
        tenant: Tenant::default(),
        judgement: Judgement::TruePositive,
        by: String::new(),
        note: String::new(),
        patrols: vec![],
        ts: same_role.last,
    };
    library.learn([].iter(), [closure].iter());
    let now = assessment();
    learn(&mut library, std::slice::from_ref(&now));
    let past = library.known(&now).past;
    let found: Vec<Id> = past.iter().map(|p| p.incident).collect();
    assert_eq!(found, [same_role.incident, same_type.incident], "never itself: {past:?}");
    assert_eq!(past[0].judgement, Some(Judgement::TruePositive));
    assert_eq!(past[0].shared[0], "user shop_web", "the rarest first: {:?}", past[0].shared);
    // A revision keeps what was said, and its worst level.
    let milder = Assessment { level: Level::High, count: 99, ..same_role };
    learn(&mut library, &[milder]);
    let past = library.known(&now).past;
    assert_eq!((past[0].level, past[0].count), (Level::Critical, 99));
    assert_eq!(past[0].judgement, Some(Judgement::TruePositive));
}

#[test]
fn memory_outlives_the_process_is_bounded_and_stays_within_its_tenant() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("knowledge.db");
    let limits = Limits { incidents_max: 2, ..LIMITS };
    let now = assessment();
    let open = || Library::open_file(&path, limits).expect("opened");
    let all: Vec<Assessment> =
        (1..=3).map(|n| other(n, "sql_injection_exfiltration", "shop_web")).collect();
    learn(&mut open(), &all);
    let mut again = open();
    let found: Vec<Id> = again.known(&now).past.iter().map(|p| p.incident).collect();
    assert_eq!(
        found,
        [all[2].incident, all[1].incident],
        "the newest of equals; the first is gone"
    );
    let elsewhere = Assessment { tenant: "other".parse().expect("a tenant"), ..now };
    assert!(again.known(&elsewhere).past.is_empty());
}

#[test]
fn forgetting_goes_on_for_long_and_the_index_follows() {
    let folder = TempDir::new().expect("a folder");
    let limits = Limits { incidents_max: 50, ..LIMITS };
    let path = folder.path().join("knowledge.db");
    let mut library = Library::open_file(&path, limits).expect("opened");
    for batch in 0..30 {
        let all: Vec<Assessment> =
            (0..50).map(|n| other(batch * 50 + n, "sql_injection", "shop_web")).collect();
        learn(&mut library, &all);
    }
    assert_eq!(library.report()["past_incidents"], 50);
    let newest = other(30 * 50 - 1, "sql_injection", "").incident;
    assert_eq!(library.known(&assessment()).past[0].incident, newest);
}
