//! Incidents by definition: everything sorted, every combination tried, nothing kept.

use crate::{
    Config,
    assess::incident_id,
    chain::{Chain, Condition, Mask, Measure, Range, Step, ValueField},
    window::Key,
};
use magsentinel_bus_schema::{Class, Entity, Id, Scored, Tenant, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Duration,
};

/// An incident as the comparison sees it: its members by event id, first and last time.
pub(crate) type Seen = (BTreeSet<Id>, Timestamp, Timestamp);

/// What the incidents are, by definition, where everything is stored at one moment: no source is
/// idle then.
pub(crate) fn oracle(chain: &Chain, config: &Config, stream: &[Scored]) -> BTreeMap<Id, Seen> {
    let stored = Timestamp::from_micros(i64::MAX / 4);
    let stream: Vec<_> = stream.iter().map(|event| (event.clone(), stored)).collect();
    oracle_of(chain, config, &stream)
}

/// How far all sources have come that are waited for, of events with the times of their storing.
fn front(config: &Config, came: &[(Scored, Timestamp)]) -> Option<Timestamp> {
    let mut sources: BTreeMap<_, (Timestamp, Timestamp)> = BTreeMap::new();
    for (event, stored) in came {
        let of = sources.entry((&event.patrol, &event.source)).or_insert((event.ts, *stored));
        *of = (of.0.max(event.ts), of.1.max(*stored));
    }
    let foremost = sources.values().map(|(newest, _)| *newest).max()?;
    let now = sources.values().map(|(_, stored)| *stored).max()?;
    let waited_for = sources.values().filter(|(newest, stored)| {
        now.since(*stored) <= config.source_idle.get()
            && foremost.since(*newest) <= config.source_lag_max.get()
    });
    waited_for.map(|(newest, _)| *newest).min().or(Some(foremost))
}

/// The same where each event is stored at a time of its own.
pub(crate) fn oracle_of(
    chain: &Chain,
    config: &Config,
    stream: &[(Scored, Timestamp)],
) -> BTreeMap<Id, Seen> {
    let mut by_key: BTreeMap<String, Window> = BTreeMap::new();
    for (at, (event, _)) in stream.iter().enumerate() {
        // It never goes back.
        let front = (0..=at).filter_map(|n| front(config, &stream[..n])).max();
        if front.is_some_and(|front| event.ts < front.minus(config.lateness.get())) {
            continue;
        }
        for Entity { value, .. } in &event.entities {
            if mask(chain, value, event) != 0 {
                by_key.entry(value.clone()).or_default().insert(event.id, event.clone());
            }
        }
    }
    let mut found = BTreeMap::new();
    for (value, events) in by_key {
        let mut windows = of_key(chain, &value, &events);
        while let Some((i, j)) = (0..windows.len())
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .find(|(i, j)| overlap(&windows[*i], &windows[*j]))
        {
            let gone = windows.swap_remove(i);
            windows[j].extend(gone);
        }
        for window in windows {
            let mut members: Vec<_> = window.values().collect();
            members.sort_by_key(|e| (e.ts, e.id));
            let key =
                Key { tenant: Tenant::default(), class: Class::User, value: value.as_str().into() };
            let (first, last) = (members[0], members[members.len() - 1]);
            let ids = members.iter().map(|e| e.event).collect();
            found.insert(incident_id(&key, chain, first.id), (ids, first.ts, last.ts));
        }
    }
    found
}

/// The rules that an event matches under a key.
fn mask(chain: &Chain, key: &str, event: &Scored) -> Mask {
    let names = |class| event.entity(class).is_some_and(|entity| entity.value == key);
    let class = |rule: usize| chain.aliased.get(rule).copied().unwrap_or(Class::User);
    let patrol = |rule: usize| chain.rules[rule].name.replace('r', "p");
    let matches = |rule: &usize| event.patrol.as_str() == patrol(*rule) && names(class(*rule));
    (0..chain.rules.len()).filter(matches).fold(0, |mask, rule| mask | 1 << rule)
}

/// Events by id.
type Window = BTreeMap<Id, Scored>;

fn overlap(a: &Window, b: &Window) -> bool {
    let ends = |w: &Window| {
        let times = w.values().map(|e| e.ts);
        (times.clone().min().unwrap(), times.max().unwrap())
    };
    let ((a0, a1), (b0, b1)) = (ends(a), ends(b));
    a0 <= b1 && b0 <= a1
}

/// What a condition speaks of: an event, or what a link found, with the events behind it.
#[derive(Clone)]
struct Thing {
    at: Timestamp,
    steps: Mask,
    event: Option<Scored>,
    evidence: Window,
}

/// The satisfied windows of a key, as the events that they rest on.
fn of_key(chain: &Chain, key: &str, events: &Window) -> Vec<Window> {
    let mut links: Vec<Vec<Thing>> = Vec::new();
    for link in &chain.links {
        let things = things(chain, key, events, (&link.condition, &link.steps), &links);
        let windows = windows(&link.condition, link.steps.len(), link.window, &things);
        let ends: BTreeSet<Timestamp> = windows
            .iter()
            .map(|window| window.iter().map(|i| things[*i].at).max().unwrap())
            .collect();
        let members: BTreeSet<usize> = windows.into_iter().flatten().collect();
        let find = |at: Timestamp| {
            let near = |i: &&usize| things[**i].at <= at && at.since(things[**i].at) <= link.window;
            let evidence = members.iter().filter(near).flat_map(|i| things[*i].evidence.clone());
            Thing { at, steps: 0, event: None, evidence: evidence.collect() }
        };
        links.push(ends.into_iter().map(find).collect());
    }
    let steps = chain.all_steps();
    let things = things(chain, key, events, (&chain.condition, &steps), &links);
    let windows = windows(&chain.condition, steps.len(), chain.window, &things);
    let rest =
        |window: Vec<usize>| window.iter().flat_map(|i| things[*i].evidence.clone()).collect();
    windows.into_iter().map(rest).collect()
}

