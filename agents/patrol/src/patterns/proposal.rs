//! A rule that somebody proposes: loaded as a patrol's own rules are, and stricter, because who
//! proposes it may be a model, and a model may repeat what an attacker wrote.

use super::{Book, load};
use crate::patrol::Spec;
use magsentinel_bus_schema::reference;
use regex::bytes::RegexBuilder;
use rsigma_parser::{Detection, DetectionItem, Modifier, SigmaRule, SigmaValue};
use std::{collections::BTreeSet, sync::OnceLock};

/// Most characters of a title: it is the reason of every hit.
const TITLE_CHARS_MAX: usize = 120;
/// Most values of all items together.
const VALUES_MAX: usize = 64;
/// Most bytes of one value.
const VALUE_BYTES_MAX: usize = 1024;
/// Deepest nesting of detections.
const DEPTH_MAX: usize = 4;

/// Bounds of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Largest rule, in bytes.
    pub rule_bytes_max: usize,
    /// Largest compiled regular expression, in bytes.
    pub regex_bytes_max: usize,
}

impl From<&magsentinel_pattern::Config> for Bounds {
    fn from(config: &magsentinel_pattern::Config) -> Self {
        let (rule_bytes_max, regex_bytes_max) = (config.rule_bytes_max, config.regex_bytes_max);
        Self { rule_bytes_max, regex_bytes_max }
    }
}

/// A proposed rule, compiled.
pub struct Proposal {
    /// Its title.
    pub title: String,
    /// The rule alone.
    pub book: Book,
    /// What it compares with, where that is plain text, in lower case.
    pub literals: Vec<String>,
}

impl Proposal {
    /// Compiles a rule for a patrol.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn compile(spec: &Spec, rule: &str, bounds: Bounds) -> Result<Self, String> {
        if rule.len() > bounds.rule_bytes_max {
            let (is, max) = (rule.len(), bounds.rule_bytes_max);
            return Err(format!("it has {is} bytes, over patterns.rule_bytes_max ({max})"));
        }
        let rules = load::parse(rule)?;
        let [parsed] = rules.as_slice() else {
            return Err(format!("it holds {} rules: propose them one by one", rules.len()));
        };
        let title = title_of(spec, parsed)?;
        let mut look = Look { allowed: fields_of(spec), bounds, values: 0, literals: Vec::new() };
        for detection in parsed.detection.named.values() {
            look.at(detection, 0)?;
        }
        let files = [("the proposal".to_owned(), rule.to_owned())];
        let book = Book::of_files(spec.kinds, &files).map_err(|e| e.to_string())?;
        Ok(Self { title, book, literals: look.literals })
    }
}

/// The title, which tells its hits from those of every other rule.
fn title_of(spec: &Spec, rule: &SigmaRule) -> Result<String, String> {
    let title = rule.title.trim().to_owned();
    if title.is_empty() || title.chars().count() > TITLE_CHARS_MAX {
        return Err(format!("its title must have 1 to {TITLE_CHARS_MAX} characters"));
    }
    if title.chars().any(char::is_control) {
        return Err("its title holds control characters".to_owned());
    }
    let taken = spec.patterns.iter().flat_map(|(_, text)| load::parse(text).unwrap_or_default());
    if taken.into_iter().any(|own| own.title.eq_ignore_ascii_case(&title)) {
        return Err(format!("{} has a pattern {title:?} already", spec.name));
    }
    Ok(title)
}

