use super::*;
use crate::{effect::Step, policy::Request, rules::Policy};
use magsentinel_bus_schema::{
    Action, Ask, Class, Effect, Entity, Mode, Order, OutcomeStatus, Tenant, Trust, Verb,
};
use std::time::Duration;

mod any;
mod forged;
mod records;
mod telling;

const START: i64 = 1_700_000_000_000_000;
const REACH: Reach = Reach { nftables: true, decisions: false, webhook: false, evidence: true };

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(START).plus(Duration::from_secs(seconds))
}

fn enforcing() -> Policy {
    Policy { mode: Mode::Enforce, ..Policy::default() }
}

fn desk(policy: Policy) -> Desk {
    Desk::new(Arc::new(policy), REACH, 1000)
}

fn block(address: &str) -> Action {
    action(Effect::BlockAddress { address: address.parse().unwrap() }, address)
}

fn action(effect: Effect, target: &str) -> Action {
    Action {
        v: 1,
        id: Id::derived(&["action", effect.verb().token(), target]),
        incident: Id::derived(&["incident"]),
        assessment: Id::derived(&["assessment"]),
        tenant: Tenant::default(),
        effect,
        target: Entity { class: Class::Client, value: target.to_owned(), trust: Trust::Observed },
        mode: Mode::Enforce,
        ttl_s: 60,
        inverse: String::new(),
        reason: "a dump".to_owned(),
        events: vec![],
        evidence_ts: at(0),
        replayed: false,
    }
}

fn ask(desk: &mut Desk, action: &Action, now: Timestamp) -> Turn {
    let verb = action.effect.verb();
    desk.asked(&[Request { action, tenant: &action.tenant, verb, trace: None }], now)
}

fn order(ask: Ask, n: u64) -> Order {
    Order {
        v: 1,
        id: Id::derived(&["order", &n.to_string()]),
        tenant: Tenant::default(),
        ask,
        by: "ann".to_owned(),
        reason: "as agreed".to_owned(),
        ts: at(n),
    }
}

/// The only thing that a turn tells.
fn told(turn: &Turn) -> (OutcomeStatus, &str) {
    assert_eq!(turn.tell.len(), 1, "{:#?}", turn.tell);
    (turn.tell[0].1.status, turn.tell[0].1.detail.as_str())
}

fn dropped(text: &str) -> Thing {
    Thing::Dropped(text.parse().unwrap())
}

#[test]
fn a_lease_is_recorded_held_and_undone_at_its_end() {
    let mut desk = desk(enforcing());
    let turn = ask(&mut desk, &block("203.0.113.9"), at(1));
    assert_eq!(told(&turn).0, OutcomeStatus::Applied);
    assert_eq!(turn.before.len(), 1);
    assert_eq!(turn.changes, BTreeMap::from([(dropped("203.0.113.9"), Some(at(61)))]));
    assert_eq!(turn.tell[0].1.until, Some(at(61)));
    assert!(desk.passed(at(60)).tell.is_empty());
    let end = desk.passed(at(61));
    assert_eq!(told(&end).0, OutcomeStatus::Reverted);
    assert_eq!(end.changes, BTreeMap::from([(dropped("203.0.113.9"), None)]));
    assert!(desk.desired().is_empty());
}

#[test]
fn in_dry_run_nothing_is_recorded_and_nothing_changes() {
    let mut desk = desk(Policy::default());
    let turn = ask(&mut desk, &block("203.0.113.9"), at(1));
    let want = "add element inet magsentinel blocked4 { 203.0.113.9 timeout 60s }";
    assert_eq!(told(&turn), (OutcomeStatus::WouldApply, want));
    assert!(turn.before.is_empty() && turn.changes.is_empty() && turn.after.is_empty());
    let modest = Action { mode: Mode::DryRun, ..block("203.0.113.9") };
    let turn = ask(&mut self::desk(enforcing()), &modest, at(1));
    assert_eq!(told(&turn).0, OutcomeStatus::WouldApply);
}

