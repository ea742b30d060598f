//! The library over a real file: imports whole or not at all, looks up what evidence names, and
//! finds incidents that are alike.
#![expect(clippy::expect_used, reason = "tests fail by panicking and tell what they saw")]

mod audit;
mod curated;
mod past;
mod shipped;

use magsentinel_bus_schema::Assessment;
use magsentinel_commander::{
    Library,
    knowledge::{Error, Gathered, library::Limits},
    playbook,
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) const LIMITS: Limits =
    Limits { mitigations_max: 2, similar_max: 3, incidents_max: 1000, audit_max: 3 };

/// Asked for at run time: the build may have happened in another checkout.
pub(crate) fn package() -> PathBuf {
    std::env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder").into()
}

fn fixture(name: &str) -> PathBuf {
    package().join("tests/knowledge").join(name)
}

pub(crate) fn assessment() -> Assessment {
    serde_json::from_str(include_str!("../cases/injection_and_dump.json")).expect("a case")
}

pub(crate) fn library(folder: &TempDir) -> Library {
    Library::open_file(&folder.path().join("deep/knowledge.db"), LIMITS).expect("opened")
}

fn import(library: &mut Library, files: &[&Path]) -> Result<(), Error> {
    let mut gathered = Gathered::default();
    files.iter().try_for_each(|file| gathered.read(file))?;
    library.import(&gathered.finish()?).map(drop)
}

#[test]
fn the_official_form_is_read_with_what_mitigates_what_and_the_rest_is_counted() {
    let mut gathered = Gathered::default();
    gathered.read(&fixture("attack.json")).expect("read");
    gathered.read(&fixture("kev.json")).expect("read");
    let parts = gathered.finish().expect("parts");
    let told = &parts.told;
    assert_eq!((told.objects, told.techniques, told.mitigated), (6, 3, 2));
    assert_eq!((told.revoked, told.others, told.loose, told.exploited), (1, 2, 0, 1));
    assert_eq!(told.version.as_deref(), Some("99.1"));
    let folder = TempDir::new().expect("a folder");
    let mut library = library(&folder);
    library.import(&parts).expect("imported");
    let contents = library.contents().expect("contents");
    assert_eq!((contents.objects, contents.exploited), (6, 1));
    assert_eq!(contents.sources[0].sha256.len(), 64);
    for (words, first) in [
        ("T1213.006", "T1213.006"),
        ("weakness in web application", "T1190"),
        ("inkwell", "G9999"),
        ("updates software", "M1051"),
    ] {
        let found = library.search(words, 3).expect("searched");
        assert_eq!(found[0].object.id, first, "{words}: {found:?}");
    }
    assert!(library.search("zzz", 3).expect("searched").is_empty());
}

#[test]
fn evidence_meets_what_is_known_and_the_playbook_tells_it() {
    let folder = TempDir::new().expect("a folder");
    let mut library = library(&folder);
    let mut a = assessment();
    a.evidence[0].excerpt.push_str(" /* cve-2099-0001 */");
    a.evidence[3].techniques = vec!["T1213.006".to_owned(), "T1999".to_owned()];
    // Before an import, what the build knows by itself.
    let known = library.known(&a);
    assert!(!known.whole && known.technique("T1190").is_some() && known.exploited.is_empty());
    import(&mut library, &[&fixture("attack.json"), &fixture("kev.json")]).expect("imported");
    let known = library.known(&a);
    assert!(known.whole);
    // Not in this collection: neither is an invented one, and nothing is made up for either.
    assert_eq!(known.unknown, ["T1030", "T1999"]);
    let sub = known.technique("T1213.006").expect("known");
    assert_eq!(sub.name, "Data from Information Repositories: Databases");
    assert_eq!(sub.mitigations[0].id.as_deref(), Some("M1047"), "its parent's");
    assert_eq!(known.exploited[0].cve, "CVE-2099-0001");
    let limits = playbook::Limits { events_max: 64, excerpt_chars: 300 };
    let analysis = playbook::write(&a, &known, limits).expect("an analysis");
    let told = serde_json::to_string(&analysis).expect("JSON");
    for want in [
        "Against T1190 (Exploit Public-Facing Application): Update Software (M1051). Update what \
         is reachable from outside first.",
        "T1999 (not in ATT&CK)",
        "CVE-2099-0001 (Example Shop SQL Injection)",
        "for ransomware too",
        "initial access",
    ] {
        assert!(told.contains(want), "{want}: {told}");
    }
    let cve = analysis.remediation.iter().find(|c| c.text.contains("CVE-2099")).expect("a claim");
    assert_eq!(cve.cites, [a.evidence[0].event]);
}

#[test]
fn a_broken_file_among_good_ones_changes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut library = library(&folder);
    import(&mut library, &[&fixture("attack.json")]).expect("imported");
    let before = library.contents().expect("contents");
    let whole = std::fs::read(fixture("attack.json")).expect("the fixture");
    let cut = folder.path().join("cut.json");
    std::fs::write(&cut, &whole[..whole.len() - 300]).expect("written");
    let told = import(&mut library, &[&fixture("kev.json"), &cut]).expect_err("cut").to_string();
    assert!(told.contains("cut.json") && told.contains("nothing was imported"), "{told}");
    assert_eq!(library.contents().expect("contents"), before);
    // What is imported again takes the place of what was there; the other kind stays.
    import(&mut library, &[&fixture("kev.json")]).expect("imported");
    import(&mut library, &[&fixture("attack.json")]).expect("imported");
    let after = library.contents().expect("contents");
    assert_eq!((after.objects, after.exploited, after.sources.len()), (6, 1, 2));
}

#[test]
fn an_import_by_another_process_is_seen_without_a_restart() {
    let folder = TempDir::new().expect("a folder");
    let mut commander = library(&folder);
    assert!(!commander.known(&assessment()).whole);
    import(&mut library(&folder), &[&fixture("attack.json")]).expect("imported");
    assert!(commander.known(&assessment()).whole);
}

#[test]
fn what_is_no_knowledge_is_left_alone_and_the_commander_does_without() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "dear diary, this is no database at all, and long enough to be seen")
        .expect("written");
    let told = Library::open_file(&path, LIMITS).map(drop).expect_err("foreign").to_string();
    assert!(told.contains("notes.txt") && told.contains("commander.knowledge"), "{told}");
    let config = magsentinel_commander::Config { knowledge: Some(path), ..Default::default() };
    let mut library = Library::open(&config);
    assert!(library.report()["built_in_only"].as_str().is_some_and(|r| r.contains("notes.txt")));
    assert!(library.known(&assessment()).technique("T1190").is_some());
}
