//! What can be typed about leases.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to do with leases.
#[derive(Subcommand)]
pub enum LeaseCommand {
    /// Those that hold or wait
    List {
        /// Also those that ended lately
        #[arg(long)]
        all: bool,
    },
    /// All that is known of one
    Show {
        /// Id, or an unambiguous beginning of at least four characters
        id: String,
    },
    /// What led to it, as it was kept: fetched, checked, and written to a file
    ///
    /// A bundle that is not as it was stored, in any byte, is not written: exit code 65.
    Evidence {
        /// Id of a lease or an incident, or an unambiguous beginning of at least four characters
        id: String,
        /// Where to
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// End one now, and undo its effect
    Revoke(OrderArgs),
    /// Let one take effect that waits: exactly what is shown, and nothing else
    Approve(OrderArgs),
    /// Let one hold longer
    Extend {
        #[command(flatten)]
        order: OrderArgs,
        /// How long, from now on: 30m, 8h
        #[arg(long = "for", value_name = "DURATION")]
        span: String,
    },
}

#[derive(Args, Clone)]
pub struct OrderArgs {
    /// Id, or an unambiguous beginning of at least four characters
    pub id: String,
    /// Why, for whoever reads the outcome
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who says so
    #[arg(long, env = "USER")]
    pub by: String,
}

#[derive(Args, Clone)]
pub struct PanicArgs {
    /// Let actions take effect again
    #[arg(long)]
    pub end: bool,
    /// Only on this host: tell nobody else
    #[arg(long)]
    pub host_only: bool,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who says so
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}
