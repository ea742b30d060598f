"""Injections for `sql-guard`, built from a grammar of techniques, contexts and disguises.

Seeded and written from scratch: *where* the attacker stands (number, string, LIKE, parentheses,
identifier, whole statement), *what* is injected (boolean, union, time, error, stacked, out of
band, commands, files, catalogue reads), *how* the rest is cut off, and *how* it is disguised.
"""

import random
import re
from urllib.parse import quote

from . import sql_analytics, sql_values
from . import sql_benign as benign
from .sql_payloads import delay, error, expression, num, stacked, tag, truth, union
from .sql_values import pick

# What tells an attacked statement from an ordinary one that merely ends in `OR email = 'x'`.
TELLING = re.compile(
    r"--|#|/\*|\bunion\b|sleep|benchmark|waitfor|randomblob|generate_series|extractvalue"
    r"|updatexml|xp_|sp_\w|\bexec\b|declare|shutdown|program|outfile|load_file|lo_import|utl_"
    r"|dbms_|openrowset|pg_read|pg_shadow|sys\w+\b.*\bfrom|master\.\.|\bsyscat|sysibm|v\$|pg_"
    r"|dba_|iitables|mysql\.|current_setting|inet_server|host_name|suser|is_srvrole|dbmsinfo"
    r"|getpguser|information_schema|sysobjects|sqlite_master|all_users|@@"
    r"|(\b\d+)\s*(=|like|<|>)\s*\(?\d|'([^']*)'\s*(=|like)\s*'|ascii\(|ord\(|unicode\(|1/0|1/\("
    r"|ctxsys|xmltype|make_set|;\s*(drop|delete|grant)",
    re.IGNORECASE,
)


def telling(make, rng):
    """The first of twenty tries that shows its intent."""
    for _ in range(20):
        text = make(rng)
        if TELLING.search(text):
            break
    return text


def core(rng):
    """The injected piece, after the context was left."""
    link = pick(
        rng, ["AND", "OR", "OR", "AND", "&&", "||", "XOR", "HAVING", "RLIKE", "AND NOT", "OR NOT"]
    )
    draw = rng.random()
    if draw < 0.32:
        return f" {link} {truth(rng)}"
    if draw < 0.50:
        return f" {union(rng)}"
    if draw < 0.64:
        return f" {link} {delay(rng)}" if rng.random() < 0.8 else f" {link} {num(rng)}={delay(rng)}"
    if draw < 0.76:
        return f" {link} {error(rng)}" if rng.random() < 0.6 else f" {link} {num(rng)}={error(rng)}"
    if draw < 0.92:
        lead = pick(rng, [";", "; ", ";"])
        return lead + stacked(rng) + pick(rng, ["", ";"])
    return pick(
        rng,
        [
            f" ORDER BY {num(rng)}",
            f" GROUP BY {num(rng)} HAVING {truth(rng)}",
            f" HAVING {truth(rng)}",
            f" LIMIT 1,1 {error(rng)}",
            f" GROUP BY {tag(rng)}.{tag(rng)} HAVING 1=1",
            f" ORDER BY {num(rng)},{num(rng)}",
            " PROCEDURE ANALYSE()",
            f"*{delay(rng)}",
            f" INTO OUTFILE '/tmp/{tag(rng)}'",
            f"||{expression(rng)}||",
            f"+{expression(rng)}+",
            f",{expression(rng)}",
            f"||{delay(rng)}",
            f",(SELECT (CASE WHEN ({truth(rng)}) THEN 1 ELSE 1/0 END))",
            f"-{delay(rng)}",
            f" WHERE {truth(rng)}",
            f"^{delay(rng)}",
            f" IS NULL {link} {truth(rng)}",
            f" AS {tag(rng)} WHERE {truth(rng)}",
            f"={delay(rng)}",
            f" BETWEEN 1 AND {expression(rng)}",
        ],
    )


