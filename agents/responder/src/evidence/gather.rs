//! A bundle, gathered from the streams.

use super::{
    Config,
    archive::{self, Head, Line, Part, Section},
    read::{self, Found, Search},
    select::{Cited, Nearest, Room, source, stretches},
};
use magsentinel_bus_schema::{
    Action, Assessment, Event, Id, Level, Outcome, Preserved, Scored, Stream, Timestamp,
    subject::scored_at,
};
use magsentinel_runtime::{
    bus::{Bus, Extent},
    stage::Delivery,
    store::Store,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// Why there is no bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unkept {
    /// It may work later.
    Again(String),
    /// It never will.
    Never(String),
}

impl Unkept {
    pub(super) fn again(why: impl std::fmt::Display) -> Self {
        Self::Again(why.to_string())
    }
}

/// A bundle that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) preserved: Preserved,
    /// What is in it, and what is not, for a reader.
    pub(super) detail: String,
}

/// Gathers bundles.
pub(super) struct Gatherer<'a> {
    pub(super) bus: &'a Bus,
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
}

impl Gatherer<'_> {
    /// Gathers and stores the bundle of an outcome.
    pub(super) async fn keep(
        &self,
        outcome: &Found<Outcome>,
        action: &Found<Action>,
    ) -> Result<Kept, Unkept> {
        let scan_max = self.config.scan_max;
        let assessment = read::assessment(self.bus, action, scan_max).await?;
        let asked = assessment.found.as_ref().map(|found| &found.message);
        let cited = Cited::of(&action.message, asked);
        let decision = decision(&assessment, action, outcome)?;
        let room = Room { lines: self.config.events_max, bytes: self.config.bytes_max };

        let (seqs, window) = self.window(&cited, action, room).await?;
        let (found, events) = self.cited(&cited, &seqs, room).await?;
        let (events, room) = events.finish();
        // What is cited comes first: the window has the room that is left.
        let (window, room) = window.within(room).finish();
        let (around, _) = self.around(&cited, &found, room).await?.finish();

        let held: BTreeSet<Id> = found.iter().map(|one| one.message.id).collect();
        let mut missing: Vec<Id> = cited.events.difference(&held).copied().collect();
        let mut detail = String::new();
        if assessment.found.is_none() {
            missing.push(action.message.assessment);
            detail = format!("; {}", assessment.why_not("its assessment", scan_max));
        }
        let head = Head {
            tenant: self.bus.tenant().clone(),
            incident: action.message.incident,
            assessment: action.message.assessment,
            action: action.message.id,
            missing,
        };
        let detail = told(&head, &[&events, &window, &around]) + &detail;
        let bytes = archive::write(head, &[decision, events, window, around]);
        let bytes = bytes.map_err(Unkept::again)?;
        let name = archive::sha256(&bytes);
        self.store.keep(&name, &bytes).await.map_err(Unkept::again)?;
        let preserved = Preserved { object: name.clone(), sha256: name, bytes: bytes.len() as u64 };
        Ok(Kept { preserved, detail })
    }

    /// The findings of the window; and where the cited events are stored.
    async fn window(
        &self,
        cited: &Cited,
        action: &Found<Action>,
        room: Room,
    ) -> Result<(BTreeMap<Id, u64>, Nearest), Unkept> {
        let mut window = Nearest::new(Part::Window, cited.last, room);
        let mut seqs = BTreeMap::new();
        let show = |delivery: &Delivery| {
            let Ok(scored) = delivery.decode::<Scored>(self.bus.limits()) else {
                window.unreadable();
                return ControlFlow::Continue(());
            };
            if cited.takes_scored(&scored) {
                if cited.events.contains(&scored.event) && scored.seq > 0 {
                    seqs.insert(scored.event, scored.seq);
                }
                take(&mut window, scored.ts, delivery, 0, &scored);
            }
            ControlFlow::Continue(())
        };
        let after = self.config.after.get();
        let stretch = (cited.first.minus(self.config.before.get()), read::until(action, after));
        let (_ordinary, found) = Level::ALL.split_at(1);
        let of = (Stream::Scored, scored_at(self.bus.tenant(), found));
        let extent = self.bus.read_stretch(of, stretch, self.config.scan_max, show).await;
        if extent.map_err(Unkept::again)? == Extent::Bounded {
            window.stopped();
        }
        Ok((seqs, window))
    }

    /// The cited events.
    async fn cited(
        &self,
        cited: &Cited,
        seqs: &BTreeMap<Id, u64>,
        room: Room,
    ) -> Result<(Vec<Found<Event>>, Nearest), Unkept> {
        let mut events = Nearest::new(Part::Cited, cited.last, room);
        let mut found = Vec::new();
        for (id, seq) in seqs {
            let read = self.bus.read_one(Stream::Events, *seq).await.map_err(Unkept::again)?;
            let Some(delivery) = read else { continue };
            let Ok(all) = delivery.decode_each::<Event>(self.bus.limits()) else {
                events.unreadable();
                continue;
            };
            for (element, message) in all.into_iter().enumerate().filter(|(_, e)| e.id == *id) {
                take(&mut events, message.ts, &delivery, element, &message);
                found.push(Found { delivery: delivery.clone(), message });
            }
        }
        Ok((found, events))
    }

    /// What else the same sensors published around the cited events, or anybody about their key.
    /// Only in the subjects of the cited events: their kind and their shard, which is that of
    /// their first key.
    async fn around(
        &self,
        cited: &Cited,
        found: &[Found<Event>],
        room: Room,
    ) -> Result<Nearest, Unkept> {
        let mut around = Nearest::new(Part::Around, cited.last, room);
        let subjects: BTreeSet<&String> = found.iter().map(|one| &one.delivery.subject).collect();
        let sources = found.iter().map(|one| source(&one.message.source)).collect();
        let moments = found.iter().map(|one| one.delivery.stored);
        let (before, after) = (self.config.before.get(), self.config.after.get());
        for stretch in stretches(moments, before, after) {
            let show = |delivery: &Delivery| {
                let Ok(all) = delivery.decode_each::<Event>(self.bus.limits()) else {
                    around.unreadable();
                    return ControlFlow::Continue(());
                };
                for (element, event) in all.into_iter().enumerate() {
                    if cited.takes_around(&event, &sources) {
                        take(&mut around, event.ts, delivery, element, &event);
                    }
                }
                ControlFlow::Continue(())
            };
            let filters = subjects.iter().map(|subject| (*subject).clone()).collect();
            let of = (Stream::Events, filters);
            let extent = self.bus.read_stretch(of, stretch, self.config.scan_max, show).await;
            if extent.map_err(Unkept::again)? == Extent::Bounded {
                around.stopped();
            }
        }
        Ok(around)
    }
}