fn things(
    chain: &Chain,
    key: &str,
    events: &Window,
    (condition, steps): (&Condition, &[Step]),
    links: &[Vec<Thing>],
) -> Vec<Thing> {
    let mut things = Vec::new();
    for event in
        events.values().filter(|event| distinct(condition).is_none_or(|f| text(f, event).is_some()))
    {
        let base = mask(chain, key, event);
        let steps = steps.iter().enumerate().filter(|(_, step)| match step {
            Step::Rule(rule) => base >> rule & 1 == 1,
            Step::Link(_) => false,
        });
        let steps = steps.fold(0, |mask, (at, _)| mask | 1 << at);
        let evidence = Window::from([(event.id, event.clone())]);
        things.push(Thing { at: event.ts, steps, event: Some(event.clone()), evidence });
    }
    for (at, step) in steps.iter().enumerate() {
        if let Step::Link(link) = step {
            things.extend(links[*link].iter().cloned().map(|t| Thing { steps: 1 << at, ..t }));
        }
    }
    things.retain(|thing| thing.steps != 0);
    things
}

fn windows(
    condition: &Condition,
    steps: usize,
    length: Duration,
    things: &[Thing],
) -> Vec<Vec<usize>> {
    if *condition == Condition::Ordered {
        return paths(steps, length, things);
    }
    let ends = things.iter().map(|end| {
        let near = |i: &usize| things[*i].at <= end.at && end.at.since(things[*i].at) <= length;
        (0..things.len()).filter(near).collect::<Vec<_>>()
    });
    ends.filter(|inside| {
        holds(condition, steps, &inside.iter().map(|i| &things[*i]).collect::<Vec<_>>())
    })
    .collect()
}

/// Every choice of the steps of an ordered chain.
fn paths(steps: usize, length: Duration, things: &[Thing]) -> Vec<Vec<usize>> {
    let mut paths: Vec<Vec<usize>> = vec![vec![]];
    for step in 0..steps {
        let longer = |path: Vec<usize>| {
            let fits = |i: &usize| {
                let at = things[*i].at;
                let follows = path.last().is_none_or(|last| things[*last].at <= at);
                let near = path.first().is_none_or(|first| at.since(things[*first].at) <= length);
                follows && near && things[*i].steps >> step & 1 == 1
            };
            let next = (0..things.len()).filter(fits);
            next.map(|i| [path.as_slice(), &[i]].concat()).collect::<Vec<_>>()
        };
        paths = paths.into_iter().flat_map(longer).collect();
    }
    paths
}

fn distinct(condition: &Condition) -> Option<ValueField> {
    match condition {
        Condition::Distinct { field, .. } => Some(*field),
        Condition::Judged { measure: Measure::Distinct(field), .. } => Some(*field),
        _ => None,
    }
}

fn text(field: ValueField, event: &Scored) -> Option<&str> {
    match field {
        ValueField::Category => Some(event.category.as_str()),
        ValueField::Entity(class) => event.entity(class).map(|entity| entity.value.as_str()),
        ValueField::Patrol | ValueField::Kind => unreachable!("not counted here"),
    }
}

/// Whether what lies in one window satisfies a condition, in floating point: exact, because
/// levels are small whole numbers and percentiles quarters.
fn holds(condition: &Condition, steps: usize, inside: &[&Thing]) -> bool {
    let events = || inside.iter().filter_map(|thing| thing.event.as_ref());
    let levels = || {
        let mut levels: Vec<f64> = events().map(|e| e.level as u8 as f64).collect();
        levels.sort_by(f64::total_cmp);
        levels
    };
    let sum = || levels().iter().sum::<f64>();
    let different = |field| events().map(|e| text(field, e)).collect::<BTreeSet<_>>().len() as f64;
    let count = inside.len() as f64;
    match condition {
        Condition::Ordered => unreachable!("has other windows"),
        Condition::Together => {
            (0..steps).all(|step| inside.iter().any(|thing| thing.steps >> step & 1 == 1))
        }
        Condition::Count { at_least } => count >= *at_least as f64,
        Condition::Distinct { field, at_least } => different(*field) >= *at_least as f64,
        Condition::Sum { at_least, .. } => sum() * 1e6 >= *at_least as f64,
        Condition::Judged { measure, range } => {
            let number = match measure {
                Measure::Count => count,
                Measure::Distinct(field) => different(*field),
                Measure::Sum(_) => sum(),
                Measure::Average(_) => sum() / count,
                Measure::Percentile(_, of) => {
                    let (levels, place) = (levels(), f64::from(*of) / 100.0 * (count - 1.0));
                    let (low, high) =
                        (levels[place.floor() as usize], levels[place.ceil() as usize]);
                    low + (high - low) * place.fract()
                }
            };
            within(range, number)
        }
    }
}

fn within(range: &Range, number: f64) -> bool {
    let least = match range.least {
        Bound::Included(n) => number >= n as f64,
        Bound::Excluded(n) => number > n as f64,
        Bound::Unbounded => true,
    };
    let most = match range.most {
        Bound::Included(n) => number <= n as f64,
        Bound::Excluded(n) => number < n as f64,
        Bound::Unbounded => true,
    };
    least && most && range.except.is_none_or(|n| number != n as f64)
}
