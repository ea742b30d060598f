//! The worker of a stateful consumer: owns shards by lease, feeds each shard's stage in stream
//! order, and publishes under the lease.
//!
//! One actor does everything in turns, so that a lease is never renewed while something
//! published under its older sequence is still on its way.

mod batch;
mod claim;
mod feed;
mod leases;
mod losses;
mod marks;
mod members;
mod snapshot;
mod trouble;
mod worker;

pub(crate) use marks::is_whole;
pub(crate) use worker::{ShardedWorker, ShardedWorkerArgs};
