use super::*;
use crate::{
    Keeper,
    incident::tests::at,
    stage::tests::{config, deliveries_of, handle},
};
use magsentinel_bus_schema::Id;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

fn filled(names: &[&str]) -> (TempDir, Config) {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let mut keeper = Keeper::open(&config).unwrap();
    for name in names {
        assert!(handle(&mut keeper, &deliveries_of(name)).failures().is_empty());
    }
    (folder, config)
}

fn keys(logbook: &Logbook, filter: &Filter) -> Vec<String> {
    let rows = logbook.incidents(filter).unwrap();
    rows.into_iter().map(|row| row.key.replace("key of ", "")).collect()
}

#[test]
fn incidents_are_listed_newest_first_and_page_by_page() {
    let (_folder, config) = filled(&["a", "b", "c", "d", "e"]);
    let logbook = Logbook::open_configured(&config).unwrap();
    let mut filter = Filter { limit: Some(2), ..Filter::default() };
    let mut seen = Vec::new();
    loop {
        let page = logbook.incidents(&filter).unwrap();
        let Some(last) = page.last() else { break };
        filter.cursor = Some(last.opened);
        seen.extend(page.into_iter().map(|row| row.key));
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"].map(|name| format!("key of {name}")));
    let capped = Config { list_max: 3, ..config };
    let logbook = Logbook::open_configured(&capped).unwrap();
    assert_eq!(keys(&logbook, &Filter { limit: Some(100), ..Filter::default() }).len(), 3);
}

#[test]
fn filters_hold() {
    let (_folder, config) = filled(&["a", "b"]);
    let logbook = Logbook::open_configured(&config).unwrap();
    let all = Filter::default();
    for (filter, count) in [
        (all.clone(), 2),
        (Filter { level_min: Level::Critical, ..all.clone() }, 2),
        (Filter { since: Some(at(2)), ..all.clone() }, 2),
        (Filter { since: Some(at(3)), ..all.clone() }, 0),
        (Filter { attack_type: Some(Token::sanitised("sql_injection")), ..all.clone() }, 2),
        (Filter { attack_type: Some(Token::sanitised("other")), ..all.clone() }, 0),
        (Filter { limit: Some(0), ..all }, 0),
    ] {
        assert_eq!(keys(&logbook, &filter).len(), count, "{filter:?}");
    }
}

#[test]
fn an_incident_is_found_by_any_prefix_that_is_its_own() {
    let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_folder, config) = filled(&names);
    let logbook = Logbook::open_configured(&config).unwrap();
    let id = Id::derived(&["incident", "n7"]).to_string();
    for prefix in [id.as_str(), &id[..8], &id[..20].to_uppercase(), &format!(" {id} ")] {
        let found = logbook.incident(prefix).unwrap().unwrap();
        assert_eq!(found.incident.id.to_string(), id);
        assert_eq!((found.assessments.len(), found.outcomes.len(), found.omitted), (2, 1, 0));
    }
    assert!(logbook.incident("00000000-0000").unwrap().is_none());
    for wrong in ["", "abc", "xyz1", "%%%%", "' OR 1=1"] {
        assert!(matches!(logbook.incident(wrong), Err(Error::NoId(_))), "{wrong}");
    }
    let tight = Config { incident_records_max: 3, ..config };
    let found = Logbook::open_configured(&tight).unwrap().incident(&id).unwrap().unwrap();
    assert_eq!((found.omitted, found.assessments.len(), found.analyses.len()), (4, 0, 1));
}

#[test]
fn a_prefix_of_several_is_told_with_their_ids() {
    let (_folder, config) = filled(&["a"]);
    let path = config.file().unwrap();
    let id = Id::derived(&["incident", "a"]).to_string();
    // A second tenant with an incident of the same id.
    let raw = Connection::open(&path).unwrap();
    let copy = "INSERT INTO incident SELECT 'other', id, 99, level, attack_type, last_us, shown \
                FROM incident";
    raw.execute(copy, []).unwrap();
    let logbook = Logbook::open_read(&path).unwrap();
    let Err(Error::Ambiguous { ids, .. }) = logbook.incident(&id[..8]) else { panic!() };
    assert_eq!(ids.len(), 2);
}

#[test]
fn what_is_no_logbook_is_told_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("none.db");
    assert!(matches!(Logbook::open_read(&path), Err(Error::Missing(_))));
    assert!(!path.exists());
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(Logbook::open_read(&path), Err(Error::Missing(_))));
}

#[test]
fn reading_works_while_the_writer_writes() {
    let (_folder, config) = filled(&["first"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut keeper = Keeper::open(&config).unwrap();
            for n in 0..40 {
                let out = handle(&mut keeper, &deliveries_of(&n.to_string()));
                assert!(out.failures().is_empty());
            }
            done.store(true, Ordering::Release);
        });
        let logbook = Logbook::open_configured(&config).unwrap();
        let (mut before, mut finished) = (0, false);
        while !finished {
            finished = done.load(Ordering::Acquire);
            let rows = logbook.incidents(&Filter::default()).unwrap();
            // A batch is seen whole or not at all.
            assert!(rows.iter().all(|row| (row.revision, row.outcomes, row.analyses) == (2, 1, 1)));
            assert!(rows.len() >= before);
            before = rows.len();
            assert!(logbook.incident(&rows[0].id.to_string()).unwrap().is_some());
        }
        assert_eq!(before, 41);
        assert_eq!(logbook.verify().unwrap().records, 41 * 7);
    });
}