/// The fields that a patrol's rules may read: those of its kinds' bodies, and whatever else its own
/// rules read.
fn fields_of(spec: &Spec) -> BTreeSet<String> {
    static BODIES: OnceLock<Vec<(&'static str, BTreeSet<String>)>> = OnceLock::new();
    let bodies = BODIES.get_or_init(|| {
        let names = |schema: schemars::Schema| {
            let properties = schema.get("properties").and_then(|p| p.as_object().cloned());
            properties.unwrap_or_default().keys().cloned().collect()
        };
        reference::bodies().into_iter().map(|(kind, schema)| (kind, names(schema))).collect()
    });
    let of_kinds =
        spec.kinds.iter().filter_map(|kind| bodies.iter().find(|(name, _)| *name == kind.token()));
    let mut fields: BTreeSet<String> = of_kinds.flat_map(|(_, f)| f.iter().cloned()).collect();
    fields.insert("text".to_owned());
    for (_, text) in spec.patterns {
        for rule in load::parse(text).unwrap_or_default() {
            rule.detection.named.values().for_each(|detection| read_by(detection, &mut fields));
        }
    }
    fields
}

fn read_by(detection: &Detection, fields: &mut BTreeSet<String>) {
    match detection {
        Detection::AllOf(items) => fields.extend(items.iter().filter_map(|i| i.field.name.clone())),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter().for_each(|part| read_by(part, fields));
        }
        _ => {}
    }
}

struct Look {
    allowed: BTreeSet<String>,
    bounds: Bounds,
    values: usize,
    literals: Vec<String>,
}

impl Look {
    fn at(&mut self, detection: &Detection, depth: usize) -> Result<(), String> {
        match detection {
            _ if depth > DEPTH_MAX => {
                Err(format!("its detections are nested deeper than {DEPTH_MAX}"))
            }
            Detection::AllOf(items) => items.iter().try_for_each(|item| self.item(item)),
            Detection::AnyOf(parts) | Detection::And(parts) => {
                parts.iter().try_for_each(|part| self.at(part, depth + 1))
            }
            Detection::Keywords(_) => {
                Err("keywords look at every field: name the field instead".to_owned())
            }
            _ => Err("matching inside lists is not supported: bodies are flat".to_owned()),
        }
    }

    fn item(&mut self, item: &DetectionItem) -> Result<(), String> {
        let Some(name) = &item.field.name else {
            return Err("keywords look at every field: name the field instead".to_owned());
        };
        let first = name.split('.').next().unwrap_or(name);
        if !self.allowed.contains(first) {
            let shown: String = name.chars().take(40).collect();
            return Err(format!("{shown:?} is no field of this patrol's events"));
        }
        self.values += item.values.len();
        if self.values > VALUES_MAX {
            return Err(format!("it compares with more than {VALUES_MAX} values"));
        }
        let is_regex = item.field.modifiers.contains(&Modifier::Re);
        item.values.iter().try_for_each(|value| self.value(value, is_regex))
    }

    fn value(&mut self, value: &SigmaValue, is_regex: bool) -> Result<(), String> {
        let SigmaValue::String(text) = value else { return Ok(()) };
        if text.original.len() > VALUE_BYTES_MAX {
            let is = text.original.len();
            return Err(format!("a value has {is} bytes, more than {VALUE_BYTES_MAX}"));
        }
        if is_regex {
            return self.regex(&text.as_plain().unwrap_or_else(|| text.original.clone()));
        }
        let plain = text.original.trim_matches('*').to_lowercase();
        self.literals.push(plain);
        Ok(())
    }

    /// Linear in time every expression is; small it must be too.
    fn regex(&mut self, source: &str) -> Result<(), String> {
        let shown: String = source.chars().take(40).collect();
        let mut builder = RegexBuilder::new(source);
        builder.size_limit(self.bounds.regex_bytes_max).nest_limit(20).unicode(false);
        // Non-ASCII text needs Unicode mode, which is larger.
        if !source.is_ascii() {
            builder.unicode(true);
        }
        let built = builder.build().map_err(|e| match e {
            regex::Error::CompiledTooBig(max) => format!(
                "the expression {shown:?} is larger than patterns.regex_bytes_max ({max}) when \
                 compiled"
            ),
            other => {
                let last = other.to_string();
                let last = last.lines().last().unwrap_or_default().to_owned();
                format!("the expression {shown:?} cannot be compiled: {last}")
            }
        })?;
        if built.is_match(b"") {
            return Err(format!("the expression {shown:?} matches the empty text, and so any"));
        }
        let parsed = regex_syntax::parse(source).ok();
        if parsed.is_some_and(|hir| hir.properties().is_literal()) {
            self.literals.push(source.replace('\\', "").to_lowercase());
        }
        Ok(())
    }
}
