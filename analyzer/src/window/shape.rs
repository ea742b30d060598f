//! The shape of an incident: who found how much of what, in which order, over how many entities.
//! What the severity model sees.
//!
//! Time is cut into [`SPAN`]s of event time, and the model rates each two neighbouring ones
//! together, so that whatever happens within one span is seen whole; an incident is rated as its
//! highest pair. Adding members and joining shapes commute, so the rating follows from the set of
//! its members alone, however they came and were batched. No number in a shape falls when a member
//! is added, and the model rates no higher number lower ([`crate::severity`]): nobody can hide a
//! strong finding among weak ones.

use super::{
    member::{At, Member},
    sorted::Sorted,
};
use crate::{
    chain::{remembered, remembered_name},
    severity::{FEATURES, Model, Stage, Vector},
};
use magsentinel_bus_schema::{Class, Kind, Level, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{collections::BTreeSet, time::Duration};

/// Length of one span. Fixed, because the model was trained with it.
pub const SPAN: Duration = Duration::from_secs(300);

/// Most spans that are kept of one incident: more than five hours, where nothing is older than
/// the allowed lateness for long.
const SPANS_MAX: usize = 64;

/// Most different names of one sort that a shape tells apart.
const DISTINCT_MAX: usize = 32;

/// The names of one sort, as numbers; at the bound the smallest stay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Distinct(SmallVec<[u64; 2]>);

impl Distinct {
    fn add(&mut self, number: u64) {
        if let Err(place) = self.0.binary_search(&number)
            && place < DISTINCT_MAX
        {
            self.0.insert(place, number);
            self.0.truncate(DISTINCT_MAX);
        }
    }

    fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|number| self.add(*number));
    }
}

/// What patrols of one kind of event found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Found {
    /// Members by level.
    levels: [u32; 5],
    /// The highest score.
    score: f32,
}

/// The shape of some members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    kinds: Sorted<Kind, Found>,
    patrols: Distinct,
    categories: Distinct,
    entities: Sorted<Class, Distinct>,
    /// First and last time of each stage of an attack.
    stages: Sorted<Stage, (Timestamp, Timestamp)>,
    /// Highest confidence of a member that is flagged.
    sure: f32,
    /// Times of the first and last member.
    ends: Option<(Timestamp, Timestamp)>,
}

impl Shape {
    fn add(&mut self, ts: Timestamp, member: &Member) {
        let found = self.kinds.entry(member.kind, Found::default);
        if let Some(count) = found.levels.get_mut(member.level as usize) {
            *count = count.saturating_add(1);
        }
        found.score = found.score.max(unit(member.score));
        self.patrols.add(remembered(member.patrol.as_str()));
        self.categories.add(remembered(member.category.as_str()));
        for entity in &member.entities {
            let number = remembered_name(&entity.value);
            self.entities.entry(entity.class, Distinct::default).add(number);
        }
        for stage in member.techniques.iter().filter_map(|t| Stage::of(t)) {
            let known = self.stages.entry(stage, || (ts, ts));
            *known = wider(*known, (ts, ts));
        }
        if member.level.is_flagged() {
            self.sure = self.sure.max(unit(member.confidence));
        }
        self.lengthen((ts, ts));
    }

    fn join(&mut self, other: &Self) {
        for (kind, theirs) in other.kinds.iter() {
            let mine = self.kinds.entry(*kind, Found::default);
            for (a, b) in mine.levels.iter_mut().zip(theirs.levels) {
                *a = a.saturating_add(b);
            }
            mine.score = mine.score.max(theirs.score);
        }
        self.patrols.join(&other.patrols);
        self.categories.join(&other.categories);
        for (class, theirs) in other.entities.iter() {
            self.entities.entry(*class, Distinct::default).join(theirs);
        }
        for (stage, theirs) in other.stages.iter() {
            let known = self.stages.entry(*stage, || *theirs);
            *known = wider(*known, *theirs);
        }
        self.sure = self.sure.max(other.sure);
        other.ends.into_iter().for_each(|ends| self.lengthen(ends));
    }

