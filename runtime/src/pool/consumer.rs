//! The durable that all replicas of a pool share.

use crate::{
    bus::{Bus, Error},
    gap,
    service::Pool,
};
use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::Stream,
};
use std::{collections::HashMap, time::Duration};

/// Deliveries beyond the shell's own `max_deliver`, in which the shell writes the dead letter.
/// Only a consumer that dies before it can even look at the message exhausts them; then the
/// server's advisory, which DEADLETTER captures, tells of it.
const SPARE_DELIVERIES: u64 = 3;

/// Makes or verifies the pool's durable.
pub(crate) async fn open(bus: &Bus, pool: &Pool) -> Result<PullConsumer, Error> {
    let stream = bus.stream(pool.stream).await?;
    let name = pool.durable.to_string();
    let in_flight = (pool.batch_max * pool.batches_in_flight.max(1)).max(1);
    let config = pull::Config {
        durable_name: Some(name.clone()),
        filter_subjects: (pool.filters)(bus.tenant()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: pool.ack_wait.get(),
        max_deliver: i64::try_from(pool.max_deliver + SPARE_DELIVERIES).unwrap_or(i64::MAX),
        // Enough for many replicas; each of them holds at most its own batches.
        metadata: kept(&stream, &name).await,
        max_ack_pending: i64::try_from(in_flight * 64).unwrap_or(20_000).max(20_000),
        ..pull::Config::default()
    };
    let made = stream.create_consumer(config).await;
    made.map_err(|e| Error::Consumer {
        stream: pool.stream.token().to_owned(),
        name,
        why: e.to_string(),
    })
}

/// What was noted about the durable before, if it is there.
async fn kept(stream: &Stream, name: &str) -> HashMap<String, String> {
    let info = stream.consumer_info(name).await;
    let mut metadata = info.map(|info| info.config.metadata).unwrap_or_default();
    metadata.retain(|key, _| key == gap::KEY);
    metadata
}

/// Messages that the client asks for at once: two batches, so that one is always under way.
pub(crate) async fn messages(
    consumer: &PullConsumer,
    pool: &Pool,
) -> Result<pull::Stream, async_nats::jetstream::consumer::StreamError> {
    consumer
        .stream()
        .max_messages_per_batch((pool.batch_max * pool.batches_in_flight.max(1) * 2).max(2))
        .expires(Duration::from_secs(20))
        .heartbeat(Duration::from_secs(5))
        .messages()
        .await
}