fn decision(
    assessment: &Search<Option<Found<Assessment>>>,
    action: &Found<Action>,
    outcome: &Found<Outcome>,
) -> Result<Section, Unkept> {
    let part = Part::Decision;
    let mut lines = Vec::new();
    if let Some(found) = &assessment.found {
        lines.push(line(part, &found.delivery, &found.message).map_err(Unkept::again)?);
    }
    lines.push(line(part, &action.delivery, &action.message).map_err(Unkept::again)?);
    lines.push(line(part, &outcome.delivery, &outcome.message).map_err(Unkept::again)?);
    // An assessment that was found needs no further looking, wherever the search ended.
    let whole = assessment.found.is_some() || assessment.extent == Extent::Whole;
    let unreadable = if assessment.found.is_some() { 0 } else { assessment.unreadable };
    Ok(Section { part, lines, cut: 0, unreadable, whole })
}

fn line<T: Serialize>(
    part: Part,
    delivery: &Delivery,
    message: &T,
) -> Result<String, serde_json::Error> {
    let Delivery { subject, seq, stored, .. } = delivery;
    serde_json::to_string(&Line { part, subject, seq: *seq, stored: *stored, message })
}

fn take<T: Serialize>(
    into: &mut Nearest,
    at: Timestamp,
    delivery: &Delivery,
    element: usize,
    message: &T,
) {
    match line(into.part(), delivery, message) {
        Ok(line) => into.take(at, (delivery.seq, element), line),
        Err(_) => into.unreadable(),
    }
}

/// What is in a bundle, and what is not.
fn told(head: &Head, sections: &[&Section]) -> String {
    let [events, window, around] = [Part::Cited, Part::Window, Part::Around].map(|part| {
        let of = sections.iter().filter(|section| section.part == part);
        of.map(|section| section.lines.len()).sum::<usize>()
    });
    let mut detail = format!(
        "evidence is kept: {events} cited events, {window} findings, {around} events around them"
    );
    let cut: u64 = sections.iter().map(|section| section.cut).sum();
    let unreadable: u64 = sections.iter().map(|section| section.unreadable).sum();
    let events = head.missing.iter().filter(|id| **id != head.assessment).count() as u64;
    for (count, what) in [
        (events, "cited events were not found"),
        (cut, "left out because of events_max or bytes_max"),
        (unreadable, "cannot be read"),
    ] {
        if count > 0 {
            detail += &format!("; {count} {what}");
        }
    }
    if sections.iter().any(|section| !section.whole) {
        detail += "; scan_max kept it from looking at all of a stream";
    }
    detail
}
