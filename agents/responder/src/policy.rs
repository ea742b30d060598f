//! Whether an action may take effect, asked last, right before it would.
//!
//! Every rule is looked at, so that a refusal names all of its reasons at once.

use crate::{
    Config, Network,
    effect::{Step, blocked_as, quoted},
    network::ALWAYS_PROTECTED,
};
use magsentinel_bus_schema::{
    Action, Class, Effect, Entity, Mode, Tenant, Timestamp, Trust, Verb, entity::ENTITY_CHARS_MAX,
};
use magsentinel_runtime::settings::Span;
use std::{net::IpAddr, time::Duration};

/// An action, and how it was asked for: permissions are given by subject, so what the subject
/// says must be what the action says.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The action.
    pub action: &'a Action,
    /// The tenant in the subject.
    pub tenant: &'a Tenant,
    /// The verb in the subject.
    pub verb: Verb,
}

/// What the policy says about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would take this effect.
    Allowed(Step),
    /// It must not, for these reasons, at least one.
    Refused(Vec<String>),
}

/// Judges an action at `now`.
#[must_use]
pub fn judge(config: &Config, request: Request<'_>, now: Timestamp) -> Verdict {
    let action = request.action;
    let mut reasons: Vec<String> = [subject(request), mode(config, action)]
        .into_iter()
        .chain(past(config, action, now))
        .flatten()
        .collect();
    // Telling people changes nothing, so it has no target to protect and nothing to undo.
    if !matches!(action.effect, Effect::Notify { .. }) {
        let rules =
            [trust(&action.target), target(action), protected(config, action), ttl(config, action)];
        reasons.extend(rules.into_iter().flatten());
    }
    match Step::of(&action.effect, action.ttl_s) {
        Ok(step) if reasons.is_empty() => return Verdict::Allowed(step),
        Ok(_) => {}
        Err(why) => reasons.push(why),
    }
    Verdict::Refused(reasons)
}

fn subject(request: Request<'_>) -> Option<String> {
    let Request { action, tenant, verb } = request;
    let found = action.effect.verb();
    if verb != found {
        return Some(format!("asked for as {verb}, but its effect is {found}"));
    }
    (action.tenant != *tenant)
        .then(|| format!("asked for by tenant {tenant}, but it is of tenant {}", action.tenant))
}

fn mode(config: &Config, action: &Action) -> Option<String> {
    match config.mode.min(action.mode) {
        Mode::DryRun => None,
        Mode::Ask => Some("mode ask: approval is not part of this build, only dry runs".to_owned()),
        Mode::Enforce => {
            Some("mode enforce: enforcement is not part of this build, only dry runs".to_owned())
        }
    }
}

fn past(config: &Config, action: &Action, now: Timestamp) -> [Option<String>; 2] {
    let replayed = action
        .replayed
        .then(|| "built from played-back events, and the past is not acted on".to_owned());
    let age = now.since(action.evidence_ts);
    let ahead = action.evidence_ts.since(now);
    let time = if age > config.max_action_age.get() {
        Some(format!(
            "its newest evidence, of {}, is {} old: older than max_action_age ({})",
            action.evidence_ts,
            rounded(age),
            config.max_action_age
        ))
    } else if ahead > config.clock_skew_max.get() {
        Some(format!(
            "its newest evidence, of {}, lies {} in the future: more than clock_skew_max ({})",
            action.evidence_ts,
            rounded(ahead),
            config.clock_skew_max
        ))
    } else {
        None
    };
    [replayed, time]
}

fn trust(target: &Entity) -> Option<String> {
    (target.trust < Trust::Observed).then(|| {
        format!(
            "the target, {} {}, is only claimed: a name that can be forged may be reported, \
             never acted on",
            target.class,
            quoted(&target.value)
        )
    })
}

/// The effect must be on the typed entity that the evidence names, and on nothing else.
fn target(action: &Action) -> Option<String> {
    let Entity { class, value, .. } = &action.target;
    let (due, acted_on, same) = match &action.effect {
        Effect::BlockAddress { address } => {
            let same = value
                .parse()
                .is_ok_and(|named: IpAddr| named.to_canonical() == address.to_canonical());
            (Class::Client, address.to_string(), same)
        }
        Effect::SuspendSession { session, .. } => by_name(Class::Session, session, value),
        Effect::SuspendUser { user, .. } => by_name(Class::User, user, value),
        Effect::RevokeKey { key } => by_name(Class::Key, key, value),
        Effect::QuarantineDevice { device } => by_name(Class::Device, device, value),
        Effect::QuarantineExtension { extension } => by_name(Class::Extension, extension, value),
        Effect::Notify { .. } => return None,
    };
    if *class == due && same {
        return None;
    }
    Some(format!(
        "it acts on {due} {}, but the evidence names {class} {}",
        quoted(&acted_on),
        quoted(value)
    ))
}

fn by_name(due: Class, name: &str, value: &str) -> (Class, String, bool) {
    // A name that long was cut when it became an entity, and so may be another's.
    let whole = value.chars().count() < ENTITY_CHARS_MAX;
    (due, name.to_owned(), whole && name == value)
}

fn protected(config: &Config, action: &Action) -> Option<String> {
    let list = &config.never_block;
    let user = |user: &str| {
        let named = |listed: &&String| listed.trim().to_lowercase() == user.trim().to_lowercase();
        let found = list.users.iter().find(named)?;
        Some(format!("user {} is on the never-block list", quoted(found)))
    };
    match &action.effect {
        Effect::BlockAddress { address } => protected_address(&list.networks, *address),
        Effect::SuspendUser { user: name, .. } => user(name),
        Effect::SuspendSession { session, user: of, .. } => {
            if list.sessions.iter().any(|listed| listed.trim() == session.trim()) {
                return Some(format!("session {} is on the never-block list", quoted(session)));
            }
            user(of.as_deref()?).map(|why| format!("the session's {why}"))
        }
        _ => None,
    }
}

fn protected_address(listed: &[Network], address: IpAddr) -> Option<String> {
    let blocked = Network::blocked_with(address);
    let text = blocked_as(address);
    // What the address is itself is a better reason than what else is in its /64.
    let itself = Network::host(address);
    let always = |with: &Network| ALWAYS_PROTECTED.iter().find(|(n, _)| n.overlaps(with));
    if let Some((network, what)) = always(&itself).or_else(|| always(&blocked)) {
        return Some(format!("{text} is {what} ({network}), which is never blocked"));
    }
    let network = listed.iter().find(|network| network.overlaps(&blocked))?;
    Some(format!("{text} is on the never-block list ({network})"))
}

fn ttl(config: &Config, action: &Action) -> Option<String> {
    let Config { ttl_min, ttl_max, .. } = config;
    let ttl = Duration::from_secs(action.ttl_s);
    let outside = |why: &str, key: &str, bound: &Span| {
        Some(format!("it would hold for {}s, {why} than {key} ({bound})", action.ttl_s))
    };
    match () {
        () if ttl < ttl_min.get() => outside("shorter", "ttl_min", ttl_min),
        () if ttl > ttl_max.get() => outside("longer", "ttl_max", ttl_max),
        () => None,
    }
}

/// A duration in whole seconds, for a reader.
fn rounded(d: Duration) -> Span {
    Span::s(d.as_secs())
}

#[cfg(test)]
mod tests;
