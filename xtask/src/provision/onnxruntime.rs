//! The native ONNX Runtime: a shared library out of a wheel; Python is not needed to use it.

use super::{cache, fetch, named_by};
use anyhow::{Context, Result, bail};
use std::{env, fs, path::PathBuf};

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
    if let Some(file) = named_by(super::ONNXRUNTIME)? {
        return Ok(file);
    }
    let fetched = cache::tool(&format!("onnxruntime-{VERSION}"), LIBRARY, |folder| {
        if env::consts::ARCH != "x86_64" {
            bail!("the wheel is for x86_64, this machine is {}", env::consts::ARCH);
        }
        let opened = tempfile::Builder::new().prefix(".open-").tempdir_in(folder)?;
        WHEEL.open(opened.path())?;
        let library = opened.path().join("onnxruntime/capi").join(LIBRARY);
        Ok(fs::rename(library, folder.join(LIBRARY))?)
    });
    fetched.with_context(|| {
        format!(
            "the native ONNX Runtime could not be fetched as the Python wheel {}. Install pip, or \
             name a {LIBRARY}: {}=/path/to/{LIBRARY}",
            WHEEL.requirement,
            super::ONNXRUNTIME
        )
    })
}
