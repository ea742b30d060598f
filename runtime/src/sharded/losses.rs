//! What the stream took from a service's shards before their owner handled it, and how far an owner
//! has come where nothing is for it.

use super::{
    feed::Feed,
    marks::mark,
    worker::{ShardedState, ShardedWorkerArgs},
};
use crate::{
    gap::{self, Loss},
    metrics,
};
use std::collections::BTreeMap;

/// How the stream and this owner's feed stood at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    first: u64,
    last: u64,
    /// Messages of our shards that were not delivered yet.
    waiting: u64,
    /// Up to here every owned shard is handled.
    position: u64,
}

impl Looked {
    /// What is gone since an earlier look and was never delivered: at most so many.
    fn lost_since(&self, before: &Self) -> Option<Loss> {
        let from = before.position.max(before.first.saturating_sub(1)) + 1;
        let to = self.first.saturating_sub(1);
        let unseen = to.saturating_sub(before.last);
        let count = (before.waiting + unseen).min((to + 1).saturating_sub(from));
        (count > 0).then_some(Loss { from, to, count })
    }
}

impl ShardedState {
    /// Looks at the stream and the feed.
    pub(super) async fn look(&mut self) {
        self.quiet = None;
        let before = self.looked.take();
        // First, so that it is not ahead of what the feed says.
        let Ok(stream) = self.args.context.bus.stream(self.args.service.stream).await else {
            return;
        };
        let state = &stream.cached_info().state;
        for owned in self.owned.values_mut().filter(|owned| owned.seen >= owned.rebuild_to) {
            mark(&mut owned.lease, state.first_sequence);
        }
        let Some(waiting) = self.waiting().await else { return };
        let whole = self.feed.as_ref().is_some_and(Feed::is_whole);
        let ShardedWorkerArgs { context, service, .. } = &self.args;
        let label = metrics::consumer(service.name.as_str());
        let lag = i64::try_from(waiting).unwrap_or(i64::MAX);
        context.metrics.lag.get_or_create(&label).set(lag);
        // What is on its way still has to come: to go on behind it would lose it.
        self.quiet = (waiting == 0 && whole).then_some(state.last_sequence);
        let live = self.owned.values().all(|owned| owned.seen >= owned.rebuild_to);
        let position = self.owned.values().map(|owned| owned.lease.position).min();
        let Some(position) = position.filter(|_| live) else { return };
        let (first, last) = (state.first_sequence, state.last_sequence);
        let now = Looked { first, last, waiting, position };
        self.looked = Some(now);
        if let Some(loss) = before.and_then(|before| now.lost_since(&before)) {
            gap::tell(context, &service.name, service.stream, loss).await;
        }
    }

    /// Nothing came after the feed had nothing more: what the stream held then is handled, or is
    /// for others. Without this an owner whose shards are quiet would seem to have missed what the
    /// stream's limits took of others.
    pub(super) fn settle_quiet(&mut self) {
        if let Some(last) = self.quiet.take() {
            self.advance(last, &BTreeMap::new());
        }
    }

    /// Tells of messages that the stream has lost while a shard that was handled up to `position`
    /// had no owner. One that has handled nothing yet has missed nothing: it is new.
    pub(super) async fn tell_gap(&mut self, position: u64) {
        let ShardedWorkerArgs { context, service, .. } = &self.args;
        let Ok(stream) = context.bus.stream(service.stream).await else { return };
        let first = stream.cached_info().state.first_sequence;
        if position > 0 && first > position + 1 {
            let (from, to) = (position + 1, first - 1);
            let loss = Loss { from, to, count: to - from + 1 };
            gap::tell(context, &service.name, service.stream, loss).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_lost_and_what_was_for_others_is_not() {
        let at = |first, last, waiting, position| Looked { first, last, waiting, position };
        let before = at(1, 100, 30, 40);
        assert_eq!(at(41, 100, 30, 40).lost_since(&before), None);
        let lost = Some(Loss { from: 41, to: 79, count: 30 });
        assert_eq!(at(80, 100, 10, 40).lost_since(&before), lost);
        assert_eq!(at(80, 120, 0, 120).lost_since(&before), lost);
        let quiet = at(1, 100, 0, 40);
        assert_eq!(at(80, 120, 0, 40).lost_since(&quiet), None);
        let lost = Some(Loss { from: 41, to: 109, count: 9 });
        assert_eq!(at(110, 120, 0, 40).lost_since(&quiet), lost);
    }
}
