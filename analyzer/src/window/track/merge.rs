//! Known incidents and new windows made into incidents that do not overlap.

use super::{Gone, Incident, New};
use crate::window::Bounds;
use magsentinel_bus_schema::Timestamp;

/// Merges what was known with the intervals of newly found windows and their new members, in
/// order of time. Nothing is new where there is no new member.
pub(super) fn merge(
    (incidents, gone): (&mut Vec<Incident>, &mut Vec<Gone>),
    (spans, new): (&[(i64, i64)], Vec<New>),
    rules: usize,
    bounds: Bounds,
) {
    if new.is_empty() {
        return;
    }
    if let [span] = spans
        && goes_on(incidents, *span, &new, rules, bounds)
    {
        return;
    }
    let known = std::mem::take(incidents);
    let time = Timestamp::from_micros;
    let mut all: Vec<(Timestamp, Timestamp, Option<Incident>)> =
        spans.iter().map(|(start, end)| (time(*start), time(*end), None)).collect();
    all.extend(known.into_iter().map(|i| (i.start, i.end, Some(i))));
    all.sort_by_key(|(start, end, _)| (*start, *end));
    let mut groups: Vec<(Incident, Vec<Incident>)> = Vec::new();
    for (start, end, incident) in all {
        match groups.last_mut() {
            Some((group, parts)) if start <= group.end => {
                group.end = group.end.max(end);
                parts.extend(incident);
            }
            _ => groups.push((Incident::over(start, end, rules), Vec::from_iter(incident))),
        }
    }
    let mut new = new.into_iter().peekable();
    for (mut group, parts) in groups {
        while let Some((at, mask, member)) = new.next_if(|(at, ..)| at.0 <= group.end) {
            group.tally.add(at, mask, &member, bounds);
        }
        incidents.push(sum(group, parts, gone, bounds));
    }
}

/// One interval that touches no incident, or one whose first member stays the first: what nearly
/// all new windows are. False, and nothing done, where it is otherwise.
fn goes_on(
    incidents: &mut Vec<Incident>,
    (start, end): (i64, i64),
    new: &[New],
    rules: usize,
    bounds: Bounds,
) -> bool {
    let (start, end) = (Timestamp::from_micros(start), Timestamp::from_micros(end));
    let place = incidents.partition_point(|known| known.end < start);
    if incidents.get(place + 1).is_some_and(|next| next.start <= end) {
        return false;
    }
    if incidents.get(place).is_none_or(|known| known.start > end) {
        incidents.insert(place, Incident::over(start, end, rules));
    }
    let Some(known) = incidents.get_mut(place) else { return false };
    if known.tally.anchor.is_some_and(|anchor| new.iter().any(|(at, ..)| *at < anchor)) {
        return false;
    }
    (known.start, known.end) = (known.start.min(start), known.end.max(end));
    new.iter().for_each(|(at, mask, member)| known.tally.add(*at, *mask, member, bounds));
    true
}

/// Adds up one incident from new members (in `group`) and its former parts.
fn sum(
    mut group: Incident,
    parts: Vec<Incident>,
    gone: &mut Vec<Gone>,
    bounds: Bounds,
) -> Incident {
    let anchors = parts.iter().filter_map(|p| p.tally.anchor);
    let anchor = anchors.chain(group.tally.anchor).min().map(|(_, id)| id);
    for mut part in parts {
        if part.anchor() == anchor {
            group.goes_on_from(&mut part);
        } else if part.published > 0 {
            gone.push((part.clone().ended(), anchor));
        }
        group.tally.join(part.tally, bounds);
    }
    group
}

impl Incident {
    /// Takes over what was told of a former state of the same incident.
    pub(super) fn goes_on_from(&mut self, former: &mut Self) {
        self.published = former.published;
        (self.told, self.opened) = (former.told, former.opened);
        self.closed = former.closed;
        (self.decided, self.tell_at) = (former.decided, former.tell_at);
        self.raised = former.raised;
        self.levels = std::mem::take(&mut former.levels);
        self.acted = std::mem::take(&mut former.acted);
    }

    /// About to be told for the last time. What closed it before must not be taken for that.
    pub(super) fn ended(mut self) -> Self {
        self.raised += u64::from(self.closed);
        self
    }
}
