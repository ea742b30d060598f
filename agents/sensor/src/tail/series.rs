//! Following a series of files: a log that goes on under a new name from time to time, as
//! PostgreSQL's does (`log_filename = 'postgresql-%Y-%m-%d_%H%M%S.log'`).
//!
//! The series is a folder or a pattern. Its members are read one after the other, by the time of
//! their last change: the newest is followed, and when a newer one appears the one before is
//! read to its end and left once it was quiet for `rotate_wait`. A member that was left and is
//! written again (by a straggler, or because the name came round again) is read on, or anew.
//!
//! Each member has a position of its own. After a restart, those without one that are newer than
//! the newest with one are read from their start; the older ones were there before the series
//! was followed. Where a series is looked at for the first time, `from` counts: at `end` only
//! the newest is followed, from its end on.

use super::{
    follow::{Follower, Step},
    position::{Position, Positions},
};
use crate::{Config, From, Tail, config::is_pattern};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// Time between two looks at the folder while the newest member is quiet.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many times longer than a file that ends with a line one is waited for that does not.
const HALF_LINE_WAITS: u32 = 15;

/// Most files of a series that are looked at. Beyond it the oldest are left alone.
const MEMBERS_MAX: usize = 10_000;

/// Whether a tail's path is a series: a pattern, or a folder.
#[must_use]
pub fn is_series(path: &Path) -> bool {
    is_pattern(path) || path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir()
}

/// Follows a series.
#[derive(Debug)]
pub struct Series {
    config: Config,
    /// Members that appear are read from their start.
    tail: Tail,
    from: From,
    positions: Positions,
    members: BTreeMap<PathBuf, Member>,
    looked: Option<Instant>,
    /// The first look is done.
    begun: bool,
}

/// A file of the series.
#[derive(Debug)]
struct Member {
    /// `None` once it was left.
    follower: Option<Follower>,
    /// Where it was left.
    left: Option<Position>,
    modified: SystemTime,
    seen: Seen,
    lag_bytes: u64,
    /// Since when it had nothing to read.
    quiet_since: Option<Instant>,
}

/// What tells that a file was written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    inode: u64,
    len: u64,
}

impl Series {
    /// For a tail whose path is a folder or a pattern.
    #[must_use]
    pub fn new(config: &Config, tail: &Tail, positions: Positions) -> Self {
        Self {
            config: config.clone(),
            tail: Tail { from: From::Start, ..tail.clone() },
            from: tail.from,
            positions,
            members: BTreeMap::new(),
            looked: None,
            begun: false,
        }
    }

    /// Reads on in the oldest member that holds something new.
    pub fn step(&mut self, now: Instant) -> io::Result<Step> {
        let due = self.looked.is_none_or(|at| now.duration_since(at) >= LOOK_EVERY);
        let warning = if due { self.look(now)? } else { None };
        let mut step = self.read(now)?;
        step.warning = step.warning.or(warning);
        step.lag_bytes = self.members.values().map(|m| m.lag_bytes).sum();
        Ok(step)
    }

    /// The members in the order in which they are read.
    fn in_order(&self) -> Vec<PathBuf> {
        let mut order: Vec<_> = self.members.iter().map(|(p, m)| (m.modified, p)).collect();
        order.sort();
        order.into_iter().map(|(_, path)| path.clone()).collect()
    }

    fn read(&mut self, now: Instant) -> io::Result<Step> {
        let wait = self.config.rotate_wait.get();
        let order = self.in_order();
        let newest = order.last().and_then(|path| Some((path.clone(), self.members.get(path)?)));
        let newest = newest.map(|(path, member)| (path, member.modified));
        for path in order {
            let Some(member) = self.members.get_mut(&path) else { continue };
            let Some(follower) = &mut member.follower else { continue };
            let mut step = follower.step(now)?;
            member.lag_bytes = step.lag_bytes;
            if !step.pieces.is_empty() || step.more {
                member.quiet_since = None;
                step.more = true;
                return Ok(step);
            }
            if newest.as_ref().is_some_and(|(newest, _)| *newest == path) {
                return Ok(step);
            }
            let since = *member.quiet_since.get_or_insert(now);
            let outlived = newest.as_ref().and_then(|(_, at)| at.checked_sub(wait));
            let half = step.lag_bytes > 0;
            let quiet = match half {
                // A writer may be slow in the middle of a line.
                true => now.duration_since(since) >= wait * HALF_LINE_WAITS,
                false => {
                    now.duration_since(since) >= wait
                        || outlived.is_some_and(|at| member.modified <= at)
                }
            };
            if quiet {
                let last = follower.leave();
                member.follower = None;
                member.lag_bytes = 0;
                member.left.clone_from(&last.position);
                return Ok(Step { more: true, ..last });
            }
            if !half {
                // What comes after it waits, so that the order of the log is kept.
                return Ok(step);
            }
        }
        Ok(Step::default())
    }

