//! One statement against the evidence.

use super::{
    Grounds, Refusal, decode, language,
    lists::ACTING,
    vocabulary,
    words::{self, Hashed, Names, Runs, Wording},
};
use crate::{
    actions,
    draft::{DraftAction, DraftClaim, TEXT_CHARS_MIN},
    knowledge::{Known, is_technique_id},
    untrusted::{is_hidden, shown},
};
use magsentinel_bus_schema::{
    Assessment, Class, Entity, Id, Trust,
    decision::{Claim, Evidence, Suggestion},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Words in a row of the evidence that an account may not repeat …
const RUN_ACCOUNT: usize = 5;
/// … that a summary may not …
const RUN_SUMMARY: usize = 4;
/// … and that advice may not.
const RUN_ADVICE: usize = 3;
/// Share of a statement's pairs of words that may be of the evidence: what is split over events
/// has no longer runs.
const PAIRS_SHARE: f32 = 0.5;
/// Words in a row of the instructions that no text may give away.
const RUN_SECRET: usize = 6;

/// What a text is for decides what it may say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Tells what happened: may name what free text names, but for people and addresses.
    Account,
    /// Tells those who decide what it means: may not repeat the evidence's sentences, nor name
    /// whom only free text names.
    Summary,
    /// Tells people what to do: may name only what a sensor observed.
    Advice,
}

pub(super) struct Check<'a> {
    labels: &'a [Id],
    evidence: &'a [Evidence],
    /// The actions that were offered.
    offered: &'a [Suggestion],
    nonce: &'a str,
    known: &'a Known,
    /// Everything that the evidence names.
    named: Names,
    /// The words of its free text, as they stand and decoded.
    free: Names,
    /// What sensors observed as entities, and the mesh's own words.
    observed: Names,
    /// The same with what patrols gave as reasons.
    told: Names,
    /// The mesh's own words alone.
    own: Names,
    /// What sensors observed, by class.
    typed: BTreeMap<Class, Names>,
    /// The same with what was claimed.
    claimed: BTreeMap<Class, Names>,
    /// Excerpts and names of the evidence in word runs, as they stand and decoded.
    copied: [Runs; 3],
    /// The same in pairs of words.
    pairs: Runs,
    /// Our instructions, in word runs.
    secret: Runs,
}

impl<'a> Check<'a> {
    pub(super) fn new(grounds: &Grounds<'a>) -> Self {
        let Grounds { assessment, known, briefing, .. } = *grounds;
        let mut check = Self {
            labels: &briefing.labels,
            evidence: &assessment.evidence,
            offered: &briefing.actions,
            nonce: &briefing.nonce,
            known,
            named: Names::default(),
            free: Names::default(),
            observed: Names::default(),
            told: Names::default(),
            own: own_words(assessment, known),
            typed: BTreeMap::new(),
            claimed: BTreeMap::new(),
            copied: [RUN_ACCOUNT, RUN_SUMMARY, RUN_ADVICE].map(Runs::of),
            pairs: Runs::of(2),
            secret: Runs::of(RUN_SECRET),
        };
        check.secret.add(&Hashed::of(&briefing.system));
        let mut untrusted = BTreeSet::new();
        let cited = |e: &&Evidence| briefing.labels.contains(&e.event);
        let mut whole = String::new();
        for e in assessment.evidence.iter().filter(cited) {
            check.add_event(e);
            untrusted.extend(e.entities.iter().map(|entity| entity.value.as_str()));
            untrusted.insert(&e.excerpt);
            // What is split over events is read in one piece too.
            whole.push_str(&e.excerpt);
            whole.push(' ');
        }
        untrusted.insert(&whole);
        untrusted.extend(known.audit.iter().map(|entry| entry.quote.as_str()));
        untrusted.into_iter().for_each(|text| check.add_untrusted(text));
        check.observed.merge(&check.own);
        check.told.merge(&check.observed);
        check.named.merge(&check.told);
        check
    }

    fn add_event(&mut self, e: &Evidence) {
        for own in [e.patrol.as_str(), e.category.as_str(), e.kind.token()] {
            self.own.add(own);
        }
        self.own.add_time(e.ts);
        self.own.add(&format!("{:.2}", e.score));
        e.techniques.iter().for_each(|t| self.own.add(t));
        for entity in &e.entities {
            let mut name = Names::default();
            add_entity(&mut name, entity);
            if entity.trust >= Trust::Observed {
                self.observed.merge(&name);
                self.typed.entry(entity.class).or_default().merge(&name);
            }
            self.claimed.entry(entity.class).or_default().merge(&name);
            self.named.add(&entity.value);
        }
        e.reasons.iter().for_each(|reason| self.told.add(reason));
        self.named.add(&e.excerpt);
    }

