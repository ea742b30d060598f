"""Ordinary values and prose: names, numbers, tokens, JSON, paths, code, sentences.

Seeded and written from scratch. The variety of what is benign decides the rate of false alarms,
so every function stands for a habit of forms, tokens and logs; and prose happens to use
apostrophes, dashes and the words of SQL.
"""

import base64
import json
import string
import uuid
from urllib.parse import quote, quote_plus

TABLES = """users orders products customers invoices payments sessions articles comments tags
 carts cart_items shipments addresses roles permissions audit_log events devices sensors readings
 accounts transactions tickets messages threads files folders projects tasks employees departments
 suppliers inventory prices coupons reviews categories subscriptions plans notifications settings
 auth_user django_session schema_migrations ar_internal_metadata public.users sales.orders
 warehouse stock district history item new_order order_line lineitem part partsupp nation region
 pgbench_accounts pgbench_tellers pgbench_branches""".split()
COLUMNS = """id name email status created_at updated_at price quantity total user_id order_id title
 body slug description amount currency country city zip phone first_name last_name is_active type
 parent_id position token expires_at ip_address user_agent score rating sku weight color size
 password_hash last_login role locale version payload metadata state balance due_date key value
 w_id d_id c_id o_id abalance count data group order user level index""".split()
FIRST = """James Maria Wei Ahmed Olga John Anna Luis Fatima Ivan Sean Chloe Raj Yuki Lars Ines
 Brigid Kwame Noor Pat Zoë José Łukasz Søren""".split()
LAST = """O'Brien O'Connor D'Angelo Smith García N'Dour L'Heureux O'Neill Müller Ivanov Nguyen
 Khan
 McDonald van-Dijk St.John D'Souza Kim Lee Ó'Súilleabháin T'Pau Union Select Drop Table-Ronde Orr
 Andrews Null Case""".split()
ENDINGS = ["'s", "s'", ",", ";", " -", " --", " –", ":", "...", " &", "/"]
CITIES = """Coeur d'Alene|L'Aquila|Hay-on-Wye|New York|Saint-Denis|'s-Hertogenbosch|Xi'an|Orléans|
 N'Djamena|Union City|Land O'Lakes|St. John's|Winston-Salem|Port-au-Prince|Rio de Janeiro""".split(
    "|"
)
NOUNS = """report order table meeting group union committee price customer update index view key
 user password account invoice shipment delivery window row column database server ticket value
 flight city case state school project engine player season team car house tea dog book""".split()
VERBS = """select update drop insert delete create join order group show use grant call set alter
 replace explain load copy find buy see send check read write open close choose return""".split()
SMALL = """the a of in on for with and or not from by where when is as like between all any some
 into at to that which if then else having limit""".split()


MARKS = """! !! ? ?? . .. ... , : :) :-) ;) <3 & + - _ / // ~ ^ = == => -> >= <= @ $ % %% [] {} ()
 (?)
 [x] [ ] * ** | || && # ## $$ @@ !? -/- n/a (-) =/= < > << >> :: .* ^$ \\ \\n""".split()


def pick(rng, items):
    return items[rng.randrange(len(items))]


def word(rng):
    if rng.random() < 0.4:
        return pick(rng, NOUNS)
    vowels, rest = "aeiou", "bcdfghklmnprstvw"
    return "".join(pick(rng, rest) + pick(rng, vowels) for _ in range(rng.randint(1, 4)))


def name(rng):
    return f"{pick(rng, FIRST)} {pick(rng, LAST)}"


def sentence(rng):
    words = []
    for _ in range(rng.randint(3, 18)):
        draw = rng.random()
        words.append(
            pick(rng, SMALL) if draw < 0.35 else pick(rng, VERBS) if draw < 0.5 else word(rng)
        )
        if rng.random() < 0.05:
            words[-1] += pick(rng, ENDINGS)
        if rng.random() < 0.02:
            words[-1] = pick(rng, ['"', "'", "(", "“"]) + words[-1]
            words[-1] += {'"': '"', "'": "'", "(": ")", "“": "”"}[words[-1][0]]
        if rng.random() < 0.03:
            words.append(
                pick(
                    rng,
                    [
                        "don't",
                        "it's",
                        "I'm",
                        "we've",
                        "can't",
                        "o'clock",
                        "'90s",
                        "rock 'n' roll",
                        "e.g.",
                        "50%",
                        "#1",
                        "C#",
                        "A/B",
                        "$5",
                        "1=1" if rng.random() < 0.05 else "2x",
                    ],
                )
            )
        if rng.random() < 0.06:
            words.append(
                pick(
                    rng,
                    [
                        str(rng.randint(0, 3000)),
                        number(rng),
                        f"{rng.randint(1, 999)},{rng.randint(100, 999)}",
                        f"{rng.randint(0, 99)}-{rng.randint(0, 99)}",
                        f"{rng.randint(60, 80)}-70-68-71=276"
                        if rng.random() < 0.1
                        else f"{rng.randint(2, 90)}/{rng.randint(1, 30)}",
                    ],
                )
            )
    text = " ".join(words)
    if rng.random() < 0.15:
        text = text.replace("'", "’")
        text = f"{text} “{word(rng)}”" if rng.random() < 0.3 else text
    if rng.random() < 0.6:
        text = text[0].upper() + text[1:]
    return text + pick(rng, ["", ".", "!", "?", " ?", "...", " ;)", ""])


