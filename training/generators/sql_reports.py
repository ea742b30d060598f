"""Questions answered in SQL, and what mappers write: nesting without any injection.

A comparison with a subquery, a subquery in a subquery, comma joins with aliases, aggregates over
derived tables, windows and set operations are what reports are made of. Each function here writes
one such form over a small made-up schema, so that names repeat as they do in a real database.
"""

from .sql_values import CITIES, COLUMNS, LAST, TABLES, name, pick, word

AGGREGATES = ["MAX", "MIN", "AVG", "SUM", "COUNT"]


class Schema:
    """Three tables of one application, how it aliases them, and how it writes text."""

    def __init__(self, rng):
        self.rng = rng
        self.tables = rng.sample(TABLES, 3)
        self.columns = {table: rng.sample(COLUMNS, 6) for table in self.tables}
        self.alias = rng.choice(["number", "number", "letter", "none", "none", "mapper"])
        self.quote = rng.choice(["'", "'", "'", '"', '"'])
        self.space = rng.random() < 0.9

    def named(self, at, place=0):
        """A table in FROM, and how its columns are called."""
        table = self.tables[at % 3]
        if self.alias == "none":
            return table, table if self.rng.random() < 0.3 else ""
        letter = table[0]
        short = {
            "number": f"{table}{place}" if place % 2 else f"{letter}{place}",
            "letter": f"{letter}" if not place else f"{letter}{place + 1}",
            "mapper": f"{letter}{at}_{place}_",
        }[self.alias]
        return f"{table} {self.rng.choice(['AS ', 'AS ', ''])}{short}", short

    def column(self, at, prefix):
        text = self.rng.choice(self.columns[self.tables[at % 3]])
        return f"{prefix}.{text}" if prefix else text

    def text(self):
        rng = self.rng
        text = pick(rng, [word, name, lambda r: pick(r, CITIES), lambda r: pick(r, LAST)])(rng)
        if rng.random() < 0.06:
            text = ""
        if rng.random() < 0.15:
            text = f"%{text}%"
        doubled = text.replace(self.quote, self.quote * 2)
        return f"{self.quote}{doubled}{self.quote}"

    def value(self):
        rng = self.rng
        return self.text() if rng.random() < 0.55 else str(rng.randint(0, 10 ** rng.randint(1, 6)))

    def test(self, at, prefix):
        rng, left = self.rng, self.column(at, prefix)
        draw = rng.random()
        if draw < 0.6:
            return f"{left} {rng.choice(['=', '=', '=', '>', '<', '<>', '>='])} {self.value()}"
        if draw < 0.7:
            return f"{left} LIKE {self.text()}"
        if draw < 0.8:
            return f"{left} BETWEEN {rng.randint(0, 99)} AND {rng.randint(100, 9999)}"
        if draw < 0.88:
            return f"{left} IS {rng.choice(['NOT ', ''])}NULL"
        return f"({self.test(at, prefix)} OR {self.test(at, prefix)})"

    def tests(self, at, prefix, most=3):
        return " AND ".join(self.test(at, prefix) for _ in range(self.rng.randint(1, most)))


def single(schema, at, depth, place=1):
    """One value out of a table: what a comparison is made with."""
    rng = schema.rng
    source, prefix = schema.named(at, place)
    what = schema.column(at, prefix)
    if rng.random() < 0.75:
        what = f"{rng.choice(AGGREGATES)}({what})"
    text = f"SELECT {what} FROM {source}"
    if depth > 0 and rng.random() < 0.4:
        return f"{text} WHERE {nested(schema, at, prefix, depth - 1, place + 1)}"
    if rng.random() < 0.6:
        text += f" WHERE {schema.tests(at, prefix, 2)}"
    return text


def members(schema, at, depth, place=1):
    """One column of some rows: what IN and EXISTS ask for."""
    source, prefix = schema.named(at, place)
    text = f"SELECT {schema.column(at, prefix)} FROM {source}"
    if depth > 0 and schema.rng.random() < 0.4:
        return f"{text} WHERE {nested(schema, at, prefix, depth - 1, place + 1)}"
    return f"{text} WHERE {schema.tests(at, prefix, 2)}" if schema.rng.random() < 0.75 else text


