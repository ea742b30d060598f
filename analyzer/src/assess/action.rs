//! Which actions an incident asks for. Targets are typed entities that a sensor of ours
//! observed, never names that are only claimed, never text.

use super::words;
use crate::{Config, window::Incident};
use magsentinel_bus_schema::{
    Action, Assessment, Class, Effect, Entity, Id, Kind, SCHEMA_VERSION, Timestamp, Trust, Verb,
};
use magsentinel_runtime::settings::Span;
use std::net::IpAddr;

/// Actions, and sentences about those that are withheld.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) actions: Vec<Action>,
    pub(super) withheld: Vec<String>,
}

/// The actions of a blocking assessment.
pub(super) fn actions(
    config: &Config,
    of: &Assessment,
    incident: &Incident,
    now: Timestamp,
) -> Wanted {
    let withheld = |why: String| Wanted { actions: vec![], withheld: vec![why] };
    if of.replayed {
        return withheld("No action: the evidence was played back or back-filled.".to_owned());
    }
    let max_age = config.action.max_age;
    if now.since(of.last) > max_age.get() {
        return withheld(format!("No action: the newest event is older than {max_age}."));
    }
    let mut wanted = Wanted::default();
    for (class, entities) in &incident.tally.entities {
        for (value, seen) in entities {
            if seen.trust < Trust::Observed {
                continue;
            }
            let target = Entity { class: *class, value: value.clone(), trust: seen.trust };
            let system = seen.observed_by.iter().find_map(|kind| system(config, *kind));
            match effect(&target, system, of) {
                Ok(Some(effect)) => wanted.actions.push(action(config, of, target, effect)),
                Ok(None) => {}
                Err(why) => wanted.withheld.push(why),
            }
        }
    }
    if wanted.actions.is_empty() {
        let none = "No action: no sensor of ours observed a session, user, key, device, extension \
                    or end client that could be its target.";
        wanted.withheld.push(none.to_owned());
    }
    wanted
}

fn system(config: &Config, kind: Kind) -> Option<&str> {
    config.action.systems.get(&kind).map(String::as_str)
}

/// The effect on a target, if its class has one.
fn effect(
    target: &Entity,
    system: Option<&str>,
    of: &Assessment,
) -> Result<Option<Effect>, String> {
    let name = target.value.clone();
    Ok(match (target.class, system) {
        (Class::Client, _) => {
            let address: IpAddr = name.parse().map_err(|_| {
                let name = words::line(&name, 80);
                format!("No action on client {name:?}: it is no IP address.")
            })?;
            Some(Effect::BlockAddress { address })
        }
        (Class::Session, Some(system)) => {
            let system = system.to_owned();
            Some(Effect::SuspendSession { user: user_of(&name, of), session: name, system })
        }
        (Class::User, Some(system)) => {
            Some(Effect::SuspendUser { user: name, system: system.to_owned() })
        }
        (Class::Key, _) => Some(Effect::RevokeKey { key: name }),
        (Class::Device, _) => Some(Effect::QuarantineDevice { device: name }),
        (Class::Extension, _) => Some(Effect::QuarantineExtension { extension: name }),
        (Class::Session | Class::User | Class::Host | Class::Resource, _) => None,
    })
}

/// The user that a cited event observed in a session.
fn user_of(session: &str, of: &Assessment) -> Option<String> {
    let observed = |e: &&Entity| e.trust >= Trust::Observed;
    of.evidence.iter().find_map(|evidence| {
        let mut entities = evidence.entities.iter().filter(observed);
        entities.clone().find(|e| e.class == Class::Session && e.value == session)?;
        entities.find(|e| e.class == Class::User).map(|e| e.value.clone())
    })
}

fn action(config: &Config, of: &Assessment, target: Entity, effect: Effect) -> Action {
    let verb = effect.verb();
    let ttl = config.action.ttl;
    let named = |e: &&magsentinel_bus_schema::decision::Evidence| {
        e.entities.iter().any(|e| e.class == target.class && e.value == target.value)
    };
    let mut events: Vec<Id> = of.evidence.iter().filter(named).map(|e| e.event).collect();
    if events.is_empty() {
        events = of.evidence.iter().map(|e| e.event).collect();
    }
    events.dedup();
    let name = words::line(&target.value, 80);
    Action {
        v: SCHEMA_VERSION,
        // The effect's session carries a user that later evidence may fill in: the target and
        // the verb say what is done.
        id: Id::derived(&[
            b"action".as_slice(),
            of.incident.as_bytes(),
            verb.token().as_bytes(),
            target.value.as_bytes(),
        ]),
        incident: of.incident,
        assessment: of.id,
        tenant: of.tenant.clone(),
        effect,
        mode: config.action.mode,
        ttl_s: ttl.get().as_secs(),
        inverse: inverse(verb, &name, ttl),
        reason: format!(
            "{} {:?} is part of {} (level {}, confidence {:.2}, {} events).",
            target.class, name, of.attack_type, of.level, of.confidence, of.count
        ),
        target,
        events,
        evidence_ts: of.last,
        replayed: of.replayed,
    }
}

fn inverse(verb: Verb, name: &str, ttl: Span) -> String {
    let what = match verb {
        Verb::BlockAddress | Verb::RateLimit | Verb::Tarpit => "admit the address",
        Verb::BlockPrefix => "admit the network",
        Verb::SuspendSession | Verb::RevokeSession => "admit the session",
        Verb::SuspendUser | Verb::RevokeUser => "let the user log in",
        Verb::RevokeKey | Verb::SuspendKey => "accept the key",
        Verb::QuarantineDevice => "reconnect the device",
        Verb::QuarantineExtension => "start the extension",
        Verb::QuarantinePod => "reconnect the pod",
        Verb::QuarantineNamespace => "reconnect the namespace",
        Verb::PreserveEvidence | Verb::Notify => "nothing to undo for",
    };
    format!("{what} {name:?} again; by itself after {ttl}")
}