#[test]
fn what_is_delivered_again_has_the_same_outcome_and_no_second_lease() {
    let mut desk = desk(enforcing());
    let first = ask(&mut desk, &block("203.0.113.9"), at(1));
    let again = ask(&mut desk, &block("203.0.113.9"), at(30));
    assert_eq!(first.tell[0].1, again.tell[0].1);
    assert!(again.before.is_empty());
    assert_eq!(first.changes, again.changes);
    drop(desk.passed(at(61)));
    // Also when it has ended: it does not come back.
    let late = ask(&mut desk, &block("203.0.113.9"), at(90));
    assert_eq!(told(&late).0, OutcomeStatus::Reverted);
    assert!(late.changes.is_empty() && desk.desired().is_empty());
}

#[test]
fn newer_evidence_renews_a_lease_and_never_shortens_it() {
    let mut desk = desk(enforcing());
    drop(ask(&mut desk, &block("203.0.113.9"), at(1)));
    let newer = Action { evidence_ts: at(20), ..block("203.0.113.9") };
    let turn = ask(&mut desk, &newer, at(30));
    assert_eq!(told(&turn).0, OutcomeStatus::Renewed);
    assert_eq!(desk.desired(), BTreeMap::from([(dropped("203.0.113.9"), at(90))]));
    let short = Action { evidence_ts: at(31), ttl_s: 5, ..block("203.0.113.9") };
    drop(ask(&mut desk, &short, at(32)));
    assert_eq!(desk.desired(), BTreeMap::from([(dropped("203.0.113.9"), at(90))]));
}

#[test]
fn a_thing_that_two_leases_want_stays_until_the_later_one_ends() {
    let mut desk = desk(enforcing());
    drop(ask(&mut desk, &block("203.0.113.9"), at(1)));
    let other = Action { id: Id::derived(&["other"]), ttl_s: 600, ..block("203.0.113.9") };
    drop(ask(&mut desk, &other, at(2)));
    let end = desk.passed(at(61));
    assert_eq!(end.changes, BTreeMap::from([(dropped("203.0.113.9"), Some(at(602)))]));
    let end = desk.passed(at(602));
    assert_eq!(end.changes, BTreeMap::from([(dropped("203.0.113.9"), None)]));
}

/// A lease that waits.
fn waiting(desk: &mut Desk) -> (Id, String) {
    let asked = Action { mode: Mode::Ask, ..block("203.0.113.9") };
    let turn = ask(desk, &asked, at(1));
    assert_eq!(told(&turn).0, OutcomeStatus::Pending);
    assert!(turn.changes.is_empty() && turn.before.len() == 1);
    (asked.id, turn.tell[0].1.hash.clone().unwrap())
}

#[test]
fn an_approval_is_bound_to_what_was_shown() {
    let mut desk = desk(enforcing());
    let (lease, hash) = waiting(&mut desk);
    let wrong = order(Ask::Approve { lease, hash: "00".to_owned() }, 5);
    assert!(desk.ordered(&wrong, at(5)).unwrap_err().contains("not what was approved"));
    let approval = order(Ask::Approve { lease, hash }, 6);
    let turn = desk.ordered(&approval, at(6)).unwrap();
    assert_eq!(told(&turn).0, OutcomeStatus::Applied);
    assert!(told(&turn).1.contains("approved by \"ann\""));
    assert_eq!(turn.changes, BTreeMap::from([(dropped("203.0.113.9"), Some(at(66)))]));
    // Delivered again: the same, and no longer.
    let again = desk.ordered(&approval, at(20)).unwrap();
    assert_eq!(again.tell[0].1, turn.tell[0].1);
    assert_eq!(again.changes, turn.changes);
    let second = order(Ask::Approve { lease, hash: "00".to_owned() }, 7);
    assert!(desk.ordered(&second, at(20)).unwrap_err().contains("does not wait"));
}