    fn lengthen(&mut self, ends: (Timestamp, Timestamp)) {
        self.ends = Some(self.ends.map_or(ends, |known| wider(known, ends)));
    }

    /// How many stages of an attack follow one another, each begun before the next one ended.
    /// Not "before the next one began": an early event would then undo an order.
    fn progress(&self) -> usize {
        // At most a handful of stages, so quadratic is enough.
        let times: Vec<(Timestamp, Timestamp)> = self.stages.values().copied().collect();
        let mut longest: Vec<usize> = Vec::new();
        for (i, (_, last)) in times.iter().enumerate() {
            let before = times.iter().zip(&longest).take(i).filter(|((first, _), _)| first <= last);
            longest.push(1 + before.map(|(_, length)| *length).max().unwrap_or(0));
        }
        longest.into_iter().max().unwrap_or(0)
    }

    /// The numbers that the model takes, in the order of [`FEATURES`]. None is negative.
    #[must_use]
    pub fn vector(&self) -> Vector {
        let mut out = [0.0; FEATURES];
        let mut places = out.iter_mut();
        let mut put = |value: f32| places.next().into_iter().for_each(|place| *place = value);
        let many = |count: u32| (count as f32).ln_1p();
        for kind in Kind::ALL {
            let found = self.kinds.get(kind).copied().unwrap_or_default();
            let [_, low, medium, high, critical] = found.levels;
            put(many(low));
            put(many(medium));
            put(many(high.saturating_add(critical)));
            put(found.score);
        }
        let count = |distinct: &Distinct| distinct.0.len() as f32;
        let named = |class: &Class| self.entities.get(class).map_or(0.0, count);
        put(self.kinds.len() as f32);
        put(count(&self.patrols));
        put(count(&self.categories));
        put(self.stages.len() as f32);
        put(self.progress() as f32);
        put(self.sure);
        put(f32::from(u8::from(self.kinds.values().any(|f| f.levels[4] > 0))));
        let spread = self.ends.map_or(0, |(first, last)| last.since(first).as_secs());
        put(many(u32::try_from(spread).unwrap_or(u32::MAX)));
        for class in [Class::Client, Class::User, Class::Host, Class::Device] {
            put(named(&class).ln_1p());
        }
        out
    }

    /// In words: what was found by kind and level, and over how much.
    #[must_use]
    pub fn words(&self) -> String {
        let levels = |found: &Found| -> String {
            let counts = Level::ALL.iter().zip(found.levels).skip(1).rev();
            let told = counts.filter(|(_, count)| *count > 0);
            told.map(|(level, count)| format!(" {count} {level}")).collect()
        };
        let kinds = self.kinds.iter().map(|(kind, found)| format!("{kind}{}", levels(found)));
        let kinds: Vec<String> = kinds.collect();
        format!(
            "{}; {} categories by {} patrols, {} of {} stages in order",
            kinds.join(", "),
            self.categories.0.len(),
            self.patrols.0.len(),
            self.progress(),
            Stage::ALL.len()
        )
    }
}

/// What the model said of two neighbouring spans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Probability of an attack, 0..=1.
    pub rating: f32,
    /// Number of the first of its two spans since the epoch.
    span: i64,
    /// What was rated.
    pub words: String,
}

impl Peak {
    /// The highest rating; of equal ones the latest.
    fn rank(&self) -> (f32, i64) {
        (self.rating, self.span)
    }
}

/// The shapes of an incident by span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shapes {
    spans: Sorted<i64, Shape>,
    /// Spans that grew since they were rated.
    grown: BTreeSet<i64>,
    /// What was said of the spans that are kept: replaced when they grow.
    rated: Sorted<i64, Peak>,
    /// The highest of those that are forgotten.
    forgotten: Option<Peak>,
}

