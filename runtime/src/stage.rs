//! The contract between the async shell and a pure core.
//!
//! The shell pulls a batch, calls [`Stage::handle`], publishes everything in [`Output`], waits
//! until the server has confirmed all of it, and only then acknowledges the batch. A stage
//! never awaits, never reads a clock and never talks to the network, so that every decision
//! can be replayed from a file.

use crate::context::Context;
use bytes::Bytes;
use futures::future::BoxFuture;
use magsentinel_bus_schema::{CodecError, Id, Limits, Message, Shard, Subject, Timestamp, codec};

/// One pulled message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Subject it was published on.
    pub subject: String,
    /// Its sequence in the stream.
    pub seq: u64,
    /// When the server stored it.
    pub stored: Timestamp,
    /// 1 for the first attempt.
    pub attempt: u64,
    /// Its content type header.
    pub content_type: Option<String>,
    /// Its `Nats-Msg-Id` header.
    pub message_id: Option<String>,
    /// Its `ce-id` header (CloudEvents).
    pub ce_id: Option<String>,
    /// Its W3C trace context.
    pub trace: Option<String>,
    /// The bytes.
    pub payload: Bytes,
}

impl Delivery {
    /// Decodes the payload.
    pub fn decode<T: Message>(&self, limits: Limits) -> Result<T, CodecError> {
        magsentinel_bus_schema::decode(&self.payload, self.content_type.as_deref(), limits)
    }

    /// Decodes a payload that may hold several messages.
    pub fn decode_each<T: Message>(&self, limits: Limits) -> Result<Vec<T>, CodecError> {
        codec::decode_each(&self.payload, self.content_type.as_deref(), limits)
    }
}

/// Why one delivery could not be handled. A bug is not listed: it is a panic, which the
/// supervisor catches and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It cannot be read, now or ever: dead letter with this reason, then acknowledged.
    Poison(String),
    /// It may work later: redelivered with a growing delay, at most `max_deliver` times; in a
    /// sharded stage the shard waits, so that order is kept.
    Transient(String),
}

/// One batch, in stream order.
pub struct Batch<'a> {
    /// The shard, for sharded stages.
    pub shard: Option<Shard>,
    /// The messages.
    pub deliveries: &'a [Delivery],
    /// The shell's clock.
    pub now: Timestamp,
    /// The messages were handled before, by this owner or an earlier one, and are only shown
    /// again to rebuild the state: whatever the stage outputs is discarded.
    pub rebuilding: bool,
}

/// One message to publish.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Where.
    pub subject: Subject,
    /// Its id, sent as `Nats-Msg-Id`: publishing twice has no second effect.
    pub id: Id,
    /// MessagePack bytes.
    pub payload: Bytes,
    /// W3C trace context.
    pub trace: Option<String>,
}

impl Publish {
    /// Encodes a message for a subject.
    pub fn new<T: Message>(subject: Subject, id: Id, message: &T) -> Result<Self, CodecError> {
        let payload = magsentinel_bus_schema::encode(message)?;
        Ok(Self { subject, id, payload: payload.into(), trace: None })
    }

    /// The same with a trace context.
    #[must_use]
    pub fn traced(mut self, trace: Option<String>) -> Self {
        self.trace = trace;
        self
    }
}

/// One failure of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Index of the delivery in the batch.
    pub index: usize,
    /// The element of the delivery, when the others are fine.
    pub element: Option<u64>,
    /// Why.
    pub why: Failed,
}

/// Something that is to be done in the world for a batch. What it returns is published with the
/// rest; an error has every delivery of the batch delivered again.
pub type Deed = Box<dyn FnOnce(Context) -> BoxFuture<'static, Result<Vec<Publish>, String>> + Send>;

/// What a stage wants done about a batch.
#[derive(Default)]
pub struct Output {
    pub(crate) publish: Vec<Publish>,
    /// Index in `publish` and of the delivery that it was made from, where the stage says so.
    pub(crate) made_from: Vec<(usize, usize)>,
    pub(crate) failed: Vec<Failure>,
    pub(crate) late: Vec<usize>,
    pub(crate) deed: Option<Deed>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("publish", &self.publish)
            .field("failed", &self.failed)
            .field("late", &self.late)
            .field("deed", &self.deed.is_some())
            .finish()
    }
}

impl Output {
    /// Publishes a message before the batch is acknowledged.
    pub fn publish(&mut self, message: Publish) {
        self.publish.push(message);
    }

    /// The same for a message that was made from the delivery at `index` of the batch alone: where
    /// the server will never take it, that delivery becomes a dead letter, and no other.
    pub fn publish_for(&mut self, index: usize, message: Publish) {
        self.made_from.push((self.publish.len(), index));
        self.publish.push(message);
    }

    /// Says that the delivery at `index` of the batch failed.
    pub fn fail(&mut self, index: usize, why: Failed) {
        self.failed.push(Failure { index, element: None, why });
    }

    /// Dead-letters one element of the delivery at `index` whose other elements are fine.
    pub fn reject_element(&mut self, index: usize, element: u64, reason: String) {
        let why = Failed::Poison(reason);
        self.failed.push(Failure { index, element: Some(element), why });
    }

    /// Says that the delivery at `index` of the batch is handled later than it should be: a
    /// [gap](crate::gap) is open before any of this output is published.
    pub fn late(&mut self, index: usize) {
        self.late.push(index);
    }

    /// Has something done in the world before anything of this batch is published or
    /// acknowledged. Of a pool's stage, one for a batch: a later one takes the place of an
    /// earlier one. With `batches_in_flight` at 1, one after the other.
    pub fn act(&mut self, deed: Deed) {
        self.deed = Some(deed);
    }

    /// Takes what is to be done in the world, for whoever calls the stage.
    #[must_use]
    pub fn take_deed(&mut self) -> Option<Deed> {
        self.deed.take()
    }

    /// Which deliveries are handled later than they should be, by index.
    #[must_use]
    pub fn lates(&self) -> &[usize] {
        &self.late
    }

    /// What is to be published, in order.
    #[must_use]
    pub fn published(&self) -> &[Publish] {
        &self.publish
    }

    /// What failed.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failed
    }
}

/// A pure core. One instance serves one worker (or one shard), on one thread at a time; after a
/// panic the supervisor makes a new one.
pub trait Stage: Send {
    /// Handles a batch. Every delivery is acknowledged after all output is stored, but for
    /// those that `out.fail` names.
    fn handle(&mut self, batch: &Batch<'_>, out: &mut Output);

    /// Called about once a second on sharded stages, between batches: for what is due by time.
    fn tick(&mut self, _now: Timestamp, _out: &mut Output) {}

    /// The state of this stage, for the next owner of its shard. `None`: it is rebuilt by
    /// reading the stream again.
    fn snapshot(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes over a state. An error says why it cannot be used; the stage is thrown away then.
    fn restore(&mut self, _snapshot: &[u8]) -> Result<(), String> {
        Err("this stage keeps no snapshots".to_owned())
    }

    /// Figures of this stage for `$SRV.STATS` and `magsentinel status`, small.
    fn report(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}
