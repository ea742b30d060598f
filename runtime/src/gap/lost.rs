//! What the stream's limits took before it was handled.
//!
//! A durable says how much it was given and how much waits, but not what it was never given: when
//! it is asked the next time, it has been moved past what is gone. So it is looked at every few
//! seconds, and two looks are compared. What waited at the first, or came since, and was neither
//! given out nor waits at the second, is lost. The looks are kept with the durable itself (in its
//! metadata), so they outlive the processes.

use super::{count_events, message};
use crate::{
    bus::{Bus, Error, Fence},
    context::Context,
};
use async_nats::jetstream::{
    consumer::Info,
    stream::{LastRawMessageErrorKind, State},
};
use magsentinel_bus_schema::{
    Gap, GapState, Id, Kind, SCHEMA_VERSION, Stream, Subject, Timestamp, Token,
};
use std::{collections::HashMap, time::Duration};

/// Where a durable's metadata keeps the newest look.
pub(crate) const KEY: &str = "magsentinel-look";

/// How a durable and its stream stood at one time. Sequences are the stream's, counts are those of
/// the durable's subjects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// First message that the stream held.
    pub(crate) first: u64,
    /// Last message that the stream held.
    pub(crate) last: u64,
    /// Up to here everything was given out, or is for others.
    pub(crate) reached: u64,
    /// Not given out yet.
    pub(crate) pending: u64,
    /// Given out and not acknowledged.
    pub(crate) in_flight: u64,
    /// How often any message was given out.
    pub(crate) delivered: u64,
    /// When it was.
    pub(crate) at: Timestamp,
}

/// A stretch of a stream that is gone, and how many of its messages were for a consumer, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) count: u64,
}

impl Look {
    /// From what the server says of the stream first, and then of the durable.
    pub(crate) fn of(state: &State, info: &Info, at: Timestamp) -> Self {
        let (given, pending) = (info.delivered.stream_sequence, info.num_pending);
        // Where nothing waits, what came after the last one was for others.
        let reached = if pending == 0 { given.max(state.last_sequence) } else { given };
        Self {
            first: state.first_sequence,
            last: state.last_sequence,
            reached,
            pending,
            in_flight: u64::try_from(info.num_ack_pending).unwrap_or(0),
            delivered: info.delivered.consumer_sequence,
            at,
        }
    }

    /// The look that a durable's metadata keeps.
    pub(crate) fn kept(metadata: &HashMap<String, String>) -> Option<Self> {
        let mut numbers = metadata.get(KEY)?.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            first: next()?,
            last: next()?,
            reached: next()?,
            pending: next()?,
            in_flight: next()?,
            delivered: next()?,
            at: Timestamp::from_micros(i64::try_from(next()?).ok()?),
        })
    }

    /// As metadata keep it.
    pub(crate) fn text(&self) -> String {
        let Self { first, last, reached, pending, in_flight, delivered, at } = self;
        let at = at.micros();
        format!("{first} {last} {reached} {pending} {in_flight} {delivered} {at}")
    }

    /// The stretch that went since an earlier look without having been given out, if there is one.
    /// A durable or a stream that was made anew since then has no earlier look.
    pub(crate) fn gone_since(&self, before: &Self) -> Option<(u64, u64)> {
        let same = before.delivered <= self.delivered && before.last <= self.last;
        let from = before.reached.max(before.first.saturating_sub(1)) + 1;
        (same && self.first > from).then(|| (from, self.first - 1))
    }

    /// What was lost of a stretch. `arrived` is how many for this durable the stream still holds
    /// of what came after the earlier look; of what came after it and is gone, all subjects count.
    /// A stream that refuses what it has no room for takes messages only for their age
    /// (`drops_after`), and else what a newer one of its subject has replaced: that is no loss.
    pub(crate) fn lost_since(
        &self,
        before: &Self,
        (from, to): (u64, u64),
        (arrived, drops_after): (u64, Option<Duration>),
    ) -> Option<Loss> {
        let young = drops_after.is_some_and(|age| self.at.since(before.at) < age);
        let unseen = if young { 0 } else { to.saturating_sub(before.last) };
        let had = before.pending + before.in_flight + arrived + unseen;
        let has = (self.delivered - before.delivered) + self.pending;
        let count = had.saturating_sub(has).min(to - from + 1);
        (count > 0).then_some(Loss { from, to, count })
    }
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Request { what: "what was lost", why: why.to_string() }
}

