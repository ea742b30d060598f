//! action → outcome: the responder.
//!
//! Every action on the stream gets an outcome. [`policy`] is asked last, right before the
//! effect; [`effect`] says exactly what is done and exactly how it is undone. What may take
//! effect becomes a [`lease`]: recorded before the effect, bounded in time, undone at its end.
//! [`desk`] decides all of it, purely; [`keeper`] carries it out through [`effector`]s, and
//! compares what is there with what should be, at the start and every few seconds. What led to an
//! effect is kept as [`evidence`] after it.
//!
//! By default nothing is done: in mode `dry-run` an outcome says what would be.

pub mod config;
pub mod desk;
pub mod effect;
pub mod effector;
pub mod evidence;
mod gate;
pub mod keeper;
mod kernel;
pub mod lease;
pub mod network;
pub mod policy;
pub mod rules;
mod stage;
mod surroundings;
pub mod thing;

pub use config::Config;
pub use network::Network;
pub use rules::{NeverBlock, Policy};
pub use stage::Responder;
pub use surroundings::Surroundings;

use magsentinel_bus_schema::{Mode, Stream, Tenant, Token, subject};
use magsentinel_runtime::{
    service::{Pool, Task},
    settings::Section,
    stage::Stage,
};
use stage::Shared;
use std::{sync::Arc, time::Duration};

/// Why the responder cannot start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The configuration is wrong; every problem is listed.
    #[error("section responder of the configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// The policy file is wrong.
    #[error(transparent)]
    Policy(#[from] rules::Error),
}

/// What the responder is made of.
pub struct Parts {
    /// The consumer of actions and orders, and that of outcomes, for their evidence.
    pub pools: Vec<Pool>,
    /// What is done before anything is consumed: what is stored is read, effectors are made ready.
    pub first: Task,
    /// What goes on beside it.
    pub tasks: Vec<Task>,
}

/// The responder's parts. Its consumer is the durable `responder`: every action and order of the
/// stream DECISIONS. That of evidence is the durable `evidence`: every outcome.
///
/// # Errors
/// Everything that is wrong with the configuration, or the policy file.
pub fn parts(config: &Config) -> Result<Parts, Error> {
    let mut problems = config.problems();
    let folder = config.state_folder();
    problems.extend(folder.as_ref().err().cloned());
    if !problems.is_empty() {
        return Err(Error::Config(problems));
    }
    let policy = match &config.policy_file {
        Some(file) => rules::read(file)?,
        None => config.policy.clone(),
    };
    let mode = policy.mode;
    let acts = config.nftables.enabled || config.decisions.enabled || config.webhook.url.is_some();
    if mode != Mode::DryRun && !acts {
        tracing::warn!(?mode, "no effector is switched on: whatever would act is refused");
    }
    let state_dir = folder.unwrap_or_default();
    let shared = Shared::new(Config { state_dir, ..config.clone() });
    let tasks = vec![shared.tending()];
    let gate = gate::task(&config.decisions, shared.view());
    let made = shared.clone();
    let pool = Pool {
        durable: Token::sanitised("responder"),
        stream: Stream::Decisions,
        filters: asked,
        batch_max: config.batch_max,
        // One turn after the other: each changes what the next one finds.
        batches_in_flight: 1,
        slow: false,
        max_deliver: config.max_deliver,
        ack_wait: config.ack_wait,
        make: Arc::new(move || Ok(Box::new(Responder::new(made.clone())) as Box<dyn Stage>)),
    };
    let tasks = tasks.into_iter().chain(gate).collect();
    let evidence = config.evidence.enabled;
    let evidence = evidence.then(|| evidence::stage::pool(config, look_back(&policy)));
    let pools = std::iter::once(pool).chain(evidence).collect();
    Ok(Parts { pools, first: shared.opening(), tasks })
}

/// How long before its outcome an action may have been asked for: it may have waited until it was
/// too old, and then for an approval.
fn look_back(policy: &Policy) -> Duration {
    let Policy { max_action_age, clock_skew_max, approval, .. } = policy;
    max_action_age.get() + clock_skew_max.get() + approval.expires_after.get()
}

fn asked(tenant: &Tenant) -> Vec<String> {
    vec![subject::all_of(tenant, "action"), subject::all_of(tenant, "order")]
}
