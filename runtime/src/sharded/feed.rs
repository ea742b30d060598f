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
use std::time::Duration;

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

/// Messages with their shards.
pub(crate) type Batch = Vec<(Shard, Delivery)>;

/// An open feed.
pub(crate) struct Feed {
    consumer: PullConsumer,
    messages: pull::Stream,
    stream: String,
}

impl Feed {
    /// Opens a consumer of this process alone. Nothing is acknowledged: how far a shard is
    /// handled stands in its lease.
    pub(crate) async fn open(
        bus: &Bus,
        service: &Sharded,
        shards: &[Shard],
        from: From,
    ) -> Result<Self, Error> {
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
        let filters = shards.iter().flat_map(|s| (service.filters)(bus.tenant(), *s));
        let config = pull::Config {
            filter_subjects: filters.collect(),
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
        Ok(Self { consumer, messages, stream: service.stream.name(bus.tenant()) })
    }

    /// Waits for a message. Nothing is lost when the wait is given up.
    pub(crate) async fn first(&mut self) -> Pulled {
        self.messages.next().await
    }

    /// A message and what comes with it, in stream order. `None`: the feed has broken and is to
    /// be opened again.
    pub(crate) async fn with(&mut self, first: Pulled, max: usize) -> Option<Batch> {
        let mut batch = Vec::with_capacity(max);
        let mut next = Some(first?);
        while let Some(pulled) = next.take() {
            match pulled {
                Ok(message) => {
                    batch.extend(delivery::of(&message).and_then(with_shard));
                    if batch.len() < max {
                        next = gather::after(&message, &mut self.messages).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(stream = self.stream, %error, "feed broke");
                    return (!batch.is_empty()).then_some(batch);
                }
            }
        }
        Some(batch)
    }

    /// Messages that wait in the stream for this feed.
    pub(crate) async fn waiting(&mut self) -> Option<u64> {
        self.consumer.info().await.ok().map(|info| info.num_pending)
    }
}

fn with_shard(delivery: Delivery) -> Option<(Shard, Delivery)> {
    let (_, subject) = Subject::parse(&delivery.subject).ok()?;
    Some((subject.shard()?, delivery))
}
