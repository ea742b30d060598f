//! The worker of a stateless consumer: pull, call, publish, **then** acknowledge.

mod again;
mod consumer;
mod finish;
pub(crate) mod watch;
mod worker;

pub(crate) use finish::hand_back;
pub(crate) use worker::{PoolWorker, PoolWorkerArgs, span};