PHRASES = [
    "Please select a {n} from the {n2} and update your {n3}.",
    "I can't drop the {n} off before 5 o'clock; let's {v} it on Monday -- {f}",
    "union members {v} the {n2} where possible",
    "How do I use {v} ... from {n} where {n2} is null in my {n3}?",
    "Does anyone know if 'select * from {n}' locks the {n2}?",
    "The query SELECT {n}, {n2} FROM {t} WHERE {c} = ? is slow, what index should I create?",
    "Our tutorial explains insert into {t} and delete from {t} step by step.",
    "It's 50% off or more; select your {n} & {n2}",
    "{n} or {n2}? {n3} and {n} -- that's the question",
    "I would like to request information about the {n} database.",
    "He said \"drop {n}\" and then 'where is the {n2}?'",
    "and now the {n} from {n2}",
    "or {n} if {n2} then {n3} else {n}",
    "order by {n}",
    "group by {n}",
    "where {n} came from",
    "{n} like {n2} and {n3}",
    "exec summary of the {n}",
    "Executive {n} union 1={n2}",
    "sleep(well) and {v} {n}",
    "declare the {n} and begin the {n2}; end of {n3}",
    "having {n} or having {n2}",
    "waiting for delay of the {n}; wait for it",
    "select committee on {n} -- minutes; {n2}",
    "char {n}, concat of {n2}",
    "What's the table name? Columns and tables: {n}, {n2} (null).",
    "C:\\Users\\{f}\\{n}.sql",
    "Table {n}; drop-in replacement for {n2}",
    "if(a == b) {{ return '{n}'; }} // {n2}",
    "rock 'n' roll {n} and '{n2}' or so",
    "{f}'s {n} -- don't {v} it",
    "Q: {n}? A: '{n2}' or '{n3}'",
    '5\' 10" tall, 32" {n}',
    "the 'or' operator and the 'and' operator differ from 'xor' in {n}",
    "#{n} #{n2} ;-- {n3}",
    "Use information_schema to list tables, says the {n} manual.",
    "version() of the {n}",
    "Group A: {n}; Group B: {n2}; Union of both: {n3}",
    "--{n} --{n2}={n3}",
    "-- {f}, {n} dept.",
    "benchmark of the {n} (1000000 rows)",
    "user() {n} shows 'null' or empty",
    "{n} != {n2}",
    "Re: [{n}] {n2} / {n3}; select one",
    "<b>{n}</b> or <i>{n2}</i>",
    "1 or 2 {n}",
    "1 and 2",
    "between 5 and 10 {n}",
    "{n} > 3 and {n2} < 7",
    "a=1 or b=2 in {n}",
    "({n} or {n2}) and {n3}",
]


def phrase(rng):
    form = pick(rng, PHRASES)
    return form.format(
        n=word(rng),
        n2=word(rng),
        n3=word(rng),
        v=pick(rng, VERBS),
        f=pick(rng, FIRST),
        t=pick(rng, TABLES),
        c=pick(rng, COLUMNS),
    )


