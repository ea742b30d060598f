//! Every patrol in the mesh: its scenario is played, and what stands on the bus afterwards is what
//! `magsentinel score` says of the same rows.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Event, Fields, Id, Level, Scored, Stream, Subject, Token, subject};
use magsentinel_patrol::patrols::{Entry, TABLE};
use magsentinel_runtime::bus::Bus;
use magsentinel_tests::{Mesh, held, repository, wait_for};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// What is said of a row that is flagged.
type Said = (Level, String);

/// What `magsentinel score` says of the flagged rows of a file, by row.
fn scored(mesh: &Mesh, patrol: &str, file: &Path) -> BTreeMap<String, Said> {
    let out = mesh.output(&["score", patrol, file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = std::str::from_utf8(&out.stdout).unwrap().lines();
    let said = |line: &str| {
        let mut row: Fields = serde_json::from_str(line).unwrap();
        let verdict = row.0.remove("scored").unwrap();
        let level = Level::from_token(verdict["level"].as_str().unwrap()).unwrap();
        let category = verdict["category"].as_str()?.to_owned();
        level.is_flagged().then(|| (name(&row), (level, category)))
    };
    lines.filter_map(said).collect()
}

fn name(row: &Fields) -> String {
    serde_json::to_string(row).unwrap()
}

/// Whether the ledger of the mesh has the patrol's rows, and nothing waits in any of them.
fn is_done(mesh: &Mesh, entry: &Entry, events: usize) -> bool {
    let out = mesh.output(&["status", "--output", "json"]);
    let told: Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    let rows = told["ledger"].as_array().cloned().unwrap_or_default();
    let of_it = |row: &&Value| {
        row["consumer"].as_str().is_some_and(|consumer| consumer.starts_with(entry.spec.name))
    };
    let rows: Vec<&Value> = rows.iter().filter(of_it).collect();
    let here = |row: &&&Value| row["stream"] == "EVENTS" && row["handled"] == events;
    rows.len() == entry.spec.keys.len().max(1)
        && rows.iter().any(|row| here(&row))
        && rows.iter().all(|row| row["waiting"] == 0 && row["in_flight"] == 0)
}

/// What the patrol has published of flagged rows, the worst of each.
async fn published(bus: &Bus, entry: &Entry) -> BTreeMap<String, Said> {
    let mut rows: BTreeMap<Id, String> = BTreeMap::new();
    for kind in entry.spec.kinds {
        let filter = subject::events_of(bus.tenant(), *kind);
        let events: Vec<Event> = held(bus, Stream::Events, filter).await;
        rows.extend(events.iter().map(|event| (event.id, name(&event.body))));
    }
    let patrol: Token = entry.spec.name.parse().unwrap();
    let mut worst: BTreeMap<String, (Level, f32, String)> = BTreeMap::new();
    for level in Level::ALL.iter().filter(|level| level.is_flagged()) {
        let filter = Subject::Scored(patrol.clone(), *level).of(bus.tenant());
        for found in held::<Scored>(bus, Stream::Scored, filter).await {
            let of_row = worst.entry(rows[&found.event].clone()).or_default();
            if (found.level, found.score) > (of_row.0, of_row.1) {
                *of_row = (found.level, found.score, found.category.to_string());
            }
        }
    }
    worst.into_iter().map(|(row, (level, _, category))| (row, (level, category))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_patrol_says_on_the_bus_is_what_score_says_of_the_same_rows() {
    let mut mesh = Mesh::new();
    for entry in TABLE {
        mesh.start(entry.spec.name, &[]);
    }
    mesh.ready().await;
    let bus = mesh.bus().await;
    for entry in TABLE {
        let patrol = entry.spec.name;
        let file = repository().join(format!("agents/patrol/scenarios/{patrol}.jsonl"));
        let mut args = vec!["replay", file.to_str().unwrap(), "--speed", "0"];
        args.extend(["--tenant", "default"]);
        // Rows of a patrol that scores several kinds name theirs.
        if let [kind] = entry.spec.kinds {
            args.extend(["--kind", kind.token()]);
        }
        let played = mesh.output(&args);
        assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
        let rows = std::fs::read_to_string(&file).unwrap().lines().count();
        wait_for(&format!("{patrol} to be done"), async || {
            is_done(&mesh, entry, rows).then_some(())
        })
        .await;
        let said = published(&bus, entry).await;
        assert!(!said.is_empty(), "{patrol} flags nothing");
        let wanted = scored(&mesh, patrol, &file);
        let differing = said.iter().filter(|(row, what)| wanted.get(*row) != Some(what));
        let lacking = wanted.iter().filter(|(row, what)| said.get(*row) != Some(what));
        let (more, less): (Vec<_>, Vec<_>) = (differing.collect(), lacking.collect());
        assert!(more.is_empty() && less.is_empty(), "{patrol} says {more:#?}\nscore {less:#?}");
    }
}
