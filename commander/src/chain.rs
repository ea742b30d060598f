//! A chain or a threshold that an incident suggests: what would find the next one like it.
//!
//! It is made of types alone (patrols, categories, the class of the key, times and counts), so that
//! nothing that anybody wrote gets into it. Whether it is any good `magsentinel backtest --propose`
//! finds out: it must load, find the incident's own events, and alert on nothing that nothing else
//! explains. The commander proposes it to the analyzer, which tests it and runs it in shadow
//! (`docs/adr/0017-pattern-loop.md`).

use crate::knowledge::is_technique_id;
use magsentinel_bus_schema::{
    Assessment, Id, Level, Pattern, Timestamp, Token, decision::Evidence, pattern::Origin,
};
use magsentinel_pattern::record::{self, Draft};
use std::{fmt::Write as _, time::Duration};

/// Who uses chains.
const USER: &str = "analyzer";

/// Most steps of a chain.
const STEPS_MAX: usize = 4;
/// Fewest events of one sort that suggest a threshold.
const THRESHOLD_MIN: usize = 3;
/// Times within which a chain may be complete: the shortest that is twice what was seen.
const SPANS: [(&str, u64); 6] =
    [("5m", 300), ("15m", 900), ("30m", 1_800), ("1h", 3_600), ("6h", 21_600), ("1d", 86_400)];

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The chain's name.
    pub name: Token,
    /// The Sigma documents.
    pub text: String,
}

/// What an incident suggests: its findings in their order, where there are several sorts of them; so
/// many of one sort, where there is one. Nothing where there are too few, or they lie too far apart.
#[must_use]
pub fn proposed(a: &Assessment) -> Option<Proposal> {
    let mut flagged: Vec<&Evidence> =
        a.evidence.iter().filter(|e| e.level >= Level::Medium).collect();
    flagged.sort_by_key(|e| (e.ts, e.event));
    let mut steps: Vec<&Evidence> = Vec::new();
    for e in &flagged {
        let same = |step: &&Evidence| step.patrol == e.patrol && step.category == e.category;
        if steps.len() < STEPS_MAX && !steps.iter().any(same) {
            steps.push(e);
        }
    }
    let (first, last) = (flagged.first()?, flagged.last()?);
    let within = timespan(last.ts.since(first.ts))?;
    let kind = match (steps.len(), flagged.len()) {
        (1, THRESHOLD_MIN..) => format!("  type: event_count\n{}", counted(rounded(flagged.len()))),
        (2.., _) => "  type: temporal_ordered\n".to_owned(),
        _ => return None,
    };
    // Named after what it says: another incident of the same course suggests the same chain.
    let unnamed = text(a, &Token::sanitised("proposed"), &kind, within, &steps);
    let id: String = Id::derived(&["proposed chain", &unnamed]).to_string();
    let name = Token::sanitised(&format!("proposed_{}", id.replace('-', "").split_at(10).0));
    let text = text(a, &name, &kind, within, &steps);
    Some(Proposal { name, text })
}

/// The proposal as a pattern that the analyzer is to test. `None` where the incident was found by a
/// chain that was proposed itself.
#[must_use]
pub fn suggested(a: &Assessment, now: Timestamp) -> Option<Pattern> {
    if a.chain.as_str().starts_with("proposed_") {
        return None;
    }
    let Proposal { name, text } = proposed(a)?;
    let flagged = a.evidence.iter().filter(|e| e.level >= Level::Medium);
    let draft = Draft {
        patrol: Token::sanitised(USER),
        origin: Origin::Playbook,
        incident: Some(a.incident),
        events: flagged.map(|e| e.event).collect(),
        title: title(a, &name),
        rule: text,
    };
    Some(record::proposed(draft, Origin::Playbook.token(), now))
}

fn title(a: &Assessment, name: &Token) -> String {
    format!("As in an incident of {} ({name})", a.attack_type)
}

/// A count that growing incidents share: 3, 5, 10, 20, 40, …
fn rounded(events: usize) -> usize {
    let steps = std::iter::successors(Some(5_usize), |step| step.checked_mul(2));
    steps.take_while(|step| *step <= events).last().unwrap_or(THRESHOLD_MIN)
}

fn counted(events: usize) -> String {
    format!("  condition:\n    gte: {events}\n")
}

