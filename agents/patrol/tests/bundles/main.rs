//! Bundles and the models in them: swapped under load, refused, and never kept in memory.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

mod fixture;
mod memory;
mod swap;
