//! The program `magsentinel score` over the rows of one source.

use crate::rows::Row;
use anyhow::{Context, Result, bail};
use magsentinel_patrol::patrols::Entry;
use serde::Deserialize;
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
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
#[derive(Clone, Copy, Default)]
pub(crate) struct Score {
    /// 0..=1.
    pub(crate) score: f64,
    /// Level medium or above.
    pub(crate) flagged: bool,
}

#[derive(Deserialize)]
struct Line {
    scored: Said,
}

/// `{error}` where the row is no body of the kind: it is then not flagged.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    level: String,
    #[serde(default)]
    score: f64,
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
        let mut child = command.stdout(Stdio::piped()).spawn().context("magsentinel")?;
        let lines = child.stdout.take().context("no output of magsentinel")?;
        let mut scores = Vec::with_capacity(rows.len());
        for line in BufReader::new(lines).lines() {
            let Line { scored } = serde_json::from_str(&line?)?;
            let flagged = matches!(&*scored.level, "medium" | "high" | "critical");
            scores.push(Score { score: scored.score, flagged });
        }
        let status = child.wait()?;
        if !status.success() || scores.len() != rows.len() {
            bail!("magsentinel score: {status}, {} of {} rows", scores.len(), rows.len());
        }
        Ok(scores)
    }
}
