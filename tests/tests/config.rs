//! Configuration that is wrong: told at once, with the key, before anything starts.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_tests::{Mesh, repository};
use std::process::Output;

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let mesh = Mesh::new();
    let file = mesh.dir().join("magsentinel.yaml");
    let yaml = "analyzer: {latenes: 30s}\nsensor: {poll: 5 minutes}\nkitchen: {}\n\
                patrols: {sql_guard: {thresholds: {low: 0.9}}}\n";
    std::fs::write(&file, yaml).unwrap();
    let out = mesh.output(&["check"]);
    assert_eq!(out.status.code(), Some(64));
    let said = said(&out);
    for part in ["analyzer.latenes", "sensor.poll", "no duration", "kitchen", "thresholds"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn the_defaults_are_fine() {
    let out = Mesh::new().output(&["check", "--connect"]);
    assert!(out.status.success(), "{}", said(&out));
}

#[test]
fn an_unreachable_server_is_named() {
    let mut mesh = Mesh::new();
    mesh.server.kill();
    let out = mesh.output(&["run", "responder", "--set", "bus.startup=300ms"]);
    assert_eq!(out.status.code(), Some(69));
    let said = said(&out);
    assert!(said.contains(&mesh.server.url()) && said.contains("bus.url"), "{said}");
}

#[test]
fn a_missing_or_corrupt_model_keeps_its_patrol_from_starting() {
    let mesh = Mesh::new();
    let missing =
        mesh.output(&["run", "sql-guard", "--set", "patrols.sql_guard.model=/no/such.onnx"]);
    assert!(!missing.status.success());
    assert!(said(&missing).contains("/no/such.onnx"), "{}", said(&missing));
    let file = mesh.dir().join("broken.onnx");
    std::fs::write(&file, b"not a model").unwrap();
    let selftest = repository().join("agents/patrol/models/sql-guard.selftest.json");
    std::fs::copy(selftest, mesh.dir().join("broken.selftest.json")).unwrap();
    let set = format!("patrols.sql_guard.model={}", file.display());
    let broken = mesh.output(&["run", "sql-guard", "--set", &set]);
    assert!(!broken.status.success());
    assert!(said(&broken).contains("broken.onnx"), "{}", said(&broken));
}

#[test]
fn an_unknown_role_lists_the_roles() {
    let out = Mesh::new().output(&["run", "chef"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(said(&out).contains("sql-guard"), "{}", said(&out));
}

#[test]
fn the_shipped_example_is_valid() {
    let file = repository().join("deploy/magsentinel.yaml");
    let out = Mesh::new().output(&["--config", file.to_str().unwrap(), "check"]);
    assert!(out.status.success(), "{}", said(&out));
}

#[test]
fn what_the_readme_shows_is_valid() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let shown: Vec<&str> = readme.split("```yaml\n").skip(1).collect();
    assert!(!shown.is_empty());
    for yaml in shown {
        let mesh = Mesh::new();
        let file = mesh.dir().join("magsentinel.yaml");
        std::fs::write(&file, yaml.split("```").next().unwrap()).unwrap();
        let out = mesh.output(&["check"]);
        assert!(out.status.success(), "{yaml}: {}", said(&out));
    }
}
