//! Patrols: small detectors that score every event of a kind, in microseconds, with an ONNX
//! model and a set of Sigma patterns.
//!
//! [`patrols`] is the table; one file below it is one patrol. [`consumers`] hands
//! them to the runtime; [`score`] runs them over rows of a file.

mod body;
pub mod bundle;
mod facts;
pub mod features;
mod good;
pub mod judged;
pub mod keeper;
pub mod keys;
pub mod overlay;
pub mod patrol;
pub mod patrols;
pub mod patterns;
pub mod score;
pub mod scorer;
pub mod stage;
pub mod trial;

pub use body::ANNOTATIONS;
pub use magsentinel_inference as inference;
pub use patrols::Config;
pub use score::{Given, features_rows, score_rows};
pub use stage::consumers;

/// Why a patrol cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its model.
    #[error("patrol {patrol}")]
    Inference {
        /// The patrol.
        patrol: &'static str,
        /// What is wrong.
        source: inference::Error,
    },
    /// Its patterns.
    #[error("patrol {patrol}")]
    Patterns {
        /// The patrol.
        patrol: &'static str,
        /// What is wrong.
        source: patterns::Error,
    },
    /// What is known to be good.
    #[error("patrol {patrol}: {why}")]
    Good {
        /// The patrol.
        patrol: &'static str,
        /// What is wrong.
        why: String,
    },
    /// There is no such patrol.
    #[error("there is no patrol {name:?}: the patrols are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that exist.
        known: String,
    },
}

impl Error {
    fn unknown(name: &str) -> Self {
        let names: Vec<_> = patrols::TABLE.iter().map(|entry| entry.spec.name).collect();
        Self::Unknown { name: name.to_owned(), known: names.join(", ") }
    }
}

/// An error with its causes, in one line.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

#[cfg(test)]
mod models_tests;
#[cfg(test)]
mod scenario_tests;
