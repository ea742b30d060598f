//! Where a model works: one background thread, one draft at a time, the gravest first, a deadline
//! for each.
//!
//! The thread owns the [`Writer`], loads it on first need, lets go of it when nobody asked for a
//! while, and outlives a stage that panics.
//! Whatever the writer does (hangs, panics, answers late) the caller has its answer or its
//! [`WriteError`] at the deadline, and the playbook writes instead.

mod queue;

use crate::briefing::{self, Briefing};
use magsentinel_bus_schema::{Assessment, Id};
use queue::{Pushed, Queue};
use serde::Serialize;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

/// After a failed load, how long until it is tried again.
const RELOAD_AFTER: Duration = Duration::from_secs(300);

/// Longest reason of a failure that is kept, in characters.
const REASON_CHARS_MAX: usize = 300;

/// Somebody who drafts an analysis. Lives on the desk's thread.
pub trait Writer {
    /// Writes a draft: the JSON text that [`crate::draft::schema`] describes. Looks at `cancel`
    /// often, and stops when it is set: nobody waits for the answer any more.
    ///
    /// # Errors
    /// Why there is no draft.
    fn write(&mut self, briefing: &Briefing, cancel: &Cancel) -> Result<String, WriteError>;
}

/// Makes the writer, on the desk's thread; may take minutes. The error is told to the operator.
pub type Factory = Arc<dyn Fn() -> Result<Box<dyn Writer>, String> + Send + Sync>;

/// Set when nobody waits for a draft any more.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Whether to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why there is no draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The model cannot be loaded.
    #[error("the model could not be loaded: {0}")]
    Load(String),
    /// It is still being loaded.
    #[error("the model was still loading after {0:?}")]
    Loading(Duration),
    /// Too many drafts wait, none of them of a lower level; or this one gave way to a graver one.
    #[error("the model is still busy with other incidents")]
    Busy,
    /// The deadline passed.
    #[error("the model did not finish within {0:?}")]
    Deadline(Duration),
    /// The prompt is too long: counted by the model's tokenizer, before anything was written.
    #[error("the prompt has {tokens} tokens, over commander.context_tokens ({max})")]
    TooLong {
        /// Its tokens.
        tokens: usize,
        /// The limit.
        max: usize,
    },
    /// The token limit was reached before the draft was complete.
    #[error("the model did not finish within {0} tokens: raise commander.tokens_max")]
    Tokens(usize),
    /// The model said that it cannot.
    #[error("the model failed: {0}")]
    Generation(String),
}

/// Most drafts that wait. When they are as many, the one of the lowest level gives way to a graver
/// one, and its caller has the playbook write at once.
const WAITING_MAX: usize = 8;

enum State {
    Idle,
    Loading,
    Ready,
    Failed(String, Instant),
}

/// What the desk has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Drafts that wait now.
    pub waiting: u64,
    /// Drafts that were asked for.
    pub asked: u64,
    /// Those that the writer finished, well or not.
    pub finished: u64,
    /// Those that nobody waited for any more when their deadline had passed.
    pub cancelled: u64,
    /// Those that found the queue full, or gave way to a graver one.
    pub refused: u64,
    /// Milliseconds that the finished ones took, in all.
    pub writing_ms: u64,
}

/// The desk of one process. Cheap when no draft was ever asked for.
pub struct Desk {
    name: String,
    factory: Factory,
    idle_max: Duration,
    state: Arc<Mutex<State>>,
    queue: Arc<Queue>,
}

impl Desk {
    /// A desk for the writer that `factory` makes; `name` is told as the model of its analyses.
    #[must_use]
    pub fn new((name, factory): (String, Factory)) -> Self {
        let state = Arc::new(Mutex::new(State::Idle));
        Self { name, factory, idle_max: Duration::MAX, state, queue: Arc::default() }
    }

    /// The same, with a writer that is let go of when nobody has asked for a draft for `idle_max`,
    /// and loaded again when somebody does.
    #[must_use]
    pub fn unloading_after(self, idle_max: Duration) -> Self {
        Self { idle_max, ..self }
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `not loaded`, `loading`, `ready` or `failed: …`, for `magsentinel status`.
    #[must_use]
    pub fn status(&self) -> String {
        match &*locked(&self.state) {
            State::Idle => "not loaded".to_owned(),
            State::Loading => "loading".to_owned(),
            State::Ready => "ready".to_owned(),
            State::Failed(reason, _) => format!("failed: {reason}"),
        }
    }

    /// What it has to do and has done.
    #[must_use]
    pub fn load(&self) -> Load {
        self.queue.load()
    }

    /// Asks for a draft and waits for it, at most until `deadline` has passed. The gravest incident
    /// is written first, and of equally grave ones the one that was asked for first. The first call
    /// begins to load the model.
    ///
    /// # Errors
    /// Why there is no draft; never later than the deadline.
    pub fn ask(&self, briefing: Briefing, deadline: Duration) -> Result<String, WriteError> {
        if let State::Failed(reason, when) = &*locked(&self.state)
            && when.elapsed() < RELOAD_AFTER
        {
            return Err(WriteError::Load(reason.clone()));
        }
        let (answer, answers) = sync_channel(1);
        let cancel = Cancel::default();
        match self.queue.push(briefing, cancel.clone(), answer) {
            Pushed::Waits => {}
            Pushed::First => self.serve()?,
            Pushed::Full => {
                return Err(match &*locked(&self.state) {
                    State::Loading => WriteError::Loading(deadline),
                    _ => WriteError::Busy,
                });
            }
        }
        match answers.recv_timeout(deadline) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                cancel.set();
                self.queue.cancelled();
                Err(match &*locked(&self.state) {
                    State::Loading => WriteError::Loading(deadline),
                    _ => WriteError::Deadline(deadline),
                })
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.failure()),
        }
    }

    /// Starts the thread that serves the queue.
    fn serve(&self) -> Result<(), WriteError> {
        let (factory, state) = (Arc::clone(&self.factory), Arc::clone(&self.state));
        let (queue, idle_max) = (Arc::clone(&self.queue), self.idle_max);
        *locked(&state) = State::Loading;
        let thread = std::thread::Builder::new().name("commander-desk".to_owned());
        let started = thread.spawn(move || {
            if let Ended::Failed = serve(&factory, &state, &queue, idle_max) {
                queue.give_up();
            }
        });
        started.map(drop).map_err(|e| {
            self.queue.give_up();
            WriteError::Load(format!("no thread for the model: {e}"))
        })
    }

    /// Why the thread ended with a draft unanswered.
    fn failure(&self) -> WriteError {
        match &*locked(&self.state) {
            State::Failed(reason, _) => WriteError::Load(reason.clone()),
            _ => WriteError::Generation("its thread ended".to_owned()),
        }
    }
}

