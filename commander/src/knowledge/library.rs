//! The knowledge at hand: the file, an index of its incidents, and how both are asked.

use super::{
    Error, Exploited, Known, Mitigation, Object, Past, Technique,
    audit::{self, Noted},
    bm25::{Index, Term},
    import::{Parts, Source, Told},
    is_technique_id, kev, shipped,
    store::Store,
    techniques_of, terms,
};
use crate::Config;
use magsentinel_bus_schema::{Assessment, Closure, Id, Tenant};
use serde::Serialize;
use serde_json::json;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    path::{Path, PathBuf},
};

/// Most techniques that are looked up for one assessment.
pub const TECHNIQUES_MAX: usize = 16;
/// Fewest terms that two incidents share before they are called alike.
const SHARED_MIN: usize = 2;
/// Most shared terms that are told.
const SHARED_MAX: usize = 5;
/// Incidents that the index found and the file then does not bear out.
const SPARE: usize = 4;

/// Bounds; each is a field of [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most mitigations of a technique.
    pub mitigations_max: usize,
    /// Most incidents that are told as alike.
    pub similar_max: usize,
    /// Most incidents that are remembered.
    pub incidents_max: usize,
    /// Most entries of the logbook that are told of an incident.
    pub audit_max: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            mitigations_max: config.mitigations_max,
            similar_max: config.similar_max,
            incidents_max: config.past_incidents_max,
            audit_max: config.audit_max,
        }
    }
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Objects of ATT&CK.
    pub objects: usize,
    /// Known exploited vulnerabilities.
    pub exploited: usize,
    /// Incidents of the past.
    pub incidents: usize,
    /// The files that were imported.
    pub sources: Vec<Source>,
}

/// An object that a search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The object.
    pub object: Object,
    /// How well it fits; more is better.
    pub score: f32,
}

/// The knowledge of one process.
pub struct Library {
    /// The file, or why there is none.
    store: Result<Store, String>,
    limits: Limits,
    memory: Memory,
    /// Objects in the order of their index; made at the first search.
    shelf: Option<(Index, Vec<Object>)>,
    seen: i64,
}

/// The incidents of the file, as they are found.
#[derive(Default)]
struct Memory {
    index: Index,
    /// By document: its number in the file and who it is; none once it is forgotten.
    documents: Vec<Option<(i64, Tenant, Id)>>,
    by_incident: HashMap<(Tenant, Id), u32>,
    oldest: VecDeque<u32>,
}

impl Library {
    /// The configured file. Without one that can be used there is still what this build knows by
    /// itself, and [`Library::report`] says why.
    #[must_use]
    pub fn open(config: &Config) -> Self {
        let limits = Limits::from(config);
        let opened = config.knowledge_file().and_then(|path| Self::open_file(&path, limits));
        opened.unwrap_or_else(|e| {
            let reason = in_full(&e);
            tracing::warn!(error = reason, "no knowledge beyond what is built in");
            Self::without(reason, limits)
        })
    }

    /// What this build knows by itself, and the reason for no more.
    #[must_use]
    pub fn without(reason: String, limits: Limits) -> Self {
        Self { store: Err(reason), limits, memory: Memory::default(), shelf: None, seen: 0 }
    }

    /// A file of knowledge; it is made where it is not there.
    ///
    /// # Errors
    /// When it cannot be made, opened or read, or is something else.
    pub fn open_file(path: &Path, limits: Limits) -> Result<Self, Error> {
        let store = Store::open(path)?;
        let (memory, seen) = (Memory::of(&store)?, store.changes_of_others());
        Ok(Self { store: Ok(store), limits, memory, shelf: None, seen })
    }

    /// Keeps what was gathered, in place of what was imported before.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing of it has changed.
    pub fn import(&mut self, parts: &Parts) -> Result<Told, Error> {
        self.shelf = None;
        self.opened()?.replace(parts)?;
        Ok(parts.told.clone())
    }