impl Shapes {
    /// Adds a member that was not added before.
    pub fn add(&mut self, (ts, _): At, member: &Member) {
        let span = number(ts);
        self.spans.entry(span, Shape::default).add(ts, member);
        self.grown.insert(span);
        self.cut();
    }

    /// Adds the members of others, which are all different ones. What neither side's news
    /// touches keeps its rating.
    pub fn join(&mut self, other: Self) {
        let near = |span: i64| (span - 1..=span + 1).any(|near| self.spans.get(&near).is_some());
        let touched: Vec<i64> = other.spans.keys().copied().filter(|span| near(*span)).collect();
        self.grown.extend(touched);
        self.grown.extend(other.grown);
        for (span, shape) in other.spans {
            self.spans.entry(span, Shape::default).join(&shape);
        }
        self.rated.extend(other.rated);
        other.forgotten.into_iter().for_each(|peak| self.keep(peak));
        self.cut();
    }

    /// At the bound the oldest span goes.
    fn cut(&mut self) {
        self.spans.keep_last(SPANS_MAX);
    }

    /// The highest rating, and what it was given for. Spans that ended more than `late` before
    /// the newest one are forgotten but for their rating: no event that is in time can change
    /// them.
    pub fn rate(&mut self, model: &Model, late: Duration) -> Option<&Peak> {
        let grown = std::mem::take(&mut self.grown);
        let earlier = grown.iter().map(|span| span - 1);
        let pairs: BTreeSet<i64> = earlier.chain(grown.iter().copied()).collect();
        for span in pairs {
            let both;
            let shape = match (self.spans.get(&span), self.spans.get(&(span + 1))) {
                (None, _) => continue,
                (Some(alone), None) => alone,
                (Some(_), Some(_)) => {
                    both = self.pair(span);
                    let Some(both) = &both else { continue };
                    both
                }
            };
            let Some(rating) = model.rate(&shape.vector()) else { continue };
            self.rated.insert(span, Peak { rating, span, words: shape.words() });
        }
        self.forget(late);
        let all = self.rated.values().chain(self.forgotten.iter());
        all.max_by(|a, b| a.rank().0.total_cmp(&b.rank().0).then(a.span.cmp(&b.span)))
    }

    fn forget(&mut self, late: Duration) {
        let Some(newest) = self.spans.keys().next_back() else { return };
        let spans = late.as_micros().div_ceil(SPAN.as_micros()) + 2;
        let oldest = newest.saturating_sub(i64::try_from(spans).unwrap_or(i64::MAX));
        self.spans.take_before(&oldest);
        let forgotten = self.rated.take_before(&oldest);
        forgotten.into_iter().for_each(|(_, peak)| self.keep(peak));
    }

    fn keep(&mut self, peak: Peak) {
        if self.forgotten.as_ref().is_none_or(|known| peak.rank() >= known.rank()) {
            self.forgotten = Some(peak);
        }
    }

    /// Every two neighbouring spans as one shape, with the time at which they begin.
    #[must_use]
    pub fn pairs(&self) -> Vec<(Timestamp, Shape)> {
        let length = i64::try_from(SPAN.as_micros()).unwrap_or(i64::MAX);
        let from = |span: i64| Timestamp::from_micros(span.saturating_mul(length));
        self.spans.keys().filter_map(|span| Some((from(*span), self.pair(*span)?))).collect()
    }

    fn pair(&self, span: i64) -> Option<Shape> {
        let mut shape = self.spans.get(&span)?.clone();
        self.spans.get(&(span + 1)).into_iter().for_each(|next| shape.join(next));
        Some(shape)
    }
}

fn wider(a: (Timestamp, Timestamp), b: (Timestamp, Timestamp)) -> (Timestamp, Timestamp) {
    (a.0.min(b.0), a.1.max(b.1))
}

fn number(ts: Timestamp) -> i64 {
    ts.micros().div_euclid(i64::try_from(SPAN.as_micros()).unwrap_or(i64::MAX))
}

/// A number of a stranger's making, brought into 0..=1; 0 when it is not a number.
fn unit(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}
