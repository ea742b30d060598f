//! The process around every agent: configuration, bus, supervision, leases, health, telemetry,
//! clock and shutdown. It knows streams and subjects, and nothing about security.
//!
//! An agent hands a [`service::Service`] to [`service::run`]; what it does to a message is a
//! [`stage::Stage`], a pure function from a batch to what is to be published.

pub mod bundle;
pub mod bus;
pub mod clock;
pub mod context;
mod deadletter;
mod delivery;
pub mod gap;
mod gather;
pub mod health;
pub mod keeper;
pub mod ledger;
pub mod memory;
pub mod metrics;
pub mod micro;
pub mod place;
pub mod policy;
mod pool;
pub mod service;
pub mod settings;
mod sharded;
pub mod shutdown;
pub mod stage;
pub mod store;
mod supervisor;
pub mod table;
mod task;
pub mod telemetry;
