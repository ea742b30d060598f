//! Small bounded summaries: which values were seen, how many distinct ones, decayed sums, and
//! whether events keep a beat.

mod beat;

pub(crate) use beat::Beat;
use serde::{Deserialize, Serialize};

/// A hash of a name that stays the same over releases: FNV-1a, then mixed.
#[must_use]
pub(crate) fn hash(text: &str) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325u64;
    for byte in text.bytes().take(256) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash ^= hash >> 31;
    hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 29)
}

/// A set of `64 × WORDS` bits: first seen or not, and roughly how many distinct values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bits<const WORDS: usize>(#[serde(with = "words")] [u64; WORDS]);

impl<const WORDS: usize> Default for Bits<WORDS> {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl<const WORDS: usize> Bits<WORDS> {
    /// Adds a hash; true when its bit was not set, so the value is surely new.
    pub(crate) fn add(&mut self, hash: u64) -> bool {
        let at = hash as usize % (WORDS * 64);
        let bit = 1u64 << (at % 64);
        let Some(word) = self.0.get_mut(at / 64) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether the hash's bit is set, so that the value may have been seen.
    pub(crate) fn has(&self, hash: u64) -> bool {
        let at = hash as usize % (WORDS * 64);
        self.0.get(at / 64).is_some_and(|word| word & (1u64 << (at % 64)) != 0)
    }

    /// Distinct values, by linear counting; at most what a set full but for one bit tells.
    pub(crate) fn distinct(&self) -> f32 {
        let size = (WORDS * 64) as f32;
        let set: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        let free = (size - set as f32).max(1.0);
        size * (size / free).ln()
    }

    pub(crate) fn clear(&mut self) {
        self.0 = [0; WORDS];
    }
}

/// The values of this period and of the one before: what is older is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent<const WORDS: usize> {
    #[serde(rename = "n")]
    now: Bits<WORDS>,
    #[serde(rename = "b")]
    before: Bits<WORDS>,
}

impl<const WORDS: usize> Recent<WORDS> {
    /// Lets time pass from one event to the next; it never runs backwards here.
    pub(crate) fn turn(&mut self, from_us: i64, to_us: i64, period_us: f64) {
        let period = |at_us: i64| (at_us as f64 / period_us).floor();
        let passed = period(to_us) - period(from_us);
        if passed >= 2.0 {
            self.before.clear();
            self.now.clear();
        } else if passed >= 1.0 {
            self.before = std::mem::take(&mut self.now);
        }
    }

    /// Adds a hash; true when the value is surely new.
    pub(crate) fn add(&mut self, hash: u64) -> bool {
        self.now.add(hash) && !self.before.has(hash)
    }

    /// Whether a value may have been seen.
    pub(crate) fn has(&self, hash: u64) -> bool {
        self.now.has(hash) || self.before.has(hash)
    }

    /// Distinct values, roughly.
    pub(crate) fn distinct(&self) -> f32 {
        let mut all = self.now.clone();
        all.0.iter_mut().zip(&self.before.0).for_each(|(word, old)| *word |= old);
        all.distinct()
    }
}

/// As [`Recent`], but with two bits for each value, so that a new value passes for a known one
/// about as seldom as the square of how full the set is. It counts half as many distinct values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Known<const WORDS: usize>(Recent<WORDS>);

impl<const WORDS: usize> Known<WORDS> {
    fn other(hash: u64) -> u64 {
        hash.rotate_left(32)
    }

    /// Lets time pass from one event to the next; it never runs backwards here.
    pub(crate) fn turn(&mut self, from_us: i64, to_us: i64, period_us: f64) {
        self.0.turn(from_us, to_us, period_us);
    }

    /// Adds a hash; true when the value is surely new.
    pub(crate) fn add(&mut self, hash: u64) -> bool {
        let new = !self.has(hash);
        self.0.add(hash);
        self.0.add(Self::other(hash));
        new
    }

    /// Whether a value may have been seen.
    pub(crate) fn has(&self, hash: u64) -> bool {
        self.0.has(hash) && self.0.has(Self::other(hash))
    }

    /// Distinct values, roughly.
    pub(crate) fn distinct(&self) -> f32 {
        self.0.distinct() / 2.0
    }
}

/// `[u64; WORDS]` as a sequence, whatever WORDS is; a wrong length is an error.
mod words {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer, const WORDS: usize>(
        words: &[u64; WORDS],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        words.as_slice().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const WORDS: usize>(
        from: D,
    ) -> Result<[u64; WORDS], D::Error> {
        let words = Vec::<u64>::deserialize(from)?;
        words.try_into().map_err(|_| D::Error::custom("a sketch of another size"))
    }
}

/// A sum that halves every `half_life` microseconds of event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Decayed(f32);

impl Decayed {
    /// What the sum is after `elapsed_us`; the clock never runs backwards here.
    pub(crate) fn after(self, elapsed_us: i64, half_life_us: f64) -> f32 {
        self.0 * (-(elapsed_us.max(0) as f64) / half_life_us).exp2() as f32
    }