    /// What the file holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn contents(&mut self) -> Result<Contents, Error> {
        let store = self.opened()?;
        Ok(Contents {
            objects: store.count("object")?,
            exploited: store.count("exploited")?,
            incidents: store.count("incident")?,
            sources: store.sources()?,
        })
    }

    fn opened(&mut self) -> Result<&mut Store, Error> {
        self.store.as_mut().map_err(|_| Error::NoPlace)
    }

    /// The objects of ATT&CK that fit a text best: an id first of all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn search(&mut self, text: &str, max: usize) -> Result<Vec<Found>, Error> {
        if self.shelf.is_none() {
            self.shelf = Some(shelf(self.opened()?.objects()?));
        }
        let Some((index, objects)) = &self.shelf else { return Ok(Vec::new()) };
        let asked: Vec<Term> = terms::of_text(text).iter().map(|word| Term::of(word)).collect();
        let found = index.search(&asked, max, |_| true).into_iter();
        Ok(found
            .filter_map(|hit| {
                let object = objects.get(hit.document as usize)?.clone();
                Some(Found { object, score: hit.score })
            })
            .collect())
    }

    /// What is known about an assessment. What cannot be read is left out and told.
    #[must_use]
    pub fn known(&mut self, a: &Assessment) -> Known {
        let (ids, more) = techniques_of(a, TECHNIQUES_MAX);
        let mut known = Known::default();
        if more > 0 {
            known.left_out.push(format!("{more} more techniques"));
        }
        let asked = match &self.store {
            Ok(store) => self.ask(store, a, &ids, &mut known),
            Err(_) => Ok(()),
        };
        if let Err(e) = asked {
            let reason = in_full(&e);
            tracing::warn!(error = reason, "the knowledge could not be asked");
            known = Known { left_out: vec![format!("knowledge ({reason})")], ..Known::default() };
        }
        for id in &ids {
            if known.technique(id).is_some() {
                continue;
            }
            // Where all of ATT&CK is at hand, what is not in it is not made up for.
            match shipped::technique(id).filter(|_| !known.whole) {
                Some(technique) => known.techniques.push(technique),
                None => known.unknown.push(id.clone()),
            }
        }
        for technique in &mut known.techniques {
            let all = technique.mitigations.len();
            technique.mitigations.truncate(self.limits.mitigations_max);
            let left = all - technique.mitigations.len();
            if left > 0 {
                let told = format!("{left} of {all} mitigations of {}", technique.id);
                known.left_out.push(told);
            }
        }
        known
    }

    fn ask(
        &self,
        store: &Store,
        a: &Assessment,
        ids: &[String],
        known: &mut Known,
    ) -> Result<(), Error> {
        known.whole = store.count("object")? > 0;
        for id in ids {
            known.techniques.extend(technique(store, id)?);
        }
        for cve in kev::cves_of(a) {
            let entry: Option<Exploited> = store.exploited(&cve)?;
            known.exploited.extend(entry);
        }
        known.past = self.similar(store, a)?;
        known.audit = store.noted(&a.tenant, a.incident, Noted::decided(a).id)?;
        let (all, most) = (known.audit.len(), self.limits.audit_max);
        if all > most {
            let or_more = if all >= audit::KEPT_MAX { " or more" } else { "" };
            known.audit.drain(..all - most);
            let told = format!("{}{or_more} older entries of the logbook", all - most);
            known.left_out.push(told);
        }
        Ok(())
    }

    fn similar(&self, store: &Store, a: &Assessment) -> Result<Vec<Past>, Error> {
        if self.limits.similar_max == 0 {
            return Ok(Vec::new());
        }
        let words = terms::of_incident(a);
        let hashed: Vec<(Term, &String)> =
            words.iter().map(|w| (Term::of(&terms::within(&a.tenant, w)), w)).collect();
        let asked: Vec<Term> = hashed.iter().map(|(term, _)| *term).collect();
        let memory = &self.memory;
        let wanted = |document: u32| {
            let known = memory.documents.get(document as usize).and_then(Option::as_ref);
            known.is_some_and(|(_, tenant, id)| *tenant == a.tenant && *id != a.incident)
        };
        let mut found = Vec::new();
        for hit in memory.index.search(&asked, self.limits.similar_max + SPARE, wanted) {
            let place = memory.documents.get(hit.document as usize).and_then(Option::as_ref);
            let Some((seq, ..)) = place else { continue };
            let Some((mut past, kept)) = store.incident(*seq)? else { continue };
            let mut shared: Vec<_> = hashed.iter().filter(|(t, _)| kept.contains(t)).collect();
            shared.sort_by_key(|(term, _)| memory.index.holding(*term));
            if shared.len() >= SHARED_MIN && found.len() < self.limits.similar_max {
                past.shared = shared.iter().take(SHARED_MAX).map(|(_, w)| (*w).clone()).collect();
                found.push(past);
            }
        }
        Ok(found)
    }

    /// Remembers incidents, and what operators said of some.
    pub fn learn<'a>(
        &mut self,
        incidents: impl Iterator<Item = &'a Assessment>,
        closures: impl Iterator<Item = &'a Closure>,
    ) {
        let Ok(store) = &self.store else { return };
        let changes = store.changes_of_others();
        if changes != self.seen {
            (self.seen, self.shelf) = (changes, None);
        }
        let written = store.begin().and_then(|()| {
            for a in incidents {
                self.memory.learn(store, a, self.limits.incidents_max)?;
            }
            for closure in closures {
                store.judge(closure)?;
            }
            store.commit()
        });
        if let Err(e) = written {
            store.undo();
            tracing::warn!(error = in_full(&e), "incidents were not remembered");
        }
        // What is forgotten still stands in the index; when that is much, it is made anew.
        let (all, alive) = (self.memory.documents.len(), self.memory.oldest.len());
        if all > 1024 && all > alive + alive / 4 {
            match Memory::of(store) {
                Ok(memory) => self.memory = memory,
                Err(e) => tracing::warn!(error = in_full(&e), "incidents could not be read again"),
            }
        }
    }

    /// Keeps what was decided and done about incidents that are remembered.
    pub fn note<'a>(&mut self, noted: impl Iterator<Item = &'a Noted>) {
        let Ok(store) = &self.store else { return };
        let written = store.begin().and_then(|()| {
            for one in noted {
                store.note(one)?;
            }
            store.commit()
        });
        if let Err(e) = written {
            store.undo();
            tracing::warn!(error = in_full(&e), "what became of incidents was not remembered");
        }
    }

    /// What is at hand, for `magsentinel status`.
    #[must_use]
    pub fn report(&self) -> serde_json::Value {
        match &self.store {
            Ok(store) => json!({
                "attack_objects": store.count("object").unwrap_or_default(),
                "known_exploited": store.count("exploited").unwrap_or_default(),
                "past_incidents": self.memory.oldest.len(),
            }),
            Err(reason) => json!({ "built_in_only": reason }),
        }
    }
}

