use super::*;
use magsentinel_bus_schema::{Id, Mode};

const NOW: i64 = 1_700_000_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW)
}

fn action(effect: Effect, class: Class, value: &str) -> Action {
    Action {
        v: 1,
        id: Id::derived(&["action"]),
        incident: Id::derived(&["incident"]),
        assessment: Id::derived(&["assessment"]),
        tenant: Tenant::default(),
        effect,
        target: Entity { class, value: value.to_owned(), trust: Trust::Observed },
        mode: Mode::Enforce,
        ttl_s: 900,
        inverse: String::new(),
        reason: String::new(),
        events: vec![],
        evidence_ts: now().minus(Duration::from_secs(5)),
        replayed: false,
    }
}

fn block(address: &str) -> Action {
    action(Effect::BlockAddress { address: address.parse().unwrap() }, Class::Client, address)
}

fn suspend(user: &str) -> Action {
    let effect = Effect::SuspendUser { user: user.to_owned(), system: "shop".to_owned() };
    action(effect, Class::User, user)
}

fn judged(policy: &Policy, action: &Action) -> Verdict {
    let request =
        Request { action, tenant: &action.tenant, verb: action.effect.verb(), trace: None };
    judge(policy, &Surroundings::default(), request, now())
}

/// The single reason of a refusal.
fn reason(policy: &Policy, action: &Action) -> String {
    match judged(policy, action) {
        Verdict::Refused(reasons) if reasons.len() == 1 => reasons[0].clone(),
        other => panic!("expected one reason, got {other:?}"),
    }
}

#[test]
fn a_sound_action_passes() {
    let sound = judged(&Policy::default(), &block("203.0.113.9"));
    assert!(matches!(sound, Verdict::Allowed(Step::DropPackets { .. })));
}

#[test]
fn a_network_is_around_its_target_and_no_larger_than_the_policy_says() {
    let policy = Policy::default();
    let around = |address: &str, length, value: &str| {
        let address = address.parse().unwrap();
        action(Effect::BlockPrefix { address, length }, Class::Client, value)
    };
    let sound = around("203.0.113.0", 24, "203.0.113.9");
    assert!(matches!(judged(&policy, &sound), Verdict::Allowed(_)));
    let other = around("203.0.113.0", 24, "203.0.114.9");
    assert!(reason(&policy, &other).contains("but the evidence names"));
    assert!(reason(&policy, &around("203.0.112.0", 23, "203.0.113.9")).contains("v4_bits_min"));
    assert!(reason(&policy, &around("2001:db8::", 48, "2001:db8::1")).contains("65536"));
    let odd = around("203.0.113.1", 24, "203.0.113.9");
    assert!(matches!(judged(&policy, &odd), Verdict::Refused(_)));
}

#[test]
fn what_is_around_the_responder_is_never_blocked() {
    let mut policy = Policy::default();
    let around = Surroundings::of([("203.0.113.0/28".parse().unwrap(), "a gateway".to_owned())]);
    let judged = |policy: &Policy, address: &str| {
        let action = block(address);
        let request = Request {
            action: &action,
            tenant: &action.tenant,
            verb: Verb::BlockAddress,
            trace: None,
        };
        judge(policy, &around, request, now())
    };
    let Verdict::Refused(reasons) = judged(&policy, "203.0.113.9") else { panic!("passed") };
    assert!(reasons[0].contains("a gateway (203.0.113.0/28)"), "{reasons:?}");
    assert!(matches!(judged(&policy, "203.0.113.19"), Verdict::Allowed(_)));
    policy.never_block.surroundings = false;
    assert!(matches!(judged(&policy, "203.0.113.9"), Verdict::Allowed(_)));
}

#[test]
fn the_past_is_not_acted_on_to_the_microsecond() {
    let policy = Policy::default();
    let at = |us: i64| Action { evidence_ts: Timestamp::from_micros(us), ..block("203.0.113.9") };
    let (age, skew) = (600_000_000, 60_000_000);
    for edge in [NOW - age, NOW + skew] {
        assert!(matches!(judged(&policy, &at(edge)), Verdict::Allowed(_)));
    }
    assert!(reason(&policy, &at(NOW - age - 1)).contains("max_action_age (10m)"));
    assert!(reason(&policy, &at(NOW + skew + 1)).contains("in the future"));
    assert!(reason(&policy, &at(i64::MIN)).contains("max_action_age"));
    let replayed = Action { replayed: true, ..block("203.0.113.9") };
    assert!(reason(&policy, &replayed).contains("played-back"));
}

#[test]
fn what_can_be_forged_is_never_a_target() {
    let mut forged = block("203.0.113.9");
    forged.target.trust = Trust::Claimed;
    assert!(reason(&Policy::default(), &forged).contains("only claimed"));
    forged.target.trust = Trust::Verified;
    assert!(matches!(judged(&Policy::default(), &forged), Verdict::Allowed(_)));
}

