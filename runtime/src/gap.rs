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
mod lost;
mod opening;

pub use closing::closing;
pub use handled::Handled;
pub(crate) use lost::{KEY, Look, Loss, lost, tell};
pub use opening::told;
pub(crate) use opening::{Late, open};

use crate::{
    context::Context,
    metrics::{ConsumerReason, consumer},
    stage::Publish,
};
use magsentinel_bus_schema::{CodecError, Gap, GapState, Id, Subject, Token};

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
