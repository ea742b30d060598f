//! Reading a file that grows, is rotated, emptied and replaced: blocking I/O, one step a call.

use super::{
    identity::{Head, between, find_rest, fingerprint},
    position::Position,
    series::newer_beside,
};
use crate::{
    Config, Format, From, Tail,
    lines::{Framing, Lines, Piece},
};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What one step read.
#[derive(Debug, Default)]
pub struct Step {
    /// Complete lines and other pieces, all of one file.
    pub pieces: Vec<Piece>,
    /// Where to go on once they are published; `None` before any file was found.
    pub position: Option<Position>,
    /// There is more to read at once.
    pub more: bool,
    /// Bytes of the file that are not yet read, or not yet part of a complete line.
    pub lag_bytes: u64,
    /// The header of a file (its first lines, where they begin with `#`) of which the reading goes
    /// on at a later place.
    pub header: Vec<String>,
    /// What an operator should know: lines that may be lost.
    pub warning: Option<String>,
    /// What an operator may want to change.
    pub hint: Option<String>,
}

/// Time between two looks for a file that was written since the followed one was.
const BESIDE_EVERY: Duration = Duration::from_secs(30);

/// Follows one path.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    framing: Framing,
    from: From,
    line_bytes_max: usize,
    read_bytes_max: usize,
    rotate_wait: Duration,
    open: Option<Open>,
    /// Rotated files to be read before the one at the path.
    queue: VecDeque<PathBuf>,
    /// The last place that was read, also after its file was left.
    last: Option<Position>,
    /// The stored position was looked for already.
    resumed: bool,
    /// Files beside it are no rotated ones of it, but members of the same series.
    alone: bool,
    /// Lines cannot be understood without their file's header.
    headed: bool,
    header: Vec<String>,
    /// When files beside it are looked at next; `None` when that was told or is of no use.
    beside: Option<Instant>,
    names_change: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    head: Head,
    generation: u64,
    fingerprint: String,
    lines: Lines,
    read_at: u64,
    /// Since when there was nothing to read and another file stood at the path.
    left_since: Option<Instant>,
    /// Nobody writes to it any more.
    abandoned: bool,
}

impl Follower {
    /// For a tail, from its stored position if it has one.
    #[must_use]
    pub fn new(config: &Config, tail: &Tail, stored: Option<Position>) -> Self {
        Self {
            path: tail.path.clone(),
            framing: if tail.is_csv() { Framing::Csv } else { Framing::Newline },
            from: tail.from,
            line_bytes_max: config.line_bytes_max,
            read_bytes_max: config.read_bytes_max,
            rotate_wait: config.rotate_wait.get(),
            open: None,
            queue: VecDeque::new(),
            last: stored,
            resumed: false,
            alone: false,
            headed: tail.format == Format::Zeek,
            header: Vec::new(),
            beside: None,
            names_change: tail.format == Format::Postgres,
        }
    }

