//! What the members of an incident say together. Adding members and joining tallies commute, so
//! the order of arrival leaves no trace.

use super::{
    member::{At, Member},
    shape::Shapes,
    sorted::Sorted,
};
use crate::chain::{Confidence, Mask, Severity};
use magsentinel_bus_schema::{Class, Kind, Level, trace};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

/// What is known about the members that match one rule (several: the first of them).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// How many members.
    pub count: u64,
    /// Highest confidence by level; none where no member has the level.
    best: [Option<f32>; 5],
    /// The strongest members, at most the share of this step.
    cited: Sorted<Rank, Arc<Member>>,
}

/// Strongest first, then earliest.
type Rank = (Reverse<Level>, At);

impl Step {
    /// The strongest level, and the highest confidence at it.
    #[must_use]
    pub fn strongest(&self) -> Option<(Level, f32)> {
        let levels = Level::ALL.iter().zip(&self.best).rev();
        levels.filter_map(|(level, best)| Some((*level, (*best)?))).next()
    }

    /// The highest confidence at any level.
    fn surest(&self) -> f32 {
        self.best.iter().flatten().copied().fold(0.0, f32::max)
    }

    /// The strongest member.
    #[must_use]
    pub fn example(&self) -> Option<&Member> {
        self.cited.values().next().map(Arc::as_ref)
    }
}

/// How an entity is named by the members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The best trust with which any member names it.
    pub trust: magsentinel_bus_schema::Trust,
    /// Kinds of the members that name it with trust `observed` or better.
    pub observed_by: BTreeSet<Kind>,
}

/// The bounds of a tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most cited events, shared evenly among the steps of the chain; at least one each.
    pub cited_max: usize,
    /// Most entities of one class.
    pub entities_max: usize,
}

/// The sum of the members of one incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// How many members.
    pub count: u64,
    /// The sum of their ids as numbers, without what does not fit: the same for the same members,
    /// in whichever order they came.
    pub members: u128,
    /// The first member.
    pub anchor: Option<At>,
    /// The last member.
    pub newest: Option<At>,
    /// Trace context of the last member.
    pub trace: Option<String>,
    /// By rule.
    pub steps: Vec<Step>,
    /// Who and what is named, at most `entities_max` of each class.
    pub entities: Sorted<Class, Sorted<String, Seen>>,
    /// Entities were left out.
    pub entities_cut: bool,
    /// What the severity model sees.
    pub shapes: Shapes,
}

impl Tally {
    /// An empty tally for a chain of so many rules.
    #[must_use]
    pub fn new(rules: usize) -> Self {
        Self { steps: vec![Step::default(); rules], ..Self::default() }
    }

    /// Adds a member that was not added before.
    pub fn add(&mut self, at: At, mask: Mask, member: &Arc<Member>, bounds: Bounds) {
        self.count += 1;
        self.members = self.members.wrapping_add(at.1.as_u128());
        self.shapes.add(at, member);
        let share = self.share(bounds);
        self.anchor = Some(self.anchor.map_or(at, |a| a.min(at)));
        if self.newest.is_none_or(|n| n < at) {
            self.newest = Some(at);
            let trace = member.trace.clone();
            self.trace = Some(trace.unwrap_or_else(|| trace::of(member.event)));
        }
        if let Some(step) = self.steps.get_mut(mask.trailing_zeros() as usize) {
            step.count += 1;
            if let Some(best) = step.best.get_mut(member.level as usize) {
                let sure = unit(member.confidence);
                *best = Some(best.map_or(sure, |b| b.max(sure)));
            }
            step.cited.insert((Reverse(member.level), at), member.clone());
            step.cited.keep_first(share);
        }
        for entity in member.entities.iter().filter(|e| !e.value.trim().is_empty()) {
            let mut seen = Seen { trust: entity.trust, observed_by: BTreeSet::new() };
            if entity.trust > magsentinel_bus_schema::Trust::Claimed {
                seen.observed_by.insert(member.kind);
            }
            self.see(entity.class, &entity.value, seen, bounds);
        }
    }

    /// Adds the members of another tally, which are all different ones.
    pub fn join(&mut self, other: Self, bounds: Bounds) {
        self.count += other.count;
        self.members = self.members.wrapping_add(other.members);
        self.shapes.join(other.shapes);
        let share = self.share(bounds);
        self.anchor = [self.anchor, other.anchor].into_iter().flatten().min();
        if self.newest < other.newest {
            (self.newest, self.trace) = (other.newest, other.trace);
        }
        for (mine, theirs) in self.steps.iter_mut().zip(other.steps) {
            mine.count += theirs.count;
            for (a, b) in mine.best.iter_mut().zip(theirs.best) {
                *a = match (*a, b) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (a, b) => a.or(b),
                };
            }
            mine.cited.extend(theirs.cited);
            mine.cited.keep_first(share);
        }
        self.entities_cut |= other.entities_cut;
        for (class, entities) in other.entities {
            for (value, seen) in entities {
                self.see(class, &value, seen, bounds);
            }
        }
    }

    /// Whether both are of the same members, as far as an assessment would tell.
    #[must_use]
    pub fn says_what(&self, other: &Self) -> bool {
        let facts = |tally: &Self| (tally.count, tally.members, tally.anchor, tally.newest);
        facts(self) == facts(other) && self.steps == other.steps && self.entities == other.entities
    }

    fn share(&self, bounds: Bounds) -> usize {
        (bounds.cited_max / self.steps.len().max(1)).max(1)
    }

    fn see(&mut self, class: Class, value: &str, seen: Seen, bounds: Bounds) {
        let entities = self.entities.entry(class, Sorted::default);
        let known = entities.entry(value.to_owned(), Seen::default);
        known.trust = known.trust.max(seen.trust);
        known.observed_by.extend(seen.observed_by);
        self.entities_cut |= entities.keep_first(bounds.entities_max);
    }

    /// The cited events with their times, oldest first.
    #[must_use]
    pub fn cited(&self) -> Vec<(At, &Member)> {
        let cited = self.steps.iter().flat_map(|s| s.cited.iter());
        let mut cited: Vec<_> = cited.map(|((_, at), member)| (*at, member.as_ref())).collect();
        cited.sort_by_key(|(at, _)| *at);
        cited
    }

    /// Level and confidence, as the chain's rules have it; that of the strongest member where
    /// the chain leaves it to the severity model.
    #[must_use]
    pub fn judge(&self, severity: Severity, confidence: Confidence) -> (Level, f32) {
        let strongest = self.steps.iter().filter_map(Step::strongest);
        let by_level = |a: &(Level, f32), b: &(Level, f32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
        let (highest, sure) = strongest.max_by(by_level).unwrap_or((Level::None, 0.0));
        let any = self.steps.iter().map(Step::surest).fold(0.0, f32::max);
        let level = match severity {
            Severity::Fixed(level) => level,
            Severity::Strongest | Severity::Model => highest,
        };
        let confidence = match (confidence, severity) {
            (Confidence::StrongestMember, Severity::Strongest | Severity::Model) => sure,
            (Confidence::StrongestMember, Severity::Fixed(_)) => any,
            (Confidence::IndependentSteps, _) => {
                1.0 - self.steps.iter().map(|step| 1.0 - step.surest()).product::<f32>()
            }
        };
        (level, confidence)
    }
}

/// A confidence of a stranger's making, brought into 0..=1; 0 when it is not a number.
fn unit(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}
