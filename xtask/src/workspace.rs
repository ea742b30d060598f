//! Where things are, and how a program is started.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    // What cargo says now comes first: the build may have happened in another checkout.
    let now = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = now.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.parent().unwrap_or(&here).to_path_buf()
}

/// Cargo, in the repository's root, as if started from a shell: the variables that
/// `cargo run` set for this process would make some build scripts run again.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    forget_cargo_run(&mut command);
    command
}

/// The compiler that cargo uses here.
pub(crate) fn rustc() -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(root());
    command
}

/// Removes what `cargo run` told this process about itself.
pub(crate) fn forget_cargo_run(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || matches!(&*text, "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE");
        if ours {
            command.env_remove(&name);
        }
    }
}

/// Runs a command and waits for it; anything but success is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{} cannot start", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command and returns what it printed; its complaint becomes the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command.output().with_context(|| format!("{} cannot start", shown(command)))?;
    if !out.status.success() {
        let complaint = String::from_utf8_lossy(&out.stderr);
        let last: Vec<&str> = complaint.trim().lines().rev().take(4).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{} failed ({}): {}", shown(command), out.status, last.join(" | "));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A command as a reader would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let args = command.get_args().map(|a| a.to_string_lossy().into_owned());
    let words: Vec<String> = std::iter::once(name).chain(args).collect();
    format!("`{}`", words.join(" "))
}

/// The first file of this name on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// What `cargo metadata` says.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// The packages.
    pub(crate) packages: Vec<Package>,
    /// Where artefacts go.
    pub(crate) target_directory: PathBuf,
}

/// One package.
#[derive(Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence, an SPDX expression.
    pub(crate) license: Option<String>,
    /// Where it comes from; `None` for members of the workspace.
    pub(crate) source: Option<String>,
    /// Its manifest.
    pub(crate) manifest_path: PathBuf,
    /// What it names as dependencies, of every sort.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One named dependency.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    /// Name of the package.
    pub(crate) name: String,
}

/// The members of the workspace.
pub(crate) fn members() -> Result<Metadata> {
    metadata(&["--no-deps"])
}

/// Every package that any build for this platform may contain.
pub(crate) fn packages() -> Result<Metadata> {
    let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    metadata(&["--all-features", "--filter-platform", &triple])
}

fn metadata(args: &[&str]) -> Result<Metadata> {
    let text = output(cargo().args(["metadata", "--format-version", "1"]).args(args))?;
    serde_json::from_str(&text).context("what `cargo metadata` printed cannot be read")
}

/// Builds the program `magsentinel` in the profile of the tests, and says where it is.
///
/// `--workspace` unifies the features of dependencies as the tests do, so that nothing is
/// compiled twice.
pub(crate) fn build_magsentinel() -> Result<PathBuf> {
    run(cargo().args(["build", "--workspace", "--bin", "magsentinel"]))?;
    Ok(members()?.target_directory.join("debug/magsentinel"))
}
