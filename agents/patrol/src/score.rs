//! Patrols over rows of a file: what `magsentinel score` and `magsentinel features` do.

use crate::{
    Error, body, facts, inference,
    inference::Row,
    patrol::{Finding, Seen, Spec},
    patrols::{self, Entry},
    scorer::{Blueprint, CHUNK, Features, Scorer, Verdict},
};
use magsentinel_bus_schema::{Class, Fields, Kind, Level, Timestamp};
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex},
};

/// A row to be scored: a body, or what there is of one that could not be read.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its kind; `None` is the first of the patrol's.
    pub kind: Option<Kind>,
    /// Its fields, which come back with the verdict.
    pub body: Fields,
    /// Why it is no body of the patrol's kind; then it is not looked at.
    pub refused: Option<String>,
}

impl From<Fields> for Given {
    fn from(body: Fields) -> Self {
        Self { kind: None, body, refused: None }
    }
}

/// Scores rows in order: each comes back with `scored: {level, score, confidence, category,
/// techniques, reasons}`, or `scored: {error}` when it is no body of the patrol's kind. A
/// patrol that keeps state learns from row to row. At most [`CHUNK`] rows are held at a time.
///
/// `patrol` is its name, `sql-guard` or `sql_guard`. A row without `ts` comes after the row before,
/// nobody knows how long: nothing is said about rates then.
pub fn score_rows<I>(
    patrol: &str,
    config: &patrols::Config,
    inference: &inference::Config,
    rows: I,
) -> Result<ScoredRows<I>, Error>
where
    I: Iterator<Item: Into<Given>>,
{
    let entry = patrols::find(patrol).ok_or_else(|| Error::unknown(patrol))?;
    let blueprint = Arc::new(Blueprint::new(entry, config, inference)?);
    let model = Arc::new(Mutex::new(blueprint.armed()?));
    let scorers = instances(entry).map(|class| blueprint.scorer(Arc::clone(&model), class));
    Ok(ScoredRows {
        rows,
        spec: entry.spec,
        scorers: scorers.collect(),
        clock: Clock::default(),
        ready: VecDeque::new(),
        verdicts: Vec::new(),
    })
}

/// The features of rows, `{"rows": [[…], …]}` each: all rows of all the patrol's instances, in
/// the order of its key classes; or why a row has none. Needs no model.
pub fn features_rows<I: Iterator<Item: Into<Given>>>(
    patrol: &str,
    config: &patrols::Config,
    rows: I,
) -> Result<impl Iterator<Item = Result<Value, String>> + use<I>, Error> {
    let entry: &Entry = patrols::find(patrol).ok_or_else(|| Error::unknown(patrol))?;
    let instances = instances(entry).map(|class| (class, Features::new(entry, config, class)));
    let mut instances: Vec<_> = instances.collect();
    let mut clock = Clock::default();
    Ok(rows.map(move |row| {
        let Given { kind, body, .. } = row.into();
        let kind = kind_of(entry.spec, kind);
        let time = clock.of(&body)?;
        let mut all = Vec::new();
        for (at, (class, features)) in instances.iter_mut().enumerate() {
            let Some(body) = part(entry.spec, at, *class, &body) else { continue };
            let rows = features.of(&seen(kind, &body, time))?;
            all.extend((0..rows.len()).map(|at| match rows.row(at) {
                Row::Ids(ids) => json!(ids),
                Row::Values(values) => json!(values),
            }));
        }
        Ok(json!({ "rows": all }))
    }))
}

/// The classes that a patrol has an instance for: none of a class where it keeps no state.
fn instances(entry: &Entry) -> impl Iterator<Item = Option<Class>> + use<> {
    let stateless = entry.spec.keys.is_empty().then_some(None);
    stateless.into_iter().chain(entry.spec.keys.iter().copied().map(Some))
}

