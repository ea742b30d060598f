//! Counts of one group of rows, and the figures over groups: macro average and worst.

use crate::{left_out::Trained, rows::Row};
use std::collections::BTreeMap;

/// Those who judge beside the patrol, in the order of their columns.
pub(crate) const RIVALS: usize = 3;

/// What each judge said of a row.
pub(crate) struct Verdicts {
    /// The patrol's score, 0..=1.
    pub(crate) score: f64,
    /// The patrol's verdict.
    pub(crate) flagged: bool,
    /// Why the patrol could not read it.
    pub(crate) unread: Option<String>,
    /// The rivals' verdicts; `None` where a rival did not see the row.
    pub(crate) rivals: [Option<bool>; RIVALS],
}

/// How many rows, and how many of them were flagged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: usize,
    pub(crate) flagged: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, flagged: bool) {
        self.rows += 1;
        self.flagged += usize::from(flagged);
    }

    /// Sums another in.
    pub(crate) fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.flagged += other.flagged;
    }

    /// Share flagged, 0..=1; `None` of no rows.
    pub(crate) fn share(self) -> Option<f64> {
        (self.rows > 0).then(|| self.flagged as f64 / self.rows as f64)
    }
}

/// The rows of one class.
#[derive(Clone, Default)]
pub(crate) struct Side {
    /// Whether the model that judged them was trained on rows of this class and source; `None`
    /// where nothing says so.
    pub(crate) trained: Option<bool>,
    /// By the patrol.
    pub(crate) ours: Tally,
    /// By each rival.
    pub(crate) rivals: [Tally; RIVALS],
    /// The patrol's scores.
    pub(crate) scores: Vec<f64>,
}

impl Side {
    fn add(&mut self, verdicts: &Verdicts) {
        self.ours.count(verdicts.flagged);
        self.scores.push(verdicts.score);
        for (tally, verdict) in self.rivals.iter_mut().zip(verdicts.rivals) {
            if let Some(flagged) = verdict {
                tally.count(flagged);
            }
        }
    }

    /// Sums another in.
    pub(crate) fn join(&mut self, other: &Self) {
        self.ours.join(other.ours);
        self.scores.extend(&other.scores);
        for (tally, more) in self.rivals.iter_mut().zip(other.rivals) {
            tally.join(more);
        }
    }
}

/// One part of one source.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) source: String,
    pub(crate) part: String,
    pub(crate) quality: String,
    /// What attack its rows are said to be, where it is a part of a source by this.
    pub(crate) category: String,
    pub(crate) attacks: Side,
    pub(crate) benign: Side,
    /// By label: rows that are neither attack nor benign.
    pub(crate) others: BTreeMap<i64, Tally>,
    /// Rows that the patrol could not read, and why the first was none. They count as not flagged.
    pub(crate) unread: usize,
    pub(crate) unread_why: String,
}

impl Group {
    pub(crate) fn new(row: &Row, trained: Trained<'_>) -> Self {
        Self {
            source: row.source.clone(),
            part: row.part.clone(),
            quality: row.quality.clone(),
            category: row.category.clone(),
            attacks: Side { trained: trained.on(1), ..Side::default() },
            benign: Side { trained: trained.on(0), ..Side::default() },
            others: BTreeMap::new(),
            unread: 0,
            unread_why: String::new(),
        }
    }

    /// Adds a row; what is neither attack nor benign takes no part in any average.
    pub(crate) fn add(&mut self, label: i64, verdicts: &Verdicts) {
        if let Some(why) = &verdicts.unread {
            if self.unread == 0 {
                self.unread_why.clone_from(why);
            }
            self.unread += 1;
        }
        match label {
            1 => self.attacks.add(verdicts),
            0 => self.benign.add(verdicts),
            other => self.others.entry(other).or_default().count(verdicts.flagged),
        }
    }

    /// Whether it counts in averages: not where the labels are unsure, or where only the
    /// context makes an attack, or where the world is our own.
    pub(crate) fn counts(&self) -> bool {
        let unsure = ["context", "weak", "noisy", "simulated"];
        !unsure.iter().any(|word| self.quality.starts_with(word))
    }
}

/// Macro average and worst of sources.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Overall {
    /// Mean of the sources' shares, 0..=1.
    pub(crate) mean: f64,
    /// The lowest or highest share, 0..=1.
    pub(crate) worst: f64,
    /// Where it is.
    pub(crate) at: String,
    /// How many sources.
    pub(crate) sources: usize,
}

/// Over shares by source: `low_is_bad` for detection, else for false alarms.
pub(crate) fn overall(shares: &[(String, f64)], low_is_bad: bool) -> Option<Overall> {
    let sign = if low_is_bad { 1.0 } else { -1.0 };
    let worst = shares.iter().min_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)))?;
    let mean = shares.iter().map(|(_, share)| share).sum::<f64>() / shares.len() as f64;
    Some(Overall { mean, worst: worst.1, at: worst.0.clone(), sources: shares.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::{Fields, Kind};

    fn group(quality: &str) -> Group {
        let row = Row {
            kind: Kind::Sql,
            source: "s".to_owned(),
            part: String::new(),
            quality: quality.to_owned(),
            category: String::new(),
            label: 0,
            ts: None,
            body: Fields::default(),
        };
        Group::new(&row, Trained::Unknown)
    }

    #[test]
    fn unsure_labels_do_not_count_in_averages() {
        for (quality, counts) in [
            ("gold", true),
            ("gold_session", true),
            ("rendered", true),
            ("heuristic_ip_rule", true),
            ("", true),
            ("noisy", false),
            ("context", false),
            ("weak_rule", false),
            ("simulated", false),
        ] {
            assert_eq!(group(quality).counts(), counts, "{quality}");
        }
    }

    #[test]
    fn rows_of_neither_class_and_rows_that_a_rival_never_saw_are_counted_by_themselves() {
        let mut group = group("gold");
        let verdicts = |flagged, first| Verdicts {
            score: 0.4,
            flagged,
            unread: None,
            rivals: [first, None, None],
        };
        group.add(1, &verdicts(true, Some(false)));
        group.add(1, &verdicts(false, None));
        group.add(0, &verdicts(true, Some(true)));
        group.add(-1, &verdicts(true, Some(true)));
        group.add(2, &verdicts(true, Some(true)));
        group.add(2, &verdicts(false, Some(true)));
        let unread = Some("why".to_owned());
        group.add(-1, &Verdicts { unread, ..verdicts(false, None) });
        assert_eq!(group.attacks.ours, Tally { rows: 2, flagged: 1 });
        assert_eq!(group.attacks.rivals[0], Tally { rows: 1, flagged: 0 });
        assert_eq!(group.benign.ours.share(), Some(1.0));
        assert_eq!(group.benign.rivals[1].share(), None);
        let others = [(-1, Tally { rows: 2, flagged: 1 }), (2, Tally { rows: 2, flagged: 1 })];
        assert_eq!(group.others, BTreeMap::from(others));
        assert_eq!((group.unread, &*group.unread_why), (1, "why"));
    }

    #[test]
    fn the_worst_source_is_named() {
        let shares = [("a".to_owned(), 0.9), ("b".to_owned(), 1.0), ("c".to_owned(), 0.8)];
        let detection = overall(&shares, true).unwrap();
        assert_eq!((detection.at.as_str(), detection.sources), ("c", 3));
        assert!((detection.mean - 0.9).abs() < 1e-9);
        assert_eq!(overall(&shares, false).unwrap().at, "b");
        assert_eq!(overall(&[], true), None);
    }
}
