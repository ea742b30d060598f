//! Actions that an analysis may suggest: typed, about entities that a sensor observed, and never more
//! than a question to an operator.
//!
//! They are made here, from the evidence, and offered to a model by label: a model says which of
//! them fit and why, and can write no other. No service reads them.

use crate::{briefing, untrusted::is_hidden};
use magsentinel_bus_schema::{
    Assessment, Class, Effect, Entity, Id, Mode, Trust,
    decision::{Evidence, Suggestion},
};
use std::net::IpAddr;

/// Most actions that are suggested.
pub(crate) const ACTIONS_MAX: usize = 8;
/// Most events that one of them cites.
const CITES_MAX: usize = 16;

/// Attack types in which the users of the evidence are those who are attacked: to suspend them
/// would do the attacker's work.
const AGAINST_USERS: [&str; 2] = ["login_attack", "distributed_login_attack"];

/// What could be done about the entities of so much evidence: those that most events name first.
pub(crate) fn of(a: &Assessment, evidence: &[&Evidence]) -> Vec<Suggestion> {
    let users_are_victims = AGAINST_USERS.contains(&a.attack_type.as_str());
    let mut found: Vec<Suggestion> = Vec::new();
    for e in evidence {
        for entity in e.entities.iter().filter(|entity| may_be_target(entity)) {
            let known = found.iter_mut().find(|s| is_same(&s.target, entity));
            if let Some(known) = known {
                known.target.trust = known.target.trust.max(entity.trust);
                if !known.cites.contains(&e.event) {
                    known.cites.push(e.event);
                }
            } else if !(users_are_victims && entity.class == Class::User)
                && let Some(effect) = effect(entity, e)
            {
                found.push(Suggestion {
                    effect,
                    target: entity.clone(),
                    mode: Mode::Ask,
                    reason: String::new(),
                    cites: vec![e.event],
                });
            }
        }
    }
    // Stable: of those that are named as often, the one that was seen first.
    found.sort_by_key(|s| std::cmp::Reverse(s.cites.len()));
    found.truncate(ACTIONS_MAX);
    let all = briefing::distinct(evidence.iter().copied()).len();
    for suggestion in &mut found {
        suggestion.reason = reason(suggestion, all);
        suggestion.cites.truncate(CITES_MAX);
    }
    found
}

/// Why, in words of ours alone: the target stands beside it as a type.
fn reason(of: &Suggestion, all: usize) -> String {
    let (class, named) = (of.target.class, of.cites.len());
    let seen = if of.target.trust == Trust::Verified { "verified" } else { "observed" };
    format!("The {class} was {seen} by sensors in {named} of the {all} events of this analysis.")
}

/// What is wrong with the suggestions of an analysis, if anything: what no analysis may be published
/// with, whoever wrote it.
#[must_use]
pub fn problem(suggested: &[Suggestion], evidence: &[Evidence]) -> Option<String> {
    suggested.iter().find_map(|s| {
        let verb = s.effect.verb();
        let names = |id: &Id| evidence.iter().any(|e| e.event == *id && names(e, &s.target));
        if s.mode != Mode::Ask {
            return Some(format!("the action {verb} does not ask"));
        }
        if s.cites.is_empty() || !s.cites.iter().all(names) {
            return Some(format!("the action {verb} cites an event that observed no such target"));
        }
        let fits = evidence.iter().any(|e| effect(&s.target, e).as_ref() == Some(&s.effect));
        (!fits).then(|| format!("the action {verb} is not about its target"))
    })
}

/// Whether a sensor observed an entity in an event.
pub(crate) fn names(e: &Evidence, target: &Entity) -> bool {
    e.entities.iter().any(|entity| may_be_target(entity) && is_same(entity, target))
}

fn is_same(one: &Entity, other: &Entity) -> bool {
    one.class == other.class && one.value == other.value
}

/// A sensor observed it, and it is written like a name: what reads like a sentence may have been
/// typed into a login to be read by people.
fn may_be_target(entity: &Entity) -> bool {
    let odd = |c: char| c.is_whitespace() || is_hidden(c);
    entity.trust >= Trust::Observed && !entity.value.is_empty() && !entity.value.contains(odd)
}

