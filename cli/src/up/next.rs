//! The next command to type, as a shell takes it where `up` was started.

use crate::{args::Global, mesh};
use magsentinel_bus_schema::Id;
use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The name of the program.
const NAME: &str = "magsentinel";

/// What every command begins and ends with.
pub struct Next {
    program: String,
    mesh: String,
}

impl Next {
    /// For the mesh of a data folder.
    pub fn of(data: &Path, global: &Global) -> Self {
        let here = env::current_dir().unwrap_or_default();
        let program = match env::current_exe().and_then(|own| own.canonicalize()) {
            Ok(own) => program(&own, &here, env::var_os("PATH").as_deref()),
            Err(_) => NAME.to_owned(),
        };
        let option = mesh::option(data, global);
        let mesh = option.map_or_else(String::new, |dir| format!(" --mesh {}", path(&dir, &here)));
        Self { program, mesh }
    }

    /// Everything that is known of an incident.
    pub fn show(&self, incident: Id) -> String {
        let Self { program, mesh } = self;
        format!("{program}{mesh} incident show {}", short(incident))
    }
}

/// As much of an id as people type.
pub fn short(id: Id) -> String {
    id.to_string().chars().take(8).collect()
}

/// How to start a program: by its name where `PATH` finds just it, else by its path.
fn program(own: &Path, here: &Path, search: Option<&OsStr>) -> String {
    let found = search.and_then(|dirs| {
        env::split_paths(dirs).map(|dir| dir.join(NAME)).find(|file| file.is_file())
    });
    match found.and_then(|file| file.canonicalize().ok()) {
        Some(found) if found == own => NAME.to_owned(),
        _ => path(own, here),
    }
}

/// A path as short as it can be from here, for a shell. It always has a slash, so that it is
/// neither an option nor a name to be looked for on `PATH`.
fn path(of: &Path, here: &Path) -> String {
    let from_here = of.strip_prefix(here).ok().filter(|rest| rest.file_name().is_some());
    let shown = match from_here {
        Some(rest) if rest.components().count() == 1 => Path::new(".").join(rest),
        Some(rest) if !rest.to_string_lossy().starts_with('-') => rest.to_path_buf(),
        _ => PathBuf::from(of),
    };
    quoted(&shown.to_string_lossy())
}

/// A word that a POSIX shell takes as it is.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_as_short_as_a_shell_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let own = dir.join("target/debug/magsentinel");
        std::fs::create_dir_all(own.parent().unwrap()).unwrap();
        std::fs::write(&own, "").unwrap();
        let on_path = own.parent().map(Path::as_os_str);
        assert_eq!(program(&own, &dir, on_path), "magsentinel");
        assert_eq!(program(&own, &dir, None), "target/debug/magsentinel");
        assert_eq!(program(&own, own.parent().unwrap(), None), "./magsentinel");
        assert_eq!(program(&own, Path::new("/elsewhere"), None), own.display().to_string());
        // Another of the same name comes first.
        let other = dir.join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("magsentinel"), "").unwrap();
        let both = env::join_paths([other.as_path(), own.parent().unwrap()]).unwrap();
        assert_eq!(program(&own, &dir, Some(&both)), "target/debug/magsentinel");
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        let here = Path::new("/home/ann");
        assert_eq!(path(Path::new("/data/my mesh"), here), "'/data/my mesh'");
        assert_eq!(path(Path::new("/home/ann/it's/x"), here), r"'it'\''s/x'");
        assert_eq!(path(Path::new("/home/ann/-x/y"), here), "/home/ann/-x/y");
        assert_eq!(path(here, here), "/home/ann");
    }
}
