//! The main job: the built-in scenario through every stage, as a newcomer runs it.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_bus_schema::{Level, OutcomeStatus};
use magsentinel_tests::{Mesh, magsentinel};
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

#[test]
fn the_shops_hour_ends_in_one_blocked_incident_with_analysis_and_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let server = std::env::var("MAGSENTINEL_NATS_SERVER").unwrap_or("nats-server".to_owned());
    let data = dir.path().to_str().unwrap();
    let up = Command::new(magsentinel())
        .current_dir(dir.path())
        .args(["up", "--once", "--speed", "600", "--output", "json"])
        .args(["--data", data, "--nats-server", &server])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&up.stderr);
    assert!(up.status.success(), "{errors}");
    let printed: Vec<Value> = String::from_utf8_lossy(&up.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();

    let stages: BTreeSet<&str> = printed.iter().filter_map(|v| v["stage"].as_str()).collect();
    assert_eq!(stages, ["alert", "analysis", "outcome"].into());
    let of = |stage: &'static str| printed.iter().filter(move |v| v["stage"] == stage);
    let chain = |v: &&Value| v["attack_type"] == "sql_injection_exfiltration";
    let alert = of("alert").find(chain);
    let alert = alert.unwrap_or_else(|| panic!("no chain alert in {printed:#?}"));
    assert_eq!(alert["level"], Level::Critical.token());
    assert_eq!(alert["response"], "block");
    assert_eq!(alert["escalate"], true);
    assert_eq!((&alert["class"], &alert["key"]), (&"user".into(), &"shop_app".into()));
    assert_eq!(alert["replayed"], false);

    let analysis = of("analysis").find(chain).unwrap();
    assert_eq!(analysis["incident"], alert["id"]);
    assert_eq!(analysis["author"], "playbook");
    let cited = analysis["chain"][0]["cites"].as_array().unwrap();
    assert!(!cited.is_empty());

    let outcomes: Vec<&Value> = of("outcome").collect();
    let ours = outcomes.iter().filter(|o| o["incident"] == alert["id"]);
    let verbs: Vec<&str> = ours.map(|o| o["effect"]["verb"].as_str().unwrap()).collect();
    assert!(verbs.contains(&"suspend_session") && verbs.contains(&"suspend_user"), "{verbs:?}");
    let dry = serde_json::to_value(OutcomeStatus::WouldApply).unwrap();
    assert!(outcomes.iter().all(|o| o["status"] == dry), "{outcomes:#?}");
    assert!(!verbs.contains(&"block_address"), "the database's peer is no end client");

    the_logbook_tells_it_afterwards(data, alert["id"].as_str().unwrap());
}

fn the_logbook_tells_it_afterwards(data: &str, id: &str) {
    let incident = |args: &[&str]| {
        let path = format!("logbook.path={data}/logbook.db");
        let out = Command::new(magsentinel())
            .args(["--set", &path, "incident"])
            .args(args)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let list = incident(&["list", "--level", "critical"]);
    assert!(list.contains(&id[..8]), "{list}");
    let shown = incident(&["show", &id[..8]]);
    for part in ["shop_app", "UNION", "suspend_session", "customers"] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    let json: Value = serde_json::from_str(&incident(&["show", id, "--output", "json"])).unwrap();
    assert!(json.is_object());
    let page = incident(&["export", id, "--format", "html"]);
    assert!(page.starts_with("<!doctype html>") && page.contains("<circle"), "{page}");
    let bundle: Value =
        serde_json::from_str(&incident(&["export", id, "--format", "stix"])).unwrap();
    assert_eq!(bundle["type"], "bundle");
    let findings = incident(&["export", id, "--format", "ocsf"]);
    assert_eq!(findings.lines().count(), 2, "{findings}");
    assert!(incident(&["export", id]).contains("## Evidence"));
    // What the commander saw, it remembers.
    let out = Command::new(magsentinel())
        .args(["--set", &format!("commander.knowledge={data}/knowledge.db"), "intel", "list"])
        .args(["--output", "json"])
        .output()
        .unwrap();
    let held: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(held["incidents"].as_u64() > Some(0), "{held}");
}

#[test]
fn a_second_up_on_the_same_folder_is_refused() {
    let mesh = Mesh::new();
    let lock = std::fs::File::create(mesh.dir().join("lock")).unwrap();
    lock.lock().unwrap();
    let up = Command::new(magsentinel())
        .args(["up", "--no-scenario", "--data", mesh.dir().to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(up.status.code(), Some(64));
    let said = String::from_utf8_lossy(&up.stderr);
    assert!(said.contains("another `magsentinel up`") && said.contains("--data"), "{said}");
}
