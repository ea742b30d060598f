//! The switch on the host: a file, so that it works when nothing else does.

use crate::lease::Off;
use magsentinel_bus_schema::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Name of the file in the responder's state folder.
pub const FLAG: &str = "enforcement-off";

/// The flag of this host.
#[derive(Clone, Debug)]
pub struct HostFlag {
    path: PathBuf,
}

impl HostFlag {
    /// The flag in a state folder.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { path: state_dir.join(FLAG) }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who raised it, if it is up. A file that says nothing counts: somebody put it there.
    #[must_use]
    pub fn read(&self) -> Option<Off> {
        // What cannot be looked at may be there.
        if !self.path.try_exists().unwrap_or(true) {
            return None;
        }
        let text = std::fs::read(&self.path).unwrap_or_default();
        let said: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let of = |key: &str| said.get(key).and_then(|v| v.as_str()).unwrap_or("?").to_owned();
        let since = of("since").parse().unwrap_or_default();
        Some(Off { by: of("by"), reason: of("reason"), since })
    }

    /// Raises it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn raise(&self, by: &str, reason: &str, now: Timestamp) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let said = json!({ "by": by, "reason": reason, "since": now.to_string() });
        std::fs::write(&self.path, format!("{said}\n"))
    }

    /// Takes it down. Whether it was up.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn lower(&self) -> std::io::Result<bool> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_raised_it_and_counts_even_when_it_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let flag = HostFlag::of(&dir.path().join("state"));
        assert_eq!(flag.read(), None);
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        flag.raise("ann", "the wrong one", now).unwrap();
        let off = Off { by: "ann".into(), reason: "the wrong one".into(), since: now };
        assert_eq!(flag.read(), Some(off));
        std::fs::write(flag.path(), "").unwrap();
        assert!(flag.read().is_some());
        assert!(flag.lower().unwrap() && !flag.lower().unwrap());
        assert_eq!(flag.read(), None);
    }
}
