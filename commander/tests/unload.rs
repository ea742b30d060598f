//! A model that nobody asks gives its memory and its threads back. Alone in its process, whose
//! threads are counted.
#![cfg(feature = "llm")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "llm/asked.rs"]
mod asked;
#[path = "llm/tiny.rs"]
mod tiny;

use asked::{PATIENCE, short, wait_for};
use magsentinel_bus_schema::Level;
use magsentinel_commander::{Config, Desk, model};
use std::{fs, time::Duration};

/// Threads of this process that a model computes on.
fn model_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads").flatten();
    let named = tasks.filter(|task| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.starts_with("commander-model")
    });
    named.count()
}

#[test]
fn a_model_that_nobody_asks_is_unloaded_and_loaded_again() {
    let temp = tempfile::tempdir().expect("a directory");
    tiny::write(temp.path());
    let config = Config {
        model: Some(temp.path().to_str().expect("UTF-8").to_owned()),
        // A token is a byte to this model.
        context_tokens: 5120,
        ..Config::default()
    };
    let factory = model::factory(&config).expect("a model is configured");
    let desk = Desk::new(factory).unloading_after(Duration::from_millis(50));
    let first = desk.ask(short(&config, Level::High), PATIENCE).expect("an answer");
    wait_for("the model to go", || desk.status() == "not loaded");
    wait_for("its threads to end", || model_threads() == 0);
    assert_eq!(desk.ask(short(&config, Level::High), PATIENCE), Ok(first));
    assert!(model_threads() > 0 || desk.status() == "not loaded");
}