def opaque(rng):
    raw = rng.randbytes(rng.randint(3, 60))
    return pick(
        rng,
        [
            lambda: raw.hex(),
            lambda: base64.b64encode(raw).decode(),
            lambda: base64.urlsafe_b64encode(raw).decode().rstrip("="),
            lambda: str(uuid.UUID(bytes=rng.randbytes(16))),
            lambda: "0x" + raw.hex(),
            lambda: quote(base64.b64encode(raw).decode(), safe=""),
            lambda: ".".join(
                base64.urlsafe_b64encode(rng.randbytes(rng.randint(9, 80))).decode().rstrip("=")
                for _ in range(3)
            ),
            lambda: "".join(
                pick(rng, string.ascii_letters + string.digits + "-_.~!*'()")
                for _ in range(rng.randint(4, 40))
            ),
            lambda: "".join(pick(rng, string.printable[:95]) for _ in range(rng.randint(6, 20))),
            lambda: f"GA1.2.{rng.randint(1, 10**9)}.{rng.randint(10**9, 2 * 10**9)}",
            lambda: "$2b$12$" + base64.b64encode(rng.randbytes(39)).decode().replace("=", ""),
            lambda: f'W/"{raw[:8].hex()}"',
            lambda: f"sha256-{base64.b64encode(raw).decode()}",
        ],
    )()


def number(rng):
    n = rng.randint(0, 10 ** rng.randint(1, 15))
    return pick(
        rng,
        [
            lambda: str(n),
            lambda: f"-{n}",
            lambda: f"{n / 100:.2f}",
            lambda: f"{n:,}",
            lambda: f"{rng.random():.6f}",
            lambda: f"{rng.random() * 10 ** rng.randint(-9, 20):.4E}",
            lambda: ",".join(str(rng.randint(0, 999)) for _ in range(rng.randint(2, 12))),
            lambda: f"{rng.randint(1, 28):02d}/{rng.randint(1, 12):02d}/{rng.randint(1970, 2030)}",
            lambda: (
                f"20{rng.randint(10, 30)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}T"
                f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:00Z"
            ),
            lambda: (
                f"+{rng.randint(1, 99)} ({rng.randint(100, 999)}) {rng.randint(100, 999)}-"
                f"{rng.randint(1000, 9999)}"
            ),
            lambda: f"{n % 100}%",
            lambda: f"${n}",
            lambda: f"{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.1",
            lambda: f"{rng.randint(1, 50)}-{rng.randint(51, 99)}",
            lambda: f"1920x{n % 2000}",
            lambda: f"{n % 90}.{n % 999983},-{n % 179}.{n % 99991}",
            lambda: f"{n % 12}:{n % 60:02d}",
        ],
    )()


def query_string(rng):
    parts = []
    for _ in range(rng.randint(1, 6)):
        value = pick(rng, [word, number, opaque, name, sentence])(rng)
        parts.append(f"{word(rng)}={quote_plus(value)}")
    text = "&".join(parts)
    return quote(text, safe="") if rng.random() < 0.2 else text


def url(rng):
    path = "/".join(word(rng) for _ in range(rng.randint(0, 5)))
    text = f"https://{word(rng)}.{pick(rng, ['com', 'org', 'io', 'co.uk'])}/{path}"
    if rng.random() < 0.5:
        text += "?" + query_string(rng)
    return quote(text, safe="") if rng.random() < 0.25 else text


def path(rng):
    parts = [word(rng) for _ in range(rng.randint(1, 5))]
    end = pick(rng, [".html", ".js", "/", ".php", ".tar.gz", "-1.2.3.min.css", ".sql", "*.rs", ""])
    return pick(rng, ["/", "", "../", "C:\\", "./"]) + pick(rng, ["/", "/", "\\"]).join(parts) + end


