use super::{told::account, *};
use magsentinel_bus_schema::{Fields, Judgement, Kind, SCHEMA_VERSION, Source, Tenant, Trust};
use serde_json::{Value, json};

fn event(n: i64, ts_s: i64, kind: Kind, body: Value) -> Event {
    let ts = Timestamp::from_micros(ts_s * 1_000_000);
    Event {
        v: SCHEMA_VERSION,
        id: Id::derived(&["event", &n.to_string()]),
        tenant: Tenant::default(),
        kind,
        ts,
        received: ts,
        ts_missing: false,
        replayed: false,
        source: Source { trust: Trust::Observed, ..Source::default() },
        causes: Vec::new(),
        trace: None,
        body: Fields(body.as_object().cloned().unwrap()),
    }
}

fn request(n: i64, ts_s: i64, client: &str, path: &str, agent: &str) -> Event {
    let body = json!({"client": client, "method": "GET", "path": path,
                      "headers": {"user-agent": agent}});
    event(n, ts_s, Kind::Api, body)
}

/// What is said of the first of some events.
fn of(events: &[Event], said: Vec<Said>, closed: Option<Judgement>) -> Account {
    let mut watched = Watched::new(&events[0]);
    events.iter().for_each(|event| watched.see(event));
    let incident = Id::derived(&["incident"]);
    let mut closures = BTreeMap::new();
    let mut incidents = BTreeSet::new();
    if let Some(judgement) = closed {
        incidents.insert(incident);
        closures.insert(
            incident,
            Closure {
                v: SCHEMA_VERSION,
                id: incident,
                incident,
                tenant: Tenant::default(),
                judgement,
                by: String::new(),
                note: String::new(),
                patrols: Vec::new(),
                ts: Timestamp::from_micros(0),
            },
        );
    }
    account(&events[0], watched.habit(), said, &incidents, &closures)
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64)";

#[test]
fn a_person_who_reads_pages_is_legitimate_and_the_counts_are_told() {
    let times = [0, 7, 9, 31, 90, 95, 170, 300, 301];
    let events: Vec<Event> = (0..)
        .zip(times)
        .map(|(n, ts)| request(n, ts, "198.51.100.7", &format!("/products/{}", 17 + n), BROWSER))
        .chain([request(99, 12, "198.51.100.8", "/products/4", BROWSER)])
        .chain([request(98, 13, "198.51.100.7", "/about", BROWSER)])
        .collect();
    let told = of(&events, Vec::new(), None);
    assert_eq!(told.what, What::LegitimateUse);
    let habit = &told.habit;
    assert_eq!((habit.events, habit.alike, habit.shapes, habit.others), (10, 9, 2, 1));
    let text = text(&told);
    assert!(
        text.contains("legitimate use") && text.contains("9 of 10 retained api events"),
        "{text}"
    );
}

#[test]
fn an_even_pace_that_nobody_shares_is_a_beacon_and_one_that_many_share_is_a_program() {
    let beacon: Vec<Event> =
        (0..20).map(|n| request(n, n * 60 + n % 2, "198.51.100.7", "/c", BROWSER)).collect();
    let told = of(&beacon, Vec::new(), None);
    assert_eq!(told.what, What::Beacon, "{told:?}");
    assert!(told.because[0].contains("every 60"), "{told:?}");
    let shared = beacon.iter().cloned().chain([request(90, 5, "198.51.100.9", "/c", BROWSER)]);
    assert_eq!(of(&shared.collect::<Vec<_>>(), Vec::new(), None).what, What::AutomatedClient);
}

#[test]
fn clients_that_say_what_they_are_are_believed_only_where_nothing_is_flagged() {
    let probe = [request(0, 0, "10.0.0.1", "/healthz", "kube-probe/1.31")];
    assert_eq!(of(&probe, Vec::new(), None).what, What::Telemetry);
    let program = [request(0, 0, "198.51.100.7", "/api/orders", "curl/8.5")];
    assert_eq!(of(&program, Vec::new(), None).what, What::AutomatedClient);
    let said = vec![Said {
        patrol: "api-watch".to_owned(),
        level: Level::High,
        category: "path_traversal".to_owned(),
        reasons: vec!["Steps up".to_owned()],
    }];
    assert_eq!(of(&probe, said.clone(), None).what, What::ExploitAttempt);
    // An operator's word counts, and is told.
    let told = of(&program, said.clone(), Some(Judgement::FalsePositive));
    assert_eq!(told.what, What::AutomatedClient);
    assert!(told.because[0].contains("ordinary"), "{told:?}");
    let told = of(&program, said, Some(Judgement::TruePositive));
    assert_eq!(told.what, What::ExploitAttempt);
}

#[test]
fn statements_that_differ_in_values_only_are_alike() {
    let statement = |n, text: &str| event(n, n, Kind::Sql, json!({"text": text, "user": "shop"}));
    let events = [
        statement(0, "SELECT a FROM t WHERE id = 7 AND b = 'x'"),
        statement(1, "select a  from t where id = 4711 and b = 'yy z'"),
        statement(2, "SELECT a FROM u WHERE id = 7"),
    ];
    let habit = of(&events, Vec::new(), None).habit;
    assert_eq!((habit.events, habit.alike, habit.shapes), (3, 2, 2));
}
