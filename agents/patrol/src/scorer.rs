//! One patrol at work: features, model, patterns and verdict for a slice of events.
//!
//! Everything that is read from outside (model file, pattern directory) is read when a
//! [`Blueprint`] is made; scorers are then made from it any number of times.

mod blueprint;

pub use blueprint::{Armed, Arms, Blueprint};

use crate::{
    Error,
    inference::Rows,
    overlay::{Match, Overlay},
    patrol::{Evidence, Finding, Patrol, Seen},
    patrols::{self, Entry},
    patterns::{Book, Hit, Normal},
};
use magsentinel_bus_schema::{Class, Fields, Level};
use serde_json::{Value, json};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Events whose rows the model sees together.
pub const CHUNK: usize = 64;

/// What becomes of one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Level none; the model's score.
    Ordinary(f32),
    /// Level low or above. Boxed, because it is rare and large.
    Found(Box<Finding>),
    /// The body is none of its kind: the reason.
    Poison(String),
    /// The model could not be run: the reason. It may work later.
    Failed(String),
}

/// An event of a chunk and its rows.
struct Accepted {
    event: usize,
    rows: Range<usize>,
}

/// One patrol with its model, its patterns and its state.
pub struct Scorer {
    blueprint: Arc<Blueprint>,
    patrol: Box<dyn Patrol>,
    armed: Arc<Mutex<Armed>>,
    /// What the latest batch was scored with.
    arms: Arc<Arms>,
    /// Patterns beside the arms', for the latest batch.
    overlay: Arc<Overlay>,
    /// What they match in it.
    matches: Vec<Match>,
    patterns_digest: String,
    rows: Rows,
    scores: Vec<f32>,
    /// The rows of each event that has a verdict coming.
    accepted: Vec<Accepted>,
    normal: Normal,
    hits: Vec<Arc<Hit>>,
    spent: Spent,
}

/// What the model's runs have cost.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    runs: u64,
    rows: u64,
    time: Duration,
    longest: Duration,
}

impl Spent {
    fn add(&mut self, rows: usize, time: Duration) {
        self.runs += 1;
        self.rows += rows as u64;
        self.time += time;
        self.longest = self.longest.max(time);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Scorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scorer").field("patrol", self.blueprint.name()).finish_non_exhaustive()
    }
}

impl Blueprint {
    /// A scorer with empty state, for the keys of a class where the patrol keeps any. Scorers
    /// may share a model; each takes its turn with it.
    #[must_use]
    pub fn scorer(self: &Arc<Self>, armed: Arc<Mutex<Armed>>, class: Option<Class>) -> Scorer {
        let arms = self.current();
        Scorer {
            blueprint: Arc::clone(self),
            patrol: (self.maker)(class),
            armed,
            patterns_digest: arms.patterns_digest().to_owned(),
            overlay: Arc::default(),
            matches: Vec::new(),
            arms,
            rows: Rows::new(self.spec.input),
            scores: Vec::with_capacity(CHUNK),
            accepted: Vec::with_capacity(CHUNK),
            normal: Normal::default(),
            hits: Vec::new(),
            spent: Spent::default(),
        }
    }
}

