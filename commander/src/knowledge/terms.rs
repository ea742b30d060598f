//! By which terms things are found.

use magsentinel_bus_schema::{Assessment, Tenant, Trust};
use std::collections::BTreeSet;

/// Most terms of an incident.
pub const INCIDENT_TERMS_MAX: usize = 64;
/// Characters of a term; what is longer is cut.
const TERM_CHARS_MAX: usize = 64;
/// English words that tell nothing apart.
const COMMON: &str = "a an and are as at be by can for from has have in is it its may not of on or \
                      such that the their them these they this to used using was were which with";

/// What an incident is found by: its type, chain, techniques, categories and patrols, and whom and
/// what its sensors observed. What was merely claimed takes no part: an attacker writes it.
#[must_use]
pub fn of_incident(a: &Assessment) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    let mut add = |class: &str, value: &str| {
        if terms.len() < INCIDENT_TERMS_MAX {
            terms.insert(one(class, value));
        }
    };
    add("type", a.attack_type.as_str());
    add("chain", a.chain.as_str());
    a.techniques.iter().for_each(|t| add("technique", t));
    for e in &a.evidence {
        add("category", e.category.as_str());
        add("patrol", e.patrol.as_str());
        e.techniques.iter().for_each(|t| add("technique", t));
    }
    let entities = a.affected.iter().chain(a.evidence.iter().flat_map(|e| &e.entities));
    for entity in entities.filter(|e| e.trust >= Trust::Observed) {
        add(entity.class.token(), &entity.value);
    }
    terms
}

fn one(class: &str, value: &str) -> String {
    let value: String = value.trim().to_lowercase().chars().take(TERM_CHARS_MAX).collect();
    format!("{class} {value}")
}

/// A term of a tenant: two tenants share none.
#[must_use]
pub fn within(tenant: &Tenant, term: &str) -> String {
    format!("{}\n{term}", tenant.as_str())
}

/// The words of a text, lower case, without those that tell nothing apart; as often as they
/// occur.
#[must_use]
pub fn of_text(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-')));
    words
        .map(|word| word.trim_matches(['.', '-']).to_lowercase())
        .filter(|word| word.chars().count() > 1 && !COMMON.split_whitespace().any(|c| c == word))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::samples;

    #[test]
    fn an_incident_is_found_by_what_was_observed_and_never_by_what_was_claimed() {
        let terms = of_incident(&samples::injection_and_dump());
        for want in ["type sql_injection_exfiltration", "technique t1190", "user shop_web"] {
            assert!(terms.contains(want), "{want}: {terms:?}");
        }
        assert!(!terms.iter().any(|t| t.contains("10.0.0.5")), "{terms:?}");
        assert!(of_incident(&samples::many(10_000)).len() <= INCIDENT_TERMS_MAX);
    }

    #[test]
    fn words_of_a_text_keep_ids_whole() {
        assert_eq!(
            of_text("The T1059.004 of Log4j2, (e.g. CVE-2021-44228)."),
            ["t1059.004", "log4j2", "e.g", "cve-2021-44228"]
        );
    }
}
