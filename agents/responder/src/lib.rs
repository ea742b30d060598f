//! action → outcome: the responder, in dry run.
//!
//! Every action on the stream gets an outcome. [`policy`] is asked last, right before the
//! effect, and either names the reasons of a refusal or lets the effect pass; [`effect`] says
//! exactly what is done and exactly how it is undone. In this build nothing is done: the
//! outcome carries the effect and its inverse as text (`would_apply`), and a request to go
//! further than a dry run is refused.
//!
//! Both are pure: action, configuration and time in, verdict out. So the same action judged at
//! the same time has the same outcome, with the same id, however often it is delivered. An
//! action that is delivered again after its evidence grew older than `max_action_age` is judged
//! anew and refused; that refusal is an outcome of its own, beside the earlier one.

pub mod config;
pub mod effect;
pub mod network;
pub mod policy;
pub mod stage;

pub use config::{Config, NeverBlock};
pub use network::Network;
pub use stage::Responder;

use magsentinel_bus_schema::{Mode, Stream, Tenant, Token, subject};
use magsentinel_runtime::{service::Pool, settings::Section, stage::Stage};
use std::sync::Arc;

/// Why the responder cannot start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The configuration is wrong; every problem is listed.
    #[error("section responder of the configuration: {}", .0.join("; "))]
    Config(Vec<String>),
}

/// The responder's consumer: durable `responder`, every action of the stream DECISIONS.
///
/// # Errors
/// [`Error::Config`] with everything that is wrong with the configuration.
pub fn pools(config: &Config) -> Result<Vec<Pool>, Error> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(Error::Config(problems));
    }
    if config.mode != Mode::DryRun {
        tracing::warn!(
            mode = ?config.mode,
            "this build acts in dry run only, actions that ask for more are refused"
        );
    }
    let shared = Arc::new(config.clone());
    Ok(vec![Pool {
        durable: Token::sanitised("responder"),
        stream: Stream::Decisions,
        filters: actions,
        batch_max: config.batch_max,
        batches_in_flight: 1,
        slow: false,
        max_deliver: config.max_deliver,
        ack_wait: config.ack_wait,
        make: Arc::new(move || Ok(Box::new(Responder::new(Arc::clone(&shared))) as Box<dyn Stage>)),
    }])
}

fn actions(tenant: &Tenant) -> Vec<String> {
    vec![subject::all_of(tenant, "action")]
}
