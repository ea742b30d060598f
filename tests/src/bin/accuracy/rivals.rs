//! Who judges the same rows beside the patrol.

use crate::{figures::RIVALS, request, rows::Row};
use anyhow::Result;
use magsentinel_bus_schema::Kind;
use magsentinel_tests::rivals::{self, Strictness};
use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

/// Titles of the rivals' columns.
pub(crate) const TITLES: [&str; RIVALS] = ["libinjection", "CRS PL1", "CRS PL2"];

/// The rivals, as far as they are wanted.
pub(crate) struct Rivals(Option<rivals::Rivals>);

impl Rivals {
    /// Nobody.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// All of them.
    pub(crate) fn load() -> Result<Self> {
        rivals::Rivals::load().map(Some).map(Self)
    }

    /// Versions of what was loaded, for the card.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.0.as_ref().map(rivals::Rivals::versions).unwrap_or_default()
    }

    /// What each says of a row; the rule set only where `sampled`, since it needs milliseconds.
    pub(crate) fn judge(&self, row: &Row, sampled: bool) -> [Option<bool>; RIVALS] {
        let Some(rivals) = &self.0 else { return [None; RIVALS] };
        let text = row.text("text").filter(|_| row.kind == Kind::Sql);
        let injection = text.map(|text| rivals.is_injection(text));
        let request = request::of(row.kind, row).filter(|_| sampled);
        let by = |strictness| request.as_ref().map(|r| rivals.is_denied(strictness, r));
        [injection, by(Strictness::One), by(Strictness::Two)]
    }
}

/// Places of at most `most` rows of each part and class: those of the lowest hashes, so that the
/// choice depends on the rows alone. 0 is all.
pub(crate) fn sample(rows: &[Row], most: usize) -> BTreeSet<usize> {
    let mut parts: BTreeMap<(&str, i64), Vec<(u64, usize)>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let mut hasher = DefaultHasher::new();
        at.hash(&mut hasher);
        row.body.get("text").map(ToString::to_string).hash(&mut hasher);
        parts.entry((&row.part, row.label)).or_default().push((hasher.finish(), at));
    }
    let mut chosen = BTreeSet::new();
    for ((_, label), mut places) in parts {
        if label != 0 && label != 1 {
            continue;
        }
        places.sort_unstable();
        let most = if most == 0 { places.len() } else { most };
        chosen.extend(places.into_iter().take(most).map(|(_, at)| at));
    }
    chosen
}
