//! Gaps: what a consumer did not see in time.
//!
//! What the stream's limits took before it was handled is *lost*, and told once. What a stage
//! handles too late ([`Output::late`](crate::stage::Output::late) says so) opens a gap. It is
//! closed when nothing waits any more: then all that was missed has been scored from the stream,
//! marked as back-filled, and the gap says from when to when, and how many.
//!
//! **Nothing of a gap lives in a process.** The newest message on the consumer's gap subject says
//! whether one is open. It is published under the sequence of the one before it, so of several
//! replicas one opens it and one closes it. How many events were missed is counted from SCORED:
//! the distinct sequences whose every result is marked as back-filled.
//!
//! **The count is exact.** A marked result is published only after its worker has found a gap
//! open. A gap is closed only when the oldest message that is not acknowledged is younger than
//! half the bound, and within a quarter of the bound from that look. A message that is found late
//! was older than half the bound at any look within the last half, so it was seen waiting then,
//! or its worker has found the gap closed since and opened another.

mod closing;
mod count;
pub(crate) mod handled;
mod opening;

pub use closing::closing;
pub use handled::Handled;
pub use opening::told;
pub(crate) use opening::{Late, open};

use crate::{
    context::Context,
    metrics::{ConsumerReason, consumer},
    stage::Publish,
};
use magsentinel_bus_schema::{
    CodecError, Gap, GapState, Id, Kind, SCHEMA_VERSION, Stream, Subject, Token,
};

/// The first and last stream sequence that are gone, of a consumer that has handled everything
/// up to `handled` in a stream that begins at `first`. One that has handled nothing yet has
/// missed nothing: it is new.
pub(crate) fn missed(handled: u64, first: u64) -> Option<(u64, u64)> {
    (handled > 0 && first > handled + 1).then(|| (handled + 1, first - 1))
}

/// Publishes what the stream has lost. Told by several owners or after a restart, it is the same
/// message.
pub(crate) async fn tell(context: &Context, name: &Token, stream: Stream, (from, to): (u64, u64)) {
    let bus = &context.bus;
    let (stream, range) = (stream.name(bus.tenant()), [from.to_le_bytes(), to.to_le_bytes()]);
    let parts =
        [b"gap".as_slice(), stream.as_bytes(), name.as_str().as_bytes(), range.as_flattened()];
    let gap = Gap {
        v: SCHEMA_VERSION,
        id: Id::derived(&parts),
        tenant: bus.tenant().clone(),
        patrol: name.clone(),
        kind: None::<Kind>,
        from_seq: from,
        to_seq: to,
        count: to - from + 1,
        reason: format!(
            "the limits of {stream} took them before they were handled; the count is that of all \
             subjects"
        ),
        noticed: context.now(),
        state: GapState::Lost,
        from: None,
        to: None,
        scored_after: 0,
    };
    tracing::warn!(consumer = %name, stream, from, to, "blind for a while: messages are gone");
    let stored = match message(&gap) {
        Ok(message) => bus.publish_all(&[message]).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match stored {
        Ok(()) => count_events(context, &gap),
        Err(error) => tracing::error!(consumer = %name, error, "the gap is not stored"),
    }
}

/// The message about a gap as it stands.
fn message(gap: &Gap) -> Result<Publish, CodecError> {
    let id = match gap.state {
        GapState::Lost => gap.id,
        // The gap keeps its id; the stream drops a second message with the id of a first one.
        GapState::Open => Id::derived(&[gap.id.as_bytes().as_slice(), b"open"]),
        GapState::Backfilled => Id::derived(&[gap.id.as_bytes().as_slice(), b"backfilled"]),
    };
    Publish::new(Subject::Gap(gap.patrol.clone()), id, gap)
}

fn count_events(context: &Context, gap: &Gap) {
    let reason = if gap.state == GapState::Lost { "lost" } else { "backfilled" };
    let label = ConsumerReason { consumer: gap.patrol.to_string(), reason };
    context.metrics.gap_events.get_or_create(&label).inc_by(gap.count);
}

fn show_open(context: &Context, name: &Token, open: bool) {
    let label = consumer(name.as_str());
    context.metrics.gap_open.get_or_create(&label).set(i64::from(open));
}

#[cfg(test)]
mod tests {
    use super::missed;

    #[test]
    fn only_what_lies_between_is_missed() {
        assert_eq!(missed(0, 100), None);
        assert_eq!(missed(99, 100), None);
        assert_eq!(missed(150, 100), None);
        assert_eq!(missed(49, 100), Some((50, 99)));
    }
}
