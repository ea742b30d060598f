//! The task that closes gaps.

use super::{
    count::Count,
    count_events,
    handled::{Handled, stored_at},
    message,
    opening::{Newest, newest},
    show_open,
};
use crate::{
    bus::{Error, Fence},
    context::Context,
    service::Task,
};
use futures::future::BoxFuture;
use magsentinel_bus_schema::{Gap, GapState, Subject, Token};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The task that closes the gaps of a consumer of EVENTS, whichever process opened them. `bound`
/// is that of the stage which says what is late.
#[must_use]
pub fn closing(name: Token, handled: Handled, bound: Duration) -> Task {
    let run = move |context: Context| {
        let closer = Closer { context, name: name.clone(), handled, bound };
        Box::pin(async move { closer.run().await }) as BoxFuture<'static, Result<(), String>>
    };
    Task { name: "gap".to_owned(), run: Arc::new(run) }
}

struct Closer {
    context: Context,
    name: Token,
    handled: Handled,
    bound: Duration,
}

impl Closer {
    async fn run(&self) -> Result<(), String> {
        let every = (self.bound / 4).min(Duration::from_secs(1));
        let mut counting: Option<(Gap, Count)> = None;
        while !self.context.is_stopping() {
            if let Err(error) = self.turn(&mut counting).await {
                tracing::debug!(consumer = %self.name, %error, "looking for gaps again");
            }
            self.context.pause(every).await;
        }
        Ok(())
    }

    async fn turn(&self, counting: &mut Option<(Gap, Count)>) -> Result<(), Error> {
        let Newest { seq, open } = newest(&self.context.bus, &self.name).await?;
        show_open(&self.context, &self.name, open.is_some());
        let Some(gap) = open else {
            *counting = None;
            return Ok(());
        };
        let before = counting.take().filter(|(of, _)| of.id == gap.id);
        let (gap, mut count) = before.unwrap_or_else(|| {
            let count = Count::of(&gap, self.bound);
            (gap, count)
        });
        let closed = self.close(&gap, seq, &mut count).await;
        *counting = Some((gap, count));
        closed
    }

    /// Closes the gap, if nothing waits too long: see the proof in the module's text.
    async fn close(&self, gap: &Gap, seq: u64, count: &mut Count) -> Result<(), Error> {
        let (bus, begun) = (&self.context.bus, Instant::now());
        let oldest = self.handled.oldest(bus, &self.name).await?;
        let now = self.context.now();
        // What takes long is read while the patrol still works on the rest.
        count.advance(bus).await?;
        let waits = oldest.is_some_and(|stored| now.since(stored) > self.bound / 2);
        let (missed, from_seq, to_seq) = count.missed().unwrap_or((0, gap.from_seq, gap.to_seq));
        let closed = Gap {
            from_seq,
            to_seq,
            count: missed,
            noticed: self.context.now(),
            state: GapState::Backfilled,
            from: stored_at(bus, from_seq).await,
            to: stored_at(bus, to_seq).await,
            ..gap.clone()
        };
        if waits || begun.elapsed() > self.bound / 4 {
            return Ok(());
        }
        let fence = Fence { subject: Subject::Gap(self.name.clone()).of(bus.tenant()), seq };
        let (messages, fences) = ([message(&closed)?], [Some(fence)]);
        let publishing = bus.publish_fenced(&messages, &fences);
        match tokio::time::timeout(self.bound / 4, publishing).await {
            Ok(Ok(())) => {}
            // Somebody else was first, or it took too long to be sure of: looked at again.
            Ok(Err(Error::Fenced { .. })) | Err(_) => return Ok(()),
            Ok(Err(error)) => return Err(error),
        }
        tracing::info!(
            consumer = %self.name, from_seq, to_seq, missed, "what was missed is back-filled"
        );
        count_events(&self.context, &closed);
        show_open(&self.context, &self.name, false);
        Ok(())
    }
}
