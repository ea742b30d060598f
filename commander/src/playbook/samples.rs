//! Assessments for tests, from the case files.

use magsentinel_bus_schema::{Assessment, Id, Level};

pub(crate) fn injection_and_dump() -> Assessment {
    let case = include_str!("../../tests/cases/injection_and_dump.json");
    serde_json::from_str(case).expect("the case is an assessment")
}

/// A chain of `n` events: one critical, the others low.
pub(crate) fn many(n: usize) -> Assessment {
    let mut a = injection_and_dump();
    let model = a.evidence[0].clone();
    a.evidence = (0..n)
        .map(|i| {
            let mut e = model.clone();
            e.event = Id::derived(&["event", &i.to_string()]);
            e.scored = Id::derived(&["scored", &i.to_string()]);
            e.ts = e.ts.plus(std::time::Duration::from_millis(i as u64));
            e.level = if i == n / 2 { Level::Critical } else { Level::Low };
            e.score = if i == n / 2 { 0.99 } else { 0.35 };
            e
        })
        .collect();
    a.count = n as u64;
    a
}
