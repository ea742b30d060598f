//! Patrols over rows of a file: what `magsentinel score` and `magsentinel features` do.

use crate::{
    Error, body, inference,
    inference::Row,
    patrol::{Finding, Seen},
    patrols::{self, Entry},
    scorer::{Blueprint, CHUNK, Features, Scorer, Verdict},
};
use magsentinel_bus_schema::{Fields, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// Scores rows in order: each comes back with `scored: {level, score, confidence, category,
/// techniques, reasons}`, or `scored: {error}` when it is no body of the patrol's kind. A
/// patrol that keeps state learns from row to row. At most [`CHUNK`] rows are held at a time.
///
/// `patrol` is its name, `sql-guard` or `sql_guard`. A row without `ts` has the time of the row
/// before.
pub fn score_rows<I: Iterator<Item = Fields>>(
    patrol: &str,
    config: &patrols::Config,
    inference: &inference::Config,
    rows: I,
) -> Result<ScoredRows<I>, Error> {
    let entry = patrols::find(patrol).ok_or_else(|| Error::unknown(patrol))?;
    let blueprint = Blueprint::new(entry, config, inference)?;
    let model = Arc::new(Mutex::new(blueprint.model()?));
    let scorer = blueprint.scorer(model);
    let clock = Clock::default();
    Ok(ScoredRows { rows, scorer, clock, ready: VecDeque::new(), verdicts: Vec::new() })
}

/// The features of rows, `{"x": […]}` each, or why a row has none. Needs no model.
pub fn features_rows<I: Iterator<Item = Fields>>(
    patrol: &str,
    config: &patrols::Config,
    rows: I,
) -> Result<impl Iterator<Item = Result<Value, String>> + use<I>, Error> {
    let entry: &Entry = patrols::find(patrol).ok_or_else(|| Error::unknown(patrol))?;
    let mut features = Features::new(entry, config);
    let mut clock = Clock::default();
    Ok(rows.map(move |row| {
        let ts = clock.of(&row)?;
        let x = features.of(&seen(&row, ts))?;
        Ok(match x {
            Row::Ids(ids) => json!({ "x": ids }),
            Row::Values(values) => json!({ "x": values }),
        })
    }))
}

fn seen(body: &Fields, ts: Timestamp) -> Seen<'_> {
    Seen { body, ts, ts_refused: false, repeated: false }
}

/// The time of rows.
#[derive(Default)]
struct Clock(Timestamp);

impl Clock {
    fn of(&mut self, row: &Fields) -> Result<Timestamp, String> {
        self.0 = body::time(row)?.unwrap_or(self.0);
        Ok(self.0)
    }
}

/// The rows of [`score_rows`].
pub struct ScoredRows<I> {
    rows: I,
    scorer: Scorer,
    clock: Clock,
    ready: VecDeque<Fields>,
    verdicts: Vec<Verdict>,
}

impl<I: Iterator<Item = Fields>> ScoredRows<I> {
    fn refill(&mut self) {
        let chunk: Vec<Fields> = self.rows.by_ref().take(CHUNK).collect();
        let times: Vec<_> = chunk.iter().map(|row| self.clock.of(row)).collect();
        let pairs = chunk.iter().zip(&times);
        let events: Vec<_> =
            pairs.filter_map(|(row, ts)| Some(seen(row, *ts.as_ref().ok()?))).collect();
        self.scorer.score(&events, &mut self.verdicts);
        let mut verdicts = self.verdicts.drain(..);
        for (mut row, ts) in chunk.into_iter().zip(times) {
            let verdict = match ts {
                Ok(_) => verdicts.next(),
                Err(why) => Some(Verdict::Poison(why)),
            };
            row.0.insert("scored".to_owned(), told(verdict));
            self.ready.push_back(row);
        }
    }
}

fn told(verdict: Option<Verdict>) -> Value {
    let finding = match verdict {
        Some(Verdict::Found(finding)) => *finding,
        Some(Verdict::Ordinary(score)) => Finding::ordinary(score),
        Some(Verdict::Poison(why) | Verdict::Failed(why)) => return json!({ "error": why }),
        None => return json!({ "error": "no verdict" }),
    };
    json!({
        "level": finding.level,
        "score": finding.score,
        "confidence": finding.confidence,
        "category": finding.category,
        "techniques": finding.techniques,
        "reasons": finding.reasons,
    })
}

impl<I: Iterator<Item = Fields>> Iterator for ScoredRows<I> {
    type Item = Fields;

    fn next(&mut self) -> Option<Fields> {
        if self.ready.is_empty() {
            self.refill();
        }
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests;
