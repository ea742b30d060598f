//! What scorers are made from.

use crate::{
    Error,
    bundle::{self, Bundle},
    inference::{self, Model, Runtime, Source},
    overlay::Overlay,
    patrol::Spec,
    patrols::{self, Entry, Maker, PublishNone},
    patterns::Book,
};
use magsentinel_bus_schema::{Thresholds, Token};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What a patrol scores with: a model and its patterns, always swapped together.
pub struct Arms {
    source: Source,
    patterns_digest: String,
    /// Swapped for a fresh copy of itself when there is nothing to do.
    book: RwLock<Arc<Book>>,
}

impl Arms {
    fn new(source: Source, book: Arc<Book>) -> Self {
        let patterns_digest = book.digest().to_owned();
        Self { source, patterns_digest, book: RwLock::new(book) }
    }

    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets go of what matching has built up beside the patterns.
    fn rest(&self) {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        *book = Arc::new(book.fresh());
    }

    /// Digest of the model.
    #[must_use]
    pub fn model_digest(&self) -> &str {
        self.source.digest()
    }

    /// Size of the model, in bytes.
    #[must_use]
    pub fn model_bytes(&self) -> usize {
        self.source.onnx().len()
    }

    /// Digest of the patterns.
    #[must_use]
    pub fn patterns_digest(&self) -> &str {
        &self.patterns_digest
    }
}

/// Arms with their model loaded.
pub struct Armed {
    pub(super) arms: Arc<Arms>,
    pub(super) model: Model,
}

/// Everything that scorers of one patrol share.
pub struct Blueprint {
    pub(super) spec: &'static Spec,
    name: Token,
    runtime: Runtime,
    pub(super) maker: Maker,
    excerpt_chars_max: usize,
    publish_none: PublishNone,
    blind_after: Duration,
    pub(super) thresholds: Thresholds,
    /// Patterns that came while the mesh runs.
    overlay: RwLock<Arc<Overlay>>,
    /// What is built in or configured.
    standard: Arc<Arms>,
    /// What is to be used now.
    current: RwLock<Arc<Arms>>,
    /// The model that was loaded to see whether it can be, for the first scorer.
    spare: Mutex<Option<Armed>>,
    /// Something was scored since the latest look.
    worked: AtomicBool,
    /// Something was scored between the two looks before.
    busy: AtomicBool,
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blueprint").field("patrol", &self.spec.name).finish_non_exhaustive()
    }
}

impl Blueprint {
    /// Reads and checks a patrol's model and patterns.
    pub fn new(
        entry: &Entry,
        config: &patrols::Config,
        inference: &inference::Config,
    ) -> Result<Self, Error> {
        let spec = entry.spec;
        let shared = (entry.shared)(config);
        let wrong = |source| Error::Inference { patrol: spec.name, source };
        let book = Book::load(spec.kinds, spec.patterns, shared.patterns)
            .map_err(|source| Error::Patterns { patrol: spec.name, source })?;
        let runtime = Runtime::of(inference).map_err(wrong)?;
        let source = Source::read(spec.name, spec.model, shared.model).map_err(wrong)?;
        let model = Model::load(&runtime, &source, spec.input).map_err(wrong)?;
        let standard = Arc::new(Arms::new(source, Arc::new(book)));
        Ok(Self {
            spec,
            name: spec.token(),
            runtime,
            maker: (entry.maker)(config),
            excerpt_chars_max: shared.excerpt_chars_max,
            publish_none: shared.publish_none,
            blind_after: shared.blind_after.get(),
            thresholds: shared.thresholds,
            overlay: RwLock::default(),
            current: RwLock::new(Arc::clone(&standard)),
            spare: Mutex::new(Some(Armed { arms: Arc::clone(&standard), model })),
            standard,
            worked: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        })
    }

    /// The fixed facts of the patrol.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// The patrol's name.
    #[must_use]
    pub fn name(&self) -> &Token {
        &self.name
    }

    /// The backend that runs the model.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn excerpt_chars_max(&self) -> usize {
        self.excerpt_chars_max
    }

    pub(crate) fn publish_none(&self) -> PublishNone {
        self.publish_none
    }

    /// How late after it was stored an event may be scored and still count as seen in time.
    pub(crate) fn blind_after(&self) -> Duration {
        self.blind_after
    }

    /// Notes that something is scored.
    pub(super) fn worked(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }

    /// To be called from time to time: where there was work before the latest call and none since,
    /// lets go of what matching has built up beside the patterns. These are the automata that
    /// regular expressions grow as they meet text, once for each thread: some megabytes, which
    /// come back with the next hundreds of events. A patrol that is never still keeps them.
    pub fn rest_when_still(&self) {
        let worked = self.worked.swap(false, Ordering::Relaxed);
        if self.busy.swap(worked, Ordering::Relaxed) && !worked {
            self.current().rest();
        }
    }

    pub(super) fn current(&self) -> Arc<Arms> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The patterns that came while the mesh runs.
    #[must_use]
    pub fn overlay(&self) -> Arc<Overlay> {
        Arc::clone(&self.overlay.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Swaps the patterns that came while the mesh runs; scorers use them from their next batch on.
    pub fn lay_over(&self, overlay: Overlay) {
        *self.overlay.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(overlay);
    }

    /// Digest of the model in use.
    #[must_use]
    pub fn model_digest(&self) -> String {
        self.current().model_digest().to_owned()
    }

    /// Digest of the patterns in use, with those that are live.
    #[must_use]
    pub fn patterns_digest(&self) -> String {
        self.overlay().digest(self.current().patterns_digest())
    }

    /// Swaps model and patterns for those of a bundle; what it does not hold stays what is
    /// built in or configured. `None` swaps all of them back. Scorers use them from their next
    /// batch on; an event is scored by one or the other.
    ///
    /// # Errors
    /// When the bundle cannot be used: nothing has changed then.
    pub fn rearm(&self, bundle: Option<&[u8]>) -> Result<(), bundle::Error> {
        let arms = match bundle {
            None => Arc::clone(&self.standard),
            Some(bytes) => {
                let bundle = Bundle::read(self.spec.name, bytes)?;
                let source = bundle.source(self.spec.name)?;
                let book = match &bundle.patterns {
                    Some(files) => Arc::new(Book::of_files(self.spec.kinds, files)?),
                    None => self.standard.book(),
                };
                let source = source.unwrap_or_else(|| self.standard.source.clone());
                Arc::new(Arms::new(source, book))
            }
        };
        let model = Model::load(&self.runtime, &arms.source, self.spec.input)?;
        let armed = Armed { arms: Arc::clone(&arms), model };
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(armed);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = arms;
        Ok(())
    }

    /// A model of its own for one scorer.
    pub fn armed(&self) -> Result<Armed, Error> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        let arms = self.current();
        match spare {
            Some(armed) if Arc::ptr_eq(&armed.arms, &arms) => Ok(armed),
            _ => {
                let model = Model::load(&self.runtime, &arms.source, self.spec.input);
                let wrong = |source| Error::Inference { patrol: self.spec.name, source };
                model.map_err(wrong).map(|model| Armed { arms, model })
            }
        }
    }
}
