//! Regular expressions with classes of ASCII, as Sigma's PCRE means them.
//!
//! The `regex` crate reads `\w`, `\d`, `\s` and `\b` as classes of all Unicode, PCRE without its
//! UCP option as classes of ASCII. A Unicode `\w{1,40}` compiles to hundreds of kilobytes, and a
//! Unicode `\b` turns the fast automaton off wherever a text is not ASCII; the shipped
//! expressions of all patrols take 16 MB as Unicode and 1 MB as ASCII.

use regex_syntax::ast::{
    Assertion, AssertionKind, Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl,
    ClassPerlKind, ClassSet, ClassSetItem, Flag, Flags, FlagsItem, FlagsItemKind, Group, GroupKind,
    parse::Parser,
};
use rsigma_parser::{Detection, Modifier, SigmaRule, SigmaString, SigmaValue};

/// Rewrites the regular expressions of a rule; what is none is left for its compiler to refuse.
pub(super) fn rewrite(rule: &mut SigmaRule) {
    rule.detection.named.values_mut().for_each(detection);
}

fn detection(detection: &mut Detection) {
    match detection {
        Detection::AllOf(items) => {
            let regexes = items.iter_mut().filter(|i| i.field.modifiers.contains(&Modifier::Re));
            regexes.flat_map(|item| &mut item.values).for_each(value);
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter_mut().for_each(self::detection);
        }
        _ => {}
    }
}

fn value(value: &mut SigmaValue) {
    let SigmaValue::String(text) = value else { return };
    let source = text.as_plain().unwrap_or_else(|| text.original.clone());
    if let Some(ascii) = expression(&source) {
        *text = SigmaString::from_raw(&ascii);
    }
}

/// The expression with ASCII classes; `None` when it cannot be parsed.
fn expression(source: &str) -> Option<String> {
    let mut ast = Parser::new().parse(source).ok()?;
    walk(&mut ast);
    Some(ast.to_string())
}

fn walk(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(class) => *ast = bracketed(class),
        Ast::ClassBracketed(class) => set(&mut class.kind),
        Ast::Assertion(assertion) => {
            let kind = &assertion.kind;
            if matches!(kind, AssertionKind::WordBoundary | AssertionKind::NotWordBoundary) {
                *ast = without_unicode(assertion);
            }
        }
        Ast::Repetition(repetition) => walk(&mut repetition.ast),
        Ast::Group(group) => walk(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(walk),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(walk),
        _ => {}
    }
}

fn set(class: &mut ClassSet) {
    match class {
        ClassSet::Item(item) => set_item(item),
        ClassSet::BinaryOp(operation) => {
            set(&mut operation.lhs);
            set(&mut operation.rhs);
        }
    }
}

fn set_item(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(class) => *item = ClassSetItem::Ascii(named(class)),
        ClassSetItem::Bracketed(class) => set(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(set_item),
        _ => {}
    }
}

/// `\d` is `[:digit:]`, and so on.
fn named(class: &ClassPerl) -> ClassAscii {
    let kind = match class.kind {
        ClassPerlKind::Digit => ClassAsciiKind::Digit,
        ClassPerlKind::Space => ClassAsciiKind::Space,
        ClassPerlKind::Word => ClassAsciiKind::Word,
    };
    ClassAscii { span: class.span, kind, negated: class.negated }
}

/// A class of its own: `\d` becomes `[[:digit:]]`.
fn bracketed(class: &ClassPerl) -> Ast {
    let kind = ClassSet::Item(ClassSetItem::Ascii(named(class)));
    Ast::ClassBracketed(Box::new(ClassBracketed { span: class.span, negated: false, kind }))
}

/// `\b` becomes `(?-u:\b)`.
fn without_unicode(assertion: &Assertion) -> Ast {
    let span = assertion.span;
    let item = |kind| FlagsItem { span, kind };
    let off = vec![item(FlagsItemKind::Negation), item(FlagsItemKind::Flag(Flag::Unicode))];
    Ast::Group(Box::new(Group {
        span,
        kind: GroupKind::NonCapturing(Flags { span, items: off }),
        ast: Box::new(Ast::Assertion(Box::new(assertion.clone()))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_ascii() {
        let cases = [
            (r"\bselect\b\s+\d", r"(?-u:\b)select(?-u:\b)[[:space:]]+[[:digit:]]"),
            (r"(?i)[\w.-]{1,40}|[^\s\D]", r"(?i)[[:word:].-]{1,40}|[^[:space:][:^digit:]]"),
            (r"(a|\W(\B))*é[^\n]", r"(a|[[:^word:]]((?-u:\B)))*é[^\n]"),
        ];
        for (source, ascii) in cases {
            assert_eq!(expression(source).as_deref(), Some(ascii), "{source}");
        }
        assert_eq!(expression("(a"), None);
    }

    #[test]
    fn what_is_no_expression_keeps_its_error() {
        let rule = "title: t\nid: 1\nlogsource: {product: magsentinel, category: sql}\n\
                    detection: {s: {'text|re': '(\\d'}, condition: s}\n\
                    level: low\ntags: [mag.t]\n";
        let files = [("bad.yml".to_owned(), rule.to_owned())];
        let error = super::super::Book::of_files(&[magsentinel_bus_schema::Kind::Sql], &files);
        let error = error.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("bad.yml") && error.contains("unclosed group"), "{error}");
    }
}