def nested(schema, at, prefix, depth=1, place=1):
    """A condition with a subquery."""
    rng, other = schema.rng, at + schema.rng.choice([0, 0, 1, 2])
    left = schema.column(at, prefix)
    gap = " " if rng.random() < 0.15 else ""
    draw = rng.random()
    if draw < 0.45:
        sign = rng.choice(["=", "=", "=", ">", "<", ">="])
        return f"{left} {sign} ({gap}{single(schema, other, depth, place)}{gap})"
    if draw < 0.75:
        no = rng.choice(["", "", "NOT "])
        return f"{left} {no}IN ({gap}{members(schema, other, depth, place)}{gap})"
    if draw < 0.88:
        source, inner = schema.named(other, place)
        inner = inner or schema.tables[other % 3]
        joined = f"{schema.column(other, inner)} = {left}"
        more = f" AND {schema.test(other, inner)}" if rng.random() < 0.6 else ""
        what = rng.choice(["1", "*", "NULL", schema.column(other, inner)])
        no = rng.choice(["", "NOT "])
        return f"{no}EXISTS (SELECT {what} FROM {source} WHERE {joined}{more})"
    sign = rng.choice(["> ALL", ">= ALL", "= ANY", "< ALL"])
    return f"{left} {sign} ({members(schema, other, depth, place)})"


def question(schema):
    """Rows that compare with other rows."""
    rng = schema.rng
    source, prefix = schema.named(0)
    what = ", ".join(schema.column(0, prefix) for _ in range(rng.choice([1, 1, 1, 2, 3])))
    what = rng.choice([what, what, what, "*", "COUNT(*)", f"DISTINCT {what}"])
    tests = [nested(schema, 0, prefix, 2)]
    tests += [schema.test(0, prefix) for _ in range(rng.choice([0, 0, 1, 2]))]
    if rng.random() < 0.15:
        tests.append(nested(schema, 0, prefix, 1, 3))
    rng.shuffle(tests)
    text = f"SELECT {what} FROM {source} WHERE {' AND '.join(tests)}"
    if rng.random() < 0.2:
        text += f" ORDER BY {schema.column(0, prefix)} {rng.choice(['DESC', 'ASC', ''])}"
        text += rng.choice(["", f" LIMIT {rng.randint(1, 20)}"])
    return text


def joined(schema):
    """Tables side by side, tied together in WHERE."""
    rng = schema.rng
    count = rng.randint(2, 5)
    sources = [schema.named(at, at) for at in range(count)]
    prefixes = [prefix or schema.tables[at % 3] for at, (_, prefix) in enumerate(sources)]
    ties = [
        f"{schema.column(at + 1, prefixes[at + 1])} = {schema.column(at, prefixes[at])}"
        for at in range(count - 1)
    ]
    tests = ties + [schema.test(0, prefixes[0]) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.2:
        tests.append(nested(schema, 0, prefixes[0], 1, count))
    rng.shuffle(tests)
    what = ", ".join(schema.column(0, prefixes[0]) for _ in range(rng.randint(1, 4)))
    what = rng.choice([what, f"DISTINCT {what}", f"COUNT(DISTINCT {what.split(',')[0]})"])
    gap = rng.choice([" , ", ", ", ", ", ","])
    return f"SELECT {what} FROM {gap.join(s for s, _ in sources)} WHERE {' AND '.join(tests)}"


def grouped(schema):
    """Groups, and groups compared with an aggregate of all groups."""
    rng = schema.rng
    source, prefix = schema.named(0)
    by, count = schema.column(0, prefix), rng.choice(["COUNT(*)", "COUNT(1)", "SUM(1)"])
    aggregate = f"{rng.choice(AGGREGATES)}({schema.column(0, prefix)})"
    text = f"SELECT {by}, {rng.choice([count, aggregate])} FROM {source}"
    if rng.random() < 0.5:
        text += f" WHERE {schema.tests(0, prefix)}"
    text += f" GROUP BY {by}"
    draw = rng.random()
    if draw < 0.3:
        text += f" HAVING {count} > {rng.randint(1, 50)}"
    elif draw < 0.55:
        inner = f"SELECT {count} AS n FROM {source} GROUP BY {by}"
        text += f" HAVING {count} = (SELECT {rng.choice(AGGREGATES)}(n) FROM ({inner}) AS counts)"
    elif draw < 0.65:
        text += f" HAVING {aggregate} > ({single(schema, 1, 0)})"
    if rng.random() < 0.4:
        text += f" ORDER BY {rng.choice([count, by, '2'])} DESC LIMIT {rng.randint(1, 20)}"
    return text


def derived(schema):
    """A table made on the way."""
    rng = schema.rng
    inner = rng.choice([grouped, question, joined])(schema)
    alias = rng.choice(["derived", "t", "x", "sub", "d0", "tmp", "counts"])
    what = rng.choice(["*", f"{alias}.*", f"MAX({alias}.n)", "COUNT(*)", "n, rank"])
    text = f"SELECT {what} FROM ({inner}) {rng.choice(['AS ', ''])}{alias}"
    return text + rng.choice(["", f" WHERE {alias}.n > {rng.randint(1, 9)}", " LIMIT 10"])


def ranked(schema):
    """The best of each group."""
    rng = schema.rng
    source, prefix = schema.named(0)
    by, order = schema.column(0, prefix), schema.column(0, prefix)
    call = rng.choice(["ROW_NUMBER()", "RANK()", "DENSE_RANK()", f"LAG({order})", f"SUM({order})"])
    window = f"{call} OVER (PARTITION BY {by} ORDER BY {order} {rng.choice(['DESC', ''])})"
    inner = f"SELECT {by}, {window} AS n FROM {source}"
    if rng.random() < 0.5:
        inner += f" WHERE {schema.tests(0, prefix)}"
    if rng.random() < 0.5:
        return f"WITH ranked AS ({inner}) SELECT * FROM ranked WHERE n = {rng.randint(1, 5)}"
    return f"SELECT * FROM ({inner}) ranked WHERE n <= {rng.randint(1, 5)}"


def chained(schema):
    """Steps, each named and used by the next."""
    rng = schema.rng
    steps = rng.sample(["recent", "totals", "active", "base", "per_day", "best", "cte"], 3)
    first = rng.choice([grouped, joined, question])(schema)
    second = f"SELECT * FROM {steps[0]} WHERE {schema.tests(0, '')}"
    text = f"WITH {steps[0]} AS ({first}), {steps[1]} AS ({second})"
    if rng.random() < 0.4:
        return f"{text} SELECT a.* FROM {steps[1]} a JOIN {steps[0]} b ON a.id = b.id"
    return f"{text} SELECT COUNT(*) FROM {steps[1]}"


def combined(schema):
    """Two lists put together, or one without the other."""
    rng = schema.rng
    parts = []
    for at in range(2):
        source, prefix = schema.named(at if rng.random() < 0.5 else 0)
        text = f"SELECT {schema.column(0, prefix)} FROM {source}"
        parts.append(f"{text} WHERE {schema.tests(0, prefix)}" if rng.random() < 0.8 else text)
    sign = rng.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "MINUS"])
    text = f" {sign} ".join(parts)
    if rng.random() < 0.2:
        text = f" {sign} ".join(f"({part})" for part in parts)
    if rng.random() < 0.2:
        text += " ORDER BY 1" + rng.choice(["", f" LIMIT {rng.randint(1, 50)}"])
    return text


