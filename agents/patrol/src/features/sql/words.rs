//! The words that the lexer keeps by name; every other word is just an identifier.

/// Words of SQL dialects with which statements and injections are built, lower case. A token's
/// code is its place here plus [`super::lex::WORD_BASE`]: appending keeps old codes, moving or
/// removing a word needs a retrained model.
const WORDS: [&str; 289] = [
    "select",
    "insert",
    "update",
    "delete",
    "replace",
    "merge",
    "union",
    "intersect",
    "except",
    "all",
    "distinct",
    "from",
    "where",
    "and",
    "or",
    "xor",
    "not",
    "null",
    "is",
    "in",
    "like",
    "ilike",
    "rlike",
    "regexp",
    "between",
    "exists",
    "any",
    "some",
    "case",
    "when",
    "then",
    "else",
    "end",
    "if",
    "iif",
    "ifnull",
    "isnull",
    "nullif",
    "coalesce",
    "cast",
    "convert",
    "as",
    "on",
    "join",
    "left",
    "right",
    "inner",
    "outer",
    "full",
    "cross",
    "natural",
    "using",
    "group",
    "by",
    "having",
    "order",
    "asc",
    "desc",
    "limit",
    "offset",
    "fetch",
    "top",
    "rownum",
    "values",
    "into",
    "set",
    "returning",
    "create",
    "alter",
    "drop",
    "truncate",
    "table",
    "database",
    "schema",
    "view",
    "index",
    "function",
    "procedure",
    "trigger",
    "user",
    "role",
    "grant",
    "revoke",
    "identified",
    "password",
    "exec",
    "execute",
    "call",
    "declare",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "show",
    "explain",
    "analyze",
    "vacuum",
    "use",
    "shutdown",
    "waitfor",
    "delay",
    "sleep",
    "pg_sleep",
    "benchmark",
    "randomblob",
    "generate_series",
    "dbms_pipe",
    "receive_message",
    "dbms_lock",
    "dbms_session",
    "xp_cmdshell",
    "xp_dirtree",
    "xp_fileexist",
    "xp_regread",
    "sp_configure",
    "sp_executesql",
    "sp_oacreate",
    "openrowset",
    "openquery",
    "opendatasource",
    "load_file",
    "outfile",
    "dumpfile",
    "load",
    "data",
    "infile",
    "copy",
    "to",
    "program",
    "stdout",
    "stdin",
    "lo_import",
    "lo_export",
    "pg_read_file",
    "pg_ls_dir",
    "utl_http",
    "utl_inaddr",
    "utl_file",
    "httpuritype",
    "extractvalue",
    "updatexml",
    "xmltype",
    "dbms_xmlgen",
    "ctxsys",
    "query_to_xml",
    "make_set",
    "elt",
    "row",
    "procedure_analyse",
    "information_schema",
    "tables",
    "columns",
    "table_name",
    "column_name",
    "table_schema",
    "schemata",
    "pg_catalog",
    "pg_tables",
    "pg_class",
    "pg_user",
    "pg_shadow",
    "sysobjects",
    "syscolumns",
    "sysusers",
    "sysdatabases",
    "sqlite_master",
    "all_tables",
    "all_users",
    "all_tab_columns",
    "user_tables",
    "dba_users",
    "v$version",
    "msysaccessobjects",
    "rdb$database",
    "dual",
    "master",
    "mysql",
    "version",
    "@@version",
    "banner",
    "current_user",
    "session_user",
    "system_user",
    "current_database",
    "db_name",
    "char",
    "chr",
    "nchar",
    "ascii",
    "ord",
    "unicode",
    "substr",
    "substring",
    "mid",
    "concat",
    "concat_ws",
    "group_concat",
    "string_agg",
    "listagg",
    "hex",
    "unhex",
    "length",
    "len",
    "char_length",
    "count",
    "floor",
    "rand",
    "upper",
    "lower",
    "strcmp",
    "div",
    "mod",
    "true",
    "false",
    "binary",
    "collate",
    "with",
    "recursive",
    "over",
    "partition",
    "primary",
    "key",
    "default",
    "escape",
    "tablespace",
    "do",
    "extension",
    "user_name",
    "host_name",
    "suser_name",
    "suser_sname",
    "is_srvrolemember",
    "current_setting",
    "inet_server_addr",
    "inet_client_addr",
    "systables",
    "syslogins",
    "sysibm",
    "syscat",
    "sysdummy1",
    "iitables",
    "interval",
    "array",
    "extract",
    "window",
    "preceding",
    "unbounded",
    "following",
    "lateral",
    "unnest",
    "pivot",
    "unpivot",
    "qualify",
    "rollup",
    "cube",
    "grouping",
    "materialized",
    "temporary",
    "temp",
    "cascade",
    "nulls",
    "timestamp",
    "int",
    "integer",
    "varchar",
    "numeric",
    "decimal",
    "boolean",
    "struct",
    "tablesample",
    "describe",
    "pragma",
    "returns",
    "sum",
    "avg",
    "min",
    "max",
    "row_number",
    "trim",
    "md5",
    "sha1",
    "encode",
    "decode",
    "nvl",
    "lag",
    "lead",
    "json_extract",
    "jsonb",
    "json",
];