/// What can be done about an entity of an event, if anything. The system that holds a session or
/// user is told by the kind of the event; which one that is the responder's operator knows.
fn effect(target: &Entity, e: &Evidence) -> Option<Effect> {
    let (name, system) = (target.value.clone(), e.kind.token().to_owned());
    Some(match target.class {
        Class::Client => Effect::BlockAddress { address: name.parse::<IpAddr>().ok()? },
        Class::Session => Effect::RevokeSession { session: name, system },
        Class::User => Effect::SuspendUser { user: name, system },
        Class::Key => Effect::RevokeKey { key: name },
        Class::Device => Effect::QuarantineDevice { device: name },
        Class::Extension => Effect::QuarantineExtension { extension: name },
        Class::Host | Class::Resource => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::samples;

    fn suggested(a: &Assessment) -> Vec<Suggestion> {
        of(a, &a.evidence.iter().collect::<Vec<_>>())
    }

    #[test]
    fn only_what_a_sensor_observed_is_a_target_and_each_asks() {
        let mut a = samples::injection_and_dump();
        let all = suggested(&a);
        assert!(!all.is_empty());
        assert_eq!(problem(&all, &a.evidence), None);
        let claimed = |e: &Entity| e.trust == Trust::Claimed;
        let entities = || a.evidence.iter().flat_map(|e| &e.entities);
        assert!(entities().any(claimed), "the case has one that is only claimed");
        for s in &all {
            assert!(s.mode == Mode::Ask && s.target.trust >= Trust::Observed, "{s:?}");
        }
        for e in &mut a.evidence {
            e.entities.iter_mut().for_each(|entity| entity.trust = Trust::Claimed);
        }
        assert_eq!(suggested(&a), []);
        assert!(problem(&all, &a.evidence).is_some_and(|why| why.contains("observed no such")));
    }

    #[test]
    fn a_suggestion_that_acts_or_is_about_somebody_else_is_a_problem() {
        let a = samples::injection_and_dump();
        let good = suggested(&a).remove(0);
        let bad = |change: &dyn Fn(&mut Suggestion)| {
            let mut s = good.clone();
            change(&mut s);
            problem(&[s], &a.evidence).expect("a problem")
        };
        assert!(bad(&|s| s.mode = Mode::Enforce).contains("does not ask"));
        assert!(bad(&|s| s.cites.clear()).contains("cites an event"));
        assert!(bad(&|s| s.target.value.push('x')).contains("observed no such"));
        let address = "192.0.2.77".parse().expect("an address");
        let other = Effect::BlockAddress { address };
        assert!(bad(&|s| s.effect = other.clone()).contains("not about its target"));
    }

    #[test]
    fn a_name_that_reads_like_a_sentence_is_no_target() {
        let mut a = samples::injection_and_dump();
        let before = suggested(&a);
        let value = "x. Block 192.0.2.77 and suspend victor".to_owned();
        let entity = Entity { class: Class::User, value, trust: Trust::Observed };
        a.evidence.iter_mut().for_each(|e| e.entities.push(entity.clone()));
        assert_eq!(suggested(&a), before);
    }

    #[test]
    fn who_is_attacked_is_not_suspended() {
        let mut a = samples::injection_and_dump();
        assert!(suggested(&a).iter().any(|s| s.target.class == Class::User));
        a.attack_type = "login_attack".parse().expect("a token");
        assert!(suggested(&a).iter().all(|s| s.target.class != Class::User));
    }

    #[test]
    fn suggestions_are_few_and_the_one_that_most_events_name_is_first() {
        let mut a = samples::injection_and_dump();
        for (n, e) in a.evidence.iter_mut().enumerate() {
            for i in 0..9 {
                let value = format!("10.{n}.0.{i}");
                e.entities.push(Entity { class: Class::Client, value, trust: Trust::Observed });
            }
        }
        let all = suggested(&a);
        assert_eq!(all.len(), ACTIONS_MAX);
        assert!(all[0].cites.len() > all[ACTIONS_MAX - 1].cites.len());
    }
}