impl Scorer {
    /// Scores events in order; `verdicts` is cleared and then holds one per event.
    pub fn score(&mut self, events: &[Seen<'_>], verdicts: &mut Vec<Verdict>) {
        verdicts.clear();
        self.matches.clear();
        self.blueprint.worked();
        self.overlay = self.blueprint.overlay();
        for chunk in events.chunks(CHUNK) {
            self.score_chunk(chunk, verdicts);
        }
    }

    fn score_chunk(&mut self, chunk: &[Seen<'_>], verdicts: &mut Vec<Verdict>) {
        let from = verdicts.len();
        self.accepted.clear();
        self.rows.truncate(0);
        for (event, seen) in chunk.iter().enumerate() {
            let first = self.rows.len();
            verdicts.push(match self.patrol.features(seen, &mut self.rows) {
                Ok(()) => {
                    self.accepted.push(Accepted { event, rows: first..self.rows.len() });
                    Verdict::Ordinary(0.0)
                }
                Err(why) => {
                    self.rows.truncate(first);
                    Verdict::Poison(why)
                }
            });
        }
        let failed = self.run().err().map(|e| crate::whole(&e));
        // Taken anew for every chunk and not kept: between two, it may be swapped for a fresh one.
        let book = self.arms.book();
        let accepted = std::mem::take(&mut self.accepted);
        for Accepted { event, rows } in &accepted {
            let verdict = match (&failed, chunk.get(*event)) {
                (None, Some(seen)) => self.verdict(&book, seen, rows, from + event),
                (why, _) => Verdict::Failed(why.clone().unwrap_or_default()),
            };
            if let Some(slot) = verdicts.get_mut(from + event) {
                *slot = verdict;
            }
        }
        self.accepted = accepted;
    }

    /// Runs the model on all rows: the one to be used now.
    fn run(&mut self) -> Result<(), Error> {
        // The model has no state, so one whose user panicked is as good as before.
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&armed.arms, &self.blueprint.current()) {
            *armed = self.blueprint.armed()?;
        }
        self.arms = Arc::clone(&armed.arms);
        self.patterns_digest = self.overlay.digest(self.arms.patterns_digest());
        let begun = Instant::now();
        let run = armed.model.run(&self.rows, &mut self.scores);
        self.spent.add(self.rows.len(), begun.elapsed());
        run.map_err(|source| Error::Inference { patrol: self.blueprint.spec.name, source })
    }

    /// The verdict on the event at an index of its batch.
    fn verdict(
        &mut self,
        book: &Book,
        seen: &Seen<'_>,
        rows: &Range<usize>,
        event: usize,
    ) -> Verdict {
        let (mut score, mut part) = (0.0_f32, 0);
        for (at, found) in self.scores.get(rows.clone()).into_iter().flatten().enumerate() {
            if !(-1e-3..=1.001).contains(found) {
                return Verdict::Poison(format!(
                    "the model gives {found}, which is no probability"
                ));
            }
            if *found > score {
                (score, part) = (found.min(1.0), at);
            }
        }
        self.hits.clear();
        let has_text = self.patrol.normal(seen, &mut self.normal);
        let normal = has_text.then_some(&self.normal);
        book.matches((seen.kind, seen.body), normal, &mut self.hits);
        let flagged = self.hits.first().is_some_and(|hit| hit.level.is_flagged())
            || self.blueprint.thresholds.level(score).is_flagged();
        let first = self.matches.len();
        let mut shadow = Vec::new();
        for entry in self.overlay.entries() {
            let hits = if entry.live { &mut self.hits } else { &mut shadow };
            if entry.matches((seen.kind, seen.body), normal, hits) {
                self.matches.push(Match { event, entry: Arc::clone(entry), alone: !flagged });
            }
        }
        let row = self.rows.row(rows.start + part);
        let evidence = Evidence { score, row, part, hits: &self.hits, normal };
        let found = self.patrol.judge(seen, &evidence);
        // What is in shadow has no part in the verdict, which so says what the rest make of it.
        let level = found.as_ref().map_or(Level::None, |finding| finding.level);
        for of in self.matches.iter_mut().skip(first).filter(|of| !of.entry.live) {
            of.alone = !level.is_flagged();
        }
        found.map_or(Verdict::Ordinary(score), |finding| Verdict::Found(Box::new(finding)))
    }

    /// Digest of the patterns that the latest batch was scored with.
    #[must_use]
    pub fn patterns_digest(&self) -> &str {
        &self.patterns_digest
    }

    /// The patterns beside the arms', and what they match in the latest batch.
    pub(crate) fn overlaid(&self) -> (&Overlay, &[Match]) {
        (&self.overlay, &self.matches)
    }

    /// What the latest batch was scored with.
    #[must_use]
    pub fn arms(&self) -> &Arms {
        &self.arms
    }

    /// What the model's runs have cost: their number, rows, microseconds in all, and of the
    /// longest.
    #[must_use]
    pub fn inference(&self) -> Value {
        let Spent { runs, rows, time, longest } = self.spent;
        json!({
            "runs": runs,
            "rows": rows,
            "us": micros(time),
            "us_max": micros(longest),
        })
    }

    /// The part of a body that a reader should see.
    pub(crate) fn excerpt(&self, body: &Fields, chars_max: usize) -> String {
        self.patrol.excerpt(body, chars_max)
    }

    /// The patrol's state, where it keeps any.
    #[must_use]
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        self.patrol.snapshot()
    }

    /// Takes over a state.
    ///
    /// # Errors
    /// When it is of another form; the state is undefined then.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), String> {
        self.patrol.restore(snapshot)
    }

    /// Figures of the patrol's state.
    #[must_use]
    pub fn report(&self) -> Value {
        self.patrol.report()
    }
}

/// A patrol's features alone, without model and patterns.
pub struct Features {
    patrol: Box<dyn Patrol>,
    rows: Rows,
}

impl Features {
    /// With empty state, for the keys of a class where the patrol keeps any.
    #[must_use]
    pub fn new(entry: &Entry, config: &patrols::Config, class: Option<Class>) -> Self {
        Self { patrol: (entry.maker)(config)(class), rows: Rows::new(entry.spec.input) }
    }

    /// The rows of the next event.
    pub fn of(&mut self, seen: &Seen<'_>) -> Result<&Rows, String> {
        self.rows.truncate(0);
        self.patrol.features(seen, &mut self.rows)?;
        Ok(&self.rows)
    }
}
