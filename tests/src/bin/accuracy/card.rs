//! The accuracy card: a section per patrol, as markdown.

mod more;

use crate::{
    auc::auc,
    chains::Scenario,
    figures::{Group, Overall, Side, Tally, overall},
    rivals::{Rivals, TITLES},
    units::Units,
};
use magsentinel_bus_schema::Kind;
use magsentinel_patrol::patrols::Entry;
use std::{collections::BTreeMap, fmt::Write};

/// What the data calls a whole statement.
const STATEMENT: &str = "query";

/// The text, grown section by section.
pub(crate) struct Card {
    text: String,
    /// Whether there are rivals at all.
    beside: bool,
}

/// Columns of one table: the patrol's and the rivals'.
struct Columns<'a> {
    patrol: &'a str,
    rivals: Vec<usize>,
}

impl Card {
    /// The head, with how the figures were made.
    pub(crate) fn new(rivals: &Rivals, rule_set_rows: usize) -> Self {
        let versions = rivals.versions();
        let beside = !versions.is_empty();
        let mut text = String::from(
            "# Accuracy\n\nWritten by `cargo xtask accuracy`, which runs `magsentinel score` over \
             the curated data and counts. *Flagged* means level medium or above, with the \
             thresholds as shipped. Rows whose label is noisy, weak, simulated or only true in \
             context are shown and do not count in averages. A row that could not be read counts as \
             not flagged. *In training* says whether the model \
             that judged a source had seen rows of it; figures of such sources say little. With \
             `--left-out` a source of the training is judged by a model trained without it. An \
             area under the curve (AUC) sets a source's rows against its own of the other \
             class, or, where it has none, against those of all sources.\n",
        );
        if beside {
            let some = match rule_set_rows {
                0 => "all rows".to_owned(),
                most => format!("at most {most} rows of a source, part and class, by their hash"),
            };
            let _ = writeln!(
                text,
                "\nBeside it on the same rows: {}. The Core Rule Set (CRS) runs inside \
                 ModSecurity as shipped, blocking, at paranoia levels 1 and 2, and sees {some}; \
                 a text arrives as a parameter of a GET request.",
                versions.join(", "),
            );
        }
        Self { text, beside }
    }

    /// Adds the analyzer's figures.
    pub(crate) fn chains(&mut self, scenarios: &[Scenario]) {
        if scenarios.is_empty() {
            return;
        }
        self.text.push_str(
            "\n## analyzer\n\nAlerts of other detectors over days with one staged intrusion each, \
             as scored events (`training/detectors.json`), through the shipped chains. *Fewer* is \
             against alerting on every one of them, and on every flagged one. *Inside*: alerts on a \
             host that last through some of what the intrusion did there.\n\n\
             | source | in training | raw alerts | flagged | alerts | of these high | fewer | \
             fewer than flagged | inside | stages alerted |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for s in scenarios {
            let trained = s.trained.map_or("unknown", |t| if t { "yes" } else { "no" });
            let fewer = |than: usize| 100.0 * (1.0 - s.alerts as f64 / than.max(1) as f64);
            let inside = 100.0 * s.inside as f64 / s.alerts.max(1) as f64;
            let _ = writeln!(
                self.text,
                "| {} | {trained} | {} | {} | {} | {} | {:.2} % | {:.2} % | {inside:.1} % | \
                 {} of {} |",
                s.source,
                s.raw,
                s.flagged,
                s.alerts,
                s.high,
                fewer(s.raw),
                fewer(s.flagged),
                s.seen,
                s.stages,
            );
        }
    }

    /// Adds a patrol's figures.
    pub(crate) fn section(
        &mut self,
        entry: &Entry,
        groups: Vec<Group>,
        units: &Units,
        notes: &[String],
    ) {
        let name = entry.spec.name;
        let _ = writeln!(self.text, "\n## {name}");
        let rivals = match entry.spec.kinds {
            _ if !self.beside => Vec::new(),
            [Kind::Sql] => vec![0, 1, 2],
            [Kind::Api] => vec![1, 2],
            _ => Vec::new(),
        };
        let columns = Columns { patrol: name, rivals };
        let all = Everyone::of(&groups);
        self.table("Attacks, share flagged", &columns, &groups, |g| &g.attacks, &all.benign);
        self.table("Benign, share flagged", &columns, &groups, |g| &g.benign, &all.attacks);
        self.neither(name, &groups);
        self.summary(&columns, &groups, "");
        if entry.spec.kinds == [Kind::Sql] {
            // Rivals are made for values; whole statements are all alike to them.
            let values = only(&groups, |g| g.part != STATEMENT);
            self.summary(&columns, &values, ", values and prose alone");
        }
        let content = only(&groups, |g| g.attacks.ours.rows == 0 || g.family().is_some());
        if entry.spec.kinds == [Kind::Api] {
            self.summary(&columns, &content, ", content alone");
            self.families(name, &content);
            self.curve(&content, ", content alone");
        } else {
            self.curve(&groups, "");
        }
        self.unread(&groups);
        self.units(units);
        self.notes(notes);
    }