#[test]
fn an_approval_under_another_policy_is_none() {
    let mut desk = desk(enforcing());
    let (lease, hash) = waiting(&mut desk);
    let mut other = enforcing();
    other.ttl_max = magsentinel_runtime::settings::Span::s(3600);
    assert!(desk.governed(Arc::new(other), at(2)).tell.is_empty());
    let approval = order(Ask::Approve { lease, hash }, 6);
    assert!(desk.ordered(&approval, at(6)).unwrap_err().contains("the policy has changed"));
}

#[test]
fn an_approval_does_not_outweigh_the_never_block_list_and_comes_in_time() {
    let mut desk = desk(enforcing());
    let (lease, hash) = waiting(&mut desk);
    let around = [("203.0.113.0/24".parse().unwrap(), "a gateway".to_owned())];
    let turn = desk.surrounded(Surroundings::of(around), at(2));
    assert_eq!(told(&turn).0, OutcomeStatus::Refused);
    let approval = order(Ask::Approve { lease, hash: hash.clone() }, 6);
    assert!(desk.ordered(&approval, at(6)).is_err());
    let mut desk = self::desk(enforcing());
    let (lease, hash) = waiting(&mut desk);
    let late = order(Ask::Approve { lease, hash }, 3601);
    assert!(desk.ordered(&late, at(3601)).is_err());
    let turn = desk.passed(at(3601));
    assert_eq!(told(&turn), (OutcomeStatus::Refused, "nobody approved it in time"));
}

#[test]
fn what_becomes_protected_is_let_go_at_once() {
    let mut desk = desk(enforcing());
    drop(ask(&mut desk, &block("203.0.113.9"), at(1)));
    let mut stricter = enforcing();
    stricter.never_block.networks = vec!["203.0.113.0/24".parse().unwrap()];
    let turn = desk.governed(Arc::new(stricter), at(2));
    assert_eq!(told(&turn).0, OutcomeStatus::Reverted);
    assert_eq!(turn.changes, BTreeMap::from([(dropped("203.0.113.9"), None)]));
    assert_eq!(turn.before.len(), 1);
}

#[test]
fn beyond_the_budget_the_rest_asks() {
    let mut policy = enforcing();
    policy.budget.targets_per_minute = 3;
    let mut desk = desk(policy);
    let statuses: Vec<_> = (1..=5)
        .map(|n| told(&ask(&mut desk, &block(&format!("203.0.113.{n}")), at(n))).0)
        .collect();
    use OutcomeStatus::{Applied, Pending};
    assert_eq!(statuses, [Applied, Applied, Applied, Pending, Pending]);
    // A target that is held already costs nothing.
    let again = Action { id: Id::derived(&["again"]), ..block("203.0.113.1") };
    assert_eq!(told(&ask(&mut desk, &again, at(6))).0, Applied);
    assert_eq!(told(&ask(&mut desk, &block("203.0.113.9"), at(63))).0, Applied);
}

#[test]
fn a_target_counts_once_however_many_effectors_act_on_it() {
    let mut policy = enforcing();
    policy.budget.targets_max = 2;
    let reach = Reach { nftables: true, decisions: true, webhook: true, evidence: true };
    let mut desk = Desk::new(Arc::new(policy), reach, 1000);
    let mut status = |n: u64| told(&ask(&mut desk, &block(&format!("203.0.113.{n}")), at(n))).0;
    use OutcomeStatus::{Applied, Pending};
    assert_eq!([status(1), status(2), status(3)], [Applied, Applied, Pending]);
}

fn stored(records: &Records) -> BTreeMap<&str, Vec<u8>> {
    let bytes = |record: &Option<Record>| record.as_ref().unwrap().bytes().unwrap();
    records.iter().map(|(key, record)| (key.as_str(), bytes(record))).collect()
}

