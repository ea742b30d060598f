//! `test`: what has to pass before a change is merged. Continuous integration runs exactly this.

mod tally;

use crate::{chart, generate, new_patrol, provision, tidy, workspace};
use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};
use tally::{Reading, Tally};

/// Runs every step in order and stops at the first that fails. The last line printed is the
/// sum over all test runs.
pub(crate) fn run() -> ExitCode {
    let mut steps = Steps::default();
    let mut tally = Tally::default();
    let result = all(&mut steps, &mut tally);
    steps.print();
    if let Err(e) = &result {
        println!("failed: {e:#}");
    }
    if result.is_ok() && tally.ran() == 0 {
        println!("failed: no test ran");
    }
    println!("{tally}");
    if result.is_ok() && tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all(steps: &mut Steps, tally: &mut Tally) -> Result<()> {
    let cargo = |args: &[&str]| workspace::run(workspace::cargo().args(args));
    steps.step("fmt", || cargo(&["fmt", "--all", "--check"]))?;
    steps.step("clippy", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    })?;
    steps.step("tidy", tidy::run)?;
    steps.step("gen --check", || generate::run(true))?;
    let tools = steps.step("provision", provision::all)?;
    steps.step("chart", chart::run)?;
    let runner = if has_nextest() { Runner::Nextest } else { Runner::Libtest };
    let test = |steps: &mut Steps, tally: &mut Tally, name: &str, mut command: Command| {
        tools.describe(&mut command);
        steps.step(name, || watched(&mut command, tally, std::io::stdout(), std::io::stderr()))
    };
    test(steps, tally, "tests", runner.command(&["--workspace"]))?;
    let mut doctests = workspace::cargo();
    doctests.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    test(steps, tally, "doctests", doctests)?;
    let before = tally.ran();
    let written = new_patrol::trial()?;
    test(steps, tally, "new-patrol", written)?;
    if tally.ran() < before + new_patrol::TRIAL_TESTS {
        bail!("step new-patrol: the patrol that `new-patrol` writes has no test, card or scenario");
    }
    // A folder of its own: with other features almost every dependency is another one, and a
    // developer's quick build must not wait for this one's lock.
    let folder = workspace::members()?.target_directory.join("llm");
    let mut llm = runner.command(&["-p", "magsentinel-commander", "--features", "llm"]);
    llm.arg("--target-dir").arg(folder);
    lint_while_building(&mut llm)?;
    test(steps, tally, "llm", llm)
}

/// Lets clippy compile the members of the workspace, and stop at a warning.
///
/// What clippy finds in code behind a feature would otherwise cost a second reading of every
/// dependency that the feature brings in, hundreds of them: for a check they are compiled anew.
/// Clippy's compiler is the compiler with more lints, so what it makes can be run. It takes its
/// arguments as `cargo clippy` hands them over.
fn lint_while_building(command: &mut Command) -> Result<()> {
    let folder = workspace::output(workspace::rustc().args(["--print", "sysroot"]))?;
    let driver = Path::new(folder.trim()).join("bin/clippy-driver");
    if !driver.is_file() {
        bail!("{} is missing: rustup component add clippy", driver.display());
    }
    command.env("RUSTC_WORKSPACE_WRAPPER", driver);
    command.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    Ok(())
}

#[derive(Clone, Copy)]
enum Runner {
    Nextest,
    Libtest,
}

impl Runner {
    fn command(self, what: &[&str]) -> Command {
        let mut command = workspace::cargo();
        match self {
            Self::Nextest => command.args(["nextest", "run", "--profile", "ci"]).args(what),
            Self::Libtest => {
                command.args(["test", "--lib", "--bins", "--tests", "--no-fail-fast"]).args(what)
            }
        };
        command
    }
}

fn has_nextest() -> bool {
    let found = workspace::output(workspace::cargo().args(["nextest", "--version"])).is_ok();
    if !found {
        println!("cargo-nextest is not installed: plain `cargo test` runs the tests");
    }
    found
}

/// Runs a test runner, shows what it prints, and counts what it reports.
fn watched(
    command: &mut Command,
    tally: &mut Tally,
    to_out: impl Write + Send,
    to_err: impl Write + Send,
) -> Result<()> {
    let name = workspace::shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} cannot start"))?;
    let out = child.stdout.take().context("no standard output")?;
    let err = child.stderr.take().context("no standard error")?;
    let (out, err) = thread::scope(|scope| {
        let out = scope.spawn(|| pass_on(out, to_out));
        let err = scope.spawn(|| pass_on(err, to_err));
        (out.join(), err.join())
    });
    for counted in [out, err] {
        tally.add(counted.map_err(|_| anyhow::anyhow!("the output of {name} was lost"))??);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

fn pass_on(from: impl Read, mut to: impl Write) -> Result<Tally> {
    let mut reading = Reading::default();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        reading.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(reading.total())
}

/// What was done, and how long each took.
#[derive(Default)]
struct Steps(Vec<(String, Duration, bool)>);

impl Steps {
    fn step<T>(&mut self, name: &str, what: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n==> {name}");
        let started = Instant::now();
        let done = what().with_context(|| format!("step {name}"));
        self.0.push((name.to_owned(), started.elapsed(), done.is_ok()));
        done
    }

    fn print(&self) {
        println!("\n{:<14} {:>9}  result", "step", "seconds");
        for (name, took, good) in &self.0 {
            let result = if *good { "ok" } else { "FAILED" };
            println!("{name:<14} {:>9.1}  {result}", took.as_secs_f64());
        }
        let total: Duration = self.0.iter().map(|(_, took, _)| *took).sum();
        println!("{:<14} {:>9.1}", "total", total.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_that_fails_is_an_error_and_its_count_is_kept() {
        let mut tally = Tally::default();
        let script = "echo 'test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; \
                      0 filtered out; finished in 0.0s'; exit 101";
        let mut shown = Vec::new();
        let mut command = Command::new("sh");
        let result = watched(command.args(["-c", script]), &mut tally, &mut shown, Vec::new());
        assert!(String::from_utf8_lossy(&shown).contains("1 failed"));
        assert!(result.is_err());
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 2 skipped");
        assert!(!tally.is_good());
    }

    #[test]
    fn what_clippy_finds_stops_a_build_that_it_compiles() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let manifest = "[package]\nname = \"small\"\nedition = \"2024\"\n\
                        [features]\nmore = []\n[workspace]\n";
        write("Cargo.toml", manifest);
        // The compiler has nothing to say about it; clippy has.
        write(
            "src/lib.rs",
            "#[cfg(feature = \"more\")]\npub fn f(x: bool) -> bool { x == true }\n\
             #[test]\nfn it_runs() { assert_eq!(\"ab\".len(), 2); }\n",
        );
        let build = |more: &[&str]| {
            let mut command = workspace::cargo();
            command.current_dir(dir.path()).args(["test", "--offline", "--lib"]).args(more);
            command.arg("--target-dir").arg(dir.path().join("target"));
            lint_while_building(&mut command).unwrap();
            workspace::output(&mut command)
        };
        let ran = build(&[]).unwrap();
        assert!(ran.contains("1 passed"), "{ran}");
        let told = build(&["--features", "more"]).unwrap_err().to_string();
        assert!(told.contains("could not compile"), "{told}");
    }
}
