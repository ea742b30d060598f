//! The contract of the shell, with stages made to fail: published before acknowledged, the
//! three classes of failure, and none of them disturbs the next message.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

mod accounts;
mod failures;
mod health;
mod moody;
mod unread;