    /// For a member of a series: what was rotated is not looked for in the files beside it.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, names_change: false, ..self }
    }

    /// Gives out what is left of a file that nobody writes to any more.
    pub fn leave(&mut self) -> Step {
        let mut step = Step::default();
        if let Some(mut open) = self.open.take() {
            open.lines.finish(&mut step.pieces);
            step.position = Some(Position { left: true, ..self.position(&open) });
            self.last.clone_from(&step.position);
        }
        step
    }

    /// Reads what is there, at most `read_bytes_max`. `now` only measures how long a file that
    /// was rotated away is quiet.
    pub fn step(&mut self, now: Instant) -> io::Result<Step> {
        let mut step = Step::default();
        if self.open.is_none() {
            self.open_next(&mut step)?;
        }
        let Some(mut open) = self.open.take() else { return Ok(step) };
        step.header = std::mem::take(&mut self.header);
        let done = self.read(&mut open, now, &mut step);
        step.position = Some(self.position(&open));
        self.last.clone_from(&step.position);
        if !matches!(done, Ok(true)) {
            self.open = Some(open);
        }
        done.map(|_| step)
    }

    /// Reads on in the open file; `true` when it is left for the next one.
    fn read(&mut self, open: &mut Open, now: Instant, step: &mut Step) -> io::Result<bool> {
        let len = open.file.metadata()?.len();
        if len < open.read_at || (len > open.read_at && !open.head.is_of(&open.file)?) {
            return self.emptied(open, step);
        }
        let mut bytes = vec![0; self.read_bytes_max.min(to_usize(len - open.read_at))];
        let read = open.file.read_at(&mut bytes, open.read_at)?;
        open.lines.push(bytes.get(..read).unwrap_or_default(), &mut step.pieces);
        open.read_at += read as u64;
        step.lag_bytes = len.saturating_sub(open.lines.offset());
        step.more = open.read_at < len;
        if read > 0 {
            open.left_since = None;
            return Ok(false);
        }
        // The writer may still hold a file that was renamed, until it opens the new one.
        let replaced = match fs::metadata(&self.path) {
            Ok(at_path) => at_path.ino() != open.inode,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(e),
        };
        if !replaced {
            open.left_since = None;
            step.hint = self.hint(open, now)?;
            return Ok(false);
        }
        let since = *open.left_since.get_or_insert(now);
        if !open.abandoned && now.duration_since(since) < self.rotate_wait {
            return Ok(false);
        }
        if !self.alone {
            self.queue = between(&self.path, &open.file.metadata()?)?.into();
        }
        open.lines.finish(&mut step.pieces);
        step.more = true;
        Ok(true)
    }

    /// A quiet file beside which another grows: PostgreSQL's rotation makes new names. Told once.
    fn hint(&mut self, open: &Open, now: Instant) -> io::Result<Option<String>> {
        if !self.names_change || self.beside.is_some_and(|next| now < next) {
            return Ok(None);
        }
        self.beside = Some(now + BESIDE_EVERY);
        let newer = newer_beside(&self.path, open.file.metadata()?.modified()?)?;
        self.names_change = newer.is_none();
        Ok(newer.map(|newer| {
            format!(
                "{} was written since: if the server has moved on to it (log_filename), name the \
                 folder or a pattern instead of this file",
                newer.display()
            )
        }))
    }

    /// The file was emptied (copytruncate), or overwritten. What was not read before may stand
    /// in the copy.
    fn emptied(&mut self, open: &mut Open, step: &mut Step) -> io::Result<bool> {
        let position = self.position(open);
        step.more = true;
        if let Some(copy) = self.find_rest(&position)? {
            let file = File::open(&copy)?;
            open.inode = file.metadata()?.ino();
            open.file = file;
            open.read_at = position.offset;
            open.lines = self.lines(position.offset);
            open.abandoned = true;
            return Ok(false);
        }
        open.lines.finish(&mut step.pieces);
        step.warning = Some(
            "file was emptied and no copy of it is there: lines written since the last look are \
             lost"
                .to_owned(),
        );
        Ok(true)
    }

    fn open_next(&mut self, step: &mut Step) -> io::Result<()> {
        if !self.resumed {
            match self.last.clone() {
                Some(stored) => self.resume(&stored, step)?,
                None => self.begin()?,
            }
            // Only now: a failed look must not be followed by reading everything anew.
            self.resumed = true;
            return Ok(());
        }
        let Some(rotated) = self.queue.front().cloned() else {
            self.open = found(self.open_file(&self.path.clone(), None))?;
            return Ok(());
        };
        match found(self.open_file(&rotated, None))? {
            Some(open) => self.open = Some(Open { abandoned: true, ..open }),
            None => {
                step.warning = Some(format!("{} holds no complete line", rotated.display()));
                step.more = true;
            }
        }
        self.queue.pop_front();
        Ok(())
    }

    /// First look at a file that was never read.
    fn begin(&mut self) -> io::Result<()> {
        // A file that is not there yet, or has no line yet, is read from its start later on.
        if let Some(mut open) = found(self.open_file(&self.path.clone(), None))? {
            if self.from == From::End {
                open.read_at = last_line_end(&open.file)?;
                open.lines = self.lines(open.read_at);
                self.header = self.header_of(&open.file)?;
            }
            self.open = Some(open);
        }
        Ok(())
    }

    /// First look at a file that was read before the restart.
    fn resume(&mut self, stored: &Position, step: &mut Step) -> io::Result<()> {
        if self.is_at_path(stored)? {
            self.open = self.open_file(&self.path.clone(), Some(stored))?;
            return Ok(());
        }
        match self.find_rest(stored)? {
            // It was read to its end, so nothing of it is missing.
            None if stored.left => step.more = true,
            Some(rest) => self.open = self.open_file(&rest, Some(stored))?,
            None => {
                step.warning = Some(
                    "the file that was read before the restart is gone: what it held beyond the \
                     stored position is lost"
                        .to_owned(),
                );
                step.more = true;
            }
        }
        Ok(())
    }

    /// Where the rest of a file that is no longer at its path may be.
    fn find_rest(&self, position: &Position) -> io::Result<Option<PathBuf>> {
        if self.alone { Ok(None) } else { find_rest(position) }
    }

    fn is_at_path(&self, stored: &Position) -> io::Result<bool> {
        let Some(file) = found(File::open(&self.path).map(Some))? else { return Ok(false) };
        let head = Head { len: stored.head_len, hash: stored.head.clone() };
        Ok(file.metadata()?.len() >= stored.offset && head.is_of(&file)?)
    }

    /// Opens a file at its start, or where a position says; `None` while it has no first line.
    fn open_file(&mut self, path: &Path, at: Option<&Position>) -> io::Result<Option<Open>> {
        let file = File::open(path)?;
        let inode = file.metadata()?.ino();
        if let Some(p) = at {
            self.header = self.header_of(&file)?;
            return Ok(Some(Open {
                file,
                inode,
                head: Head { len: p.head_len, hash: p.head.clone() },
                generation: p.generation,
                fingerprint: p.fingerprint.clone(),
                lines: self.lines(p.offset),
                read_at: p.offset,
                left_since: None,
                abandoned: false,
            }));
        }
        let Some(head) = Head::of(&file, self.framing)? else { return Ok(None) };
        // The same beginning a second time is a new file all the same. (Its inode need not be the
        // last one's: that may be the one of a copy.)
        let again = self.last.as_ref().filter(|l| l.head == head.hash);
        let generation = again.map_or(0, |last| last.generation + 1);
        let fingerprint = fingerprint(inode, &head, generation);
        let lines = self.lines(0);
        Ok(Some(Open {
            file,
            inode,
            head,
            generation,
            fingerprint,
            lines,
            read_at: 0,
            left_since: None,
            abandoned: false,
        }))
    }

    fn header_of(&self, file: &File) -> io::Result<Vec<String>> {
        if self.headed { header_of(file) } else { Ok(Vec::new()) }
    }

    fn lines(&self, offset: u64) -> Lines {
        Lines::new(self.framing, self.line_bytes_max, offset)
    }

    fn position(&self, open: &Open) -> Position {
        Position {
            path: self.path.clone(),
            inode: open.inode,
            head_len: open.head.len,
            head: open.head.hash.clone(),
            generation: open.generation,
            fingerprint: open.fingerprint.clone(),
            offset: open.lines.offset(),
            left: false,
        }
    }
}

/// The first lines of a file that begin with `#`.
fn header_of(file: &File) -> io::Result<Vec<String>> {
    let mut bytes = vec![0; 64 * 1024];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    let header = lines.take_while(|line| line.starts_with(b"#") && line.ends_with(b"\n"));
    Ok(header.map(|line| String::from_utf8_lossy(line).trim_end().to_owned()).collect())
}

/// What is not there is no failure.
fn found<T>(result: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

/// Offset after the last newline, so that reading from the end begins with a whole line.
fn last_line_end(file: &File) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; to_usize(end - start)];
        file.read_exact_at(&mut block, start)?;
        if let Some(at) = block.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
