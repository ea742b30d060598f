//! How well every patrol detects and the analyzer correlates, source by source, beside libinjection and ModSecurity with the
//! OWASP Core Rule Set on the same rows. `cargo xtask accuracy` runs it.
//!
//! It scores rows with the real program, `magsentinel score`, one run per source, in order of time,
//! so that patterns, model, calibration and state are judged together.
#![expect(clippy::print_stderr, reason = "it tells its progress to a terminal")]

mod auc;
mod card;
mod chains;
mod curve;
mod families;
mod figures;
mod left_out;
mod request;
mod rivals;
mod rows;
mod scoring;
mod units;

use anyhow::{Context, Result, bail};
use card::Card;
use clap::Parser;
use figures::{Group, Verdicts};
use left_out::Models;
use magsentinel_bus_schema::Kind;
use magsentinel_patrol::patrols::{Entry, TABLE};
use rivals::{Rivals, sample};
use rows::{Found, Row};
use scoring::Program;
use std::{collections::BTreeMap, fs, path::PathBuf};

/// Measures every patrol on the curated data.
#[derive(Parser)]
#[command(name = "accuracy")]
struct Args {
    /// Folder of the curated data
    #[arg(long)]
    data: PathBuf,
    /// The program `magsentinel`
    #[arg(long)]
    program: PathBuf,
    /// Folder of the models that judge, with their `<patrol>.sources.json`
    #[arg(long)]
    models: PathBuf,
    /// The same for the analyzer's severity model [default: that of `--models`]
    #[arg(long)]
    severity: Option<PathBuf>,
    /// Folder with a folder of further models per patrol, each trained without some sources: a
    /// source of the training is then judged by one that never saw it
    #[arg(long)]
    left_out: Option<PathBuf>,
    /// Simulated rows, JSON lines, named `<patrol>.jsonl` in this folder
    #[arg(long)]
    simulated: Option<PathBuf>,
    /// Judge whole HTTP requests instead: JSON lines `{"raw", "label", "source"}`
    #[arg(long, value_name = "FILE")]
    raw_http: Option<PathBuf>,
    /// Only these patrols
    #[arg(long)]
    patrol: Vec<String>,
    /// Rows of one source, part and class that the rule set sees at most; 0 is all
    #[arg(long, default_value_t = 2000)]
    rule_set_rows: usize,
    /// Leave the rivals out
    #[arg(long)]
    alone: bool,
    /// Where the card is written
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if args.raw_http.is_none() && !args.data.is_dir() {
        bail!("{}: is no folder; name that of the data with --data", args.data.display());
    }
    let rivals = if args.alone { Rivals::none() } else { Rivals::load()? };
    let mut card = Card::new(&rivals, args.rule_set_rows);
    if let Some(file) = &args.raw_http {
        let entry = TABLE.iter().find(|entry| entry.spec.kinds == [Kind::Api]);
        let entry = entry.context("there is no patrol of kind api")?;
        judge(&args, entry, rows::raw_http(file)?, &rivals, &mut card)?;
    } else {
        for entry in wanted(&args.patrol)? {
            let mut found = Found::default();
            for kind in entry.spec.kinds {
                found.join(rows::of(*kind, &args.data)?);
            }
            if let Some(folder) = &args.simulated {
                let file = folder.join(format!("{}.jsonl", entry.spec.name));
                found.join(rows::simulated(&file, entry.spec.kinds)?);
            }
            judge(&args, entry, found, &rivals, &mut card)?;
        }
        if args.patrol.is_empty() || args.patrol.iter().any(|name| name == chains::NAME) {
            let folder = args.severity.as_deref().unwrap_or(&args.models);
            let models = Models::find(folder, args.left_out.as_deref(), chains::NAME)?;
            card.chains(&chains::measure(&args.data, &models)?);
        }
    }
    card.print();
    if let Some(out) = &args.out {
        fs::write(out, card.text()).with_context(|| format!("{}", out.display()))?;
    }
    Ok(())
}

fn wanted(names: &[String]) -> Result<Vec<&'static Entry>> {
    let known = |name: &&String| {
        name.as_str() == chains::NAME || TABLE.iter().any(|e| e.spec.name == **name)
    };
    let unknown = names.iter().find(|name| !known(name));
    if let Some(name) = unknown {
        bail!("there is no patrol {name:?}");
    }
    let chosen = |e: &&Entry| names.is_empty() || names.iter().any(|name| name == e.spec.name);
    Ok(TABLE.iter().filter(chosen).collect())
}

/// Scores all rows of one patrol, by source, and adds a section to the card.
fn judge(
    args: &Args,
    entry: &Entry,
    Found { rows, notes }: Found,
    rivals: &Rivals,
    card: &mut Card,
) -> Result<()> {
    for note in &notes {
        eprintln!("{}: {note}", entry.spec.name);
    }
    let models = Models::find(&args.models, args.left_out.as_deref(), entry.spec.name)?;
    let mut sources: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        sources.entry(row.source.clone()).or_default().push(row);
    }
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    let mut units = units::Units::default();
    for (source, mut rows) in sources {
        let model = models.for_source(&source);
        let program = Program { path: &args.program, entry, model: model.file };
        rows.sort_by_key(|row| row.ts);
        let scores = program.score(&rows, args.raw_http.is_some())?;
        eprintln!("{}: {source}, {} rows", entry.spec.name, rows.len());
        units.add(entry.spec.kinds, &source, &rows, &scores);
        let shown = sample(&rows, args.rule_set_rows);
        for (at, (row, score)) in rows.iter().zip(scores).enumerate() {
            let verdicts = Verdicts {
                score: score.score,
                flagged: score.flagged,
                unread: score.unread,
                rivals: rivals.judge(row, shown.contains(&at)),
            };
            let key = (source.clone(), row.part.clone());
            let group = groups.entry(key).or_insert_with(|| Group::new(row, model.trained));
            group.add(row.label, &verdicts);
        }
    }
    card.section(entry, groups.into_values().collect(), &units, &notes);
    Ok(())
}
