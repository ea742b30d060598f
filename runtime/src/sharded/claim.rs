//! Who should own what: pure decisions over the leases that are known.

use magsentinel_bus_schema::{Lease, Shard};
use std::{collections::BTreeMap, time::Duration};

/// What is known of one shard's lease.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) lease: Lease,
    /// Sequence of the lease message.
    pub(crate) seq: u64,
    /// How long ago this process saw that message. Its own monotonic clock, so that skewed
    /// clocks on other machines do not matter.
    pub(crate) age: Duration,
    /// The process of the owner has ended.
    pub(crate) gone: bool,
}

/// What to do about the shards.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Free, expired, or ours from before: claim these.
    pub(crate) claim: Vec<Shard>,
    /// More than our share: give these up.
    pub(crate) release: Vec<Shard>,
}

/// Decides for process `me` among `members` live processes (itself included).
pub(crate) fn moves(
    known: &BTreeMap<Shard, Known>,
    shards: u16,
    me: &str,
    owned: &[Shard],
    members: usize,
) -> Moves {
    let members = members.max(1);
    let share = usize::from(shards).div_ceil(members);
    if owned.len() > share {
        // The highest go first, so that two processes that shrink give up disjoint ends rarely
        // and deterministically.
        let release = owned.iter().rev().take(owned.len() - share).copied().collect();
        return Moves { claim: Vec::new(), release };
    }
    let free = |shard: &Shard| match known.get(shard) {
        None => true,
        Some(k) => match k.lease.owner.as_deref() {
            None => true,
            Some(owner) if owner == me => true,
            Some(_) => k.gone || k.age > Duration::from_millis(k.lease.ttl_ms),
        },
    };
    let claim = (0..shards)
        .map(Shard)
        .filter(|s| !owned.contains(s) && free(s))
        .take(share - owned.len())
        .collect();
    Moves { claim, release: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(owner: Option<&str>, age_s: u64) -> Known {
        let lease = Lease {
            v: 1,
            service: "analyzer".parse().unwrap(),
            shard: Shard(0),
            owner: owner.map(ToOwned::to_owned),
            epoch: 1,
            ttl_ms: 9000,
            position: 0,
            handled: 0,
            snapshot: None,
            marks: vec![],
        };
        Known { lease, seq: 1, age: Duration::from_secs(age_s), gone: false }
    }

    fn shards(numbers: &[u16]) -> Vec<Shard> {
        numbers.iter().copied().map(Shard).collect()
    }

    #[test]
    fn the_first_takes_all_and_gives_half_to_the_second() {
        let all = moves(&BTreeMap::new(), 4, "a", &[], 1);
        assert_eq!(all.claim, shards(&[0, 1, 2, 3]));
        let owned = shards(&[0, 1, 2, 3]);
        let half = moves(&BTreeMap::new(), 4, "a", &owned, 2);
        assert_eq!((half.claim.len(), half.release), (0, shards(&[3, 2])));
    }

    #[test]
    fn only_what_is_free_expired_or_of_an_owner_that_is_gone_is_claimed() {
        let known = BTreeMap::from([
            (Shard(0), lease(Some("b"), 1)),
            (Shard(1), lease(Some("b"), 10)),
            (Shard(2), lease(None, 1)),
            (Shard(3), lease(Some("a"), 1)),
            (Shard(4), Known { gone: true, ..lease(Some("c"), 1) }),
        ]);
        assert_eq!(moves(&known, 5, "a", &[], 1).claim, shards(&[1, 2, 3, 4]));
        assert_eq!(moves(&known, 4, "a", &[], 2).claim, shards(&[1, 2]));
    }
}
