//! Reading streams without consuming them: for tools and audits.

use super::{Bus, Error};
use crate::{delivery, stage::Delivery};
use async_nats::jetstream::{
    consumer::{DeliverPolicy, pull},
    message::Message,
};
use futures::{Stream as Items, StreamExt};
use magsentinel_bus_schema::Stream;

impl Bus {
    fn unread(stream: Stream, why: String) -> Error {
        Error::Consumer { stream: stream.token().to_owned(), name: "reader".to_owned(), why }
    }

    async fn reader(
        &self,
        stream: Stream,
        filters: Vec<String>,
        deliver_policy: DeliverPolicy,
    ) -> Result<pull::Ordered, Error> {
        let config = pull::OrderedConfig {
            filter_subjects: filters,
            deliver_policy,
            ..pull::OrderedConfig::default()
        };
        let held = self.stream(stream).await?;
        let consumer = held.create_consumer(config).await;
        let consumer = consumer.map_err(|e| Self::unread(stream, e.to_string()))?;
        consumer.messages().await.map_err(|e| Self::unread(stream, e.to_string()))
    }

    /// Shows every message that a stream holds now, in order. Returns how many.
    pub async fn read_all(
        &self,
        stream: Stream,
        filters: Vec<String>,
        mut show: impl FnMut(&Delivery),
    ) -> Result<u64, Error> {
        let last = self.stream(stream).await?.cached_info().state.last_sequence;
        let mut messages = self.reader(stream, filters, DeliverPolicy::All).await?;
        let mut read = 0;
        while let Ok(next) =
            tokio::time::timeout(std::time::Duration::from_millis(800), messages.next()).await
        {
            let Some(message) = next else { break };
            let message = message.map_err(|e| Self::unread(stream, e.to_string()))?;
            let pending = message.info().map_or(0, |i| i.pending);
            let Some(delivery) = delivery::of(&message) else { continue };
            show(&delivery);
            read += 1;
            if delivery.seq >= last || pending == 0 {
                break;
            }
        }
        Ok(read)
    }

    /// Follows a stream from now on, across reconnects.
    pub async fn follow(
        &self,
        stream: Stream,
        filters: Vec<String>,
    ) -> Result<impl Items<Item = Delivery> + Send + Unpin + use<>, Error> {
        let messages = self.reader(stream, filters, DeliverPolicy::New).await?;
        let read = |message: Result<Message, _>| async move {
            message.ok().as_ref().and_then(delivery::of)
        };
        Ok(Box::pin(messages.filter_map(read)))
    }
}
