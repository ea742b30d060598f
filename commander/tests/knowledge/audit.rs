//! What was decided and done about an incident, as the next analysis of it is told.

use crate::{LIMITS, assessment, library};
use magsentinel_bus_schema::{
    Assessment, Closure, Effect, Id, Judgement, Outcome, OutcomeStatus, Response, Tenant,
};
use magsentinel_commander::{
    Library,
    knowledge::{audit::Noted, library::Limits},
};
use std::time::Duration;
use tempfile::TempDir;

fn closure(of: &Assessment, note: &str) -> Closure {
    Closure {
        v: 1,
        id: Id::derived(&["closure", note]),
        incident: of.incident,
        tenant: Tenant::default(),
        judgement: Judgement::TruePositive,
        by: "dana".to_owned(),
        note: note.to_owned(),
        patrols: vec![],
        ts: of.last.plus(Duration::from_secs(60)),
    }
}

fn outcome(of: &Assessment, n: u64) -> Outcome {
    Outcome {
        v: 1,
        id: Id::derived(&["outcome", &n.to_string()]),
        action: Id::derived(&["action"]),
        incident: of.incident,
        tenant: Tenant::default(),
        effect: Effect::SuspendUser { user: "shop_web".to_owned(), system: "sql".to_owned() },
        status: OutcomeStatus::Refused,
        detail: format!("never block {n}"),
        inverse: String::new(),
        ts: of.last.plus(Duration::from_secs(n)),
        until: None,
        hash: None,
        order: None,
        evidence: None,
    }
}

fn note(library: &mut Library, of: &Assessment, noted: &[Noted]) {
    library.learn([of].into_iter(), [].iter());
    library.note(noted.iter());
}

#[test]
fn the_newest_entries_are_told_in_order_each_once_and_what_is_cut_is_stated() {
    let folder = TempDir::new().expect("a folder");
    let mut library = library(&folder);
    let a = assessment();
    let later = Assessment { response: Response::Alert, revision: 7, ..assessment() };
    let noted: Vec<Noted> = [Noted::decided(&a), Noted::decided(&a), Noted::decided(&later)]
        .into_iter()
        .chain((1..=2).map(|n| Noted::became(&outcome(&a, n))))
        .chain([Noted::judged(&closure(&a, "ask \u{202e}the shop"))])
        .collect();
    note(&mut library, &a, &noted);
    // What is delivered again is no entry of its own.
    note(&mut library, &a, &noted);
    let known = library.known(&a);
    let texts: Vec<&str> = known.audit.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "The action suspend_user is refused",
            "The action suspend_user is refused",
            "An operator judged the incident a true-positive",
        ]
    );
    assert_eq!(known.audit[1].quote, "never block 2");
    assert_eq!(known.audit[2].quote, "ask the shop");
    assert!(known.left_out.contains(&"1 older entries of the logbook".to_owned()), "{known:?}");
}

#[test]
fn another_incident_or_tenant_has_none_of_it_and_what_is_forgotten_takes_its_entries_along() {
    let folder = TempDir::new().expect("a folder");
    let limits = Limits { incidents_max: 1, ..LIMITS };
    let path = folder.path().join("knowledge.db");
    let mut library = Library::open_file(&path, limits).expect("opened");
    let a = assessment();
    let other = Assessment { incident: Id::derived(&["other"]), ..assessment() };
    let foreign = Assessment { tenant: "elsewhere".parse().expect("a tenant"), ..assessment() };
    note(&mut library, &a, &[Noted::became(&outcome(&a, 1)), Noted::became(&outcome(&other, 2))]);
    assert_eq!(library.known(&a).audit.len(), 1);
    assert!(library.known(&other).audit.is_empty() && library.known(&foreign).audit.is_empty());
    // Kept over a restart, and gone with its incident.
    drop(library);
    let mut library = Library::open_file(&path, limits).expect("opened");
    assert_eq!(library.known(&a).audit.len(), 1);
    library.learn([&other].into_iter(), [].iter());
    assert!(library.known(&a).audit.is_empty());
}

#[test]
fn an_incident_of_thousands_of_outcomes_keeps_the_newest() {
    let folder = TempDir::new().expect("a folder");
    let mut library = library(&folder);
    let a = assessment();
    let noted: Vec<Noted> = (0..2000).map(|n| Noted::became(&outcome(&a, n))).collect();
    note(&mut library, &a, &noted);
    let known = library.known(&a);
    assert_eq!(known.audit[2].quote, "never block 1999");
    let told = "253 or more older entries of the logbook".to_owned();
    assert!(known.left_out.contains(&told), "{:?}", known.left_out);
}
