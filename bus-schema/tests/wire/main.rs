//! What travels: golden bytes, round trips, tolerance of older and newer writers, and bad input.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod arbitrary;
mod bad_input;
mod examples;
mod golden;
mod round_trip;
mod tolerance;
mod view;
