//! How long what fails is left alone.

use std::time::{Duration, Instant};

/// How long what fails is left alone: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A receiver, or a post, that fails is left alone: longer and longer.
#[derive(Default)]
pub(super) struct Pause {
    failures: u32,
    until: Option<(Instant, String)>,
}

impl Pause {
    /// Why nothing is posted now.
    pub(super) fn why(&self) -> Option<String> {
        let (until, why) = self.until.as_ref().filter(|(until, _)| Instant::now() < *until)?;
        let left = until.saturating_duration_since(Instant::now()).as_secs() + 1;
        Some(format!("{why}; tried again in {left}s"))
    }

    /// Whether it ended so long ago that whatever failed is not tried any more: what is tried again
    /// is tried within the longest pause.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.until.as_ref().is_none_or(|(until, _)| now.duration_since(*until) > PAUSE.1)
    }

    pub(super) fn failed(&mut self, why: &str) {
        let pause = PAUSE.0.saturating_mul(1 << self.failures.min(16)).min(PAUSE.1);
        self.until = Some((Instant::now() + pause, why.to_owned()));
        self.failures += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_left_alone_longer_and_longer_up_to_a_minute() {
        let mut pause = Pause::default();
        assert_eq!(pause.why(), None);
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            pause.failed("away");
            let until = pause.until.as_ref().unwrap().0;
            let left = until.saturating_duration_since(Instant::now());
            assert!(left + Duration::from_millis(500) > longest && left <= PAUSE.1);
            longest = left;
        }
        assert!(pause.why().unwrap().starts_with("away; tried again in"));
    }

    #[test]
    fn what_nobody_tries_any_more_is_forgotten() {
        let mut pause = Pause::default();
        pause.failed("refused");
        let until = pause.until.as_ref().unwrap().0;
        assert!(!pause.is_forgotten(until + PAUSE.1));
        assert!(pause.is_forgotten(until + PAUSE.1 + Duration::from_secs(1)));
    }
}
