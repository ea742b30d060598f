//! What a patrol missed, counted from what it published.

use crate::{
    bus::{Bus, Error},
    stage::Delivery,
};
use magsentinel_bus_schema::{
    Gap, Level, Limits, Receipt, Scored, Stream, Subject, Timestamp, Token,
};
use std::{collections::BTreeMap, time::Duration};

/// Stream sequences, 64 to a word: at most one word for each message that the stream holds.
#[derive(Debug, Default)]
struct Seqs(BTreeMap<u64, u64>);

impl Seqs {
    fn insert(&mut self, seq: u64) {
        *self.0.entry(seq / 64).or_default() |= 1 << (seq % 64);
    }

    /// How many there are that `other` has not, the first, and the last.
    fn without(&self, other: &Self) -> Option<(u64, u64, u64)> {
        let mut found: Option<(u64, u64, u64)> = None;
        for (word, bits) in &self.0 {
            let left = bits & !other.0.get(word).copied().unwrap_or_default();
            if left != 0 {
                let first = word * 64 + u64::from(left.trailing_zeros());
                let last = word * 64 + 63 - u64::from(left.leading_zeros());
                let (before, first) = found.map_or((0, first), |(n, first, _)| (n, first));
                found = Some((before + u64::from(left.count_ones()), first, last));
            }
        }
        found
    }
}

/// The results of a patrol since before a gap was opened.
#[derive(Debug)]
pub(super) struct Count {
    patrol: Token,
    /// Results of the gap's events cannot be older.
    since: Timestamp,
    /// Marked results up to this sequence are those of earlier gaps.
    scored_after: u64,
    /// Sequence of SCORED up to which all is read.
    read: u64,
    missed: Seqs,
    /// In time, or back-filled in an earlier gap.
    seen: Seqs,
}

impl Count {
    /// Nothing read yet. A result may be as much older than the gap's first known event as the
    /// replicas of the patrol lie apart.
    pub(super) fn of(gap: &Gap, apart: Duration) -> Self {
        Self {
            patrol: gap.patrol.clone(),
            since: gap.from.unwrap_or(gap.noticed).minus(apart),
            scored_after: gap.scored_after,
            read: 0,
            missed: Seqs::default(),
            seen: Seqs::default(),
        }
    }

    /// Reads what was published since the last time.
    pub(super) async fn advance(&mut self, bus: &Bus) -> Result<(), Error> {
        let filters = Level::ALL.iter().map(|l| Subject::Scored(self.patrol.clone(), *l));
        let filters = filters.map(|subject| subject.of(bus.tenant())).collect();
        let (read, since) = (self.read, self.since);
        let show = |d: &Delivery| self.take(d, bus.limits());
        match read {
            0 => bus.read_since(Stream::Scored, filters, since, show).await?,
            _ => bus.read_from(Stream::Scored, filters, read + 1, show).await?,
        };
        Ok(())
    }

    fn take(&mut self, delivery: &Delivery, limits: Limits) {
        self.read = self.read.max(delivery.seq);
        if let Ok(receipt) = delivery.decode::<Receipt>(limits) {
            let seqs = receipt.seqs.iter();
            seqs.for_each(|seq| self.put(*seq, delivery.seq, receipt.backfilled));
        } else if let Ok(scored) = delivery.decode::<Scored>(limits)
            && scored.by_key.is_none()
        {
            self.put(scored.seq, delivery.seq, scored.backfilled);
        }
    }

    fn put(&mut self, seq: u64, at: u64, backfilled: bool) {
        let missed = backfilled && at > self.scored_after;
        let of = if missed { &mut self.missed } else { &mut self.seen };
        of.insert(seq);
    }

    /// How many events were missed, the first, and the last; none where none was.
    pub(super) fn missed(&self) -> Option<(u64, u64, u64)> {
        self.missed.without(&self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::{GapState, Id, SCHEMA_VERSION, Tenant, encode};

    fn count(scored_after: u64) -> Count {
        let gap = Gap {
            v: SCHEMA_VERSION,
            id: Id::derived(&["gap"]),
            tenant: Tenant::default(),
            patrol: Token::sanitised("sql-guard"),
            kind: None,
            from_seq: 70,
            to_seq: 70,
            count: 1,
            reason: String::new(),
            noticed: Timestamp::from_micros(9_000_000),
            state: GapState::Open,
            from: Some(Timestamp::from_micros(5_000_000)),
            to: None,
            scored_after,
        };
        Count::of(&gap, Duration::from_secs(2))
    }

    fn receipt(at: u64, seqs: Vec<u64>, backfilled: bool) -> Delivery {
        let receipt = Receipt {
            v: SCHEMA_VERSION,
            id: Id::derived(&[&at.to_le_bytes()]),
            tenant: Tenant::default(),
            patrol: Token::sanitised("sql-guard"),
            model: String::new(),
            patterns: String::new(),
            events: vec![],
            seqs,
            backfilled,
        };
        Delivery {
            subject: "mag.default.scored.sql-guard.none".to_owned(),
            seq: at,
            stored: Timestamp::default(),
            attempt: 1,
            content_type: None,
            message_id: None,
            ce_id: None,
            trace: None,
            payload: encode(&receipt).unwrap().into(),
        }
    }

    #[test]
    fn an_event_is_missed_once_and_only_where_no_result_came_in_time() {
        let mut count = count(10);
        assert_eq!(count.since, Timestamp::from_micros(3_000_000));
        assert_eq!(count.missed(), None);
        for (at, seqs, backfilled) in [
            // Of an earlier gap, delivered again in this one below.
            (10, vec![60], true),
            (11, vec![61, 62], false),
            // 62 had its answer in time and was delivered again, 64 and 200 twice too late.
            (12, vec![60, 62, 63, 64, 200], true),
            (13, vec![64], true),
            (14, vec![200], true),
            (15, vec![201], false),
        ] {
            count.take(&receipt(at, seqs, backfilled), Limits::default());
        }
        assert_eq!(count.missed(), Some((3, 63, 200)));
        assert_eq!(count.read, 15);
    }
}