    fn add_untrusted(&mut self, text: &str) {
        for reading in decode::readings(text).iter().map(String::as_str).chain([text]) {
            self.free.add(reading);
            let hashed = Hashed::of(reading);
            self.copied.iter_mut().chain([&mut self.pairs]).for_each(|runs| runs.add(&hashed));
        }
    }

    pub(super) fn claim(
        &self,
        part: &'static str,
        claim: &DraftClaim,
        role: Role,
    ) -> Result<Claim, Refusal> {
        // What a text gives away or plays down weighs more than what it cites.
        let text = self.text(part, &claim.text, role)?;
        let mut cites = Vec::new();
        for label in &claim.cites {
            let id = self
                .event(label)
                .ok_or_else(|| Refusal::UnknownEvent { part, label: shown(label, 40) })?;
            if !cites.contains(&id) {
                cites.push(id);
            }
        }
        if cites.is_empty() {
            return Err(Refusal::Uncited(part));
        }
        Ok(Claim { text, cites })
    }

    /// An action that was offered, with the draft's reason and events: each of these must have
    /// observed its target.
    pub(super) fn action(&self, action: &DraftAction) -> Result<Suggestion, Refusal> {
        let offered = index('A', &action.action).and_then(|at| self.offered.get(at));
        let offered = offered.ok_or_else(|| Refusal::NoAction(shown(&action.action, 40)))?;
        let as_claim = DraftClaim { text: action.text.clone(), cites: action.cites.clone() };
        let Claim { text, cites } = self.claim("actions", &as_claim, Role::Advice)?;
        for id in &cites {
            let observed = |e: &Evidence| e.event == *id && actions::names(e, &offered.target);
            if !self.evidence.iter().any(observed) {
                let at = self.labels.iter().position(|known| known == id).unwrap_or_default();
                let (action, label) = (action.action.clone(), format!("E{}", at + 1));
                return Err(Refusal::Untargeted { action, label });
            }
        }
        Ok(Suggestion { reason: text, cites, ..offered.clone() })
    }

    fn event(&self, label: &str) -> Option<Id> {
        self.labels.get(index('E', label)?).copied()
    }

    /// The text with labels written out as event ids, if it is grounded.
    pub(super) fn text(
        &self,
        part: &'static str,
        text: &str,
        role: Role,
    ) -> Result<String, Refusal> {
        let text = text.trim();
        let wording = Wording::of(text);
        if text.contains(self.nonce) || self.secret.shared_with(&wording).is_some() {
            return Err(Refusal::Leak);
        }
        if let Some(phrase) = wording.plays_down() {
            return Err(Refusal::PlaysDown { part, phrase });
        }
        if text.chars().count() < TEXT_CHARS_MIN
            || wording.plain_words() < 3
            || text.chars().any(|c| (is_hidden(c) && c != '\n') || c == char::REPLACEMENT_CHARACTER)
        {
            return Err(Refusal::Unreadable(part));
        }
        if !language::is_english(&wording.language()) {
            return Err(Refusal::NotEnglish(part));
        }
        if let Some(sign) = words::command_sign(text) {
            return Err(Refusal::Command { part, sign });
        }
        self.not_copied(part, &wording, role)?;
        self.only_named(part, &wording, role)?;
        self.as_typed(part, &wording, role)?;
        for sentence in wording.sentences().iter().filter(|sentence| sentence.has_any(ACTING)) {
            self.only_observed(part, sentence)?;
        }
        Ok(wording.with_labels(text, |label| self.event(label)))
    }

    fn not_copied(
        &self,
        part: &'static str,
        wording: &Wording<'_>,
        role: Role,
    ) -> Result<(), Refusal> {
        let [account, summary, advice] = &self.copied;
        let runs = match role {
            Role::Account => account,
            Role::Summary => summary,
            Role::Advice => advice,
        };
        let pairs = || {
            self.pairs.shared_with(wording).filter(|_| self.pairs.share_of(wording) > PAIRS_SHARE)
        };
        match runs.shared_with(wording).or_else(pairs) {
            Some(words) => Err(Refusal::Copied { part, words: shown(&words, 80) }),
            None => Ok(()),
        }
    }

    /// Every name occurs in the evidence, and every technique exists.
    fn only_named(
        &self,
        part: &'static str,
        wording: &Wording<'_>,
        role: Role,
    ) -> Result<(), Refusal> {
        for id in wording.texts().filter(|word| is_technique_id(word)) {
            if self.known.whole && self.known.technique(id).is_none() {
                return Err(Refusal::NoTechnique { part, id: id.to_owned() });
            }
        }
        let names = match role {
            Role::Account => &self.named,
            Role::Summary => &self.told,
            Role::Advice => &self.observed,
        };
        // How much was read is often told by the body alone, and points at nobody.
        let amount = |word: &str| {
            role == Role::Summary
                && word.bytes().all(|b| b.is_ascii_digit() || b == b',')
                && self.named.has(word)
        };
        let known = |word: &str| self.event(word).is_some() || amount(word);
        if role != Role::Account
            && let Some(word) = self.hidden_name(wording, names)
        {
            return Err(untrusted(part, word));
        }
        match wording.first_unknown(names, known, role == Role::Advice) {
            Some(word) if self.named.has(word) => Err(untrusted(part, word)),
            Some(word) => Err(Refusal::Ungrounded { part, word: shown(word, 60) }),
            None => Ok(()),
        }
    }

