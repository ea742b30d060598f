//! `score` and `features`: a patrol over the rows of a file.

use crate::{
    args::{Global, ScoreArgs},
    exit::{BadData, BadUsage},
    progress,
    settings::Settings,
};
use anyhow::Result;
use indicatif::ProgressBar;
use magsentinel_analyzer::{chain::Book, severity};
use magsentinel_bus_schema::{Fields, Kind, Scored};
use magsentinel_patrol::{features::api::raw_http, patrols};
use magsentinel_sensor::replay::rows::Recording;
use serde_json::Value;
use std::{
    cell::RefCell,
    io::{BufWriter, IsTerminal, Write},
    rc::Rc,
};

/// What was wrong with rows, once something was: the good rows are scored all the same.
#[derive(Default)]
struct Wrong {
    rows: u64,
    first: String,
}

type Noted = Rc<RefCell<Wrong>>;

/// Writes each row back with `scored`.
pub fn score(global: &Global, args: &ScoreArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    let (rows, wrong) = rows(&settings, args)?;
    let (patrols, inference) = (&settings.patrols, &settings.inference);
    let scored = magsentinel_patrol::score_rows(&args.patrol, patrols, inference, rows)?;
    write(global, scored.map(|row| Ok::<_, anyhow::Error>(Value::Object(row.0))), &wrong)
}

/// Writes `{"rows": [[...], ...]}` for each row; for `severity`, what that model would see
/// of scored events.
pub fn features(global: &Global, args: &ScoreArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    if args.patrol == "severity" {
        return severity(global, &settings, args);
    }
    let (rows, wrong) = rows(&settings, args)?;
    let features = magsentinel_patrol::features_rows(&args.patrol, &settings.patrols, rows)?;
    let rows = features.map(|row| row.map_err(|why| anyhow::Error::new(BadData(why))));
    write(global, rows, &wrong)
}

/// One line for every two spans of every chain and key that has an incident among the scored
/// events of the file, which are JSON lines.
fn severity(global: &Global, settings: &Settings, args: &ScoreArgs) -> Result<()> {
    let text = std::fs::read_to_string(&args.file)
        .map_err(|e| BadData(format!("{} cannot be read: {e}", args.file.display())))?;
    let mut scored: Vec<Scored> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let bad = |e| BadData(format!("{}, line {number}: {e}", args.file.display()));
        scored.push(serde_json::from_str(line).map_err(bad)?);
    }
    let book = Book::load(&settings.analyzer)?;
    let rows = severity::rows(&book, &scored).into_iter();
    let rows = rows.map(|row| Ok(serde_json::to_value(row)?) as Result<Value>);
    write(global, rows, &Noted::default())
}

fn write<E: Into<anyhow::Error>>(
    global: &Global,
    rows: impl Iterator<Item = Result<Value, E>>,
    wrong: &Noted,
) -> Result<()> {
    let progress = counted(global);
    let mut out = BufWriter::new(std::io::stdout().lock());
    for row in rows {
        let row = row.map_err(Into::into)?;
        serde_json::to_writer(&mut out, &row)?;
        out.write_all(b"\n")?;
        progress.inc(1);
    }
    out.flush()?;
    progress.finish_and_clear();
    let wrong = wrong.borrow();
    if wrong.rows > 0 {
        let why = format!("{} rows could not be read; the first: {}", wrong.rows, wrong.first);
        return Err(BadData(why).into());
    }
    Ok(())
}

/// A counter, unless the rows themselves go to the terminal.
fn counted(global: &Global) -> ProgressBar {
    if std::io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    progress::counter(global, "rows")
}

/// The request in a row's `raw` taken apart, with the row's other fields beside.
fn parsed(mut row: Fields) -> Option<Fields> {
    let raw = row.0.remove("raw")?;
    let mut body = raw_http(raw.as_str()?);
    for (name, value) in row.0 {
        body.0.entry(name).or_insert(value);
    }
    Some(body)
}

/// The rows of a file, by its name: CSV or JSON lines, gz or not; `-` is standard input.
fn rows(
    settings: &Settings,
    args: &ScoreArgs,
) -> Result<(impl Iterator<Item = Fields> + use<>, Noted)> {
    let unknown = || BadUsage(format!("there is no patrol {:?}", args.patrol));
    let kind = patrols::find(&args.patrol).ok_or_else(unknown)?.spec.kind;
    let file = if args.file.as_os_str() == "-" { "/dev/stdin".into() } else { args.file.clone() };
    let recording = Recording::File(file);
    let name = recording.name();
    let rows = recording
        .rows(Some(kind), settings.sensor.line_bytes_max)
        .map_err(|e| BadData(format!("{name} cannot be read: {e}")))?;
    let rows = if args.raw_http { rows.unshaped() } else { rows };
    let noted = Noted::default();
    let wrong = Rc::clone(&noted);
    let raw_http = args.raw_http;
    if raw_http && kind != Kind::Api {
        return Err(BadUsage(format!("--raw-http is for patrols of api events, not {kind}")).into());
    }
    let rows = rows.filter_map(move |row| {
        let why = match row {
            Ok(Ok(row)) if !raw_http => return Some(row.body),
            Ok(Ok(row)) => match parsed(row.body) {
                Some(body) => return Some(body),
                None => format!("{name}: a row has no text `raw`"),
            },
            Ok(Err(bad)) => format!("{name}, row {}: {}", bad.number, bad.reason),
            Err(e) => format!("{name} cannot be read to its end: {e}"),
        };
        let mut wrong = wrong.borrow_mut();
        if wrong.rows == 0 {
            wrong.first = why;
        }
        wrong.rows += 1;
        None
    });
    Ok((rows, noted))
}
