//! The files of the repository.

use anyhow::{Context, Result};
use std::{fs, path::Path};

/// A text file.
pub(super) struct File {
    /// Path from the root, with `/`.
    pub(super) path: String,
    /// Its text.
    pub(super) text: String,
}

/// Folders that hold nothing of ours: what is built, installed or kept by git.
const FOREIGN: &[&str] = &[".git", ".venv", "__pycache__", "node_modules", "target"];

/// Every text file below the root. Binary files are left out.
pub(super) fn files(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !FOREIGN.iter().any(|foreign| name == *foreign) {
                    folders.push(path);
                }
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(fs::read(&path)?)
            {
                let path = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    Ok(found)
}
