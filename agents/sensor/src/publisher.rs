//! Where the sensor's shell hands its messages.

use crate::Config;
use magsentinel_runtime::stage::Publish;
use std::{future::Future, time::Duration};
use tokio::sync::watch;

/// Publishing failed; it may have succeeded in part, which the messages' ids make harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot publish: {0}")]
pub struct PublishError(pub String);

/// A door to the bus.
///
/// Contract: when `publish` returns `Ok`, every message of the batch is stored durably. When it
/// fails, any subset may be stored; the caller publishes the whole batch again, in the same
/// order and with the same ids.
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

/// Publishes until it succeeds; `false` when shutdown came first, and then nothing that the
/// batch held may be taken as published. `failed` hears of every failed attempt.
pub async fn publish_until<P: Publisher>(
    publisher: &P,
    batch: Vec<Publish>,
    mut backoff: Backoff,
    shutdown: &mut watch::Receiver<bool>,
    mut failed: impl FnMut(&PublishError) + Send,
) -> bool {
    if batch.is_empty() {
        return true;
    }
    loop {
        match publisher.publish(batch.clone()).await {
            Ok(()) => return true,
            Err(error) => failed(&error),
        }
        if pause(backoff.pause(), shutdown).await {
            return false;
        }
    }
}

/// Waits; `true` when shutdown was asked for before the time was over. A dropped sender is a
/// shutdown: nobody could ask for it any more.
pub async fn pause(time: Duration, shutdown: &mut watch::Receiver<bool>) -> bool {
    let asked = shutdown.wait_for(|stop| *stop);
    tokio::select! {
        _ = asked => true,
        () = tokio::time::sleep(time) => false,
    }
}
