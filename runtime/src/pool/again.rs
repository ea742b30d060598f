//! Acknowledgements that a dying server took with it.
//!
//! An acknowledgement is not confirmed: one that a server had not written down when it died leaves
//! its message in flight, and it is delivered again only when `ack_wait` has passed. So the newest
//! are remembered, and said once more after a reconnect. That is safe: each was said after the
//! effect was stored. A stream that lost its end in a power cut gives the same sequences to other
//! messages, which must not be acknowledged by this: therefore the newest message that is still
//! there must be the one that was handled.

use super::worker::{Held, PoolWorkerArgs};
use crate::{bus::Error, delivery};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use magsentinel_bus_schema::Timestamp;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Acknowledgements that are remembered; of earlier ones the server has surely written down all.
const KEPT_MAX: usize = 8192;
/// Time after which it has written down all of them, where no other came meanwhile.
const WRITTEN_AFTER: Duration = Duration::from_secs(60);
/// Messages that are looked for: a work queue no longer holds those whose acknowledgement arrived.
const LOOKED_FOR_MAX: usize = 16;

/// One acknowledgement.
#[derive(Clone, Debug)]
struct One {
    seq: u64,
    stored: Timestamp,
    reply: Box<str>,
}

/// The newest acknowledgements.
#[derive(Debug, Default)]
pub(crate) struct Acked(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    ones: VecDeque<One>,
    noted: Option<Instant>,
}

impl Acked {
    /// Remembers what was acknowledged.
    pub(crate) fn note<'a>(&self, acknowledged: impl Iterator<Item = &'a Held>) {
        let mut kept = lock(self);
        kept.noted = Some(Instant::now());
        for Held { delivery, reply, .. } in acknowledged {
            if kept.ones.len() == KEPT_MAX {
                kept.ones.pop_front();
            }
            // A copy: the subject shares its buffer with the whole message.
            let reply = reply.as_str().into();
            kept.ones.push_back(One { seq: delivery.seq, stored: delivery.stored, reply });
        }
    }

    /// Forgets all where the newest is so old that the server has surely written it down, with what
    /// they took in memory.
    pub(crate) fn forget_written(&self, now: Instant) {
        let mut kept = lock(self);
        if kept.noted.is_some_and(|noted| now.duration_since(noted) >= WRITTEN_AFTER) {
            *kept = Kept::default();
        }
    }

    /// Those between two sequences, the newest first.
    fn between(&self, floor: u64, reached: u64) -> Vec<One> {
        let kept = lock(self);
        let between = kept.ones.iter().filter(|one| one.seq > floor && one.seq <= reached);
        let mut between: Vec<One> = between.cloned().collect();
        between.sort_unstable_by_key(|one| std::cmp::Reverse(one.seq));
        between
    }
}

fn lock(acked: &Acked) -> MutexGuard<'_, Kept> {
    acked.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says once more what the server may not have written down. Returns how many.
pub(crate) async fn acknowledge(args: &PoolWorkerArgs) -> Result<usize, Error> {
    let PoolWorkerArgs { context, pool, acked, .. } = args;
    let failed = |why: String| Error::Request { what: "what is in flight", why };
    let held = context.bus.stream(pool.stream).await?;
    let info = held.consumer_info(pool.durable.as_str()).await;
    let info = info.map_err(|e| failed(e.to_string()))?;
    if info.num_ack_pending == 0 {
        return Ok(0);
    }
    let kept = acked.between(info.ack_floor.stream_sequence, info.delivered.stream_sequence);
    let Some(safe) = newest_there(&held, &kept).await? else { return Ok(0) };
    let mut said = 0;
    for one in kept.iter().filter(|one| one.seq <= safe) {
        let reply = async_nats::Subject::from(String::from(&*one.reply));
        let sent = context.bus.client().publish(reply, "+ACK".into()).await;
        sent.map_err(|e| failed(e.to_string()))?;
        said += 1;
    }
    Ok(said)
}

/// The newest sequence whose message is the one that was acknowledged; none where another has
/// taken its place, or nothing of it is left.
async fn newest_there(held: &Stream, kept: &[One]) -> Result<Option<u64>, Error> {
    for one in kept.iter().take(LOOKED_FOR_MAX) {
        match held.get_raw_message(one.seq).await {
            Ok(message) => {
                let same = delivery::stored(message).stored == one.stored;
                return Ok(same.then_some(one.seq));
            }
            Err(e) if e.kind() == RawMessageErrorKind::NoMessageFound => {}
            Err(e) => {
                let why = e.to_string();
                return Err(Error::Request { what: "what is in flight", why });
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_has_written_down_is_forgotten() {
        let (acked, noted) = (Acked::default(), Instant::now());
        let one = One { seq: 7, stored: Timestamp::from_micros(1), reply: "reply".into() };
        *lock(&acked) = Kept { ones: [one].into(), noted: Some(noted) };
        acked.forget_written(noted + WRITTEN_AFTER - Duration::from_millis(1));
        assert_eq!(acked.between(0, 9).len(), 1);
        acked.forget_written(noted + WRITTEN_AFTER);
        assert_eq!(acked.between(0, 9).len(), 0);
        assert_eq!(lock(&acked).ones.capacity(), 0);
    }
}
