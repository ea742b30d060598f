//! The workshop: everything that is done to this repository, as `cargo xtask <task>`.
//!
//! It is compiled first on a fresh machine and therefore depends on almost nothing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a terminal")]

mod accuracy;
mod bench;
mod chaos;
mod chart;
mod generate;
mod new_patrol;
mod provision;
mod suite;
mod tidy;
mod train;
mod up;
mod workspace;

use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Builds, runs, tests and checks MagSentinel.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch what is missing, build, and run the whole mesh with a small attack played into it
    Up {
        /// Passed on to `magsentinel up`, like `--tail postgres=/var/log/postgresql.json`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Everything that has to pass before a change is merged, in order, stopping at a failure
    Test,
    /// Check boundaries, manifests, licences, file lengths, names and words
    Tidy,
    /// Write the generated reference pages
    Gen {
        /// Write nothing; fail and name the pages that are stale
        #[arg(long)]
        check: bool,
    },
    /// Measure the mesh beside the bare broker, as a table
    Bench {
        /// Passed on to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measure what every patrol detects, beside libinjection and the OWASP rule set, as a table
    Accuracy(accuracy::Args),
    /// Run replicas of everything under faults, and compare what they decide with one process
    Chaos(chaos::Args),
    /// Lint and render the Helm chart
    Chart,
    /// Fetch nats-server, the native ONNX Runtime and PostgreSQL, and print where they are
    Provision,
    /// Write a new patrol: its file, pattern, model, table line and Helm key
    NewPatrol {
        /// Its name, like `cookie-watch`
        name: String,
        /// The event kind that it scores
        #[arg(long, default_value = "api")]
        kind: String,
    },
    /// Train a patrol's model, or `severity`, the analyzer's, and write it, with its self test, to
    /// agents/patrol/models or analyzer/models
    Train {
        /// The patrol, like `sql-guard`
        patrol: String,
        /// Folder of the curated data
        #[arg(long)]
        data: PathBuf,
        /// Passed on to the training program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Command::parse().task {
        Task::Up { args } => up::run(&args),
        Task::Test => return suite::run(),
        Task::Tidy => tidy::run(),
        Task::Gen { check } => generate::run(check),
        Task::Bench { args } => bench::run(&args),
        Task::Accuracy(args) => accuracy::run(&args),
        Task::Chaos(args) => chaos::run(&args),
        Task::Chart => chart::run(),
        Task::Provision => provision::run(),
        Task::NewPatrol { name, kind } => new_patrol::run(&name, &kind),
        Task::Train { patrol, data, args } => train::run(&patrol, &data, &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
