//! Licences: an SPDX expression must be satisfiable with the licences that `deny.toml` allows.

use super::{
    Violation,
    rules::{FILE, Rules},
};
use crate::workspace::Metadata;
use anyhow::Result;
use std::path::Path;

pub(super) fn check(_root: &Path, rules: &Rules, packages: &Metadata) -> Result<Vec<Violation>> {
    let foreign = packages.packages.iter().filter(|package| package.source.is_some());
    let refused = foreign.filter_map(|package| {
        let licence = package.license.as_deref().unwrap_or("none stated");
        let what = format!(
            "{} {} comes under {licence}, which [licenses] does not allow",
            package.name, package.version
        );
        (!allowed(licence, &rules.licences)).then(|| Violation::new(FILE, 1, what))
    });
    Ok(refused.collect())
}

/// Whether the allowed licences satisfy an expression; a malformed one is not satisfied. The
/// old form `MIT/Apache-2.0` means either.
fn allowed(expression: &str, licences: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, licences };
    reader.either() == Some(true) && reader.words.is_empty()
}

struct Reader<'a> {
    words: &'a [&'a str],
    licences: &'a [String],
}

impl Reader<'_> {
    fn next(&mut self) -> Option<&str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn follows(&mut self, word: &str) -> bool {
        let follows = self.words.first() == Some(&word);
        if follows {
            self.next();
        }
        follows
    }

    fn either(&mut self) -> Option<bool> {
        let mut good = self.both()?;
        while self.follows("OR") {
            good |= self.both()?;
        }
        Some(good)
    }

    fn both(&mut self) -> Option<bool> {
        let mut good = self.one()?;
        while self.follows("AND") {
            good &= self.one()?;
        }
        Some(good)
    }

    fn one(&mut self) -> Option<bool> {
        if self.follows("(") {
            let good = self.either()?;
            return self.follows(")").then_some(good);
        }
        let mut name = self.next()?.to_owned();
        if self.follows("WITH") {
            name = format!("{name} WITH {}", self.next()?);
        }
        Some(self.licences.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged_as_they_are_meant() {
        let licences = ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"];
        let licences = licences.map(str::to_owned);
        for (expression, want) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("ISC AND (GPL-3.0 OR Apache-2.0)", true),
            ("MIT OR ISC AND GPL-3.0", true),
            ("(MIT OR ISC) AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH LLVM-exception", false),
            ("(MIT", false),
            ("MIT ISC", false),
            ("", false),
        ] {
            assert_eq!(allowed(expression, &licences), want, "{expression}");
        }
    }
}
