//! Where a model's files lie: a directory, a GGUF file, or the local hub cache.
//!
//! Only what is already on the machine is used: a security service loads nothing from a network
//! at run time.

use std::path::{Path, PathBuf};

/// What is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A directory with `config.json`, `tokenizer.json` and weights.
    Directory(PathBuf),
    /// A GGUF file.
    Gguf {
        /// Its directory.
        directory: PathBuf,
        /// Its name.
        file: String,
    },
}

/// The place of a configured model.
///
/// # Errors
/// Which file is missing, and what to do.
pub(super) fn find(model: &str) -> Result<Place, String> {
    let path = Path::new(model);
    if path.is_dir() {
        return directory(path.to_owned());
    }
    if has_extension(path, "gguf") {
        return gguf(path);
    }
    if path.is_file() {
        return Err(format!("{model} is a file: name its directory, or a .gguf file"));
    }
    match hub_id(model) {
        Some((organisation, name)) => in_cache(&cache()?, organisation, name),
        None => Err(format!("there is no directory or file {model}")),
    }
}

fn directory(path: PathBuf) -> Result<Place, String> {
    for file in ["config.json", "tokenizer.json"] {
        if !path.join(file).is_file() {
            return Err(format!("{} has no {file}", path.display()));
        }
    }
    let entries =
        std::fs::read_dir(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let mut names = entries.flatten().map(|entry| entry.path());
    if names.any(|name| has_extension(&name, "safetensors")) {
        return Ok(Place::Directory(path));
    }
    Err(format!("{} has no weights: no *.safetensors file in it", path.display()))
}

fn gguf(path: &Path) -> Result<Place, String> {
    let name = path.file_name().and_then(|n| n.to_str());
    match (path.is_file(), path.parent(), name) {
        (true, Some(parent), Some(file)) => {
            let here = parent.as_os_str().is_empty();
            let directory = if here { PathBuf::from(".") } else { parent.to_owned() };
            Ok(Place::Gguf { directory, file: file.to_owned() })
        }
        _ => Err(format!("there is no file {}", path.display())),
    }
}

/// Whether a model's weights fit into so much memory; the rest of a model is small beside them.
/// Without this the system would end the process in the middle of loading.
///
/// # Errors
/// How much there is and how much it takes, and what to do.
pub(super) fn fits(place: &Place, available: Option<u64>) -> Result<(), String> {
    let Some(available) = available else { return Ok(()) };
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |of| of.len());
    let weights: u64 = match place {
        Place::Gguf { directory, file } => size(&directory.join(file)),
        Place::Directory(path) => {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let files = entries.map(|entry| entry.path());
            files.filter(|name| has_extension(name, "safetensors")).map(|name| size(&name)).sum()
        }
    };
    if weights <= available {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(format!(
        "there is not enough memory: its weights take {} MiB, {} MiB are free; give the process          more, or choose a smaller model",
        mib(weights),
        mib(available)
    ))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
}

/// `ORGANISATION/NAME`.
fn hub_id(model: &str) -> Option<(&str, &str)> {
    let good = |part: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(fine)
    };
    model.split_once('/').filter(|(organisation, name)| good(organisation) && good(name))
}

