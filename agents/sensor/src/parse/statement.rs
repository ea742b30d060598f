//! What a SQL text reads, as far as its words say: a small tokenizer and no grammar.
//!
//! Comments and literals are skipped, names are schema-qualified as written and folded as
//! PostgreSQL folds them. The resource of a statement is its first real table: not a common
//! table expression, not a function, and inside a subquery when that comes first. Views,
//! functions and synonyms are not looked into, because a log does not tell what they are.

mod tokens;

use std::collections::BTreeSet;
use tokens::Token;

/// One read that a statement makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// `select`, `copy_to`, `insert_select`, or `dump`.
    pub action: &'static str,
    /// The table that is read first.
    pub resource: String,
    /// Where it goes: the table that is written, or `stdout`, `file`, `program` of a COPY.
    pub destination: Option<String>,
}

/// The cursor with which `pg_dump --inserts` reads.
const DUMP_CURSOR: &str = "_pg_dump_cursor";

/// Words that end a list of tables.
const CLAUSES: &[&str] = &[
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "fetch",
    "union",
    "intersect",
    "except",
    "window",
    "returning",
    "for",
    "on",
    "using",
    "select",
    "set",
];

/// Functions whose argument list has a FROM of its own.
const FROM_FUNCTIONS: &[&str] = &["extract", "substring", "trim", "overlay", "position"];

/// The reads of every statement of a text, in order.
#[must_use]
pub fn reads(sql: &str) -> Vec<Read> {
    let tokens = tokens::tokens(sql);
    tokens.split(|t| *t == Token::Sign(';')).filter_map(read).collect()
}

fn read(statement: &[Token]) -> Option<Read> {
    let start = statement.iter().position(|t| *t != Token::Sign('('))?;
    let statement = statement.get(start..)?;
    match statement.first()?.word()? {
        "select" | "table" => select(statement),
        "with" => with(statement),
        "insert" => insert(statement),
        "create" => create(statement),
        "copy" => copy(statement),
        "declare" => declare(statement),
        _ => None,
    }
}

fn select(statement: &[Token]) -> Option<Read> {
    let resource = first_table(statement)?;
    let destination = top_level(statement, "into")
        .and_then(|at| written(statement.get(at + 1..).unwrap_or_default()));
    let action = if destination.is_some() { "insert_select" } else { "select" };
    Some(Read { action, resource, destination })
}

/// After its expressions, a WITH is a statement like any other.
fn with(statement: &[Token]) -> Option<Read> {
    let verb = |t: &Token| matches!(t.word(), Some("select" | "insert" | "table"));
    let at = depths(statement).position(|(depth, t)| depth == 0 && verb(t))?;
    let main = statement.get(at..)?;
    let action = match main.first()?.word()? {
        "insert" => "insert_select",
        _ => "select",
    };
    let resource = first_table(statement)?;
    let destination = top_level(main, "into").and_then(|i| written(main.get(i + 1..)?));
    Some(Read { action, resource, destination })
}

fn insert(statement: &[Token]) -> Option<Read> {
    let destination = written(statement.get(2..)?);
    let resource = first_table(statement)?;
    Some(Read { action: "insert_select", resource, destination })
}

/// `CREATE TABLE … AS` and `CREATE MATERIALIZED VIEW … AS` copy; a plain view does not.
fn create(statement: &[Token]) -> Option<Read> {
    let materialized = statement.iter().take(3).any(|t| t.is("materialized"));
    let kind = if materialized { "view" } else { "table" };
    let at = statement.iter().take(5).position(|t| t.is(kind))?;
    top_level(statement, "as")?;
    let skip = if statement.get(at + 1)?.is("if") { 4 } else { 1 };
    let destination = name(statement.get(at + skip..)?).map(|(name, _)| name);
    let resource = first_table(statement.get(at + 1..)?)?;
    Some(Read { action: "insert_select", resource, destination })
}

fn copy(statement: &[Token]) -> Option<Read> {
    let to = top_level(statement, "to")?;
    let source = statement.get(1..to)?;
    let resource = match source.first()? {
        Token::Sign('(') => first_table(source)?,
        _ => name(source)?.0,
    };
    let destination = match statement.get(to + 1) {
        Some(Token::Literal) => Some("file"),
        Some(t) if t.is("stdout") => Some("stdout"),
        Some(t) if t.is("program") => Some("program"),
        _ => None,
    };
    Some(Read { action: "copy_to", resource, destination: destination.map(str::to_owned) })
}

