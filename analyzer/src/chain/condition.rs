//! What a chain asks of the events of one window.

use super::named;
use compact_str::CompactString;
use magsentinel_bus_schema::{Class, Id, Level, Scored};
use std::{cell::RefCell, cmp::Ordering, collections::HashMap, fmt, ops::Bound};

/// Which events are the members of a chain's windows. A window of length `T` is closed at both
/// ends: two events exactly `T` apart are inside the same window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `temporal_ordered`: one event per rule, in the order of the rules, the last at most one
    /// window after the first. Events of the same instant are in order either way, because
    /// clocks say nothing about them; one event that several rules match may be several steps.
    Ordered,
    /// `temporal`: every rule matches within one window, in any order.
    Together,
    /// `event_count`: at least so many events within one window.
    Count {
        /// How many, 1..
        at_least: u64,
    },
    /// `value_count`: at least so many different values of a field within one window. Events
    /// without the field take no part.
    Distinct {
        /// The field.
        field: ValueField,
        /// How many, 1..
        at_least: u64,
    },
    /// `value_sum`: the values of a numeric field within one window add up to at least so much.
    Sum {
        /// The field.
        field: NumberField,
        /// How much, in millionths, 1..
        at_least: u64,
    },
    /// A number of a window that further events may take out of its range again: an average, a
    /// percentile, or anything with an upper bound. The windows are those that end at the instant
    /// of an event that takes part; each is judged once time has passed its end.
    Judged {
        /// The number.
        measure: Measure,
        /// Where it must lie.
        range: Range,
    },
}

/// A field whose values can be added up. None of them is negative, so a sum only grows with
/// every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberField {
    /// The score, 0..=1.
    Score,
    /// The score in hundredths, 0..=100: conditions compare with whole numbers.
    ScorePercent,
    /// The confidence, 0..=1.
    Confidence,
    /// The confidence in hundredths, 0..=100.
    ConfidencePercent,
    /// The level: low is 1, medium 2, high 3, critical 4.
    Level,
}

/// Parts of a whole: sums are exact, whatever the order in which events come.
pub const MILLIONTHS: u64 = 1_000_000;

impl NumberField {
    /// The value of a scored event, in millionths. A number out of range counts as its nearest
    /// bound, none at all as 0.
    #[must_use]
    pub fn of(self, scored: &Scored) -> u64 {
        let share = |value: f32| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=1")]
            let millionths = (f64::from(value).clamp(0.0, 1.0) * MILLIONTHS as f64).round() as u64;
            millionths
        };
        match self {
            Self::Score => share(scored.score),
            Self::ScorePercent => share(scored.score) * 100,
            Self::Confidence => share(scored.confidence),
            Self::ConfidencePercent => share(scored.confidence) * 100,
            Self::Level => scored.level as u64 * MILLIONTHS,
        }
    }

    /// The greatest value of one event, in millionths.
    pub(super) fn most(self) -> u64 {
        match self {
            Self::Score | Self::Confidence => MILLIONTHS,
            Self::ScorePercent | Self::ConfidencePercent => 100 * MILLIONTHS,
            Self::Level => Level::Critical as u64 * MILLIONTHS,
        }
    }

    /// The field of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    /// Every field.
    pub const ALL: &'static [Self] =
        &[Self::Score, Self::ScorePercent, Self::Confidence, Self::ConfidencePercent, Self::Level];

    /// Its name in chain files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::ScorePercent => "score_percent",
            Self::Confidence => "confidence",
            Self::ConfidencePercent => "confidence_percent",
            Self::Level => "level",
        }
    }
}

/// Stands for a field that an event does not have, where it takes part without.
pub const NO_VALUE: u64 = 0;

/// A field whose values can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueField {
    /// The patrol.
    Patrol,
    /// The category.
    Category,
    /// The kind of event.
    Kind,
    /// The entity of a class.
    Entity(Class),
}

impl ValueField {
    /// The value of a scored event, if it has one, as a number: the first 64 bits of a digest of
    /// its text, so that windows need not keep the text. The same in every process, and never
    /// [`NO_VALUE`].
    #[must_use]
    pub fn of(self, scored: &Scored) -> Option<u64> {
        let text = self.text(scored)?;
        Some(match self {
            // There are few of them, and they are not an attacker's to choose.
            Self::Patrol | Self::Category | Self::Kind => remembered(text),
            Self::Entity(_) => digest(text),
        })
    }

    fn text(self, scored: &Scored) -> Option<&str> {
        match self {
            Self::Patrol => Some(scored.patrol.as_str()),
            Self::Category => Some(scored.category.as_str()),
            Self::Kind => Some(scored.kind.token()),
            Self::Entity(class) => named(scored, class).map(|e| e.value.as_str()),
        }
    }
}

/// The first 64 bits of a digest. A quick hash would not do: who may choose names could choose such
/// as are counted as one.
fn digest(text: &str) -> u64 {
    ((Id::derived(&[text]).as_u128() >> 64) as u64).max(1)
}

/// Digests that a thread remembers; beyond them it begins anew.
const REMEMBERED_MAX: usize = 1024;

thread_local! {
    static REMEMBERED: RefCell<HashMap<CompactString, u64>> = RefCell::default();
    static NAMES: RefCell<HashMap<CompactString, u64>> = RefCell::default();
}

/// The digest of a text of which there are few different ones.
pub(crate) fn remembered(text: &str) -> u64 {
    remembered_in(&REMEMBERED, text)
}

/// The digest of a name, which comes several times in a row, once for each chain; others of its
/// sort must not push out the few.
pub(crate) fn remembered_name(text: &str) -> u64 {
    remembered_in(&NAMES, text)
}

