//! What can be typed.

mod lease;

pub use lease::{LeaseCommand, OrderArgs, PanicArgs};

use crate::{exit::BadUsage, output::Format, reference::ReferenceArgs, up::tied::TiedArgs};
use clap::{Args, Parser, Subcommand};
use magsentinel_bus_schema::Timestamp;
use magsentinel_sensor::replay::pace::Speed;
use std::path::PathBuf;

/// A security mesh for platforms that speak NATS.
#[derive(Parser)]
#[command(name = "magsentinel", version, after_help = crate::exit::HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// For every command.
#[derive(Args, Clone)]
pub struct Global {
    /// Configuration file [default: ./magsentinel.yaml, else /etc/magsentinel/magsentinel.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, before file and environment: `--set analyzer.lateness=10s`
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The mesh of a `magsentinel up`, by its data folder: where its NATS, logbook and knowledge
    /// are [default: that in the default folder of `up`, where no file configures anything]
    #[arg(long, global = true, value_name = "DIR")]
    pub mesh: Option<PathBuf>,
    /// Form of what is printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Threads of this process
    #[arg(long, global = true, default_value_t = 2, value_name = "N")]
    pub threads: usize,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run the whole mesh here, and play an attack into it or watch real logs
    Up(UpArgs),
    /// Run one role of the mesh
    Run(RunArgs),
    /// Play recorded events into a mesh
    Replay(ReplayArgs),
    /// Score event bodies with a patrol: rows in, the same rows plus `scored` out
    Score(ScoreArgs),
    /// The features that a patrol's model sees, for training
    #[command(hide = true)]
    Features(ScoreArgs),
    /// Every service's state, and the loss ledger
    Status(StatusArgs),
    /// Publish a patrol's model and patterns to a running mesh, signed; or take them back
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Check the configuration and everything it names, without starting
    Check(CheckArgs),
    /// What the logbook knows of incidents
    Incident(IncidentArgs),
    /// Knowledge for analyses: ATT&CK and known exploited vulnerabilities
    #[command(subcommand)]
    Intel(IntelCommand),
    /// What changed chains or thresholds would have alerted, against what did
    Backtest(BacktestArgs),
    /// Why there is an alert on a key, or why there is none: how far every chain came; or
    /// `explain event ID`: what one event is
    Explain(ExplainArgs),
    /// Mute alerts, or keep actions from following, until a time, while the mesh runs
    #[command(subcommand)]
    Suppress(SuppressCommand),
    /// Rules that are proposed, tested, promoted and taken back while the mesh runs
    #[command(subcommand)]
    Pattern(PatternCommand),
    /// What the responder holds, and what waits for approval
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Undo every effect on this host and in the mesh, and let nothing take effect until
    /// `panic --end`; works on the host without NATS
    Panic(PanicArgs),
    /// Write the reference pages
    #[command(hide = true)]
    Reference(ReferenceArgs),
    /// Become a program that is told to end when whoever started it has died
    #[command(hide = true)]
    Tied(TiedArgs),
}

/// What to do with suppressions.
#[derive(Subcommand)]
pub enum SuppressCommand {
    /// Set one: it takes effect a few seconds later, for events from then on
    Add(SuppressAdd),
    /// Those that are set, and those that ended lately
    List {
        /// Every change that is on record, oldest first
        #[arg(long)]
        changes: bool,
    },
    /// End one before its time: it holds for a few seconds more
    End(SuppressEnd),
}

#[derive(Args, Clone)]
pub struct SuppressAdd {
    /// Its name, in every decision that it shapes; a token
    #[arg(long, value_name = "NAME")]
    pub id: String,
    /// mute: neither alert nor action; no-action: an alert as ever
    #[arg(long, value_parser = ["mute", "no-action"])]
    pub effect: String,
    /// Only decisions of this chain [default: of any]
    #[arg(long, value_name = "NAME")]
    pub chain: Option<String>,
    /// What the key names: user, client, session, device …
    #[arg(long)]
    pub class: String,
    /// The key, with the wildcards `*` and `?`, without regard to case
    #[arg(long, value_name = "PATTERN")]
    pub key: String,
    /// Highest level that is suppressed: low, medium, high, critical
    #[arg(long, default_value = "high", value_name = "LEVEL")]
    pub level_max: String,
    /// When it ends: RFC 3339, seconds since 1970, or from now on: 8h, 30d
    #[arg(long, value_name = "TIME")]
    pub until: String,
    /// Why, for whoever reads the decisions
    #[arg(long)]
    pub reason: String,
    /// Who sets it
    #[arg(long, env = "USER")]
    pub by: String,
}

