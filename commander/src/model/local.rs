//! A model that runs in this process, through mistral.rs.

use super::place::Place;
use crate::{Cancel, Device, Quantisation, WriteError, Writer, briefing::Briefing};
use either::Either;
use mistralrs::{
    Constraint, GgufModelBuilder, IsqType, Model, ModelDType, RequestBuilder, Response,
    TextMessageRole, TextMessages, TextModelBuilder, TokenSource,
};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How often a draft under way looks whether anybody still waits for it.
const CANCEL_EVERY: Duration = Duration::from_millis(50);
/// One draft at a time; a later one waits at the desk.
const SEQUENCES_MAX: usize = 1;

/// A loaded model, with the runtime that drives it. Lives on the desk's thread, which is nobody
/// else's, so blocking on the runtime blocks nobody else.
pub(super) struct Local {
    // Dropped before the runtime that its tasks run on.
    model: Model,
    runtime: Runtime,
}

impl Local {
    /// Loads a model.
    ///
    /// # Errors
    /// What the library said. It may also panic on files that are broken enough; the desk catches
    /// that.
    pub(super) fn load(
        place: &Place,
        device: Device,
        rounded: Option<Quantisation>,
    ) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("commander-model")
            .enable_all()
            .build()
            .map_err(|e| format!("no runtime for the model: {e}"))?;
        let model = runtime.block_on(async {
            match place {
                Place::Directory(directory) => {
                    text_model(&directory.to_string_lossy(), device, rounded).await
                }
                Place::Gguf { directory, file } => {
                    gguf_model(&directory.to_string_lossy(), file, device).await
                }
            }
        })?;
        Ok(Self { model, runtime })
    }

    /// What a prompt takes, as this model's tokenizer has it, chat template included.
    async fn tokens(&self, briefing: &Briefing) -> Result<usize, String> {
        let prompt = TextMessages::new()
            .add_message(TextMessageRole::System, &briefing.system)
            .add_message(TextMessageRole::User, &briefing.user);
        let (special, generation, thinking) = (true, true, Some(false));
        let counted =
            self.model.tokenize(Either::Left(prompt), None, special, generation, thinking).await;
        counted.map(|tokens| tokens.len()).map_err(|e| e.to_string())
    }

    async fn draft(&self, briefing: &Briefing, cancel: &Cancel) -> Result<String, WriteError> {
        let failed = |e: &dyn std::fmt::Display| WriteError::Generation(e.to_string());
        let tokens = self.tokens(briefing).await.map_err(|e| failed(&e))?;
        if tokens > briefing.context_tokens {
            return Err(WriteError::TooLong { tokens, max: briefing.context_tokens });
        }
        let request = request(briefing);
        let mut stream = self.model.stream_chat_request(request).await.map_err(|e| failed(&e))?;
        let mut text = String::new();
        loop {
            let next = tokio::time::timeout(CANCEL_EVERY, stream.next()).await;
            if cancel.is_set() {
                // The stream is dropped, and the engine ends a draft that nobody reads.
                return Err(WriteError::Generation("nobody waits any more".to_owned()));
            }
            let Ok(next) = next else { continue };
            let chunk = match next {
                Some(Response::Chunk(chunk)) => chunk,
                Some(Response::InternalError(e) | Response::ValidationError(e)) => {
                    return Err(failed(&e));
                }
                Some(Response::ModelError(message, _)) => return Err(failed(&message)),
                Some(_) => return Err(failed(&"an answer of another kind")),
                None => return Err(failed(&"it stopped early")),
            };
            let Some(choice) = chunk.choices.into_iter().next() else { continue };
            text.push_str(choice.delta.content.as_deref().unwrap_or_default());
            match choice.finish_reason.as_deref() {
                None => {}
                Some("length") => return Err(WriteError::Tokens(briefing.tokens_max)),
                Some(_) => return Ok(text),
            }
        }
    }
}

impl Writer for Local {
    fn write(&mut self, briefing: &Briefing, cancel: &Cancel) -> Result<String, WriteError> {
        self.runtime.block_on(self.draft(briefing, cancel))
    }
}

/// Greedy sampling, so that the same evidence gives the same draft; constrained to the schema.
fn request(briefing: &Briefing) -> RequestBuilder {
    RequestBuilder::new()
        .add_message(TextMessageRole::System, &briefing.system)
        .add_message(TextMessageRole::User, &briefing.user)
        .enable_thinking(false)
        .set_deterministic_sampler()
        .set_sampler_max_len(briefing.tokens_max)
        .set_constraint(Constraint::JsonSchema(briefing.schema.clone()))
}

async fn text_model(
    directory: &str,
    device: Device,
    rounded: Option<Quantisation>,
) -> Result<Model, String> {
    let builder = TextModelBuilder::new(directory)
        .with_token_source(TokenSource::None)
        .with_max_num_seqs(SEQUENCES_MAX);
    let builder = match device {
        Device::Cpu => builder.with_force_cpu().with_dtype(ModelDType::F32),
        Device::Auto => builder,
    };
    let builder = match rounded {
        Some(rounded) => builder.with_isq(isq(rounded)),
        None => builder,
    };
    builder.build().await.map_err(|e| format!("{directory}: {e:#}"))
}

fn isq(rounded: Quantisation) -> IsqType {
    match rounded {
        Quantisation::Q8_0 => IsqType::Q8_0,
        Quantisation::Q6k => IsqType::Q6K,
        Quantisation::Q5k => IsqType::Q5K,
        Quantisation::Q4k => IsqType::Q4K,
        Quantisation::Q3k => IsqType::Q3K,
        Quantisation::Q2k => IsqType::Q2K,
        Quantisation::Q5_0 => IsqType::Q5_0,
        Quantisation::Q4_0 => IsqType::Q4_0,
        Quantisation::Hqq8 => IsqType::HQQ8,
        Quantisation::Hqq4 => IsqType::HQQ4,
        Quantisation::Afq8 => IsqType::AFQ8,
        Quantisation::Afq4 => IsqType::AFQ4,
    }
}

async fn gguf_model(directory: &str, file: &str, device: Device) -> Result<Model, String> {
    let builder = GgufModelBuilder::new(directory, vec![file])
        .with_token_source(TokenSource::None)
        .with_max_num_seqs(SEQUENCES_MAX);
    let builder = match device {
        Device::Cpu => builder.with_force_cpu(),
        Device::Auto => builder,
    };
    builder.build().await.map_err(|e| format!("{directory}/{file}: {e:#}"))
}
