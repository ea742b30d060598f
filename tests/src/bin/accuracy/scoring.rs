//! The program `magsentinel score` over the rows of one source.

use crate::rows::Row;
use anyhow::{Context, Result, bail};
use magsentinel_patrol::patrols::Entry;
use serde::Deserialize;
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

/// The program, set up for one patrol.
pub(crate) struct Program<'a> {
    /// Where it lies.
    pub(crate) path: &'a Path,
    /// The patrol.
    pub(crate) entry: &'a Entry,
    /// Another model than the embedded one.
    pub(crate) model: Option<&'a Path>,
}

/// What the program said of a row.
#[derive(Clone, Default)]
pub(crate) struct Score {
    /// 0..=1.
    pub(crate) score: f64,
    /// Level medium or above.
    pub(crate) flagged: bool,
    /// Why it could not read the row; it is then not flagged.
    pub(crate) unread: Option<String>,
}

/// What the program exits with when some rows could not be read: it says so of each.
const BAD_DATA: i32 = 65;

#[derive(Deserialize)]
struct Line {
    scored: Said,
}

/// `{error}` where the row is no body of the kind.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    level: String,
    #[serde(default)]
    score: f64,
    #[serde(default)]
    error: Option<String>,
}

impl Program<'_> {
    /// One score per row, in order.
    pub(crate) fn score(&self, rows: &[Row], raw_http: bool) -> Result<Vec<Score>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("rows.jsonl");
        let mut out = BufWriter::new(File::create(&file)?);
        for row in rows {
            serde_json::to_writer(&mut out, &row.body)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        let mut command = Command::new(self.path);
        if let Some(model) = self.model {
            let key = format!("patrols.{}.model={}", self.entry.section, model.display());
            command.arg("--set").arg(key);
        }
        if let Ok(library) = std::env::var("MAGSENTINEL_ONNXRUNTIME") {
            command.arg("--set").arg(format!("inference.onnxruntime={library}"));
        }
        command.arg("score").arg(self.entry.spec.name).arg(&file);
        if raw_http {
            command.arg("--raw-http");
        }
        // What it says of bad rows stands in its output too.
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("magsentinel")?;
        let lines = child.stdout.take().context("no output of magsentinel")?;
        let mut scores = Vec::with_capacity(rows.len());
        for line in BufReader::new(lines).lines() {
            let Line { scored } = serde_json::from_str(&line?)?;
            let flagged = matches!(&*scored.level, "medium" | "high" | "critical");
            scores.push(Score { score: scored.score, flagged, unread: scored.error });
        }
        let status = child.wait()?;
        let told = status.success() || status.code() == Some(BAD_DATA);
        if !told || scores.len() != rows.len() {
            let mut said = String::new();
            if let Some(mut errors) = child.stderr.take() {
                errors.read_to_string(&mut said)?;
            }
            let (got, of) = (scores.len(), rows.len());
            bail!("magsentinel score: {status}, {got} of {of} rows: {}", said.trim());
        }
        Ok(scores)
    }
}
