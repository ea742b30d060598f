//! What changes the world: adds, removes and lists things.
//!
//! # Contract
//! Adding what is there and removing what is not are no failures, so that a turn that was
//! interrupted can be carried out again. A batch is tried as a whole first; what fails by itself
//! is named and keeps nothing else from being done. [`Effector::real`] tells what is there,
//! whoever put it there, of this effector's own things and of nobody else's.

pub mod decisions;
pub mod nftables;
pub mod webhook;

use crate::thing::Thing;
use futures::future::BoxFuture;
use magsentinel_bus_schema::Timestamp;
use std::collections::BTreeMap;

/// One thing to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The thing.
    pub thing: Thing,
    /// Until when it is to be there; none: it is not to be there.
    pub until: Option<Timestamp>,
}

/// What could not be changed, and why.
pub type Failures = BTreeMap<Thing, String>;

/// Changes the world.
pub trait Effector: Send {
    /// Its name in logs and reports.
    fn name(&self) -> &'static str;

    /// Whether a thing is one of its own.
    fn takes(&self, thing: &Thing) -> bool;

    /// Makes things as they are to be. What could not be done, with why.
    fn apply<'a>(&'a mut self, changes: &'a [Change], now: Timestamp) -> BoxFuture<'a, Failures>;

    /// Whether it is certain that nobody else has changed anything since it was looked at, and that
    /// all that was to be changed since then was.
    fn is_untouched(&mut self) -> bool {
        false
    }

    /// What is there, and until when. May repair what its things need to have an effect.
    ///
    /// # Errors
    /// When it cannot be told: then nothing is known to be amiss.
    fn real(&mut self, now: Timestamp)
    -> BoxFuture<'_, Result<BTreeMap<Thing, Timestamp>, String>>;
}
