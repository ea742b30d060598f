//! Recorded events, played again: at original speed, N times faster, or flat out.
//!
//! A replay is a run of its own: every id is derived from the run's id and the row's number, so
//! the same run played twice publishes the same ids, and another run others. Its events say
//! `replayed: true`, which means that nothing may act on them; only a scenario played *as live*
//! (see [`pace::Pace`]) says `replayed: false`, with the sensor's name `scenario`.

pub mod pace;
pub mod rows;

use crate::{
    Config, PublishError, Publisher,
    envelope::{Bounds, Refused, dead_letter, publish},
    publisher::{Backoff, Outgoing, Placed, pause, publish_until},
};
use magsentinel_bus_schema::{Event, Id, Kind, SCHEMA_VERSION, Source, Tenant, Timestamp, Trust};
use magsentinel_runtime::clock;
use pace::{Pace, Span, Speed};
use rows::{BadRow, Recording, Row};
use std::io;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, spawn_blocking},
    time::Instant,
};

/// What is played, and how.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The recording.
    pub recording: Recording,
    /// Kind of the rows that do not name theirs.
    pub kind: Option<Kind>,
    /// How fast.
    pub speed: Speed,
    /// As if it happened now: shifted in time, and not marked as replayed.
    pub as_live: bool,
    /// The run's id. The same run gives the same event ids.
    pub run: String,
    /// How far the rows are trusted about users and addresses.
    pub trust: Trust,
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows of the recording.
    pub total: u64,
    /// Rows that are published, as events or as dead letters.
    pub done: u64,
    /// Of these, the dead letters.
    pub rejected: u64,
    /// Failed attempts to publish.
    pub publish_failures: u64,
    /// Time of the latest event.
    pub ts: Option<Timestamp>,
    /// It was stopped before its end.
    pub stopped: bool,
}

