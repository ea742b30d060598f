"""Analysts', tools' and migrations' SQL: a grammar of whole dialects for the benign side.

Without it a model takes whatever is unusual (common table expressions, set operations, window
functions, casts, nested selects, vendor syntax, comments) for an attack.
"""

from .sql_values import CITIES, COLUMNS, TABLES, number, pick, sql_string, word
from .sql_vocabulary import (
    COMPARE,
    FUNCTIONS,
    OPERATORS,
    SET_OPERATIONS,
    SHORT,
    TYPES,
)


class Writer:
    """One statement's style: names long or short, quoted or not, comments or none."""

    def __init__(self, rng):
        self.rng = rng
        self.short = rng.random() < 0.5
        self.quoted = pick(rng, ["{}", "{}", "{}", "{}", '"{}"', "`{}`", "[{}]"])
        self.commented = rng.random() < 0.08
        self.constants = rng.random() < 0.08
        self.budget = rng.choice([6, 12, 25, 60])

    def name(self):
        rng = self.rng
        text = pick(rng, SHORT) if self.short else pick(rng, COLUMNS + SHORT)
        return self.quoted.format(text)

    def table(self):
        rng = self.rng
        text = self.name() if self.short else self.quoted.format(pick(rng, TABLES))
        if rng.random() < 0.12:
            text = f"{pick(rng, ['db', 'c', 'public', 'dbo', 'prod', 'tpch'])}.{text}"
        return text

    def column(self):
        text = self.name()
        if self.rng.random() < 0.4:
            text = f"{self.name()}.{text}"
        return text

    def literal(self):
        rng = self.rng
        return pick(
            rng,
            [
                str(rng.randint(0, 9)),
                str(rng.randint(0, 10**5)),
                f"{rng.random() * 100:.2f}",
                "NULL",
                "TRUE",
                "FALSE",
                sql_string(rng),
                f"'{word(rng)}'",
                f"'{pick(rng, 'abcxyz')}'",
                "''",
                f"DATE '20{rng.randint(10, 29)}-01-01'",
                f"INTERVAL '{rng.randint(1, 90)}' DAY",
                f"'{rng.randint(1990, 2030)}-0{rng.randint(1, 9)}-01'",
                "'2'",
                "-1",
                "1.5e3",
                f"ARRAY[{rng.randint(1, 5)}, {rng.randint(1, 5)}]",
                "x'1f'",
                "0x1F",
                f"'%{word(rng)}%'",
                "1",
                "'\\n'",
                "N'x'",
                f"INTERVAL {rng.randint(1, 12)} MONTH",
                "CURRENT_DATE",
                "CURRENT_TIMESTAMP",
                ":p",
                "?",
                "@v",
                "$1",
                "{{ var }}",
                f"'{number(rng)}'",
            ],
        )

    def expression(self, depth=0):
        rng = self.rng
        self.budget -= 1
        if depth > 3 or self.budget < 0 or rng.random() < 0.35:
            return self.column() if rng.random() < 0.65 else self.literal()
        draw, again = rng.random(), lambda: self.expression(depth + 1)
        if draw < 0.34:
            args = ", ".join(again() for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])))
            call = f"{pick(rng, FUNCTIONS)}({pick(rng, ['', '', '', 'DISTINCT '])}{args})"
            if rng.random() < 0.15:
                call += f" OVER ({self.window()})"
            elif rng.random() < 0.04:
                call += f" FILTER (WHERE {self.condition(depth + 1)})"
            return call
        if draw < 0.52:
            return f"{again()} {pick(rng, OPERATORS)} {again()}"
        if draw < 0.60:
            return f"CAST({again()} AS {pick(rng, TYPES)})"
        if draw < 0.64:
            return f"{self.column()}::{pick(rng, TYPES)}"
        if draw < 0.75:
            parts = " ".join(
                f"WHEN {self.condition(depth + 1)} THEN {again()}" for _ in range(rng.randint(1, 3))
            )
            what = pick(rng, ["", "", self.column() + " "])
            return f"CASE {what}{parts}{pick(rng, [' ELSE ' + again(), ''])} END"
        if draw < 0.82:
            return f"({again()})"
        if draw < 0.87:
            return f"({self.query(depth + 2)})"
        if draw < 0.92:
            return pick(
                rng,
                [
                    f"EXTRACT({pick(rng, ['YEAR', 'DAY', 'epoch'])} FROM {self.column()})",
                    f"-{again()}",
                    f"{self.column()}[{rng.randint(0, 3)}]",
                    f"TRIM(BOTH 'x' FROM {self.column()})",
                    f"POSITION('a' IN {self.column()})",
                    f"{self.column()}:{self.name()}",
                    "COUNT(*)",
                    f"SUBSTRING({self.column()} FROM 1 FOR 3)",
                    f"{self.column()} AT TIME ZONE 'UTC'",
                    f"(x, y) -> x + {again()}",
                    f"STRUCT({again()} AS {self.name()})",
                    "COUNT(1)",
                ],
            )
        return self.condition(depth + 1)

    def window(self):
        rng = self.rng
        text = f"PARTITION BY {self.column()}" if rng.random() < 0.7 else ""
        if rng.random() < 0.7:
            text += f" ORDER BY {self.column()} {pick(rng, ['', 'DESC', 'ASC NULLS LAST'])}"
        if rng.random() < 0.2:
            text += " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
        return text.strip()

    def condition(self, depth=0):
        rng = self.rng
        if depth > 3 or self.budget < 0 or rng.random() < 0.45:
            right = self.literal() if rng.random() < 0.6 else self.column()
            if self.constants and rng.random() < 0.3:
                left = rng.randint(0, 2)
                return pick(
                    rng,
                    [
                        f"{left} = 1",
                        "1 = 1",
                        "TRUE",
                        "FALSE",
                        "'a' = 'b'",
                        "1 < 2",
                        "NOT FALSE",
                        "x = x",
                    ],
                )
            return f"{self.column()} {pick(rng, COMPARE)} {right}"
        again = lambda: self.condition(depth + 1)
        draw = rng.random()
        if draw < 0.45:
            return f"{again()} {pick(rng, ['AND', 'AND', 'OR'])} {again()}"
        if draw < 0.55:
            return f"({again()})"
        if draw < 0.60:
            return f"NOT {again()}"
        if draw < 0.68:
            left, no = self.expression(depth + 1), pick(rng, ["", "NOT "])
            return f"{left} IS {no}{pick(rng, ['NULL', 'NULL', 'TRUE'])}"
        if draw < 0.76:
            left, no = self.column(), pick(rng, ["", "NOT "])
            items = ", ".join(self.literal() for _ in range(rng.randint(1, 5)))
            return f"{left} {no}IN ({items})"
        if draw < 0.84:
            return f"{self.column()} {pick(rng, ['', 'NOT '])}IN ({self.query(depth + 2)})"
        if draw < 0.91:
            return f"{pick(rng, ['', 'NOT '])}EXISTS({self.query(depth + 2)})"
        return f"{self.expression(depth + 1)} BETWEEN {self.literal()} AND {self.literal()}"

    def source(self, depth):
        rng = self.rng
        draw = rng.random()
        alias = pick(rng, ["", "", f" {self.name()}", f" AS {self.name()}"])
        if draw < 0.68 or depth > 2:
            return self.table() + alias
        if draw < 0.86:
            return f"({self.query(depth + 1)})" + (
                alias or f" AS {self.name()}" if rng.random() < 0.8 else ""
            )
        return pick(
            rng,
            [
                f"(VALUES ({self.literal()}, {self.literal()}), ({self.literal()}, 2)) "
                f"AS {self.name()}({self.name()}, y)",
                f"UNNEST({self.column()}) AS t({self.name()})",
                f"GENERATE_SERIES(1, {rng.randint(2, 99)}) AS g",
                f"({self.table()}{alias})",
                f"(({self.table()}))",
                f"LATERAL ({self.query(depth + 1)}) AS l",
                f"{self.table()} TABLESAMPLE (10 PERCENT)",
                f"TABLE({pick(rng, FUNCTIONS)}({self.column()}))",
                f"{self.table()} PIVOT(SUM({self.name()}) FOR {self.name()} IN ('a', 'b')) AS piv",
                f"{self.table()} FOR SYSTEM_TIME AS OF '2024-01-01'",
                f"information_schema.{pick(rng, ['tables', 'columns'])}",
            ],
        )

    def query(self, depth=0):
        rng = self.rng
        if depth > 1 and rng.random() < 0.4 or self.budget < 0:
            return f"SELECT {self.name()} FROM {self.table()}"
        text = ""
        if depth == 0 and rng.random() < 0.22:
            parts = ", ".join(
                f"{self.name()}{pick(rng, ['', '', '(a, b)'])} AS ({self.query(1)})"
                for _ in range(rng.randint(1, 3))
            )
            text = f"WITH {pick(rng, ['', '', '', 'RECURSIVE '])}{parts} "
        text += "SELECT " + pick(
            rng,
            [
                "",
                "",
                "",
                "",
                "DISTINCT ",
                "ALL ",
                "TOP 10 ",
                "/*+ HINT */ " if self.commented else "",
            ],
        )
        items = []
        for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 5, 8])):
            item = (
                pick(rng, ["*", f"{self.name()}.*", "1", "1 AS x", self.column(), self.column()])
                if rng.random() < 0.5
                else self.expression(depth + 1)
            )
            if rng.random() < 0.35 and "*" not in item:
                item += f" {pick(rng, ['AS ', 'AS ', ''])}{self.name()}"
            items.append(item)
        text += ", ".join(items)
        if rng.random() < 0.95:
            text += f" FROM {self.source(depth)}"
            for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
                kind = pick(
                    rng,
                    [
                        "JOIN",
                        "LEFT JOIN",
                        "INNER JOIN",
                        "FULL OUTER JOIN",
                        "CROSS JOIN",
                        "NATURAL JOIN",
                        ",",
                        "RIGHT JOIN",
                    ],
                )
                text += (
                    f" {kind} {self.source(depth + 1)}"
                    if kind != ","
                    else f", {self.source(depth + 1)}"
                )
                if kind not in ("CROSS JOIN", "NATURAL JOIN", ","):
                    text += pick(
                        rng,
                        [
                            f" ON {self.column()} = {self.column()}",
                            f" USING ({self.name()})",
                            f" ON {self.condition(2)}",
                        ],
                    )
            if rng.random() < 0.5:
                text += f" WHERE {self.condition(depth)}"
            if rng.random() < 0.22:
                column, rollup = self.column(), f"ROLLUP ({self.name()})"
                by = pick(rng, [column, "1", "1, 2", "ALL", rollup, "GROUPING SETS ((a), ())"])
                text += f" GROUP BY {by}"
                if rng.random() < 0.4:
                    sums = f"SUM({self.column()}) > 100"
                    text += f" HAVING {pick(rng, ['COUNT(*) > 1', sums, self.condition(2)])}"
        if rng.random() < 0.14:
            text += f" {pick(rng, SET_OPERATIONS)} {self.query(max(depth, 1))}"
            if rng.random() < 0.2:
                text += f" UNION ALL {self.query(max(depth, 1))}"
        if rng.random() < 0.25:
            column, last = self.column(), self.column() + " DESC NULLS FIRST"
            text += f" ORDER BY {pick(rng, [column, '1', '2 DESC', '1, 2', last])}"
        if rng.random() < 0.22:
            text += f" LIMIT {rng.randint(0, 100)}" + pick(
                rng, ["", "", f" OFFSET {rng.randint(1, 50)}"]
            )
        elif rng.random() < 0.03:
            text += f" FETCH FIRST {rng.randint(1, 50)} ROWS ONLY"
        if depth == 0 and rng.random() < 0.05:
            text = f"({text})" + pick(rng, ["", f" UNION ({self.query(1)})", " LIMIT 1"])
        return text

    def definition(self):
        rng = self.rng
        cols = ", ".join(
            f"{self.name()} "
            f"{pick(rng, TYPES)}"
            + pick(rng, ["", " NOT NULL", " PRIMARY KEY", " DEFAULT " + self.literal(), " UNIQUE"])
            for _ in range(rng.randint(1, 6))
        )
        table = self.table()
        return pick(
            rng,
            [
                lambda: (
                    f"CREATE {pick(rng, ['', 'TEMPORARY ', 'OR REPLACE '])}TABLE "
                    f"{pick(rng, ['', 'IF NOT EXISTS '])}{table} ({cols})"
                ),
                lambda: f"CREATE TABLE {table} AS {self.query(1)}",
                lambda: f"CREATE OR REPLACE VIEW {table} AS {self.query(1)}",
                lambda: f"CREATE TABLE {table} WITH (FORMAT='parquet', x='2') AS SELECT 1",
                lambda: f"DROP TABLE IF EXISTS {table}",
                lambda: (
                    f"ALTER TABLE {table} "
                    f"{pick(rng, ['ADD COLUMN', 'DROP COLUMN', 'ALTER COLUMN'])} "
                    f"{self.name()} {pick(rng, TYPES)}"
                ),
                lambda: (
                    f"MERGE INTO {table} AS t USING {self.source(2)} ON "
                    f"{self.condition(2)} WHEN MATCHED THEN UPDATE SET a = s.b "
                    "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)"
                ),
                lambda: f"DESCRIBE {table}",
                lambda: f"DROP VIEW {table} CASCADE",
                lambda: (
                    f"CREATE {pick(rng, ['', 'UNIQUE '])}INDEX {self.name()} ON {table} "
                    f"USING btree ({self.name()}, {self.name()} DESC)"
                ),
                lambda: "CREATE FUNCTION f(a INT) RETURNS INT AS $$ SELECT a + 1 $$ LANGUAGE SQL",
                lambda: f"ANALYZE TABLE {table}",
                lambda: f"CREATE FUNCTION f() AS 'SELECT {self.name()}'",
                lambda: f"COMMENT ON TABLE {table} IS {sql_string(rng)}",
                lambda: f"INSERT INTO {table} {self.query(1)}",
                lambda: (
                    f"INSERT OVERWRITE TABLE {table} VALUES ({self.literal()}, {self.literal()})"
                ),
                lambda: (
                    f"UPDATE {table} SET {self.name()} = {self.expression(1)} FROM "
                    f"{self.source(2)} WHERE {self.condition(1)}"
                ),
                lambda: f"DELETE FROM {table} WHERE {self.condition(1)}",
                lambda: f"TRUNCATE TABLE {table}",
                lambda: f"CACHE TABLE {table}",
                lambda: f"GRANT SELECT, INSERT ON {table} TO {self.name()}",
                lambda: f"SHOW COLUMNS FROM {table}",
                lambda: f"CREATE SCHEMA {self.name()}",
                lambda: (
                    f"CREATE TRIGGER trg AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION f()"
                ),
                lambda: f"PRAGMA table_info({table})",
                lambda: f"SET {self.name()} = {self.literal()}",
                lambda: f"EXPLAIN {self.query(1)}",
                lambda: f"COPY {table} FROM 's3://b/{word(rng)}.csv' CSV HEADER",
                lambda: f"CALL {pick(rng, FUNCTIONS)}({self.literal()})",
                lambda: f"SELECT {self.literal()}; SELECT {self.literal()}",
                lambda: "VALUES (1, 2), (3, 4)",
                lambda: f"BEGIN; {self.query(1)}; COMMIT",
                lambda: f"CREATE SEQUENCE seq START WITH {rng.randint(1, 9)}",
                lambda: f"USE {self.name()}",
            ],
        )()


