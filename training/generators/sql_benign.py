"""Ordinary statements for `sql-guard`, as mappers, drivers, consoles and pages send them.

Seeded and written from scratch; with `sql_values` and `sql_analytics` it makes the benign side.
"""

import random
from urllib.parse import quote, quote_plus

from . import sql_analytics, sql_reports, sql_web
from .sql_values import (
    COLUMNS,
    LAST,
    TABLES,
    name,
    number,
    opaque,
    param,
    path,
    phrase,
    pick,
    sentence,
    short,
    sql_string,
    word,
)
from .sql_vocabulary import QUOTED_TALK


def literal(rng):
    draw = rng.random()
    if draw < 0.3:
        return str(rng.randint(0, 10 ** rng.randint(1, 9)))
    if draw < 0.6:
        return sql_string(rng)
    if draw < 0.85:
        return pick(rng, [f"${rng.randint(1, 9)}", "?", "%s", ":id", "@p1", f":{word(rng)}"])
    return pick(
        rng,
        [
            "NULL",
            "true",
            "false",
            "now()",
            "CURRENT_TIMESTAMP",
            "DEFAULT",
            f"'20{rng.randint(10, 30)}-0{rng.randint(1, 9)}-12 10:0{rng.randint(0, 9)}'",
            f"-{rng.randint(1, 99)}",
            f"{rng.random():.3f}",
            f"{rng.randint(1, 99)},{rng.randint(100, 999)}",
            f'"{word(rng)}"',
            f'"{name(rng)}"',
            f"{rng.randint(1, 99)}-{rng.randint(1, 99)}",
            "'t'::boolean",
            "''",
            "'1'",
        ],
    )


def column(rng, quoted):
    col = pick(rng, COLUMNS)
    return {0: col, 1: f'"{col}"', 2: f"`{col}`", 3: f"[{col}]"}[quoted]


def ref(rng, alias, quoted):
    col = column(rng, quoted)
    return f"{alias}.{col}" if alias else col


def condition(rng, alias, quoted, depth=0):
    left = ref(rng, alias, quoted)
    draw = rng.random()
    if draw < 0.45:
        return f"{left} {pick(rng, ['=', '=', '=', '<>', '>', '<', '>=', '!='])} {literal(rng)}"
    if draw < 0.53:
        return f"{left} IN ({', '.join(literal(rng) for _ in range(rng.randint(1, 9)))})"
    if draw < 0.6:
        return f"{left} {pick(rng, ['LIKE', 'ILIKE', 'NOT LIKE'])} '%{word(rng)}%'"
    if draw < 0.66:
        return f"{left} BETWEEN {literal(rng)} AND {literal(rng)}"
    if draw < 0.73:
        return f"{left} IS {pick(rng, ['', 'NOT '])}NULL"
    if draw < 0.77 and depth < 1:
        return (
            f"{pick(rng, ['', 'NOT '])}EXISTS (SELECT 1 FROM {pick(rng, TABLES)} x "
            f"WHERE x.id = {left})"
        )
    if draw < 0.81 and depth < 1:
        return f"{left} IN ({select(rng, depth + 1)})"
    if draw < 0.93 and depth < 2:
        joined = pick(rng, [" AND ", " OR "]).join(
            condition(rng, alias, quoted, depth + 1) for _ in range(2)
        )
        return f"({joined})"
    return pick(
        rng,
        [
            f"lower({left}) = lower({literal(rng)})",
            f"{left} = ANY({literal(rng)})",
            f"{left} = {ref(rng, alias, quoted)}",
            f"COALESCE({left}, 0) > 0",
            f"date_trunc('day', {left}) = {literal(rng)}",
            f"length({left}) > 3",
            "1=1" if rng.random() < 0.3 else f"{left} > 0",
            f"{left} & 4 = 4",
        ],
    )


