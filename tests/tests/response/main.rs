//! The responder acts: real packets of real namespaces, a real NATS server, real processes that
//! are killed.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

mod budget;
mod evidence;
mod forged;
mod gateways;
mod kills;
mod orders;
mod packets;
mod posts;
mod receiver;
mod tells;
