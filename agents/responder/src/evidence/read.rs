//! The decision behind an outcome, found again in DECISIONS.

use super::gather::Unkept;
use magsentinel_bus_schema::{
    Action, Assessment, Id, Message, Outcome, Stream, Subject, Timestamp, subject::all_of,
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

impl<T: Message> Found<T> {
    fn of(bus: &Bus, delivery: &Delivery) -> Option<Self> {
        let message = delivery.decode(bus.limits()).ok()?;
        Some(Self { delivery: delivery.clone(), message })
    }
}

/// The actions that outcomes tell of, by the outcome's sequence: of each the newest that was
/// stored before it, at most `back` earlier.
pub(super) async fn actions(
    bus: &Bus,
    owed: &[Found<Outcome>],
    back: Duration,
    scan_max: u64,
) -> Result<HashMap<u64, Found<Action>>, Unkept> {
    let times = owed.iter().map(|one| one.delivery.stored);
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
        return Ok(HashMap::new());
    };
    let wanted: BTreeSet<Id> = owed.iter().map(|one| one.message.action).collect();
    let verbs: BTreeSet<_> = owed.iter().map(|one| one.message.effect.verb()).collect();
    let filters = verbs.into_iter().map(|verb| Subject::Action(verb).of(bus.tenant()));
    let mut found = HashMap::new();
    let show = |delivery: &Delivery| {
        let read = Found::<Action>::of(bus, delivery).filter(|f| wanted.contains(&f.message.id));
        let Some(action) = read else { return ControlFlow::Continue(()) };
        for one in owed.iter().filter(|one| one.message.action == action.message.id) {
            if delivery.seq < one.delivery.seq {
                found.insert(one.delivery.seq, action.clone());
            }
        }
        ControlFlow::Continue(())
    };
    let stretch = (first.minus(back), last);
    let of = (Stream::Decisions, filters.collect());
    let extent = bus.read_stretch(of, stretch, scan_max, show).await;
    if extent.map_err(Unkept::again)? == Extent::Bounded {
        let why = format!(
            "more than {scan_max} actions lie between {} and its outcome: raise \
             responder.evidence.scan_max",
            stretch.0
        );
        return Err(Unkept::Never(why));
    }
    Ok(found)
}

/// The assessment that asked for an action, if a stream still holds it.
pub(super) async fn assessment(
    bus: &Bus,
    action: &Found<Action>,
    scan_max: u64,
) -> Result<Option<Found<Assessment>>, Unkept> {
    let until = action.delivery.stored;
    let since = action.message.evidence_ts.min(until).minus(SKEW);
    let mut found = None;
    let show = |delivery: &Delivery| {
        let read = Found::<Assessment>::of(bus, delivery);
        found = read.filter(|f| f.message.id == action.message.assessment);
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let of = (Stream::Decisions, vec![all_of(bus.tenant(), "assessment")]);
    let extent = bus.read_stretch(of, (since, until), scan_max, show).await;
    extent.map_err(Unkept::again)?;
    Ok(found)
}

/// The newest time at which anything that belongs to a decision was stored.
pub(super) fn until(action: &Found<Action>, after: Duration) -> Timestamp {
    action.delivery.stored.plus(after)
}
