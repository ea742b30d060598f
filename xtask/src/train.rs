//! `train`: runs a patrol's training program in a Python environment of its own.

use crate::{provision, workspace};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const REQUIREMENTS: &str = "training/requirements.txt";

/// Makes the environment if it lacks, then trains.
pub(crate) fn run(patrol: &str, data: &Path, args: &[String]) -> Result<()> {
    let root = workspace::root();
    let program = program_of(patrol, &root.join("training"))?;
    let data = fs::canonicalize(data).with_context(|| format!("data folder {}", data.display()))?;
    let python = environment()?;
    let magsentinel = workspace::build_magsentinel()?;
    let mut command = Command::new(python);
    command
        .current_dir(root.join("training"))
        .arg(program)
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(root.join(models_of(patrol)))
        .arg("--features-cmd")
        .arg(format!("{} features", magsentinel.display()))
        .args(args);
    workspace::run(&mut command)
}

/// Where a model lies: the analyzer's is the only one that is no patrol's.
fn models_of(name: &str) -> &'static str {
    if name == "severity" { "analyzer/models" } else { "agents/patrol/models" }
}

/// `sql-guard` is trained by `train_sql.py`: the first word of the patrol's name.
fn program_of(patrol: &str, training: &Path) -> Result<PathBuf> {
    let whole = patrol.replace('-', "_");
    let first = patrol.split('-').next().unwrap_or(patrol);
    let named = [whole.as_str(), first].map(|name| training.join(format!("train_{name}.py")));
    match named.into_iter().find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => bail!(
            "patrol {patrol} has no training program: write training/train_{whole}.py \
             (--data DIR --out DIR --features-cmd COMMAND)"
        ),
    }
}

/// The Python of the training environment, made anew when its requirements changed.
fn environment() -> Result<PathBuf> {
    let place = provision::cache_folder()?.join("training");
    let python = place.join("bin/python");
    let wanted = fs::read_to_string(workspace::root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let installed = place.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|had| had == wanted) && python.exists() {
        return Ok(python);
    }
    println!("making the training environment in {}", place.display());
    workspace::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    let requirements = workspace::root().join(REQUIREMENTS);
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements);
    workspace::run(&mut pip)?;
    fs::write(&installed, wanted)?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_patrol_has_a_training_program_and_an_unknown_one_is_told() {
        let training = workspace::root().join("training");
        for patrol in
            ["sql-guard", "data-flow", "api-watch", "auth-sentry", "net-sentry", "severity"]
        {
            assert!(program_of(patrol, &training).is_ok(), "{patrol}");
        }
        let told = program_of("tea-watch", &training).unwrap_err().to_string();
        assert!(told.contains("training/train_tea_watch.py"), "{told}");
    }
}
