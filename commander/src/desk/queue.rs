//! The drafts that wait: bounded, the gravest first.

use super::{Cancel, Load, WAITING_MAX, WriteError, locked};
use crate::briefing::Briefing;
use std::{
    sync::{Condvar, Mutex, PoisonError, mpsc::SyncSender},
    time::Duration,
};

/// A draft that somebody waits for.
pub(super) struct Job {
    pub(super) briefing: Briefing,
    pub(super) cancel: Cancel,
    pub(super) answer: SyncSender<Result<String, WriteError>>,
}

/// What became of a job that was handed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits for the thread that serves.
    Waits,
    /// It waits, and no thread serves: one is to be started.
    First,
    /// There was no place.
    Full,
}

#[derive(Default)]
struct Inner {
    /// In the order in which they were handed in.
    jobs: Vec<Job>,
    served: bool,
    load: Load,
}

/// The queue of one desk.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

impl Queue {
    pub(super) fn push(
        &self,
        briefing: Briefing,
        cancel: Cancel,
        answer: SyncSender<Result<String, WriteError>>,
    ) -> Pushed {
        let mut inner = locked(&self.inner);
        inner.load.asked += 1;
        // What nobody waits for any more takes no place.
        inner.jobs.retain(|job| !job.cancel.is_set());
        if inner.jobs.len() >= WAITING_MAX && !inner.make_room(&briefing) {
            inner.load.refused += 1;
            return Pushed::Full;
        }
        inner.jobs.push(Job { briefing, cancel, answer });
        self.arrived.notify_one();
        if std::mem::replace(&mut inner.served, true) { Pushed::Waits } else { Pushed::First }
    }

    /// The gravest job, the oldest of its level. None when none came for `idle_max`: then nobody
    /// serves any more, and `idle` was called before anybody could hand in the next.
    pub(super) fn next(&self, idle_max: Duration, idle: impl FnOnce()) -> Option<Job> {
        let mut inner = locked(&self.inner);
        loop {
            inner.jobs.retain(|job| !job.cancel.is_set());
            if let Some(at) = inner.gravest() {
                return Some(inner.jobs.remove(at));
            }
            let waited = self.arrived.wait_timeout(inner, idle_max);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            inner = guard;
            if timeout.timed_out() && inner.jobs.is_empty() {
                inner.served = false;
                idle();
                return None;
            }
        }
    }

    /// Nobody serves any more: whoever waits is told so by the end of its channel.
    pub(super) fn give_up(&self) {
        let mut inner = locked(&self.inner);
        inner.served = false;
        inner.jobs.clear();
    }

    pub(super) fn finished(&self, time: Duration) {
        let mut inner = locked(&self.inner);
        inner.load.finished += 1;
        inner.load.writing_ms += u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    pub(super) fn cancelled(&self) {
        locked(&self.inner).load.cancelled += 1;
    }

    pub(super) fn load(&self) -> Load {
        let inner = locked(&self.inner);
        let waiting = inner.jobs.iter().filter(|job| !job.cancel.is_set()).count();
        Load { waiting: u64::try_from(waiting).unwrap_or(u64::MAX), ..inner.load }
    }
}

impl Inner {
    fn gravest(&self) -> Option<usize> {
        let level = self.jobs.iter().map(|job| job.briefing.level).max()?;
        self.jobs.iter().position(|job| job.briefing.level == level)
    }

    /// Lets the youngest job of the lowest level go, where the new one is graver.
    fn make_room(&mut self, briefing: &Briefing) -> bool {
        let Some(lowest) = self.jobs.iter().map(|job| job.briefing.level).min() else {
            return true;
        };
        let at = self.jobs.iter().rposition(|job| job.briefing.level == lowest);
        let Some(at) = at.filter(|_| lowest < briefing.level) else { return false };
        let job = self.jobs.remove(at);
        drop(job.answer.try_send(Err(WriteError::Busy)));
        self.load.refused += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::Level;
    use std::sync::mpsc::{Receiver, sync_channel};

    type Answers = Receiver<Result<String, WriteError>>;

    fn push(queue: &Queue, level: Level, name: &str) -> (Pushed, Answers, Cancel) {
        let (answer, answers) = sync_channel(1);
        let cancel = Cancel::default();
        let briefing = Briefing { user: name.to_owned(), level, ..Briefing::default() };
        (queue.push(briefing, cancel.clone(), answer), answers, cancel)
    }

    fn order(queue: &Queue) -> Vec<String> {
        let next = || queue.next(Duration::from_millis(1), || {});
        std::iter::from_fn(next).map(|job| job.briefing.user).collect()
    }

    #[test]
    fn the_gravest_is_first_then_the_oldest_and_what_is_cancelled_is_skipped() {
        let queue = Queue::default();
        let (first, ..) = push(&queue, Level::Medium, "a");
        assert_eq!(first, Pushed::First);
        let waits: Vec<_> = [(Level::Critical, "b"), (Level::High, "c"), (Level::Critical, "d")]
            .map(|(level, name)| push(&queue, level, name))
            .into();
        waits[1].2.set();
        assert_eq!(queue.load().waiting, 3);
        assert_eq!(order(&queue), ["b", "d", "a"]);
        // Nobody serves now: the next is the first again.
        assert_eq!(push(&queue, Level::Low, "e").0, Pushed::First);
    }

    #[test]
    fn a_full_queue_lets_the_lowest_go_for_a_graver_one_and_refuses_the_rest() {
        let queue = Queue::default();
        let waiting: Vec<_> =
            (0..WAITING_MAX).map(|n| push(&queue, Level::High, &n.to_string())).collect();
        assert_eq!(push(&queue, Level::High, "alike").0, Pushed::Full);
        assert_eq!(push(&queue, Level::Critical, "graver").0, Pushed::Waits);
        assert_eq!(waiting[WAITING_MAX - 1].1.try_recv(), Ok(Err(WriteError::Busy)));
        // One that nobody waits for leaves its place to whoever comes.
        waiting[0].2.set();
        assert_eq!(push(&queue, Level::Low, "late").0, Pushed::Waits);
        let told = queue.load();
        assert_eq!((told.refused, told.asked), (2, 11));
        let order = order(&queue);
        assert_eq!(
            (order[0].as_str(), order[1].as_str(), order[7].as_str()),
            ("graver", "1", "late")
        );
    }

    #[test]
    fn whoever_waits_when_the_thread_gives_up_is_told() {
        let queue = Queue::default();
        let (_, answers, _) = push(&queue, Level::High, "a");
        queue.give_up();
        assert!(answers.recv().is_err());
        assert_eq!(push(&queue, Level::High, "b").0, Pushed::First);
    }
}