#[derive(Args, Clone)]
pub struct SuppressEnd {
    /// Its name
    pub id: String,
    /// Who ends it
    #[arg(long, env = "USER")]
    pub by: String,
}

/// What to do with patterns.
#[derive(Subcommand)]
pub enum PatternCommand {
    /// Propose a rule or a chain: its user tests it, and runs it in shadow where it passes
    Propose(PatternPropose),
    /// What the gates would say of a rule or a chain, on what is retained, without proposing it
    Test(PatternTest),
    /// Patterns on their way, and those that are live
    List {
        /// Only of this patrol; `analyzer` for chains
        #[arg(long)]
        patrol: Option<String>,
        /// Also those that were refused, rejected or rolled back
        #[arg(long)]
        all: bool,
    },
    /// Everything that is known of one pattern
    Show {
        /// Id, or an unambiguous beginning of at least four characters
        id: String,
    },
    /// Sign a pattern that is ready: from then on every patrol of its name uses it
    Promote {
        /// Id, or an unambiguous beginning of at least four characters
        id: String,
        /// File with the seed to sign with; its public key must be one of `patterns.signers`
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Who promotes it
        #[arg(long, env = "USER")]
        by: String,
    },
    /// Say that a pattern is not wanted, before it is live
    Reject(PatternSay),
    /// Take a live pattern back
    Rollback(PatternSay),
}

#[derive(Args, Clone)]
pub struct PatternOf {
    /// File with one Sigma rule; for a chain, with its Sigma correlation and the rules of that
    pub file: PathBuf,
    /// The patrol that is to use it; `analyzer` for a chain or a threshold
    #[arg(long)]
    pub patrol: String,
    /// Incident whose events it must match: id, or an unambiguous beginning
    #[arg(long, required_unless_present = "event", conflicts_with = "event")]
    pub incident: Option<String>,
    /// Id of an event that it must match; may be given several times
    #[arg(long, value_name = "ID")]
    pub event: Vec<String>,
}

#[derive(Args, Clone)]
pub struct PatternPropose {
    #[command(flatten)]
    pub of: PatternOf,
    /// Who proposes it
    #[arg(long, env = "USER")]
    pub by: String,
}

#[derive(Args, Clone)]
pub struct PatternTest {
    #[command(flatten)]
    pub of: PatternOf,
}

#[derive(Args, Clone)]
pub struct PatternSay {
    /// Id, or an unambiguous beginning of at least four characters
    pub id: String,
    /// Why, for whoever reads it later
    #[arg(long)]
    pub reason: String,
    /// Who says so
    #[arg(long, env = "USER")]
    pub by: String,
}

/// What to do with bundles.
#[derive(Subcommand)]
pub enum BundleCommand {
    /// Make a key for signing: the seed goes to the file, the public key is printed
    Key {
        /// Where the seed is written; must not exist yet
        file: PathBuf,
    },
    /// Sign and publish: the patrol's processes check it and use it from their next batch on
    Publish(PublishArgs),
    /// What is published for a patrol, oldest first
    List {
        /// Name of the patrol
        patrol: String,
    },
    /// Use the bundle before the newest again
    Rollback {
        /// Name of the patrol
        patrol: String,
    },
    /// Use what is built in or configured again
    Withdraw {
        /// Name of the patrol
        patrol: String,
    },
}