/// Slots of the hash table over [`WORDS`]; a power of two, at most half full.
const SLOTS: usize = 1024;

/// Longest word kept, in bytes.
const LONGEST: usize = 18;

const TABLE: [u16; SLOTS] = table();

#[expect(clippy::indexing_slicing, reason = "evaluated when compiling, indices below the lengths")]
const fn table() -> [u16; SLOTS] {
    assert!(WORDS.len() * 2 < SLOTS);
    let mut table = [0u16; SLOTS];
    let mut word = 0;
    while word < WORDS.len() {
        assert!(WORDS[word].len() <= LONGEST);
        let mut slot = hash(WORDS[word].as_bytes());
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = word as u16 + 1;
        word += 1;
    }
    table
}

/// FNV-1a over the word folded to lower case, reduced to a slot.
const fn hash(word: &[u8]) -> usize {
    let mut hash = 0x811C_9DC5u32;
    let mut rest = word;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ byte.to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    (hash ^ (hash >> 15)) as usize % SLOTS
}

/// The place of a word in the list, whatever its case.
pub(super) fn find(word: &[u8]) -> Option<u16> {
    if word.len() < 2 || word.len() > LONGEST {
        return None;
    }
    let mut slot = hash(word);
    loop {
        let place = usize::from(*TABLE.get(slot)?).checked_sub(1)?;
        if WORDS.get(place)?.as_bytes().eq_ignore_ascii_case(word) {
            return u16::try_from(place).ok();
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// Whether a name, not listed above, belongs to a database's own machinery.
pub(super) fn is_system(word: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 19] = [
        b"xp_",
        b"sp_",
        b"dbms_",
        b"utl_",
        b"pg_",
        b"sys_",
        b"rdb$",
        b"mon$",
        b"information_",
        b"sysibm",
        b"syscat",
        b"sysmaster",
        b"sysuser",
        b"sysobj",
        b"sysc",
        b"dba_",
        b"v$",
        b"gv$",
        b"msys",
    ];
    PREFIXES.iter().any(|prefix| {
        word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// The words that begin a statement.
pub(super) fn begins_statement(place: u16) -> bool {
    const VERBS: [&str; 27] = [
        "select",
        "insert",
        "update",
        "delete",
        "replace",
        "merge",
        "create",
        "alter",
        "drop",
        "truncate",
        "grant",
        "revoke",
        "exec",
        "execute",
        "call",
        "declare",
        "begin",
        "commit",
        "rollback",
        "savepoint",
        "show",
        "explain",
        "analyze",
        "vacuum",
        "copy",
        "with",
        "set",
    ];
    WORDS.get(usize::from(place)).is_some_and(|word| VERBS.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case() {
        for (place, word) in WORDS.iter().enumerate() {
            assert_eq!(find(word.to_uppercase().as_bytes()), u16::try_from(place).ok(), "{word}");
            assert_eq!(*word, word.to_lowercase());
        }
        assert_eq!(find(b"customers"), None);
        assert_eq!(find(&[b'a'; 99]), None);
    }
}
