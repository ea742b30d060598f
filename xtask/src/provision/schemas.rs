//! The schemas of STIX 2.1 and OCSF, out of two wheels: reports are checked against them. They
//! are other people's text, so they are fetched and not kept here.

use super::{cache, fetch, named_by};
use anyhow::{Context, Result};
use std::{fs, path::PathBuf};

const NAME: &str = "schemas-1";
const OCSF: &str = "ocsf-1.5.0.json";

/// The last version whose wheel carries the schemas of OASIS.
const STIX_WHEEL: fetch::Wheel = fetch::Wheel {
    requirement: "stix2-validator==3.2.0",
    sha256: "bc632ab94d157a6e03ecac8e6ec664ab444e765787efa7aa9926c71db1c97fb3",
    select: &[],
};
const OCSF_WHEEL: fetch::Wheel = fetch::Wheel {
    requirement: "ocsf-json-schema==1.2.0",
    sha256: "64d819042d20c3c04bc0d024c7c47c41006ebbe0209ce768ba6efa1240106708",
    select: &[],
};

/// The folder that `MAGSENTINEL_SCHEMAS` names, else a fetched one, with `stix-2.1` and
/// `ocsf-1.5.0.json`.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(folder) = named_by(super::SCHEMAS)? {
        return Ok(folder);
    }
    let fetched = cache::tool(NAME, OCSF, |folder| {
        let opened = tempfile::Builder::new().prefix(".open-").tempdir_in(folder)?;
        STIX_WHEEL.open(opened.path())?;
        OCSF_WHEEL.open(opened.path())?;
        let stix = opened.path().join("stix2validator/schemas-2.1/schemas");
        fs::rename(stix, folder.join("stix-2.1"))?;
        let ocsf = opened.path().join("ocsf_json_schema/ocsf/1.5.0.json");
        Ok(fs::rename(ocsf, folder.join(OCSF))?)
    });
    let file = fetched.with_context(|| {
        format!(
            "the schemas could not be fetched as the Python wheels {} and {}. Install pip, or \
             name a folder that holds them: {}=/path",
            STIX_WHEEL.requirement,
            OCSF_WHEEL.requirement,
            super::SCHEMAS
        )
    })?;
    Ok(file.parent().map(PathBuf::from).unwrap_or_default())
}