/// How a thread ended.
enum Ended {
    /// Nobody asked for a while: the queue knows that nobody serves it.
    Idle,
    /// It left whoever waits.
    Failed,
}

fn serve(factory: &Factory, state: &Mutex<State>, queue: &Queue, idle_max: Duration) -> Ended {
    let loaded = catch_unwind(AssertUnwindSafe(|| factory()))
        .unwrap_or_else(|panic| Err(format!("loading panicked: {}", panic_text(&*panic))));
    let writer = match loaded {
        Ok(writer) => writer,
        Err(reason) => {
            let reason = crate::untrusted::shown(&reason, REASON_CHARS_MAX);
            tracing::error!(error = reason, "model not loaded, the playbook writes");
            *locked(state) = State::Failed(reason, Instant::now());
            return Ended::Failed;
        }
    };
    tracing::info!("model loaded");
    *locked(state) = State::Ready;
    let mut writer = Some(writer);
    loop {
        // Let go of before anybody can ask for the next, which would load it a second time.
        let idle = || {
            writer = None;
            *locked(state) = State::Idle;
        };
        let Some(job) = queue.next(idle_max, idle) else {
            tracing::info!("model unloaded, nobody asked for it");
            return Ended::Idle;
        };
        let Some(writer) = &mut writer else { return Ended::Failed };
        let begun = Instant::now();
        let work = AssertUnwindSafe(|| writer.write(&job.briefing, &job.cancel));
        match catch_unwind(work) {
            // Nobody may be waiting any more, which is no failure.
            Ok(answer) => {
                queue.finished(begun.elapsed());
                drop(job.answer.try_send(answer));
            }
            Err(panic) => {
                let reason = format!("the writer panicked: {}", panic_text(&*panic));
                let reason = crate::untrusted::shown(&reason, REASON_CHARS_MAX);
                tracing::error!(error = reason, "model given up, the playbook writes");
                *locked(state) = State::Failed(reason, Instant::now());
                return Ended::Failed;
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A panic while a lock was held leaves what it guards whole: every write is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A desk as a stage sees it, with the secret that its nonces are made of.
#[derive(Clone)]
pub(crate) struct Clerk {
    pub(crate) desk: Arc<Desk>,
    pub(crate) secret: Id,
}

/// Tokens that a chat template adds to a prompt.
const TEMPLATE_TOKENS: usize = 64;

impl Clerk {
    /// A draft and the briefing that it was written from, within `deadline`. `make` briefs within so
    /// many bytes; where that is too many tokens for the model, it is asked for less. No token is
    /// shorter than a byte, so there is always a prompt that fits.
    pub(crate) fn draft<E: std::fmt::Display>(
        &self,
        limits: briefing::Limits,
        deadline: Duration,
        make: impl Fn(usize) -> Result<Briefing, E>,
    ) -> Result<(Briefing, String), String> {
        let begun = Instant::now();
        let least = limits.context_tokens.saturating_sub(TEMPLATE_TOKENS);
        let mut bytes_max = limits.prompt_bytes_max.max(least);
        loop {
            let briefing = make(bytes_max).map_err(|e| e.to_string())?;
            let left = deadline.saturating_sub(begun.elapsed());
            match self.desk.ask(briefing.clone(), left) {
                Ok(answer) => return Ok((briefing, answer)),
                Err(WriteError::TooLong { tokens, max }) if bytes_max > least => {
                    let bytes = briefing.system.len() + briefing.user.len();
                    // What is left out may have had longer tokens than what stays.
                    let fitting = bytes.saturating_mul(max) / tokens.max(1) / 10 * 9;
                    bytes_max = fitting.clamp(least, bytes_max - 1);
                }
                Err(WriteError::Deadline(_)) => {
                    return Err(WriteError::Deadline(deadline).to_string());
                }
                Err(WriteError::Loading(_)) => {
                    return Err(WriteError::Loading(deadline).to_string());
                }
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// The nonce of a prompt: differs for every assessment and attempt, and cannot be foretold by
    /// whoever writes the evidence.
    pub(crate) fn nonce(&self, assessment: &Assessment, attempt: u64) -> String {
        let attempt = attempt.to_be_bytes();
        let parts: [&[u8]; 4] =
            [b"nonce", self.secret.as_bytes(), assessment.id.as_bytes(), &attempt];
        Id::derived(&parts).to_string().replace('-', "")
    }
}
