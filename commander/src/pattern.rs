//! Patterns that the evidence suggests: rules for what only a model recognised.
//!
//! A proposal is made of words that such events have in common, nothing else: the playbook takes the
//! longest, a model chooses among those that it is offered. So nothing that an attacker or a model
//! writes gets further than into a list of words to look for. Whether it is any good its patrol
//! finds out.

use crate::untrusted::shown;
use magsentinel_bus_schema::{
    Assessment, Id, Kind, Pattern, Timestamp, Token, decision::Evidence, pattern::Origin,
};
use magsentinel_pattern::record::{Draft, proposed};
use std::collections::{BTreeMap, BTreeSet};

/// The patrol whose statements are looked at.
const PATROL: &str = "sql-guard";
/// Fewest events that suggest anything.
const EVENTS_MIN: usize = 2;
/// Words of a proposal.
const WORDS_MIN: usize = 2;
pub(crate) const WORDS_MAX: usize = 5;
/// Words that a model is offered.
const CANDIDATES_MAX: usize = 32;
/// Characters of a word.
const WORD_CHARS_MIN: usize = 4;
const WORD_CHARS_MAX: usize = 40;
/// Words that say nothing alone or together.
const COMMON: &[&str] = &[
    "select",
    "from",
    "where",
    "order",
    "group",
    "limit",
    "insert",
    "into",
    "values",
    "update",
    "delete",
    "join",
    "left",
    "inner",
    "outer",
    "having",
    "null",
    "like",
    "ilike",
    "distinct",
    "case",
    "when",
    "then",
    "else",
    "count",
    "name",
    "with",
    "between",
    "returning",
    "text",
];

/// What the playbook proposes after an incident: a rule over the text of SQL statements that no
/// pattern named, of the longest words that all of them share. Nothing where the evidence suggests
/// none.
#[must_use]
pub fn suggested(assessment: &Assessment, now: Timestamp) -> Option<Pattern> {
    let unnamed = unnamed(assessment);
    let mut all = unnamed.iter().map(|(_, words)| words);
    let first = all.next()?.clone();
    let common = all.fold(first, |common, of| common.intersection(of).cloned().collect());
    // The longest say most; in the order of the alphabet, so that the same evidence gives the same.
    let mut best: Vec<String> = common.into_iter().collect();
    best.sort_by_key(|word| std::cmp::Reverse(word.len()));
    best.truncate(WORDS_MAX);
    proposal(assessment, &unnamed, best, Origin::Playbook, now)
}

/// The words of which a model may choose a rule's: those of at least two statements that no pattern
/// named. It can write no other.
#[must_use]
pub fn candidates(assessment: &Assessment) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, words) in unnamed(assessment) {
        words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    }
    let shared = counts.into_iter().filter(|(_, count)| *count >= EVENTS_MIN);
    let mut words: Vec<String> = shared.map(|(word, _)| word).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(CANDIDATES_MAX);
    words.sort();
    words
}

/// What a model proposes by its choice of words. Nothing where any of them was not offered, or too
/// few events hold all of them.
#[must_use]
pub fn chosen(assessment: &Assessment, words: &[String], now: Timestamp) -> Option<Pattern> {
    let offered = candidates(assessment);
    let words: BTreeSet<String> = words.iter().cloned().collect();
    if words.len() > WORDS_MAX || words.iter().any(|word| !offered.contains(word)) {
        return None;
    }
    let mut unnamed = unnamed(assessment);
    unnamed.retain(|(_, of)| words.is_subset(of));
    proposal(assessment, &unnamed, words.into_iter().collect(), Origin::Model, now)
}

/// The statements that only a model recognised, with their words.
fn unnamed(assessment: &Assessment) -> Vec<(Id, BTreeSet<String>)> {
    let patrol = Token::sanitised(PATROL);
    let is_unnamed = |evidence: &&Evidence| {
        evidence.patrol == patrol
            && evidence.kind == Kind::Sql
            && evidence.level.is_flagged()
            && !evidence.reasons.is_empty()
            && evidence.reasons.iter().all(|reason| reason.starts_with("model:"))
    };
    let unnamed = assessment.evidence.iter().filter(is_unnamed);
    unnamed.map(|evidence| (evidence.event, words(&evidence.excerpt))).collect()
}

fn proposal(
    assessment: &Assessment,
    unnamed: &[(Id, BTreeSet<String>)],
    mut words: Vec<String>,
    origin: Origin,
    now: Timestamp,
) -> Option<Pattern> {
    if unnamed.len() < EVENTS_MIN || words.len() < WORDS_MIN {
        return None;
    }
    words.sort();
    let title = title(&assessment.attack_type, &words);
    let draft = Draft {
        rule: rule(&title, &words),
        title,
        patrol: Token::sanitised(PATROL),
        origin,
        incident: Some(assessment.incident),
        events: unnamed.iter().map(|(event, _)| *event).collect(),
    };
    Some(proposed(draft, origin.token(), now))
}

