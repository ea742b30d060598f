//! Who judges the same rows: libinjection, and ModSecurity with the OWASP Core Rule Set.
//!
//! One Debian package holds the engine and, inside it, libinjection; another the rules. Neither
//! is part of any build: the library is loaded when the program runs.

mod engine;

use crate::{figures::RIVALS, request, rows::Row};
use anyhow::{Context, Result};
use engine::{Engine, RuleSet};
use magsentinel_bus_schema::Kind;
use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    process::Command,
};

/// Titles of the rivals' columns.
pub(crate) const TITLES: [&str; RIVALS] = ["libinjection", "CRS PL1", "CRS PL2"];

/// Where the Debian package puts the rules.
const RULES: &str = "/usr/share/modsecurity-crs/rules";

/// What of a rule set's setup matters here: block, read bodies by their type, and the level of
/// strictness. The rest is the rule set's own default.
const SETUP: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
SecAuditEngine Off
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" \
    "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
    "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecDefaultAction "phase:1,log,auditlog,pass"
SecDefaultAction "phase:2,log,auditlog,pass"
SecAction "id:900990,phase:1,nolog,pass,t:none,setvar:tx.crs_setup_version=334"
"#;

/// The rivals, as far as they are wanted.
pub(crate) struct Rivals {
    engine: Option<(Engine, RuleSet, RuleSet)>,
}

impl Rivals {
    /// Nobody.
    pub(crate) fn none() -> Self {
        Self { engine: None }
    }

    /// Loads the library and, twice, the rules.
    pub(crate) fn load() -> Result<Self> {
        let engine = Engine::load().context(
            "ModSecurity 3 cannot be loaded: apt-get install libmodsecurity3 modsecurity-crs",
        )?;
        let level = |level: u8| {
            let level = format!(
                "SecAction \"id:900000,phase:1,nolog,pass,t:none,\
                 setvar:tx.paranoia_level={level}\"\n"
            );
            engine.rules(&format!("{SETUP}{level}Include {RULES}/*.conf\n"))
        };
        let (first, second) = (level(1)?, level(2)?);
        Ok(Self { engine: Some((engine, first, second)) })
    }

    /// Versions of what was loaded, for the card.
    pub(crate) fn versions(&self) -> Vec<String> {
        let Some((engine, ..)) = &self.engine else { return Vec::new() };
        let package = |name: &str| {
            let mut command = Command::new("dpkg-query");
            let out = command.args(["-W", "-f", "${Version}", name]).output().ok();
            let version = out.filter(|out| out.status.success());
            let version = version.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
            format!("{name} {}", version.unwrap_or_else(|| "of unknown version".to_owned()))
        };
        vec![
            package("libmodsecurity3"),
            package("modsecurity-crs"),
            format!("libinjection {}", engine.libinjection_version()),
        ]
    }

    /// What each says of a row; the rule set only where `sampled`, since it needs milliseconds.
    pub(crate) fn judge(&self, kind: Kind, row: &Row, sampled: bool) -> [Option<bool>; RIVALS] {
        let Some((engine, first, second)) = &self.engine else { return [None; RIVALS] };
        let text = row.text("text").filter(|_| kind == Kind::Sql);
        let injection = text.map(|text| engine.is_injection(text.as_bytes()));
        let request = request::of(kind, row).filter(|_| sampled);
        let by = |rules| request.as_ref().map(|request| engine.is_denied(rules, request));
        [injection, by(first), by(second)]
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
