//! `explain event`: what one event is, by whom, and how common it is for them. The same streams give
//! the same words; where the commander runs a language model, what that adds stands beside them.

mod shape;
mod told;
mod told_by_model;

use crate::{
    exit::{BadData, BadUsage},
    unreadable::Unreadable,
};
use anyhow::Result;
use magsentinel_bus_schema::{
    Assessment, Closure, Entity, Event, Id, Level, Scored, Stream, Timestamp,
    entity::entities_of,
    subject::{all_of, scored_at},
};
use magsentinel_runtime::{bus::Bus, stage::Delivery};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Times of alike events that are kept, the first.
const TIMES_MAX: usize = 10_000;
/// Shapes of an entity's events that are told apart.
const SHAPES_MAX: usize = 10_000;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A patrol flagged it, or a chain cites it, and no operator called that ordinary.
    ExploitAttempt,
    /// It comes again and again at even intervals, and nothing says that it is meant to.
    Beacon,
    /// A probe or a collector that says what it is.
    Telemetry,
    /// A program, by its own words or by its pace.
    AutomatedClient,
    /// None of these.
    LegitimateUse,
}

/// What a patrol said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    pub patrol: String,
    pub level: Level,
    pub category: String,
    pub reasons: Vec<String>,
}

/// How common it is for its entity, in what the stream retains.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Habit {
    /// The entity that was looked at.
    pub entity: Option<Entity>,
    /// Its events of the kind.
    pub events: u64,
    /// Those of them that are alike: they differ in values only.
    pub alike: u64,
    /// Its different shapes of events.
    pub shapes: u64,
    /// The first and last time that an alike event came.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// Mean time between alike events, in seconds, where there are at least two.
    pub every_s: Option<f64>,
    /// How much these times vary, as a share of the mean; 0 is a clock.
    pub variation: Option<f64>,
    /// Other entities of its class with alike events.
    pub others: u64,
}

/// Everything that is told.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    pub event: Id,
    pub what: What,
    pub because: Vec<String>,
    pub kind: String,
    pub ts: Timestamp,
    pub replayed: bool,
    /// By whom, with how far each is to be believed.
    pub entities: Vec<Entity>,
    pub habit: Habit,
    pub said: Vec<Said>,
    /// Incidents that cite it.
    pub incidents: Vec<Id>,
    /// What a language model adds, where the commander runs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_model: Option<ByModel>,
}

/// Explains an event from what the streams retain.
pub async fn explain(bus: &Bus, id: &str) -> Result<Account> {
    let event = find(bus, id).await?;
    let mut watched = Watched::new(&event);
    let mut unreadable = Unreadable::default();
    let kind = magsentinel_bus_schema::subject::events_of(bus.tenant(), event.kind);
    let show = |delivery: &Delivery| {
        if let Some(other) = unreadable.read::<Event>(delivery) {
            watched.see(&other);
        }
    };
    bus.read_all(Stream::Events, vec![kind], show).await?;
    let mut said = Vec::new();
    let levels = [Level::Low, Level::Medium, Level::High, Level::Critical];
    let show = |delivery: &Delivery| {
        let Some(scored) = unreadable.read::<Scored>(delivery) else { return };
        if scored.event == event.id {
            said.push(Said {
                patrol: scored.patrol.to_string(),
                level: scored.level,
                category: scored.category.to_string(),
                reasons: scored.reasons,
            });
        }
    };
    bus.read_all(Stream::Scored, scored_at(bus.tenant(), &levels), show).await?;
    said.dedup();
    let mut incidents: BTreeSet<Id> = BTreeSet::new();
    let show = |delivery: &Delivery| {
        let Some(of) = unreadable.read::<Assessment>(delivery) else { return };
        if of.evidence.iter().any(|evidence| evidence.event == event.id) {
            incidents.insert(of.incident);
        }
    };
    bus.read_all(Stream::Decisions, vec![all_of(bus.tenant(), "assessment")], show).await?;
    let mut closures: BTreeMap<Id, Closure> = BTreeMap::new();
    let show = |delivery: &Delivery| {
        let Some(of) = unreadable.read::<Closure>(delivery) else { return };
        if incidents.contains(&of.incident) {
            closures.insert(of.incident, of);
        }
    };
    bus.read_all(Stream::Decisions, vec![all_of(bus.tenant(), "closure")], show).await?;
    unreadable.tell();
    let mut account = told::account(&event, watched.habit(), said, &incidents, &closures);
    account.by_model = told_by_model::ask(bus, &event, &account).await;
    Ok(account)
}

