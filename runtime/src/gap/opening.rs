//! Which gap is open, and how one is opened.

use super::{message, show_open};
use crate::{
    bus::{Bus, Error, Fence},
    context::Context,
    stage::Delivery,
};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use magsentinel_bus_schema::{
    Gap, GapState, Id, SCHEMA_VERSION, Stream, Subject, Timestamp, Token, decode, subject,
};
use std::{collections::BTreeMap, time::Duration};

/// The first message that was handled too late: its stream sequence, and when it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Late {
    seq: u64,
    stored: Timestamp,
}

impl Late {
    /// The first of some deliveries.
    pub(crate) fn first<'a>(of: impl Iterator<Item = &'a Delivery>) -> Option<Self> {
        of.map(|d| Self { seq: d.seq, stored: d.stored }).min()
    }
}

/// What the newest messages about a consumer's gaps say.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// Sequence of the newest message; 0 where there is none.
    pub(super) seq: u64,
    /// The gap that is open, if one is.
    pub(super) open: Option<Gap>,
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "the gaps", why: why.to_string() }
}

/// Asks the leader of the stream, so that what was stored before is seen.
pub(super) async fn newest(bus: &Bus, name: &Token) -> Result<Newest, Error> {
    let subject = Subject::Gap(name.clone()).of(bus.tenant());
    let stream = bus.stream(Stream::Decisions).await?;
    let found = match stream.get_last_raw_message_by_subject(&subject).await {
        Ok(found) => found,
        Err(e) if e.kind() == LastRawMessageErrorKind::NoMessageFound => {
            return Ok(Newest::default());
        }
        Err(e) => return Err(failed(e)),
    };
    let gap = decode(&found.payload, None, bus.limits())
        .inspect_err(|error| tracing::warn!(%error, subject, "a gap cannot be read"));
    let gap = match gap.ok() {
        // What was lost is told beside: the gap that may be open stands before it.
        Some(Gap { state: GapState::Lost, .. }) => last_not_lost(bus, subject).await?,
        other => other,
    };
    Ok(Newest { seq: found.sequence, open: gap.filter(|gap| gap.state == GapState::Open) })
}

async fn last_not_lost(bus: &Bus, subject: String) -> Result<Option<Gap>, Error> {
    let mut last = None;
    bus.read_all(Stream::Decisions, vec![subject], |d| {
        let gap = d.decode::<Gap>(bus.limits()).ok();
        last = gap.filter(|gap| gap.state != GapState::Lost).or(last.take());
    })
    .await?;
    Ok(last)
}

/// The newest word on every consumer's gaps, in the order of consumers: the one that is open or
/// was closed last, and the one that was lost last.
///
/// # Errors
/// When the stream cannot be read.
pub async fn told(bus: &Bus) -> Result<Vec<Gap>, Error> {
    let mut newest: BTreeMap<(Token, bool), Gap> = BTreeMap::new();
    let filter = vec![subject::all_of(bus.tenant(), "gap")];
    bus.read_all(Stream::Decisions, filter, |d| {
        if let Ok(gap) = d.decode::<Gap>(bus.limits()) {
            newest.insert((gap.patrol.clone(), gap.state == GapState::Lost), gap);
        }
    })
    .await?;
    Ok(newest.into_values().collect())
}

/// Opens a gap where none is open, and returns when one is. What fails for a passing reason is
/// tried again for ever, as publishing is: a caller that must not block drops the future.
pub(crate) async fn open(context: &Context, name: &Token, stream: Stream, late: Late) {
    let mut pause = Duration::from_millis(20);
    loop {
        match try_open(context, name, stream, late).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(consumer = %name, %error, "opening the gap again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

async fn try_open(
    context: &Context,
    name: &Token,
    stream: Stream,
    late: Late,
) -> Result<(), Error> {
    let bus = &context.bus;
    let newest = newest(bus, name).await?;
    if newest.open.is_some() {
        return Ok(());
    }
    // Whoever marks a result finds a gap open first: all of this one lie behind.
    let scored_after = bus.stream(Stream::Scored).await?.cached_info().state.last_sequence;
    let stream = stream.name(bus.tenant());
    let parts = [b"late".as_slice(), stream.as_bytes(), name.as_str().as_bytes()];
    let first = late.seq.to_le_bytes();
    let parts: Vec<&[u8]> = parts.into_iter().chain([first.as_slice()]).collect();
    let gap = Gap {
        v: SCHEMA_VERSION,
        id: Id::derived(&parts),
        tenant: bus.tenant().clone(),
        patrol: name.clone(),
        kind: None,
        from_seq: late.seq,
        to_seq: late.seq,
        count: 1,
        reason: "down or lagging: they are handled too late for live correlation".to_owned(),
        noticed: context.now(),
        state: GapState::Open,
        from: Some(late.stored),
        to: None,
        scored_after,
    };
    let fence = Fence { subject: Subject::Gap(name.clone()).of(bus.tenant()), seq: newest.seq };
    bus.publish_fenced(&[message(&gap)?], &[Some(fence)]).await?;
    tracing::warn!(consumer = %name, from_seq = late.seq, from = %late.stored, "blind for a while");
    show_open(context, name, true);
    Ok(())
}