fn declare(statement: &[Token]) -> Option<Read> {
    let at = top_level(statement, "for")?;
    let mut read = read(statement.get(at + 1..)?)?;
    if statement.get(1)?.is(DUMP_CURSOR) {
        read.action = "dump";
    }
    Some(read)
}

/// The table after an INTO, which may be called TEMPORARY.
fn written(tokens: &[Token]) -> Option<String> {
    let noise = |t: &Token| {
        matches!(t.word(), Some("temp" | "temporary" | "unlogged" | "table" | "local" | "global"))
    };
    let start = tokens.iter().position(|t| !noise(t))?;
    name(tokens.get(start..)?).map(|(name, _)| name)
}

/// Each token with the depth of parentheses that it stands in.
fn depths(tokens: &[Token]) -> impl Iterator<Item = (usize, &Token)> {
    let mut depth = 0_usize;
    tokens.iter().map(move |t| {
        match t {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth, t)
    })
}

fn top_level(tokens: &[Token], word: &str) -> Option<usize> {
    depths(tokens).position(|(depth, t)| depth == 0 && t.is(word))
}

/// A dotted name, and how many tokens it takes.
fn name(tokens: &[Token]) -> Option<(String, usize)> {
    let mut text = tokens.first()?.name()?.to_owned();
    let mut taken = 1;
    while tokens.get(taken) == Some(&Token::Sign('.')) {
        text.push('.');
        text.push_str(tokens.get(taken + 1)?.name()?);
        taken += 2;
    }
    Some((text, taken))
}

/// Names that `name [(columns)] AS [[NOT] MATERIALIZED] (` defines.
fn expressions(tokens: &[Token]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    if !tokens.iter().any(|t| t.is("with")) {
        return found;
    }
    for (at, token) in tokens.iter().enumerate() {
        let after = |n: usize| tokens.get(at + n);
        let opens = |n: usize| after(n) == Some(&Token::Sign('('));
        let body = token.is("as")
            && (opens(1)
                || after(1).is_some_and(|t| t.is("materialized")) && opens(2)
                || after(1).is_some_and(|t| t.is("not")) && opens(3));
        if body && let Some(name) = before_columns(tokens.get(..at).unwrap_or_default()) {
            found.insert(name);
        }
    }
    found
}

/// The name before an optional list of columns.
fn before_columns(tokens: &[Token]) -> Option<&str> {
    let last = tokens.last()?;
    if *last != Token::Sign(')') {
        return last.name();
    }
    let open = tokens.iter().rposition(|t| *t == Token::Sign('('))?;
    tokens.get(open.checked_sub(1)?)?.name()
}

/// The first real table of a statement.
fn first_table(tokens: &[Token]) -> Option<String> {
    let defined = expressions(tokens);
    // For every open parenthesis: is its FROM a function's, and are we in a list of tables?
    let mut open = vec![(false, false)];
    for (at, token) in tokens.iter().enumerate() {
        let (functional, listing) = open.last().copied().unwrap_or_default();
        let candidate = match token {
            Token::Sign('(') => {
                let before = at.checked_sub(1).and_then(|n| tokens.get(n)).and_then(Token::word);
                open.push((before.is_some_and(|w| FROM_FUNCTIONS.contains(&w)), false));
                false
            }
            Token::Sign(')') => {
                open.pop();
                false
            }
            Token::Sign(',') => listing,
            _ => {
                let begins = match token.word() {
                    Some("from") => !functional && !distinct_from(tokens, at),
                    Some("join") => true,
                    Some("table") => at == 0 || tokens.get(at - 1) == Some(&Token::Sign('(')),
                    _ => false,
                };
                let ends = token.word().is_some_and(|w| CLAUSES.contains(&w));
                if let Some(top) = open.last_mut() {
                    top.1 = (top.1 || begins) && !ends;
                }
                begins
            }
        };
        if candidate && let Some(table) = table_at(tokens.get(at + 1..)?, &defined) {
            return Some(table);
        }
    }
    None
}

/// `IS [NOT] DISTINCT FROM` compares.
fn distinct_from(tokens: &[Token], at: usize) -> bool {
    let back = |n: usize| at.checked_sub(n).and_then(|i| tokens.get(i)).and_then(Token::word);
    back(1) == Some("distinct") && matches!(back(2), Some("is" | "not"))
}

