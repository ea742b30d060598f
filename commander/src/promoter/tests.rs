use super::*;
use magsentinel_bus_schema::{encode, pattern::Proof};
use magsentinel_pattern::record::{Draft, proposed};
use magsentinel_runtime::bundle;

fn pattern(origin: Origin) -> magsentinel_bus_schema::Pattern {
    let draft = Draft {
        patrol: "sql-guard".parse().unwrap(),
        origin,
        incident: None,
        events: Vec::new(),
        title: "x".to_owned(),
        rule: "title: x".to_owned(),
    };
    proposed(draft, "playbook", Timestamp::from_micros(0))
}

fn delivery(change: &Publish) -> Delivery {
    Delivery {
        subject: change.subject.of(&Tenant::default()),
        seq: 1,
        stored: Timestamp::from_micros(0),
        attempt: 1,
        content_type: None,
        message_id: None,
        ce_id: None,
        trace: None,
        payload: change.payload.clone(),
    }
}

fn written(work: Option<Work>) -> (String, magsentinel_bus_schema::Pattern, u64) {
    let Some(Work::Write { name, bytes, before }) = work else { panic!("{work:?}") };
    (name, serde_json::from_slice(&bytes).unwrap(), before)
}

#[test]
fn a_proposal_is_written_once_and_brings_nothing_but_its_rule() {
    let tenant = Tenant::default();
    let mut forged = pattern(Origin::Model);
    forged.proof = Some(Proof::default());
    forged.seal = Some(magsentinel_bus_schema::pattern::Seal {
        signer: "U".to_owned(),
        signature: "s".to_owned(),
    });
    let message = changes(&tenant, &forged).remove(0);
    let mut promoter = Promoter::new(tenant.clone(), Arc::default(), None);
    promoter.hear(&delivery(&message));
    promoter.hear(&delivery(&message));
    let (name, kept, before) = written(promoter.next(Timestamp::from_micros(1)));
    assert_eq!((name.as_str(), before), (name_of(&forged).as_str(), 0));
    assert!(kept.proof.is_none() && kept.seal.is_none() && kept.state() == State::Proposed);
    promoter.written(Some(1));
    assert_eq!(promoter.next(Timestamp::from_micros(2)), None);
    // What an operator proposed is in the store already; what is no proposal is nothing.
    promoter.hear(&delivery(&changes(&tenant, &pattern(Origin::Operator)).remove(0)));
    let mut junk = delivery(&message);
    junk.payload = encode(&"junk").unwrap().into();
    promoter.hear(&junk);
    assert_eq!(promoter.next(Timestamp::from_micros(3)), None);
}

#[test]
fn what_is_ready_is_signed_only_with_a_key_and_only_over_the_newest_revision() {
    let (seed, public) = bundle::new_key().unwrap();
    let config = Arc::new(Config { signers: vec![public.clone()], ..Config::default() });
    let at = Timestamp::from_micros;
    let mut ready = pattern(Origin::Playbook);
    for state in [State::Shadow, State::Ready] {
        let mut next = ready.steps[0].clone();
        next.state = state;
        ready.steps.push(next);
    }
    let name = name_of(&ready);
    let document = |revision| {
        let bytes = Some(serde_json::to_vec(&ready).unwrap());
        Document { name: name.clone(), revision, stored: at(0), bytes }
    };
    let mut without = Promoter::new(Tenant::default(), Arc::clone(&config), None);
    assert_eq!(without.take(&document(4)).len(), 3);
    assert_eq!(without.next(at(1)), None);
    let mut promoter = Promoter::new(Tenant::default(), config, Some(seed.as_str().into()));
    promoter.take(&document(4));
    let (_, live, before) = written(promoter.next(at(1)));
    assert_eq!((before, live.state()), (4, State::Live));
    assert_eq!(seal::check(&Tenant::default(), &live, &[public]), Ok(()));
    // Somebody else was first: it waits for what they wrote.
    promoter.written(None);
    assert_eq!(promoter.next(at(2)), None);
    promoter.take(&document(5));
    assert_eq!(written(promoter.next(at(3))).2, 5);
}

#[test]
fn a_key_that_patrols_would_not_trust_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("promoter.nk");
    let (secret, public) = bundle::new_key().unwrap();
    std::fs::write(&path, &secret).unwrap();
    let mut config = Config { promoter: Some(path), ..Config::default() };
    assert!(seed(&config).unwrap_err().contains("patterns.signers"));
    config.signers = vec![public];
    assert!(seed(&config).unwrap().is_some());
    config.promoter = Some("/nowhere/x.nk".into());
    assert!(seed(&config).unwrap_err().contains("patterns.promoter"));
}
