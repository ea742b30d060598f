//! The one consumer through which an owner reads all of its shards.

use crate::{
    bus::{Bus, Error},
    delivery, gather,
    service::Sharded,
    stage::Delivery,
};
use async_nats::jetstream::{
    Message,
    consumer::{
        AckPolicy, DeliverPolicy, PullConsumer,
        pull::{self, MessagesError},
    },
};
use futures::StreamExt;
use magsentinel_bus_schema::{Shard, Subject};
use std::{collections::BTreeSet, time::Duration};

/// From where to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// From this stream sequence on.
    Sequence(u64),
    /// From what was stored at this time on (microseconds since the epoch).
    Stored(i64),
}

/// What came of a wait for a message.
pub(crate) type Pulled = Option<Result<Message, MessagesError>>;

/// What was pulled together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Messages with their shards.
    pub(crate) messages: Vec<(Shard, Delivery)>,
    /// Messages on subjects of which nobody knows the shard.
    pub(crate) astray: Vec<Delivery>,
    /// Nothing may follow this from the same feed: it has broken, or a message is missing.
    pub(crate) broken: bool,
}

impl Batch {
    fn take(&mut self, shard: Option<Shard>, delivery: Delivery) {
        match shard {
            Some(shard) => self.messages.push((shard, delivery)),
            None => self.astray.push(delivery),
        }
    }

    fn len(&self) -> usize {
        self.messages.len() + self.astray.len()
    }
}

/// An open feed.
///
/// The server numbers what it delivers to a consumer. Nothing is acknowledged, so what it sent into
/// a connection that broke is never sent again, and the client pulls on as if nothing had happened:
/// the number that is missing is the only word of it. Whoever finds one missing opens another feed
/// after what was seen.
pub(crate) struct Feed {
    consumer: PullConsumer,
    messages: pull::Stream,
    stream: String,
    /// Everything is of the first shard.
    whole: bool,
    order: Order,
    /// How often the connection had been made when the feed was opened.
    connects: u64,
}

/// Whether deliveries come without a hole.
#[derive(Debug, Default, PartialEq, Eq)]
struct Order {
    /// Number of the newest delivery.
    last: u64,
    /// What the server had delivered when it was asked last, where that had not come yet.
    owed: Option<u64>,
}

impl Order {
    /// Whether this delivery follows the one before.
    fn follows(&mut self, number: u64) -> bool {
        if number != self.last + 1 {
            return false;
        }
        self.last = number;
        true
    }

    /// Takes the server's word for how much it has delivered: false where something had not come
    /// when it was asked before either, and nothing else has come since.
    fn holds(&mut self, delivered: u64) -> bool {
        let owed = (delivered > self.last).then_some(self.last);
        let before = std::mem::replace(&mut self.owed, owed);
        owed.is_none() || before != owed
    }
}

