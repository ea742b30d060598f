//! What is remembered across a panic: which messages were being handled, and how often each
//! has made its stage panic.

use magsentinel_bus_schema::Shard;
use std::collections::HashMap;

/// The messages that a stage is working on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    shard: Shard,
    first: u64,
    last: u64,
}

/// Survives the actor, not the process.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    working: Option<Work>,
    suspect: Vec<Work>,
    panics: HashMap<u64, u64>,
}

impl Trouble {
    /// A stage begins with messages `first..=last` of a shard.
    pub(crate) fn begin(&mut self, shard: Shard, first: u64, last: u64) {
        self.working = Some(Work { shard, first, last });
    }

    /// It came back.
    pub(crate) fn end(&mut self) {
        self.working = None;
    }

    /// It did not come back: its messages are tried one by one from now on, and a message that
    /// panicked alone is counted.
    pub(crate) fn panicked(&mut self) {
        let Some(work) = self.working.take() else { return };
        if work.first == work.last {
            *self.panics.entry(work.first).or_default() += 1;
        }
        if !self.suspect.contains(&work) {
            self.suspect.push(work);
        }
    }

    /// Whether a message is to be tried alone.
    pub(crate) fn is_suspect(&self, shard: Shard, seq: u64) -> bool {
        self.suspect.iter().any(|w| w.shard == shard && (w.first..=w.last).contains(&seq))
    }

    /// How often a message made its stage panic when tried alone.
    pub(crate) fn panics(&self, seq: u64) -> u64 {
        self.panics.get(&seq).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_panics_is_tried_message_by_message() {
        let mut trouble = Trouble::default();
        trouble.begin(Shard(1), 10, 19);
        trouble.panicked();
        assert!(trouble.is_suspect(Shard(1), 15));
        assert!(!trouble.is_suspect(Shard(2), 15) && !trouble.is_suspect(Shard(1), 20));
        assert_eq!(trouble.panics(15), 0);
        trouble.begin(Shard(1), 15, 15);
        trouble.panicked();
        assert_eq!(trouble.panics(15), 1);
        trouble.begin(Shard(1), 16, 16);
        trouble.end();
        trouble.panicked();
        assert_eq!(trouble.panics(16), 0);
    }
}