/// The hub cache, as its own tools place it: `HF_HUB_CACHE`, else `HF_HOME/hub`, else
/// `~/.cache/huggingface/hub`.
fn cache() -> Result<PathBuf, String> {
    let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    path("HF_HUB_CACHE")
        .or_else(|| path("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| path("HOME").map(|home| home.join(".cache/huggingface/hub")))
        .ok_or_else(|| "there is no hub cache: set HF_HOME".to_owned())
}

/// The snapshot of a model in a hub cache: that of `main`, else the only one.
fn in_cache(cache: &Path, organisation: &str, name: &str) -> Result<Place, String> {
    let root = cache.join(format!("models--{organisation}--{name}"));
    let snapshots = root.join("snapshots");
    let main = std::fs::read_to_string(root.join("refs/main")).unwrap_or_default();
    let main = main.trim();
    if !main.is_empty() && snapshots.join(main).is_dir() {
        return directory(snapshots.join(main));
    }
    let found: Vec<PathBuf> = std::fs::read_dir(&snapshots)
        .map(|entries| entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect())
        .unwrap_or_default();
    match found.as_slice() {
        [only] => directory(only.clone()),
        [] => Err(format!(
            "{organisation}/{name} is neither a directory nor in the hub cache {}: put it there \
             beforehand, nothing is downloaded at run time",
            cache.display()
        )),
        _ => Err(format!("{} has several snapshots: name one's directory", root.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_in(path: &Path) {
        std::fs::create_dir_all(path).expect("a directory");
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            std::fs::write(path.join(file), "{}").expect("a file");
        }
    }

    #[test]
    fn directories_files_and_hub_ids_are_found_and_what_is_missing_is_named() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = temp.path().join("m");
        model_in(&dir);
        let text = |p: &Path| p.to_str().expect("UTF-8").to_owned();
        assert_eq!(find(&text(&dir)), Ok(Place::Directory(dir.clone())));
        std::fs::remove_file(dir.join("model.safetensors")).expect("removed");
        assert!(find(&text(&dir)).is_err_and(|e| e.contains("no weights")));
        std::fs::remove_file(dir.join("tokenizer.json")).expect("removed");
        assert!(find(&text(&dir)).is_err_and(|e| e.contains("tokenizer.json")));
        let gguf = temp.path().join("m.gguf");
        assert!(find(&text(&gguf)).is_err_and(|e| e.contains("no file")));
        std::fs::write(&gguf, "GGUF").expect("a file");
        assert!(matches!(find(&text(&gguf)), Ok(Place::Gguf { file, .. }) if file == "m.gguf"));
        assert!(find("/no/such/model").is_err_and(|e| e.contains("/no/such/model")));
    }

    #[test]
    fn weights_that_do_not_fit_are_told_before_anything_is_loaded() {
        let temp = tempfile::tempdir().expect("a directory");
        model_in(temp.path());
        let weights = temp.path().join("model.safetensors");
        std::fs::write(&weights, vec![0; 3 << 20]).expect("a file");
        std::fs::write(temp.path().join("m.gguf"), vec![0; 3 << 20]).expect("a file");
        let gguf = Place::Gguf { directory: temp.path().to_owned(), file: "m.gguf".to_owned() };
        for place in [Place::Directory(temp.path().to_owned()), gguf] {
            assert_eq!(fits(&place, Some(3 << 20)), Ok(()));
            assert_eq!(fits(&place, None), Ok(()));
            let told = fits(&place, Some(2 << 20)).expect_err("too large");
            assert!(told.contains("3 MiB, 2 MiB are free"), "{told}");
        }
        assert!(magsentinel_runtime::memory::available_bytes().is_some_and(|bytes| bytes > 0));
    }

    #[test]
    fn a_hub_id_is_looked_up_in_the_cache_only() {
        let cache = tempfile::tempdir().expect("a directory");
        let told = in_cache(cache.path(), "org", "m").expect_err("not there");
        assert!(told.contains("nothing is downloaded"), "{told}");
        let root = cache.path().join("models--org--m");
        model_in(&root.join("snapshots/abc"));
        let want = Place::Directory(root.join("snapshots/abc"));
        assert_eq!(in_cache(cache.path(), "org", "m"), Ok(want.clone()));
        model_in(&root.join("snapshots/def"));
        assert!(in_cache(cache.path(), "org", "m").is_err_and(|e| e.contains("several")));
        std::fs::create_dir_all(root.join("refs")).expect("a directory");
        std::fs::write(root.join("refs/main"), "abc\n").expect("a file");
        assert_eq!(in_cache(cache.path(), "org", "m"), Ok(want));
        assert_eq!(hub_id("org/m"), Some(("org", "m")));
        assert_eq!(hub_id("../m"), None);
    }
}
