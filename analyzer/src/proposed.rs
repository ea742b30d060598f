//! Chains and thresholds that come while the mesh runs.
//!
//! Each runs beside the book in a [`Core`](crate::core::Core) of its own, so that a change touches
//! no window of any other chain. What is in shadow is counted and tells nobody; what is live tells
//! like any chain. **A change is a fact in the order of the stream**: a live chain takes the events
//! that the server stored from [`EFFECT_AFTER`](crate::suppression::live::EFFECT_AFTER) after its
//! step on, and until as long after the step that ended it, whoever reads them and however late. Its
//! windows begin empty there, and what it had open when it ended is closed as time passes.
//!
//! [`trial`] has the gates, [`keeper`] takes the steps. `docs/adr/0017-pattern-loop.md` argues both.

mod beside;
mod good;
pub mod keeper;
mod overlay;
pub mod testing;
mod trial;
mod varied;

pub use beside::Beside;
pub use keeper::Ground;
pub use overlay::{Entry, Overlay};
pub use testing::Testing;

/// Under which name the analyzer keeps its patterns.
pub const NAME: &str = "analyzer";
