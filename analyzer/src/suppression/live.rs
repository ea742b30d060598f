//! Suppressions that are set and ended while the mesh runs.
//!
//! Each is a document of the policy store. It holds from a few seconds after it was written on,
//! by the time of the events, and is ended by bringing its end forward to a few seconds ahead:
//! by then every analyzer knows of it, so whoever decides decides the same.

use super::{CHARS_MAX, SUPPRESSIONS_MAX, Suppression, problems};
use crate::Config;
use magsentinel_bus_schema::{
    Id, SCHEMA_VERSION, Subject, SuppressionChange, Tenant, Timestamp, Token,
    suppression::{Changed, Rule},
};
use magsentinel_runtime::{policy::Document, stage::Publish};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// Where suppressions lie in the policy store.
pub const PREFIX: &str = "suppression.";
/// How long after it was written a change takes effect: longer than an analyzer takes to hear of
/// it.
pub const EFFECT_AFTER: Duration = Duration::from_secs(5);

/// A suppression as the policy store holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// The suppression.
    pub rule: Suppression,
    /// Who ended it before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

impl Stored {
    /// Reads a document.
    ///
    /// # Errors
    /// Says what is wrong with it, and what to do.
    pub fn read(document: &Document) -> Result<Option<Self>, String> {
        let Some(bytes) = &document.bytes else { return Ok(None) };
        let stored: Self = serde_json::from_slice(bytes).map_err(|e| {
            format!("it is no suppression: {e}; set it by `magsentinel suppress add`")
        })?;
        stored.check(&document.name)?;
        Ok(Some(stored))
    }

    /// Whether it may be stored under a name.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self, name: &str) -> Result<(), String> {
        let mut wrong = problems(std::slice::from_ref(&self.rule));
        if self.rule.id.as_str() != name {
            wrong.push(format!("it says that its name is {}, not {name}", self.rule.id));
        }
        match self.rule.from {
            Some(from) if from <= self.rule.until => {}
            // Ended before it began.
            Some(_) if self.ended_by.is_some() => {}
            Some(from) => wrong.push(format!("it ends at {}, before {from}", self.rule.until)),
            None => wrong.push("it says not from when on it holds".to_owned()),
        }
        if self.ended_by.as_ref().is_some_and(|by| by.chars().count() > CHARS_MAX) {
            wrong.push(format!("ended_by: must have at most {CHARS_MAX} characters"));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

/// The configuration of an analyzer with the suppressions that are set now.
#[derive(Debug)]
pub struct Live(RwLock<State>);

#[derive(Debug)]
struct State {
    configured: Arc<Config>,
    current: Arc<Config>,
    /// By name: revision, and the suppression where there is one that can be used.
    known: BTreeMap<String, (u64, Option<Suppression>)>,
    /// By name: why the newest revision is not used.
    refused: BTreeMap<String, String>,
}

impl Live {
    /// What is configured, and nothing else yet.
    #[must_use]
    pub fn new(config: Arc<Config>) -> Self {
        Self(RwLock::new(State {
            current: Arc::clone(&config),
            configured: config,
            known: BTreeMap::new(),
            refused: BTreeMap::new(),
        }))
    }

    /// The configuration as it is now.
    #[must_use]
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    /// Takes a document: the report of all, and what is told of this one.
    pub fn take(&self, tenant: &Tenant, document: &Document) -> (Value, Option<Publish>) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let read = Stored::read(document).and_then(|stored| state.admit(stored));
        state.keep(document, &read);
        let report = state.report();
        drop(state);
        let change = change(tenant, document, read);
        let told =
            Publish::new(Subject::Suppression(change.suppression.clone()), change.id, &change)
                .inspect_err(
                    |error| tracing::error!(%error, "a change of suppressions is not told"),
                );
        (report, told.ok())
    }
}

impl State {
    /// Refuses what does not go with the rest.
    fn admit(&self, stored: Option<Stored>) -> Result<Option<Stored>, String> {
        let Some(new) = &stored else { return Ok(None) };
        let configured = &self.configured.suppressions;
        if configured.iter().any(|s| s.id == new.rule.id) {
            return Err("the configuration has one of this name".to_owned());
        }
        let others = self.known.iter().filter(|(name, _)| *name != new.rule.id.as_str());
        let others = others.filter(|(_, (_, rule))| rule.is_some()).count();
        if configured.len() + others >= SUPPRESSIONS_MAX {
            return Err(format!("there are {SUPPRESSIONS_MAX} already, the most that is accepted"));
        }
        Ok(stored)
    }

    fn keep(&mut self, document: &Document, read: &Result<Option<Stored>, String>) {
        let known = self.known.entry(document.name.clone()).or_default();
        // The history is shown again, oldest first; an older revision changes nothing.
        if document.revision <= known.0 {
            return;
        }
        known.0 = document.revision;
        match read {
            Ok(stored) => {
                known.1 = stored.as_ref().map(|stored| stored.rule.clone());
                self.refused.remove(&document.name);
            }
            Err(why) => {
                tracing::error!(name = document.name, why, "suppression is refused");
                self.refused.insert(document.name.clone(), why.clone());
            }
        }
        let set = self.known.values().filter_map(|(_, rule)| rule.clone());
        let suppressions = self.configured.suppressions.iter().cloned().chain(set).collect();
        self.current = Arc::new(Config { suppressions, ..Config::clone(&self.configured) });
    }

    fn report(&self) -> Value {
        let set = self.known.values().filter(|(_, rule)| rule.is_some()).count();
        let configured = self.configured.suppressions.len();
        json!({ "set": set, "configured": configured, "refused": self.refused })
    }
}

/// What is kept of a change. Its id follows from name and revision: every analyzer says the same.
fn change(
    tenant: &Tenant,
    document: &Document,
    read: Result<Option<Stored>, String>,
) -> SuppressionChange {
    let revision = document.revision.to_le_bytes();
    let parts = [b"suppression".as_slice(), document.name.as_bytes(), &revision];
    let (changed, rule, why) = match read {
        Ok(Some(stored)) => (Changed::Set, Some(rule(stored)), None),
        Ok(None) => (Changed::Removed, None, None),
        Err(why) => (Changed::Refused, None, Some(why)),
    };
    SuppressionChange {
        v: SCHEMA_VERSION,
        id: Id::derived(&parts),
        tenant: tenant.clone(),
        suppression: Token::sanitised(&document.name),
        revision: document.revision,
        ts: document.stored,
        changed,
        rule,
        why,
    }
}

fn rule(stored: Stored) -> Rule {
    let Stored { rule: s, ended_by } = stored;
    Rule {
        effect: s.effect,
        chain: s.chain,
        class: s.class,
        key: s.key,
        level_max: s.level_max,
        from: s.from,
        until: s.until,
        reason: s.reason,
        by: s.by,
        ended_by,
    }
}

/// A suppression, ended as soon as every analyzer can know of it.
#[must_use]
pub fn ended(mut stored: Stored, by: String, now: Timestamp) -> Stored {
    stored.rule.until = stored.rule.until.min(now.plus(EFFECT_AFTER));
    stored.ended_by = Some(by);
    stored
}

#[cfg(test)]
mod tests;
