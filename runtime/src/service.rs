//! What an agent is made of, and how it runs.

use crate::{settings::Span, stage::Stage};
use magsentinel_bus_schema::{Shard, Stream, Tenant, Token};
use std::sync::Arc;

/// Makes a stage; called again after a panic. An error here is told to the operator and tried
/// again with back-off.
pub type MakeStage = Arc<dyn Fn() -> Result<Box<dyn Stage>, String> + Send + Sync>;

/// Makes the stage of one shard.
pub type MakeShardStage = Arc<dyn Fn(Shard) -> Result<Box<dyn Stage>, String> + Send + Sync>;

/// A stateless consumer: any number of replicas share one durable.
pub struct Pool {
    /// Name of the durable, one token: `sql-guard`, `analyzer-router`.
    pub durable: Token,
    /// The stream.
    pub stream: Stream,
    /// Subject filters for a tenant; empty takes the whole stream.
    pub filters: fn(&Tenant) -> Vec<String>,
    /// Most messages a batch.
    pub batch_max: usize,
    /// Batches under way at once in one process.
    pub batches_in_flight: usize,
    /// Handling a batch may take long (a language model): runs on a blocking thread, and the
    /// server is told every few seconds that work goes on.
    pub slow: bool,
    /// Attempts before a message is given up.
    pub max_deliver: u64,
    /// Time after which the server redelivers what was not acknowledged.
    pub ack_wait: Span,
    /// The core.
    pub make: MakeStage,
}

/// A stateful consumer: each shard is owned by one process, by lease.
pub struct Sharded {
    /// Name of the service in leases, one token: `data-flow`, `analyzer`.
    pub name: Token,
    /// The stream.
    pub stream: Stream,
    /// Subject filters of one shard.
    pub filters: fn(&Tenant, Shard) -> Vec<String>,
    /// Most messages a batch.
    pub batch_max: usize,
    /// Attempts before a message is given up.
    pub max_deliver: u64,
    /// How far back, in stream time, a new owner reads to rebuild a shard's state.
    pub rebuild: Span,
    /// Publish under the shard's lease: the server refuses what an owner publishes that has
    /// lost it. Holds for what goes to DECISIONS.
    pub fenced: bool,
    /// The core.
    pub make: MakeShardStage,
}