/// How many messages the gaps of a consumer tell as lost.
pub(crate) async fn lost(bus: &Bus, name: &str) -> Result<u64, Error> {
    Ok(told(bus, name).await?.iter().map(|loss| loss.count).sum())
}

async fn told(bus: &Bus, name: &str) -> Result<Vec<Loss>, Error> {
    let mut found = Vec::new();
    let filter = Subject::Gap(Token::sanitised(name)).of(bus.tenant());
    bus.read_all(Stream::Decisions, vec![filter], |d| match d.decode::<Gap>(bus.limits()) {
        Ok(Gap { state: GapState::Lost, from_seq, to_seq, count, .. }) => {
            found.push(Loss { from: from_seq, to: to_seq, count });
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, seq = d.seq, "a gap cannot be read"),
    })
    .await?;
    Ok(found)
}

/// What of a loss nobody has told yet: replicas look at different times.
fn untold(loss: Loss, told: &[Loss]) -> Option<Loss> {
    let overlap = |t: &&Loss| t.from <= loss.to && loss.from <= t.to;
    let (mut from, mut to, mut count) = (loss.from, loss.to, loss.count);
    for known in told.iter().filter(overlap) {
        count = count.saturating_sub(known.count);
        if known.from <= from {
            from = from.max(known.to + 1);
        } else if known.to >= to {
            to = to.min(known.from - 1);
        }
    }
    (from <= to && count > 0).then(|| Loss { from, to, count: count.min(to - from + 1) })
}

/// Attempts at telling while others tell of the same consumer's gaps.
const ATTEMPTS: u32 = 8;

/// Publishes what the stream has lost, but for what was told before. Under the sequence of the
/// newest message about the consumer's gaps, so of several replicas one tells it.
pub(crate) async fn tell(context: &Context, name: &Token, stream: Stream, loss: Loss) {
    for _ in 0..ATTEMPTS {
        match try_tell(context, name, stream, loss).await {
            Ok(()) => return,
            Err(Error::Fenced { .. }) => {}
            Err(error) => {
                tracing::error!(consumer = %name, %error, "the gap is not stored");
                return;
            }
        }
    }
    tracing::error!(consumer = %name, "the gap is not stored: others told of gaps each time");
}

async fn try_tell(
    context: &Context,
    name: &Token,
    stream: Stream,
    loss: Loss,
) -> Result<(), Error> {
    let bus = &context.bus;
    let subject = Subject::Gap(name.clone()).of(bus.tenant());
    let decisions = bus.stream(Stream::Decisions).await?;
    let seq = match decisions.get_last_raw_message_by_subject(&subject).await {
        Ok(newest) => newest.sequence,
        Err(e) if e.kind() == LastRawMessageErrorKind::NoMessageFound => 0,
        Err(e) => return Err(failed(e)),
    };
    let Some(loss) = untold(loss, &told(bus, name.as_str()).await?) else { return Ok(()) };
    let gap = gap(context, name, stream, loss);
    let Loss { from, to, count } = loss;
    let stream = stream.token();
    tracing::error!(consumer = %name, stream, from, to, count, "messages are gone unhandled");
    let fence = Fence { subject, seq };
    bus.publish_fenced(&[message(&gap)?], &[Some(fence)]).await?;
    count_events(context, &gap);
    Ok(())
}

