//! Which file is it? By inode, and by its beginning: a rename keeps the first, a copy the
//! second, and a file that was emptied and begun again keeps only its inode.

use super::position::{Position, hex};
use crate::lines::{Framing, Lines, What};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Most bytes of a file's beginning that identify it: up to its first record, or this many.
const HEAD_BYTES_MAX: usize = 1024;

/// Files that no longer hold lines.
const COMPRESSED: &[&str] = &["gz", "xz", "zst", "bz2", "lz4", "zip"];

/// A file's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: u64,
    pub(super) hash: String,
}

impl Head {
    /// Of a file up to its first record; `None` as long as it has no complete one. Lines that
    /// begin with `#` are a header, which every file of a log may have in common, and so may be
    /// the first line of a CSV record.
    pub(super) fn of(file: &File, framing: Framing) -> io::Result<Option<Self>> {
        let bytes = beginning(file, HEAD_BYTES_MAX)?;
        let mut pieces = Vec::new();
        Lines::new(framing, HEAD_BYTES_MAX, 0).push(&bytes, &mut pieces);
        let first = pieces.iter().find(|p| p.what != What::Line || !p.bytes.starts_with(b"#"));
        let end = first.and_then(|piece| usize::try_from(piece.end).ok());
        let len = end.or((bytes.len() == HEAD_BYTES_MAX).then_some(HEAD_BYTES_MAX));
        Ok(len.map(|len| Self::hashed(bytes.get(..len).unwrap_or(&bytes))))
    }

    fn hashed(bytes: &[u8]) -> Self {
        Self { len: bytes.len() as u64, hash: hex(&Sha256::digest(bytes)) }
    }

    /// Whether a file begins with this.
    pub(super) fn is_of(&self, file: &File) -> io::Result<bool> {
        let len = usize::try_from(self.len).unwrap_or(HEAD_BYTES_MAX).min(HEAD_BYTES_MAX);
        let bytes = beginning(file, len)?;
        Ok(bytes.len() == len && Self::hashed(&bytes) == *self)
    }
}

fn beginning(file: &File, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// What the ids of a file's events are derived from.
pub(super) fn fingerprint(inode: u64, head: &Head, generation: u64) -> String {
    let parts = format!("{inode}\n{}\n{}\n{generation}", head.len, head.hash);
    let digest = hex(&Sha256::digest(parts.as_bytes()));
    digest.get(..32).unwrap_or(&digest).to_owned()
}

/// A file beside the followed one that may hold older lines of it.
#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    pub(super) len: u64,
    pub(super) modified: SystemTime,
}

/// Files named like rotated ones: `name.1`, `name-20261121`, `name.1.json`, oldest first.
pub(super) fn siblings(path: &Path) -> io::Result<Vec<Sibling>> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(vec![]) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let name = name.to_string_lossy();
    let stem = path.file_stem().map(|s| s.to_string_lossy()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let rest = other.strip_prefix(&*name).or_else(|| other.strip_prefix(&*stem));
        let rotated = other != *name && rest.is_some_and(|r| r.starts_with(['.', '-', '_']));
        let extension = other.rsplit('.').next().unwrap_or_default();
        if !rotated || COMPRESSED.contains(&extension) {
            continue;
        }
        // It may have been removed since it was listed.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if metadata.is_file() {
            found.push(sibling(entry.path(), &metadata)?);
        }
    }
    found.sort_by(|a, b| (a.modified, &b.path).cmp(&(b.modified, &a.path)));
    Ok(found)
}

fn sibling(path: PathBuf, metadata: &Metadata) -> io::Result<Sibling> {
    let (inode, len, modified) = (metadata.ino(), metadata.len(), metadata.modified()?);
    Ok(Sibling { path, inode, len, modified })
}

/// The file that a position speaks of, when it is no longer at its path: the same inode with
/// the same beginning, else a copy that reaches at least as far.
pub(super) fn find_rest(position: &Position) -> io::Result<Option<PathBuf>> {
    let head = Head { len: position.head_len, hash: position.head.clone() };
    let mut copy = None;
    for sibling in siblings(&position.path)? {
        let Ok(file) = File::open(&sibling.path) else { continue };
        if sibling.len < position.offset || !head.is_of(&file)? {
            continue;
        }
        if sibling.inode == position.inode {
            return Ok(Some(sibling.path));
        }
        copy = Some(sibling.path);
    }
    Ok(copy)
}

/// Rotated files written after the one that was just read to its end, oldest first: there are
/// some when a log was rotated more than once between two looks.
pub(super) fn between(path: &Path, after: &Metadata) -> io::Result<Vec<PathBuf>> {
    let (inode, modified) = (after.ino(), after.modified()?);
    let now_at_path = fs::metadata(path).map(|m| m.ino()).ok();
    let newer = siblings(path)?.into_iter().filter(|s| {
        s.inode != inode && Some(s.inode) != now_at_path && s.modified > modified && s.len > 0
    });
    Ok(newer.map(|s| s.path).collect())
}
