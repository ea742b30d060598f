//! What led to an effect, kept beyond what streams retain.
//!
//! An outcome that says that something took effect is owed a bundle: the decision, the events that
//! it cites, the findings of its key within its window, and what else the same sensors published
//! around the cited events. [`select`] decides, purely, what belongs to it and what a bound cuts
//! off; [`archive`] is its form; [`gather`] reads the streams; [`stage`] takes one outcome after
//! the other from DECISIONS, so that an outcome whose bundle was not stored yet is delivered again
//! to whoever comes after a responder that was killed. The effect never waits for any of it.

pub mod archive;
pub mod config;
mod gather;
mod read;
pub mod select;
pub(crate) mod stage;

pub use config::Config;

use magsentinel_bus_schema::Preserved;
use magsentinel_runtime::{
    bus::{Bus, Error},
    store::Store,
};

/// The bytes of a bundle as they are stored, unchecked: [`archive::check`] tells whether they are
/// what was kept. None where it is gone.
///
/// # Errors
/// When there is no store, or it cannot be read.
pub async fn fetch(bus: &Bus, bundle: &Preserved) -> Result<Option<Vec<u8>>, Error> {
    let store = Store::existing(bus, config::STORE).await?;
    store.read(&bundle.object, bundle.bytes).await
}
