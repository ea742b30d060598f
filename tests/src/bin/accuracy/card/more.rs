//! What stands beside the shares by source: families of content, other thresholds, rows of neither
//! class, rows and files that could not be read.

use super::{Card, by_source, in_words, percent};
use crate::{
    curve, families,
    figures::{Group, Side, Tally, overall},
};
use std::{collections::BTreeMap, fmt::Write};

impl Group {
    /// The family of its attacks, as far as they are content.
    pub(super) fn family(&self) -> Option<&'static str> {
        families::of(&self.category)
    }
}

impl Card {
    /// Rows that are neither attack nor benign.
    pub(super) fn neither(&mut self, patrol: &str, groups: &[Group]) {
        let mut rows: BTreeMap<(String, i64), Tally> = BTreeMap::new();
        for group in groups {
            for (label, tally) in &group.others {
                let key = (group.title(), *label);
                rows.entry(key).or_default().join(*tally);
            }
        }
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(
            self.text,
            "\nRows that are labelled neither attack nor benign (−1: nobody knows, 2: an attack of \
             another class), share flagged; they count nowhere else:\n\n\
             | source | label | rows | {patrol} |\n| --- | --- | --- | --- |"
        );
        for ((title, label), tally) in rows {
            let (count, share) = (tally.rows, percent(tally));
            let _ = writeln!(self.text, "| {title} | {label} | {count} | {share} |");
        }
    }

    /// Detection by family of content, over sources that were not in training.
    pub(super) fn families(&mut self, patrol: &str, groups: &[Group]) {
        let mut families: BTreeMap<&str, Vec<Group>> = BTreeMap::new();
        for group in groups {
            if let Some(family) = group.family() {
                families.entry(family).or_default().push(group.clone());
            }
        }
        let rows: Vec<_> = families
            .iter()
            .map(|(family, groups)| (family, by_source(groups, true, |g| &g.attacks)))
            .filter(|(_, sources)| !sources.is_empty())
            .collect();
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(
            self.text,
            "\nFamilies of content, sources not in training:\n\n\
             | family | rows | {patrol}, of all rows | by source |\n| --- | --- | --- | --- |"
        );
        for (family, sources) in rows {
            let mut pooled = Tally::default();
            sources.values().for_each(|side| pooled.join(side.ours));
            let shares = sources.iter();
            let shares = shares.filter_map(|(name, s)| Some(((*name).to_owned(), s.ours.share()?)));
            let mean = in_words(overall(&shares.collect::<Vec<_>>(), true));
            let (rows, share) = (pooled.rows, percent(pooled));
            let _ = writeln!(self.text, "| {family} | {rows} | {share} | {mean} |");
        }
    }

    /// Detection at other thresholds than the shipped one.
    pub(super) fn curve(&mut self, groups: &[Group], which: &str) {
        let sides = |unseen| -> [BTreeMap<&str, Side>; 2] {
            [by_source(groups, unseen, |g| &g.attacks), by_source(groups, unseen, |g| &g.benign)]
        };
        for (title, unseen) in [("not in training", true), ("all", false)] {
            let [attacks, benign] = sides(unseen);
            let points = curve::points(&attacks, &benign);
            if points.is_empty() {
                continue;
            }
            let _ = writeln!(
                self.text,
                "\nDetection over false positives, sources {title}{which} (the threshold lies where \
                 at most that share of all benign rows scores above it):\n\n\
                 | false positives, at most | reached | score above | detection |\n\
                 | --- | --- | --- | --- |"
            );
            for point in points {
                let (wanted, reached) = (point.wanted * 100.0, point.reached * 100.0);
                let (above, detection) = (point.above, in_words(Some(point.detection)));
                let _ = writeln!(
                    self.text,
                    "| {wanted} % | {reached:.3} % | {above:.4} | {detection} |"
                );
            }
            return;
        }
    }

    /// Rows that the patrol could not read.
    pub(super) fn unread(&mut self, groups: &[Group]) {
        let mut sources: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for group in groups.iter().filter(|group| group.unread > 0) {
            let told = sources.entry(&group.source).or_insert((0, &group.unread_why));
            told.0 += group.unread;
        }
        if sources.is_empty() {
            return;
        }
        self.text.push_str(
            "\nRows that could not be read, and count as not flagged:\n\n\
             | source | rows | why, the first |\n| --- | --- | --- |\n",
        );
        for (source, (rows, why)) in sources {
            let why: String = why.chars().take(120).collect();
            let why = why.replace('|', "/").replace(['\r', '\n'], " ");
            let _ = writeln!(self.text, "| {source} | {rows} | {why} |");
        }
    }

    /// What was odd about the files of the data.
    pub(super) fn notes(&mut self, notes: &[String]) {
        if notes.is_empty() {
            return;
        }
        self.text.push_str("\nFiles of the data:\n\n");
        for note in notes {
            let _ = writeln!(self.text, "- {note}");
        }
    }
}
