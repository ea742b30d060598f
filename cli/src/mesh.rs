//! Finding the mesh that `up` runs: what it leaves in its data folder for the other commands.
//!
//! With `--mesh DIR` a command uses everything that the `up` of that folder was told. Without, it
//! does so for the default folder of `up`, but only where nothing says otherwise: no configuration
//! file, and neither option nor variable that says where NATS or the logbook is.

use crate::{
    args::{Command, Global},
    exit::BadUsage,
};
use anyhow::{Context, Result, bail};
use magsentinel_runtime::{
    place::state_folder,
    settings::{ENV_PREFIX, default_file},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The file in a data folder.
const FILE: &str = "mesh.json";
/// The file that a running `up` holds a lock on.
pub const LOCK: &str = "lock";
/// The key of where NATS is: no use once the server has ended with its `up`.
const URL: &str = "bus.url=";
/// What says which mesh is meant.
const PLACES: [&str; 2] = [URL, "logbook.path="];

/// How an `up` is configured.
#[derive(Serialize, Deserialize)]
struct Left {
    /// Its configuration file.
    config: Option<PathBuf>,
    /// Its settings beside that, `key=value`.
    set: Vec<String>,
}

/// Where `up` keeps its data unless it is told.
pub fn default_folder() -> Option<PathBuf> {
    state_folder().map(|state| state.join("up"))
}

/// Leaves how this `up` is configured. The file is its owner's alone: an address may hold a
/// password.
pub fn leave(data: &Path, global: &Global) -> Result<()> {
    let config = global.config.clone().or_else(default_file);
    let config = config.map(|path| std::path::absolute(&path)).transpose()?;
    let left = serde_json::to_vec(&Left { config, set: global.set.clone() })?;
    let fresh = data.join(format!("{FILE}.new"));
    drop(std::fs::remove_file(&fresh));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(&left)?;
    std::fs::rename(&fresh, data.join(FILE)).with_context(|| format!("{}", data.display()))
}

/// What a command uses: its own settings, before those of the mesh that it is about.
pub fn found(global: Global, command: &Command) -> Result<Global> {
    match (&global.mesh, command) {
        // They say themselves what runs.
        (Some(_), Command::Up(_)) => bail!(BadUsage("`up` takes --data DIR, not --mesh".into())),
        (None, Command::Up(_) | Command::Run(_) | Command::Check(_)) => Ok(global),
        (None, Command::Score(_) | Command::Features(_) | Command::Reference(_)) => Ok(global),
        (_, Command::Tied(_)) => Ok(global),
        (Some(dir), _) => named(dir.clone(), global),
        (None, _) => Ok(by_default(global)),
    }
}

fn named(dir: PathBuf, mut global: Global) -> Result<Global> {
    let why = |e: String| BadUsage(format!("--mesh {}: {e}", dir.display()));
    let left = read(&dir).map_err(|e| {
        why(format!("no `magsentinel up --data` has run there ({e}); name its data folder"))
    })?;
    let mut set = left.set;
    if !is_running(&dir) {
        // Its server has ended with it: nobody has to wait long to hear so.
        set.push("bus.startup=1s".to_owned());
    }
    global.config = global.config.or(left.config);
    set.append(&mut global.set);
    global.set = set;
    Ok(global)
}

fn by_default(mut global: Global) -> Global {
    let is_place = |one: &String| PLACES.iter().any(|place| one.starts_with(place));
    let is_said = is_configured(&global) || global.set.iter().any(is_place);
    let Some(dir) = default_folder().filter(|_| !is_said) else { return global };
    let Ok(left) = read(&dir) else { return global };
    let running = is_running(&dir);
    let mut set = left.set;
    set.retain(|one| !is_in_environment(one) && (running || !one.starts_with(URL)));
    global.config = left.config;
    set.append(&mut global.set);
    global.set = set;
    global
}

/// What to add to a command so that it is about the mesh of a data folder: nothing where it finds
/// that by itself.
pub fn option(data: &Path, global: &Global) -> Option<PathBuf> {
    let default = default_folder().and_then(|folder| folder.canonicalize().ok());
    let by_itself = default.is_some_and(|folder| folder == data) && !is_configured(global);
    (!by_itself).then(|| data.to_path_buf())
}

fn read(dir: &Path) -> Result<Left> {
    Ok(serde_json::from_slice(&std::fs::read(dir.join(FILE))?)?)
}

/// Whether a file or the environment says which mesh is meant.
fn is_configured(global: &Global) -> bool {
    let file = global.config.is_some() || default_file().is_some();
    file || PLACES.iter().any(|place| is_in_environment(place))
}

/// Whether the environment says otherwise about the key of a setting.
fn is_in_environment(set: &str) -> bool {
    let key = set.split('=').next().unwrap_or(set);
    let name = format!("{ENV_PREFIX}__{}", key.replace('.', "__").to_uppercase());
    std::env::var_os(name).is_some()
}

/// Whether an `up` holds the lock of its folder.
fn is_running(dir: &Path) -> bool {
    let held = |file: File| file.try_lock_shared().is_err();
    File::open(dir.join(LOCK)).is_ok_and(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn global(set: &[&str]) -> Global {
        Global {
            config: None,
            set: set.iter().map(ToString::to_string).collect(),
            mesh: None,
            output: Format::Text,
            threads: 1,
        }
    }

    #[test]
    fn what_up_leaves_is_found_again_below_the_commands_own_settings() {
        let dir = tempfile::tempdir().unwrap();
        let up = global(&["logbook.path=/a", "bus.url=nats://ann:pass@127.0.0.1:1"]);
        leave(dir.path(), &up).unwrap();
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
        assert_eq!(mode & 0o777, 0o600);
        let lock = File::create(dir.path().join(LOCK)).unwrap();
        lock.lock().unwrap();
        let told = named(dir.path().into(), global(&["logbook.path=/b"])).unwrap();
        assert_eq!(told.set, [&up.set[..], &["logbook.path=/b".to_owned()]].concat());
        lock.unlock().unwrap();
        // Without a running `up`, waiting long for its server is of no use.
        let told = named(dir.path().into(), global(&[])).unwrap();
        assert!(told.set.contains(&"bus.startup=1s".to_owned()), "{:?}", told.set);
    }

    #[test]
    fn a_folder_without_a_mesh_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let told = named(dir.path().into(), global(&[])).err().unwrap();
        assert_eq!(crate::exit::of(&told), crate::exit::USAGE);
        assert!(told.to_string().contains("--data"), "{told}");
    }
}