#[test]
fn after_a_death_what_was_recorded_is_told_and_what_is_over_is_not() {
    let mut desk = desk(enforcing());
    let turn = ask(&mut desk, &block("203.0.113.9"), at(1));
    let records: BTreeMap<&str, Vec<u8>> = stored(&turn.before);
    let mut next = self::desk(enforcing());
    next.load(records.iter().map(|(key, bytes)| (*key, bytes.as_slice()))).unwrap();
    assert_eq!(next.lately(at(0), at(2)), turn.tell);
    assert!(next.lately(at(1), at(2)).is_empty());
    assert!(next.lately(at(0), at(61)).is_empty());
    let end = next.passed(at(61));
    assert_eq!(next.lately(at(60), at(62))[0].1, end.tell[0].1);
    assert!(next.lately(at(61), at(62)).is_empty());
}

#[test]
fn networks_wait_for_approval_and_do_not_overlap() {
    let mut policy = enforcing();
    let network = |first: &str, length| {
        let address = first.parse().unwrap();
        action(Effect::BlockPrefix { address, length }, first)
    };
    let turn = ask(&mut desk(policy.clone()), &network("203.0.113.0", 24), at(1));
    assert_eq!(told(&turn).0, OutcomeStatus::Pending);
    assert!(told(&turn).1.contains("up to 256 addresses"), "{}", told(&turn).1);
    policy.approval.verbs.clear();
    let mut desk = desk(policy);
    assert_eq!(told(&ask(&mut desk, &network("203.0.113.0", 24), at(1))).0, OutcomeStatus::Applied);
    let within = Action { id: Id::derived(&["within"]), ..network("203.0.113.0", 25) };
    assert!(told(&ask(&mut desk, &within, at(1))).1.contains("overlaps"));
    assert_eq!(told(&ask(&mut desk, &network("203.0.114.0", 24), at(1))).0, OutcomeStatus::Applied);
}

#[test]
fn panic_undoes_everything_and_nothing_takes_effect_until_it_is_over() {
    let mut desk = desk(enforcing());
    drop(ask(&mut desk, &block("203.0.113.1"), at(1)));
    drop(ask(&mut desk, &block("203.0.113.2"), at(1)));
    let turn = desk.ordered(&order(Ask::Panic {}, 2), at(2)).unwrap();
    assert_eq!(turn.changes.values().collect::<Vec<_>>(), [&None, &None]);
    assert!(turn.before.contains_key(SWITCH));
    let refused = ask(&mut desk, &block("203.0.113.3"), at(3));
    assert!(told(&refused).1.contains("enforcement is off"), "{}", told(&refused).1);
    let turn = desk.ordered(&order(Ask::Resume {}, 4), at(4)).unwrap();
    assert_eq!(turn.before, BTreeMap::from([(SWITCH.to_owned(), None)]));
    // What was undone stays so; what comes anew is acted on.
    assert_eq!(told(&ask(&mut desk, &block("203.0.113.1"), at(5))).0, OutcomeStatus::Reverted);
    assert_eq!(told(&ask(&mut desk, &block("203.0.113.3"), at(5))).0, OutcomeStatus::Applied);
}

#[test]
fn a_revoked_lease_is_gone_and_an_extended_one_stays() {
    let mut desk = desk(enforcing());
    let (one, two) = (block("203.0.113.1"), block("203.0.113.2"));
    drop(ask(&mut desk, &one, at(1)));
    drop(ask(&mut desk, &two, at(1)));
    let revoke = order(Ask::Revoke { lease: one.id }, 2);
    let turn = desk.ordered(&revoke, at(2)).unwrap();
    assert_eq!(told(&turn).0, OutcomeStatus::Reverted);
    assert_eq!(turn.before.len(), 1);
    assert_eq!(desk.ordered(&revoke, at(9)).unwrap().tell[0].1, turn.tell[0].1);
    let extend = order(Ask::Extend { lease: two.id, ttl_s: 600 }, 3);
    let turn = desk.ordered(&extend, at(3)).unwrap();
    assert_eq!((told(&turn).0, turn.tell[0].1.until), (OutcomeStatus::Renewed, Some(at(603))));
    assert_eq!(desk.ordered(&extend, at(9)).unwrap().tell[0].1, turn.tell[0].1);
    assert_eq!(desk.desired(), BTreeMap::from([(dropped("203.0.113.2"), at(603))]));
    let forever = order(Ask::Extend { lease: two.id, ttl_s: 1_000_000 }, 4);
    assert!(desk.ordered(&forever, at(4)).unwrap_err().contains("ttl_max"));
    let unknown = order(Ask::Revoke { lease: Id::derived(&["?"]) }, 4);
    assert!(desk.ordered(&unknown, at(4)).unwrap_err().contains("there is no lease"));
}

