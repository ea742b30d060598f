//! What is told: to people, again, and of what is missing.

use super::*;

#[test]
fn people_are_told_once_at_once_and_within_a_budget_of_its_own() {
    let notify = |n: u64| {
        let effect = Effect::Notify { message: format!("look {n}") };
        Action { id: Id::derived(&["notify", &n.to_string()]), ..action(effect, "orders") }
    };
    let mut looking_on = desk(Policy::default());
    assert_eq!(told(&ask(&mut looking_on, &notify(0), at(1))).0, OutcomeStatus::WouldApply);
    let mut policy = Policy { mode: Mode::Ask, ..Policy::default() };
    policy.budget.notifications_per_minute = 2;
    policy.budget.targets_per_minute = 1;
    let mut desk = self::desk(Policy { mode: Mode::Enforce, ..policy.clone() });
    let first = ask(&mut desk, &notify(0), at(1));
    assert_eq!(told(&first), (OutcomeStatus::Applied, "tell the operators: \"look 0\""));
    assert!(first.changes.is_empty() && first.tell[0].1.until.is_none());
    assert!(desk.passed(at(100)).tell.is_empty(), "there is nothing to undo");
    // Delivered again, it is told again as what it was.
    let again = ask(&mut desk, &notify(0), at(2));
    assert_eq!(again.tell[0].1.id, first.tell[0].1.id);
    // With newer evidence it is told anew, also when that is delivered again.
    let newer = Action { evidence_ts: at(3), ..notify(0) };
    let anew = ask(&mut desk, &newer, at(3));
    assert_eq!(told(&anew).0, OutcomeStatus::Applied);
    assert_ne!(anew.tell[0].1.id, first.tell[0].1.id);
    assert_eq!(ask(&mut desk, &newer, at(4)).tell[0].1.id, anew.tell[0].1.id);
    assert_eq!(told(&ask(&mut desk, &notify(1), at(4))).0, OutcomeStatus::Applied);
    let over = ask(&mut desk, &notify(2), at(5));
    let (status, why) = told(&over);
    assert!(status == OutcomeStatus::Refused && why.contains("notifications_per_minute"), "{why}");
    let block = ask(&mut desk, &block("203.0.113.9"), at(5));
    assert_eq!(told(&block).0, OutcomeStatus::Applied, "the budget of targets is another");

    // To tell needs no leave, unless the policy names it.
    let mut asking = self::desk(policy.clone());
    assert_eq!(told(&ask(&mut asking, &notify(0), at(1))).0, OutcomeStatus::Applied);
    policy.approval.verbs = vec![Verb::Notify];
    let mut asking = self::desk(policy);
    let waits = ask(&mut asking, &notify(0), at(1));
    assert_eq!(told(&waits).0, OutcomeStatus::Pending);
    let hash = waits.tell[0].1.hash.clone().unwrap();
    let approval = order(Ask::Approve { lease: notify(0).id, hash }, 2);
    for _delivery in 0..2 {
        let turn = asking.ordered(&approval, at(2)).unwrap();
        let (status, what) = told(&turn);
        assert!(status == OutcomeStatus::Applied && what.contains("look 0"), "{status:?} {what}");
    }
    assert!(asking.passed(at(3)).tell.is_empty());
}

#[test]
fn what_was_approved_is_told_again_as_what_it_was() {
    let policy = Policy { mode: Mode::Ask, ..Policy::default() };
    let mut desk = self::desk(policy);
    let (id, hash) = waiting(&mut desk);
    let asked = desk.lease(id).unwrap().action.clone();
    let first = desk.ordered(&order(Ask::Approve { lease: id, hash }, 2), at(2)).unwrap();
    let again = ask(&mut desk, &asked, at(3));
    let of = |turn: &Turn| (turn.tell[0].1.id, turn.tell[0].1.status);
    assert_eq!(of(&again), of(&first));
    // Nor is it told another way by whoever comes after a death.
    let lately = desk.lately(at(0), at(4));
    assert_eq!((lately[0].1.id, lately[0].1.status), of(&first));
}

#[test]
fn an_effector_that_would_help_is_named_and_no_other() {
    let tarpit = Effect::Tarpit { address: "203.0.113.9".parse().unwrap() };
    let turn = ask(&mut desk(enforcing()), &action(tarpit, "203.0.113.9"), at(1));
    let (status, why) = told(&turn);
    assert_eq!(status, OutcomeStatus::Refused);
    let keys = "set responder.decisions.enabled or responder.webhook.url";
    assert!(why.ends_with(keys), "packets know no tarpit: {why}");
    let none = Reach { nftables: false, decisions: false, webhook: false, evidence: true };
    let turn = ask(&mut Desk::new(Arc::new(enforcing()), none, 9), &block("203.0.113.9"), at(1));
    let keys = "responder.nftables.enabled or responder.decisions.enabled or responder.webhook.url";
    assert!(told(&turn).1.ends_with(keys), "{}", told(&turn).1);
}