def value(rng):
    """A parameter value that carries an injection."""
    start = pick(
        rng,
        [
            "",
            "1",
            "-1",
            num(rng),
            tag(rng),
            "admin",
            "x",
            "%",
            sql_values.word(rng),
            "0",
            "a@b.c",
            sql_values.short(rng),
        ],
    )
    quote_ = pick(
        rng,
        [
            "",
            "",
            "'",
            "'",
            "'",
            '"',
            "')",
            "'))",
            ")",
            "))",
            '")',
            "%'",
            "''",
            "`",
            "\\'",
            "';",
            "']",
            "'||'",
        ],
    )
    if quote_ in ("';",):
        body = stacked(rng)
    else:
        body = core(rng)
    end_draw = rng.random()
    quote_char = '"' if '"' in quote_ else "'"
    opened = quote_.count(")")
    if end_draw < 0.45:
        end = pick(
            rng,
            [
                "--",
                "-- ",
                "-- -",
                "--+",
                "#",
                "/*",
                ";--",
                ";#",
                ";%00",
                "-- " + tag(rng),
                "--" + tag(rng),
                "//",
                ";-- -",
                "\x00",
            ],
        )
    elif end_draw < 0.8 and ("'" in quote_ or '"' in quote_):
        s = tag(rng)
        middle = pick(
            rng,
            [
                f"{quote_char}{s}{quote_char}={quote_char}{s}",
                f"{quote_char}{s}{quote_char} LIKE {quote_char}{s}",
                f"({quote_char}{s}{quote_char})=({quote_char}{s}",
                f"{quote_char}{quote_char}={quote_char}",
                f"{quote_char}1{quote_char}={quote_char}1",
                f"{quote_char}{s}",
            ],
        )
        end = f" {pick(rng, ['AND', 'OR', '||', 'AND'])} " + "(" * opened + middle
    elif opened:
        end = pick(
            rng, ["", " AND (" * opened + f"{num(rng)}={num(rng)}", f" AND ({num(rng)}={num(rng)}"]
        )
    else:
        end = ""
    return start + quote_ + body + end


# Asked by every driver on connecting: an attack only when injected.
PLAIN = {
    "version()",
    "@@version",
    "user()",
    "database()",
    "current_user",
    "session_user",
    "user",
    "db_name()",
    "current_database()",
    "sqlite_version()",
    "system_user",
    "(SELECT datname FROM pg_database)",
}


def recon(rng):
    """A statement of its own that reads the server's catalogue or settings."""
    text = telling(expression, rng)
    while text in PLAIN:
        text = telling(expression, rng)
    if text.startswith("(SELECT"):
        return text[1:-1] + pick(rng, [";", "", " --", ";"])
    return f"select {text}{pick(rng, [';', '', ' --', ' from dual', '; --'])}"


def bare(rng):
    """Without a context of its own: sub-queries, function calls, probes."""
    q = pick(rng, ["'", '"'])
    s = tag(rng)
    return pick(
        rng,
        [
            lambda: f"({expression(rng)})",
            lambda: f"(SELECT {delay(rng)})",
            lambda: delay(rng),
            lambda: union(rng),
            lambda: telling(stacked, rng),
            lambda: f"(SELECT (CASE WHEN ({truth(rng)}) THEN {num(rng)} ELSE 1/(SELECT 0) END))",
            lambda: f"{q}||{expression(rng)}||{q}",
            lambda: f"{q}+{expression(rng)}+{q}",
            lambda: f"{q}=({delay(rng)})={q}",
            lambda: f"{q}{pick(rng, [' or ', ' OR ', 'or', '||', ' && ', ' and ', '='])}{q}",
            lambda: error(rng),
            lambda: f"{q} or {s} like {q}%",
            lambda: f"{q} or {num(rng)}--",
            lambda: f"{s}{q}--",
            lambda: f"{s}{q} #",
            lambda: f"{s}{q}/*",
            lambda: f"{q}-{q}",
            lambda: f"{q} {q}",
            lambda: f"{q}&{q}",
            lambda: f"{q}^{q}",
            lambda: f"{q}*{q}",
            lambda: f"{q};",
            lambda: f"{s}{q};--",
            lambda: f"{q}) or ({q}{s}{q}={q}{s}",
            lambda: f"{q}or{q}{s}{q}={q}{s}",
            lambda: f"{num(rng)}{q}{q}",
            lambda: f"{num(rng)}{q}",
            lambda: f"{q}{q}",
            lambda: f"{q}--",
            lambda: f"{q}#",
            lambda: f"{q}))",
            lambda: f"or {truth(rng)}",
            lambda: f"and {truth(rng)}",
            lambda: f"and {delay(rng)}",
            lambda: f"having {truth(rng)}",
            lambda: f"or {num(rng)}={num(rng)}--",
            lambda: f" ORDER BY {rng.randint(1, 60)}{pick(rng, ['', ' ', '#', '-- '])}",
            lambda: (
                pick(rng, ["or", "hi or", "x or", ") or (", f"{num(rng)} or", f"{num(rng)} and"])
                + f" {s}={pick(rng, [s, tag(rng)])}"
            ),
            lambda: f"0x{s.encode().hex()} exec(@{s})",
            lambda: f"{num(rng)} exec sp_{s}",
            lambda: f"exec xp_{s}",
            lambda: f"{q}{s}",
            lambda: f"sleep({s})#",
            lambda: f" or ({pick(rng, ['exists', 'EXISTS'])})",
            lambda: f") or sleep({num(rng)})={q}",
            lambda: f"‘ or ‘{s}’=’{s}" if q == "'" else "’ or ’1’=’1",
            lambda: f"{num(rng)}′ or 1=1--",
            lambda: f"{q} or {s}={s}--",
            lambda: f"if({truth(rng)},{delay(rng)},0)",
            lambda: f"order by {num(rng)}--",
            lambda: f"{q} or exists(select 1 from {s})--",
            lambda: f"{num(rng)}-{delay(rng)}",
            lambda: f";{stacked(rng)}",
            lambda: "select " + telling(expression, rng),
            lambda: recon(rng),
            lambda: recon(rng),
            lambda: f"exec({s})",
            lambda: f"{q}>{q}",
            lambda: f"select * from {s} where id = {num(rng)} or {truth(rng)} -- {num(rng)}",
            lambda: f"@@{s}",
            lambda: f"{q} is null--",
            lambda: f"{q},{q}{s}{q});--",
            lambda: f"{q} group by {s} having 1=1--",
            lambda: f"{q}; {stacked(rng)}--",
            lambda: f"'; {stacked(rng)} --",
            lambda: "benchmark(10000000,MD5(1))#",
            lambda: f"{num(rng)} or {delay(rng)}#",
            lambda: f"{q}) {core(rng)}",
            lambda: f"a{q} or {truth(rng)};#",
            lambda: f"{s}{q} or {q}{num(rng)}{q}={q}{num(rng)}{q} limit 1 -- -+",
            lambda: f"-1{q} {union(rng)}",
            lambda: f"{s} {union(rng)}--",
        ],
    )()


