//! Keys that belong together: a user that logged in from an address and then does something that
//! names the user alone has done it from that address.
//!
//! The owner of a key remembers which other keys it was seen together with, and sends what it
//! gets for its key alone on to the owners of those: one hop, never two. What was sent on names
//! the other key as *claimed*, so a chain may count it and an alert may tell it, and no action is
//! ever aimed at it.
//!
//! **Link.** An event links two of its entities that are each at least *observed*. A login links
//! only where it speaks of an account that was let in (T1078), because a guess names its victims
//! as well; where accounts are stuffed (T1110.004), a successful one among them proves nothing of
//! the others.
//!
//! **Order.** An event counts where any event that shows the link lies within `within` of it,
//! before it or after it: the owner keeps what came lately for its keys, and sends it on when a link shows
//! up. Which of the two came first makes no difference.
//!
//! **Bounds.** A key that is linked to more than `most` others of a class at a time is shared (an
//! application's account, an address that many stand behind): it is joined with none of that class
//! then. What was sent on before that was known stays where it is. What came so long ago that
//! `recent_max` events followed it, or a quarter as many of its own key, counts for no link that
//! shows up later.

mod recent;

use crate::{chain::named, window::Key};
use magsentinel_bus_schema::{
    Class, Entity, Id, Keyed, Kind, SCHEMA_VERSION, Scored, Timestamp, Trust,
};
use magsentinel_runtime::settings::Span;
use recent::{Kept, Recent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// When events of one key count for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long two keys belong together before and after an event that names both; a duration,
    /// default 15m.
    pub within: Span,
    /// Most other keys of one class that a key is joined with; one that is linked to more is
    /// shared, and joined with none. 0 joins nothing; 0..=16, default 4.
    pub most: usize,
    /// Most keys of a shard whose links are remembered; at the bound those whose newest link is
    /// oldest are forgotten. 1.., default 16384.
    pub keys_max: usize,
    /// Most events of a shard that are kept for links that show up after them, a quarter of them
    /// of one key; at the bound those that came first are forgotten. 0..=65536, default 256.
    pub recent_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { within: Span::s(900), most: 4, keys_max: 16_384, recent_max: 256 }
    }
}

/// A key, among live or among played-back events.
type Side = (Key, bool);

/// Most stretches of time that are kept of a link.
const STRETCHES_MAX: usize = 8;

/// One key that another was seen with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Link {
    class: Class,
    value: String,
    /// From when to when events show it, in order, where no two neighbouring ones lie more than
    /// twice `within` apart: whatever happens in between lies near enough to one of them.
    shown: Vec<(Timestamp, Timestamp)>,
}

