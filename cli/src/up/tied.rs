//! A program that does not outlive whoever started it, also when that one is killed.
//!
//! The kernel tells a process that its parent has died, where that process has asked for it. A
//! nats-server does not ask, so this program starts itself, asks, and becomes the server: who it
//! is told by stays the same. In case there is a former one all the same, the next `up` on its
//! folder ends it before it touches what that one has open.

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::process::Command;

/// How the server is told: it takes no new clients, lets those that it has drain for a while, and
/// ends.
const TOLD: Signal = Signal::USR2;
/// How long a former server may take to end before it is killed, and then to be gone.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
const GONE_WITHIN: Duration = Duration::from_secs(5);

#[derive(Args, Clone)]
pub struct TiedArgs {
    /// Process that started it
    #[arg(long, value_name = "PID")]
    pub parent: u32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<PathBuf>,
}

/// A command that becomes a program, tied to us. It must be started by the first thread: the
/// kernel takes the end of the thread that started it for the end of its parent.
pub fn command(program: &Path) -> Result<Command> {
    let own = std::env::current_exe().context("own path is unknown")?;
    let mut command = Command::new(own);
    command.args(["tied", "--parent", &std::process::id().to_string(), "--"]).arg(program);
    Ok(command)
}

/// Becomes the program.
pub fn run(args: &TiedArgs) -> Result<()> {
    set_parent_process_death_signal(Some(TOLD)).context("cannot be tied to its parent")?;
    // It may have died before that.
    if getppid().is_none_or(|pid| u32::try_from(pid.as_raw_nonzero().get()) != Ok(args.parent)) {
        bail!("whoever started it is no more");
    }
    let [program, rest @ ..] = args.command.as_slice() else { bail!("no program is named") };
    let error = std::process::Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("{} cannot be started", program.display()))
}

/// Ends the server of this configuration that an earlier `up` has left, and waits until it is gone:
/// two must never have the same streams open.
pub async fn end_former(pid_file: &Path, config: &Path) -> Result<()> {
    let Some(pid) = former(pid_file, config) else { return Ok(()) };
    for (signal, within) in [(Signal::TERM, ENDS_WITHIN), (Signal::KILL, GONE_WITHIN)] {
        if let Err(error) = kill_process(pid, signal) {
            tracing::debug!(%error, ?pid, "it has ended before it was asked");
        }
        let begun = Instant::now();
        while begun.elapsed() < within {
            if former(pid_file, config) != Some(pid) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    bail!("the nats-server of an earlier `up` (process {pid:?}) does not end: end it")
}

/// The process of the file, if it is still a server of this configuration.
fn former(pid_file: &Path, config: &Path) -> Option<Pid> {
    let pid = std::fs::read_to_string(pid_file).ok()?.trim().parse::<i32>().ok()?;
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let config = config.as_os_str().as_encoded_bytes();
    arguments.split(|byte| *byte == 0).any(|one| one == config).then(|| Pid::from_raw(pid))?
}