    /// Looks at the folder. The warning says what may be lost.
    fn look(&mut self, now: Instant) -> io::Result<Option<String>> {
        let found = found(&self.tail.path)?;
        let gone = |path: &&PathBuf| !found.contains_key(*path);
        for path in self.members.keys().filter(gone).cloned().collect::<Vec<_>>() {
            // One that is open is still read to its end.
            if self.members.get(&path).is_some_and(|member| member.follower.is_none()) {
                self.members.remove(&path);
                self.positions.forget(&path)?;
            }
        }
        let warning = if self.begun { None } else { self.begin(&found, now)? };
        for (path, (modified, seen)) in &found {
            let known = self.members.get_mut(path);
            if let Some(member) = known {
                let written = member.seen != *seen;
                (member.seen, member.modified) = (*seen, *modified);
                if written && member.follower.is_none() {
                    let follower = follower(&self.config, &self.tail, path, member.left.clone());
                    member.follower = Some(follower);
                    member.quiet_since = None;
                }
                continue;
            }
            let stored = self.positions.load(path)?;
            let follower = follower(&self.config, &self.tail, path, stored);
            self.members.insert(path.clone(), Member::of(follower, (*modified, *seen)));
        }
        self.begun = true;
        self.looked = Some(now);
        Ok(warning)
    }

    /// The first look of this process: which members are new, and which were there before.
    fn begin(
        &mut self,
        found: &BTreeMap<PathBuf, Found>,
        now: Instant,
    ) -> io::Result<Option<String>> {
        let mut stored = BTreeMap::new();
        for path in found.keys() {
            stored.extend(self.positions.load(path)?.map(|position| (path, position)));
        }
        let followed_before = self.positions.is_marked(&self.tail.path);
        self.positions.mark(&self.tail.path)?;
        let at = |path: &PathBuf| found.get(path).map(|(modified, _)| *modified);
        let newest = found.keys().max_by_key(|path| (at(path), *path));
        let known = stored.keys().copied().max_by_key(|path| (at(path), *path));
        for (path, (modified, seen)) in found {
            let older = |other: Option<&PathBuf>| {
                other.is_some_and(|other| (at(path), path) < (at(other), other))
            };
            let position = stored.get(path).cloned();
            let from_end = self.from == From::End && !followed_before;
            let read = match &position {
                Some(p) => p.left && p.inode == seen.inode && p.offset == seen.len,
                None if known.is_some() => older(known),
                None => from_end && older(newest),
            };
            let from =
                if from_end || (read && position.is_none()) { From::End } else { From::Start };
            let tail = Tail { from, ..self.tail.clone() };
            let mut follower = follower(&self.config, &tail, path, position.clone());
            let mut left = position;
            if read && left.is_none() {
                // Where it ends now: should it be written again, only that is read.
                left = follower.step(now)?.position;
            }
            let mut member = Member::of(follower, (*modified, *seen));
            if read {
                (member.follower, member.left) = (None, left);
            }
            self.members.insert(path.clone(), member);
        }
        let lost = followed_before && known.is_none() && !found.is_empty();
        Ok(lost.then(|| {
            "none of the files that were read before the restart is left: what they held beyond \
             the stored positions is lost"
                .to_owned()
        }))
    }
}

impl Member {
    fn of(follower: Follower, (modified, seen): Found) -> Self {
        let follower = Some(follower);
        Self { follower, left: None, modified, seen, lag_bytes: 0, quiet_since: None }
    }
}

fn follower(config: &Config, tail: &Tail, path: &Path, stored: Option<Position>) -> Follower {
    let tail = Tail { path: path.to_owned(), ..tail.clone() };
    Follower::new(config, &tail, stored).alone()
}

type Found = (SystemTime, Seen);

/// The files of a series that are there now, the newest [`MEMBERS_MAX`] of them.
fn found(path: &Path) -> io::Result<BTreeMap<PathBuf, Found>> {
    let (dir, pattern) = match (is_pattern(path), path.parent(), path.file_name()) {
        (true, Some(dir), Some(name)) => (dir, Some(name.to_string_lossy().into_owned())),
        _ => (path, None),
    };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let wanted = match &pattern {
            Some(pattern) => matches(pattern.as_bytes(), name.as_bytes()),
            None => log_of_folder(&path),
        };
        // It may have been removed since it was listed.
        let Some(metadata) = Some(&path).filter(|_| wanted).and_then(|p| fs::metadata(p).ok())
        else {
            continue;
        };
        if metadata.is_file() {
            let seen = Seen { inode: metadata.ino(), len: metadata.len() };
            found.push((metadata.modified()?, path, seen));
        }
    }
    found.sort();
    let over = found.len().saturating_sub(MEMBERS_MAX);
    Ok(found.into_iter().skip(over).map(|(at, path, seen)| (path, (at, seen))).collect())
}

/// How much later another file must have been written to be told of.
const LATER: Duration = Duration::from_secs(60);

/// A log of the same sort in a file's folder that was written since the file was.
pub(super) fn newer_beside(path: &Path, modified: SystemTime) -> io::Result<Option<PathBuf>> {
    let (Some(dir), kind) = (path.parent(), path.extension()) else { return Ok(None) };
    let newer = found(dir)?.into_iter().filter(|(other, (at, _))| {
        other.as_path() != path && other.extension() == kind && *at > modified + LATER
    });
    Ok(newer.max_by_key(|(_, (at, _))| *at).map(|(other, _)| other))
}

/// In a folder, `.json` and `.csv` count; where the server writes both of one log, its `.json`.
fn log_of_folder(path: &Path) -> bool {
    let is = |wanted: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(wanted));
    is("json") || (is("csv") && !path.with_extension("json").exists())
}

/// `*` is any text, `?` any one byte.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => {
            (0..=name.len()).any(|skip| name.get(skip..).is_some_and(|name| matches(rest, name)))
        }
        Some((want, rest)) => name
            .split_first()
            .is_some_and(|(first, name)| (*want == b'?' || want == first) && matches(rest, name)),
    }
}