impl Link {
    /// An event of this time shows it.
    fn see(&mut self, within: Duration, ts: Timestamp) {
        let place = self.shown.partition_point(|(_, last)| *last < ts);
        self.shown.insert(place, (ts, ts));
        let mut joined: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(self.shown.len());
        for (first, last) in std::mem::take(&mut self.shown) {
            match joined.last_mut() {
                Some(before) if first.since(before.1) <= within * 2 => {
                    before.0 = before.0.min(first);
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        let over = joined.len().saturating_sub(STRETCHES_MAX);
        self.shown = joined.split_off(over);
    }

    /// Whether an event that shows it lies near enough.
    fn holds(&self, within: Duration, ts: Timestamp) -> bool {
        self.shown
            .iter()
            .any(|(first, last)| first.since(ts) <= within && ts.since(*last) <= within)
    }

    fn newest(&self) -> Timestamp {
        self.shown.last().map(|(_, last)| *last).unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Linked {
    links: Vec<Link>,
    newest: Timestamp,
}

/// The links of the keys of one shard, and what came lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Joins {
    keys: Vec<(Side, Linked)>,
    recent: Vec<(Side, Keyed)>,
}

/// [`Joins`] at work.
#[derive(Debug, Default)]
pub struct Joiner {
    keys: HashMap<Side, Linked>,
    by_age: BTreeSet<(Timestamp, Side)>,
    recent: Recent,
    joined: u64,
}

impl Joiner {
    /// Goes on from what a former owner knew.
    #[must_use]
    pub fn restored(saved: Joins) -> Self {
        let by_age = saved.keys.iter().map(|(side, of)| (of.newest, side.clone())).collect();
        let recent = Recent::restored(saved.recent);
        Self { keys: saved.keys.into_iter().collect(), by_age, recent, joined: 0 }
    }

    /// What a next owner must know.
    #[must_use]
    pub fn save(&self) -> Joins {
        let all = self.keys.iter().map(|(side, of)| (side.clone(), of.clone()));
        let mut keys: Vec<(Side, Linked)> = all.collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Joins { keys, recent: self.recent.save() }
    }

    /// How many keys have links, and how many events were sent on.
    #[must_use]
    pub fn counters(&self) -> (usize, u64) {
        (self.keys.len(), self.joined)
    }

    /// Learns from an event that came for a key, and says what counts for which others as well,
    /// among the classes that any chain groups by: this event, and what came before it.
    pub fn take(
        &mut self,
        config: &Config,
        classes: &[Class],
        key: &Key,
        keyed: &Keyed,
    ) -> Vec<Keyed> {
        let scored = &keyed.scored;
        if config.most == 0 || !is_observed(scored, key.class) {
            return Vec::new();
        }
        let side = (key.clone(), scored.replayed);
        let mut joined = Vec::new();
        if links(scored) {
            joined = self.learn(config, classes, &side, scored);
        }
        joined.extend(self.counted(config, classes, &side, keyed));
        self.joined += joined.len() as u64;
        joined
    }

    /// Keeps an event that was taken, for links that show up after it.
    pub fn keep(&mut self, config: &Config, classes: &[Class], key: Key, keyed: &Keyed) {
        let scored = &keyed.scored;
        let lacks = |class: &Class| named(scored, *class).is_none();
        if config.most > 0 && is_observed(scored, key.class) && classes.iter().any(lacks) {
            let side = (key, scored.replayed);
            self.recent.keep(side, keyed, config.recent_max);
        }
    }

    /// The links by which an event of a key counts for others: to classes by which it names nobody.
    fn reached(
        &self,
        (config, classes): (&Config, &[Class]),
        side: &Side,
        ts: Timestamp,
        names: impl Fn(Class) -> bool,
    ) -> Vec<&Link> {
        let Some(linked) = self.keys.get(side) else { return Vec::new() };
        let absent = classes.iter().filter(|class| !names(**class));
        absent.flat_map(|class| linked.current(config, *class, ts)).collect()
    }

    /// An event of a key, for the owner of each other that it counts for.
    fn counted(
        &self,
        config: &Config,
        classes: &[Class],
        side: &Side,
        keyed: &Keyed,
    ) -> Vec<Keyed> {
        let scored = &keyed.scored;
        let names = |class| named(scored, class).is_some();
        let reached = self.reached((config, classes), side, scored.ts, names);
        reached.into_iter().map(|link| sent_on(keyed, &side.0, link)).collect()
    }

    /// What came lately for a key, with each link by which it counts for another.
    fn counted_lately(&self, by: (&Config, &[Class]), side: &Side) -> Vec<(&Kept, &Link)> {
        if self.recent.of(side).next().is_none() {
            return Vec::new();
        }
        let reached = |kept: &'_ Kept| self.reached(by, side, kept.ts(), |class| kept.names(class));
        let recent = self.recent.of(side);
        recent.flat_map(|kept| reached(kept).into_iter().map(move |link| (kept, link))).collect()
    }

    /// Learns the links that an event shows; what came before and counts for others by them.
    fn learn(
        &mut self,
        config: &Config,
        classes: &[Class],
        side: &Side,
        scored: &Scored,
    ) -> Vec<Keyed> {
        let others = classes.iter().filter(|class| **class != side.0.class);
        let seen: Vec<&Entity> = others
            .filter(|class| is_observed(scored, **class))
            .filter_map(|class| named(scored, *class))
            .collect();
        if seen.is_empty() {
            return Vec::new();
        }
        let by = (config, classes);
        let name = |(kept, link): &(&Kept, &Link)| (kept.number(), link.class, link.value.clone());
        let known: BTreeSet<(u64, Class, String)> =
            self.counted_lately(by, side).iter().map(name).collect();
        let linked = self.keys.entry(side.clone()).or_default();
        let before = (!linked.links.is_empty()).then_some(linked.newest);
        linked.newest = linked.newest.max(scored.ts);
        for entity in seen {
            linked.see(config, entity, scored.ts);
        }
        if before != Some(linked.newest) {
            if let Some(before) = before {
                self.by_age.remove(&(before, side.clone()));
            }
            self.by_age.insert((linked.newest, side.clone()));
        }
        while self.keys.len() > config.keys_max {
            let Some((_, oldest)) = self.by_age.pop_first() else { break };
            self.keys.remove(&oldest);
        }
        let counted = self.counted_lately(by, side).into_iter();
        let new = counted.filter(|found| !known.contains(&name(found)));
        new.filter_map(|(kept, link)| Some(sent_on(&kept.keyed()?, &side.0, link))).collect()
    }
}

impl Linked {
    fn see(&mut self, config: &Config, entity: &Entity, ts: Timestamp) {
        let (class, value) = (entity.class, entity.value.as_str());
        let within = config.within.get();
        let known = self.links.iter_mut().find(|l| l.class == class && l.value == value);
        if let Some(link) = known {
            return link.see(within, ts);
        }
        // More than are joined, so that it is known where they are too many at a time. They are not
        // forgotten for their age: an event of their time may still come.
        let of_class = self.links.iter().filter(|link| link.class == class);
        if of_class.clone().count() > config.most * 4 {
            let oldest = of_class.map(Link::newest).min();
            self.links.retain(|link| link.class != class || Some(link.newest()) != oldest);
        }
        self.links.push(Link { class, value: value.to_owned(), shown: vec![(ts, ts)] });
    }

    /// The links to a class that hold at a time; none where they are too many.
    fn current(&self, config: &Config, class: Class, ts: Timestamp) -> Vec<&Link> {
        let within = config.within.get();
        let holds = |link: &&Link| link.class == class && link.holds(within, ts);
        let found: Vec<&Link> = self.links.iter().filter(holds).collect();
        if found.len() > config.most { Vec::new() } else { found }
    }
}

fn is_observed(scored: &Scored, class: Class) -> bool {
    named(scored, class).is_some_and(|entity| entity.trust > Trust::Claimed)
}

/// Whether the entities of an event belong together.
fn links(scored: &Scored) -> bool {
    let says = |technique: &str| scored.techniques.iter().any(|t| t == technique);
    scored.kind != Kind::Auth || says("T1078") && !says("T1110.004")
}

/// The event, for the owner of a key that it does not name itself. Says the same whichever event
/// showed the link first.
fn sent_on(keyed: &Keyed, from: &Key, link: &Link) -> Keyed {
    let (class, key) = (link.class, link.value.clone());
    let mut scored = keyed.scored.clone();
    let said =
        format!("of {class} {key:?} too, which was seen with {} {:?}", from.class, from.value);
    scored.reasons.insert(0, said);
    scored.entities.push(Entity { class, value: key.clone(), trust: Trust::Claimed });
    Keyed { v: SCHEMA_VERSION, class, key, seq: keyed.seq, scored }
}

/// The id of the message that sends an event on.
#[must_use]
pub fn message_id(keyed: &Keyed) -> Id {
    let id = keyed.scored.id;
    Id::derived(&[
        b"joined".as_slice(),
        id.as_bytes(),
        keyed.class.token().as_bytes(),
        keyed.key.as_bytes(),
    ])
}

#[cfg(test)]
mod tests;
