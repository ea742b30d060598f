//! `accuracy`: what every patrol detects on the curated data, beside its rivals on the same rows.

use crate::{provision, workspace};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the card goes.
const CARD: &str = "docs/accuracy.md";

/// Debian packages of the rivals: the engine with libinjection inside, and the rules.
const PACKAGES: [&str; 2] = ["libmodsecurity3", "modsecurity-crs"];

/// The one file of the rules that tells that they are installed.
const RULES: &str = "/usr/share/modsecurity-crs/rules/REQUEST-901-INITIALIZATION.conf";

/// What may be said on the command line.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the curated data [default: what MAGSENTINEL_DATA names, else shared/data beside
    /// the repository]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder of models trained without one source each, by patrol, as `cargo xtask train` writes
    /// them with `--folds --left-out DIR`; they judge what the shipped model was trained on
    #[arg(long, value_name = "DIR")]
    left_out: Option<PathBuf>,
    /// Judge whole HTTP requests instead: JSON lines `{"raw": …, "label": 0|1, "source": …}`.
    /// Writes no card
    #[arg(long, value_name = "FILE")]
    raw_http: Option<PathBuf>,
    /// Only this patrol, and write no card; may be repeated
    #[arg(long)]
    patrol: Vec<String>,
    /// Rows of one source, part and class that the OWASP rule set sees at most; 0 is all
    #[arg(long)]
    rule_set_rows: Option<usize>,
    /// Leave the rivals out, and write no card
    #[arg(long)]
    alone: bool,
}

/// Installs the rivals if they lack, builds, simulates and measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    // Whole requests come with nothing else: any folder will do.
    let none = || args.raw_http.is_some().then(workspace::root);
    let data = args.data.clone().or_else(provision::data).or_else(none);
    let data = data.context("name the folder of the curated data: --data DIR")?;
    let data = fs::canonicalize(&data).with_context(|| format!("{}", data.display()))?;
    if !args.alone {
        rivals()?;
    }
    let library = provision::onnxruntime()?;
    // Optimised: hundreds of thousands of rows are scored.
    let programs =
        ["build", "--release", "--workspace", "--bin", "magsentinel", "--bin", "accuracy"];
    workspace::run(workspace::cargo().args(programs))?;
    let built = workspace::members()?.target_directory.join("release");
    let simulated = tempfile::tempdir()?;
    simulate(simulated.path())?;
    let mut command = Command::new(built.join("accuracy"));
    command.current_dir(workspace::root()).env(provision::ONNXRUNTIME, library);
    command.arg("--data").arg(data).arg("--program").arg(built.join("magsentinel"));
    command.args(["--models", "agents/patrol/models", "--severity", "analyzer/models"]);
    command.arg("--simulated").arg(simulated.path());
    for (flag, value) in [("--left-out", &args.left_out), ("--raw-http", &args.raw_http)] {
        if let Some(path) = value {
            let path = fs::canonicalize(path).with_context(|| format!("{}", path.display()))?;
            command.arg(flag).arg(path);
        }
    }
    args.patrol.iter().for_each(|patrol| {
        command.arg("--patrol").arg(patrol);
    });
    if let Some(most) = args.rule_set_rows {
        command.arg("--rule-set-rows").arg(most.to_string());
    }
    if args.alone {
        command.arg("--alone");
    }
    if !args.alone && args.patrol.is_empty() && args.raw_http.is_none() {
        command.args(["--out", CARD]);
    }
    workspace::run(&mut command)
}

/// Writes the simulated worlds that stand in where no public data can be had. The generators
/// need nothing but Python.
fn simulate(folder: &Path) -> Result<()> {
    let mut command = Command::new("python3");
    command.current_dir(workspace::root().join("training")).arg("simulated.py").arg(folder);
    workspace::run(&mut command)
}

/// Installs the packages of the rivals as root, else says what to install.
fn rivals() -> Result<()> {
    if Path::new(RULES).is_file() && package_version(PACKAGES[0]).is_some() {
        return Ok(());
    }
    let wanted = format!("apt-get install --no-install-recommends {}", PACKAGES.join(" "));
    let user = workspace::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" || workspace::on_path("apt-get").is_none() {
        bail!("the rivals lack: {wanted} (Debian 12 or newer), or leave them out: --alone");
    }
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "--no-install-recommends"]).args(PACKAGES);
    workspace::output(command.env("DEBIAN_FRONTEND", "noninteractive"))
        .with_context(|| format!("tried {wanted}; leave the rivals out with --alone"))?;
    Ok(())
}

fn package_version(name: &str) -> Option<String> {
    let mut command = Command::new("dpkg-query");
    workspace::output(command.args(["-W", "-f", "${Version}", name])).ok()
}
