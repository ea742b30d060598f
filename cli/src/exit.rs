//! Exit codes, after sysexits(3).

use magsentinel_runtime::{bus, service, settings::ConfigError};

/// All went well.
pub const OK: u8 = 0;
/// The command line or the configuration is wrong.
pub const USAGE: u8 = 64;
/// The input data is wrong.
pub const DATA: u8 = 65;
/// NATS cannot be reached, or another service is missing.
pub const UNAVAILABLE: u8 = 69;
/// Anything else.
pub const FAILED: u8 = 1;

/// Shown below `--help`.
pub const HELP: &str = "Exit codes:
  0   done
  1   failed
  64  the command line or the configuration is wrong
  65  the input data is wrong
  69  NATS cannot be reached
  130 asked twice to end";

/// The input data is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadData(pub String);

/// The command line is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// The code of an error.
pub fn of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<ConfigError>() || cause.is::<BadUsage>() {
            return USAGE;
        }
        if cause.is::<BadData>() {
            return DATA;
        }
        let bus = match cause.downcast_ref::<service::Error>() {
            Some(service::Error::Bus(e)) => Some(e),
            _ => cause.downcast_ref::<bus::Error>(),
        };
        match bus {
            Some(bus::Error::Credentials { .. }) => return USAGE,
            Some(_) => return UNAVAILABLE,
            None => {}
        }
    }
    FAILED
}
