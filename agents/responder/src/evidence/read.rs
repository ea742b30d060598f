//! The decision behind an outcome, found again in DECISIONS.
//!
//! What is not found is told with the true reason: it is gone, it cannot be read, or the search was
//! cut off by a bound.

use super::gather::Unkept;
use magsentinel_bus_schema::{
    Action, Assessment, Outcome, Stream, Subject, Timestamp, subject::all_of,
};
use magsentinel_runtime::{
    bus::{Bus, Extent},
    stage::Delivery,
};
use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
    time::Duration,
};

/// How far a clock that stamped an event may be ahead of the server's, at most.
const SKEW: Duration = Duration::from_secs(60);

/// A message and where it is stored.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) delivery: Delivery,
    pub(super) message: T,
}

/// What came of looking for something in a stretch of a stream.
#[derive(Debug)]
pub(super) struct Search<T> {
    /// What was looked for, as far as it is there.
    pub(super) found: T,
    /// Messages that could not be read: what was looked for may be one of them.
    pub(super) unreadable: u64,
    /// How far the stretch was looked through.
    pub(super) extent: Extent,
    /// When what was looked through was stored.
    stretch: (Timestamp, Timestamp),
}

impl<T: Default> Search<T> {
    fn of(stretch: (Timestamp, Timestamp)) -> Self {
        Self { found: T::default(), unreadable: 0, extent: Extent::Whole, stretch }
    }
}

impl<T> Search<T> {
    /// Why something was not found.
    pub(super) fn why_not(&self, what: &str, scan_max: u64) -> String {
        let (since, until) = self.stretch;
        let told = match (self.extent, self.unreadable) {
            (Extent::Bounded, _) => {
                format!("was not found in {scan_max} messages: raise responder.evidence.scan_max")
            }
            (Extent::Whole, 0) => "is in the stream no more".to_owned(),
            (Extent::Whole, n) => {
                format!("is in the stream no more, or is one of {n} messages that cannot be read")
            }
        };
        format!("{what}, looked for between {since} and {until}, {told}")
    }
}

/// The actions that outcomes tell of, by the outcome's sequence: of each the newest that was
/// stored before it, at most `back` earlier.
pub(super) async fn actions(
    bus: &Bus,
    owed: &[Found<Outcome>],
    back: Duration,
    scan_max: u64,
) -> Result<Search<HashMap<u64, Found<Action>>>, Unkept> {
    let times = owed.iter().map(|one| one.delivery.stored);
    let first = times.clone().min().unwrap_or_default();
    let stretch = (first.minus(back), times.max().unwrap_or_default());
    let mut search = Search::<HashMap<_, _>>::of(stretch);
    if owed.is_empty() {
        return Ok(search);
    }
    let verbs: BTreeSet<_> = owed.iter().map(|one| one.message.effect.verb()).collect();
    let filters = verbs.into_iter().map(|verb| Subject::Action(verb).of(bus.tenant()));
    let Search { found, unreadable, .. } = &mut search;
    let show = |delivery: &Delivery| {
        let Ok(message) = delivery.decode::<Action>(bus.limits()) else {
            *unreadable += 1;
            return ControlFlow::Continue(());
        };
        let told = |one: &&Found<Outcome>| {
            one.message.action == message.id && delivery.seq < one.delivery.seq
        };
        for one in owed.iter().filter(told) {
            let action = Found { delivery: delivery.clone(), message: message.clone() };
            found.insert(one.delivery.seq, action);
        }
        ControlFlow::Continue(())
    };
    let of = (Stream::Decisions, filters.collect());
    let extent = bus.read_stretch(of, stretch, scan_max, show).await;
    search.extent = extent.map_err(Unkept::again)?;
    Ok(search)
}

/// The assessment that asked for an action, if a stream still holds it.
pub(super) async fn assessment(
    bus: &Bus,
    action: &Found<Action>,
    scan_max: u64,
) -> Result<Search<Option<Found<Assessment>>>, Unkept> {
    let until = action.delivery.stored;
    let since = action.message.evidence_ts.min(until).minus(SKEW);
    let mut search = Search::<Option<_>>::of((since, until));
    let Search { found, unreadable, .. } = &mut search;
    let show = |delivery: &Delivery| match delivery.decode::<Assessment>(bus.limits()) {
        Ok(message) if message.id == action.message.assessment => {
            *found = Some(Found { delivery: delivery.clone(), message });
            ControlFlow::Break(())
        }
        Ok(_) => ControlFlow::Continue(()),
        Err(_) => {
            *unreadable += 1;
            ControlFlow::Continue(())
        }
    };
    let of = (Stream::Decisions, vec![all_of(bus.tenant(), "assessment")]);
    let extent = bus.read_stretch(of, (since, until), scan_max, show).await;
    search.extent = extent.map_err(Unkept::again)?;
    Ok(search)
}

/// The newest time at which anything that belongs to a decision was stored.
pub(super) fn until(action: &Found<Action>, after: Duration) -> Timestamp {
    action.delivery.stored.plus(after)
}
