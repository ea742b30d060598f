//! Publishing: pipelined, confirmed, and tried again until the server has it.

use super::{Bus, Error};
use crate::stage::Publish;
use async_nats::jetstream::context::{
    PublishAckFuture, PublishError, PublishErrorKind, traits::TimeoutProvider,
};
use async_nats::jetstream::{self, ErrorCode, message::PublishMessage, publish::PublishAck};
use magsentinel_bus_schema::{Stream, codec::MESSAGEPACK};
use std::{collections::BTreeSet, error::Error as _, time::Duration};

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

/// What an attempt to publish left.
struct Left {
    /// To be tried again.
    open: Vec<usize>,
    /// Something was refused because another message under its lease was on its way.
    busy: bool,
}

/// Whether a server refused a message without looking at its lease. The leader of a stream of
/// several servers has one message under way for each subject that a sequence is expected of, until
/// all that came before is stored and told; it answers any other with this.
fn is_busy(error: &PublishError) -> bool {
    let said = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    said.is_some_and(|e| e.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}

/// The first of the open messages under each lease, with all that have none; and the others.
fn one_of_each(open: Vec<usize>, fences: &[Option<Fence>]) -> (Vec<usize>, Vec<usize>) {
    let mut leases = BTreeSet::new();
    open.into_iter().partition(|index| match fences.get(*index).and_then(Option::as_ref) {
        Some(fence) => leases.insert(fence.subject.as_str()),
        None => true,
    })
}

/// Pause between two attempts to publish where the one before stored something.
const PAUSE_MIN: Duration = Duration::from_millis(2);
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
        let (mut pause, mut one_each) = (PAUSE_MIN, false);
        while !open.is_empty() {
            let (now, later) =
                if one_each { one_of_each(open, fences) } else { (open, Vec::new()) };
            let sent = now.len();
            let left = self.attempt(messages, fences, now).await?;
            let stored = left.open.len() < sent;
            one_each |= left.busy;
            open = left.open;
            open.extend(later);
            open.sort_unstable();
            if stored {
                pause = PAUSE_MIN;
            }
            // One after the other under a lease, each as soon as the one before is stored.
            if !(open.is_empty() || stored && one_each) {
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
    ) -> Result<Left, Error> {
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
        let mut left = Left { open: open.collect(), busy: false };
        let mut busy = 0;
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
                    busy += usize::from(is_busy(&error));
                    left.open.push(index);
                }
            }
        }
        left.busy = busy > 0;
        if left.open.len() > busy {
            let messages = left.open.len() - busy;
            tracing::warn!(messages, "server did not confirm; trying again");
        }
        Ok(left)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_each_lease_the_first_goes_and_what_has_none_goes_at_once() {
        let under = |subject: &str| Some(Fence { subject: subject.to_owned(), seq: 1 });
        let fences = [under("a"), None, under("b"), under("a"), None, under("b"), under("c")];
        assert_eq!(
            one_of_each(vec![0, 1, 2, 3, 4, 5, 6], &fences),
            (vec![0, 1, 2, 4, 6], vec![3, 5])
        );
        assert_eq!(one_of_each(vec![3, 5], &fences), (vec![3, 5], vec![]));
    }
}
