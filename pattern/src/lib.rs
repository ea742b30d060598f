//! How a pattern comes to be used: proposed, tested, in shadow, signed, live, watched.
//!
//! [`life`] is the state machine, [`seal`] the promoter's signature, [`record`] how a pattern lies
//! in the policy store and how its steps are told, [`keeper`] what its user does for it, [`judgements`]
//! what decisions say of its hits. All of it is pure. Who tests and counts is the user (a patrol, or for chains the analyzer), because it alone can
//! load and run a rule; who proposes and promotes are the commander and operators.
//!
//! A pattern is one document in the store, written only over the revision that its writer has
//! seen. So of two processes that take the same step one succeeds, whatever was restarted between.

pub mod config;
pub mod judgements;
pub mod keeper;
pub mod life;
pub mod record;
pub mod seal;

pub use config::Config;
pub use life::{Budget, Input, Refused, step};
pub use record::{PREFIX, Stored, changes, proposed};
