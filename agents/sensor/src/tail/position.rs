//! Where reading goes on after a restart, kept durably.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A place in a file, and what the file is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The configured path. The file itself may have been renamed since.
    pub path: PathBuf,
    /// Its inode.
    pub inode: u64,
    /// Bytes of its beginning that `head` covers.
    pub head_len: u64,
    /// SHA-256 of its beginning, hexadecimal.
    pub head: String,
    /// How often a file with this inode and beginning was emptied and begun again.
    pub generation: u64,
    /// What its events' ids are derived from.
    pub fingerprint: String,
    /// Everything before this offset is published.
    pub offset: u64,
    /// It was read to its end and left for a newer one of its series.
    #[serde(default)]
    pub left: bool,
}

/// The stored positions of one sensor: a small file for each followed path.
#[derive(Clone, Debug)]
pub struct Positions {
    dir: PathBuf,
}

impl Positions {
    /// In a folder, which is made when it is not there.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn file(&self, path: &Path) -> PathBuf {
        let name = hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()));
        self.dir.join(format!("{}.json", name.get(..32).unwrap_or(&name)))
    }

    /// The stored position of a path. A file that cannot be read as one is an error, because
    /// beginning anew would publish a whole log again.
    pub fn load(&self, path: &Path) -> io::Result<Option<Position>> {
        let file = self.file(path);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let position = serde_json::from_slice(&bytes).map_err(|e| {
            let why = format!(
                "stored position {} of {} is damaged ({e}): remove it to begin anew",
                file.display(),
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        Ok(Some(position))
    }

    /// Whether a series was followed before.
    #[must_use]
    pub fn is_marked(&self, series: &Path) -> bool {
        self.file(series).with_extension("series").exists()
    }

    /// Notes that a series is followed from now on.
    pub fn mark(&self, series: &Path) -> io::Result<()> {
        File::create(self.file(series).with_extension("series"))?.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    /// Forgets the position of a file that is no more.
    pub fn forget(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(self.file(path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Stores a position: when this returns, it survives a power cut, and at no time is there
    /// half of one.
    pub fn save(&self, position: &Position) -> io::Result<()> {
        let file = self.file(&position.path);
        let temporary = file.with_extension("new");
        let mut new = File::create(&temporary)?;
        new.write_all(&serde_json::to_vec(position)?)?;
        new.sync_all()?;
        fs::rename(&temporary, &file)?;
        File::open(&self.dir)?.sync_all()
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_again_and_a_damaged_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let positions = Positions::open(&dir.path().join("a/b")).unwrap();
        let path = Path::new("/var/log/auth.log");
        assert_eq!(positions.load(path).unwrap(), None);
        let mut position = Position {
            path: path.to_owned(),
            inode: 7,
            head_len: 3,
            head: "ab".into(),
            generation: 0,
            fingerprint: "f".into(),
            offset: 10,
            left: false,
        };
        positions.save(&position).unwrap();
        position.offset = 20;
        positions.save(&position).unwrap();
        assert_eq!(positions.load(path).unwrap(), Some(position));
        fs::write(positions.file(path), b"{\"path\":").unwrap();
        assert!(positions.load(path).unwrap_err().to_string().contains("remove it"));
    }
}
