use super::*;
use crate::{
    Config as Analyzer, analyze_with,
    chain::Book,
    core::Core,
    oracle::{Seen, oracle},
    oracle_tests::{cases, last, seen},
    router::route,
    testing::{Naming, at, parsed, scored, text},
};
use magsentinel_bus_schema::Level;
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// By user: a login that stands out, then a dump. By client: nothing that matches.
fn book() -> Arc<Book> {
    let chain = |name: &str, class: &str, rules: &str| {
        format!(
            "title: {name}\nname: {name}\nlevel: high\ncorrelation:\n  type: temporal_ordered\n  \
             rules: [{rules}]\n  group-by: {class}\n  timespan: 60s\n---\n"
        )
    };
    let rule = |name: &str, patrol: &str| {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{product: magsentinel, service: scored}}\n\
             detection:\n  it: {{patrol: {patrol}}}\n  condition: it\n---\n"
        )
    };
    let text = [
        chain("of_user", "user", "login, dump"),
        chain("of_client", "client", "never, dump"),
        rule("login", "auth-sentry"),
        rule("dump", "data-flow"),
        rule("never", "no-patrol"),
    ]
    .concat();
    let text = text.trim_end_matches("---\n");
    Arc::new(Book::parse("joins.yml", text).unwrap())
}

fn login(name: &str, technique: &str, user: &str, client: &str, seconds: f64) -> Scored {
    let mut event = scored(name, "auth-sentry", Level::Medium, seconds).user(user);
    event.kind = Kind::Auth;
    event.techniques = vec![technique.to_owned()];
    event.naming(Class::Client, client, Trust::Observed)
}

/// A dump that is known by its client alone.
fn dump(name: &str, client: &str, seconds: f64) -> Scored {
    let event = scored(name, "data-flow", Level::High, seconds);
    event.naming(Class::Client, client, Trust::Observed)
}

fn found(events: Vec<Scored>, config: &Config) -> Vec<(Class, String)> {
    let config = Analyzer { join: config.clone(), ..Analyzer::default() };
    let all = analyze_with(&book(), &config, events, at(1e4));
    all.into_iter().map(|a| (a.class, a.key)).collect()
}

fn user(name: &str) -> (Class, String) {
    (Class::User, name.to_owned())
}

#[test]
fn what_an_address_does_after_a_login_counts_for_the_user_that_logged_in() {
    let events = || vec![login("l", "T1078", "ann", "9.9.9.9", 0.0), dump("d", "9.9.9.9", 10.0)];
    assert_eq!(found(events(), &Config::default()), [user("ann")]);
    assert_eq!(found(events(), &Config { most: 0, ..Config::default() }), []);
    let config = Analyzer::default();
    let all = analyze_with(&book(), &config, events(), at(60.0));
    let told = &all[0].evidence[1];
    assert!(told.reasons[0].contains("seen with client"), "{:?}", told.reasons);
    let joined = told.entities.iter().find(|e| e.class == Class::User).unwrap();
    assert_eq!((joined.value.as_str(), joined.trust), ("ann", Trust::Claimed));
    // The user is a target by the login that names it, the address by both; neither by the join.
    assert_eq!(all[0].affected.len(), 2);
}

#[test]
fn a_guess_a_stuffed_list_and_a_claimed_name_link_nothing() {
    for technique in ["T1110.001", "T1110.004", "none"] {
        let events = vec![login("l", technique, "ann", "9.9.9.9", 0.0), dump("d", "9.9.9.9", 10.0)];
        assert_eq!(found(events, &Config::default()), [], "{technique}");
    }
    let mut claimed = login("l", "T1078", "ann", "9.9.9.9", 0.0);
    claimed.entities[1].trust = Trust::Claimed;
    assert_eq!(found(vec![claimed, dump("d", "9.9.9.9", 10.0)], &Config::default()), []);
}

#[test]
fn a_link_grows_old_and_one_that_is_shared_joins_nothing() {
    let config = Config { within: Span::s(20), most: 2, ..Config::default() };
    let of = |users: &[(&str, f64)], seconds: f64| {
        let logins = users.iter().map(|(name, s)| login(name, "T1078", name, "9.9.9.9", *s));
        found(logins.chain([dump("d", "9.9.9.9", seconds)]).collect(), &config)
    };
    assert_eq!(of(&[("ann", 0.0)], 20.0), [user("ann")]);
    assert_eq!(of(&[("ann", 0.0)], 20.1), []);
    assert_eq!(of(&[("ann", 0.0), ("bob", 1.0)], 10.0).len(), 2);
    // Each counted until it was known how many there are; then none.
    assert_eq!(of(&[("ann", 0.0), ("bob", 1.0), ("cid", 2.0)], 10.0), []);
    // Two of three have grown old.
    assert_eq!(of(&[("ann", 0.0), ("bob", 1.0), ("cid", 15.0)], 30.0), [user("cid")]);
}

#[test]
fn links_move_to_the_next_owner_and_what_was_sent_on_goes_no_further() {
    let config = Arc::new(Analyzer::default());
    let core = || Core::new(config.clone(), book());
    let classes = book().classes();
    let keyed = |event: &Scored, class: Class| {
        route(&classes, event, 1).find(|keyed| keyed.class == class).unwrap().to_keyed()
    };
    let mut first = core();
    let login = login("l", "T1078", "ann", "9.9.9.9", 0.0);
    first.give(keyed(&login, Class::Client), at(0.0), at(0.0)).unwrap();
    assert_eq!(first.take_joined(), []);
    let mut next = core();
    next.restore(&first.snapshot().unwrap()).unwrap();
    assert_eq!(next.joins(), (1, 0));
    next.give(keyed(&dump("d", "9.9.9.9", 10.0), Class::Client), at(10.0), at(10.0)).unwrap();
    let sent = next.take_joined();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].class, sent[0].key.as_str()), (Class::User, "ann"));
    assert_ne!(message_id(&sent[0]), sent[0].scored.id);
    // The owner of the user knows the same link, and does not send it back.
    let mut of_user = core();
    of_user.give(keyed(&login, Class::User), at(0.0), at(0.0)).unwrap();
    of_user.give(sent[0].clone(), at(10.0), at(10.0)).unwrap();
    assert_eq!(of_user.take_joined(), []);
}