/// What the instance at `at` sees of a body: the first all of it, the others the fact.
fn part<'a>(
    spec: &Spec,
    at: usize,
    class: Option<Class>,
    body: &'a Fields,
) -> Option<Cow<'a, Fields>> {
    match class {
        Some(class) if at > 0 => facts::body_of(spec, class, body).map(|(_, b)| Cow::Owned(b)),
        _ => Some(Cow::Borrowed(body)),
    }
}

fn kind_of(spec: &Spec, told: Option<Kind>) -> Kind {
    // A patrol of no kind is refused by a test of the table.
    told.or_else(|| spec.kinds.first().copied()).unwrap_or(Kind::Sql)
}

fn seen(kind: Kind, body: &Fields, time: Time) -> Seen<'_> {
    Seen { kind, body, ts: time.ts, ts_refused: false, repeated: false, timed: time.known }
}

/// When a row happened, or the time of the row before.
#[derive(Clone, Copy)]
struct Time {
    ts: Timestamp,
    known: bool,
}

/// The time of rows.
#[derive(Default)]
struct Clock(Timestamp);

impl Clock {
    fn of(&mut self, row: &Fields) -> Result<Time, String> {
        let told = body::time(row)?;
        self.0 = told.unwrap_or(self.0);
        Ok(Time { ts: self.0, known: told.is_some() })
    }
}

/// The rows of [`score_rows`].
pub struct ScoredRows<I> {
    rows: I,
    spec: &'static Spec,
    /// One per key class, in their order.
    scorers: Vec<Scorer>,
    clock: Clock,
    ready: VecDeque<Fields>,
    verdicts: Vec<Verdict>,
}

impl<I: Iterator<Item: Into<Given>>> ScoredRows<I> {
    fn refill(&mut self) {
        let (mut chunk, mut refused, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for given in self.rows.by_ref().take(CHUNK).map(Into::<Given>::into) {
            kinds.push(kind_of(self.spec, given.kind));
            chunk.push(given.body);
            refused.push(given.refused);
        }
        let times = chunk.iter().zip(refused);
        let times = times.map(|(row, why)| why.map_or_else(|| self.clock.of(row), Err));
        let times: Vec<_> = times.collect();
        let mut worst: Vec<Option<Verdict>> = vec![None; chunk.len()];
        for (at, scorer) in self.scorers.iter_mut().enumerate() {
            let class = self.spec.keys.get(at).copied();
            let parts: Vec<_> = chunk.iter().map(|row| part(self.spec, at, class, row)).collect();
            let timed = parts.iter().zip(&times).zip(&kinds).enumerate();
            let (places, events): (Vec<_>, Vec<_>) = timed
                .filter_map(|(n, ((p, ts), kind))| {
                    Some((n, seen(*kind, p.as_ref()?, *ts.as_ref().ok()?)))
                })
                .unzip();
            scorer.score(&events, &mut self.verdicts);
            for (place, verdict) in places.into_iter().zip(self.verdicts.drain(..)) {
                let Some(slot) = worst.get_mut(place) else { continue };
                let worse = slot.as_ref().is_none_or(|known| rank(&verdict) > rank(known));
                *slot = if worse { Some(verdict) } else { slot.take() };
            }
        }
        for ((mut row, ts), verdict) in chunk.into_iter().zip(times).zip(worst) {
            let verdict = ts.map_or_else(|why| Some(Verdict::Poison(why)), |_| verdict);
            row.0.insert("scored".to_owned(), told(verdict));
            self.ready.push_back(row);
        }
    }
}

/// Which of two verdicts about one event is told: what could not be read, then the worse.
fn rank(verdict: &Verdict) -> (u8, Level, f32) {
    match verdict {
        Verdict::Ordinary(score) => (0, Level::None, *score),
        Verdict::Found(finding) => (0, finding.level, finding.score),
        Verdict::Poison(_) | Verdict::Failed(_) => (1, Level::None, 0.0),
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

impl<I: Iterator<Item: Into<Given>>> Iterator for ScoredRows<I> {
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
