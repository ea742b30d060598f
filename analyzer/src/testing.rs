//! Scored events and chains for the tests of this crate.

use crate::{Config, chain::Book};
use magsentinel_bus_schema::{
    Class, Entity, Id, Kind, Level, SCHEMA_VERSION, Scored, Tenant, Timestamp, Token, Trust,
};
use std::{collections::BTreeSet, sync::Arc};

/// Some moment; all tests count seconds from here.
pub(crate) const START: i64 = 1_750_000_000;

pub(crate) fn at(seconds: f64) -> Timestamp {
    Timestamp::from_seconds(START as f64 + seconds).unwrap()
}

pub(crate) fn scored(name: &str, patrol: &str, level: Level, seconds: f64) -> Scored {
    let kind = if patrol == "data-flow" { Kind::Data } else { Kind::Sql };
    Scored {
        v: SCHEMA_VERSION,
        id: Id::derived(&["scored", name]),
        event: Id::derived(&["event", name]),
        seq: 1,
        tenant: Tenant::default(),
        kind,
        ts: at(seconds),
        replayed: false,
        backfilled: false,
        patrol: Token::sanitised(patrol),
        by_key: None,
        source: None,
        level,
        score: 0.9,
        confidence: 0.8,
        category: Token::sanitised("some_category"),
        techniques: vec![],
        reasons: vec!["because".to_owned()],
        entities: vec![],
        excerpt: "SELECT 1".to_owned(),
        model: String::new(),
        patterns: String::new(),
        trace: None,
    }
}

pub(crate) trait Naming {
    fn naming(self, class: Class, value: &str, trust: Trust) -> Self;
    fn user(self, value: &str) -> Self;
}

impl Naming for Scored {
    fn naming(mut self, class: Class, value: &str, trust: Trust) -> Self {
        self.entities.push(Entity { class, value: value.to_owned(), trust });
        self
    }

    fn user(self, value: &str) -> Self {
        self.naming(Class::User, value, Trust::Observed)
    }
}

/// A chain over the patrols `p0`, `p1`, …, grouped by user.
pub(crate) fn text(kind: &str, rules: usize, seconds: u64, condition: &str) -> String {
    let names: Vec<String> = (0..rules).map(|i| format!("r{i}")).collect();
    let mut text = format!(
        "title: Tested\nname: tested\nlevel: critical\ncorrelation:\n  type: {kind}\n  \
         rules: [{}]\n  group-by: [user]\n  timespan: {seconds}s\n{condition}",
        names.join(", ")
    );
    for (i, name) in names.iter().enumerate() {
        text += &format!(
            "\n---\ntitle: Rule {i}\nname: {name}\nlogsource: {{product: magsentinel, service: \
             scored}}\ndetection:\n  it: {{patrol: p{i}}}\n  condition: it\n"
        );
    }
    text
}

/// A book of one such chain.
pub(crate) fn book(kind: &str, rules: usize, seconds: u64, condition: &str) -> Arc<Book> {
    parsed(&text(kind, rules, seconds, condition))
}

/// The same, where the rules take turns to find the key as a user and as a key.
pub(crate) fn aliased(kind: &str, rules: usize, seconds: u64, condition: &str) -> Arc<Book> {
    let of = |i: usize| format!("r{i}: {}", if i.is_multiple_of(2) { "user" } else { "key" });
    let of: Vec<String> = (0..rules).map(of).collect();
    let aliases = format!("  aliases: {{who: {{{}}}}}\n{condition}", of.join(", "));
    parsed(&text(kind, rules, seconds, &aliases).replace("[user]", "[who]"))
}

/// A book of correlations over `r0`, `r1`, … and over one another: name, type, rules, seconds and
/// condition of each.
pub(crate) fn correlated(all: &[(&str, &str, &str, u64, String)]) -> Arc<Book> {
    let mut documents = Vec::new();
    let mut used = BTreeSet::new();
    for (name, kind, rules, seconds, condition) in all {
        let condition = match condition.as_str() {
            "" => String::new(),
            condition => format!("  condition: {{{condition}}}\n"),
        };
        documents.push(format!(
            "title: {name}\nname: {name}\nlevel: critical\ncorrelation:\n  type: {kind}\n  \
             rules: [{rules}]\n  group-by: [user]\n  timespan: {seconds}s\n{condition}"
        ));
        used.extend(rules.split(", "));
    }
    let whole = text("temporal", 3, 1, "");
    let rules = whole.split("\n---\n").skip(1);
    let names = |rule: &&str| used.iter().any(|name| rule.contains(&format!("name: {name}\n")));
    documents.extend(rules.filter(names).map(str::to_owned));
    parsed(&documents.join("\n---\n"))
}

pub(crate) fn parsed(text: &str) -> Arc<Book> {
    Arc::new(Book::parse("tested.yml", text).unwrap())
}

/// The shipped book.
pub(crate) fn shipped() -> Arc<Book> {
    Arc::new(Book::rated(&Config::default(), &Default::default()).unwrap())
}
