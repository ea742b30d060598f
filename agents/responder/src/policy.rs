//! Whether an action may take effect, asked last, right before it would.
//!
//! Every rule is looked at, so that a refusal names all of its reasons at once.

use crate::{
    Network, Policy, Surroundings,
    effect::{Step, blocked_as, quoted},
    network::ALWAYS_PROTECTED,
    rules::NeverBlock,
};
use magsentinel_bus_schema::{
    Action, Class, Effect, Entity, Tenant, Timestamp, Trust, Verb, entity::ENTITY_CHARS_MAX,
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
    /// Its W3C trace context.
    pub trace: Option<&'a str>,
}

/// What the policy says about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It would take this effect.
    Allowed(Step),
    /// It must not, for these reasons, at least one.
    Refused(Vec<String>),
}

/// Judges an action at `now`: all that holds in any mode.
#[must_use]
pub fn judge(
    policy: &Policy,
    around: &Surroundings,
    request: Request<'_>,
    now: Timestamp,
) -> Verdict {
    let action = request.action;
    let mut reasons: Vec<String> =
        [subject(request)].into_iter().chain(past(policy, action, now)).flatten().collect();
    // Telling people changes nothing, so it has no target to protect and nothing to undo.
    if !matches!(action.effect, Effect::Notify { .. } | Effect::PreserveEvidence {}) {
        let rules = [
            trust(&action.target),
            target(action),
            protected(policy, around, &action.effect),
            size(policy, &action.effect),
            ttl(policy, action.ttl_s),
        ];
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
    let Request { action, tenant, verb, trace: _ } = request;
    let found = action.effect.verb();
    if verb != found {
        return Some(format!("asked for as {verb}, but its effect is {found}"));
    }
    (action.tenant != *tenant)
        .then(|| format!("asked for by tenant {tenant}, but it is of tenant {}", action.tenant))
}

fn past(policy: &Policy, action: &Action, now: Timestamp) -> [Option<String>; 2] {
    let replayed = action
        .replayed
        .then(|| "built from played-back events, and the past is not acted on".to_owned());
    let age = now.since(action.evidence_ts);
    let ahead = action.evidence_ts.since(now);
    let time = if age > policy.max_action_age.get() {
        Some(format!(
            "its newest evidence, of {}, is {} old: older than max_action_age ({})",
            action.evidence_ts,
            rounded(age),
            policy.max_action_age
        ))
    } else if ahead > policy.clock_skew_max.get() {
        Some(format!(
            "its newest evidence, of {}, lies {} in the future: more than clock_skew_max ({})",
            action.evidence_ts,
            rounded(ahead),
            policy.clock_skew_max
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
        Effect::BlockAddress { address }
        | Effect::RateLimit { address }
        | Effect::Tarpit { address } => {
            let same = value
                .parse()
                .is_ok_and(|named: IpAddr| named.to_canonical() == address.to_canonical());
            (Class::Client, address.to_string(), same)
        }
        Effect::SuspendSession { session, .. } | Effect::RevokeSession { session, .. } => {
            by_name(Class::Session, session, value)
        }
        Effect::SuspendUser { user, .. } | Effect::RevokeUser { user, .. } => {
            by_name(Class::User, user, value)
        }
        Effect::RevokeKey { key } | Effect::SuspendKey { key } => by_name(Class::Key, key, value),
        Effect::QuarantinePod { namespace, pod } => {
            by_name(Class::Resource, &format!("{namespace}/{pod}"), value)
        }
        Effect::QuarantineNamespace { namespace } => by_name(Class::Resource, namespace, value),
        Effect::QuarantineDevice { device } => by_name(Class::Device, device, value),
        Effect::QuarantineExtension { extension } => by_name(Class::Extension, extension, value),
        // The network is around the address that was seen, and no other.
        Effect::BlockPrefix { address, length } => {
            let network = Network::of(*address, *length);
            let within = |of: &Network| {
                value.parse().is_ok_and(|named: IpAddr| of.overlaps(&Network::host(named)))
            };
            (Class::Client, format!("{address}/{length}"), network.is_ok_and(|n| within(&n)))
        }
        Effect::PreserveEvidence {} | Effect::Notify { .. } => return None,
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

/// Why an effect is never to be had, whatever the evidence: asked again while a lease holds.
#[must_use]
pub fn protected(policy: &Policy, around: &Surroundings, effect: &Effect) -> Option<String> {
    let list = &policy.never_block;
    let user = |user: &str| {
        let named = |listed: &&String| listed.trim().to_lowercase() == user.trim().to_lowercase();
        let found = list.users.iter().find(named)?;
        Some(format!("user {} is on the never-block list", quoted(found)))
    };
    let session = |session: &str| {
        let found = list.sessions.iter().any(|listed| listed.trim() == session.trim());
        found.then(|| format!("session {} is on the never-block list", quoted(session)))
    };
    match effect {
        Effect::BlockAddress { address }
        | Effect::RateLimit { address }
        | Effect::Tarpit { address } => {
            // What the address is itself is a better reason than what else is in its /64.
            let (itself, whole) = (Network::host(*address), Network::blocked_with(*address));
            let text = blocked_as(*address);
            protected_network(list, around, &itself, &text)
                .or_else(|| protected_network(list, around, &whole, &text))
        }
        Effect::BlockPrefix { address, length } => {
            let network = Network::of(*address, *length).ok()?;
            protected_network(list, around, &network, &network.to_string())
        }
        Effect::SuspendUser { user: name, .. } | Effect::RevokeUser { user: name, .. } => {
            user(name)
        }
        Effect::SuspendSession { session: id, user: of, .. } => {
            session(id).or_else(|| user(of.as_deref()?).map(|why| format!("the session's {why}")))
        }
        Effect::RevokeSession { session: id, .. } => session(id),
        Effect::QuarantinePod { namespace, .. } | Effect::QuarantineNamespace { namespace } => {
            let found = list.namespaces.iter().any(|listed| listed.trim() == namespace.trim());
            found.then(|| format!("namespace {} is on the never-block list", quoted(namespace)))
        }
        Effect::RevokeKey { .. }
        | Effect::SuspendKey { .. }
        | Effect::QuarantineDevice { .. }
        | Effect::QuarantineExtension { .. }
        | Effect::PreserveEvidence {}
        | Effect::Notify { .. } => None,
    }
}

fn protected_network(
    list: &NeverBlock,
    around: &Surroundings,
    with: &Network,
    text: &str,
) -> Option<String> {
    if let Some((network, what)) = ALWAYS_PROTECTED.iter().find(|(n, _)| n.overlaps(with)) {
        return Some(format!("{text} is {what} ({network}), which is never blocked"));
    }
    if let Some(network) = list.networks.iter().find(|network| network.overlaps(with)) {
        return Some(format!("{text} is on the never-block list ({network})"));
    }
    if !list.surroundings {
        return None;
    }
    let (network, what) = around.find(with)?;
    Some(format!("{text} is {what} ({network}), which is never blocked"))
}

/// No larger network than the policy allows.
fn size(policy: &Policy, effect: &Effect) -> Option<String> {
    let Effect::BlockPrefix { address, length } = effect else { return None };
    let network = Network::of(*address, *length).ok()?;
    let (key, bits_min) = match network.is_v4() {
        true => ("prefix.v4_bits_min", policy.prefix.v4_bits_min),
        false => ("prefix.v6_bits_min", policy.prefix.v6_bits_min),
    };
    (network.length() < bits_min).then(|| {
        format!(
            "{network} may hold {} subscribers: its prefix is shorter than {key} ({bits_min})",
            network.collateral()
        )
    })
}

/// Whether a time that a lease would hold is within bounds.
#[must_use]
pub fn ttl(policy: &Policy, ttl_s: u64) -> Option<String> {
    let Policy { ttl_min, ttl_max, .. } = policy;
    let ttl = Duration::from_secs(ttl_s);
    let outside = |why: &str, key: &str, bound: &Span| {
        Some(format!("it would hold for {ttl_s}s, {why} than {key} ({bound})"))
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
