//! Sigma detections over the fields of a scored event.

use magsentinel_bus_schema::{Class, Kind, Level, Scored};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SelectorPattern,
    SigmaString, SigmaValue, SpecialChar, StringPart,
};
use std::collections::BTreeMap;

/// What a detection rule matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Matcher(Expr);

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    AtLeast(u64, Vec<Expr>),
    Not(Box<Expr>),
    Item { field: Field, tests: Vec<Test>, all: bool },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Patrol,
    Category,
    Kind,
    Techniques,
    Level,
    Score,
    Confidence,
    Entity(Class),
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Exact(String),
    Glob(Vec<Piece>),
    Level(Order, Level),
    Number(Order, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Is(char),
    One,
    Many,
}

/// A text with the wildcards `*` and `?`, without regard to case.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Test);

impl Pattern {
    /// From its text; a backslash before a wildcard takes its meaning.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = SigmaString::new(text);
        Self(Test::text(None, &text).unwrap_or(Test::Exact(text.original.to_lowercase())))
    }

    /// Whether it matches the whole of a text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }
}

impl Matcher {
    /// Whether a scored event matches.
    #[must_use]
    pub fn matches(&self, scored: &Scored) -> bool {
        self.0.matches(scored)
    }

    /// From the detection section of a rule; the error says what is not supported.
    pub(super) fn of(detections: &Detections) -> Result<Self, String> {
        if detections.timeframe.is_some() {
            return Err("detection.timeframe is not supported: use a correlation".to_owned());
        }
        // Sorted, so that errors are told in the same order every time.
        let names: BTreeMap<_, _> = detections.named.iter().collect();
        let mut named = BTreeMap::new();
        for (name, detection) in names {
            let expr = Expr::of(detection).map_err(|what| format!("detection.{name}: {what}"))?;
            named.insert(name.as_str(), expr);
        }
        let exprs = detections.conditions.iter().map(|c| Expr::combined(c, &named));
        let exprs = exprs.collect::<Result<Vec<_>, _>>()?;
        Ok(Self(Expr::Any(exprs)))
    }
}

impl Expr {
    fn matches(&self, scored: &Scored) -> bool {
        match self {
            Self::All(of) => of.iter().all(|e| e.matches(scored)),
            Self::Any(of) => of.iter().any(|e| e.matches(scored)),
            Self::AtLeast(n, of) => of.iter().filter(|e| e.matches(scored)).count() as u64 >= *n,
            Self::Not(of) => !of.matches(scored),
            Self::Item { field, tests, all: true } => tests.iter().all(|t| t.holds(*field, scored)),
            Self::Item { field, tests, all: false } => {
                tests.iter().any(|t| t.holds(*field, scored))
            }
        }
    }

    fn of(detection: &Detection) -> Result<Self, String> {
        let each = |of: &[Detection]| of.iter().map(Self::of).collect::<Result<Vec<_>, _>>();
        match detection {
            Detection::AllOf(items) if items.is_empty() => Err("is empty".to_owned()),
            Detection::AllOf(items) => {
                let items = items.iter().map(Self::item).collect::<Result<_, _>>();
                items.map(Self::All)
            }
            Detection::AnyOf(of) => each(of).map(Self::Any),
            Detection::And(of) => each(of).map(Self::All),
            Detection::Keywords(_) => Err("keywords without a field are not supported".to_owned()),
            Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
                Err("array matching is not supported".to_owned())
            }
        }
    }

    fn item(item: &DetectionItem) -> Result<Self, String> {
        let name = item.field.name.as_deref().unwrap_or_default();
        let field = Field::of(name)?;
        if item.values.is_empty() {
            return Err(format!("{name} has no value"));
        }
        let modifiers = &item.field.modifiers;
        let all = modifiers.contains(&Modifier::All);
        let rest: Vec<_> = modifiers.iter().copied().filter(|m| *m != Modifier::All).collect();
        let how = match rest.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => return Err(format!("{name}: these modifiers cannot be combined: {rest:?}")),
        };
        let tests = item.values.iter().map(|value| Test::of(name, field, how, value));
        Ok(Self::Item { field, tests: tests.collect::<Result<_, _>>()?, all })
    }

    fn combined(condition: &ConditionExpr, named: &BTreeMap<&str, Self>) -> Result<Self, String> {
        let each = |of: &[ConditionExpr]| {
            of.iter().map(|c| Self::combined(c, named)).collect::<Result<Vec<_>, _>>()
        };
        match condition {
            ConditionExpr::And(of) => each(of).map(Self::All),
            ConditionExpr::Or(of) => each(of).map(Self::Any),
            ConditionExpr::Not(of) => Ok(Self::Not(Box::new(Self::combined(of, named)?))),
            ConditionExpr::Identifier(name) => named
                .get(name.as_str())
                .cloned()
                .ok_or_else(|| format!("condition names {name:?}, which is no detection")),
            ConditionExpr::Selector { quantifier, pattern } => {
                Self::selected(quantifier, pattern, named)
            }
        }
    }

    fn selected(
        quantifier: &Quantifier,
        pattern: &SelectorPattern,
        named: &BTreeMap<&str, Self>,
    ) -> Result<Self, String> {
        let of: Vec<_> = named
            .iter()
            .filter(|(name, _)| pattern.matches_detection_name(name))
            .map(|(_, expr)| expr.clone())
            .collect();
        if of.is_empty() {
            return Err(format!("condition: no detection is named like {pattern}"));
        }
        Ok(match quantifier {
            Quantifier::Any => Self::Any(of),
            Quantifier::All => Self::All(of),
            Quantifier::Count(n) => Self::AtLeast(*n, of),
        })
    }
}

