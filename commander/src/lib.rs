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
//! [`briefing`], [`draft`], [`grounding`] and [`playbook`] are pure. [`knowledge`] keeps what is
//! known beyond the evidence in a file, [`desk`] is the one place with a thread and a deadline,
//! [`model`] the one place that names the model library.

pub mod briefing;
pub mod config;
pub mod desk;
pub mod draft;
pub mod grounding;
pub mod knowledge;
pub mod model;
pub mod playbook;
pub mod stage;
mod untrusted;

pub use config::{Config, Device};
pub use desk::{Cancel, Desk, Factory, WriteError, Writer};
pub use knowledge::Library;
pub use stage::Commander;

use desk::Clerk;
use magsentinel_bus_schema::{Id, Judgement, Level, Stream, Subject, Tenant, Token};
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
    let idle_max = config.idle_unload.get();
    let desk = model::factory(config)
        .map(|factory| Arc::new(Desk::new(factory).unloading_after(idle_max)));
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
    let with_model = desk.is_some();
    let (config, secret) = (config.clone(), Id::fresh());
    let make = move || {
        let clerk = desk.clone().map(|desk| Clerk { desk, secret });
        let library = Library::open(&config);
        Ok(Box::new(Commander::new(config.clone(), clerk, library)) as Box<dyn Stage>)
    };
    Ok(vec![Pool {
        durable: Token::sanitised("commander"),
        stream: Stream::Decisions,
        filters: read,
        // What a model writes is stored before the next one is asked for.
        batch_max: if with_model { 1 } else { BATCH_PLAYBOOK },
        batches_in_flight: 1,
        // Waiting for a model or a disk must not hold up other tasks.
        slow: true,
        max_deliver: 5,
        ack_wait: Span::s(30),
        make: Arc::new(make),
    }])
}

/// Assessments to analyse, and what operators say of incidents.
fn read(tenant: &Tenant) -> Vec<String> {
    let assessments = LEVELS.iter().map(|level| Subject::Assessment(*level));
    let closures = Judgement::ALL.iter().map(|judgement| Subject::Closure(*judgement));
    assessments.chain(closures).map(|subject| subject.of(tenant)).collect()
}
