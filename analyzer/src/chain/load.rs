//! Finding chain files: the shipped ones, and those of the operator's directory.

use super::{Book, Chain, Condition, MILLIONTHS, Measure, parse};
use crate::{Config, Error, error::Problem, severity};
use magsentinel_inference as inference;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The shipped chains, by file name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("account_takeover.yml", include_str!("../../chains/account_takeover.yml")),
    ("beacon_upload.yml", include_str!("../../chains/beacon_upload.yml")),
    ("bulk_exfiltration.yml", include_str!("../../chains/bulk_exfiltration.yml")),
    ("extension_exfiltration.yml", include_str!("../../chains/extension_exfiltration.yml")),
    ("intrusion.yml", include_str!("../../chains/intrusion.yml")),
    ("iot_botnet.yml", include_str!("../../chains/iot_botnet.yml")),
    ("login_attack.yml", include_str!("../../chains/login_attack.yml")),
    ("mixed_findings.yml", include_str!("../../chains/mixed_findings.yml")),
    ("multi_vector.yml", include_str!("../../chains/multi_vector.yml")),
    ("slow_drain.yml", include_str!("../../chains/slow_drain.yml")),
    ("sql_injection.yml", include_str!("../../chains/sql_injection.yml")),
    ("sql_injection_exfiltration.yml", include_str!("../../chains/sql_injection_exfiltration.yml")),
    ("web_attack.yml", include_str!("../../chains/web_attack.yml")),
];

/// Largest chain file, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Most chain files in a directory.
pub const FILES_MAX: usize = 1000;

impl Book {
    /// The shipped chains and those of `chains_dir`; a chain of the directory replaces the
    /// shipped one of the same name. Everything that is wrong in any file is told at once.
    pub fn load(config: &Config) -> Result<Self, Error> {
        Self::load_with(config, None)
    }

    /// The same, with the configured severity model.
    ///
    /// # Errors
    /// Chain files that are wrong, or a model that cannot be loaded.
    pub fn rated(config: &Config, inference: &inference::Config) -> Result<Self, Error> {
        Self::rated_with(config, inference, None)
    }

    /// The same, with the chains of one more file.
    ///
    /// # Errors
    /// As for [`Book::rated`].
    pub fn rated_with(
        config: &Config,
        inference: &inference::Config,
        more: Option<&Path>,
    ) -> Result<Self, Error> {
        let model = severity::Model::load(&config.severity, inference).map_err(Error::Severity)?;
        Ok(Self::load_with(config, more)?.rated_by(model))
    }

    /// The same, with the chains of one more file in place of those of their names.
    pub fn load_with(config: &Config, more: Option<&Path>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut chains = BTreeMap::new();
        for (file, text) in SHIPPED {
            gather(file, text, &mut chains, &mut problems);
        }
        if let Some(dir) = &config.chains_dir {
            let mut own = BTreeMap::new();
            for path in chain_files(dir, &mut problems)? {
                let text = read(&path, &mut problems)?;
                gather(&path.display().to_string(), &text, &mut own, &mut problems);
            }
            chains.extend(own);
        }
        if let Some(path) = more {
            let mut own = BTreeMap::new();
            let text = read(path, &mut problems)?;
            gather(&path.display().to_string(), &text, &mut own, &mut problems);
            chains.extend(own);
        }
        for (file, chain) in chains.values() {
            problems.extend(out_of_bounds(file, chain, config));
        }
        if !problems.is_empty() {
            return Err(Error::Chains(problems));
        }
        Ok(Self::of(chains.into_values().map(|(_, chain)| chain).collect()))
    }

    /// The one chain of a proposal as a book of its own, which goes beside this one.
    ///
    /// # Errors
    /// Says why it cannot.
    pub fn beside(&self, config: &Config, text: &str) -> Result<Self, String> {
        let (found, wrong) = parse::file(text);
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let [chain]: [Chain; 1] = found.try_into().map_err(|all: Vec<Chain>| {
            format!("it must hold one chain, and holds {}", all.len())
        })?;
        let (name, classes) = (&chain.name, self.classes());
        if self.chains().iter().any(|own| own.name == *name) {
            return Err(format!("there is a chain of the name {name} already"));
        }
        if let Some(class) = chain.classes.iter().find(|class| !classes.contains(class)) {
            return Err(format!(
                "it groups by {class}, by which no installed chain does: nothing would come to it"
            ));
        }
        let (reach, most) = (chain.reach().as_secs(), self.window_max().as_secs());
        if reach > most {
            return Err(format!(
                "its windows reach back {reach} s, further than the {most} s of the installed \
                 chains, beyond which a new owner of a shard does not read"
            ));
        }
        match out_of_bounds("it", &chain, config) {
            Some(problem) => Err(problem.what),
            None => Ok(Self { severity: self.severity.clone(), ..Self::of(vec![chain]) }),
        }
    }

    /// The chains of one text, as if it were the only file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let (mut problems, mut chains) = (Vec::new(), BTreeMap::new());
        gather(file, text, &mut chains, &mut problems);
        if problems.is_empty() {
            Ok(Self::of(chains.into_values().map(|(_, chain)| chain).collect()))
        } else {
            Err(Error::Chains(problems))
        }
    }
}

type Named = BTreeMap<String, (String, Chain)>;

fn gather(file: &str, text: &str, chains: &mut Named, problems: &mut Vec<Problem>) {
    let (found, wrong) = parse::file(text);
    problems.extend(wrong.into_iter().map(|what| Problem { file: file.to_owned(), what }));
    for chain in found {
        let name = chain.name.to_string();
        if let Some((other, _)) = chains.get(&name) {
            let what = format!("chain {name:?} is already in {other}: rename one of them");
            problems.push(Problem { file: file.to_owned(), what });
        } else {
            chains.insert(name, (file.to_owned(), chain));
        }
    }
}

