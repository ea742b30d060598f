//! Reading streams without consuming them: for tools and audits.

use super::{Bus, Error};
use crate::{delivery, stage::Delivery};
use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, pull},
    message::Message,
    stream::RawMessageErrorKind,
};
use futures::{Stream as Items, StreamExt};
use magsentinel_bus_schema::{Stream, Timestamp};
use std::{ops::ControlFlow, time::Duration};

/// How far a stretch of a stream was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To its end.
    Whole,
    /// As many messages as were allowed; more may be there.
    Bounded,
}

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
        show: impl FnMut(&Delivery),
    ) -> Result<u64, Error> {
        self.read(stream, filters, DeliverPolicy::All, always(show)).await
    }

    /// Shows what a stream stored from a time to another, both included, at most `messages_max`
    /// messages, or until told to break off.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn read_stretch(
        &self,
        (stream, filters): (Stream, Vec<String>),
        (since, until): (Timestamp, Timestamp),
        messages_max: u64,
        mut show: impl FnMut(&Delivery) -> ControlFlow<()>,
    ) -> Result<Extent, Error> {
        let (mut seen, mut extent) = (0, Extent::Whole);
        let bounded = |delivery: &Delivery| {
            if delivery.stored > until {
                return ControlFlow::Break(());
            }
            if seen >= messages_max {
                extent = Extent::Bounded;
                return ControlFlow::Break(());
            }
            seen += 1;
            show(delivery)
        };
        let from = Self::from_time(stream, since)?;
        self.read(stream, filters, from, bounded).await?;
        Ok(extent)
    }

    /// How many messages a stream holds for some subjects after a sequence.
    pub(crate) async fn count_after(
        &self,
        stream: Stream,
        filters: Vec<String>,
        seq: u64,
    ) -> Result<u64, Error> {
        let from = DeliverPolicy::ByStartSequence { start_sequence: seq + 1 };
        let held = self.stream(stream).await?;
        let consumer = held.create_consumer(Self::once(filters, from)).await;
        let consumer = consumer.map_err(|e| Self::unread(stream, e.to_string()))?;
        let info = consumer.cached_info();
        if let Err(error) = held.delete_consumer(&info.name).await {
            tracing::debug!(%error, "reader was not deleted");
        }
        Ok(info.num_pending)
    }

    /// A consumer that reads once and is then forgotten.
    fn once(filters: Vec<String>, deliver_policy: DeliverPolicy) -> pull::Config {
        pull::Config {
            filter_subjects: filters,
            deliver_policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(10),
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        }
    }

    /// The message of a sequence; none where it is gone.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn read_one(&self, stream: Stream, seq: u64) -> Result<Option<Delivery>, Error> {
        match self.stream(stream).await?.get_raw_message(seq).await {
            Ok(message) => Ok(Some(delivery::stored(message))),
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(e) => Err(Self::unread(stream, e.to_string())),
        }
    }

    fn from_time(stream: Stream, since: Timestamp) -> Result<DeliverPolicy, Error> {
        let nanos = i128::from(since.micros()).saturating_mul(1000);
        let start_time = async_nats::datetime::from_nanos(nanos);
        let start_time = start_time.map_err(|e| Self::unread(stream, e.to_string()))?;
        Ok(DeliverPolicy::ByStartTime { start_time })
    }

    /// As [`Bus::read_all`], but only what was stored at a time or later.
    pub async fn read_since(
        &self,
        stream: Stream,
        filters: Vec<String>,
        since: Timestamp,
        show: impl FnMut(&Delivery),
    ) -> Result<u64, Error> {
        let from = Self::from_time(stream, since)?;
        self.read(stream, filters, from, always(show)).await
    }

    /// As [`Bus::read_all`], but only from this stream sequence on.
    pub async fn read_from(
        &self,
        stream: Stream,
        filters: Vec<String>,
        seq: u64,
        show: impl FnMut(&Delivery),
    ) -> Result<u64, Error> {
        let from = DeliverPolicy::ByStartSequence { start_sequence: seq.max(1) };
        self.read(stream, filters, from, always(show)).await
    }

    async fn read(
        &self,
        stream: Stream,
        filters: Vec<String>,
        deliver_policy: DeliverPolicy,
        mut show: impl FnMut(&Delivery) -> ControlFlow<()>,
    ) -> Result<u64, Error> {
        let unread = |why: String| Self::unread(stream, why);
        let held = self.stream(stream).await?;
        let consumer = held
            .create_consumer(Self::once(filters, deliver_policy))
            .await
            .map_err(|e| unread(e.to_string()))?;
        let mut left = consumer.cached_info().num_pending;
        let mut read = 0;
        'reading: while left > 0 {
            let fetched = consumer.fetch().max_messages(1000).messages().await;
            let mut fetched = fetched.map_err(|e| unread(e.to_string()))?;
            let before = read;
            while let Some(message) = fetched.next().await {
                let message = message.map_err(|e| unread(e.to_string()))?;
                if let Some(pulled) = delivery::of(&message) {
                    (read, left) = (read + 1, pulled.waits);
                    if show(&pulled.delivery).is_break() {
                        break 'reading;
                    }
                }
            }
            if read == before {
                return Err(unread(format!("the server stopped with {left} messages left")));
            }
        }
        // It would go by itself after its threshold; a tool that asks often should not wait.
        let name = consumer.cached_info().name.clone();
        if let Err(error) = held.delete_consumer(&name).await {
            tracing::debug!(%error, "reader was not deleted");
        }
        Ok(read)
    }

    /// Follows a stream from now on, across reconnects.
    pub async fn follow(
        &self,
        stream: Stream,
        filters: Vec<String>,
    ) -> Result<impl Items<Item = Delivery> + Send + Unpin + use<>, Error> {
        self.follow_by(stream, filters, DeliverPolicy::New).await
    }

    /// Follows a stream from its first message on, across reconnects.
    pub async fn follow_whole(
        &self,
        stream: Stream,
        filters: Vec<String>,
    ) -> Result<impl Items<Item = Delivery> + Send + Unpin + use<>, Error> {
        self.follow_by(stream, filters, DeliverPolicy::All).await
    }

    async fn follow_by(
        &self,
        stream: Stream,
        filters: Vec<String>,
        policy: DeliverPolicy,
    ) -> Result<impl Items<Item = Delivery> + Send + Unpin + use<>, Error> {
        let messages = self.reader(stream, filters, policy).await?;
        let read = |message: Result<Message, _>| async move {
            message.ok().as_ref().and_then(delivery::of).map(|pulled| pulled.delivery)
        };
        Ok(Box::pin(messages.filter_map(read)))
    }
}

/// Shows everything.
fn always(mut show: impl FnMut(&Delivery)) -> impl FnMut(&Delivery) -> ControlFlow<()> {
    move |delivery| {
        show(delivery);
        ControlFlow::Continue(())
    }
}