#[test]
fn what_no_effector_carries_out_is_refused() {
    let effect = Effect::RevokeKey { key: "ak_1".to_owned() };
    let mut revoke = action(effect, "ak_1");
    revoke.target.class = Class::Key;
    let refused = ask(&mut desk(enforcing()), &revoke, at(1));
    assert!(told(&refused).1.contains("responder.decisions.enabled"), "{}", told(&refused).1);
    let reach = Reach { nftables: true, decisions: true, webhook: true, evidence: true };
    let mut desk = Desk::new(Arc::new(enforcing()), reach, 1000);
    let turn = ask(&mut desk, &revoke, at(1));
    assert_eq!(told(&turn).0, OutcomeStatus::Applied);
    assert!(matches!(turn.changes.keys().next(), Some(Thing::Listed(_))));
    // An address is dropped here, and listed and posted for those elsewhere.
    assert_eq!(ask(&mut desk, &block("203.0.113.9"), at(1)).changes.len(), 3);
}

#[test]
fn a_smuggled_action_is_refused() {
    let mut desk = desk(enforcing());
    let smuggled = block("203.0.113.9");
    let request =
        Request { action: &smuggled, tenant: &smuggled.tenant, verb: Verb::Notify, trace: None };
    assert_eq!(told(&desk.asked(&[request], at(1))).0, OutcomeStatus::Refused);
}

#[test]
fn what_ended_long_ago_is_forgotten_and_so_is_its_record() {
    let mut desk = desk(enforcing());
    let first = ask(&mut desk, &block("203.0.113.9"), at(1));
    drop(desk.passed(at(61)));
    let mut removed = None;
    for second in (62..3600).step_by(5) {
        let turn = desk.passed(at(second));
        removed =
            removed.or_else(|| turn.after.iter().find_map(|(k, v)| v.is_none().then(|| k.clone())));
    }
    assert_eq!(removed.as_ref(), first.before.keys().next());
    assert_eq!(desk.figures(), Figures::default());
    let text = Step::of(&block("203.0.113.9").effect, 60).unwrap().effect();
    assert!(text.contains("203.0.113.9"));
}

#[test]
fn a_record_that_cannot_be_read_stops_everything() {
    let mut desk = desk(enforcing());
    drop(ask(&mut desk, &block("203.0.113.9"), at(1)));
    for (key, bytes) in [("page.0", &b"\xc1"[..]), ("page.x", b""), (SWITCH, b"\xc1")] {
        assert!(desk.load([(key, bytes)]).is_err(), "{key}");
        assert_eq!(desk.desired().len(), 1);
    }
}

#[test]
fn evidence_that_is_asked_for_holds_nothing_and_is_not_undone() {
    let preserve = action(Effect::PreserveEvidence {}, "203.0.113.9");
    let mut desk = desk(enforcing());
    let turn = ask(&mut desk, &preserve, at(1));
    assert_eq!(told(&turn).0, OutcomeStatus::Applied);
    assert!(turn.changes.is_empty() && turn.before.len() == 1);
    assert!(desk.passed(at(61)).tell.is_empty(), "to tell that it is undone would be wrong");
    // Delivered again after that, it is told as before.
    let again = ask(&mut desk, &preserve, at(62));
    assert_eq!(told(&again).0, OutcomeStatus::Applied);
    assert_eq!(again.tell[0].1.id, turn.tell[0].1.id);
    // Revoked by somebody, it answers.
    let mut desk = self::desk(enforcing());
    ask(&mut desk, &preserve, at(1));
    let revoked = desk.ordered(&order(Ask::Revoke { lease: preserve.id }, 2), at(2)).unwrap();
    assert_eq!(told(&revoked).0, OutcomeStatus::Reverted);
    // Where no evidence is kept, that is said.
    let reach = Reach { evidence: false, ..REACH };
    let mut desk = Desk::new(Arc::new(enforcing()), reach, 1000);
    let turn = ask(&mut desk, &preserve, at(1));
    let (status, why) = told(&turn);
    assert!(status == OutcomeStatus::Refused && why.contains("responder.evidence.enabled"));
}