/// What to do with knowledge.
#[derive(Subcommand)]
pub enum IntelCommand {
    /// Read files into the commander's knowledge, in place of what was imported before: all of
    /// them, or nothing
    Import {
        /// ATT&CK's STIX bundle (`enterprise-attack.json`), CISA's KEV catalogue
        /// (`known_exploited_vulnerabilities.json`), or JSON lines of either; gz or not
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// What is there, and where it comes from
    List,
    /// Search ATT&CK
    Search {
        /// An id, or words
        #[arg(required = true)]
        words: Vec<String>,
        /// At most so many
        #[arg(long, default_value_t = 10, value_name = "N")]
        limit: usize,
    },
}

#[derive(Args, Clone)]
pub struct PublishArgs {
    /// Name of the patrol
    pub patrol: String,
    /// File with the seed to sign with; its public key must be one of `inference.bundles.signers`
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// ONNX file; its self test lies beside it as `<name>.selftest.json`
    #[arg(long, value_name = "FILE", required_unless_present = "patterns")]
    pub model: Option<PathBuf>,
    /// Directory of Sigma rules, to be used instead of those that are built in
    #[arg(long, value_name = "DIR")]
    pub patterns: Option<PathBuf>,
}

#[derive(Args, Clone)]
pub struct UpArgs {
    /// Watch a log instead of playing the scenario: `postgres=/path` (a file, a folder or a
    /// pattern), or `sshd`, `access`, `zeek` or `suricata` and a file; may be given several times
    #[arg(long, value_name = "FORMAT=PATH")]
    pub tail: Vec<String>,
    /// Use a running server instead of starting one
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// The nats-server program to start (2.10 or newer); of no use with --nats
    #[arg(long, value_name = "PATH", env = "MAGSENTINEL_NATS_SERVER")]
    pub nats_server: Option<PathBuf>,
    /// Where streams, logbook and positions are kept
    /// [default: $XDG_STATE_HOME/magsentinel/up]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Play this recording instead of the built-in scenario (JSON lines, gz or not)
    #[arg(long, value_name = "FILE", conflicts_with = "tail")]
    pub scenario: Option<PathBuf>,
    /// Play nothing
    #[arg(long, conflicts_with_all = ["scenario", "tail"])]
    pub no_scenario: bool,
    /// Times faster than recorded, like 60 or 60x; flat (or 0) plays without any pause
    #[arg(long, default_value = "120", value_name = "N", value_parser = speed)]
    pub speed: Speed,
    /// End by itself once the scenario is played and its alerts, analyses and outcomes are in
    #[arg(long)]
    pub once: bool,
}

#[derive(Args, Clone)]
pub struct RunArgs {
    /// sensor, a patrol (sql-guard, data-flow, api-watch, auth-sentry, net-sentry), analyzer,
    /// commander, responder or logbook
    pub role: String,
    /// Watch a log: `postgres=/path` (a file, a folder or a pattern), or `sshd`, `access`, `zeek`
    /// or `suricata` and a file (sensor only)
    #[arg(long, value_name = "FORMAT=PATH")]
    pub tail: Vec<String>,
    /// End when standard input ends: for a parent that may die
    #[arg(long, hide = true)]
    pub with_parent: bool,
}

#[derive(Args, Clone)]
pub struct ReplayArgs {
    /// Recording: JSON lines or CSV, gz or not
    pub file: PathBuf,
    /// Kind of the rows, where they are bare bodies
    #[arg(long)]
    pub kind: Option<String>,
    /// Times faster than recorded, like 60 or 60x; flat (or 0) plays without any pause
    #[arg(long, default_value = "1", value_name = "N", value_parser = speed)]
    pub speed: Speed,
    /// Tenant to play into: the mesh's, or one for recordings with roles of its own
    #[arg(long, default_value = "replay")]
    pub tenant: String,
    /// Name of this run; mixed into every id, so that a second run is a new one
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// Play as if it happened now: such events may lead to actions
    #[arg(long)]
    pub as_live: bool,
}

#[derive(Args, Clone)]
pub struct ScoreArgs {
    /// The patrol
    pub patrol: String,
    /// Event bodies: JSON lines or CSV, gz or not; `-` reads JSON lines from standard input
    pub file: PathBuf,
    /// Rows hold whole HTTP requests as text in `raw` (api-watch): each is taken apart first,
    /// and comes back as a body with the row's other fields
    #[arg(long)]
    pub raw_http: bool,
}

#[derive(Args, Clone)]
pub struct StatusArgs {
    /// Also prove, sequence by sequence, that every event of a patrol's kind was answered for
    #[arg(long)]
    pub audit: bool,
}

#[derive(Args, Clone)]
pub struct CheckArgs {
    /// Also connect to NATS
    #[arg(long)]
    pub connect: bool,
}

#[derive(Args, Clone)]
pub struct IncidentArgs {
    #[command(subcommand)]
    pub command: IncidentCommand,
}

#[derive(Subcommand, Clone)]
pub enum IncidentCommand {
    /// List incidents, newest first
    List {
        /// Only this level and above: low, medium, high, critical
        #[arg(long, default_value = "none")]
        level: String,
        /// At most so many
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Timeline, evidence, analysis, actions and outcomes of one incident
    Show {
        /// Id, or an unambiguous beginning of at least four characters
        id: String,
    },
    /// Write one incident as a report
    Export(ExportArgs),
    /// Say whether an incident was an attack: patrols count it, the logbook keeps it
    Close(CloseArgs),
}

#[derive(Args, Clone)]
pub struct ExportArgs {
    /// Id, or an unambiguous beginning of at least four characters
    pub id: String,
    /// Markdown or one HTML page for people, a STIX 2.1 bundle or OCSF findings (JSON lines) for
    /// programs
    #[arg(long, value_parser = ["md", "html", "stix", "ocsf"], default_value = "md")]
    pub format: String,
    /// Write to this file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Args, Clone)]
pub struct CloseArgs {
    /// Id, or an unambiguous beginning of at least four characters
    pub id: String,
    /// Whether it was an attack
    #[arg(long = "as", value_name = "JUDGEMENT", value_parser = ["true-positive", "false-positive"])]
    pub judgement: String,
    /// Why, for whoever reads the incident later
    #[arg(long, default_value = "")]
    pub note: String,
    /// Who says so
    #[arg(long, env = "USER", default_value = "")]
    pub by: String,
}

#[derive(Args, Clone)]
pub struct BacktestArgs {
    /// File of chains that take the place of those of their names; without one, the configured
    /// chains are tried. Thresholds are changed by `--set analyzer.decision.block_high=0.8`
    #[arg(long, value_name = "FILE")]
    pub chains: Option<PathBuf>,
    /// Try the chain or threshold that an incident suggests: it must find the incident's own events,
    /// and alert on nothing that nothing else explains, within `patterns.false_positives_max`.
    /// Printed is what to put into a file of `analyzer.chains_dir`
    #[arg(long, value_name = "INCIDENT", conflicts_with = "chains")]
    pub propose: Option<String>,
    /// Scored events stored from this time on: RFC 3339, or seconds since 1970 [default: all]
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// … and before this one [default: now]
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

#[derive(Args, Clone)]
pub struct ExplainArgs {
    /// Id of an alert or incident, or an unambiguous beginning of at least four characters; or the
    /// word `event`
    #[arg(required_unless_present = "key", conflicts_with_all = ["key", "class", "at"])]
    pub incident: Option<String>,
    /// After the word `event`: id of one event, or an unambiguous beginning; told is what it is, by
    /// whom, and how common it is for them
    #[arg(requires = "incident", value_name = "EVENT")]
    pub event: Option<String>,
    /// Name of a user, client, session …, to be explained whether or not there is an alert
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// What the key names: user, client, session, device …
    #[arg(long, default_value = "user")]
    pub class: String,
    /// When it happened, give or take the longest window: RFC 3339, or seconds since 1970
    /// [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

/// A pace as an option gives it; 0 is flat out, too.
fn speed(text: &str) -> Result<Speed, String> {
    match text.trim().parse::<f64>() {
        Ok(0.0) => Ok(Speed::Flat),
        _ => text.parse(),
    }
}

/// A time as an option gives it.
pub fn moment(option: &str, text: &str) -> Result<Timestamp, BadUsage> {
    let read = Timestamp::from_value(&text.into());
    read.map_err(|e| BadUsage(format!("{option} {text:?}: {e}")))
}
