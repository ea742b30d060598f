//! Which actions an incident asks for. Targets are typed entities that a sensor of ours
//! observed, never names that are only claimed, never text.

use super::words;
use crate::{
    Config,
    window::{Incident, Seen},
};
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
    let (mut wanted, mut any, mut room) = (Wanted::default(), false, room(config, incident));
    for (class, value, seen) in targets(incident) {
        let target = Entity { class, value: value.to_owned(), trust: seen.trust };
        match effect(&target, system(config, seen), of) {
            Ok(Some(effect)) => {
                any = true;
                let id = action_id(of.incident, effect.verb(), value);
                let asked = incident.acted.get(&id);
                if is_old(config, asked.copied(), of.last) && (asked.is_some() || room > 0) {
                    room = room.saturating_sub(usize::from(asked.is_none()));
                    wanted.actions.push(action(config, of, target, effect));
                }
            }
            Ok(None) => {}
            Err(why) => wanted.withheld.push(why),
        }
    }
    if room == 0 {
        let many = incident.acted.len();
        let why = format!("No action on further targets: {many} were asked for already.");
        wanted.withheld.push(why);
    }
    if !any {
        let none = "No action: no sensor of ours observed a session, user, key, device, extension \
                    or end client that could be its target.";
        wanted.withheld.push(none.to_owned());
    }
    wanted
}

/// Asks for the evidence of an incident, once: whatever may be done about it, people will want to
/// know what it rested on. Nothing of what was played back is kept, nor of what is long past.
pub(super) fn evidence(
    config: &Config,
    of: &Assessment,
    incident: &Incident,
    now: Timestamp,
) -> Option<Action> {
    let id = action_id(of.incident, Verb::PreserveEvidence, &of.key);
    let past = of.replayed || now.since(of.last) > config.action.max_age.get();
    if past || incident.acted.contains_key(&id) {
        return None;
    }
    let known = |entity: &&Entity| entity.class == of.class && entity.value == of.key;
    let trust = of.affected.iter().find(known).map_or(Trust::Claimed, |entity| entity.trust);
    let target = Entity { class: of.class, value: of.key.clone(), trust };
    Some(action(config, of, target, Effect::PreserveEvidence {}))
}

/// Whether an action is to be asked for that was not, or so long ago that it is to be renewed.
pub(super) fn is_due(config: &Config, incident_id: Id, of: &Incident, now: Timestamp) -> bool {
    let Some((newest, _)) = of.tally.newest else { return false };
    if now.since(newest) > config.action.max_age.get() {
        return false;
    }
    let room = room(config, of) > 0;
    let due = targets(of).any(|(class, value, seen)| {
        verb(class, value, system(config, seen)).is_some_and(|verb| {
            let asked = of.acted.get(&action_id(incident_id, verb, value)).copied();
            (asked.is_some() || room) && is_old(config, asked, newest)
        })
    });
    due && !of.tally.cited().iter().any(|(_, member)| member.replayed)
}

/// Whether what was asked on evidence of this time, if it was, is to be asked again: when half of
/// the time has passed for which it holds, so that it never ends while the attack goes on.
fn is_old(config: &Config, asked: Option<Timestamp>, newest: Timestamp) -> bool {
    asked.is_none_or(|asked| newest.since(asked) >= config.action.ttl.get() / 2)
}

/// How many more targets an incident may ask for: names that come and go must not make an action
/// of every event.
fn room(config: &Config, incident: &Incident) -> usize {
    (config.affected_max * Class::ALL.len()).saturating_sub(incident.acted.len())
}

/// What may be a target: observed, not merely claimed.
fn targets(incident: &Incident) -> impl Iterator<Item = (Class, &str, &Seen)> {
    let all = incident.tally.entities.iter();
    let all = all.flat_map(|(class, of)| of.iter().map(|(name, seen)| (*class, &**name, seen)));
    all.filter(|(_, _, seen)| seen.trust >= Trust::Observed)
}

/// The system that holds what was seen, where one is configured.
fn system<'c>(config: &'c Config, seen: &Seen) -> Option<&'c str> {
    let of = |kind: &Kind| config.action.systems.get(kind).map(String::as_str);
    seen.observed_by.iter().find_map(of)
}

/// What is done about a target, if anything can be.
fn verb(class: Class, name: &str, system: Option<&str>) -> Option<Verb> {
    match (class, system) {
        (Class::Client, _) => name.parse::<IpAddr>().is_ok().then_some(Verb::BlockAddress),
        (Class::Session, Some(_)) => Some(Verb::SuspendSession),
        (Class::User, Some(_)) => Some(Verb::SuspendUser),
        (Class::Key, _) => Some(Verb::RevokeKey),
        (Class::Device, _) => Some(Verb::QuarantineDevice),
        (Class::Extension, _) => Some(Verb::QuarantineExtension),
        (Class::Session | Class::User | Class::Host | Class::Resource, _) => None,
    }
}

/// The effect's session carries a user that later evidence may fill in: the target and the verb say
/// what is done.
fn action_id(incident: Id, verb: Verb, target: &str) -> Id {
    let incident = incident.as_bytes().as_slice();
    Id::derived(&[b"action".as_slice(), incident, verb.token().as_bytes(), target.as_bytes()])
}

/// The id of the message that asks for an action: asked again on newer evidence it is another one,
/// which the stream must not take for the first.
pub(crate) fn message_id(action: &Action) -> Id {
    let evidence = action.evidence_ts.micros().to_be_bytes();
    Id::derived(&[b"asked".as_slice(), action.id.as_bytes(), &evidence])
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
        id: action_id(of.incident, verb, &target.value),
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
