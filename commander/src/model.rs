//! The configured language model: where it lies, and (feature `llm`) how it is run.
//!
//! [`local`] is the only module of the workspace that names the model library.

#[cfg(any(feature = "llm", test))]
mod place;

#[cfg(feature = "llm")]
mod local;

use crate::{Config, Factory};

/// What is wrong with the configured model, as far as can be told without looking at any file.
pub(crate) fn problem(model: &str) -> Option<String> {
    if model.trim().is_empty() {
        return Some("model: is empty: leave it out to have none".to_owned());
    }
    if cfg!(feature = "llm") {
        return None;
    }
    Some(
        "model: this build runs no language model: use magsentinel-commander, or build with \
         --features llm; or leave it out, and the playbook writes every analysis"
            .to_owned(),
    )
}

/// The name of the configured model and what loads it; `None` without a model, or in a build that
/// runs none.
#[cfg(feature = "llm")]
#[must_use]
pub fn factory(config: &Config) -> Option<(String, Factory)> {
    let name = config.model.clone()?;
    let (model, device, rounded) = (name.clone(), config.device, config.quantisation);
    let factory: Factory = std::sync::Arc::new(move || {
        let place = place::find(&model)?;
        // What is loaded onto an accelerator takes its memory, which the library looks after.
        if device == crate::Device::Cpu {
            place::fits(&place, magsentinel_runtime::memory::available_bytes())?;
        }
        let writer = local::Local::load(&place, device, rounded)?;
        Ok(Box::new(writer) as Box<dyn crate::Writer>)
    });
    Some((name, factory))
}

/// The name of the configured model and what loads it: nothing, in this build.
#[cfg(not(feature = "llm"))]
#[must_use]
pub fn factory(_: &Config) -> Option<(String, Factory)> {
    None
}
