//! Exit codes, after sysexits(3).

use magsentinel_commander::knowledge;
use magsentinel_runtime::{bus, service, settings::ConfigError};
use std::error::Error;

/// All went well.
pub const OK: u8 = 0;
/// The command line or the configuration is wrong, or a file that the configuration names.
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
  64  the command line or the configuration is wrong, or a file that the configuration names
      (a model, a pattern, a chain, a key) is missing or damaged
  65  the input is wrong: a file to read or an id is missing, a row or a file is damaged
  69  NATS cannot be reached or refuses us, or there is no logbook yet
  130 asked twice to end
With --output json, what went wrong is {\"error\": TEXT, \"code\": CODE} on standard error.";

/// The input data is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadData(pub String);

/// The command line or the configuration is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// The code of an error.
pub fn of(error: &anyhow::Error) -> u8 {
    // What a command made of an error goes before what the error is by itself.
    if error.is::<BadUsage>() {
        return USAGE;
    }
    if error.is::<BadData>() {
        return DATA;
    }
    error.chain().find_map(of_cause).unwrap_or(FAILED)
}

/// The code of one error of a chain; nothing where it says too little.
fn of_cause(cause: &(dyn Error + 'static)) -> Option<u8> {
    // What is made of the configuration, before anything runs.
    let configured = cause.is::<ConfigError>()
        || cause.is::<magsentinel_patrol::Error>()
        || cause.is::<magsentinel_analyzer::Error>()
        || cause.is::<magsentinel_commander::Error>()
        || cause.is::<magsentinel_responder::Error>();
    if configured {
        return Some(USAGE);
    }
    if cause.is::<magsentinel_sensor::replay::Error>()
        || cause.is::<magsentinel_patrol::bundle::Error>()
    {
        return Some(DATA);
    }
    if let Some(e) = cause.downcast_ref::<magsentinel_logbook::Error>() {
        return of_logbook(e);
    }
    if let Some(e) = cause.downcast_ref::<knowledge::Error>() {
        return of_knowledge(e);
    }
    let bus = match cause.downcast_ref::<service::Error>() {
        Some(service::Error::Bus(e)) => Some(e),
        Some(service::Error::Health { .. }) => return Some(USAGE),
        Some(service::Error::Start(_)) => return None,
        None => cause.downcast_ref::<bus::Error>(),
    };
    match bus? {
        bus::Error::Credentials { .. } => Some(USAGE),
        _ => Some(UNAVAILABLE),
    }
}

fn of_logbook(error: &magsentinel_logbook::Error) -> Option<u8> {
    use magsentinel_logbook::Error as E;
    match error {
        E::Missing(_) => Some(UNAVAILABLE),
        E::Busy(_) | E::Full(_) | E::Store { .. } | E::Entry { .. } => None,
        E::NoId(_) | E::Ambiguous { .. } => Some(DATA),
        _ => Some(USAGE),
    }
}

fn of_knowledge(error: &knowledge::Error) -> Option<u8> {
    use knowledge::Error as E;
    match error {
        E::Read { .. } | E::TooLarge { .. } | E::Bad { .. } => Some(DATA),
        E::NoPlace | E::Create { .. } | E::Foreign(_) => Some(USAGE),
        E::Store { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_code_is_that_of_the_class_wherever_it_stands_in_the_chain() {
        let code = |e: anyhow::Error| of(&e);
        assert_eq!(code(anyhow!("something")), FAILED);
        assert_eq!(code(BadUsage("x".to_owned()).into()), USAGE);
        assert_eq!(code(anyhow::Error::from(BadData("x".to_owned())).context("y")), DATA);
        let role = Err::<(), _>(anyhow!("x")).context(BadUsage("role y".to_owned()));
        assert_eq!(code(role.unwrap_err()), USAGE);
        let missing = magsentinel_logbook::Error::Missing("/no".into());
        assert_eq!(code(missing.into()), UNAVAILABLE);
        let unknown = magsentinel_patrol::Error::Unknown { name: "x".into(), known: "y".into() };
        assert_eq!(code(unknown.into()), USAGE);
        let source = std::io::Error::other("cut");
        let cut = magsentinel_sensor::replay::Error::Read { name: "x".into(), source };
        assert_eq!(code(cut.into()), DATA);
    }
}
