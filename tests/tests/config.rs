//! Configuration that is wrong: told at once, with the key, before anything starts.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_tests::{Mesh, magsentinel, repository, server::Server};
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
fn a_missing_or_corrupt_model_keeps_its_patrol_from_starting_and_check_tells_it() {
    let mesh = Mesh::new();
    let file = mesh.dir().join("broken.onnx");
    std::fs::write(&file, b"not a model").unwrap();
    let selftest = repository().join("agents/patrol/models/sql-guard.selftest.json");
    std::fs::copy(selftest, mesh.dir().join("broken.selftest.json")).unwrap();
    for model in ["/no/such.onnx", file.to_str().unwrap()] {
        let set = format!("patrols.sql_guard.model={model}");
        for command in [["run", "sql-guard"].as_slice(), &["check"]] {
            let out = mesh.output(&[command, &["--set", &set]].concat());
            assert_eq!(out.status.code(), Some(64), "{command:?}: {}", said(&out));
            let said = said(&out);
            assert!(said.contains(model) && said.contains("sql-guard"), "{command:?}: {said}");
        }
    }
}

#[test]
fn files_of_keys_and_certificates_are_checked_without_a_server() {
    let mesh = Mesh::new();
    let noise = mesh.dir().join("noise");
    std::fs::write(&noise, "no key at all").unwrap();
    let noise = noise.to_str().unwrap();
    let sets = [
        format!("bus.nkey={noise}"),
        "bus.tls.ca=/no/such/ca.pem".to_owned(),
        format!("bus.tls.cert={noise}"),
        "bus.tls.key=/no/such/client.key".to_owned(),
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let out = mesh.output(&[&["check"][..], &sets].concat());
    assert_eq!(out.status.code(), Some(64), "{}", said(&out));
    let told = said(&out);
    for part in ["bus.nkey", "bus.tls.ca", "/no/such/ca.pem", "bus.tls.cert", "bus.tls.key"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    // A role says it at once, too, and does not wait for a server that cannot help.
    let begun = std::time::Instant::now();
    let out = mesh.output(&["run", "responder", "--set", "bus.tls.ca=/no/such/ca.pem"]);
    assert_eq!(out.status.code(), Some(64), "{}", said(&out));
    assert!(said(&out).contains("bus.tls.ca \"/no/such/ca.pem\""), "{}", said(&out));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn refused_credentials_are_told_as_such_at_once_and_no_password_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let user = "authorization { user: mesh, password: s3cret }";
    let server = Server::start_with(&dir.path().join("nats"), user);
    let url = server.url().replace("nats://", "nats://mesh:wr0ng@");
    let begun = std::time::Instant::now();
    let alone = |args: &[&str]| {
        let mut command = std::process::Command::new(magsentinel());
        command.current_dir(dir.path()).args(args).output().unwrap()
    };
    let out = alone(&["status", "--set", &format!("bus.url={url}")]);
    assert_eq!(out.status.code(), Some(69), "{}", said(&out));
    let told = said(&out);
    assert!(told.contains("refuses who we say we are") && told.contains("***@"), "{told}");
    assert!(!told.contains("wr0ng") && !told.contains("is the server running"), "{told}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    // What is wrong with an address is told without what is secret in it.
    let out = alone(&["check", "--set", "bus.url=nats://mesh:wr0ng@nats.example:4222"]);
    assert_eq!(out.status.code(), Some(64));
    let told = said(&out);
    assert!(told.contains("***@nats.example") && !told.contains("wr0ng"), "{told}");
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