#[test]
fn at_the_bound_the_keys_with_the_oldest_links_are_forgotten() {
    let config = Config { keys_max: 2, ..Config::default() };
    let mut joiner = Joiner::default();
    let classes = book().classes();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        let login = login(name, "T1078", name, "9.9.9.9", n as f64);
        let mut routed = route(&classes, &login, 1);
        let keyed = routed.find(|keyed| keyed.class == Class::User).unwrap().to_keyed();
        let tenant = keyed.scored.tenant.clone();
        let key = Key { tenant, class: Class::User, value: name.into() };
        joiner.take(&config, &classes, &key, &keyed);
    }
    let kept: Vec<_> = joiner.save().keys.into_iter().map(|((key, _), _)| key.value).collect();
    assert_eq!(kept, ["b", "c"]);
}

/// By user: a login, then something by an address alone. By client: nothing that matches.
fn two_keys() -> Arc<Book> {
    let of_client = "title: c\nname: of_client\nlevel: high\ncorrelation:\n  type: event_count\n  \
                     rules: [never]\n  group-by: [client]\n  timespan: 60s\n  condition: {gte: 1}\n\
                     ---\ntitle: never\nname: never\nlogsource: {product: magsentinel, service: \
                     scored}\ndetection:\n  it: {patrol: nobody}\n  condition: it\n";
    let of_user = text("temporal_ordered", 2, 60, "");
    parsed(&format!("{}---\n{of_client}", of_user.trim_end_matches('\n').to_owned() + "\n"))
}

/// Each event as the owner of every key sees it, by definition: an address counts for the users
/// that logged in from it near enough, if they are few enough.
fn expanded(config: &Config, stream: &[Scored]) -> Vec<Scored> {
    let mut all = stream.to_vec();
    for event in stream.iter().filter(|event| event.entity(Class::User).is_none()) {
        let client = event.entity(Class::Client).unwrap();
        let near = |login: &&Scored| {
            let apart = login.ts.since(event.ts).max(event.ts.since(login.ts));
            login.entity(Class::Client) == Some(client) && apart <= config.within.get()
        };
        let logins = stream.iter().filter(|e| e.entity(Class::User).is_some()).filter(near);
        let users: BTreeSet<&str> =
            logins.map(|login| login.entity(Class::User).unwrap().value.as_str()).collect();
        if users.len() <= config.most {
            all.extend(users.into_iter().map(|user| event.clone().user(user)));
        }
    }
    all
}

/// What a core finds that is shown events in this order, and what it sends on as it comes.
fn found_in(config: &Analyzer, book: &Arc<Book>, stream: &[Scored]) -> BTreeMap<Id, Seen> {
    let mut core = Core::new(Arc::new(config.clone()), book.clone());
    let (mut revisions, classes) = (Vec::new(), book.classes());
    for event in stream {
        let routed = route(&classes, event, 1);
        let mut waiting: Vec<Keyed> = routed.map(|keyed| keyed.to_keyed()).collect();
        while let Some(keyed) = waiting.pop() {
            core.give(keyed, at(1e6), at(1e6)).unwrap();
            waiting.extend(core.take_joined());
        }
        revisions.extend(core.settle(at(1e6)));
        let mut next = Core::new(Arc::new(config.clone()), book.clone());
        next.restore(&core.snapshot().unwrap()).unwrap();
        core = next;
    }
    revisions.extend(core.settle(at(2e6)));
    seen(&last(&revisions))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_counts_for_another_key_does_not_depend_on_the_order_of_arrival(
        raw in prop::collection::vec((any::<bool>(), 0..3_u8, 0..2_u8, 0..60_u8), 0..14),
        order in any::<prop::sample::Index>(),
        seed in prop::collection::vec(any::<u32>(), 14),
    ) {
        let one = |(n, (logs_in, user, client, second)): (usize, &(bool, u8, u8, u8))| {
            let (name, second) = (n.to_string(), f64::from(*second));
            let (user, client) = (format!("u{user}"), format!("9.9.9.{client}"));
            let patrol = if *logs_in { "p0" } else { "p1" };
            let event = match logs_in {
                true => login(&name, "T1078", &user, &client, second),
                false => dump(&name, &client, second),
            };
            Scored { patrol: patrol.parse().unwrap(), ..event }
        };
        let mut stream: Vec<Scored> = raw.iter().enumerate().map(one).collect();
        let join = Config { within: Span::s(10), ..Config::default() };
        let lateness = Span::s(3600);
        let config = Analyzer { join, lateness, evidence_events_max: 256, ..Analyzer::default() };
        let book = two_keys();
        let chain = book.chains().iter().find(|c| c.name.as_str() == "tested").unwrap();
        let want = oracle(chain, &config, &expanded(&config.join, &stream));
        prop_assert_eq!(found_in(&config, &book, &stream), want.clone());
        let mut keys = seed.into_iter();
        stream.sort_by_cached_key(|_| keys.next());
        if !stream.is_empty() {
            let middle = order.index(stream.len());
            stream.rotate_left(middle);
        }
        prop_assert_eq!(found_in(&config, &book, &stream), want);
    }
}