impl Feed {
    /// Opens a consumer of this process alone. Nothing is acknowledged: how far a shard is
    /// handled stands in its lease. `shards` are those that this process owns `of` all.
    pub(crate) async fn open(
        bus: &Bus,
        service: &Sharded,
        (shards, of): (&[Shard], u16),
        from: From,
    ) -> Result<Self, Error> {
        let connects = bus.connects();
        let stream = bus.stream(service.stream).await?;
        let fail = |why: String| Error::Consumer {
            stream: service.stream.token().to_owned(),
            name: format!("shards of {}", service.name),
            why,
        };
        let deliver_policy = match from {
            From::Sequence(seq) if seq <= 1 => DeliverPolicy::All,
            From::Sequence(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
            From::Stored(us) => {
                let nanos = i128::from(us).saturating_mul(1000);
                let time = async_nats::datetime::from_nanos(nanos);
                let start_time = time.map_err(|e| fail(e.to_string()))?;
                DeliverPolicy::ByStartTime { start_time }
            }
        };
        let filters = shards.iter().flat_map(|s| (service.filters)(bus.tenant(), *s)).collect();
        let all = !service.whole && shards.len() == usize::from(of);
        let config = pull::Config {
            filter_subjects: if all { of_all(filters) } else { filters },
            deliver_policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(30),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|e| fail(e.to_string()))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(service.batch_max * 4)
            .expires(Duration::from_secs(20))
            .heartbeat(Duration::from_secs(5))
            .messages()
            .await
            .map_err(|e| fail(e.to_string()))?;
        let (stream, order) = (service.stream.name(bus.tenant()), Order::default());
        Ok(Self { consumer, messages, stream, whole: service.whole, order, connects })
    }

    /// Waits for a message. Nothing is lost when the wait is given up.
    pub(crate) async fn first(&mut self) -> Pulled {
        self.messages.next().await
    }

    /// A message and what comes with it, in stream order. `None`: the feed has broken and is to
    /// be opened again.
    pub(crate) async fn with(&mut self, first: Pulled, max: usize) -> Option<Batch> {
        let mut batch = Batch::default();
        let mut next = Some(first?);
        while let Some(pulled) = next.take() {
            match pulled {
                Ok(message) => {
                    let Some(pulled) = self.following(&message) else {
                        batch.broken = true;
                        break;
                    };
                    let waits = pulled.waits;
                    batch.take(self.shard_of(&pulled.delivery), pulled.delivery);
                    if batch.len() < max {
                        next = gather::after(waits, &mut self.messages).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(stream = self.stream, %error, "feed broke");
                    batch.broken = true;
                }
            }
        }
        (batch.len() > 0 || !batch.broken).then_some(batch)
    }

    /// A message that follows the one before; none where one is missing in between.
    fn following(&mut self, message: &Message) -> Option<delivery::Pulled> {
        let pulled = delivery::of(message);
        let number = pulled.as_ref().map_or(0, |pulled| pulled.number);
        let last = self.order.last;
        if !self.order.follows(number) {
            let stream = self.stream.as_str();
            tracing::warn!(stream, last, number, "deliveries are missing: they are read again");
            return None;
        }
        pulled
    }

    fn shard_of(&self, delivery: &Delivery) -> Option<Shard> {
        if self.whole {
            return Some(Shard(0));
        }
        Subject::parse(&delivery.subject).ok()?.1.shard()
    }

    /// Whether everything has come that the server had delivered when it was asked last.
    pub(crate) fn is_whole(&self) -> bool {
        self.order.owed.is_none()
    }

    /// Whether the connection was made anew since the feed was opened: what was on its way then is
    /// lost.
    pub(crate) fn is_of_former_connection(&self, bus: &Bus) -> bool {
        bus.connects() != self.connects
    }

    /// Messages that wait in the stream for this feed; an error where some were delivered and have
    /// not come.
    pub(crate) async fn waiting(&mut self) -> Result<Option<u64>, Lost> {
        let Ok(info) = self.consumer.info().await else { return Ok(None) };
        let (pending, delivered) = (info.num_pending, info.delivered.consumer_sequence);
        if self.order.holds(delivered) {
            return Ok(Some(pending));
        }
        let (stream, last) = (self.stream.as_str(), self.order.last);
        tracing::warn!(stream, last, delivered, "deliveries have not come: they are read again");
        Err(Lost)
    }
}

/// Some deliveries have not come, and will not.
#[derive(Debug)]
pub(crate) struct Lost;

/// The filters of all shards as few: the shard is the last token of a subject. The server looks for
/// the next message of each filter, so that 64 of them cost it most of what a message costs it.
fn of_all(filters: Vec<String>) -> Vec<String> {
    let any = |filter: &String| match filter.rsplit_once('.') {
        Some((subject, _)) => format!("{subject}.*"),
        None => filter.clone(),
    };
    filters.iter().map(any).collect::<BTreeSet<String>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_missing_is_noticed_and_so_is_one_that_never_comes() {
        let mut order = Order::default();
        assert!(order.follows(1) && order.follows(2));
        assert!(!order.follows(4), "3 is missing");
        assert!(!order.follows(2), "it came before");
        // The server has delivered two more, which may be on their way.
        assert!(order.holds(4));
        assert!(order.follows(3));
        assert!(order.holds(4), "one has come since");
        assert!(!order.holds(4));
        let mut quiet = Order::default();
        assert!(quiet.holds(0) && quiet.holds(0));
    }

    #[test]
    fn one_filter_takes_what_those_of_all_shards_take() {
        let each =
            (0..64).flat_map(|n| [format!("mag.a.keyed.*.{n}"), format!("mag.a.fact.b.c.{n}")]);
        assert_eq!(of_all(each.collect()), ["mag.a.fact.b.c.*", "mag.a.keyed.*.*"]);
    }
}