impl Memory {
    fn of(store: &Store) -> Result<Self, Error> {
        let mut memory = Self::default();
        store.incidents(|kept| {
            memory.add(kept.seq, &kept.tenant, kept.past.incident, &kept.terms)
        })?;
        Ok(memory)
    }

    fn add(&mut self, seq: i64, tenant: &Tenant, incident: Id, terms: &[Term]) {
        let Some(document) = self.index.add(terms) else { return };
        self.documents.push(Some((seq, tenant.clone(), incident)));
        self.by_incident.insert((tenant.clone(), incident), document);
        self.oldest.push_back(document);
    }

    fn learn(&mut self, store: &Store, a: &Assessment, max: usize) -> Result<(), Error> {
        if max == 0 {
            return Ok(());
        }
        let words = terms::of_incident(a);
        let mut hashed: BTreeSet<Term> =
            words.iter().map(|w| Term::of(&terms::within(&a.tenant, w))).collect();
        let key = (a.tenant.clone(), a.incident);
        let mut past = Past {
            incident: a.incident,
            attack_type: a.attack_type.clone(),
            chain: a.chain.clone(),
            level: a.level,
            first: a.first,
            last: a.last,
            count: a.count,
            judgement: None,
            shared: Vec::new(),
        };
        let place = self.by_incident.get(&key).copied();
        let Some(document) = place else {
            let terms: Vec<Term> = hashed.into_iter().collect();
            let seq = store.keep(&a.tenant, &past, terms.iter().copied())?;
            self.add(seq, &a.tenant, a.incident, &terms);
            return self.forget_beyond(store, max);
        };
        let seq = self.documents.get(document as usize).and_then(|d| d.as_ref().map(|d| d.0));
        if let Some((before, terms)) = seq.map(|seq| store.incident(seq)).transpose()?.flatten() {
            // Events leave a chain's window; what the incident once was it stays.
            past.judgement = before.judgement;
            past.level = past.level.max(before.level);
            let known: BTreeSet<Term> = terms.into_iter().collect();
            let new: Vec<Term> = hashed.difference(&known).copied().collect();
            let room = terms::INCIDENT_TERMS_MAX.saturating_sub(known.len());
            let new = new.get(..room.min(new.len())).unwrap_or_default();
            self.index.extend(document, new);
            hashed = known;
            hashed.extend(new);
        }
        store.keep(&a.tenant, &past, hashed.into_iter()).map(drop)
    }