#[test]
fn the_effect_is_on_the_entity_that_the_evidence_names() {
    let policy = Policy::default();
    for (class, value) in [
        (Class::Client, "203.0.113.10"),
        (Class::Host, "203.0.113.9"),
        (Class::User, "203.0.113.9"),
        (Class::Client, "203.0.113.9 "),
        (Class::Client, "203.0.113.9/24"),
        (Class::Client, ""),
    ] {
        let mut other = block("203.0.113.9");
        other.target = Entity { class, value: value.to_owned(), trust: Trust::Observed };
        assert!(reason(&policy, &other).contains("but the evidence names"), "{class} {value}");
    }
    let mut mapped = block("203.0.113.9");
    mapped.target.value = "::ffff:203.0.113.9".to_owned();
    assert!(matches!(judged(&policy, &mapped), Verdict::Allowed(_)));
    let mut other_case = suspend("ann");
    other_case.target.value = "Ann".to_owned();
    assert!(reason(&policy, &other_case).contains("but the evidence names"));
}

#[test]
fn protected_addresses_are_never_blocked_in_whatever_form() {
    let mut policy = Policy::default();
    let listed = ["198.51.100.0/24", "2001:db8:1:2::53"];
    policy.never_block.networks = listed.map(|n| n.parse().unwrap()).to_vec();
    for (address, part) in [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.251", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("64:ff9b::cb00:7109", "NAT64"),
        ("198.51.100.77", "never-block list (198.51.100.0/24)"),
        ("::ffff:198.51.100.77", "never-block list (198.51.100.0/24)"),
        // In the same /64 as the listed address, which would be blocked with it.
        ("2001:db8:1:2::bad", "never-block list (2001:db8:1:2::53)"),
    ] {
        let why = match judged(&policy, &block(address)) {
            Verdict::Refused(reasons) => reasons.join("; "),
            Verdict::Allowed(step) => panic!("{address} passed: {step:?}"),
        };
        assert!(why.contains(part), "{address}: {why}");
    }
    for address in ["198.51.101.1", "2001:db8:1:3::53", "126.255.255.255", "223.255.255.255"] {
        assert!(matches!(judged(&policy, &block(address)), Verdict::Allowed(_)), "{address}");
    }
}

#[test]
fn protected_users_and_sessions_are_left_alone() {
    let mut policy = Policy::default();
    policy.never_block.sessions = vec!["s-1".to_owned()];
    assert!(reason(&policy, &suspend("Postgres")).contains("\"postgres\" is on the never-block"));
    let session = |session: &str, user: Option<&str>| {
        let (session, user) = (session.to_owned(), user.map(str::to_owned));
        let value = session.clone();
        let effect = Effect::SuspendSession { session, user, system: "shop".to_owned() };
        action(effect, Class::Session, &value)
    };
    assert!(reason(&policy, &session("s-1", None)).contains("session \"s-1\""));
    assert!(reason(&policy, &session("s-2", Some("root"))).contains("the session's user"));
    assert!(matches!(judged(&policy, &session("s-2", Some("ann"))), Verdict::Allowed(_)));
}

#[test]
fn a_lease_is_bounded_in_time() {
    let policy = Policy::default();
    let holding = |ttl_s| Action { ttl_s, ..block("203.0.113.9") };
    for ttl_s in [1, 86_400] {
        assert!(matches!(judged(&policy, &holding(ttl_s)), Verdict::Allowed(_)));
    }
    assert!(reason(&policy, &holding(0)).contains("shorter than ttl_min (1s)"));
    assert!(reason(&policy, &holding(86_401)).contains("longer than ttl_max (1d)"));
    assert!(reason(&policy, &holding(u64::MAX)).contains("longer than ttl_max"));
}

#[test]
fn the_subject_must_say_what_the_action_says() {
    let policy = Policy::default();
    let smuggled = block("203.0.113.9");
    let tenant = smuggled.tenant.clone();
    let request = Request { action: &smuggled, tenant: &tenant, verb: Verb::Notify, trace: None };
    assert!(matches!(
        judge(&policy, &Surroundings::default(), request, now()),
        Verdict::Refused(_)
    ));
    let other: Tenant = "other".parse().unwrap();
    let request =
        Request { action: &smuggled, tenant: &other, verb: Verb::BlockAddress, trace: None };
    assert!(matches!(
        judge(&policy, &Surroundings::default(), request, now()),
        Verdict::Refused(_)
    ));
}

#[test]
fn telling_people_needs_no_target_but_is_not_done_about_the_past() {
    let policy = Policy::default();
    let effect = Effect::Notify { message: "look".to_owned() };
    let mut notify = Action { ttl_s: 0, ..action(effect, Class::Resource, "orders") };
    notify.target.trust = Trust::Claimed;
    assert!(matches!(judged(&policy, &notify), Verdict::Allowed(Step::Tell { .. })));
    assert!(reason(&policy, &Action { replayed: true, ..notify }).contains("played-back"));
}

#[test]
fn every_reason_of_a_refusal_is_told() {
    let mut wrong = block("127.0.0.1");
    wrong.replayed = true;
    wrong.ttl_s = 0;
    wrong.target = Entity { class: Class::User, value: "x".into(), trust: Trust::Claimed };
    let Verdict::Refused(reasons) = judged(&Policy::default(), &wrong) else { panic!("passed") };
    assert_eq!(reasons.len(), 5, "{reasons:#?}");
}