#[test]
fn evidence_is_kept_whatever_the_mode_and_has_a_budget_of_its_own() {
    let mut policy = Policy::default();
    assert_eq!(policy.mode, Mode::DryRun);
    let preserve = |n: u64| Action {
        id: Id::derived(&["preserve", &n.to_string()]),
        mode: Mode::DryRun,
        ..action(Effect::PreserveEvidence {}, "203.0.113.9")
    };
    let mut looking_on = desk(policy.clone());
    assert_eq!(told(&ask(&mut looking_on, &preserve(0), at(1))).0, OutcomeStatus::Applied);
    drop(looking_on.panicked("ann", "drill", at(2)));
    assert_eq!(told(&ask(&mut looking_on, &preserve(1), at(3))).0, OutcomeStatus::Applied);

    policy.mode = Mode::Enforce;
    policy.budget.targets_per_minute = 1;
    policy.budget.evidence_per_minute = 5;
    let mut acting = desk(policy);
    for n in 0..5 {
        assert_eq!(told(&ask(&mut acting, &preserve(n), at(1))).0, OutcomeStatus::Applied);
    }
    let turn = ask(&mut acting, &preserve(5), at(2));
    let (status, why) = told(&turn);
    assert!(status == OutcomeStatus::Refused && why.contains("evidence_per_minute"), "{why}");
    assert_eq!(told(&ask(&mut acting, &preserve(6), at(62))).0, OutcomeStatus::Applied);
    assert_eq!(told(&ask(&mut acting, &block("203.0.113.9"), at(1))).0, OutcomeStatus::Applied);
    let turn = ask(&mut acting, &block("203.0.113.10"), at(1));
    assert_eq!(told(&turn).0, OutcomeStatus::Pending, "the budget is that of targets");
}

#[test]
fn what_an_operator_revoked_is_not_granted_again_while_the_attack_goes_on() {
    let mut desk = desk(enforcing());
    let on = |evidence: u64| Action { evidence_ts: at(evidence), ..block("203.0.113.9") };
    ask(&mut desk, &on(0), at(1));
    // Asked again on newer evidence it is renewed.
    let renewed = ask(&mut desk, &on(30), at(31));
    assert_eq!(renewed.tell[0].1.status, OutcomeStatus::Renewed);
    let id = on(0).id;
    assert_eq!(desk.lease(id).unwrap().holds_until(), Some(at(91)));
    desk.ordered(&order(Ask::Revoke { lease: id }, 1), at(40)).unwrap();
    for seconds in [60, 3600, 20 * 3600] {
        // What has long ended is forgotten, but not this.
        for second in 0..60 {
            desk.passed(at(seconds + second));
        }
        ask(&mut desk, &on(seconds + 60), at(seconds + 61));
        assert!(desk.lease(id).is_some_and(|l| l.holds_until().is_none()), "after {seconds}s");
        assert!(desk.desired().is_empty());
    }
    // What merely ran out is granted again.
    let other = |evidence: u64| Action { evidence_ts: at(evidence), ..block("203.0.113.10") };
    ask(&mut desk, &other(0), at(1));
    desk.passed(at(70));
    assert!(desk.lease(other(0).id).unwrap().holds_until().is_none());
    ask(&mut desk, &other(80), at(81));
    assert!(desk.lease(other(0).id).unwrap().holds_until().is_some());
}