    /// A plain word that only free text holds: where people are pointed at, it may be somebody's name.
    fn hidden_name<'t>(&self, wording: &Wording<'t>, names: &Names) -> Option<&'t str> {
        wording.texts().find(|word| {
            let lower = word.to_lowercase();
            let plain = lower.chars().count() > 2 && lower.chars().all(char::is_alphabetic);
            let told = || names.has(word) || self.own.has(word);
            plain && self.free.has(word) && !told() && !vocabulary::is_language(&lower)
        })
    }

    /// Where people are told to act against somebody, every name is one that a sensor observed.
    fn only_observed(&self, part: &'static str, sentence: &Wording<'_>) -> Result<(), Refusal> {
        let is_label = |word: &str| self.event(word).is_some();
        let hidden = || self.hidden_name(sentence, &self.observed);
        match sentence.first_unknown(&self.observed, is_label, true).or_else(hidden) {
            Some(word) => Err(untrusted(part, word)),
            None => self.as_typed(part, sentence, Role::Advice),
        }
    }

    /// Every name is called what a sensor observed it as: an address that somebody typed as a
    /// user's name is no address that was observed. An account may also tell what was claimed.
    fn as_typed(
        &self,
        part: &'static str,
        wording: &Wording<'_>,
        role: Role,
    ) -> Result<(), Refusal> {
        let account = role == Role::Account;
        let typed = if account { &self.claimed } else { &self.typed };
        let of = |classes: &[Class], word: &str| {
            classes.iter().any(|class| typed.get(class).is_some_and(|names| names.has(word)))
        };
        for (before, word) in wording.pairs() {
            let is_address = word.parse::<IpAddr>().is_ok();
            if (is_address && !of(&[Class::Client, Class::Host, Class::Device], word))
                || (word.contains('@') && !of(Class::ALL, word))
            {
                return Err(untrusted(part, word));
            }
            let classes = words::classes_named_by(before);
            let resource = classes == [Class::Resource];
            if classes.is_empty()
                || of(classes, word)
                || self.own.has(word)
                || (account && resource)
            {
                continue;
            }
            let free_text = self.named.has(word) && !words::is_ordinary(word);
            if of(Class::ALL, word) || (free_text && !self.observed.has(word)) {
                return Err(untrusted(part, word));
            }
        }
        Ok(())
    }
}

/// The place in a list of a label like `E1`. Only its canonical form, so that each has one label.
fn index(of: char, label: &str) -> Option<usize> {
    let number: usize = label.strip_prefix(of)?.parse().ok()?;
    let canonical = label.get(1..) == Some(number.to_string().as_str());
    number.checked_sub(1).filter(|_| canonical)
}

/// The name of an entity as a text may write it. Where names have parts, each part is one; where
/// they have none, a word inside of one may be anything that somebody typed.
fn add_entity(names: &mut Names, entity: &Entity) {
    match entity.class {
        Class::Client | Class::Host | Class::Resource
            if !entity.value.contains(char::is_whitespace) =>
        {
            names.add(&entity.value);
        }
        _ => names.add_whole(&entity.value),
    }
}

fn untrusted(part: &'static str, word: &str) -> Refusal {
    Refusal::Untrusted { part, word: shown(word, 60) }
}

/// Words of ours about an assessment, and what is known of its techniques and vulnerabilities.
fn own_words(a: &Assessment, known: &Known) -> Names {
    let mut own = Names::default();
    for word in [a.attack_type.as_str(), a.chain.as_str(), a.class.token(), a.level.token()] {
        own.add(word);
    }
    own.add_time(a.first);
    own.add_time(a.last);
    own.add(&a.count.to_string());
    own.add(&a.evidence.len().to_string());
    own.add(&format!("{:.2}", a.confidence));
    a.techniques.iter().for_each(|t| own.add(t));
    for technique in &known.techniques {
        own.add(&technique.name);
        technique.tactics.iter().for_each(|tactic| own.add(tactic));
        for helps in &technique.mitigations {
            own.add(&helps.name);
            helps.id.iter().for_each(|id| own.add(id));
        }
    }
    for entry in &known.exploited {
        for word in [&entry.cve, &entry.product, &entry.name, &entry.added] {
            own.add(word);
        }
    }
    own
}