def steered(rng):
    """An order that fails or not as the condition has it."""
    return f"(CASE WHEN ({truth(rng)}) THEN 1 ELSE (SELECT 1 UNION SELECT 2) END)"


def embedded(rng):
    """A whole statement, as a database's log shows it after the application pasted the value."""
    inject = core(rng)
    end = pick(rng, ["--", "-- ", "#", "/*", "-- -", ";--"])
    table, col = pick(rng, sql_values.TABLES), pick(rng, sql_values.COLUMNS)
    cols = ", ".join(rng.sample(sql_values.COLUMNS, rng.randint(1, 5)))
    start, s = pick(rng, ["", "1", num(rng), tag(rng), sql_values.word(rng), "-1"]), tag(rng)
    rest = pick(rng, ["'", "' LIMIT 1", "' ORDER BY id", "' AND active = 1", "%'", "'"])
    close = end + pick(rng, ["", rest])
    if rng.random() < 0.3:
        close = f" AND '{s}'='{s}{rest}" if rng.random() < 0.7 else f" OR '{rest}"
    if rng.random() < 0.2:
        # Into a statement that is long and varied itself, after a value or at the end.
        text = sql_analytics.Writer(rng).query()
        at = text.find("'", text.find("WHERE")) if "WHERE" in text else -1
        if at > 0 and rng.random() < 0.6:
            return f"{text[: at + 1]}{start}'{inject}{close}{text[at + 1 :]}"
        return f"{text} {pick(rng, [union(rng), inject, '; ' + stacked(rng)])}{end}"
    text = pick(
        rng,
        [
            f"SELECT {cols} FROM {table} WHERE {col} = '{start}'{inject}{close}",
            f"SELECT {cols} FROM {table} WHERE {col} = '{start}'{inject} {end}'",
            f"SELECT * FROM {table} WHERE {col} = '{start}'{inject}{close}",
            f"SELECT {cols} FROM {table} WHERE {col} = {start or 1}{inject}",
            f"SELECT {cols} FROM {table} WHERE {col} = "
            f"{num(rng)}{inject}{pick(rng, ['', end, ' LIMIT 1', ' ORDER BY id'])}",
            f"SELECT {cols} FROM {table} WHERE {col} LIKE '%{start}%'{inject}{end}%'",
            f"SELECT {cols} FROM {table} WHERE ({col} = '{start}'){inject}{end}')",
            f"SELECT id FROM users WHERE username = '{start}'{inject}{end}' AND password = '{s}'",
            f"SELECT id FROM users WHERE username = 'admin'{end}' AND password = '{s}'",
            f"SELECT id FROM users WHERE username = '{s}' AND password = '{start}' OR "
            f"{truth(rng)}{close}",
            "SELECT id FROM users WHERE username = '' OR '1'='1' AND password = '' OR '1'='1'",
            f"UPDATE {table} SET {col} = "
            f"'{start}'{pick(rng, [', role = ' + chr(39) + 'admin' + chr(39), ''])} "
            f"WHERE id = {num(rng)}{inject}{end}",
            f"INSERT INTO {table} ({cols}) VALUES ('{start}', {expression(rng)}){end}', '{s}')",
            f"INSERT INTO {table} ({col}) VALUES ('{start}');{stacked(rng)}{end}')",
            f"DELETE FROM {table} WHERE id = {num(rng)} OR {truth(rng)}",
            f"SELECT {cols} FROM {table} ORDER BY "
            f"{pick(rng, [expression(rng), delay(rng), steered(rng)])}",
            f"SELECT {cols} FROM {table} WHERE id IN ({num(rng)}){inject}{end})",
            f"SELECT {cols} FROM {table} WHERE {col} = '{start}'; {stacked(rng)}{end}'",
            f"{benign.select(rng)} {union(rng)}{end}",
            f"{benign.select(rng)}; {stacked(rng)}{end}",
        ],
    )
    return text


