//! The folder of fetched tools: each is there whole or not at all.

use anyhow::{Context, Result, bail};
use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// `$XDG_CACHE_HOME/magsentinel`, else `~/.cache/magsentinel`.
pub(crate) fn folder() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    match cache {
        Some(cache) => Ok(cache.join("magsentinel")),
        None => bail!("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder"),
    }
}

/// The path of `file` in the tool `name`, after `fill` has filled the tool's folder when there
/// was none. Others who want the same tool wait; a fill that fails leaves nothing behind.
pub(super) fn tool(
    name: &str,
    file: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    tool_in(&tools()?, name, file, fill)
}

/// The folder of all tools.
pub(super) fn tools() -> Result<PathBuf> {
    Ok(folder()?.join("tools"))
}

/// The same in another folder of tools.
pub(super) fn tool_in(
    tools: &Path,
    name: &str,
    file: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let place = tools.join(name);
    let wanted = place.join(file);
    if wanted.exists() {
        return Ok(wanted);
    }
    fs::create_dir_all(tools).with_context(|| format!("{} cannot be made", tools.display()))?;
    let lock = File::create(tools.join(format!(".{name}.lock")))?;
    lock.lock().with_context(|| format!("{name} cannot be locked"))?;
    if wanted.exists() {
        return Ok(wanted);
    }
    let fresh = tempfile::Builder::new().prefix(".fetch-").tempdir_in(tools)?;
    let filled = fresh.path().join("tool");
    fs::create_dir(&filled)?;
    fill(&filled)?;
    if !filled.join(file).exists() {
        bail!("{name} was fetched, but holds no {file}");
    }
    // What lies there lacks the wanted file: the remains of another layout.
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(&filled, &place).with_context(|| format!("{} cannot be made", place.display()))?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn two_at_once_fetch_once() {
        let tools = tempfile::tempdir().unwrap();
        let fills = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let found = tool_in(tools.path(), "saw-1.0", "saw", |folder| {
                        fills.fetch_add(1, Ordering::SeqCst);
                        Ok(fs::write(folder.join("saw"), "teeth")?)
                    });
                    assert_eq!(fs::read_to_string(found.unwrap()).unwrap(), "teeth");
                });
            }
        });
        assert_eq!(fills.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_fetch_that_fails_leaves_nothing_and_can_be_tried_again() {
        let tools = tempfile::tempdir().unwrap();
        let fetch = |fill: fn(&Path) -> Result<()>| tool_in(tools.path(), "saw-1.0", "saw", fill);
        let cut = |folder: &Path| {
            fs::write(folder.join("saw"), "te")?;
            bail!("the line was cut")
        };
        assert!(fetch(cut).is_err());
        assert!(fetch(|_| Ok(())).unwrap_err().to_string().contains("holds no saw"));
        let whole = fetch(|folder| Ok(fs::write(folder.join("saw"), "teeth")?)).unwrap();
        assert_eq!(fs::read_to_string(whole).unwrap(), "teeth");
    }
}
