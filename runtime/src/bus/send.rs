//! Publishing: pipelined, confirmed, and tried again until the server has it.

use super::{Bus, Error};
use crate::stage::Publish;
use async_nats::jetstream::context::{
    PublishAckFuture, PublishError, PublishErrorKind, traits::TimeoutProvider,
};
use async_nats::jetstream::{message::PublishMessage, publish::PublishAck};
use magsentinel_bus_schema::{Stream, codec::MESSAGEPACK};
use std::time::Duration;

/// The lease under which a shard's owner publishes.
#[derive(Clone, Debug)]
pub struct Fence {
    /// Subject of the lease.
    pub subject: String,
    /// Sequence of the newest lease message that the owner has written.
    pub seq: u64,
}

/// What was handed to the connection, or why it could not be.
pub(crate) type Sent = Result<PublishAckFuture, PublishError>;

/// Pause between two attempts to publish where the one before stored something.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Longest pause between two attempts to publish.
const RETRY_MAX: Duration = Duration::from_secs(2);

impl Bus {
    /// Publishes all messages and waits until the server has stored every one. What fails for
    /// a passing reason (no connection, a full stream that refuses new messages) is tried again
    /// for ever with a growing pause, so a caller that must not block drops the future.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a message that the server will never take.
    pub async fn publish_all(&self, messages: &[Publish]) -> Result<(), Error> {
        let fences = vec![None; messages.len()];
        self.publish_fenced(messages, &fences).await
    }

    /// Like [`Bus::publish_all`], each message under its fence, if it has one. Only messages of
    /// DECISIONS, where leases live, can be fenced.
    ///
    /// # Errors
    /// Also [`Error::Fenced`], when the server refuses a message because the lease has moved on.
    pub async fn publish_fenced(
        &self,
        messages: &[Publish],
        fences: &[Option<Fence>],
    ) -> Result<(), Error> {
        let mut open: Vec<usize> = (0..messages.len()).collect();
        let mut pause = PAUSE_MIN;
        while !open.is_empty() {
            let before = open.len();
            open = self.attempt(messages, fences, open).await?;
            if open.len() < before {
                // It takes some of them at a time: of those under one lease a cluster takes few,
                // while others are on their way.
                pause = PAUSE_MIN;
            }
            if !open.is_empty() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
        Ok(())
    }

    /// Sends the open messages at once and waits for the server's word on each. Returns those
    /// that are to be tried again.
    async fn attempt(
        &self,
        messages: &[Publish],
        fences: &[Option<Fence>],
        open: Vec<usize>,
    ) -> Result<Vec<usize>, Error> {
        let (mut sent, mut acks) = (Vec::with_capacity(open.len()), Vec::new());
        let mut open = open.into_iter();
        for index in open.by_ref() {
            let Some(message) = messages.get(index) else { continue };
            let fence = fences.get(index).and_then(Option::as_ref);
            sent.push((index, message, fence));
            acks.push(self.send(message, fence).await);
            // The connection takes nothing more now: each of the others would wait in vain too.
            if let Some(Err(e)) = acks.last()
                && e.kind() == PublishErrorKind::TimedOut
            {
                break;
            }
        }
        let mut again: Vec<usize> = open.collect();
        for ((index, message, fence), stored) in sent.into_iter().zip(self.confirmed(acks).await) {
            let Err(error) = stored else { continue };
            match (error.kind(), fence) {
                (PublishErrorKind::WrongLastSequence, Some(fence)) => {
                    return Err(Error::Fenced { lease: fence.subject.clone() });
                }
                (PublishErrorKind::MaxPayloadExceeded, _) => {
                    let subject = message.subject.of(&self.tenant);
                    return Err(Error::TooLarge { subject, index });
                }
                _ => {
                    tracing::debug!(%error, "publish is tried again");
                    again.push(index);
                }
            }
        }
        if !again.is_empty() {
            tracing::warn!(messages = again.len(), "server did not confirm; trying again");
        }
        Ok(again)
    }

    /// The server's word on each of what was sent together. All of them have one span for it.
    /// Each future has its own, which begins only when it is waited for: one after the other, a
    /// batch whose answers a dying server took with it would be waited for so many times.
    pub(crate) async fn confirmed(&self, sent: Vec<Sent>) -> Vec<Result<PublishAck, PublishError>> {
        let patience = tokio::time::sleep(self.js.timeout());
        tokio::pin!(patience);
        let mut told = Vec::with_capacity(sent.len());
        for one in sent {
            told.push(match one {
                Ok(ack) => tokio::select! {
                    biased;
                    ack = ack.into_future() => ack,
                    () = &mut patience => Err(PublishError::new(PublishErrorKind::TimedOut)),
                },
                Err(error) => Err(error),
            });
        }
        told
    }

    async fn send(&self, message: &Publish, fence: Option<&Fence>) -> Sent {
        let mut out = PublishMessage::build()
            .payload(message.payload.clone())
            .message_id(message.id.to_string())
            .header("Content-Type", MESSAGEPACK);
        if let Some(trace) = &message.trace {
            out = out.header("traceparent", trace.as_str());
        }
        let decision = Stream::holding(&message.subject) == Some(Stream::Decisions);
        if let Some(fence) = fence.filter(|_| decision) {
            out = out
                .expected_last_subject_sequence(fence.seq)
                .header("Nats-Expected-Last-Subject-Sequence-Subject", fence.subject.as_str());
        }
        self.js.send_publish(message.subject.of(&self.tenant), out).await
    }
}
