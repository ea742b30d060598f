//! A chain or threshold that an incident suggests, and the gates that it passes before anybody is
//! asked to use it: it loads, it finds the incident's own events, and what it would alert on beyond
//! them stays within the budget of false alerts.

use anyhow::Result;
use magsentinel_analyzer::backtest::{Brief, Comparison};
use magsentinel_bus_schema::{Assessment, Id, Token};
use magsentinel_commander::chain;
use serde::Serialize;
use std::{collections::BTreeSet, path::PathBuf};

use crate::exit::BadData;

/// A proposal that lies in a file, for the book to read.
pub struct Proposed {
    name: Token,
    text: String,
    own: BTreeSet<Id>,
    folder: tempfile::TempDir,
}

/// What became of it.
#[derive(Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Its name.
    pub chain: Token,
    /// The gate that stopped it: `own-events` or `backtest`; none when it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<&'static str>,
    /// Why, or what was seen.
    pub why: String,
    /// The Sigma documents, for a file in `analyzer.chains_dir`.
    pub text: String,
}

impl Proposed {
    /// What an incident suggests.
    pub fn from(incident: &Assessment) -> Result<Self> {
        let id = incident.incident;
        let proposal = chain::proposed(incident).ok_or_else(|| {
            BadData(format!(
                "incident {id} suggests no chain: that takes findings of two sorts, or three of one, \
                 within half a day"
            ))
        })?;
        let folder = tempfile::tempdir()?;
        let proposed = Self {
            name: proposal.name,
            text: proposal.text,
            own: incident.evidence.iter().map(|e| e.event).collect(),
            folder,
        };
        std::fs::write(proposed.file(), &proposed.text)?;
        Ok(proposed)
    }

    /// Where the book finds it.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("proposed.yml")
    }

    /// What its run over what was scored comes to. An incident that it finds is explained where the
    /// incident's own events are in it, or anything else found it too.
    pub fn judge(
        self,
        would: &[Assessment],
        told: &Comparison,
        events: usize,
        share_max: f64,
    ) -> Verdict {
        let found = || would.iter().filter(|a| a.chain == self.name);
        let cites =
            |a: &Assessment, ids: &BTreeSet<Id>| a.evidence.iter().any(|e| ids.contains(&e.event));
        let others: BTreeSet<Id> = would
            .iter()
            .filter(|a| a.chain != self.name)
            .flat_map(|a| a.evidence.iter().map(|e| e.event))
            .collect();
        let false_ones: BTreeSet<Id> = found()
            .filter(|a| !cites(a, &self.own) && !cites(a, &others))
            .map(|a| a.incident)
            .collect();
        let alerted = told.more.iter().filter(|brief: &&Brief| brief.chain == self.name).count();
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        let spent = false_ones.len() as f64 > share_max * events as f64;
        let (stopped_at, why) = if !found().any(|a| cites(a, &self.own)) {
            (Some("own-events"), "it does not find the incident's own events".to_owned())
        } else if spent {
            let why = format!(
                "it alerts {} times on what nothing else explains, in {events} scored events",
                false_ones.len()
            );
            (Some("backtest"), why)
        } else {
            let unexplained = false_ones.len();
            (None, format!("{alerted} alerts, {unexplained} of which nothing else explains"))
        };
        Verdict { chain: self.name, stopped_at, why, text: self.text }
    }
}

/// For a terminal.
pub fn text(of: &Verdict) -> String {
    let head = match of.stopped_at {
        Some(gate) => format!("stopped at {gate}: {}", of.why),
        None => format!("passed: {}", of.why),
    };
    format!("chain {} {head}\n\n{}", of.chain, of.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_analyzer::{Config, analyze_with, chain::Book};
    use magsentinel_bus_schema::{Level, SCHEMA_VERSION, Scored, Timestamp};
    use std::{sync::Arc, time::Duration};

    fn incident() -> Assessment {
        let case = include_str!("../../../commander/tests/cases/injection_and_dump.json");
        serde_json::from_str(case).unwrap()
    }

    /// The scored events of an incident, as somebody else's a while later.
    fn scored(of: &Assessment, who: &str, later: Duration) -> Vec<Scored> {
        let one = |e: &magsentinel_bus_schema::decision::Evidence| {
            let own = who.is_empty();
            let id = |id: Id| if own { id } else { Id::derived(&[who.as_bytes(), id.as_bytes()]) };
            let mut entities = e.entities.clone();
            if !own {
                entities.iter_mut().for_each(|entity| entity.value = who.to_owned());
            }
            let ts = e.ts.plus(later);
            let text = serde_json::json!({
                "v": SCHEMA_VERSION, "id": id(e.scored), "event": id(e.event), "tenant": "default",
                "kind": e.kind, "patrol": e.patrol, "ts": ts, "received": ts, "scored": ts,
                "level": e.level, "score": e.score, "confidence": 0.9, "category": e.category,
                "techniques": e.techniques, "reasons": e.reasons, "entities": entities,
                "excerpt": e.excerpt,
            });
            serde_json::from_value(text).unwrap()
        };
        of.evidence.iter().map(one).collect()
    }

    /// What a proposal comes to over so many scored events.
    fn judged(proposed: Proposed, events: Vec<Scored>) -> Verdict {
        let config = Config::default();
        let book = Arc::new(Book::load_with(&config, Some(&proposed.file())).unwrap());
        let (count, end) = (events.len(), incident().last.plus(Duration::from_secs(86_400)));
        let would = analyze_with(&book, &config, events, end);
        let told = magsentinel_analyzer::backtest::compare(&[], &would);
        proposed.judge(&would, &told, count, 0.0005)
    }

    #[test]
    fn a_proposal_that_finds_its_own_events_and_nothing_unexplained_passes() {
        let a = incident();
        let verdict = judged(Proposed::from(&a).unwrap(), scored(&a, "", Duration::ZERO));
        assert_eq!(verdict.stopped_at, None, "{verdict:?}");
        assert!(text(&verdict).contains("passed"));
    }

    #[test]
    fn a_proposal_whose_events_are_not_retained_is_stopped_at_its_own_events() {
        let a = incident();
        let other = scored(&a, "", Duration::ZERO).into_iter().take(1).collect();
        let verdict = judged(Proposed::from(&a).unwrap(), other);
        assert_eq!(verdict.stopped_at, Some("own-events"), "{verdict:?}");
    }

    #[test]
    fn a_proposal_that_alerts_on_what_nothing_else_explains_is_stopped_at_the_backtest() {
        // A threshold over mild findings: everybody has them, and no shipped chain cares.
        let mut a = incident();
        for e in &mut a.evidence {
            (e.patrol, e.category) = ("edge-watch".parse().unwrap(), "odd_read".parse().unwrap());
            (e.level, e.score) = (Level::Medium, 0.55);
            e.kind = magsentinel_bus_schema::Kind::Extension;
        }
        let mut events = scored(&a, "", Duration::ZERO);
        for n in 0..6_u64 {
            events.extend(scored(&a, &format!("user{n}"), Duration::from_secs(3600 * (n + 1))));
        }
        let verdict = judged(Proposed::from(&a).unwrap(), events);
        assert_eq!(verdict.stopped_at, Some("backtest"), "{verdict:?}");
        assert!(verdict.why.contains("nothing else explains"), "{verdict:?}");
        assert!(Timestamp::from_micros(0) < a.first);
    }
}
