//! CISA's catalogue of known exploited vulnerabilities, and the vulnerabilities that evidence
//! names. Pure.

use super::Exploited;
use crate::untrusted::shown;
use magsentinel_bus_schema::Assessment;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeSet, ops::RangeInclusive};

/// Most vulnerabilities that are looked up for one assessment.
pub const CVES_MAX: usize = 16;
const NAME_CHARS_MAX: usize = 200;
const ACTION_CHARS_MAX: usize = 400;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "cveID")]
    cve: String,
    vendor_project: String,
    product: String,
    vulnerability_name: String,
    date_added: String,
    required_action: String,
    #[serde(default)]
    known_ransomware_campaign_use: String,
}

/// The entries of a catalogue, as CISA publishes it.
///
/// # Errors
/// Which entry is wrong, or that there are not as many as the catalogue says.
pub fn catalogue(document: Value) -> Result<Vec<Exploited>, String> {
    let Value::Object(mut map) = document else { return Err("no JSON object".to_owned()) };
    let said = map.get("count").and_then(Value::as_u64);
    let Some(Value::Array(entries)) = map.remove("vulnerabilities") else {
        return Err("the catalogue has no list `vulnerabilities`".to_owned());
    };
    let found = entries.len() as u64;
    if let Some(said) = said.filter(|said| *said != found) {
        return Err(format!("the catalogue says that it has {said} entries and has {found}"));
    }
    let read = |(at, value)| entry(value).map_err(|why| format!("vulnerabilities[{at}]: {why}"));
    entries.into_iter().enumerate().map(read).collect()
}

/// One entry.
///
/// # Errors
/// What is wrong with it.
pub fn entry(value: Value) -> Result<Exploited, String> {
    let read: Entry = serde_json::from_value(value).map_err(|e| e.to_string())?;
    let cve = read.cve.trim().to_ascii_uppercase();
    if cves_in(&cve).next().as_deref() != Some(&cve) {
        return Err(format!("{:?} is no CVE id", shown(&read.cve, 40)));
    }
    let product = format!("{} {}", read.vendor_project, read.product);
    Ok(Exploited {
        cve,
        product: shown(&product, NAME_CHARS_MAX),
        name: shown(&read.vulnerability_name, NAME_CHARS_MAX),
        added: shown(&read.date_added, 40),
        action: shown(&read.required_action, ACTION_CHARS_MAX),
        ransomware: read.known_ransomware_campaign_use.eq_ignore_ascii_case("known"),
    })
}

/// The CVE ids that a text names, in upper case.
pub fn cves_in(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    words.filter_map(|word| {
        let word = word.to_ascii_uppercase().replace('_', "-");
        let at = word.find("CVE-")?;
        let mut parts = word.get(at + 4..)?.split('-');
        let (year, number) = (digits(parts.next()?, 4..=4)?, digits(parts.next()?, 4..=7)?);
        Some(format!("CVE-{year}-{number}"))
    })
}

/// The digits that a text begins with, when they are as many as they may be.
fn digits(text: &str, many: RangeInclusive<usize>) -> Option<&str> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..count).filter(|_| many.contains(&count))
}

/// The CVE ids that an assessment's evidence names, in order, at most [`CVES_MAX`].
#[must_use]
pub fn cves_of(a: &Assessment) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for e in &a.evidence {
        let texts = e.reasons.iter().chain([&e.excerpt]);
        // Most texts name none, and ten thousand events have many texts.
        for text in texts.filter(|text| names_cve(text)) {
            found.extend(cves_in(text).filter(|cve| seen.insert(cve.clone())));
            if found.len() >= CVES_MAX {
                found.truncate(CVES_MAX);
                return found;
            }
        }
    }
    found
}

fn names_cve(text: &str) -> bool {
    ["CVE", "cve", "Cve"].iter().any(|cve| text.contains(cve))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_found_however_they_are_written() {
        let found = |text| cves_in(text).collect::<Vec<_>>();
        assert_eq!(found("see cve-2021-44228."), ["CVE-2021-44228"]);
        assert_eq!(found("/x?CVE_2024_1234&y cve-2024-12345678"), ["CVE-2024-1234"]);
        assert_eq!(found("probe_CVE-2017-5638_struts"), ["CVE-2017-5638"]);
        assert_eq!(found("cve-21-1 cve CVE-2021-"), Vec::<String>::new());
    }

    #[test]
    fn a_cut_or_broken_catalogue_is_an_error_that_says_where() {
        let good = json!({
            "cveID": "CVE-2021-44228", "vendorProject": "V", "product": "P",
            "vulnerabilityName": "N", "dateAdded": "2021-12-10", "requiredAction": "Update.",
            "knownRansomwareCampaignUse": "Known",
        });
        let read = catalogue(json!({"count": 1, "vulnerabilities": [good]})).expect("read");
        assert!(read[0].ransomware && read[0].product == "V P");
        for (document, why) in [
            (json!([]), "no JSON object"),
            (json!({}), "no list"),
            (json!({"count": 2, "vulnerabilities": [good]}), "2 entries and has 1"),
            (json!({"vulnerabilities": [good, {"cveID": "x"}]}), "vulnerabilities[1]"),
        ] {
            let told = catalogue(document).expect_err(why);
            assert!(told.contains(why), "{told}");
        }
    }
}
