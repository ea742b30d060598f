//! The native ONNX Runtime: a shared library out of a wheel; Python is not needed to use it.

use super::{cache, fetch, named_by};
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const VERSION: &str = "1.31.1";
const LIBRARY: &str = "libonnxruntime.so.1.31.1";

const WHEEL: fetch::Wheel = fetch::Wheel {
    requirement: "onnxruntime==1.31.1",
    sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
    select: &[
        "--implementation",
        "cp",
        "--python-version",
        "3.12",
        "--abi",
        "cp312",
        "--platform",
        "manylinux_2_28_x86_64",
    ],
};

/// The library that `MAGSENTINEL_ONNXRUNTIME` names, else a fetched one.
pub(crate) fn find() -> Result<PathBuf> {
    match named_by(super::ONNXRUNTIME)? {
        Some(file) => Ok(file),
        None => fetched(&cache::tools()?, |folder| WHEEL.open(folder)),
    }
}

/// The library in a folder of tools, by what opens the wheel in another folder.
fn fetched(tools: &Path, open: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let fetched = cache::tool_in(tools, &format!("onnxruntime-{VERSION}"), LIBRARY, |folder| {
        if env::consts::ARCH != "x86_64" {
            bail!("the wheel is for x86_64, this machine is {}", env::consts::ARCH);
        }
        let opened = tempfile::Builder::new().prefix(".open-").tempdir_in(folder)?;
        open(opened.path())?;
        let library = opened.path().join("onnxruntime/capi").join(LIBRARY);
        Ok(fs::rename(library, folder.join(LIBRARY))?)
    });
    fetched.with_context(|| {
        format!(
            "the native ONNX Runtime could not be fetched as the Python wheel {}, by hash. \
             Install pip, or name a {LIBRARY}: {}=/path/to/{LIBRARY}",
            WHEEL.requirement,
            super::ONNXRUNTIME
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_cannot_be_fetched_the_error_names_the_way_its_reason_and_what_to_do() {
        let tools = tempfile::tempdir().unwrap();
        let told = fetched(tools.path(), |_| bail!("pip is not installed")).unwrap_err();
        let told = format!("{told:#}");
        for part in [
            "the Python wheel onnxruntime==1.31.1, by hash",
            "Install pip",
            "MAGSENTINEL_ONNXRUNTIME=/path/to/libonnxruntime.so",
            "pip is not installed",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }

    #[test]
    fn the_library_is_kept_out_of_what_the_wheel_holds() {
        let tools = tempfile::tempdir().unwrap();
        let open = |folder: &Path| {
            let capi = folder.join("onnxruntime/capi");
            fs::create_dir_all(&capi)?;
            Ok(fs::write(capi.join(LIBRARY), "elf")?)
        };
        let library = fetched(tools.path(), open).unwrap();
        assert_eq!(fs::read_to_string(&library).unwrap(), "elf");
        assert_eq!(fetched(tools.path(), |_| bail!("asked again")).unwrap(), library);
    }
}
