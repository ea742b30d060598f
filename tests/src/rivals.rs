//! Who does the same work: libinjection, and ModSecurity with the OWASP Core Rule Set.
//!
//! One Debian package holds the engine and, inside it, libinjection; another the rules. Neither
//! is part of any build: the library is loaded when the program runs.

mod engine;
mod request;

pub use request::Request;

use anyhow::{Context, Result};
use engine::{Engine, RuleSet};
use std::process::Command;

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

/// How strict the rule set is: its paranoia level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Level 1, the default.
    One,
    /// Level 2.
    Two,
}

/// The rivals, loaded. Used by one thread.
pub struct Rivals {
    engine: Engine,
    one: RuleSet,
    two: RuleSet,
}

impl Rivals {
    /// Loads the library and, twice, the rules.
    ///
    /// # Errors
    /// When a package is missing: the error names both.
    pub fn load() -> Result<Self> {
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
        let (one, two) = (level(1)?, level(2)?);
        Ok(Self { engine, one, two })
    }

    /// Versions of what was loaded.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
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
            format!("libinjection {}", self.engine.libinjection_version()),
        ]
    }

    /// What libinjection says of a text.
    #[must_use]
    pub fn is_injection(&self, text: &str) -> bool {
        self.engine.is_injection(text.as_bytes())
    }

    /// Whether the rule set denies a request.
    #[must_use]
    pub fn is_denied(&self, strictness: Strictness, request: &Request) -> bool {
        let rules = match strictness {
            Strictness::One => &self.one,
            Strictness::Two => &self.two,
        };
        self.engine.is_denied(rules, request)
    }
}
