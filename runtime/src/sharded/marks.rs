//! What an owner notes in its lease so that others can count after it.
//!
//! A lease says how far its shard is handled, and how many messages that were. The ledger compares
//! the two with what the stream holds; but the stream forgets its oldest messages, and the number
//! does not. So the lease keeps the number as it was at earlier positions: behind one of them the
//! stream still holds everything.

use magsentinel_bus_schema::{Lease, Mark};

/// Most marks of one lease.
const MARKS_MAX: usize = 4;

/// Brings the marks up to date with where the stream begins: those of which it has lost messages go,
/// and one is set whenever none lies in the newer half of what it holds. So there is always one that
/// stays for a while.
pub(super) fn mark(lease: &mut Lease, first: u64) {
    lease.marks.retain(|mark| is_whole(mark, first));
    let half = first + lease.position.saturating_sub(first) / 2;
    let newest = lease.marks.last().map(|mark| mark.position);
    if newest.is_some_and(|newest| newest >= half || newest >= lease.position) {
        return;
    }
    if lease.marks.len() >= MARKS_MAX {
        // The oldest tells of most.
        lease.marks.remove(1);
    }
    lease.marks.push(Mark { position: lease.position, handled: lease.handled });
}

/// Whether a stream that begins with this sequence still holds everything behind a mark.
pub(crate) fn is_whole(mark: &Mark, first: u64) -> bool {
    mark.position.saturating_add(1) >= first
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::Shard;

    #[test]
    fn there_is_always_a_mark_behind_which_the_stream_holds_everything() {
        let mut lease = Lease {
            v: 1,
            service: "analyzer".parse().unwrap(),
            shard: Shard(0),
            owner: None,
            epoch: 1,
            ttl_ms: 1,
            position: 0,
            handled: 0,
            snapshot: None,
            marks: vec![],
        };
        let mut least = u64::MAX;
        for turn in 1..2000_u64 {
            lease.position += turn % 7;
            lease.handled += turn % 3;
            // The stream holds a thousand messages.
            let first = lease.position.saturating_sub(1000).max(1);
            mark(&mut lease, first);
            assert!(lease.marks.len() <= MARKS_MAX);
            assert!(lease.marks.is_sorted_by_key(|mark| (mark.position, mark.handled)));
            let oldest = lease.marks.iter().find(|mark| is_whole(mark, first)).unwrap();
            if lease.position > 2000 {
                least = least.min(lease.position - oldest.position);
            }
        }
        assert!(least >= 250, "no fewer than a quarter of what it holds is compared: {least}");
    }
}
