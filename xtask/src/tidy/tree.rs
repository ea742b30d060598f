//! The files of the repository.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

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
    for path in paths(root)? {
        if let Ok(text) = String::from_utf8(fs::read(root.join(&path))?) {
            let path = path.to_string_lossy().replace('\\', "/");
            found.push(File { path, text });
        }
    }
    Ok(found)
}

/// Every file of ours below the root, by its path from there.
pub(crate) fn paths(root: &Path) -> Result<Vec<PathBuf>> {
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
            } else if kind.is_file() {
                found.push(path.strip_prefix(root)?.to_path_buf());
            }
        }
    }
    Ok(found)
}
