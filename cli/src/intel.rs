//! `intel`: what the commander knows beyond the evidence.

use crate::{
    args::{Global, IntelCommand},
    exit::BadData,
    output::table,
    progress,
    settings::Settings,
};
use anyhow::Result;
use magsentinel_commander::{
    Library,
    knowledge::{
        Error, Gathered, Told,
        import::Parts,
        library::{Contents, Found, Limits},
    },
};
use std::path::PathBuf;

/// Characters of a description in a list.
const TEXT_CHARS: usize = 96;

/// Imports, lists or searches.
pub async fn run(global: &Global, command: IntelCommand) -> Result<()> {
    let settings = Settings::load(global)?;
    // SQLite waits for the disk and for other writers.
    let global = global.clone();
    let work = move || carry_out(&global, &settings, command);
    tokio::task::spawn_blocking(work).await?
}

fn carry_out(global: &Global, settings: &Settings, command: IntelCommand) -> Result<()> {
    let commander = &settings.commander;
    let file = commander.knowledge_file()?;
    match command {
        IntelCommand::Import { files } => {
            // All files are read and checked before the store is so much as opened.
            let parts = gather(global, &files)?;
            let mut library = Library::open_file(&file, Limits::from(commander))?;
            let told = library.import(&parts)?;
            global.output.print(&told, || imported(&told, &file));
        }
        IntelCommand::List => {
            let mut library = Library::open_file(&file, Limits::from(commander))?;
            let contents = library.contents()?;
            global.output.print(&contents, || listed(&contents, &file));
        }
        IntelCommand::Search { words, limit } => {
            let mut library = Library::open_file(&file, Limits::from(commander))?;
            let found = library.search(&words.join(" "), limit)?;
            global.output.print(&found, || searched(&found));
        }
    }
    Ok(())
}

fn gather(global: &Global, files: &[PathBuf]) -> Result<Parts> {
    let bar = progress::bar(global, "files read", files.len() as u64);
    let mut gathered = Gathered::default();
    let data = |e: Error| match e {
        // The data is wrong, not the program.
        Error::Bad { .. } | Error::TooLarge { .. } => BadData(e.to_string()).into(),
        other => anyhow::Error::from(other),
    };
    for file in files {
        gathered.read(file).map_err(data)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    gathered.finish().map_err(data)
}

fn imported(told: &Told, file: &std::path::Path) -> String {
    let mut text = String::new();
    if told.objects > 0 {
        let version = told.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
        text += &format!(
            "ATT&CK{version}: {} objects, {} techniques, {} of them with mitigations\n",
            told.objects, told.techniques, told.mitigated
        );
        text += &format!(
            "  left out: {} revoked or deprecated, {} without an ATT&CK id, {} mitigations of \
             what is not there\n",
            told.revoked, told.others, told.loose
        );
    }
    if told.exploited > 0 {
        text += &format!("known exploited vulnerabilities: {}\n", told.exploited);
    }
    text + &format!(
        "kept in {}; a running commander uses it from its next batch on\n",
        file.display()
    )
}

fn listed(contents: &Contents, file: &std::path::Path) -> String {
    let mut text = format!(
        "{}\n  {} objects of ATT&CK, {} known exploited vulnerabilities, {} incidents of the past\n",
        file.display(),
        contents.objects,
        contents.exploited,
        contents.incidents
    );
    for source in &contents.sources {
        text += &format!("  {}: {} (sha256 {})\n", source.holds, source.file, source.sha256);
    }
    if contents.objects == 0 {
        text += "\nNext\n  magsentinel intel import enterprise-attack.json \
                 known_exploited_vulnerabilities.json\n";
    }
    text
}

fn searched(found: &[Found]) -> String {
    if found.is_empty() {
        return "nothing found; `magsentinel intel list` shows what was imported\n".to_owned();
    }
    let mut rows = vec![["ID", "KIND", "NAME", "TEXT"].map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|Found { object, .. }| {
        let text = magsentinel_logbook::escape::line(&object.text, TEXT_CHARS);
        vec![object.id.clone(), object.kind.clone(), object.name.clone(), text]
    }));
    table(&rows)
}