def where(rng, alias, quoted, depth=0):
    if rng.random() < 0.15:
        return ""
    parts = [condition(rng, alias, quoted, depth) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.04:
        parts.insert(0, pick(rng, ["1 = 1", "1=1", "TRUE", "0 = 0", "1=0"]))
    return " WHERE " + pick(rng, [" AND ", " AND ", " AND ", " OR "]).join(parts)


def select(rng, depth=0):
    quoted = pick(rng, [0, 0, 0, 1, 1, 2, 3])
    table = pick(rng, TABLES)
    alias = pick(rng, ["", "", "t0", table[0], "u", "this_", "e1"])
    named = f"{table} {pick(rng, ['', 'AS '])}{alias}" if alias else table
    cols = [ref(rng, alias, quoted) for _ in range(rng.randint(1, 8))]
    if rng.random() < 0.25:
        cols = [
            pick(
                rng,
                [
                    "*",
                    "COUNT(*)",
                    f"{alias or table}.*",
                    f"SUM({cols[0]})",
                    "1 AS one",
                    f"MAX({cols[0]})",
                    f"COUNT(DISTINCT {cols[0]})",
                    f"COALESCE({cols[0]}, 0)",
                    f"CASE WHEN {cols[0]} = 1 THEN 'yes' ELSE 'no' END AS flag",
                    f"concat({cols[0]}, ' ', {cols[-1]})",
                    f"substring({cols[0]}, 1, 3)",
                    f"row_number() over (partition by {cols[0]} order by {cols[-1]})",
                ],
            )
        ]
    text = f"SELECT {pick(rng, ['', '', '', 'DISTINCT '])}{', '.join(cols)} FROM {named}"
    for number_ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        other = pick(rng, TABLES)
        text += (
            f" {pick(rng, ['INNER ', 'LEFT ', 'LEFT OUTER ', ''])}JOIN {other} j{number_} ON "
            f"j{number_}.{column(rng, quoted)} = {ref(rng, alias or table, quoted)}"
        )
    text += where(rng, alias, quoted, depth)
    if rng.random() < 0.15:
        text += f" GROUP BY {cols[0] if cols[0][0] not in '*S' else 'id'}"
        if rng.random() < 0.4:
            text += f" HAVING COUNT(*) > {rng.randint(1, 9)}"
    if depth == 0 and rng.random() < 0.07:
        text += f" UNION {pick(rng, ['ALL ', ''])}" + select(rng, 1)
    if rng.random() < 0.4:
        text += f" ORDER BY {ref(rng, alias, quoted)} {pick(rng, ['ASC', 'DESC', ''])}"
    if rng.random() < 0.35:
        text += f" LIMIT {pick(rng, [str(rng.randint(1, 100)), '$2', '?', '1'])}"
        text += pick(rng, ["", "", f" OFFSET {rng.randint(0, 500)}", " FOR UPDATE"])
    return text


def write(rng):
    table, quoted = pick(rng, TABLES), pick(rng, [0, 0, 1, 2])
    draw = rng.random()
    if draw < 0.5:
        cols = rng.sample(COLUMNS, rng.randint(1, 9))
        rows = ", ".join(
            "(" + ", ".join(literal(rng) for _ in cols) + ")"
            for _ in range(pick(rng, [1, 1, 1, 2, 3]))
        )
        text = f"INSERT INTO {table} ({', '.join(cols)}) VALUES {rows}"
        return text + pick(
            rng,
            [
                "",
                "",
                ' RETURNING "id"',
                " ON CONFLICT DO NOTHING",
                " ON DUPLICATE KEY UPDATE id = VALUES(id)",
            ],
        )
    if draw < 0.85:
        sets = ", ".join(
            f"{column(rng, quoted)} = {literal(rng)}" for _ in range(rng.randint(1, 5))
        )
        return f"UPDATE {table} SET {sets}" + where(rng, "", quoted)
    return f"DELETE FROM {table}" + where(rng, "", quoted)


ADMIN = [
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "START TRANSACTION",
    "begin;",
    "commit;",
    "SELECT 1",
    "select 1;",
    "SET search_path TO {t}",
    "SET NAMES utf8mb4",
    "SET autocommit=0",
    "SHOW TABLES",
    "SHOW search_path",
    "SET client_encoding TO 'UTF8'",
    "SET TIME ZONE 'UTC'",
    "SHOW transaction isolation level",
    "SAVEPOINT sp_{i}",
    "RELEASE SAVEPOINT sp_{i}",
    "ROLLBACK TO SAVEPOINT sp_{i}",
    "DISCARD ALL",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "VACUUM ANALYZE {t}",
    "SET statement_timeout = {i}",
    "EXPLAIN ANALYZE {s}",
    "EXPLAIN {s}",
    "DEALLOCATE pdo_stmt_{i}",
    "CREATE TABLE IF NOT EXISTS {t} (id serial PRIMARY KEY, {c} varchar({i}) NOT NULL DEFAULT '')",
    "CREATE INDEX CONCURRENTLY idx_{t}_{c} ON {t} ({c})",
    "ALTER TABLE {t} ADD COLUMN {c} integer",
    'ALTER TABLE "{t}" ADD CONSTRAINT "fk_{i}" FOREIGN KEY ("{c}") REFERENCES "users" ("id")',
    "CREATE VIEW v_{t} AS {s}",
    "REFRESH MATERIALIZED VIEW {t}",
    "ANALYZE {t}",
    "CHECKPOINT",
    "DROP INDEX IF EXISTS idx_{t}_{c}",
    "CREATE TEMP TABLE tmp_{i} AS {s}",
    "LOCK TABLE {t} IN SHARE MODE",
    "select nextval('{t}_id_seq')",
    "SELECT pg_advisory_lock({i})",
    "SELECT last_insert_id()",
    'SELECT setval(pg_get_serial_sequence(\'"{t}"\', \'id\'), coalesce(max("id"), 1)) FROM "{t}"',
    "COPY {t} ({c}) FROM STDIN",
    "CALL refresh_{t}({i})",
    "EXEC dbo.get_{t} @id = {i}",
    "PREPARE p AS {s}",
    "WITH recent AS ({s}) SELECT * FROM recent",
    "LISTEN {t}",
    "NOTIFY {t}, '{i}'",
    "FETCH 100 FROM cur_{i}",
    "DECLARE cur_{i} CURSOR FOR {s}",
    "/* {c}:{t} */ {s}",
    "{s} /*controller='{t}',action='show'*/",
    "-- name: Get{t} :one\n{s}",
    "{s} -- {c} of {t}",
    "{s};",
    "BEGIN; {w}; COMMIT;",
    "{w};",
    "SELECT t.oid, t.typname FROM pg_type as t WHERE t.typname IN ('int2', 'int4')",
    "UPDATE {t} SET {c} = {c} + {i} WHERE id = {i};",
    "SELECT {c} FROM {t} WHERE {c} = 'it''s {i}'",
    "SELECT a.attname FROM pg_attribute a WHERE a.attrelid = '\"{t}\"'::regclass AND a.attnum > 0",
    "INSERT INTO {t} SELECT * FROM staging_{t} WHERE batch = {i}",
    "SET @x = {i}",
    "USE {t}",
    "SELECT s.{c} FROM {t} s WHERE s.{c} = '' OR s.{c} IS NULL",
    "END;",
    "SELECT now()",
    "SELECT '{i}' AS id UNION ALL SELECT '{c}'",
    "SELECT EXISTS(SELECT 1 FROM {t} WHERE {c} = $1)",
    "GRANT SELECT ON {t} TO reporting",
    "IF NOT EXISTS ({s}) {w}",
    "DELETE FROM {t} WHERE id IN ({s})",
]


# What drivers, mappers and consoles ask a server for on their own account.
INTROSPECTION = [
    "select version()",
    "SELECT VERSION()",
    "select pg_catalog.version()",
    "SELECT version();",
    "select current_schema()",
    "SELECT current_database()",
    "SELECT DATABASE()",
    "SELECT CURRENT_USER()",
    "select user",
    "SELECT USER()",
    "SELECT session_user",
    "SELECT @@version_comment LIMIT 1",
    "SELECT @@session.autocommit",
    "SELECT @@tx_isolation",
    "SELECT @@sql_mode",
    "select @@version",
    "SELECT @@max_allowed_packet, @@wait_timeout",
    "show standard_conforming_strings",
    "SHOW VARIABLES LIKE 'sql_mode'",
    "SHOW FULL COLUMNS FROM `{t}`",
    "SHOW CREATE TABLE `{t}`",
    "SHOW INDEX FROM `{t}`",
    "SHOW server_version",
    "SELECT 1 FROM DUAL",
    "exec sp_reset_connection",
    "EXEC sp_executesql N'SELECT * FROM {t} WHERE {c} = @p0', N'@p0 int', @p0 = {i}",
    "SELECT SCOPE_IDENTITY()",
    "ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD'",
    "SELECT {t}_seq.NEXTVAL FROM DUAL",
    "SELECT sqlite_version()",
    "PRAGMA foreign_keys = ON",
    "SELECT name FROM sqlite_master WHERE type='table' AND name='{t}'",
    "SELECT current_setting('server_version_num')",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'app'",
    "SELECT SERVERPROPERTY('ProductVersion')",
    "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE "
    "table_name = '{t}' ORDER BY ordinal_position",
    "SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = ANY (current_schemas(false)) "
    "AND c.relname = '{t}' AND c.relkind IN ('r','v','m','p','f')",
    "SELECT pg_get_indexdef({i}, 0, true)",
    "SELECT pg_is_in_recovery()",
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, "
    "d.adrelid), a.attnotnull FROM pg_attribute a "
    "LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE "
    "a.attrelid = '\"{t}\"'::regclass AND a.attnum > 0 "
    "AND NOT a.attisdropped ORDER BY a.attnum",
    "SELECT n.nspname, c.relname, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END, "
    "pg_catalog.pg_get_userbyid(c.relowner) FROM pg_catalog.pg_class c LEFT JOIN "
    "pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ "
    "'^pg_toast' ORDER BY 1,2;",
    "SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME FROM "
    "pg_catalog.pg_namespace n, pg_catalog.pg_class c "
    "WHERE c.relnamespace = n.oid AND c.relname LIKE '{t}'",
    "SELECT conname FROM pg_constraint WHERE conrelid = {i} AND contype = 'f'",
    "SELECT pid, state, query FROM pg_stat_activity WHERE state <> 'idle'",
    "SELECT pg_size_pretty(pg_total_relation_size('{t}'))",
    "SELECT * FROM pg_stat_user_tables WHERE relname = '{t}'",
    "SELECT count(*) FROM pg_stat_replication",
    "SELECT rolname FROM pg_roles ORDER BY 1",
    "SELECT t.tableoid, t.oid, t.relname FROM pg_class t JOIN pg_depend d ON d.objid = "
    "t.oid WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'i'",
    "SELECT set_config('search_path', '', false)",
    "SELECT pg_try_advisory_lock({i})",
    "SELECT pg_export_snapshot()",
    "COPY public.{t} ({c}) TO stdout;",
    "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname",
    "SELECT datname, numbackends, xact_commit, blks_read FROM pg_stat_database",
    "SELECT typname, oid, typarray FROM pg_type WHERE typname = 'hstore'",
    "SELECT EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp())",
    "KILL QUERY {i}",
    "SELECT pg_cancel_backend({i})",
]


def admin(rng):
    forms = INTROSPECTION if rng.random() < 0.3 else ADMIN
    return pick(rng, forms).format(
        t=pick(rng, TABLES),
        c=pick(rng, COLUMNS),
        i=rng.randint(1, 9999),
        s=select(rng),
        w=write(rng),
    )


def held(rng):
    """A value pasted into a statement as an application should, its apostrophes doubled."""
    text = pick(rng, [word, word, name, name, short, sentence, opaque, number, path, phrase])(rng)
    if rng.random() < 0.2:
        text = f"{pick(rng, LAST).lower()}@{word(rng)}.{pick(rng, ['com', 'ie', 'org'])}"
    return text.replace("\\", "").replace("'", "''")


def lookup(rng):
    """The plain statements of a shop or a login page, in the very forms that injections enter."""
    table, col, n = pick(rng, TABLES), pick(rng, COLUMNS), rng.randint(0, 10 ** rng.randint(1, 5))
    cols = pick(rng, ["*", "id", ", ".join(rng.sample(COLUMNS, rng.randint(1, 5)))])
    value, other = held(rng), held(rng)
    rest = pick(
        rng,
        [
            "",
            "",
            " LIMIT 1",
            " ORDER BY id",
            " AND active = 1",
            " AND active = true",
            " OR code IS NULL",
            f" AND {pick(rng, COLUMNS)} = '{other}'",
            f" OR {pick(rng, COLUMNS)} = '{other}'",
            " LIMIT 20 OFFSET 40",
            f" ORDER BY {pick(rng, COLUMNS)} DESC LIMIT 20",
            f" AND {pick(rng, COLUMNS)} > {n}",
            ";",
            f" AND {pick(rng, COLUMNS)}='{word(rng)}' ORDER BY created_at DESC LIMIT 20 OFFSET 40",
        ],
    )
    user = pick(rng, ["username", "email", "login", "name", "user_name"])
    equals = pick(rng, [" = ", " = ", "="])
    return pick(
        rng,
        [
            f"SELECT {cols} FROM {table} WHERE {col}{equals}'{value}'{rest}",
            f"SELECT {cols} FROM {table} WHERE {col}{equals}{n}{rest}",
            f"SELECT {cols} FROM {table} WHERE {col} LIKE '%{value}%'{rest}",
            f"SELECT {cols} FROM {table} WHERE ({col} = '{value}'){rest}",
            f"SELECT {cols} FROM users WHERE {user}{equals}'{value}' AND "
            f"password{equals}'{other}'{pick(rng, ['', ' LIMIT 1', ';'])}",
            f"SELECT {cols} FROM users WHERE {user}{equals}'{value}'{rest}",
            f"DELETE FROM {table} WHERE id{equals}{n}",
            f"UPDATE {table} SET {col}{equals}'{value}' WHERE id{equals}{n}",
            f"SELECT {cols} FROM {table} WHERE id IN ({n}){rest}",
            f"INSERT INTO {table} ({col}) VALUES ('{value}')",
            f"INSERT INTO {table} (a, {col}, b) VALUES ('{value}', {n}, '{other}');",
            f"SELECT {cols} FROM {table} ORDER BY {col} {pick(rng, ['', 'DESC', 'LIMIT 20'])}",
            f"SELECT {cols} FROM {table} LIMIT {n}",
            f"SELECT {cols} FROM {table} WHERE {col} = '{value}' OR {col} = '{other}'",
            f"SELECT COUNT(*) FROM {table} WHERE {col} = {n}",
        ],
    )


def statement(rng):
    """One statement: a third analysts' and tools', a fifth reports, the rest mappers'."""
    draw = rng.random()
    if draw < 0.34:
        return cosmetic(rng, sql_analytics.statement(rng))
    if draw < 0.54:
        return cosmetic(rng, sql_reports.statement(rng))
    if draw < 0.64:
        text = lookup(rng)
        return cosmetic(rng, text.lower() if rng.random() < 0.2 else text)
    text = select(rng) if draw < 0.78 else write(rng) if draw < 0.9 else admin(rng)
    if rng.random() < 0.25:
        text = text.lower()
    if rng.random() < 0.08:
        text = text.replace(" FROM ", "\nFROM ").replace(" WHERE ", "\n  WHERE ")
    return cosmetic(rng, text)


def cosmetic(rng, text):
    """Spacing and encoding that attackers use as well, so that they alone say nothing."""
    draw = rng.random()
    if draw < 0.05:
        gap = pick(rng, [" ", "  "])
        text = text.replace("(", f"{gap}({gap}").replace(")", f"{gap}){gap}")
    elif draw < 0.07:
        text = text.replace("=", "  =  ")
    elif draw < 0.10:
        text = text.replace(" = ", "=").replace(", ", ",").replace(" <> ", "<>")
    elif draw < 0.13:
        text = text.replace(" ", pick(rng, ["  ", "\t", "\n"]))
    elif draw < 0.16:
        text = pick(rng, [quote, quote_plus])(text)
    elif draw < 0.17:
        text = "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in text)
    if rng.random() < 0.06:
        text = pick(rng, [" ", "  ", "\n"]) + text + pick(rng, ["", " ", "  ", "\n"])
    return text


def quoted_talk(rng):
    return pick(rng, QUOTED_TALK).format(q=select(rng), n=word(rng), i=rng.randint(1, 9999))


def prose(rng):
    draw = rng.random()
    if draw < 0.4:
        return phrase(rng)
    if draw < 0.52:
        return quoted_talk(rng)
    return " ".join(sentence(rng) for _ in range(rng.randint(1, 4)))


def value(rng):
    """A parameter's value, or what else of a request is read as one."""
    if rng.random() < 0.25:
        text = sql_web.value(rng)
        return pick(rng, [quote, quote_plus])(text) if rng.random() < 0.1 else text
    return param(rng)


def rows(count, seed):
    """`count` benign rows: two fifths statements, two fifths values, one fifth prose."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        draw = rng.random()
        kind, make = (
            ("query", statement)
            if draw < 0.4
            else ("param", value)
            if draw < 0.8
            else ("free_text", prose)
        )
        # An empty text is no body of an event.
        text = make(rng) or " "
        made.append({"text": text, "kind": kind, "label": 0, "source": f"generated_{kind}"})
    return made
