//! The curated data, where it is at hand (`MAGSENTINEL_DATA`).

use crate::{LIMITS, assessment};
use magsentinel_commander::{Library, knowledge::Gathered};
use std::path::PathBuf;
use tempfile::TempDir;

#[test]
fn all_of_the_curated_attack_and_catalogue_are_read() {
    let Some(data) = std::env::var_os("MAGSENTINEL_DATA").map(PathBuf::from) else {
        eprintln!("skipped: MAGSENTINEL_DATA names no folder");
        return;
    };
    let mut gathered = Gathered::default();
    for name in ["attack_enterprise_objects", "attack_enterprise_relationships", "cisa_kev"] {
        let file = data.join("threat_intel").join(format!("{name}.jsonl.gz"));
        gathered.read(&file).expect(name);
    }
    let parts = gathered.finish().expect("parts");
    let told = &parts.told;
    assert_eq!((told.objects, told.techniques, told.exploited), (1757, 691, 1404));
    assert!(told.mitigated > 500, "{told:?}");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("knowledge.db");
    let mut library = Library::open_file(&path, LIMITS).expect("opened");
    library.import(&parts).expect("imported");
    let known = library.known(&assessment());
    assert_eq!((known.techniques.len(), known.unknown.len()), (3, 0));
    assert!(known.techniques.iter().any(|t| t.mitigations.iter().all(|m| m.id.is_some())));
    let found = library.search("SQL injection public-facing application", 5).expect("searched");
    assert!(found.iter().any(|f| f.object.id == "T1190"), "{found:?}");
}