def mapped(schema):
    """What object-relational mappers write: every column named, aliased and quoted."""
    rng, table = schema.rng, schema.tables[0]
    columns = schema.columns[table]
    draw = rng.random()
    if draw < 0.3:
        app = f'"{word(rng)}_{table}"'
        listed = ", ".join(f'{app}."{column}"' for column in columns)
        other = f'"{word(rng)}_{schema.tables[1]}"'
        test = f'{app}."{columns[0]}" {rng.choice(["=", "IN", ">"])} '
        test += rng.choice(["%s", "(%s, %s, %s)", "$1", schema.value()])
        tie = f'{app}."{columns[1]}" = {other}."id"'
        text = f"SELECT {listed} FROM {app} INNER JOIN {other} ON ({tie}) WHERE {test}"
        return text + rng.choice(["", f' ORDER BY {app}."id" DESC LIMIT {rng.randint(1, 100)}'])
    if draw < 0.6:
        alias = f"{table[0]}{rng.randint(0, 3)}_0"
        listed = ",".join(f"{alias}.{column}" for column in columns)
        test = f"{alias}.{columns[0]}=?" if rng.random() < 0.7 else nested(schema, 0, alias, 1)
        return f"select {listed} from {table} {alias} where {test}"
    if draw < 0.8:
        listed = ", ".join(f"{table}_1.{c} AS {table}_1_{c}" for c in columns)
        joined_ = f"LEFT OUTER JOIN {table} AS {table}_1 ON {table}_1.id = {schema.tables[1]}.id"
        return f"SELECT {listed} \nFROM {schema.tables[1]} {joined_} \nWHERE {schema.test(1, '')}"
    listed = ", ".join(f"`{table}`.`{column}`" for column in columns)
    tests = f"`{table}`.`deleted_at` IS NULL AND `{table}`.`{columns[0]}` = {schema.value()}"
    return f"SELECT {listed} FROM `{table}` WHERE {tests} LIMIT {rng.randint(1, 50)}"


FORMS = [question] * 6 + [joined] * 4 + [grouped] * 3
FORMS += [derived] * 2 + [ranked, chained] + [combined] * 2 + [mapped] * 3


def statement(rng):
    """One statement, laid out and cased as people do it."""
    text = pick(rng, FORMS)(Schema(rng))
    draw = rng.random()
    if draw < 0.25:
        text = text.lower()
    elif draw < 0.3:
        text = text.upper()
    if rng.random() < 0.1:
        text = text.replace("(", "( ").replace(")", " )")
    if rng.random() < 0.15:
        for key in (" FROM ", " WHERE ", " AND ", " GROUP BY ", " ORDER BY "):
            text = text.replace(key, "\n" + key.strip() + " ")
    return text + rng.choice(["", "", "", ";", " ;"])
