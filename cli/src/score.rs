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
use magsentinel_patrol::{Given, patrols};
use magsentinel_sensor::{
    replay::rows::{ROW_BYTES_MAX, Recording, Row},
    shape::{shape, take_apart},
};
use serde_json::{Map, Value};
use std::{
    cell::RefCell,
    io::{self, BufWriter, IsTerminal, Write},
    rc::Rc,
};

/// What was wrong with rows, once something was: the good rows are scored all the same.
#[derive(Default)]
struct Wrong {
    rows: u64,
    first: String,
    /// Why the file has no end.
    broken: Option<String>,
}

impl Wrong {
    fn note(&mut self, why: String) {
        if self.rows == 0 {
            self.first = why;
        }
        self.rows += 1;
    }

    /// What is told at the end, where anything was wrong.
    fn verdict(&self) -> Result<(), BadData> {
        if let Some(broken) = &self.broken {
            return Err(BadData(broken.clone()));
        }
        match self.rows {
            0 => Ok(()),
            1 => Err(BadData(format!("1 row could not be read: {}", self.first))),
            n => Err(BadData(format!("{n} rows could not be read; the first: {}", self.first))),
        }
    }
}

type Noted = Rc<RefCell<Wrong>>;

/// Writes each row back with `scored`, in order; where one is no body of the patrol's kind,
/// `scored` is `{error}`, and the error at the end says how many there are.
pub fn score(global: &Global, args: &ScoreArgs) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    score_to(&Settings::load(global)?, args, &mut out, &counted(global))
}

fn score_to(
    settings: &Settings,
    args: &ScoreArgs,
    out: &mut impl Write,
    progress: &ProgressBar,
) -> Result<()> {
    let (rows, wrong) = rows(settings, args)?;
    let (patrols, inference) = (&settings.patrols, &settings.inference);
    let scored = magsentinel_patrol::score_rows(&args.patrol, patrols, inference, rows)?;
    for (number, row) in (1..).zip(scored) {
        let why = row.get("scored").and_then(|scored| scored.get("error")).and_then(Value::as_str);
        if let Some(why) = why {
            let why = format!("{}, row {number}: {why}", args.file.display());
            wrong.borrow_mut().note(why);
        }
        write_line(out, &row)?;
        progress.inc(1);
    }
    out.flush()?;
    progress.finish_and_clear();
    wrong.borrow().verdict()?;
    Ok(())
}

/// Writes `{"rows": [[...], ...]}` for each row; for `severity`, what that model would see
/// of scored events.
pub fn features(global: &Global, args: &ScoreArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    if args.patrol == "severity" {
        return severity(global, &settings, args);
    }
    let (rows, wrong) = rows(&settings, args)?;
    let noted = Rc::clone(&wrong);
    // Training wants rows of numbers and nothing else: what cannot be read is left out, and told.
    let rows = rows.filter_map(move |given| {
        let Some(why) = given.refused.clone() else { return Some(given) };
        noted.borrow_mut().note(why);
        None
    });
    let features = magsentinel_patrol::features_rows(&args.patrol, &settings.patrols, rows)?;
    let bad = |why| anyhow::Error::new(BadData(why));
    write(global, features.map(|row| row.map_err(bad)))?;
    wrong.borrow().verdict()?;
    Ok(())
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
    write(global, rows.map(|row| Ok(serde_json::to_value(row)?)))
}

fn write(global: &Global, rows: impl Iterator<Item = Result<Value>>) -> Result<()> {
    let progress = counted(global);
    let mut out = BufWriter::new(io::stdout().lock());
    for row in rows {
        write_line(&mut out, &row?)?;
        progress.inc(1);
    }
    out.flush()?;
    progress.finish_and_clear();
    Ok(())
}

fn write_line(out: &mut impl Write, row: &impl serde::Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// A counter, unless the rows themselves go to the terminal.
fn counted(global: &Global) -> ProgressBar {
    if io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    progress::counter(global, "rows")
}

/// The request in a row's `raw` taken apart, with the row's other fields beside, and brought into
/// shape as an event of a mesh is.
fn parsed(mut row: Fields) -> Given {
    if !row.get("raw").is_some_and(Value::is_string) {
        return refused(row, "the row has no text `raw`".to_owned());
    }
    let own = ["method", "path", "query", "headers", "body", "body_size"];
    own.iter().for_each(|name| drop(row.0.remove(*name)));
    take_apart(&mut row);
    match shape(Kind::Api, &mut row) {
        Ok(()) => row.into(),
        Err(why) => refused(row, why),
    }
}

fn refused(body: Fields, why: String) -> Given {
    Given { kind: None, body, refused: Some(why) }
}

/// A row as it is scored: a time beside the body goes into it.
fn given(row: Row, kinds: &[Kind], raw_http: bool) -> Given {
    let Row { ts, mut body, kind: own, .. } = row;
    if let Some(ts) = ts.filter(|_| !body.contains_key("ts")) {
        body.0.insert("ts".to_owned(), ts.to_string().into());
    }
    match own {
        own if !kinds.contains(&own) => {
            let tokens: Vec<&str> = kinds.iter().map(|kind| kind.token()).collect();
            let kinds = tokens.join(" or ");
            refused(body, format!("the row is a {own} event, not {kinds}"))
        }
        _ if raw_http => parsed(body),
        own => Given { kind: Some(own), body, refused: None },
    }
}

/// The rows of a file, by its name: CSV or JSON lines, gz or not; `-` is standard input.
fn rows(
    settings: &Settings,
    args: &ScoreArgs,
) -> Result<(impl Iterator<Item = Given> + use<>, Noted)> {
    let unknown = || BadUsage(format!("there is no patrol {:?}", args.patrol));
    let spec = patrols::find(&args.patrol).ok_or_else(unknown)?.spec;
    let kinds = spec.kinds;
    let raw_http = args.raw_http;
    if raw_http && kinds != [Kind::Api] {
        let kinds = spec.kinds_told();
        return Err(
            BadUsage(format!("--raw-http is for patrols of api events, not {kinds}")).into()
        );
    }
    let file = if args.file.as_os_str() == "-" { "/dev/stdin".into() } else { args.file.clone() };
    let recording = Recording::File(file);
    let name = recording.name();
    let bytes_max = ROW_BYTES_MAX.max(settings.sensor.line_bytes_max);
    let rows = recording
        .rows(kinds, bytes_max)
        .map_err(|e| BadData(format!("{name} cannot be read: {e}")))?;
    let rows = if raw_http { rows.unshaped() } else { rows };
    let noted = Noted::default();
    let wrong = Rc::clone(&noted);
    let rows = rows.filter_map(move |row| match row {
        Ok(Ok(row)) => Some(given(row, kinds, raw_http)),
        Ok(Err(bad)) => {
            let line = || Fields(Map::from_iter([("line".to_owned(), bad.number.into())]));
            Some(refused(bad.fields.unwrap_or_else(line), bad.reason))
        }
        Err(e) => {
            let broken = format!("{name} cannot be read to its end: {e}");
            wrong.borrow_mut().broken = Some(broken);
            None
        }
    });
    Ok((rows, noted))
}

#[cfg(test)]
mod tests;
