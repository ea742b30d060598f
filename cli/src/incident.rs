//! `incident`: what the logbook knows.

use crate::{
    args::{Global, IncidentArgs, IncidentCommand},
    exit::{BadData, BadUsage},
    settings::Settings,
};
use anyhow::Result;
use magsentinel_bus_schema::Level;
use magsentinel_logbook::{Filter, Logbook, render};

/// Lists or shows.
pub fn run(global: &Global, args: IncidentArgs) -> Result<()> {
    let settings = Settings::load(global)?;
    let logbook = Logbook::open_configured(&settings.logbook)?;
    match args.command {
        IncidentCommand::List { level, limit } => {
            let level_min = Level::from_token(&level).ok_or_else(|| {
                let known = Level::ALL.iter().map(|l| l.token()).collect::<Vec<_>>().join(", ");
                BadUsage(format!("there is no level {level:?} (one of {known})"))
            })?;
            let rows = logbook.incidents(&Filter { level_min, limit, ..Filter::default() })?;
            global.output.print(&rows, || render::list(&rows));
        }
        IncidentCommand::Show { id } => {
            let found = logbook.incident(&id)?.ok_or_else(|| {
                BadData(format!("no incident {id:?}; `magsentinel incident list` shows them"))
            })?;
            global.output.print(&found, || render::incident(&found));
        }
    }
    Ok(())
}
