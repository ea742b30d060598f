//! `lease evidence`: what led to an effect, fetched and checked.

use crate::{
    args::Global,
    exit::{BadData, BadUsage},
    output::table,
};
use anyhow::{Context, Result, anyhow};
use magsentinel_bus_schema::{Id, Outcome, OutcomeStatus, Preserved, Stream, Subject, Verb};
use magsentinel_responder::evidence::{
    self,
    archive::{self, Manifest},
};
use magsentinel_runtime::{bus::Bus, stage::Delivery};
use std::{collections::BTreeSet, path::Path};

/// Fetches the newest bundle of a lease or an incident, checks it, and writes it to a file.
pub async fn fetch(global: &Global, bus: &Bus, id: &str, out: &Path) -> Result<()> {
    let preserved = newest(&told(bus).await?, id)?;
    let bytes = evidence::fetch(bus, &preserved).await.map_err(|e| anyhow!(e))?;
    let bytes = bytes.ok_or_else(|| {
        let why = "the bundle is not in the store any more: responder.evidence.store_age_max";
        BadData(format!("{}: {why}", preserved.object))
    })?;
    let damaged = |why| BadData(format!("{}: {why}", preserved.object));
    let manifest = archive::check(&preserved.sha256, &bytes).map_err(damaged)?;
    std::fs::write(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    global.output.print(&manifest, || shown(&manifest, &preserved, out));
    Ok(())
}

/// Every outcome that tells of evidence, in order.
async fn told(bus: &Bus) -> Result<Vec<Outcome>> {
    let mut told = Vec::new();
    let filter = Subject::Outcome(Verb::PreserveEvidence).of(bus.tenant());
    let show = |delivery: &Delivery| told.extend(delivery.decode::<Outcome>(bus.limits()));
    bus.read_all(Stream::Decisions, vec![filter], show).await?;
    Ok(told)
}

/// The newest bundle of what begins with an id.
fn newest(told: &[Outcome], id: &str) -> Result<Preserved> {
    if id.len() < 4 {
        return Err(BadUsage(format!("{id:?} is too short: at least four characters")).into());
    }
    let id = id.to_lowercase();
    let is = |of: Id| of.to_string().starts_with(&id);
    let about: Vec<&Outcome> =
        told.iter().filter(|outcome| is(outcome.action) || is(outcome.incident)).collect();
    let begun: BTreeSet<Id> = about
        .iter()
        .map(|outcome| if is(outcome.incident) { outcome.incident } else { outcome.action })
        .collect();
    if begun.len() > 1 {
        return Err(BadUsage(format!("{id:?} begins several leases or incidents")).into());
    }
    if let Some(kept) = about.iter().rev().find_map(|outcome| outcome.evidence.clone()) {
        return Ok(kept);
    }
    let failed = about.iter().rev().find(|outcome| outcome.status == OutcomeStatus::Failed);
    let why = failed.map_or_else(
        || {
            format!(
                "no evidence is kept of {id:?} (yet): it comes after the effect, when \
                 responder.evidence.after has passed"
            )
        },
        |outcome| outcome.detail.clone(),
    );
    Err(BadData(why).into())
}

fn shown(manifest: &Manifest, preserved: &Preserved, out: &Path) -> String {
    let mut rows = vec![
        ["PART", "LINES", "BYTES", "LEFT OUT", "UNREADABLE", "LOOKED THROUGH"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for sum in &manifest.parts {
        rows.push(vec![
            format!("{:?}", sum.part).to_lowercase(),
            sum.lines.to_string(),
            sum.bytes.to_string(),
            sum.cut.to_string(),
            sum.unreadable.to_string(),
            if sum.whole { "all" } else { "not all" }.to_owned(),
        ]);
    }
    let missing = manifest.missing.len();
    format!(
        "{}: {} bytes, SHA-256 {} as stored; {missing} cited messages were in no stream any more\n{}",
        out.display(),
        preserved.bytes,
        preserved.sha256,
        table(&rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::{Effect, Tenant, Timestamp};

    fn outcome(action: &str, object: Option<&str>) -> Outcome {
        let kept = |object: &str| Preserved {
            object: object.to_owned(),
            sha256: object.to_owned(),
            bytes: 1,
        };
        Outcome {
            v: 1,
            id: Id::derived(&["outcome", action, object.unwrap_or_default()]),
            action: Id::derived(&["action", action]),
            incident: Id::derived(&["incident"]),
            tenant: Tenant::default(),
            effect: Effect::PreserveEvidence {},
            status: if object.is_some() { OutcomeStatus::Applied } else { OutcomeStatus::Failed },
            detail: "the store is full".to_owned(),
            inverse: String::new(),
            ts: Timestamp::default(),
            until: None,
            hash: None,
            order: None,
            evidence: object.map(kept),
        }
    }

    #[test]
    fn the_newest_bundle_is_found_by_lease_and_incident_and_a_failure_says_why() {
        let told = [outcome("a", Some("1")), outcome("b", Some("2")), outcome("a", Some("3"))];
        let action = told[0].action.to_string();
        assert_eq!(newest(&told, &action).unwrap().object, "3");
        assert_eq!(newest(&told, &action[..8].to_uppercase()).unwrap().object, "3");
        assert_eq!(newest(&told, &told[0].incident.to_string()).unwrap().object, "3");
        let failed = [outcome("a", None)];
        let why = newest(&failed, &action).unwrap_err();
        assert!(why.is::<BadData>() && why.to_string().contains("full"), "{why}");
        let why = newest(&[], &action).unwrap_err();
        assert!(why.to_string().contains("no evidence is kept"), "{why}");
        assert!(newest(&told, "abc").unwrap_err().is::<BadUsage>());
    }
}