/// The one retained event whose id begins so.
async fn find(bus: &Bus, id: &str) -> Result<Event> {
    if id.len() < 4 {
        return Err(BadUsage("an id needs at least four characters".to_owned()).into());
    }
    let (mut found, mut unreadable) = (Vec::<Event>::new(), Unreadable::default());
    let show = |delivery: &Delivery| {
        let Some(event) = unreadable.read::<Event>(delivery) else { return };
        let named = event.id.to_string().starts_with(id);
        if named && found.len() < 2 && found.iter().all(|known| known.id != event.id) {
            found.push(event);
        }
    };
    bus.read_all(Stream::Events, vec![all_of(bus.tenant(), "event")], show).await?;
    unreadable.tell();
    let [event]: [Event; 1] = found.try_into().map_err(|many: Vec<_>| {
        let why = if many.is_empty() { "no retained event begins" } else { "several events begin" };
        BadData(format!("{why} with {id:?}; EVENTS keeps them for bus.streams.events.age_max"))
    })?;
    Ok(event)
}

/// The habits of an event's entity, gathered event by event.
struct Watched {
    kind: magsentinel_bus_schema::Kind,
    shape: String,
    entity: Option<Entity>,
    events: u64,
    alike: u64,
    shapes: BTreeSet<String>,
    times: Vec<Timestamp>,
    others: BTreeSet<String>,
}

impl Watched {
    fn new(event: &Event) -> Self {
        Self {
            kind: event.kind,
            shape: shape::of(event),
            entity: entities_of(event.kind, &event.body, event.source.trust).into_iter().next(),
            events: 0,
            alike: 0,
            shapes: BTreeSet::new(),
            times: Vec::new(),
            others: BTreeSet::new(),
        }
    }

    fn see(&mut self, event: &Event) {
        let Some(own) = &self.entity else { return };
        if event.kind != self.kind {
            return;
        }
        let all = entities_of(event.kind, &event.body, event.source.trust);
        let Some(entity) = all.into_iter().find(|entity| entity.class == own.class) else { return };
        let shape = shape::of(event);
        let alike = shape == self.shape;
        if entity.value != own.value {
            if alike && self.others.len() < SHAPES_MAX {
                self.others.insert(entity.value);
            }
            return;
        }
        self.events += 1;
        self.alike += u64::from(alike);
        if alike && self.times.len() < TIMES_MAX {
            self.times.push(event.ts);
        }
        if self.shapes.len() < SHAPES_MAX {
            self.shapes.insert(shape);
        }
    }

    fn habit(mut self) -> Habit {
        self.times.sort();
        let gaps = self.times.iter().zip(self.times.iter().skip(1));
        let gaps: Vec<f64> = gaps.map(|(a, b)| b.since(*a).as_secs_f64()).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most TIMES_MAX")]
        let count = gaps.len() as f64;
        let mean = (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / count);
        let variation = mean.filter(|mean| *mean > 0.0).map(|mean| {
            let square = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
            square.sqrt() / mean
        });
        let counted = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Habit {
            entity: self.entity,
            events: self.events,
            alike: self.alike,
            shapes: counted(self.shapes.len()),
            first: self.times.first().copied(),
            last: self.times.last().copied(),
            every_s: mean,
            variation,
            others: counted(self.others.len()),
        }
    }
}

pub use told::text;
use told_by_model::ByModel;

#[cfg(test)]
mod tests;