impl Field {
    fn of(name: &str) -> Result<Self, String> {
        Ok(match name {
            "patrol" => Self::Patrol,
            "category" => Self::Category,
            "kind" => Self::Kind,
            "techniques" => Self::Techniques,
            "level" => Self::Level,
            "score" => Self::Score,
            "confidence" => Self::Confidence,
            _ => Self::Entity(Class::from_token(name).ok_or_else(|| {
                let classes: Vec<_> = Class::ALL.iter().map(|c| c.token()).collect();
                format!(
                    "unknown field {name:?} (one of patrol, category, kind, techniques, level, \
                     score, confidence, {})",
                    classes.join(", ")
                )
            })?),
        })
    }

    /// Whether any text of this field satisfies `test`.
    fn any_text(self, scored: &Scored, test: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Patrol => test(scored.patrol.as_str()),
            Self::Category => test(scored.category.as_str()),
            Self::Kind => test(scored.kind.token()),
            Self::Level => test(scored.level.token()),
            Self::Techniques => scored.techniques.iter().any(|t| test(t)),
            Self::Entity(class) => {
                scored.entities.iter().any(|e| e.class == class && test(&e.value))
            }
            Self::Score | Self::Confidence => false,
        }
    }
}

impl Test {
    fn of(
        name: &str,
        field: Field,
        how: Option<Modifier>,
        value: &SigmaValue,
    ) -> Result<Self, String> {
        let unsupported = || {
            let modifier = how.map_or_else(|| "no modifier".to_owned(), |m| format!("{m:?}"));
            format!("{name}: {value} with {modifier} is not supported")
        };
        let order = match how {
            Some(Modifier::Lt) => Some(Order::Less),
            Some(Modifier::Lte) => Some(Order::LessOrEqual),
            Some(Modifier::Gte) => Some(Order::GreaterOrEqual),
            Some(Modifier::Gt) => Some(Order::Greater),
            _ => None,
        };
        match (field, value) {
            (Field::Score | Field::Confidence, _) => {
                let number = number(value).ok_or_else(unsupported)?;
                match (order, how) {
                    (Some(order), _) => Ok(Self::Number(order, number)),
                    (None, None) => Ok(Self::Number(Order::Equal, number)),
                    (None, Some(_)) => Err(unsupported()),
                }
            }
            (Field::Level, SigmaValue::String(text)) if order.is_some() || how.is_none() => {
                let level = Level::from_token(&text.original.to_lowercase())
                    .ok_or_else(|| format!("{name}: {text:?} is no level", text = text.original))?;
                Ok(Self::Level(order.unwrap_or(Order::Equal), level))
            }
            (Field::Kind, SigmaValue::String(text)) if how.is_none() && text.is_plain() => {
                let kind: Kind = text.original.to_lowercase().parse()?;
                Ok(Self::Exact(kind.token().to_owned()))
            }
            (_, SigmaValue::String(text)) if order.is_none() => {
                Self::text(how, text).ok_or_else(unsupported)
            }
            (_, SigmaValue::Integer(n)) if how.is_none() => Ok(Self::Exact(n.to_string())),
            _ => Err(unsupported()),
        }
    }