fn timespan(seen: Duration) -> Option<&'static str> {
    let twice = seen.as_secs().saturating_mul(2);
    SPANS.iter().find(|(_, seconds)| *seconds >= twice).map(|(text, _)| *text)
}

fn text(a: &Assessment, name: &Token, kind: &str, within: &str, steps: &[&Evidence]) -> String {
    let (attack, class, level) = (&a.attack_type, a.class, a.level.max(Level::Medium));
    let title = title(a, name);
    let mut rules = String::new();
    let mut documents = String::new();
    for (n, step) in (1..).zip(steps) {
        let _ = writeln!(rules, "    - {name}_{n}");
        let _ = write!(
            documents,
            "---\ntitle: Step {n} of {name}\nname: {name}_{n}\n\
             logsource: {{product: magsentinel, service: scored}}\ndetection:\n  step:\n    \
             patrol: {}\n    category: {}\n    level|gte: medium\n  condition: step\n",
            step.patrol, step.category
        );
    }
    let known = a.techniques.iter().filter(|id| is_technique_id(id)).take(8).cloned();
    let techniques = known.collect::<Vec<_>>().join(", ");
    format!(
        "title: {title}\nname: {name}\nstatus: experimental\n\
         description: Proposed from an incident; it finds its findings again.\nlevel: {level}\n\
         correlation:\n{kind}  rules:\n{rules}  group-by:\n    - {class}\n  timespan: {within}\n\
         magsentinel:\n  attack_type: {attack}\n  techniques: [{techniques}]\n  plan:\n    \
         - Compare the cited findings with those of the incident that this was made from.\n\
         {documents}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::samples;

    #[test]
    fn findings_of_several_sorts_make_a_chain_and_many_of_one_a_threshold() {
        let a = samples::injection_and_dump();
        let chain = proposed(&a).expect("a chain").text;
        assert!(chain.contains("temporal_ordered") && chain.contains("timespan: 15m"), "{chain}");
        assert!(chain.contains("category: bulk_export"), "{chain}");
        let mut same = a.clone();
        for e in &mut same.evidence {
            (e.patrol, e.category) = (a.evidence[0].patrol.clone(), a.evidence[0].category.clone());
        }
        let threshold = proposed(&same).expect("a threshold").text;
        assert!(threshold.contains("event_count") && threshold.contains("gte: 3"), "{threshold}");
        same.evidence.truncate(2);
        assert_eq!(proposed(&same), None);
    }

    #[test]
    fn another_incident_of_the_same_course_suggests_the_same_chain_and_its_own_finds_none() {
        let at = Timestamp::from_micros(0);
        let a = samples::injection_and_dump();
        let mut other = a.clone();
        other.incident = Id::derived(&["other"]);
        let (one, two) = (suggested(&a, at).unwrap(), suggested(&other, at).unwrap());
        assert_eq!((&one.digest, one.patrol.as_str()), (&two.digest, "analyzer"));
        assert_ne!(one.pattern, two.pattern);
        assert!(one.rule.contains(&format!("title: {}\n", one.title)), "{}", one.rule);
        other.chain = "proposed_0123456789".parse().unwrap();
        assert_eq!(suggested(&other, at), None);
        assert_eq!([3, 4, 5, 9, 10, 21].map(rounded), [3, 3, 5, 5, 10, 20]);
    }

    #[test]
    fn what_is_too_far_apart_or_too_mild_suggests_nothing() {
        let mut a = samples::injection_and_dump();
        a.evidence[3].ts = a.evidence[0].ts.plus(Duration::from_secs(80_000));
        assert_eq!(proposed(&a), None);
        let mut mild = samples::injection_and_dump();
        mild.evidence.iter_mut().for_each(|e| e.level = Level::Low);
        assert_eq!(proposed(&mild), None);
    }

    #[test]
    fn nothing_that_somebody_wrote_is_in_it() {
        let mut a = samples::injection_and_dump();
        let hostile = "x\n---\ntitle: everything\ncondition: not step";
        a.key = hostile.to_owned();
        a.techniques = vec![hostile.to_owned(), "T1190".to_owned()];
        for e in &mut a.evidence {
            e.excerpt = hostile.to_owned();
            e.reasons = vec![hostile.to_owned()];
            e.entities.iter_mut().for_each(|entity| entity.value = hostile.to_owned());
        }
        let text = proposed(&a).expect("a chain").text;
        assert!(!text.contains("everything") && text.contains("[T1190]"), "{text}");
    }
}