    pub(crate) fn add(&mut self, elapsed_us: i64, half_life_us: f64, value: f32) {
        self.0 = (self.after(elapsed_us, half_life_us) + value).min(1e30);
    }
}

/// Mean and variance of logarithms; the last hundred or so values weigh most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sizes {
    #[serde(rename = "n")]
    count: f32,
    #[serde(rename = "m")]
    mean: f32,
    #[serde(rename = "v")]
    variance: f32,
    #[serde(rename = "x")]
    largest: f32,
}

impl Sizes {
    /// Values after which the mean forgets as fast as it learns.
    const MEMORY: f32 = 100.0;
    /// Spread assumed of a user of whom little is known: a factor of about e.
    const PRIOR_VARIANCE: f32 = 1.0;
    /// How many values the assumed spread is worth.
    const PRIOR_COUNT: f32 = 4.0;

    pub(crate) fn count(self) -> f32 {
        self.count
    }

    /// The mean; 0 without any history.
    pub(crate) fn mean(self) -> f32 {
        self.mean
    }

    /// Standard deviation around the mean, without anything assumed.
    pub(crate) fn deviation(self) -> f32 {
        self.variance.max(0.0).sqrt()
    }

    /// Standard deviations above the mean; 0 without any history.
    pub(crate) fn excess(self, value: f32) -> f32 {
        if self.count < 1.0 {
            return 0.0;
        }
        let known = self.count.min(Self::MEMORY);
        let variance = (self.variance * known + Self::PRIOR_VARIANCE * Self::PRIOR_COUNT)
            / (known + Self::PRIOR_COUNT);
        (value - self.mean) / variance.max(0.05).sqrt()
    }

    /// How far the value lies above the largest seen, in natural logarithms; 0 without history.
    pub(crate) fn beyond(self, value: f32) -> f32 {
        if self.count < 1.0 { 0.0 } else { value - self.largest }
    }

    pub(crate) fn add(&mut self, value: f32) {
        self.count = (self.count + 1.0).min(1e6);
        let share = 1.0 / self.count.min(Self::MEMORY);
        let off = value - self.mean;
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
        self.largest = (self.largest * 0.999).max(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_counted_roughly() {
        let mut bits = Bits::<4>::default();
        for number in 0..50 {
            bits.add(hash(&format!("table {number}")));
        }
        assert!((40.0..62.0).contains(&bits.distinct()), "{}", bits.distinct());
        for number in 0..100_000 {
            bits.add(hash(&number.to_string()));
        }
        assert!(bits.distinct().is_finite());
    }

    #[test]
    fn what_was_never_added_seldom_passes_for_known() {
        let mut known = Known::<2>::default();
        let new = (0..16).filter(|number| known.add(hash(&format!("10.0.0.{number}")))).count();
        assert!(new >= 15, "{new}");
        assert!((0..16).all(|number| known.has(hash(&format!("10.0.0.{number}")))));
        let wrong = (0..1000).filter(|number| known.has(hash(&format!("x{number}")))).count();
        assert!(wrong < 80, "{wrong}");
        assert!((13.0..20.0).contains(&known.distinct()), "{}", known.distinct());
    }

    #[test]
    fn sums_halve_and_survive_a_clock_that_goes_back() {
        let mut sum = Decayed::default();
        sum.add(0, 1e6, 8.0);
        assert!((sum.after(1_000_000, 1e6) - 4.0).abs() < 1e-3);
        assert!((sum.after(i64::MIN, 1e6) - 8.0).abs() < 1e-3);
        assert!(sum.after(i64::MAX, 1e6) < 1e-6);
    }

    #[test]
    fn what_is_two_periods_old_is_forgotten() {
        let mut recent = Recent::<1>::default();
        assert!(recent.add(7) && !recent.add(7));
        recent.turn(1_700_000_000_000_000, 1_700_000_001_000_000, 1e6);
        assert!(recent.has(7) && !recent.add(7) && recent.distinct() > 0.9);
        recent.turn(5, 0, 1e6);
        assert!(recent.has(7), "a clock that goes back changes nothing");
        recent.turn(0, i64::MAX, 1e6);
        assert!(!recent.has(7) && recent.distinct() < 0.1);
    }
}