def value_tree(rng, depth=0):
    if depth > 2 or rng.random() < 0.5:
        return pick(
            rng,
            [
                lambda: word(rng),
                lambda: rng.randint(0, 9999),
                lambda: None,
                lambda: True,
                lambda: name(rng),
                lambda: sentence(rng),
                lambda: rng.random(),
            ],
        )()
    if rng.random() < 0.3:
        return [value_tree(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    return {word(rng): value_tree(rng, depth + 1) for _ in range(rng.randint(1, 5))}


def json_text(rng):
    text = json.dumps(
        {word(rng): value_tree(rng) for _ in range(rng.randint(1, 4))},
        indent=2 if rng.random() < 0.1 else None,
        ensure_ascii=rng.random() < 0.5,
    )
    return quote(text) if rng.random() < 0.15 else text


CODE = [
    "for (let i = 0; i < {i}; i++) {{ {w}.push('{w2}'); }}",
    "if ({w} == '{w2}' || {w} != null) {{",
    "{w} = {w2}.get('{w}') or '{w2}'",
    "print(f'{{{w}}} -- {{{w2}}}')",
    "#include <{w}.h> // {w2}",
    "git commit -m 'update {w} -- {w2}' && git push",
    "SELECT({w}) => {w2};",
    "/* {w} */ int {w2};",
    "<div class=\"{w} {w2}\" id='{w}'>{i}</div>",
    "{w}[{i}] = {w2}({i}, '{w}'); # {w2}",
    "npm run {w} -- --{w2}={i}",
    "def {w}({w2}=None):\n    return {w2} or {i}",
    "$('{w}').{w2}()",
    "=IF(A{i}=\"{w}\",B{i},'{w2}'!C1)",
    "^[a-z]+('{w}')?$",
    "{w}->{w2}['{w}'];",
    "!{w} && {w2} || 1",
    "WHERE: {w} / {w2}",
    "a' = b' + c', f''(x)=0",
    "x = {i} and y = {i} or z",
    "{w}: {w2} # '{i}'",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{i}.0) Gecko/20100101 Firefox/{i}.0 ({w}; {w2})",
    "{w}/1.0 (+http://{w2}.com/bot.html; {i})",
    "text/html,application/xml;q=0.9,*/*;q=0.8",
    "multipart/form-data; boundary=----{w}{i}--",
    "{w}={w2}; {w2}={i}; Path=/; HttpOnly",
    "Basic {w}==",
    "en-US,en;q=0.5",
    "gzip, deflate; {w}",
    '"{w}";v="{i}", "Not)A;Brand";v="8"',
    "{w} (select) [{i}]",
    "utf8=✓&{w}[{w2}]={i}",
    '{w}:{w2} AND {w}:"{w2}" OR NOT {w}:({i} TO *)',
    "status:open AND (assignee:{w} OR label:'{w2}')",
    "(&(objectClass={w})(cn={w2}*))",
    "filter={w} eq '{w2}' and {w} gt {i}",
    "$filter=contains({w},'{w2}') or {w} lt {i}",
    "{w} = '{w2}' AND {w2} = {i} ORDER BY {w} DESC",
    "project = {w} AND status in ({w}, {w2})",
    "{w},asc;{w2},desc",
    "sort={w} desc, {w2} asc",
    "{w}({w2}: {i}) {{ id name }}",
]


def code(rng):
    return pick(rng, CODE).format(w=word(rng), w2=word(rng), i=rng.randint(0, 999))


def short(rng):
    return pick(
        rng,
        [
            lambda: word(rng),
            lambda: pick(rng, LAST),
            lambda: pick(rng, CITIES),
            lambda: name(rng),
            lambda: f"{word(rng)}@{word(rng)}.com",
            lambda: f"{word(rng)}+{word(rng)}@{word(rng)}.org",
            lambda: f"{pick(rng, LAST).lower()}@{word(rng)}.ie",
            lambda: "",
            lambda: "-",
            lambda: "*",
            lambda: pick(rng, ["null", "true", "false", "N/A", "undefined", "all", "none", "any"]),
            lambda: f"{word(rng)}-{word(rng)}-{rng.randint(1, 99)}",
            lambda: f"{word(rng)}.{word(rng)}",
            lambda: (
                f"c/ {word(rng)} {rng.randint(1, 200)}, {rng.randint(1, 9)}º {pick(rng, 'ABC')}"
            ),
            lambda: f"{rng.randint(1, 999)} {word(rng)} St. #{rng.randint(1, 99)}",
            lambda: f"#{word(rng)}",
            lambda: f"{pick(rng, VERBS)} {pick(rng, NOUNS)}",
            lambda: f"{rng.randint(1, 9)}' {word(rng)}",
            lambda: pick(rng, VERBS).upper(),
            lambda: f"{word(rng)} ({word(rng)})",
            lambda: word(rng) + "'s",
            lambda: f"[{word(rng)}]",
            lambda: pick(rng, MARKS),
            lambda: f"{pick(rng, COLUMNS)} {pick(rng, ['asc', 'desc'])}",
            lambda: f"{word(rng)}:{word(rng)}",
        ],
    )()


def param(rng):
    draw = rng.random()
    for share, make in (
        (0.22, short),
        (0.34, number),
        (0.46, opaque),
        (0.53, query_string),
        (0.58, url),
        (0.63, path),
        (0.69, json_text),
        (0.78, code),
        (0.84, name),
    ):
        if draw < share:
            text = make(rng)
            break
    else:
        text = sentence(rng)
    if rng.random() < 0.12:
        text = pick(rng, [quote, quote_plus])(text)
    return text


def sql_string(rng):
    text = pick(rng, [word, word, name, sentence, phrase, json_text, opaque, path, short])(rng)
    return "'" + text.replace("\\", "").replace("'", "''") + "'"