    fn forget_beyond(&mut self, store: &Store, max: usize) -> Result<(), Error> {
        while self.oldest.len() > max {
            let Some(document) = self.oldest.pop_front() else { break };
            let place = self.documents.get_mut(document as usize).and_then(Option::take);
            if let Some((_, tenant, incident)) = place {
                store.forget(&tenant, incident)?;
                self.by_incident.remove(&(tenant, incident));
            }
        }
        Ok(())
    }
}

/// A technique with its parent's name before its own, and its parent's mitigations where it has
/// none.
fn technique(store: &Store, id: &str) -> Result<Option<Technique>, Error> {
    let Some(object) = store.object(id)?.filter(|_| is_technique_id(id)) else { return Ok(None) };
    let parent = match id.split_once('.') {
        Some((parent, _)) => store.object(parent)?,
        None => None,
    };
    let name = match &parent {
        Some(parent) => format!("{}: {}", parent.name, object.name),
        None => object.name,
    };
    let own: Vec<Mitigation> = object.mitigations;
    let mitigations = match parent {
        Some(parent) if own.is_empty() => parent.mitigations,
        _ => own,
    };
    let tactics = object.tactics.iter().map(|tactic| tactic.replace('-', " ")).collect();
    Ok(Some(Technique { id: object.id, name, tactics, mitigations }))
}

/// An index of objects. A name counts more than a description.
fn shelf(objects: Vec<Object>) -> (Index, Vec<Object>) {
    let mut index = Index::default();
    for object in &objects {
        let names = [&object.id, &object.name].into_iter().chain(&object.aliases);
        let names: Vec<String> = names.flat_map(|name| terms::of_text(name)).collect();
        let words = terms::of_text(&object.text);
        let all = names.iter().chain(&names).chain(&names).chain(&words);
        let all: Vec<Term> = all.map(|word| Term::of(word)).collect();
        index.add(&all);
    }
    (index, objects)
}

/// An error and its causes in one sentence.
fn in_full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

impl Config {
    /// The file of knowledge: as configured, else in the user's state folder.
    ///
    /// # Errors
    /// [`Error::NoPlace`] when neither the configuration nor the environment names a place.
    pub fn knowledge_file(&self) -> Result<PathBuf, Error> {
        let place = magsentinel_runtime::place::state_folder;
        match &self.knowledge {
            Some(path) => Ok(path.clone()),
            None => place().map(|folder| folder.join("knowledge.db")).ok_or(Error::NoPlace),
        }
    }
}
