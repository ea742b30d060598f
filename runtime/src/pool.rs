//! The worker of a stateless consumer: pull, call, publish, **then** acknowledge.

mod consumer;
mod finish;
mod worker;

pub(crate) use finish::hand_back;
pub(crate) use worker::{PoolWorker, PoolWorkerArgs};