/// Why a recording cannot be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the recording {name}")]
    Read {
        /// The recording.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The thread that read it died.
    #[error("the reader of the recording died")]
    Reader(#[source] JoinError),
}

/// Most messages published at once.
const BATCH_MAX: usize = 1000;

/// Plays a recording and returns when its last row is published, or on shutdown. `progress`
/// hears of every batch and of every failed attempt to publish.
///
/// # Errors
/// When the recording cannot be read; it is read once before anything is published, so that a
/// damaged one plays not at all.
pub async fn replay<P: Publisher>(
    config: &Config,
    tenant: &Tenant,
    replay: &Replay,
    publisher: &P,
    mut shutdown: watch::Receiver<bool>,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Progress, Error> {
    let (total, span) = survey(config, replay).await?;
    let mut told = Progress { total, ..Progress::default() };
    progress(told);
    let begin = Instant::now();
    let mut pace = match replay.as_live {
        true => Pace::live(replay.speed, span, clock::now()),
        false => Pace::recorded(replay.speed, span),
    };
    let player = Player { tenant, replay, bounds: Bounds::from(config) };
    let (mut rows, reading) = read(config, replay)?;
    let mut next = rows.recv().await;
    while let Some(row) = next.take() {
        let before = told;
        let due = player.due(&row, &mut pace);
        if pause(due.after.saturating_sub(begin.elapsed()), &mut shutdown).await {
            told.stopped = true;
            break;
        }
        let mut batch = Vec::new();
        player.play(&row, due.ts, &mut batch, &mut told);
        // Everything else that is due by now goes along.
        while batch.len() < BATCH_MAX {
            next = rows.try_recv().ok();
            let Some(row) = &next else { break };
            let mut ahead = pace;
            let due = player.due(row, &mut ahead);
            if due.after > begin.elapsed() {
                break;
            }
            pace = ahead;
            player.play(row, due.ts, &mut batch, &mut told);
            next = None;
        }
        let failed = |error: &PublishError| {
            tracing::warn!(%error, "publish is tried again");
            told.publish_failures += 1;
            progress(Progress { publish_failures: told.publish_failures, ..before });
        };
        let name = &replay.recording.name();
        let out = Outgoing { tenant, name, fingerprint: &replay.run, messages: batch };
        let backoff = Backoff::new(config);
        match publish_until(publisher, out, backoff, &mut shutdown, failed).await {
            Some(refused) => told.rejected += refused,
            None => {
                // Whether the last batch arrived is not known: it is not told as published.
                let publish_failures = told.publish_failures;
                told = Progress { publish_failures, stopped: true, ..before };
                break;
            }
        }
        progress(told);
        if next.is_none() {
            next = rows.recv().await;
        }
    }
    drop(rows);
    let read = reading.await.map_err(Error::Reader)?;
    read.map_err(|source| Error::Read { name: replay.recording.name(), source })?;
    Ok(told)
}

/// Counts the rows and finds the recording's extent in time.
async fn survey(config: &Config, replay: &Replay) -> Result<(u64, Span), Error> {
    let (recording, kind, max) = (replay.recording.clone(), replay.kind, config.line_bytes_max);
    let surveyed = spawn_blocking(move || {
        let (mut total, mut span) = (0, None::<Span>);
        for row in recording.rows(kind.as_slice(), max)? {
            total += 1;
            let Some(ts) = row?.ok().and_then(|row| row.ts) else { continue };
            let span = span.get_or_insert(Span { first: ts, last: ts });
            span.first = span.first.min(ts);
            span.last = span.last.max(ts);
        }
        Ok((total, span))
    });
    let (total, span) = surveyed
        .await
        .map_err(Error::Reader)?
        .map_err(|source| Error::Read { name: replay.recording.name(), source })?;
    let now = clock::now();
    Ok((total, span.unwrap_or(Span { first: now, last: now })))
}

type Reading = tokio::task::JoinHandle<io::Result<()>>;
type AnyRow = Result<Row, BadRow>;

/// Reads rows on a thread that may block, a bounded number ahead.
fn read(config: &Config, replay: &Replay) -> Result<(mpsc::Receiver<AnyRow>, Reading), Error> {
    let opened = replay.recording.rows(replay.kind.as_slice(), config.line_bytes_max);
    let rows = opened.map_err(|source| Error::Read { name: replay.recording.name(), source })?;
    let (send, receive) = mpsc::channel(BATCH_MAX);
    let reading = spawn_blocking(move || {
        for row in rows {
            if send.blocking_send(row?).is_err() {
                break;
            }
        }
        Ok(())
    });
    Ok((receive, reading))
}

/// Makes messages of rows.
struct Player<'a> {
    tenant: &'a Tenant,
    replay: &'a Replay,
    bounds: Bounds,
}

impl Player<'_> {
    fn due(&self, row: &AnyRow, pace: &mut Pace) -> pace::Due {
        pace.next(row.as_ref().ok().and_then(|row| row.ts))
    }

    fn play(&self, row: &AnyRow, ts: Timestamp, batch: &mut Vec<Placed>, told: &mut Progress) {
        told.done += 1;
        let refused = match row {
            Ok(row) => match publish(self.event(row, ts), self.bounds) {
                Ok(message) => {
                    told.ts = Some(ts);
                    batch.push(Placed { message, at: row.number });
                    return;
                }
                Err(reason) => {
                    BadRow { number: row.number, reason, bytes: vec![], len: 0, fields: None }
                }
            },
            Err(bad) => bad.clone(),
        };
        told.rejected += 1;
        let refused = Refused {
            name: &self.replay.recording.name(),
            fingerprint: &self.replay.run,
            at: refused.number,
            event: None,
            bytes: &refused.bytes,
            len: refused.len,
            reason: &refused.reason,
        };
        match dead_letter(self.tenant, &refused, clock::now()) {
            Ok(message) => batch.push(Placed { message, at: refused.at }),
            Err(error) => tracing::error!(%error, "dead letter cannot be written"),
        }
    }

    fn event(&self, row: &Row, ts: Timestamp) -> Event {
        let replay = self.replay;
        let id =
            Id::derived(&["replay", self.tenant.as_str(), &replay.run, &row.number.to_string()]);
        let sensor = if replay.as_live { "scenario" } else { "replay" };
        Event {
            v: SCHEMA_VERSION,
            id,
            tenant: self.tenant.clone(),
            kind: row.kind,
            ts,
            received: clock::now(),
            ts_missing: row.ts.is_none(),
            replayed: !replay.as_live,
            source: Source {
                sensor: sensor.to_owned(),
                name: replay.recording.name(),
                trust: replay.trust,
            },
            causes: Vec::new(),
            trace: None,
            body: row.body.clone(),
        }
    }
}
