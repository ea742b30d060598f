//! Where a model works: one background thread, one draft at a time, a deadline for each.
//!
//! The thread owns the [`Writer`], loads it on first need, lets go of it when nobody asked for a
//! while, and outlives a stage that panics.
//! Whatever the writer does (hangs, panics, answers late) the caller has its answer or its
//! [`WriteError`] at the deadline, and the playbook writes instead.

use crate::briefing::Briefing;
use magsentinel_bus_schema::{Assessment, Id};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
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
    /// It is still busy with what nobody waits for any more.
    #[error("the model is still busy with an earlier incident")]
    Busy,
    /// The deadline passed.
    #[error("the model did not finish within {0:?}")]
    Deadline(Duration),
    /// The token limit was reached before the draft was complete.
    #[error("the model did not finish within {0} tokens: raise commander.tokens_max")]
    Tokens(usize),
    /// The model said that it cannot.
    #[error("the model failed: {0}")]
    Generation(String),
}

/// Most drafts that wait. A caller waits for its own before it asks for the next, so all but one
/// are such that nobody waits for any more; the writer skips them.
const WAITING_MAX: usize = 8;

enum State {
    Idle,
    Loading,
    Ready,
    Failed(String, Instant),
}

struct Job {
    briefing: Briefing,
    cancel: Cancel,
    answer: SyncSender<Result<String, WriteError>>,
}

/// The desk of one process. Cheap when no draft was ever asked for.
pub struct Desk {
    name: String,
    factory: Factory,
    idle_max: Duration,
    state: Arc<Mutex<State>>,
    jobs: Mutex<Option<SyncSender<Job>>>,
}

impl Desk {
    /// A desk for the writer that `factory` makes; `name` is told as the model of its analyses.
    #[must_use]
    pub fn new((name, factory): (String, Factory)) -> Self {
        let state = Arc::new(Mutex::new(State::Idle));
        Self { name, factory, idle_max: Duration::MAX, state, jobs: Mutex::new(None) }
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

    /// Asks for a draft and waits for it, at most until `deadline` has passed. The first call
    /// begins to load the model.
    ///
    /// # Errors
    /// Why there is no draft; never later than the deadline.
    pub fn ask(&self, briefing: Briefing, deadline: Duration) -> Result<String, WriteError> {
        match self.ask_once(briefing.clone(), deadline) {
            // The writer was let go of in the moment in which it was asked: it is loaded again.
            None => self
                .ask_once(briefing, deadline)
                .unwrap_or_else(|| Err(WriteError::Generation("its thread ended".to_owned()))),
            Some(answer) => answer,
        }
    }

    /// The answer; none when the thread ended without failing, before it took the job.
    fn ask_once(
        &self,
        briefing: Briefing,
        deadline: Duration,
    ) -> Option<Result<String, WriteError>> {
        let (answer, answers) = sync_channel(1);
        let cancel = Cancel::default();
        if let Err(e) = self.send(Job { briefing, cancel: cancel.clone(), answer }, deadline) {
            return Some(Err(e));
        }
        match answers.recv_timeout(deadline) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => {
                cancel.set();
                Some(Err(match &*locked(&self.state) {
                    State::Loading => WriteError::Loading(deadline),
                    _ => WriteError::Deadline(deadline),
                }))
            }
            Err(RecvTimeoutError::Disconnected) => self.failure().map(Err),
        }
    }

    fn send(&self, job: Job, deadline: Duration) -> Result<(), WriteError> {
        if let State::Failed(reason, when) = &*locked(&self.state)
            && when.elapsed() < RELOAD_AFTER
        {
            return Err(WriteError::Load(reason.clone()));
        }
        let mut jobs = locked(&self.jobs);
        let job = match &*jobs {
            None => job,
            Some(sender) => match sender.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(job)) => job,
                Err(TrySendError::Full(_)) => {
                    return Err(match &*locked(&self.state) {
                        State::Loading => WriteError::Loading(deadline),
                        _ => WriteError::Busy,
                    });
                }
            },
        };
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let (factory, state) = (Arc::clone(&self.factory), Arc::clone(&self.state));
        let idle_max = self.idle_max;
        *locked(&state) = State::Loading;
        let thread = std::thread::Builder::new().name("commander-desk".to_owned());
        thread
            .spawn(move || serve(&factory, &state, &receiver, idle_max))
            .map_err(|e| WriteError::Load(format!("no thread for the model: {e}")))?;
        let _ = sender.try_send(job);
        *jobs = Some(sender);
        Ok(())
    }

    /// Why the thread ended; none when it ended because nobody asked.
    fn failure(&self) -> Option<WriteError> {
        match &*locked(&self.state) {
            State::Failed(reason, _) => Some(WriteError::Load(reason.clone())),
            State::Idle => None,
            _ => Some(WriteError::Generation("its thread ended".to_owned())),
        }
    }
}

fn serve(factory: &Factory, state: &Mutex<State>, jobs: &Receiver<Job>, idle_max: Duration) {
    let loaded = catch_unwind(AssertUnwindSafe(|| factory()))
        .unwrap_or_else(|panic| Err(format!("loading panicked: {}", panic_text(&*panic))));
    let mut writer = match loaded {
        Ok(writer) => writer,
        Err(reason) => {
            let reason = crate::untrusted::shown(&reason, REASON_CHARS_MAX);
            tracing::error!(error = reason, "model not loaded, the playbook writes");
            *locked(state) = State::Failed(reason, Instant::now());
            return;
        }
    };
    tracing::info!("model loaded");
    *locked(state) = State::Ready;
    loop {
        let job = match jobs.recv_timeout(idle_max) {
            Ok(job) => job,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                drop(writer);
                tracing::info!("model unloaded, nobody asked for it");
                *locked(state) = State::Idle;
                return;
            }
        };
        if job.cancel.is_set() {
            continue;
        }
        let work = AssertUnwindSafe(|| writer.write(&job.briefing, &job.cancel));
        match catch_unwind(work) {
            // Nobody may be waiting any more, which is no failure.
            Ok(answer) => drop(job.answer.try_send(answer)),
            Err(panic) => {
                let reason = format!("the writer panicked: {}", panic_text(&*panic));
                let reason = crate::untrusted::shown(&reason, REASON_CHARS_MAX);
                tracing::error!(error = reason, "model given up, the playbook writes");
                *locked(state) = State::Failed(reason, Instant::now());
                return;
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

impl Clerk {
    /// The nonce of a prompt: differs for every assessment and attempt, and cannot be foretold by
    /// whoever writes the evidence.
    pub(crate) fn nonce(&self, assessment: &Assessment, attempt: u64) -> String {
        let attempt = attempt.to_be_bytes();
        let parts: [&[u8]; 4] =
            [b"nonce", self.secret.as_bytes(), assessment.id.as_bytes(), &attempt];
        Id::derived(&parts).to_string().replace('-', "")
    }
}
