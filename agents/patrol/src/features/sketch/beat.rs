//! Whether events keep a beat, narrowly or widely, and how even the gaps between them are.

use serde::{Deserialize, Serialize};

/// A gap that keeps coming back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Track {
    /// The gap that is looked for, seconds.
    #[serde(rename = "p")]
    period_s: f32,
    /// How often it came back, less what did not.
    #[serde(rename = "k")]
    kept: f32,
}

impl Track {
    /// Gaps that clocks round away, seconds.
    const ROUNDED_S: f32 = 0.6;
    /// Most that one beat is believed, so that its end is noticed.
    const KEPT_MAX: f32 = 24.0;

    /// Looks for the gap among those before an event, each within a share of it; true when it
    /// came back.
    fn hear(&mut self, gaps_s: impl Iterator<Item = f32>, off: f32, last_s: f32) -> bool {
        let near =
            |gap: &f32| (gap - self.period_s).abs() <= (off * self.period_s).max(Self::ROUNDED_S);
        let mut gaps_s = gaps_s;
        let hit = gaps_s.find(near);
        match hit {
            Some(gap) => {
                self.period_s += 0.2 * (gap - self.period_s);
                self.kept = (self.kept + 1.0).min(Self::KEPT_MAX);
            }
            // A beat that came back once outlives one event between.
            None if self.kept >= 1.0 => self.kept -= 1.0,
            None => {
                self.kept = 0.0;
                self.period_s = last_s;
            }
        }
        hit.is_some()
    }

    /// 0..=1: near 1 when the gap came back many times.
    fn regularity(self) -> f32 {
        let kept = (self.kept - 2.0).max(0.0);
        kept / (kept + 4.0)
    }
}

/// Whether events keep a beat, though others come between them.
///
/// A gap is looked for that keeps coming back: between an event and any of the last few before it,
/// so that a person who logs in beside a script does not hide it. A script that sleeps for an
/// uneven time keeps a wide beat, and gaps that differ less than those of any person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beat {
    /// Times of the latest events, microseconds.
    #[serde(rename = "t")]
    times_us: [i64; 4],
    #[serde(rename = "n")]
    count: u32,
    /// The gap that is looked for, seconds.
    #[serde(rename = "p")]
    period_s: f32,
    /// How often it came back, less what did not.
    #[serde(rename = "k")]
    kept: f32,
    /// The same within a third, between neighbours only.
    #[serde(rename = "w", default)]
    wide: Track,
    /// Mean and variance of the logarithms of the latest gaps.
    #[serde(rename = "m", default)]
    gaps_mean: f32,
    #[serde(rename = "v", default)]
    gaps_variance: f32,
    /// Share of the last days without a beat.
    #[serde(rename = "u")]
    free: f32,
}

impl Beat {
    /// How far a gap may lie from the beat, as a share of it.
    const OFF: f32 = 0.1;
    /// The same of the wide beat.
    const OFF_WIDE: f32 = 0.33;
    /// Time, seconds, after which two thirds of the days before are forgotten.
    const MEMORY_S: f32 = 3.0 * 86_400.0;
    /// Gaps after which their mean forgets as fast as it learns.
    const GAPS: u32 = 10;
    /// Variance assumed of gaps of which little is known: a factor of four.
    const PRIOR_VARIANCE: f32 = 2.0;

    /// Adds an event; time never runs backwards here.
    pub(crate) fn add(&mut self, now_us: i64) {
        let known = self.count.min(4) as usize;
        let passed = self.since_last_s(now_us);
        let begun = self.count > 1;
        let times_us = self.times_us;
        let gaps = |most: usize| {
            let gap_s = |then: &i64| (now_us.saturating_sub(*then).max(0) as f64 / 1e6) as f32;
            let most = if begun { known.min(most) } else { 0 };
            times_us.into_iter().take(most).map(move |then| gap_s(&then))
        };
        let mut narrow = self.narrow();
        let hit = narrow.hear(gaps(4), Self::OFF, passed);
        (self.period_s, self.kept) = (narrow.period_s, narrow.kept);
        // Of many gaps one is always wide of the mark by chance: only neighbours count.
        self.wide.hear(gaps(1), Self::OFF_WIDE, passed);
        self.learn_gap(passed);
        // By time, not by events: a script that came today makes no habit, however fast it is.
        let share = 1.0 - (-passed / Self::MEMORY_S).exp();
        self.free += share * (f32::from(u8::from(!hit)) - self.free);
        self.times_us.rotate_right(1);
        if let Some(first) = self.times_us.first_mut() {
            *first = now_us;
        }
        self.count = self.count.saturating_add(1);
    }

