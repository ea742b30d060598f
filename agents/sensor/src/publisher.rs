//! Where the sensor's shell hands its messages.

use crate::{
    Config,
    envelope::{Refused, dead_letter},
};
use magsentinel_bus_schema::{DeadLetter, Limits, Subject, Tenant, decode};
use magsentinel_runtime::{clock, stage::Publish};
use std::{future::Future, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, interval_at, sleep},
};

/// How long the server may take to confirm before that is told as a failure. The attempt goes
/// on: what is on its way is not sent a second time only because the server is slow.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long what is on its way is waited for once shutdown was asked for.
pub const DRAIN: Duration = Duration::from_secs(2);

/// Why publishing failed; it may have succeeded in part, which the messages' ids make harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// For a passing reason.
    #[error("cannot publish: {0}")]
    Unavailable(String),
    /// One message is larger than the server takes, now and at every later attempt.
    #[error("message for {subject} is over the server's max_payload")]
    TooLarge {
        /// Its place in the batch.
        index: usize,
        /// Where it was to go.
        subject: String,
    },
}

/// A door to the bus.
///
/// Contract: when `publish` returns `Ok`, every message of the batch is stored durably. When it
/// fails, any subset may be stored; the caller publishes the whole batch again, in the same
/// order and with the same ids. It may take as long as the server is away; a caller that must
/// not wait drops the future.
pub trait Publisher: Send + Sync {
    /// Publishes a batch, in order, and waits until all of it is stored.
    fn publish(&self, batch: Vec<Publish>)
    -> impl Future<Output = Result<(), PublishError>> + Send;
}

impl<P: Publisher> Publisher for std::sync::Arc<P> {
    fn publish(
        &self,
        batch: Vec<Publish>,
    ) -> impl Future<Output = Result<(), PublishError>> + Send {
        P::publish(self, batch)
    }
}

/// The pauses between attempts: doubling, bounded, for ever.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// Begins with the configured shortest pause.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { next: config.retry_min.get(), max: config.retry_max.get() }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next.min(self.max);
        self.next = self.next.saturating_mul(2).min(self.max);
        pause
    }
}

/// A message, and the place in its file or recording that it was made of.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The message.
    pub message: Publish,
    /// Byte offset, or row number.
    pub at: u64,
}

/// Messages of one file or recording on their way.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Whose they are.
    pub tenant: &'a Tenant,
    /// The file or recording.
    pub name: &'a str,
    /// What identifies its content.
    pub fingerprint: &'a str,
    /// The messages, in order.
    pub messages: Vec<Placed>,
}

impl Outgoing<'_> {
    /// Puts a dead letter in the place of a message that the server will never take, and a
    /// shorter one in the place of such a letter. `true` when an event was lost by it.
    fn refuse(&mut self, index: usize) -> bool {
        let Some(placed) = self.messages.get_mut(index) else { return false };
        let was_event = matches!(placed.message.subject, Subject::Event(..));
        let letter = match was_event {
            true => letter(self.tenant, self.name, self.fingerprint, placed),
            false => without_payload(&placed.message),
        };
        if let Some(letter) = letter {
            placed.message = letter;
        } else {
            let Placed { at, .. } = self.messages.remove(index);
            tracing::error!(name = self.name, at, "dead letter is over max_payload, and lost");
        }
        was_event
    }
}

fn letter(tenant: &Tenant, name: &str, fingerprint: &str, placed: &Placed) -> Option<Publish> {
    let payload = &placed.message.payload;
    let len = payload.len();
    let reason = format!(
        "event of {len} bytes is over the server's max_payload: set sensor.event_bytes_max below it"
    );
    let refused = Refused {
        name,
        fingerprint,
        at: placed.at,
        event: Some(placed.message.id),
        bytes: payload,
        len: len as u64,
        reason: &reason,
    };
    dead_letter(tenant, &refused, clock::now()).ok()
}

/// The same letter with nothing of what it speaks of; `None` when it holds nothing already.
fn without_payload(message: &Publish) -> Option<Publish> {
    let limits = Limits { bytes_max: message.payload.len() };
    let letter: DeadLetter = decode(&message.payload, None, limits).ok()?;
    if letter.payload.is_empty() {
        return None;
    }
    let letter = DeadLetter { payload: String::new(), ..letter };
    Publish::new(message.subject.clone(), message.id, &letter).ok()
}

/// Publishes until it succeeds, and says how many events became dead letters because the server
/// will never take them; `None` when shutdown came first, and then nothing that the batch held
/// may be taken as published. `failed` hears of every failed attempt, and of one that takes
/// longer than [`PATIENCE`].
pub async fn publish_until<P: Publisher>(
    publisher: &P,
    mut out: Outgoing<'_>,
    mut backoff: Backoff,
    shutdown: &mut watch::Receiver<bool>,
    mut failed: impl FnMut(&PublishError) + Send,
) -> Option<u64> {
    let mut refused = 0;
    while !out.messages.is_empty() {
        let batch = out.messages.iter().map(|placed| placed.message.clone()).collect();
        match attempt(publisher, batch, shutdown, &mut failed).await? {
            Ok(()) => break,
            Err(PublishError::TooLarge { index, .. }) if index < out.messages.len() => {
                refused += u64::from(out.refuse(index));
                continue;
            }
            Err(error) => failed(&error),
        }
        if pause(backoff.pause(), shutdown).await {
            return None;
        }
    }
    Some(refused)
}

/// One attempt; `None` when shutdown was asked for and [`DRAIN`] was not enough.
async fn attempt<P: Publisher>(
    publisher: &P,
    batch: Vec<Publish>,
    shutdown: &mut watch::Receiver<bool>,
    failed: &mut (impl FnMut(&PublishError) + Send),
) -> Option<Result<(), PublishError>> {
    let count = batch.len();
    let publishing = publisher.publish(batch);
    let begun = Instant::now();
    let mut late = interval_at(begun + PATIENCE, PATIENCE);
    let drained = async {
        // An error means that the sender is gone, which also is the end.
        drop(shutdown.wait_for(|stop| *stop).await);
        sleep(DRAIN).await;
    };
    tokio::pin!(publishing, drained);
    loop {
        tokio::select! {
            biased;
            done = &mut publishing => return Some(done),
            _ = late.tick() => failed(&PublishError::Unavailable(format!(
                "the server has not confirmed {count} messages for {} s",
                begun.elapsed().as_secs()
            ))),
            () = &mut drained => return None,
        }
    }
}

/// Waits; `true` when shutdown was asked for before the time was over. A dropped sender is a
/// shutdown: nobody could ask for it any more.
pub async fn pause(time: Duration, shutdown: &mut watch::Receiver<bool>) -> bool {
    let asked = shutdown.wait_for(|stop| *stop);
    tokio::select! {
        biased;
        _ = asked => true,
        () = sleep(time) => false,
    }
}
