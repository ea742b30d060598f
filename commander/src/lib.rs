//! The commander: escalated assessments in, analyses out.
//!
//! With a language model configured (feature `llm`), the model drafts the analysis under a JSON
//! schema from a bounded [`briefing`]; its draft is believed only after [`grounding`] has checked
//! it against the evidence. Without a model, or when the draft is late, broken or ungrounded, the
//! deterministic [`playbook`] writes.
//!
//! Nothing of what a model says reaches anything but the text of an analysis: this crate
//! publishes analyses and nothing else, so a model that obeys an attacker can, at worst, write a
//! draft that is thrown away.
//!
//! [`briefing`], [`draft`], [`grounding`] and [`playbook`] are pure. [`desk`] is the one place
//! with a thread and a deadline, [`model`] the one place that names the model library.

pub mod briefing;
pub mod config;
pub mod desk;
pub mod draft;
pub mod grounding;
pub mod model;
pub mod playbook;
pub mod stage;
mod untrusted;

pub use config::{Config, Device};
pub use desk::{Cancel, Desk, Factory, WriteError, Writer};
pub use stage::Commander;

use desk::Clerk;
use magsentinel_bus_schema::{Id, Level, Stream, Tenant, Token};
use magsentinel_runtime::{
    service::Pool,
    settings::{Section, Span},
    stage::Stage,
};
use std::sync::Arc;

/// Why the commander cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("commander configuration: {0}")]
    Config(String),
    /// A built-in template is broken.
    #[error("playbook: {0}")]
    Playbook(#[from] playbook::Error),
}

/// Levels that are ever escalated, and so the subjects that the commander reads.
const LEVELS: &[Level] = &[Level::Medium, Level::High, Level::Critical];

/// Messages a batch without a model: the playbook takes less than a millisecond each.
const BATCH_PLAYBOOK: usize = 64;

/// The commander's consumer of DECISIONS. The model, if one is configured, is loaded when the
/// first assessment needs it, never here.
///
/// # Errors
/// When the configuration is wrong, or a template of the playbook is.
pub fn pools(config: &Config) -> Result<Vec<Pool>, Error> {
    let desk = model::factory(config).map(|factory| Arc::new(Desk::new(factory)));
    pools_with(config, desk)
}

/// The same with a desk of the caller's making, so that tests can script the model.
///
/// # Errors
/// As [`pools`].
pub fn pools_with(config: &Config, desk: Option<Arc<Desk>>) -> Result<Vec<Pool>, Error> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(Error::Config(problems.join("; ")));
    }
    playbook::check()?;
    let slow = desk.is_some();
    let (config, secret) = (config.clone(), Id::fresh());
    let make = move || {
        let clerk = desk.clone().map(|desk| Clerk { desk, secret });
        Ok(Box::new(Commander::new(config.clone(), clerk)) as Box<dyn Stage>)
    };
    Ok(vec![Pool {
        durable: Token::sanitised("commander"),
        stream: Stream::Decisions,
        filters: assessments,
        // What a model writes is stored before the next one is asked for.
        batch_max: if slow { 1 } else { BATCH_PLAYBOOK },
        batches_in_flight: 1,
        slow,
        max_deliver: 5,
        ack_wait: Span::s(30),
        make: Arc::new(make),
    }])
}

fn assessments(tenant: &Tenant) -> Vec<String> {
    let of = |level: &Level| magsentinel_bus_schema::Subject::Assessment(*level).of(tenant);
    LEVELS.iter().map(of).collect()
}