    fn narrow(self) -> Track {
        Track { period_s: self.period_s, kept: self.kept }
    }

    fn learn_gap(&mut self, passed_s: f32) {
        let gap = passed_s.ln_1p();
        match self.count {
            0 => {}
            1 => (self.gaps_mean, self.gaps_variance) = (gap, Self::PRIOR_VARIANCE),
            gaps => {
                let share = 1.0 / gaps.min(Self::GAPS) as f32;
                let off = gap - self.gaps_mean;
                self.gaps_mean += share * off;
                self.gaps_variance = (1.0 - share) * (self.gaps_variance + share * off * off);
            }
        }
    }

    /// Seconds since the latest event; 0 before the first.
    pub(crate) fn since_last_s(self, now_us: i64) -> f32 {
        let last = self.times_us.first().filter(|_| self.count > 0);
        last.map_or(0.0, |last| (now_us.saturating_sub(*last).max(0) as f64 / 1e6) as f32)
    }

    /// The beat, seconds; 0 without any.
    pub(crate) fn period_s(self) -> f32 {
        self.period_s
    }

    /// 0..=1: near 1 when the beat came back many times.
    pub(crate) fn regularity(self) -> f32 {
        self.narrow().regularity()
    }

    /// 0..=1: near 1 when gaps stayed within a third of each other many times.
    pub(crate) fn regularity_wide(self) -> f32 {
        self.wide.regularity()
    }

    /// Standard deviation of the logarithms of the latest gaps; that of little knowledge before
    /// there are any.
    pub(crate) fn unevenness(self) -> f32 {
        let variance = if self.count < 2 { Self::PRIOR_VARIANCE } else { self.gaps_variance };
        variance.max(0.0).sqrt()
    }

    /// 0..=1: the share of the last days that kept a beat; 1 of what was never seen to keep none.
    pub(crate) fn usual(self) -> f32 {
        1.0 - self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::sketch::hash;

    #[test]
    fn a_beat_is_heard_through_a_person_and_a_person_keeps_none() {
        let (mut script, mut person, mut both) =
            (Beat::default(), Beat::default(), Beat::default());
        let mut at = 0;
        for n in 0..60u64 {
            // Between seconds and half a day, in no order.
            let wild = hash(&n.to_string()) % 1000;
            at += 1_000_000 * (1.011f64.powi(wild as i32) as i64 + 1);
            person.add(at);
        }
        for n in 0..30i64 {
            script.add(n * 300_000_000 + n % 3 * 2_000_000);
            both.add(n * 300_000_000);
            if n % 3 == 1 {
                both.add(n * 300_000_000 + 47_000_000 + n * 3_000_000);
            }
        }
        assert!(script.regularity() > 0.8 && both.regularity() > 0.5, "{both:?}");
        assert!(person.regularity() < 0.3, "{person:?}");
        assert!(person.usual() < script.usual() && script.usual() > 0.9, "{person:?}");
        assert!((script.period_s() - 300.0).abs() < 5.0);
    }

    #[test]
    fn a_script_that_sleeps_unevenly_keeps_a_wide_beat_only() {
        let (mut script, mut person) = (Beat::default(), Beat::default());
        let (mut at, mut later) = (0, 0);
        for n in 0..40u64 {
            let chance = hash(&n.to_string()) % 1000;
            at += 300_000_000 * (850 + 3 * chance as i64 / 10) / 1000;
            later += 1_000_000 * (1.011f64.powi(chance as i32) as i64 + 1);
            script.add(at);
            person.add(later);
        }
        assert!(script.regularity_wide() > 0.7, "{script:?}");
        assert!(script.unevenness() < 0.3, "{}", script.unevenness());
        assert!(person.regularity_wide() < 0.4, "{person:?}");
        assert!(person.unevenness() > 0.9, "{}", person.unevenness());
    }

    #[test]
    fn a_beat_stored_before_it_had_a_wide_one_is_read() {
        let old = r#"{"t":[5,4,3,2],"n":9,"p":1.0,"k":3.0,"u":0.25}"#;
        let beat: Beat = serde_json::from_str(old).unwrap();
        assert!((beat.period_s() - 1.0).abs() < 1e-6 && (beat.usual() - 0.75).abs() < 1e-6);
    }
}
