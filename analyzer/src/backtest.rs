//! What chains and thresholds would have alerted, against what did.
//!
//! An incident's id follows from its chain, key and first event, so the same incident has the
//! same id on both sides.

use magsentinel_bus_schema::{Assessment, Class, Id, Level, Response, Timestamp, Token};
use serde::Serialize;
use std::collections::BTreeMap;

/// One incident, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Brief {
    /// Its id.
    pub incident: Id,
    /// The chain that found it.
    pub chain: Token,
    /// Class of its key.
    pub class: Class,
    /// Its key.
    pub key: String,
    /// Level at its newest revision.
    pub level: Level,
    /// What was decided.
    pub response: Response,
    /// Time of its first event.
    pub first: Timestamp,
    /// How many events it has.
    pub count: u64,
}

/// How many incidents of one chain were alerted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// By the mesh.
    pub did: u64,
    /// By what is tried.
    pub would: u64,
    /// By both.
    pub both: u64,
}

/// Both sides beside one another.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// By chain.
    pub chains: BTreeMap<Token, Tally>,
    /// Alerted now only, oldest first.
    pub more: Vec<Brief>,
    /// Alerted then only, oldest first.
    pub fewer: Vec<Brief>,
    /// Alerted on both sides with another level or decision: then, now.
    pub changed: Vec<(Brief, Brief)>,
}

/// Compares the newest assessment of each incident. Those that were allowed alert nobody.
#[must_use]
pub fn compare(did: &[Assessment], would: &[Assessment]) -> Comparison {
    let (did, would) = (alerted(did), alerted(would));
    let mut told = Comparison::default();
    for (of, count) in did.values().map(|b| (b, true)).chain(would.values().map(|b| (b, false))) {
        let tally = told.chains.entry(of.chain.clone()).or_default();
        *(if count { &mut tally.did } else { &mut tally.would }) += 1;
    }
    for (id, then) in &did {
        let Some(now) = would.get(id) else {
            told.fewer.push(then.clone());
            continue;
        };
        told.chains.entry(now.chain.clone()).or_default().both += 1;
        if (then.level, then.response) != (now.level, now.response) {
            told.changed.push((then.clone(), now.clone()));
        }
    }
    told.more = would.into_iter().filter(|(id, _)| !did.contains_key(id)).map(|(_, b)| b).collect();
    told.more.sort_by_key(|b| (b.first, b.incident));
    told.fewer.sort_by_key(|b| (b.first, b.incident));
    told.changed.sort_by_key(|(b, _)| (b.first, b.incident));
    told
}

fn alerted(assessments: &[Assessment]) -> BTreeMap<Id, Brief> {
    let mut newest: BTreeMap<Id, &Assessment> = BTreeMap::new();
    for of in assessments {
        let known = newest.entry(of.incident).or_insert(of);
        if known.revision <= of.revision {
            *known = of;
        }
    }
    let alerting = newest.into_iter().filter(|(_, of)| of.response != Response::Allow);
    alerting.map(|(id, of)| (id, brief(of))).collect()
}

fn brief(of: &Assessment) -> Brief {
    Brief {
        incident: of.incident,
        chain: of.chain.clone(),
        class: of.class,
        key: of.key.clone(),
        level: of.level,
        response: of.response,
        first: of.first,
        count: of.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Config, analyze_with,
        chain::{Book, SHIPPED},
        decision::Table,
        testing::{Naming, at, scored},
    };
    use magsentinel_bus_schema::Scored;
    use std::sync::Arc;

    fn events() -> Vec<Scored> {
        let of = |name: &str, patrol, user, seconds| {
            scored(name, patrol, Level::High, seconds).user(user)
        };
        vec![
            of("a", "sql-guard", "ann", 0.0),
            of("b", "data-flow", "ann", 10.0),
            of("c", "sql-guard", "bob", 20.0),
            of("d", "data-flow", "bob", 200.0),
        ]
    }

    fn found(change: impl Fn(&str) -> String, decision: Table) -> Vec<Assessment> {
        let (name, text) = SHIPPED.iter().find(|(n, _)| n.contains("sql_injection_ex")).unwrap();
        let book = Arc::new(Book::parse(name, &change(text)).unwrap());
        analyze_with(&book, &Config { decision, ..Config::default() }, events(), at(300.0))
    }

    #[test]
    fn a_shorter_window_loses_what_took_longer_and_a_threshold_changes_a_decision() {
        let did = found(str::to_owned, Table::default());
        let short = found(|text| text.replace("timespan: 5m", "timespan: 1m"), Table::default());
        let told = compare(&did, &short);
        let tally = told.chains.values().next().unwrap();
        assert_eq!(*tally, Tally { did: 2, would: 1, both: 1 });
        let keys = |of: &[Brief]| of.iter().map(|b| b.key.clone()).collect::<Vec<_>>();
        assert_eq!((keys(&told.fewer), keys(&told.more)), (vec!["bob".to_owned()], vec![]));
        assert_eq!(compare(&short, &did).more, told.fewer);

        let careful = Table { block_critical: 1.0, block_high: 1.0 };
        let told = compare(&did, &found(str::to_owned, careful));
        let now: Vec<_> = told.changed.iter().map(|(a, b)| (a.response, b.response)).collect();
        assert_eq!(now, [(Response::Block, Response::Alert); 2]);
        assert!(told.more.is_empty() && told.fewer.is_empty());
    }

    #[test]
    fn only_the_newest_revision_counts_and_what_is_allowed_does_not() {
        let did = found(str::to_owned, Table::default());
        let mut later = did.clone();
        for of in &mut later {
            of.revision += 2;
            of.response = Response::Allow;
        }
        let all: Vec<_> = later.into_iter().chain(did.clone()).collect();
        assert_eq!(compare(&all, &did).more.len(), 2);
    }
}