fn title(attack: &Token, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| shown(word, 16)).collect();
    let mut title = format!("As in an incident of {attack}: {}", words.join(" "));
    title.truncate(110);
    title.trim_end().to_owned()
}

/// The rule. Words hold nothing that YAML or Sigma would read as more than a word.
fn rule(title: &str, words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    format!(
        "title: '{title}'\nlogsource: {{product: magsentinel, category: sql}}\n\
         tags: [attack.initial-access, attack.t1190, mag.proposed]\nlevel: medium\n\
         detection:\n  words:\n    text|contains|all: [{}]\n  condition: words\n",
        quoted.join(", ")
    )
}

/// The words of a statement outside its quotes, in lower case. A word is letters and underscores:
/// what holds a digit is a value, or was made up for this one time.
fn words(excerpt: &str) -> BTreeSet<String> {
    let outside = excerpt.split('\'').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
    let parts = outside.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let good = |word: &&str| {
        (WORD_CHARS_MIN..=WORD_CHARS_MAX).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            && !COMMON.contains(word)
    };
    parts.filter(good).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::samples;
    use magsentinel_bus_schema::{Level, pattern::State};

    fn unnamed(excerpts: &[&str]) -> Assessment {
        let mut a = samples::injection_and_dump();
        let like = a.evidence[0].clone();
        let events = excerpts.iter().enumerate().map(|(n, excerpt)| Evidence {
            event: Id::derived(&["event", &n.to_string()]),
            patrol: "sql-guard".parse().unwrap(),
            kind: Kind::Sql,
            level: Level::High,
            reasons: vec!["model: SQL injection 0.91".to_owned()],
            excerpt: (*excerpt).to_owned(),
            ..like.clone()
        });
        a.evidence = events.collect();
        a
    }

    #[test]
    fn words_that_all_unnamed_statements_share_make_a_rule() {
        let a = unnamed(&[
            "SELECT id FROM products WHERE id = 7 PROCEDURE analyse(extractvalue(rand(), 'x1'))",
            "select name from products where id = 8 procedure ANALYSE(extractvalue(9, 'y2'))",
        ]);
        let at = Timestamp::from_micros(0);
        let pattern = suggested(&a, at).unwrap();
        assert_eq!((pattern.state(), pattern.events.len()), (State::Proposed, 2));
        assert!(
            pattern.rule.contains("['analyse', 'extractvalue', 'procedure', 'products']"),
            "{}",
            pattern.rule
        );
        assert_eq!(suggested(&a, Timestamp::from_micros(9)).unwrap().pattern, pattern.pattern);
    }

    #[test]
    fn what_a_pattern_named_already_or_what_has_nothing_in_common_suggests_nothing() {
        let at = Timestamp::from_micros(0);
        let mut named = unnamed(&["procedure analyse", "procedure analyse"]);
        named.evidence[0].reasons.push("Calls analyse".to_owned());
        assert_eq!(suggested(&named, at), None);
        assert_eq!(suggested(&unnamed(&["procedure analyse", "benchmark md"]), at), None);
        assert_eq!(suggested(&unnamed(&["procedure analyse"]), at), None);
        assert_eq!(suggested(&samples::injection_and_dump(), at), None);
    }

    #[test]
    fn a_model_chooses_among_shared_words_and_nothing_else() {
        let at = Timestamp::from_micros(0);
        let a = unnamed(&[
            "select a from products procedure analyse(7)",
            "select b from products procedure analyse(8)",
            "select c from invoices procedure benchmark",
        ]);
        assert_eq!(candidates(&a), ["analyse", "procedure", "products"]);
        let choose = |words: &[&str]| {
            chosen(&a, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), at)
        };
        let pattern = choose(&["procedure", "analyse"]).unwrap();
        assert_eq!((pattern.origin, pattern.events.len()), (Origin::Model, 2));
        assert!(pattern.rule.contains("['analyse', 'procedure']"), "{}", pattern.rule);
        for bad in [&["procedure", "benchmark"][..], &["procedure"], &[], &["procedure", "x'"]] {
            assert_eq!(choose(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn nothing_that_is_written_into_a_statement_becomes_more_than_a_word() {
        let a = unnamed(&[
            "procedure analyse' }\\ncondition: not words\\nlevel: critical # *",
            "procedure analyse' }\\ncondition: not words\\nlevel: critical # *",
        ]);
        let rule = suggested(&a, Timestamp::from_micros(0)).unwrap().rule;
        assert!(rule.contains("['analyse', 'procedure']"), "{rule}");
        assert_eq!((rule.matches("condition").count(), rule.matches("level").count()), (1, 1));
    }
}
