//! The commander: escalated assessments in, analyses out.
//!
//! With a language model configured (feature `llm`), the model drafts the analysis under a JSON
//! schema from a bounded [`briefing`]; its draft is believed only after [`grounding`] has checked
//! it against the evidence. Without a model, or when the draft is late, broken or ungrounded, the
//! deterministic [`playbook`] writes.
//!
//! Nothing of what a model says reaches anything but the text of an analysis: this crate
//! publishes analyses, and proposals of patterns whose words the evidence holds, so a model that
//! obeys an attacker can, at worst, write a draft that is thrown away. A proposal is no pattern yet: the
//! patrol tests it, and nothing uses it without a promoter's signature ([`promoter`]).
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
pub mod pattern;
pub mod playbook;
pub mod promoter;
pub mod stage;
mod untrusted;

pub use config::{Config, Device};
pub use desk::{Cancel, Desk, Factory, WriteError, Writer};
pub use knowledge::Library;
pub use stage::Commander;

use desk::Clerk;
use magsentinel_bus_schema::{
    Assessment, Id, Judgement, Level, Limits, Stream, Subject, Tenant, Token, decode, encode,
    encode_json,
};
use magsentinel_runtime::{
    keeper,
    service::{Endpoint, Pool, Task},
    settings::{Section, Span},
    stage::Stage,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Why the commander cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("commander configuration: {0}")]
    Config(String),
    /// A built-in template is broken.
    #[error("playbook: {0}")]
    Playbook(#[from] playbook::Error),
    /// The promoter's key.
    #[error("{0}")]
    Promoter(String),
}

/// Levels that are ever escalated, and so the subjects that the commander reads.
const LEVELS: &[Level] = &[Level::Medium, Level::High, Level::Critical];

/// Messages a batch without a model: the playbook takes less than a millisecond each.
const BATCH_PLAYBOOK: usize = 64;

/// What the commander does in a process.
pub struct Parts {
    /// Its consumer of DECISIONS.
    pub pools: Vec<Pool>,
    /// What others may ask: an incident (its assessment) in, an analysis out, in the encoding of
    /// the request and with no effect.
    pub endpoints: Vec<Endpoint>,
}

/// The commander. The model, if one is configured, is loaded when the first assessment needs it,
/// never here.
///
/// # Errors
/// When the configuration is wrong, or a template of the playbook is.
pub fn parts(config: &Config) -> Result<Parts, Error> {
    let idle_max = config.idle_unload.get();
    let desk = model::factory(config)
        .map(|factory| Arc::new(Desk::new(factory).unloading_after(idle_max)));
    let pools = pools_with(config, desk.clone())?;
    Ok(Parts { pools, endpoints: endpoints_with(config, desk) })
}

/// What others may ask, of a desk of the caller's making. What is known beyond the evidence is
/// opened when the first asks.
#[must_use]
pub fn endpoints_with(config: &Config, desk: Option<Arc<Desk>>) -> Vec<Endpoint> {
    let clerk = desk.map(|desk| Clerk { desk, secret: Id::fresh() });
    let config = config.clone();
    let commander: Mutex<Option<Commander>> = Mutex::new(None);
    let answer = move |payload: &[u8], content_type: Option<&str>| {
        let asked: Assessment =
            decode(payload, content_type, Limits::default()).map_err(|e| e.to_string())?;
        let mut commander = commander.lock().unwrap_or_else(PoisonError::into_inner);
        let commander = commander.get_or_insert_with(|| {
            Commander::new(config.clone(), clerk.clone(), Library::open(&config))
        });
        let analysis = commander.write(&asked, Duration::ZERO, 0)?.analysis;
        let json = content_type.is_some_and(|kind| kind.starts_with("application/json"));
        let written = if json { encode_json(&analysis) } else { encode(&analysis) };
        written.map_err(|e| e.to_string())
    };
    vec![Endpoint { name: "incident", subject: Subject::Incident, answer: Arc::new(answer) }]
}

/// The consumer, with a desk of the caller's making, so that tests can script the model.
///
/// # Errors
/// As [`parts`].
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

/// The task that writes down what was proposed, and promotes by policy where a key is configured.
///
/// # Errors
/// When the key cannot be used.
pub fn tasks(patterns: &magsentinel_pattern::Config) -> Result<Vec<Task>, Error> {
    let seed = promoter::seed(patterns).map_err(Error::Promoter)?;
    let config = Arc::new(patterns.clone());
    let make: keeper::Make = Arc::new(move |tenant| {
        let (config, seed) = (Arc::clone(&config), seed.clone());
        Box::new(promoter::Promoter::new(tenant.clone(), config, seed)) as Box<dyn keeper::Keeper>
    });
    Ok(vec![keeper::task(promoter::domain(), make)])
}

/// Assessments to analyse, and what operators say of incidents.
fn read(tenant: &Tenant) -> Vec<String> {
    let assessments = LEVELS.iter().map(|level| Subject::Assessment(*level));
    let closures = Judgement::ALL.iter().map(|judgement| Subject::Closure(*judgement));
    assessments.chain(closures).map(|subject| subject.of(tenant)).collect()
}
