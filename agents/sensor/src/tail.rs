//! Following logs: lines in, events out, each published before the position moves on.
//!
//! **Which file.** A file is recognised by its inode and its first record. Renamed away, it is
//! read to its end and for `rotate_wait` beyond, then its successor from the start; emptied in
//! place, the rest of it is looked for in the copy beside it. After a restart the same is done
//! from the stored position. Rotated files are looked for in the same folder under the same
//! name with something added (`auth.log.1`); one that is compressed already is out of reach,
//! and the operator is told. A log that goes on under new names is a [`series`].
//!
//! **Once.** An event's id is derived from tenant, format, the file's fingerprint, the line's
//! offset and the kind (and, from the second event of a kind in one line, its place), so that
//! lines that are read again after a crash give the same ids.
//!
//! **Nothing silent.** A line that cannot be understood becomes a dead letter with its reason;
//! lines of no interest are counted by reason; bytes that are no UTF-8 are replaced and the
//! event says `non_utf8: true`.

pub mod board;
pub mod events;
pub mod follow;
mod identity;
pub mod position;
pub mod series;

use crate::{
    Config, Format, Publisher, Tail,
    envelope::Bounds,
    parse::Parser,
    publisher::{Backoff, Outgoing, pause, publish_until},
};
pub use board::{Board, Status};
use events::Reader;
use follow::{Follower, Step};
use futures::future::join_all;
use magsentinel_bus_schema::Tenant;
use magsentinel_runtime::clock;
use position::{Position, Positions};
use series::{Series, is_series};
use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};
use tokio::{sync::watch, task::spawn_blocking};