fn table_at(tokens: &[Token], defined: &BTreeSet<&str>) -> Option<String> {
    let start = tokens.iter().position(|t| !t.is("only") && !t.is("lateral"))?;
    let tokens = tokens.get(start..)?;
    let (name, taken) = name(tokens)?;
    let function = tokens.get(taken) == Some(&Token::Sign('('));
    let word = tokens.first()?.word();
    let verb = matches!(word, Some("select" | "values" | "rows" | "with"));
    (!function && !verb && !defined.contains(name.as_str())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(sql: &str) -> Option<(&'static str, String)> {
        reads(sql).into_iter().next().map(|r| (r.action, r.resource))
    }

    #[test]
    fn the_first_real_table_is_found_whatever_stands_around_it() {
        let cases = [
            ("SELECT * FROM users", "users"),
            ("select id from public.\"Users\" u where id = $1", "public.Users"),
            ("SELECT/**/a/* FROM x /* nested */ */FROM--\n Orders", "orders"),
            ("SELECT 'it''s FROM b', E'\\' FROM c', $q$ FROM d $q$ FROM ONLY e", "e"),
            ("SELECT extract(year FROM ts), trim(both FROM n) FROM sales.orders", "sales.orders"),
            ("SELECT a IS NOT DISTINCT FROM b, (1) FROM t", "t"),
            ("SELECT * FROM generate_series(1, 9) g, accounts", "accounts"),
            ("SELECT * FROM (SELECT * FROM (SELECT * FROM inner_t) a) b", "inner_t"),
            ("SELECT * FROM now() JOIN LATERAL f(1) ON true JOIN cards c ON true", "cards"),
            (
                "WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n FROM r), s AS MATERIALIZED \
                 (SELECT * FROM r) SELECT * FROM s JOIN payments USING (id)",
                "payments",
            ),
            ("WITH x AS (SELECT * FROM staff) SELECT * FROM x", "staff"),
            ("(SELECT 1) UNION ALL SELECT card FROM cards", "cards"),
            ("TABLE audit.log", "audit.log"),
            ("DECLARE c CURSOR FOR SELECT * FROM big", "big"),
            ("SELECT name FROM products WHERE id = 1 UNION SELECT pw FROM users--", "products"),
        ];
        for (sql, table) in cases {
            assert_eq!(first(sql), Some(("select", table.to_owned())), "{sql}");
        }
    }

    #[test]
    fn copies_say_where_to() {
        let read = |action, resource: &str, destination: &str| Read {
            action,
            resource: resource.into(),
            destination: Some(destination.into()),
        };
        let cases = [
            ("COPY public.users (id, name) TO stdout;", read("copy_to", "public.users", "stdout")),
            (
                "COPY (SELECT * FROM users WHERE a > 1) TO '/tmp/x'",
                read("copy_to", "users", "file"),
            ),
            ("COPY users TO PROGRAM 'nc'", read("copy_to", "users", "program")),
            ("INSERT INTO b (x) SELECT x FROM a", read("insert_select", "a", "b")),
            (
                "WITH w AS (SELECT 1) INSERT INTO b SELECT * FROM w, a",
                read("insert_select", "a", "b"),
            ),
            (
                "CREATE TEMP TABLE IF NOT EXISTS b AS SELECT * FROM a",
                read("insert_select", "a", "b"),
            ),
            ("SELECT * INTO TEMP b FROM a", read("insert_select", "a", "b")),
        ];
        for (sql, want) in cases {
            assert_eq!(reads(sql), [want], "{sql}");
        }
        let dump = "DECLARE _pg_dump_cursor CURSOR FOR SELECT * FROM ONLY public.t";
        assert_eq!(first(dump), Some(("dump", "public.t".into())));
    }

    #[test]
    fn stacked_statements_are_read_one_by_one() {
        let found = reads("SELECT 1; SELECT * FROM a; COPY b TO STDOUT; DROP TABLE c");
        let told: Vec<_> = found.iter().map(|r| (r.action, r.resource.as_str())).collect();
        assert_eq!(told, [("select", "a"), ("copy_to", "b")]);
    }

    #[test]
    fn what_reads_no_table_is_nothing() {
        for sql in [
            "",
            ";;;",
            "SELECT 1",
            "SELECT now()",
            "SELECT extract(year FROM now())",
            "SELECT * FROM",
            "SELECT ' FROM t",
            "INSERT INTO t VALUES (1)",
            "COPY t FROM stdin",
            "CREATE VIEW v AS SELECT * FROM t",
            "CREATE TABLE t (a int)",
            "EXPLAIN SELECT * FROM t",
            "UPDATE t SET a = 1",
            "SELECT \"FROM t",
            "/* SELECT * FROM t",
            "SELECT $1",
            "((((",
            "))))",
        ] {
            assert_eq!(reads(sql), [], "{sql}");
        }
    }
}
