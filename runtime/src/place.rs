//! Where a process keeps what must outlive it.

use std::{ffi::OsString, path::PathBuf};

/// The mesh's folder for state: `$XDG_STATE_HOME/magsentinel`, or
/// `$HOME/.local/state/magsentinel`; none when neither is set. A relative path counts as not set,
/// as the XDG Base Directory Specification says.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    of(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

fn of(state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let given = state_home.map(PathBuf::from).filter(|p| p.is_absolute());
    let below_home = || {
        home.map(PathBuf::from)
            .filter(|p| p.is_absolute())
            .map(|home| home.join(".local").join("state"))
    };
    given.or_else(below_home).map(|folder| folder.join("magsentinel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_the_users_unless_told() {
        let folder = |state: Option<&str>, home: Option<&str>| {
            of(state.map(Into::into), home.map(Into::into))
        };
        let in_home = Some(PathBuf::from("/home/a/.local/state/magsentinel"));
        assert_eq!(folder(Some("/s"), Some("/home/a")), Some(PathBuf::from("/s/magsentinel")));
        assert_eq!(folder(None, Some("/home/a")), in_home);
        assert_eq!(folder(Some("relative"), Some("/home/a")), in_home);
        assert_eq!(folder(None, None), None);
    }
}