/// Why no tail could begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder of positions, or a position in it, cannot be used.
    #[error("cannot use sensor.state_dir {dir:?}")]
    State {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nothing says where positions are kept.
    #[error("sensor.state_dir is empty, and neither XDG_STATE_HOME nor HOME is set: set one")]
    NoStateDir,
    /// A tail's settings make no sense.
    #[error("cannot follow {path:?}: {why}")]
    Tail {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Follows every file of `config.tails` until shutdown, and tells `board` how it goes. Ends at
/// once when there are none.
///
/// # Errors
/// When the positions cannot be read, or a tail's settings make no sense. What goes wrong later
/// (a file that cannot be read, a bus that does not confirm) is tried again for ever.
pub async fn tail<P: Publisher>(
    config: &Config,
    tenant: &Tenant,
    publisher: &P,
    board: &Board,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Error> {
    if config.tails.is_empty() {
        return Ok(());
    }
    let dir = state_dir(config)?;
    let state = |source| Error::State { dir: dir.clone(), source };
    let positions = Positions::open(&dir).map_err(state)?;
    let mut tails = Vec::new();
    for tail in &config.tails {
        let series = is_series(&tail.path);
        if series && tail.format != Format::Postgres {
            let why = crate::config::ONLY_POSTGRES.to_owned();
            return Err(Error::Tail { path: tail.path.clone(), why });
        }
        let stored = if series { None } else { positions.load(&tail.path).map_err(state)? };
        let parser = Parser::new(tail, config.sessions_max)
            .map_err(|why| Error::Tail { path: tail.path.clone(), why })?;
        let reader = Reader::new(tenant, tail, parser, Bounds::from(config));
        board.change(&tail.path, |status| status.format = tail.format.token());
        tails.push(Follow {
            config,
            tenant,
            tail,
            publisher,
            board,
            positions: positions.clone(),
            saved: stored.clone(),
            source: Some(match series {
                true => Source::Series(Series::new(config, tail, positions.clone())),
                false => Source::File(Follower::new(config, tail, stored)),
            }),
            reader,
            shutdown: shutdown.clone(),
        });
    }
    join_all(tails.into_iter().map(Follow::run)).await;
    Ok(())
}

/// The configured folder of positions, else the user's. Never the current folder: started
/// elsewhere, the sensor would not find its positions again.
fn state_dir(config: &Config) -> Result<PathBuf, Error> {
    if !config.state_dir.as_os_str().is_empty() {
        return Ok(config.state_dir.clone());
    }
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let home = || named("HOME").map(|home| home.join(".local/state"));
    let base = named("XDG_STATE_HOME").or_else(home).ok_or(Error::NoStateDir)?;
    Ok(base.join("magsentinel/sensor"))
}

/// What a tail reads from.
enum Source {
    File(Follower),
    Series(Series),
}

impl Source {
    fn step(&mut self, now: Instant) -> io::Result<Step> {
        match self {
            Self::File(follower) => follower.step(now),
            Self::Series(series) => series.step(now),
        }
    }
}

/// One tail.
struct Follow<'a, P> {
    config: &'a Config,
    tenant: &'a Tenant,
    tail: &'a Tail,
    publisher: &'a P,
    board: &'a Board,
    positions: Positions,
    saved: Option<Position>,
    /// Away only while a blocking thread reads with it.
    source: Option<Source>,
    reader: Reader,
    shutdown: watch::Receiver<bool>,
}

impl<P: Publisher> Follow<'_, P> {
    async fn run(mut self) {
        let mut backoff = Backoff::new(self.config);
        loop {
            let wait = match self.step().await {
                Ok(Some(step)) => {
                    let more = step.more;
                    if !self.pour(step).await {
                        return;
                    }
                    backoff = Backoff::new(self.config);
                    if more { std::time::Duration::ZERO } else { self.config.poll.get() }
                }
                Ok(None) => return,
                Err(error) => {
                    self.trouble(&format!("cannot read: {error}"));
                    backoff.pause()
                }
            };
            if pause(wait, &mut self.shutdown).await {
                return;
            }
        }
    }

    /// Reads, on a thread that may block; `None` when that thread died.
    async fn step(&mut self) -> io::Result<Option<Step>> {
        let Some(mut source) = self.source.take() else { return Ok(None) };
        let read = spawn_blocking(move || {
            let step = source.step(Instant::now());
            (source, step)
        });
        let Ok((source, step)) = read.await else { return Ok(None) };
        self.source = Some(source);
        step.map(Some)
    }

    /// Publishes what was read and stores the position; `false` on shutdown.
    async fn pour(&mut self, step: Step) -> bool {
        let path = self.tail.path.as_path();
        if let Some(warning) = &step.warning {
            tracing::error!(path = %path.display(), reason = %warning, "log has a gap");
            self.board.change(path, |status| status.gaps += 1);
        }
        if let Some(hint) = &step.hint {
            tracing::warn!(path = %path.display(), %hint, "log is quiet");
        }
        let fingerprint = step.position.as_ref().map_or("", |p| p.fingerprint.as_str());
        let file = step.position.as_ref().map_or(path, |p| p.path.as_path());
        self.reader.header(&step.header, clock::now());
        let (messages, mut tally) = self.reader.read(&step.pieces, file, fingerprint, clock::now());
        let name = &file.display().to_string();
        let board = self.board;
        let failed = |error: &crate::PublishError| {
            tracing::warn!(path = %path.display(), %error, "publish is tried again");
            board.change(path, |status| {
                status.publish_failures += 1;
                status.lag_bytes = step.lag_bytes;
                status.trouble = Some(error.to_string());
            });
        };
        let (tenant, backoff) = (self.tenant, Backoff::new(self.config));
        let out = Outgoing { tenant, name, fingerprint, messages };
        let poured = publish_until(self.publisher, out, backoff, &mut self.shutdown, failed).await;
        let Some(refused) = poured else { return false };
        tally.refused(refused);
        board.published(path, &tally, step.lag_bytes);
        match step.position {
            Some(position) if self.saved.as_ref() != Some(&position) => self.save(position).await,
            _ => true,
        }
    }

    /// Stores a position. Reading on without would publish everything again after a crash, so
    /// this is tried until it succeeds; `false` on shutdown.
    async fn save(&mut self, position: Position) -> bool {
        let mut backoff = Backoff::new(self.config);
        loop {
            let (positions, copy) = (self.positions.clone(), position.clone());
            let saved = spawn_blocking(move || positions.save(&copy)).await;
            match saved {
                Ok(Ok(())) => {
                    self.saved = Some(position);
                    return true;
                }
                Ok(Err(error)) => self.trouble(&format!("cannot store the position: {error}")),
                Err(_) => return false,
            }
            if pause(backoff.pause(), &mut self.shutdown).await {
                return false;
            }
        }
    }

    fn trouble(&self, what: &str) {
        let path: &Path = &self.tail.path;
        let shown = path.display();
        tracing::warn!(path = %shown, error = %what, "log cannot be followed; trying again");
        self.board.change(path, |status| {
            status.read_failures += 1;
            status.trouble = Some(what.to_owned());
        });
    }
}
