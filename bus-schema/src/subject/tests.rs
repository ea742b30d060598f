//! What is written is read back, and nothing else is read.

use super::*;

fn examples() -> Vec<Subject> {
    let token = |s: &str| Token::sanitised(s);
    vec![
        Subject::Ingest(Kind::Api),
        Subject::Event(Kind::Sql, Shard(63)),
        Subject::Fact(token("auth-sentry"), Class::User, Shard(0)),
        Subject::Scored(token("sql-guard"), Level::None),
        Subject::Keyed(Class::Session, Shard(7)),
        Subject::Parcel(Shard(8)),
        Subject::Assessment(Level::Critical),
        Subject::Alert(Level::High, token("sql_injection_exfiltration")),
        Subject::Analysis(token("bulk_export")),
        Subject::Action(Verb::SuspendSession),
        Subject::Outcome(Verb::Notify),
        Subject::Closure(Judgement::FalsePositive),
        Subject::Order(OrderVerb::Approve),
        Subject::Pattern(token("sql-guard"), token("shadow")),
        Subject::Gap(token("data-flow")),
        Subject::Suppression(token("nightly")),
        Subject::Lease(token("analyzer"), Shard(12)),
        Subject::DeadLetter(token("event")),
        Subject::Verdict(Kind::Sql),
        Subject::Status(token("sql-guard")),
        Subject::Analyze,
        Subject::Instance(token("analyzer-0193")),
        Subject::Incident,
    ]
}

#[test]
fn every_subject_is_read_back() {
    let tenant = Tenant::default();
    for subject in examples() {
        let text = subject.of(&tenant);
        assert_eq!(Subject::parse(&text), Ok((tenant.clone(), subject)), "{text}");
    }
}

#[test]
fn every_stored_subject_is_captured_by_exactly_its_stream() {
    let tenant = Tenant::default();
    for subject in examples() {
        let text = subject.of(&tenant);
        let captured = |s: &Stream| {
            s.subjects(&tenant).iter().any(|f| text.starts_with(f.trim_end_matches('>')))
        };
        let by: Vec<_> = Stream::ALL.iter().copied().filter(captured).collect();
        assert_eq!(by, Vec::from_iter(Stream::holding(&subject)), "{text}");
    }
}

#[test]
fn what_is_no_subject_of_ours_is_refused() {
    for text in [
        "",
        "mag",
        "mag.default",
        "mag.Default.ingest.sql",
        "mag.default.event.sql",
        "mag.default.event.sql.007",
        "mag.default.event.wine.7",
        "mag.default.alert.high.A B",
        "gam.default.ingest.sql",
    ] {
        assert!(Subject::parse(text).is_err(), "{text}");
    }
}

#[test]
fn shards_are_stable_and_even() {
    // Fixed for ever: publishers in other languages compute the same.
    assert_eq!(Shard::of("192.0.2.1", 64), Shard::of("192.0.2.1", 64));
    let mut counts = [0_u32; 64];
    for n in 0..64_000 {
        if let Some(c) = counts.get_mut(usize::from(Shard::of(&format!("u{n}"), 64).0)) {
            *c += 1;
        }
    }
    assert!(counts.iter().all(|c| (800..1200).contains(c)), "{counts:?}");
    assert_eq!(Shard::of("anything", 0), Shard(0));
}