    fn text(how: Option<Modifier>, text: &SigmaString) -> Option<Self> {
        let (before, after) = match how {
            None => (false, false),
            Some(Modifier::Contains) => (true, true),
            Some(Modifier::StartsWith) => (false, true),
            Some(Modifier::EndsWith) => (true, false),
            Some(_) => return None,
        };
        if let (Some(plain), false, false) = (text.as_plain(), before, after) {
            return Some(Self::Exact(plain.to_lowercase()));
        }
        let mut pieces = Vec::from_iter(before.then_some(Piece::Many));
        for part in &text.parts {
            match part {
                StringPart::Plain(plain) => {
                    pieces.extend(plain.chars().flat_map(char::to_lowercase).map(Piece::Is));
                }
                StringPart::Special(SpecialChar::WildcardMulti) => pieces.push(Piece::Many),
                StringPart::Special(SpecialChar::WildcardSingle) => pieces.push(Piece::One),
            }
        }
        pieces.extend(after.then_some(Piece::Many));
        Some(Self::Glob(pieces))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(want) => same(text, want),
            Self::Glob(pieces) => {
                let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
                glob(pieces, &text)
            }
            Self::Level(..) | Self::Number(..) => false,
        }
    }

    fn holds(&self, field: Field, scored: &Scored) -> bool {
        match self {
            Self::Exact(_) | Self::Glob(_) => field.any_text(scored, |text| self.matches(text)),
            Self::Level(order, level) => order.holds(&scored.level, level),
            Self::Number(order, number) => {
                let value = if field == Field::Score { scored.score } else { scored.confidence };
                order.holds(&f64::from(value), number)
            }
        }
    }
}

/// Whether a text is the wanted one, which is in lower case. Tokens are ASCII, and most differ in
/// length already.
fn same(text: &str, want: &str) -> bool {
    if text.is_ascii() {
        return text.eq_ignore_ascii_case(want);
    }
    text.chars().flat_map(char::to_lowercase).eq(want.chars())
}

fn number(value: &SigmaValue) -> Option<f64> {
    match value {
        SigmaValue::Float(n) => Some(*n),
        SigmaValue::Integer(n) => i32::try_from(*n).ok().map(f64::from),
        _ => None,
    }
}

impl Order {
    fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Equal => a == b,
            Self::GreaterOrEqual => a >= b,
            Self::Greater => a > b,
        }
    }
}

/// Whether a text matches a pattern with wildcards; time at most the product of the lengths.
fn glob(pieces: &[Piece], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when a match fails: after the last `Many`, one character further.
    let mut again: Option<(usize, usize)> = None;
    loop {
        match (pieces.get(p), text.get(t)) {
            (Some(Piece::Many), _) => {
                again = Some((p + 1, t));
                p += 1;
            }
            (Some(Piece::One), Some(_)) => (p, t) = (p + 1, t + 1),
            (Some(Piece::Is(c)), Some(d)) if c == d => (p, t) = (p + 1, t + 1),
            (None, None) => return true,
            _ => {
                let Some((after, from)) = again.filter(|(_, from)| *from < text.len()) else {
                    return false;
                };
                again = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_the_same_in_either_case_whatever_the_script() {
        for (text, want, is) in [
            ("SQL-Guard", "sql-guard", true),
            ("sql-guard2", "sql-guard", false),
            ("ÉTÉ", "été", true),
            // The sign for Kelvin, whose lower case is an ordinary k.
            ("\u{212a}", "k", true),
            ("k", "\u{212a}", false),
        ] {
            assert_eq!(same(text, want), is, "{text}");
        }
    }

    fn like(pattern: &str, text: &str) -> bool {
        match Test::text(None, &SigmaString::new(pattern)).unwrap() {
            Test::Glob(pieces) => glob(&pieces, &text.chars().collect::<Vec<_>>()),
            Test::Exact(want) => want == text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn wildcards_match_as_sigma_has_them() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("?", "", false),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("*ab*ab", "ababab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
        ] {
            assert_eq!(like(pattern, text), want, "{pattern} {text}");
        }
    }
}