COMMENTS = [
    "/**/",
    "/**/",
    "/*x*/",
    "/*!*/",
    "%0a",
    "\t",
    "\n",
    "  ",
    "+",
    "%20",
    "%09",
    "%0d%0a",
    "/**//**/",
    "%a0",
]


def disguise(rng, text):
    """Case, white space, comments, encodings; each sometimes, several at times."""
    draw = rng.random()
    if draw < 0.35:
        text = text.lower()
    elif draw < 0.45:
        text = "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in text)
    if rng.random() < 0.12:
        gap = pick(rng, COMMENTS)
        text = text.replace(" ", gap)
    elif rng.random() < 0.06:
        text = "".join(pick(rng, COMMENTS) if c == " " and rng.random() < 0.5 else c for c in text)
    elif rng.random() < 0.07:
        text = (
            text.replace(" (", "(")
            .replace("= ", "=")
            .replace("' ", "'")
            .replace(" '", "'")
            .replace(" = ", "=")
        )
    elif rng.random() < 0.06:
        text = text.replace("(", "  (  ").replace(")", "  )  ").replace("=", "  =  ")
    if rng.random() < 0.05:
        for key in ("UNION", "SELECT", "FROM", "AND", "OR", "WHERE"):
            for form in (key, key.lower()):
                code = f"/*!{pick(rng, ['', '50000', '12345'])}{form}*/"
                text = text.replace(f" {form} ", f" {code} ")
    if rng.random() < 0.03:
        text = text.replace("=", pick(rng, [" LIKE ", " REGEXP ", " IN "]), 1)
    draw = rng.random()
    if draw < 0.08:
        text = quote(text, safe="")
    elif draw < 0.13:
        text = quote(text, safe="").replace("%20", "+")
    elif draw < 0.15:
        text = quote(quote(text, safe=""), safe="")
    elif draw < 0.17:
        text = "".join(f"%{ord(c):02x}" if ord(c) < 128 else c for c in text)
    elif draw < 0.18:
        text = "".join(f"%u00{ord(c):02x}" if c in "'\"<>=() " else c for c in text)
    elif draw < 0.19:
        text = "".join(chr(ord(c) + 0xFEE0) if c in "'\"()=" else c for c in text)
    return text


def rows(count, seed):
    """`count` attack rows: half values, a fifth bare, the rest whole statements."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        draw = rng.random()
        if draw < 0.5:
            kind, text = "param", value(rng)
        elif draw < 0.68:
            kind, text = "param", bare(rng)
        elif draw < 0.72:
            kind, text = "param", sql_values.sentence(rng) + value(rng)
        else:
            kind, text = "query", telling(embedded, rng)
        text = disguise(rng, text) if kind == "param" or rng.random() < 0.5 else text
        made.append({"text": text, "kind": kind, "label": 1, "source": f"generated_attack_{kind}"})
    return made
