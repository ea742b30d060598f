use super::*;
use crate::{
    Keeper,
    stage::tests::{config, deliveries_of, handle},
};
use tempfile::TempDir;

/// What `verify` says after somebody ran this SQL on the file.
fn after(tampering: &str) -> Result<Verified, Broken> {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let mut keeper = Keeper::open(&config).unwrap();
    for name in ["a", "b"] {
        assert!(handle(&mut keeper, &deliveries_of(name)).failures().is_empty());
    }
    let raw = Connection::open(config.file().unwrap()).unwrap();
    raw.execute_batch(tampering).unwrap();
    Logbook::open_configured(&config).unwrap().verify()
}

#[test]
fn an_untouched_logbook_verifies_and_has_one_head() {
    let (one, other) = (after("").unwrap(), after("").unwrap());
    assert_eq!((one.records, one.incidents, one.head.len()), (14, 2, 64));
    assert_eq!(one, other);
}

#[test]
fn every_change_of_a_record_is_found_where_it_is() {
    for column in [
        "payload = CAST(payload || 'x' AS BLOB)",
        "payload = x''",
        "stored_us = stored_us + 1",
        "tenant = 'x'",
        "stage = 'gap'",
        "message_id = 'x'",
        "incident = NULL",
        "subject = 'x'",
        "stream_seq = 99",
        "content_type = 'x'",
        "hash = zeroblob(32)",
        "hash = x'00'",
    ] {
        let found = after(&format!("UPDATE record SET {column} WHERE seq = 5"));
        assert!(matches!(found, Err(Broken::Changed { seq: 5 })), "{column}: {found:?}");
    }
}

#[test]
fn records_that_were_taken_out_moved_or_put_in_are_found() {
    let found = after("DELETE FROM record WHERE seq = 5");
    assert!(matches!(found, Err(Broken::Missing { expected: 5, found: 6 })), "{found:?}");
    let found = after("DELETE FROM record WHERE seq = 1");
    assert!(matches!(found, Err(Broken::Missing { expected: 1, found: 2 })), "{found:?}");
    let swapped = "UPDATE record SET seq = 99 WHERE seq = 5; UPDATE record SET seq = 5 WHERE \
                   seq = 6; UPDATE record SET seq = 6 WHERE seq = 99;";
    assert!(matches!(after(swapped), Err(Broken::Changed { seq: 5 })));
    let added = "INSERT INTO record SELECT 15, tenant, stage, 'new', incident, stored_us, \
                 subject, stream_seq, content_type, payload, hash FROM record WHERE seq = 14";
    assert!(matches!(after(added), Err(Broken::Changed { seq: 15 })));
}

#[test]
fn an_incident_that_was_hidden_or_toned_down_is_found() {
    for tampering in [
        "DELETE FROM incident WHERE opened = 1",
        "UPDATE incident SET level = 0 WHERE opened = 1",
        "UPDATE incident SET last_us = 0 WHERE opened = 1",
        "UPDATE incident SET attack_type = 'none' WHERE opened = 1",
        "UPDATE incident SET shown = replace(shown, 'critical', 'low')",
        "UPDATE incident SET tenant = 'other' WHERE opened = 1",
    ] {
        let found = after(tampering);
        assert!(matches!(found, Err(Broken::Index { .. })), "{tampering}: {found:?}");
    }
}

#[test]
fn what_is_cut_off_the_end_shows_only_in_the_head() {
    // Stated in the documentation: there is no key in the chain.
    let whole = after("").unwrap();
    let cut = after("DELETE FROM record WHERE seq > 7; DELETE FROM incident WHERE opened > 7;");
    assert_ne!(cut.unwrap().head, whole.head);
}