fn chain_files(dir: &Path, problems: &mut Vec<Problem>) -> Result<Vec<PathBuf>, Error> {
    let failed = |source: io::Error| Error::Read { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_chain = path.extension().is_some_and(|e| e == "yml" || e == "yaml");
        if !is_chain {
            continue;
        }
        if files.len() == FILES_MAX {
            let what = format!("holds more than {FILES_MAX} chain files");
            problems.push(Problem { file: dir.display().to_string(), what });
            break;
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path, problems: &mut Vec<Problem>) -> Result<String, Error> {
    let failed = |source: io::Error| Error::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let what = format!("is {bytes} bytes long, over the limit of {FILE_BYTES_MAX}");
        problems.push(Problem { file: path.display().to_string(), what });
        return Ok(String::new());
    }
    fs::read_to_string(path).map_err(failed)
}

/// A count that could never be reached within the bound of kept events.
fn out_of_bounds(file: &str, chain: &Chain, config: &Config) -> Option<Problem> {
    let links = chain.links.iter().map(|link| &link.condition);
    let needed = links.chain([&chain.condition]).filter_map(needed).max()?;
    let most = config.events_per_key_max / 2;
    (needed > most as u64).then(|| Problem {
        file: file.to_owned(),
        what: format!(
            "chain {:?} counts to {needed}, but at most {most} (half of \
             analyzer.events_per_key_max) can be counted: raise that, or count less",
            chain.name.as_str()
        ),
    })
}

/// How many events there must be to tell whether a condition holds.
fn needed(condition: &Condition) -> Option<u64> {
    match condition {
        Condition::Count { at_least } | Condition::Distinct { at_least, .. } => Some(*at_least),
        // As many events as it takes when each has the greatest value.
        Condition::Sum { field, at_least } => Some(at_least.div_ceil(field.most())),
        Condition::Judged { measure, range } => {
            let most = range.thresholds().max()?;
            match measure {
                Measure::Count | Measure::Distinct(_) => Some(most),
                Measure::Sum(field) => Some(most.saturating_mul(MILLIONTHS).div_ceil(field.most())),
                Measure::Average(_) | Measure::Percentile(..) => None,
            }
        }
        Condition::Ordered | Condition::Together => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_chains_load_and_are_found_by_their_files() {
        let book = Book::load(&Config::default()).unwrap();
        // Each file holds the chain of its name, and perhaps others of its kind.
        for (file, _) in SHIPPED {
            let name = file.trim_end_matches(".yml");
            assert!(book.chains().iter().any(|c| c.name.as_str() == name), "{file}");
        }
        assert_eq!(book.chains().len(), 21);
        assert!(book.chains().iter().all(|c| !c.plan.is_empty() && !c.techniques.is_empty()));
        assert_eq!(book.window_max().as_secs(), 3600);
    }

    #[test]
    fn the_example_of_the_manual_is_a_chain() {
        let manual = include_str!("../../../docs/chains.md");
        let example = manual.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
        let book = Book::parse("chains.md", example.unwrap()).unwrap();
        let names: Vec<_> = book.chains().iter().map(|chain| chain.name.as_str()).collect();
        assert_eq!(names, ["flood_then_success"]);
        assert_eq!(book.chains()[0].links.len(), 1);
    }

    #[test]
    fn a_directory_replaces_by_name_and_tells_all_its_errors() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { chains_dir: Some(dir.path().to_owned()), ..Config::default() };
        let shipped = include_str!("../../chains/bulk_exfiltration.yml");
        let own = shipped.replace("timespan: 5m", "timespan: 7h");
        fs::write(dir.path().join("own.yaml"), own).unwrap();
        fs::write(dir.path().join("notes.txt"), "no chain").unwrap();
        let book = Book::load(&config).unwrap();
        assert_eq!(book.chains().len(), 21);
        assert_eq!(book.window_max().as_secs(), 7 * 3600);

        let more = dir.path().join("notes.txt");
        fs::write(&more, shipped.replace("timespan: 5m", "timespan: 8h")).unwrap();
        let book = Book::load_with(&config, Some(&more)).unwrap();
        assert_eq!((book.chains().len(), book.window_max().as_secs()), (21, 8 * 3600));

        fs::write(dir.path().join("twice.yml"), shipped).unwrap();
        fs::write(dir.path().join("broken.yml"), "title: [").unwrap();
        fs::write(dir.path().join("big.yml"), " ".repeat(300_000)).unwrap();
        let told = Book::load(&config).unwrap_err().to_string();
        for part in ["twice.yml: chain", "own.yaml", "broken.yml", "big.yml", "over the limit"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        let nowhere = Config { chains_dir: Some("/nowhere/at/all".into()), ..Config::default() };
        assert!(Book::load(&nowhere).unwrap_err().to_string().contains("/nowhere/at/all"));
    }

    #[test]
    fn a_count_beyond_the_kept_events_is_refused() {
        let config = Config { events_per_key_max: 16, ..Config::default() };
        let dir = tempfile::tempdir().unwrap();
        let config = Config { chains_dir: Some(dir.path().to_owned()), ..config };
        let shipped = include_str!("../../chains/sql_injection.yml");
        fs::write(dir.path().join("x.yml"), shipped.replace("gte: 3", "gte: 9")).unwrap();
        let told = Book::load(&config).unwrap_err().to_string();
        assert!(told.contains("counts to 9") && told.contains("events_per_key_max"), "{told}");
        fs::write(dir.path().join("x.yml"), shipped.replace("gte: 3", "lte: 9")).unwrap();
        assert!(Book::load(&config).unwrap_err().to_string().contains("counts to 9"));
    }
}
