//! A model that nobody asks gives its memory and its threads back. Alone in its process, whose
//! threads are counted.
#![cfg(feature = "llm")]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

#[path = "llm/tiny.rs"]
mod tiny;

use magsentinel_bus_schema::Assessment;
use magsentinel_commander::{
    Config, Desk, briefing,
    knowledge::{Known, techniques_of},
    model,
};
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(300);

/// A question that is answered at once.
fn short(config: &Config) -> briefing::Briefing {
    let case = include_str!("cases/injection_and_dump.json");
    let assessment: Assessment = serde_json::from_str(case).expect("a case");
    let known = Known::shipped(&techniques_of(&assessment, 16).0);
    let whole = briefing::build(&assessment, &known, config.into(), "0f0f").expect("a briefing");
    let schema = json!({
        "type": "object", "properties": {"verdict": {"enum": ["attack", "none"]}},
        "required": ["verdict"], "additionalProperties": false,
        "x-guidance": {"whitespace_flexible": false},
    });
    let (system, user) = ("Answer.".to_owned(), "Is 1 OR 1=1 an attack?".to_owned());
    briefing::Briefing { schema, system, user, ..whole }
}

/// Threads of this process that a model computes on.
fn model_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads").flatten();
    let named = tasks.filter(|task| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.starts_with("commander-model")
    });
    named.count()
}

fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
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
    let first = desk.ask(short(&config), PATIENCE).expect("an answer");
    wait_for("the model to go", || desk.status() == "not loaded");
    wait_for("its threads to end", || model_threads() == 0);
    assert_eq!(desk.ask(short(&config), PATIENCE), Ok(first));
    assert!(model_threads() > 0 || desk.status() == "not loaded");
}
