//! What the models see: numbers made from an event's body, and nothing else.
//!
//! Written once, here, pure: no I/O, no clock, no randomness. The patrols call these functions at
//! run time and training calls the very same ones through `magsentinel features PATROL FILE`, so
//! a model can never be trained on anything but what it will be asked about. A change of a
//! feature's meaning, order or number needs a retrained model in the same commit.

pub mod api;
pub mod auth;
pub mod data;
pub mod dns;
pub mod flow;
mod sketch;
mod slots;
pub mod sql;
mod words;