/// Told by several owners or after a restart, it is the same message.
fn gap(context: &Context, name: &Token, stream: Stream, loss: Loss) -> Gap {
    let Loss { from, to, count } = loss;
    let tenant = context.bus.tenant().clone();
    let (stream, range) = (stream.name(&tenant), [from.to_le_bytes(), to.to_le_bytes()]);
    let parts =
        [b"gap".as_slice(), stream.as_bytes(), name.as_str().as_bytes(), range.as_flattened()];
    Gap {
        v: SCHEMA_VERSION,
        id: Id::derived(&parts),
        tenant,
        patrol: name.clone(),
        kind: None::<Kind>,
        from_seq: from,
        to_seq: to,
        count,
        reason: format!(
            "the limits of {stream} took them before they were handled; so many at most"
        ),
        noticed: context.now(),
        state: GapState::Lost,
        from: None,
        to: None,
        scored_after: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(first: u64, last: u64, reached: u64, pending: u64, delivered: u64) -> Look {
        Look { first, last, reached, pending, delivered, ..Look::default() }
    }

    fn between(before: Look, now: Look, arrived: u64) -> Option<Loss> {
        now.lost_since(&before, now.gone_since(&before)?, (arrived, None))
    }

    #[test]
    fn only_what_was_never_given_out_is_lost() {
        let before = look(1, 100, 40, 30, 20);
        // The stream's beginning has not passed what waits.
        assert_eq!(between(before, look(41, 120, 60, 20, 40), 10), None);
        // 30 waited; 10 of them are still there.
        let (from, to) = (41, 79);
        let lost = Some(Loss { from, to, count: 20 });
        assert_eq!(between(before, look(80, 100, 40, 10, 20), 0), lost);
        // The same, seen when the rest and 5 more have been given out.
        assert_eq!(between(before, look(80, 110, 110, 0, 35), 5), lost);
        // What came and went between two looks: of all subjects, so many at most.
        let lost = Some(Loss { from, to: 149, count: 30 + 49 });
        assert_eq!(between(before, look(150, 160, 40, 3, 20), 3), lost);
    }

    #[test]
    fn what_others_messages_aged_out_of_is_no_loss() {
        // Nothing waited at the last look: 41 to 90 were for others.
        let before = look(1, 90, 90, 0, 20);
        assert_eq!(between(before, look(85, 120, 40, 3, 20), 3), None);
        assert_eq!(between(before, look(91, 120, 120, 0, 23), 3), None);
        // A consumer that was made anew has missed nothing.
        assert_eq!(between(before, look(100, 120, 0, 3, 0), 3), None);
    }

    #[test]
    fn what_a_newer_one_of_its_subject_has_replaced_is_no_loss() {
        let before = look(1, 10, 10, 0, 20);
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let day = Some(Duration::from_secs(86_400));
        let now = look(200, 210, 10, 3, 20);
        let hour_later = Look { at: at(3600), ..now };
        assert_eq!(hour_later.lost_since(&before, (11, 199), (3, day)), None);
        // A day later they may have aged out.
        let lost = Some(Loss { from: 11, to: 199, count: 189 });
        let day_later = Look { at: at(90_000), ..now };
        assert_eq!(day_later.lost_since(&before, (11, 199), (3, day)), lost);
        // What waited and is gone is lost in any case.
        let before = look(1, 10, 8, 2, 20);
        let lost = Some(Loss { from: 9, to: 199, count: 2 });
        assert_eq!(hour_later.lost_since(&before, (9, 199), (3, day)), lost);
    }

    #[test]
    fn what_died_in_flight_is_lost_with_the_rest() {
        let before = Look { in_flight: 10, ..look(1, 100, 40, 30, 20) };
        let lost = Some(Loss { from: 41, to: 100, count: 40 });
        assert_eq!(between(before, look(101, 100, 100, 0, 20), 0), lost);
        // Delivered again instead.
        let lost = Some(Loss { from: 41, to: 100, count: 30 });
        assert_eq!(between(before, look(101, 100, 100, 0, 30), 0), lost);
    }

    #[test]
    fn a_look_is_kept_with_its_durable() {
        let look = Look { in_flight: 7, at: Timestamp::from_micros(8), ..look(1, 2, 3, 4, 5) };
        let kept = |text: &str| Look::kept(&HashMap::from([(KEY.to_owned(), text.to_owned())]));
        assert_eq!(kept(&look.text()), Some(look));
        assert_eq!(kept("1 2 3"), None);
        assert_eq!(Look::kept(&HashMap::new()), None);
    }

    #[test]
    fn what_one_replica_told_is_not_told_by_another() {
        let told = [Loss { from: 50, to: 99, count: 30 }];
        let loss = |from, to, count| Loss { from, to, count };
        assert_eq!(untold(loss(50, 99, 30), &told), None);
        assert_eq!(untold(loss(50, 120, 40), &told), Some(loss(100, 120, 10)));
        assert_eq!(untold(loss(40, 99, 35), &told), Some(loss(40, 49, 5)));
        assert_eq!(untold(loss(120, 140, 5), &told), Some(loss(120, 140, 5)));
    }
}
