//! With what a patrol scores, told before its first event has come: an operator who has just
//! changed a model does not wait for an event to see that it is used.

use crate::scorer::Blueprint;
use magsentinel_bus_schema::Token;
use magsentinel_runtime::{context::Context, service::Task};
use serde_json::json;
use std::sync::Arc;

/// Reports the digests of a pool once; what its stage reports of its batches takes their place.
pub(super) fn telling(durable: &Token, blueprint: &Arc<Blueprint>) -> Task {
    let (part, blueprint) = (durable.clone(), Arc::clone(blueprint));
    let run = move |context: Context| {
        let told = json!({
            "patrol": blueprint.name(),
            "runtime": blueprint.runtime().name(),
            "model": blueprint.model_digest(),
            "patterns": blueprint.patterns_digest(),
        });
        context.report(part.as_str(), told);
        let done: Done = Box::pin(std::future::ready(Ok(())));
        done
    };
    Task { name: format!("{durable}-digests"), run: Arc::new(run) }
}

/// What a task's work is to the runtime.
type Done = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
