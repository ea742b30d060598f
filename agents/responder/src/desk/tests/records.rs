//! What is stored fits into messages, and a batch into one.

use super::*;
use magsentinel_bus_schema::entity::ENTITY_CHARS_MAX;

#[test]
fn a_record_fits_into_a_message_whatever_its_leases_say() {
    let long = |letter: char| letter.to_string().repeat(ENTITY_CHARS_MAX - 1);
    let wide = |n: usize| {
        let (session, user) = (long('\u{1f525}'), Some(long('\u{10348}')));
        let effect = Effect::SuspendSession { session, user, system: "idp".to_owned() };
        Action {
            id: Id::derived(&["wide", &n.to_string()]),
            target: Entity {
                class: Class::Session,
                value: long('\u{1f525}'),
                trust: Trust::Observed,
            },
            reason: "\u{1f525}".repeat(5000),
            events: (0..500).map(|event| Id::derived(&["event", &event.to_string()])).collect(),
            ..action(effect, "")
        }
    };
    let ask_many = |actions: &[Action]| {
        let mut policy = Policy { mode: Mode::Ask, ..Policy::default() };
        policy.approval.waiting_max = actions.len();
        let reach = Reach { webhook: true, ..REACH };
        let mut desk = Desk::new(Arc::new(policy), reach, actions.len());
        let requests = actions.iter().map(|action| {
            let Action { tenant, effect, .. } = action;
            Request { action, tenant, verb: effect.verb(), trace: None }
        });
        let asked = desk.asked(&requests.collect::<Vec<_>>(), at(1));
        let (status, why) = (asked.tell[0].1.status, &asked.tell[0].1.detail);
        assert_eq!(status, OutcomeStatus::Pending, "{why}");
        // What is said of each later must fit, too.
        (asked.before, desk.panicked(&long('\u{1f525}'), &"so it is ".repeat(5000), at(2)).before)
    };
    let bytes = |records: &Records| -> Vec<usize> {
        let pages = records.values().flatten().filter(|r| matches!(r, Record::Leases(_)));
        pages.map(|page| page.bytes().unwrap().len()).collect()
    };
    let (asked, ended) = ask_many(&(0..PAGE_LEASES_MAX).map(wide).collect::<Vec<_>>());
    let (asked, ended) = (bytes(&asked), bytes(&ended));
    assert!(asked.len() > 1 && asked[0] > PAGE_BYTES_MAX * 9 / 10, "{asked:?}");
    assert_eq!(asked.len(), ended.len());
    let most = asked.iter().chain(&ended).max().unwrap();
    assert!(*most < 1 << 20, "{most} bytes: more than a server takes by default");

    // Ordinary ones of a batch are one write, and fit whatever is said of them later.
    let ordinary = |n: usize| Action {
        reason: "an injection and a dump after it, within nine minutes of each other".to_owned(),
        events: (0..4).map(|e| Id::derived(&["event", &n.to_string(), &e.to_string()])).collect(),
        ..block(&format!("203.0.{}.{}", n / 256, n % 256))
    };
    let (asked, ended) = ask_many(&(0..500).map(ordinary).collect::<Vec<_>>());
    let (asked, ended) = (bytes(&asked), bytes(&ended));
    assert!(asked.len() == 1 && ended.len() == 1 && ended[0] < 1 << 20, "{asked:?} {ended:?}");
}