    fn table(
        &mut self,
        title: &str,
        columns: &Columns<'_>,
        groups: &[Group],
        side: impl Fn(&Group) -> &Side,
        others: &[f64],
    ) {
        let rows: Vec<&Group> = groups.iter().filter(|g| side(g).ours.rows > 0).collect();
        if rows.is_empty() {
            return;
        }
        let rivals: Vec<&str> =
            columns.rivals.iter().filter_map(|at| TITLES.get(*at).copied()).collect();
        let heads = [vec!["source", "in training", "rows", columns.patrol], rivals, vec!["AUC"]];
        let heads = heads.concat();
        let _ = writeln!(self.text, "\n{title}:\n\n| {} |", heads.join(" | "));
        let _ = writeln!(self.text, "|{}", " --- |".repeat(heads.len()));
        for group in rows {
            let side = side(group);
            let attacks = std::ptr::eq(side, &group.attacks);
            let own = if attacks { &group.benign.scores } else { &group.attacks.scores };
            let other = if own.is_empty() { others } else { own };
            let area = if attacks { auc(&side.scores, other) } else { auc(other, &side.scores) };
            let mut cells = vec![
                group.title(),
                trained(side.trained).to_owned(),
                side.ours.rows.to_string(),
                percent(side.ours),
            ];
            let rivals = columns.rivals.iter().filter_map(|at| side.rivals.get(*at));
            cells.extend(rivals.map(|tally| percent(*tally)));
            cells.push(area.map_or_else(|| "–".to_owned(), |area| format!("{area:.4}")));
            let _ = writeln!(self.text, "| {} |", cells.join(" | "));
        }
    }

    fn summary(&mut self, columns: &Columns<'_>, groups: &[Group], which: &str) {
        for (title, unseen) in [("not in training", true), ("all", false)] {
            if !unseen && all_unseen(groups) {
                // There are no others than those above.
                continue;
            }
            let attacks = by_source(groups, unseen, |g| &g.attacks);
            let benign = by_source(groups, unseen, |g| &g.benign);
            if attacks.is_empty() && benign.is_empty() {
                continue;
            }
            let _ = writeln!(self.text, "\nSources {title}{which}:\n");
            self.line(columns.patrol, &attacks, &benign, |side| side.ours);
            for at in &columns.rivals {
                let title = TITLES.get(*at).copied().unwrap_or_default();
                let tally = |side: &Side| side.rivals.get(*at).copied().unwrap_or_default();
                self.line(title, &attacks, &benign, tally);
            }
        }
    }

    fn line(
        &mut self,
        who: &str,
        attacks: &BTreeMap<&str, Side>,
        benign: &BTreeMap<&str, Side>,
        tally: impl Fn(&Side) -> Tally,
    ) {
        let shares = |sides: &BTreeMap<&str, Side>| -> Vec<(String, f64)> {
            let share = |(name, side): (&&str, &Side)| Some(((*name).into(), tally(side).share()?));
            sides.iter().filter_map(share).collect()
        };
        let mut pooled = Tally::default();
        benign.values().for_each(|side| pooled.join(tally(side)));
        let _ = writeln!(
            self.text,
            "- **{who}**: detection {}; false positives {}, of all rows {}",
            in_words(overall(&shares(attacks), true)),
            in_words(overall(&shares(benign), false)),
            percent(pooled),
        );
    }

    fn units(&mut self, units: &Units) {
        if units.all.is_empty() {
            return;
        }
        let _ =
            writeln!(self.text, "\n| source | what | number | share |\n| --- | --- | --- | --- |");
        for unit in &units.all {
            let (rows, share) = (unit.tally.rows, percent(unit.tally));
            let _ = writeln!(self.text, "| {} | {} | {rows} | {share} |", unit.source, unit.what);
        }
    }

    /// Writes it to the terminal.
    #[expect(clippy::print_stdout, reason = "the card is what the program prints")]
    pub(crate) fn print(&self) {
        println!("{}", self.text);
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Scores of all rows that count, to set one-sided sources against.
struct Everyone {
    attacks: Vec<f64>,
    benign: Vec<f64>,
}

impl Everyone {
    fn of(groups: &[Group]) -> Self {
        let counted = || groups.iter().filter(|group| group.counts());
        Self {
            attacks: counted().flat_map(|g| g.attacks.scores.iter().copied()).collect(),
            benign: counted().flat_map(|g| g.benign.scores.iter().copied()).collect(),
        }
    }
}

/// The parts of each source put together, of those that count; with `unseen`, of those whose rows
/// were not in training.
fn by_source<'a>(
    groups: &'a [Group],
    unseen: bool,
    side: impl Fn(&'a Group) -> &'a Side,
) -> BTreeMap<&'a str, Side> {
    let mut sources: BTreeMap<&str, Side> = BTreeMap::new();
    for group in groups.iter().filter(|group| group.counts()) {
        let side = side(group);
        if side.ours.rows > 0 && (!unseen || side.trained == Some(false)) {
            sources.entry(&group.source).or_default().join(side);
        }
    }
    sources
}

/// Whether no row that counts was in training.
fn all_unseen(groups: &[Group]) -> bool {
    let mut sides =
        groups.iter().filter(|group| group.counts()).flat_map(|g| [&g.attacks, &g.benign]);
    sides.all(|side| side.ours.rows == 0 || side.trained == Some(false))
}

fn only(groups: &[Group], wanted: impl Fn(&Group) -> bool) -> Vec<Group> {
    groups.iter().filter(|group| wanted(group)).cloned().collect()
}

impl Group {
    fn title(&self) -> String {
        let part = if self.part.is_empty() { String::new() } else { format!(", {}", self.part) };
        let unsure = if self.counts() { String::new() } else { format!(" ({})", self.quality) };
        format!("{}{part}{unsure}", self.source)
    }
}

fn trained(known: Option<bool>) -> &'static str {
    match known {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

fn percent(tally: Tally) -> String {
    tally.share().map_or_else(|| "–".to_owned(), |share| format!("{:.2} %", share * 100.0))
}

fn in_words(overall: Option<Overall>) -> String {
    let Some(Overall { mean, worst, at, sources }) = overall else { return "–".to_owned() };
    let (mean, worst) = (mean * 100.0, worst * 100.0);
    format!("{mean:.2} % (mean of {sources} sources), worst {worst:.2} % ({at})")
}