fn remembered_in(
    known: &'static std::thread::LocalKey<RefCell<HashMap<CompactString, u64>>>,
    text: &str,
) -> u64 {
    known.with_borrow_mut(|known| {
        if let Some(digest) = known.get(text) {
            return *digest;
        }
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let digest = digest(text);
        known.insert(text.into(), digest);
        digest
    })
}

/// A field that counts for the events of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// By its values.
    Value(ValueField),
    /// By its number.
    Number(NumberField),
}

impl Counted {
    /// What an event counts for; nothing where it has no value.
    pub(super) fn of(self, scored: &Scored) -> Option<u64> {
        match self {
            Self::Value(field) => field.of(scored),
            Self::Number(field) => Some(field.of(scored)),
        }
    }
}

impl Condition {
    /// Whether it is about values of a field.
    #[must_use]
    pub fn counts_values(&self) -> bool {
        match self {
            Self::Ordered | Self::Together | Self::Count { .. } => false,
            Self::Judged { measure, .. } => *measure != Measure::Count,
            Self::Distinct { .. } | Self::Sum { .. } => true,
        }
    }

    /// What an event counts for; nothing where it has no value to count.
    pub(super) fn value(&self, scored: &Scored) -> Option<u64> {
        match self {
            Self::Distinct { field, .. } => field.of(scored),
            Self::Sum { field, .. } => Some(field.of(scored)),
            Self::Judged { measure, .. } => measure.value(scored),
            Self::Ordered | Self::Together | Self::Count { .. } => Some(0),
        }
    }
}

/// A number that the events of a window have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// `event_count`: how many.
    Count,
    /// `value_count`: how many different values.
    Distinct(ValueField),
    /// `value_sum`: the sum of the values.
    Sum(NumberField),
    /// `value_avg`: their arithmetic mean.
    Average(NumberField),
    /// `value_percentile` and, with 50, `value_median`: the value at this percentile, 0..=100.
    /// Between two values the line that joins them is followed, by the position
    /// `percentile / 100 * (n - 1)` among the `n` sorted values (R. J. Hyndman and Y. Fan,
    /// *Sample Quantiles in Statistical Packages*, 1996, definition 7).
    Percentile(NumberField, u8),
}

impl Measure {
    /// What an event counts for; nothing where it has no value.
    pub(super) fn value(self, scored: &Scored) -> Option<u64> {
        match self {
            Self::Count => Some(0),
            Self::Distinct(field) => field.of(scored),
            Self::Sum(field) | Self::Average(field) | Self::Percentile(field, _) => {
                Some(field.of(scored))
            }
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => f.write_str("number of events"),
            Self::Distinct(_) => f.write_str("number of different values"),
            Self::Sum(field) => write!(f, "sum of {}", field.name()),
            Self::Average(field) => write!(f, "average {}", field.name()),
            Self::Percentile(field, 50) => write!(f, "median {}", field.name()),
            Self::Percentile(field, of) => write!(f, "percentile {of} of {}", field.name()),
        }
    }
}

/// A number that is not negative, as an exact fraction.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// Above the line.
    pub over: u128,
    /// Below it, 1.. .
    pub under: u128,
}

impl Ratio {
    /// How it compares with a whole number.
    #[must_use]
    pub fn compare(self, whole: u64) -> Ordering {
        self.over.cmp(&self.under.saturating_mul(whole.into()))
    }

    /// The number, rounded.
    #[must_use]
    pub fn value(self) -> f64 {
        self.over as f64 / self.under as f64
    }
}

/// Where a number must lie, between whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// `gte`, `gt`.
    pub least: Bound<u64>,
    /// `lte`, `lt`.
    pub most: Bound<u64>,
    /// `neq`.
    pub except: Option<u64>,
}

impl Range {
    /// Every number.
    pub const ALL: Self = Self { least: Bound::Unbounded, most: Bound::Unbounded, except: None };

    /// Whether a number lies in it.
    #[must_use]
    pub fn holds(&self, number: Ratio) -> bool {
        let above = match self.least {
            Bound::Included(n) => number.compare(n).is_ge(),
            Bound::Excluded(n) => number.compare(n).is_gt(),
            Bound::Unbounded => true,
        };
        let below = match self.most {
            Bound::Included(n) => number.compare(n).is_le(),
            Bound::Excluded(n) => number.compare(n).is_lt(),
            Bound::Unbounded => true,
        };
        above && below && self.except.is_none_or(|n| number.compare(n).is_ne())
    }

    /// The whole numbers that it names.
    pub fn thresholds(&self) -> impl Iterator<Item = u64> {
        let of = |bound| match bound {
            Bound::Included(n) | Bound::Excluded(n) => Some(n),
            Bound::Unbounded => None,
        };
        [of(self.least), of(self.most), self.except].into_iter().flatten()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Bound::Included(a), Bound::Included(b)) = (self.least, self.most)
            && a == b
        {
            return write!(f, "exactly {a}");
        }
        let least = match self.least {
            Bound::Included(n) => Some(format!("at least {n}")),
            Bound::Excluded(n) => Some(format!("more than {n}")),
            Bound::Unbounded => None,
        };
        let most = match self.most {
            Bound::Included(n) => Some(format!("at most {n}")),
            Bound::Excluded(n) => Some(format!("less than {n}")),
            Bound::Unbounded => None,
        };
        let except = self.except.map(|n| format!("not {n}"));
        let all: Vec<_> = [least, most, except].into_iter().flatten().collect();
        f.write_str(&all.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_remembered_is_the_same_as_one_that_is_not() {
        let names = (0..REMEMBERED_MAX * 2).map(|n| format!("category_{n}"));
        for name in names.chain(["category_0".to_owned(), "category_0".to_owned()]) {
            assert_eq!(remembered(&name), digest(&name), "{name}");
        }
    }
}
