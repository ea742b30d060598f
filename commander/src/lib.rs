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

pub mod actions;
pub mod briefing;
pub mod chain;
pub mod config;
pub mod desk;
pub mod draft;
pub mod grounding;
pub mod knowledge;
pub mod model;
pub mod pattern;
pub mod playbook;
pub mod promoter;
mod stage;
mod untrusted;

pub use config::{Config, Device, Quantisation};
pub use desk::{Cancel, Desk, Factory, WriteError, Writer};
pub use knowledge::Library;

use desk::Clerk;
use magsentinel_bus_schema::{
    Assessment, Id, Level, Limits, Stream, Subject, Tenant, Token, decode, encode, encode_json,
    subject::all_of,
};
use magsentinel_runtime::{
    context::Context,
    keeper,
    service::{Endpoint, MakeStage, Pool, Task},
    settings::{Section, Span},
    stage::Stage,
};
use stage::{Analyst, Commander, Notary};
use std::{sync::Arc, time::Duration};

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

/// Messages a batch of what only has to be remembered, and of what the playbook writes: less than a
/// millisecond each.
const BATCH_MAX: usize = 64;

/// How often the state of the model is told anew.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What the commander does in a process.
pub struct Parts {
    /// Its consumers of DECISIONS: first the one that remembers and writes nothing, then one for
    /// each level that is analysed, the gravest first.
    pub pools: Vec<Pool>,
    /// What others may ask: an incident (its assessment) in, an analysis out, in the encoding of
    /// the request and with no effect.
    pub endpoints: Vec<Endpoint>,
    /// What tells how it is, also while nothing is to be done or a model writes.
    pub tasks: Vec<Task>,
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
    parts_with(config, desk)
}

/// The same with a desk of the caller's making, so that tests can script the model.
///
/// # Errors
/// As [`parts`].
pub fn parts_with(config: &Config, desk: Option<Arc<Desk>>) -> Result<Parts, Error> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(Error::Config(problems.join("; ")));
    }
    playbook::check()?;
    let clerk = desk.map(|desk| Clerk { desk, secret: Id::fresh() });
    // What a model writes is stored before the next one is asked for.
    let batch_max = if clerk.is_some() { 1 } else { BATCH_MAX };
    let commander = Commander::new(config.clone(), clerk);
    let remembering = commander.clone();
    let make: MakeStage = Arc::new(move || {
        remembering.open();
        Ok(Box::new(Notary::new(remembering.clone())) as Box<dyn Stage>)
    });
    let mut pools = vec![pool(DURABLE, told, BATCH_MAX, make)];
    for (durable, filters) in ANALYSED {
        let analysing = commander.clone();
        let make: MakeStage = Arc::new(move || {
            analysing.open();
            Ok(Box::new(Analyst::new(analysing.clone())) as Box<dyn Stage>)
        });
        pools.push(pool(durable, *filters, batch_max, make));
    }
    let endpoints = vec![endpoint(commander.clone())];
    Ok(Parts { pools, endpoints, tasks: vec![reporting(commander)] })
}

/// What a consumer reads, for a tenant.
type Filters = fn(&Tenant) -> Vec<String>;

/// The consumer that remembers.
const DURABLE: &str = "commander";

/// The consumers that analyse: one for each level that is ever escalated, so that no assessment
/// waits behind milder ones. Which of theirs a model writes first its queue decides, by level.
const ANALYSED: &[(&str, Filters)] = &[
    ("commander-critical", |tenant| assessments(tenant, Level::Critical)),
    ("commander-high", |tenant| assessments(tenant, Level::High)),
    ("commander-medium", |tenant| assessments(tenant, Level::Medium)),
];

fn assessments(tenant: &Tenant, level: Level) -> Vec<String> {
    vec![Subject::Assessment(level).of(tenant)]
}

/// What is decided, done and said about incidents.
fn told(tenant: &Tenant) -> Vec<String> {
    let stages = ["assessment", "analysis", "action", "outcome", "closure"];
    stages.iter().map(|stage| all_of(tenant, stage)).collect()
}

fn pool(durable: &str, filters: Filters, batch_max: usize, make: MakeStage) -> Pool {
    Pool {
        durable: Token::sanitised(durable),
        stream: Stream::Decisions,
        filters,
        batch_max,
        batches_in_flight: 1,
        // Waiting for a model or a disk must not hold up other tasks.
        slow: true,
        max_deliver: 5,
        ack_wait: Span::s(30),
        make,
    }
}

fn endpoint(commander: Commander) -> Endpoint {
    let answer = move |payload: &[u8], content_type: Option<&str>| {
        let asked: Assessment =
            decode(payload, content_type, Limits::default()).map_err(|e| e.to_string())?;
        let analysis = commander.write(&asked, Duration::ZERO, 0)?.analysis;
        let json = content_type.is_some_and(|kind| kind.starts_with("application/json"));
        let written = if json { encode_json(&analysis) } else { encode(&analysis) };
        written.map_err(|e| e.to_string())
    };
    Endpoint { name: "incident", subject: Subject::Incident, answer: Arc::new(answer) }
}

/// Tells how the commander is from the start on: a model is loaded, asked and let go of between two
/// batches too.
fn reporting(commander: Commander) -> Task {
    let run = move |context: Context| {
        let commander = commander.clone();
        let work = async move {
            while !context.is_stopping() {
                let of = commander.clone();
                let report = tokio::task::spawn_blocking(move || of.report()).await;
                context.report(DURABLE, report.map_err(|e| e.to_string())?);
                context.pause(REPORT_EVERY).await;
            }
            Ok(())
        };
        Box::pin(work) as std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>
    };
    Task { name: "commander-report".to_owned(), run: Arc::new(run) }
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