def fragment(rng):
    """A piece of SQL as a builder, a test or a filter field holds it."""
    writer = Writer(rng)
    return pick(rng, [writer.expression, writer.condition, writer.column, writer.literal])()


COMMENT_WORDS = [
    "total per user",
    "todo: index",
    "fixed in v2",
    "x",
    "join keys",
    "comment",
    "see report",
    "noqa",
    "{name: daily}",
    "app:web",
    "q1",
    "don't touch",
    "= totals =",
]


def annotate(rng, text):
    """Comments where people and tools put them: before, at the end of a line, inside."""
    note = pick(rng, COMMENT_WORDS)
    return pick(
        rng,
        [
            f"-- {note}\n{text}",
            f"/* {note} */ {text}",
            f"{text} -- {note}",
            f"{text} /* {note} */",
            text.replace(" FROM ", f" -- {note}\nFROM ", 1),
            text.replace(" FROM ", f" /* {note} */ FROM ", 1),
            f"{text}; -- {note}",
            text.replace(",", f", -- {note}\n", 1),
            f"--{note}\n{text}",
        ],
    )


def statement(rng):
    writer = Writer(rng)
    draw = rng.random()
    text = writer.query() if draw < 0.68 else writer.definition() if draw < 0.9 else fragment(rng)
    if writer.commented:
        text = annotate(rng, text)
    draw = rng.random()
    if draw < 0.2:
        text = text.lower()
    elif draw < 0.24:
        text = text.upper()
    if rng.random() < 0.25:
        for key in (" FROM ", " WHERE ", " GROUP BY ", " ORDER BY ", " JOIN ", " AND ", " UNION "):
            text = text.replace(
                key, pick(rng, ["\n", "\n  ", "\n    "]) + key.strip() + pick(rng, [" ", "\n  "])
            )
    if rng.random() < 0.15:
        text = text.rstrip() + ";"
    if rng.random() < 0.01:
        text = (
            text.replace("'", f"'{pick(rng, CITIES).replace(chr(39), chr(39) * 2)} ", 1)
            if text.count("'") == 2
            else text
        )
    return text
