//! `magsentinel`: every role of the mesh in one binary, and the tools around it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a terminal")]
#![expect(unreachable_pub, reason = "a program exports nothing: `pub` says who uses it inside")]

mod args;
mod backtest;
mod bundle;
mod check;
mod evidence;
mod exit;
mod explain;
mod incident;
mod intel;
mod lease;
mod mesh;
mod output;
mod panic;
mod pattern;
mod progress;
mod reference;
mod replay;
mod roles;
mod run;
mod score;
mod settings;
mod status;
mod suppress;
mod unreadable;
mod up;

use args::{Cli, Command};
use clap::Parser;
use mimalloc::MiMalloc;
use output::Format;
use std::process::ExitCode;

/// Every role takes events apart into small pieces and lets go of them a batch later: docs/adr
/// has what the allocator makes of that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    magsentinel_runtime::memory::small_pages();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            if !e.use_stderr() {
                drop(e.print());
                return ExitCode::from(exit::OK);
            }
            match Format::of_args(std::env::args_os()) {
                Format::Text => drop(e.print()),
                json => json.error(e.render().to_string().trim(), exit::USAGE),
            }
            return ExitCode::from(exit::USAGE);
        }
    };
    let format = cli.global.output;
    format.begin();
    let result = tokio::runtime::Builder::new_multi_thread()
        .on_thread_park(magsentinel_runtime::memory::give_back_when_idle)
        .enable_all()
        .worker_threads(cli.global.threads.max(1))
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(dispatch(cli)));
    match result {
        Ok(()) => ExitCode::from(exit::OK),
        Err(e) => {
            let code = exit::of(&e);
            format.error(&format!("{e:#}"), code);
            ExitCode::from(code)
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let global = mesh::found(cli.global, &cli.command)?;
    match cli.command {
        Command::Up(args) => up::run(&global, args).await,
        Command::Run(args) => run::run(&global, args).await,
        Command::Replay(args) => replay::run(&global, args).await,
        Command::Score(args) => score::score(&global, &args),
        Command::Features(args) => score::features(&global, &args),
        Command::Status(args) => status::run(&global, args).await,
        Command::Bundle(command) => bundle::run(&global, command).await,
        Command::Pattern(command) => pattern::run(&global, command).await,
        Command::Check(args) => check::run(&global, &args).await,
        Command::Incident(args) => incident::run(&global, args).await,
        Command::Intel(command) => intel::run(&global, command).await,
        Command::Backtest(args) => backtest::run(&global, args).await,
        Command::Explain(args) => explain::run(&global, args).await,
        Command::Suppress(command) => suppress::run(&global, command).await,
        Command::Lease(command) => lease::run(&global, command).await,
        Command::Panic(args) => panic::run(&global, args).await,
        Command::Reference(args) => reference::run(&args),
        Command::Tied(args) => up::tied::run(&args),
    }
}
