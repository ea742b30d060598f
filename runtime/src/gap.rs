//! Gaps: what a consumer could not see, because the stream's limits took it first.

use crate::{context::Context, stage::Publish};
use magsentinel_bus_schema::{Gap, Id, Kind, SCHEMA_VERSION, Stream, Subject, Token};

/// The first and last stream sequence that are gone, of a consumer that has handled everything
/// up to `handled` in a stream that begins at `first`. One that has handled nothing yet has
/// missed nothing: it is new.
pub(crate) fn missed(handled: u64, first: u64) -> Option<(u64, u64)> {
    (handled > 0 && first > handled + 1).then(|| (handled + 1, first - 1))
}

/// Publishes a gap. Told by several owners or after a restart, it is the same message.
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
    };
    tracing::warn!(consumer = %name, stream, from, to, "blind for a while: messages are gone");
    let told = Publish::new(Subject::Gap(name.clone()), gap.id, &gap);
    let stored = match told {
        Ok(message) => bus.publish_all(&[message]).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = stored {
        tracing::error!(consumer = %name, error, "the gap is not stored");
    }
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
