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
//! **Bounds.** A link holds for `within` from the newest event that shows it, and only for events
//! that come after it in the stream. A key that is linked to more than `most` others of a class is
//! shared (an application's account, an address that many stand behind): it is joined with none
//! of that class until the links grow old.

use crate::{chain::named, window::Key};
use magsentinel_bus_schema::{
    Class, Entity, Id, Keyed, Kind, SCHEMA_VERSION, Scored, Timestamp, Trust,
};
use magsentinel_runtime::settings::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// When events of one key count for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long two keys belong together after an event that names both; a duration, default 15m.
    pub within: Span,
    /// Most other keys of one class that a key is joined with; one that is linked to more is
    /// shared, and joined with none. 0 joins nothing; 0..=16, default 4.
    pub most: usize,
    /// Most keys of a shard whose links are remembered; at the bound those whose newest link is
    /// oldest are forgotten. 1.., default 16384.
    pub keys_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { within: Span::s(900), most: 4, keys_max: 16_384 }
    }
}

/// A key, among live or among played-back events.
type Side = (Key, bool);

/// One key that another was seen with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Link {
    class: Class,
    value: String,
    /// Time of the newest event that shows it.
    ts: Timestamp,
    /// That event.
    event: Id,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Linked {
    links: Vec<Link>,
    newest: Timestamp,
}

/// The links of the keys of one shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Joins {
    keys: Vec<(Side, Linked)>,
}

/// [`Joins`] at work.
#[derive(Debug, Default)]
pub struct Joiner {
    keys: BTreeMap<Side, Linked>,
    by_age: BTreeSet<(Timestamp, Side)>,
    joined: u64,
}

impl Joiner {
    /// Goes on from what a former owner knew.
    #[must_use]
    pub fn restored(saved: Joins) -> Self {
        let by_age = saved.keys.iter().map(|(side, of)| (of.newest, side.clone())).collect();
        Self { keys: saved.keys.into_iter().collect(), by_age, joined: 0 }
    }

    /// What a next owner must know.
    #[must_use]
    pub fn save(&self) -> Joins {
        Joins { keys: self.keys.iter().map(|(side, of)| (side.clone(), of.clone())).collect() }
    }

    /// How many keys have links, and how many events were sent on.
    #[must_use]
    pub fn counters(&self) -> (usize, u64) {
        (self.keys.len(), self.joined)
    }

    /// Learns from an event that came for a key, and says for which others it counts as well,
    /// among the classes that any chain groups by.
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
        if links(scored) {
            self.learn(config, classes, &side, scored);
        }
        let Some(linked) = self.keys.get(&side) else { return Vec::new() };
        let absent = classes.iter().filter(|class| named(scored, **class).is_none());
        let joined: Vec<Keyed> = absent
            .flat_map(|class| linked.current(config, *class, scored.ts))
            .map(|link| sent_on(keyed, link))
            .collect();
        self.joined += joined.len() as u64;
        joined
    }

    fn learn(&mut self, config: &Config, classes: &[Class], side: &Side, scored: &Scored) {
        let others = classes.iter().filter(|class| **class != side.0.class);
        let seen: Vec<&Entity> = others
            .filter(|class| is_observed(scored, **class))
            .filter_map(|class| named(scored, *class))
            .collect();
        if seen.is_empty() {
            return;
        }
        let linked = self.keys.entry(side.clone()).or_default();
        self.by_age.remove(&(linked.newest, side.clone()));
        for entity in seen {
            linked.see(config, entity, (scored.ts, scored.event));
        }
        linked.newest = linked.newest.max(scored.ts);
        self.by_age.insert((linked.newest, side.clone()));
        while self.keys.len() > config.keys_max {
            let Some((_, oldest)) = self.by_age.pop_first() else { break };
            self.keys.remove(&oldest);
        }
    }
}

impl Linked {
    fn see(&mut self, config: &Config, entity: &Entity, (ts, event): (Timestamp, Id)) {
        let (class, value) = (entity.class, entity.value.as_str());
        let known = self.links.iter_mut().find(|l| l.class == class && l.value == value);
        if let Some(link) = known {
            if link.ts < ts {
                (link.ts, link.event) = (ts, event);
            }
            return;
        }
        let old = ts.minus(config.within.get());
        self.links.retain(|link| link.ts >= old);
        // One more than are joined, so that it is known that they are too many.
        if self.links.iter().filter(|link| link.class == class).count() <= config.most {
            self.links.push(Link { class, value: value.to_owned(), ts, event });
        }
    }

    /// The links to a class that hold at a time; none where they are too many.
    fn current(&self, config: &Config, class: Class, ts: Timestamp) -> Vec<&Link> {
        let within = config.within.get();
        let holds = |link: &&Link| {
            let (first, last) = (link.ts.min(ts), link.ts.max(ts));
            link.class == class && last.since(first) <= within
        };
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

/// The event, for the owner of a key that it does not name itself.
fn sent_on(keyed: &Keyed, link: &Link) -> Keyed {
    let (class, key) = (link.class, link.value.clone());
    let mut scored = keyed.scored.clone();
    let said = format!("of {class} {key:?} too: event {} names both", link.event);
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
