//! What a model is asked, and how long its answer is waited for.

use magsentinel_bus_schema::{Assessment, Level};
use magsentinel_commander::{
    Config, briefing,
    knowledge::{Known, techniques_of},
};
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn assessment() -> Assessment {
    serde_json::from_str(include_str!("../cases/injection_and_dump.json")).expect("a case")
}

pub(crate) fn known() -> Known {
    Known::shipped(&techniques_of(&assessment(), 16).0)
}

pub(crate) fn briefing_of(config: &Config) -> briefing::Briefing {
    briefing::build(&assessment(), &known(), config.into(), "0f0f").expect("a briefing")
}

/// A question that is answered at once.
pub(crate) fn short(config: &Config, level: Level) -> briefing::Briefing {
    let schema = json!({
        "type": "object", "properties": {"verdict": {"enum": ["attack", "none"]}},
        "required": ["verdict"], "additionalProperties": false,
        "x-guidance": {"whitespace_flexible": false},
    });
    let (system, user) = ("Answer.".to_owned(), "Is 1 OR 1=1 an attack?".to_owned());
    briefing::Briefing { schema, system, user, level, ..briefing_of(config) }
}

pub(crate) fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}
