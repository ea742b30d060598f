"""What else arrives in requests: programs that name themselves, pages that refer, cookies, searches.

Semicolons, brackets, quotes, comments and keywords are at home here, and none of it is SQL.
"""

import base64
from urllib.parse import quote, quote_plus

from .sql_values import COLUMNS, NOUNS, VERBS, name, opaque, pick, sentence, short, word

SYSTEMS = [
    "Windows NT 10.0; Win64; x64",
    "Windows NT 6.1; WOW64; Trident/7.0; rv:11.0",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; U; Linux i686; en-US; rv:1.9.{n}",
    "iPhone; CPU iPhone OS 1{d}_{d} like Mac OS X",
    "Linux; Android {d}; {w} Build/{w2}.{n}",
    "compatible; MSIE {d}.0; Windows NT 5.1; .NET CLR 2.0.{n}; InfoPath.{d}",
    "compatible; {w}Bot/{d}.{d}; +http://www.{w2}.com/bot.html",
    "PLAYSTATION 3; {d}.00",
]
ENGINES = [
    "AppleWebKit/{n}.{d} (KHTML, like Gecko) Chrome/{n}.0.{n}.{d} Safari/{n}.{d}",
    "Gecko/20{d}0101 Firefox/{n}.0",
    "AppleWebKit/{n}.{d}+ (KHTML, like Gecko) Version/{d}.{d} Mobile/{d}E{n} Safari/{n}",
    "Presto/2.{d}.{n} Version/{d}.{n}",
    "Chrome/{n} ({w} {w2}, '{w}')",
    "(KHTML, like Gecko; compatible; {w}/{d}.{d}) [{w2};FBAN/FBIOS;FBAV/{n}.0;FBBV/{n}]",
]
PROGRAMS = [
    "{w}/{d}.{d}.{n}",
    "{w}-{w2}/{d}.{d} ({w}@{w2}.org)",
    "python-requests/2.{n}.{d}",
    "curl/7.{n}.0 ({w}-pc-linux-gnu) lib{w}/7.{n} OpenSSL/1.0.{d} zlib/1.2.{d}",
    "Java/1.{d}.0_{n}",
    "okhttp/{d}.{d}.{d}",
    "Wget/1.{n} (linux-gnu)",
    "{w} (unknown version) CFNetwork/{n}.{d} Darwin/{d}.{d}.0 (x86_64)",
    "Tiny {w} RSS/{d}.{d} (http://{w2}.net/; {n} subscribers; feed-id={n}{n})",
    "\"{w} {w2}/{d}\"",
    "'{w}/{d}.{d}; +https://{w2}.io/about'",
    "Mozilla/5.0 ({w}'s reader; {w2}; {n})",
]
COOKIE_NAMES = ["session", "sid", "_ga", "_gid", "csrftoken", "prefs", "cart", "lang", "auth", "utm"]
SEARCHES = [
    '"{s}" OR "{t}"',
    "{s} AND NOT {t}",
    "site:{w}.com {s}",
    "{s} -{w} filetype:pdf",
    "how to {v} {o} in {w}",
    "{v} {o} where {c} is {w}",
    "{v} {o} from {w} group by {c} example",
    "what is select * from",
    "union {o} {w} jobs",
    "difference between {v} and {v2}; {o}?",
    "{c}:{w} {c}:[{n} TO *] ({s} OR {t}~2)",
    "'{s}'",
    "{s} (or {t})",
    "{w} -- {s}",
    "{w} #{n} /* {t} */",
    "error 1064 near '{w}' at line {d}",
    "{c}=='{w}' && {c}!={n}",
]
TRACKING = ["utm_source", "gclid", "fbclid", "ref", "q", "sa", "ved", "usg", "ei", "cd", "rct"]


def filled(rng, template):
    return template.format(
        w=word(rng),
        w2=word(rng).capitalize(),
        s=word(rng) if rng.random() < 0.5 else sentence(rng)[:40],
        t=f"{word(rng)} {pick(rng, NOUNS)}",
        c=pick(rng, COLUMNS),
        v=pick(rng, VERBS),
        v2=pick(rng, VERBS).upper(),
        o=pick(rng, NOUNS),
        n=rng.randint(1, 999),
        d=rng.randint(1, 9),
    )


def agent(rng):
    """How a browser, a crawler or a library calls itself."""
    if rng.random() < 0.35:
        return filled(rng, pick(rng, PROGRAMS))
    text = f"Mozilla/{rng.choice([4, 5])}.0 ({pick(rng, SYSTEMS)}) {pick(rng, ENGINES)}"
    if rng.random() < 0.2:
        text += " " + pick(rng, PROGRAMS)
    return filled(rng, text)


def search(rng):
    return filled(rng, pick(rng, SEARCHES))


def tracked(rng):
    """A query string as search engines and campaigns make them, at times with another inside."""
    parts = []
    for _ in range(rng.randint(1, 9)):
        key = pick(rng, TRACKING) if rng.random() < 0.6 else f"{word(rng)}[{pick(rng, COLUMNS)}][]"
        value = pick(rng, [opaque, search, short, name, word])(rng)
        parts.append(f"{key}={quote_plus(value)}" if rng.random() < 0.9 else key)
    return pick(rng, ["&", "&", "&", "&amp;", ";"]).join(parts)


def referer(rng):
    place = f"http{pick(rng, ['', 's'])}://{pick(rng, ['www.', '', 'm.'])}{word(rng)}.com"
    path = "/".join(short(rng).replace(" ", "-") for _ in range(rng.randint(0, 4)))
    text = f"{place}/{path}"
    if rng.random() < 0.6:
        text += "?" + tracked(rng)
    if rng.random() < 0.15:
        text += "&url=" + quote(f"{place}/?{tracked(rng)}", safe="")
    return text + (f"#{word(rng)}='{word(rng)}'" if rng.random() < 0.05 else "")


def cookie(rng):
    parts = []
    for _ in range(rng.randint(1, 6)):
        value = pick(rng, [opaque, word, lambda r: quote(tracked(r), safe=""), packed])(rng)
        parts.append(f"{pick(rng, COOKIE_NAMES)}={value}")
    return "; ".join(parts)


def packed(rng):
    """A structure of strings as PHP, or a list of settings as a page stores it."""
    text = word(rng)
    forms = [
        f'a:1:{{s:{len(text)}:"{text}";i:{rng.randint(0, 99)};}}',
        f"{text}:{rng.randint(0, 9)}|{word(rng)}:'{word(rng)}'|x",
        base64.b64encode(f'{{"{text}":{rng.randint(0, 99)}}}'.encode()).decode(),
        f"%7B%22{text}%22%3A%22{word(rng)}%22%7D",
        f"({text};{rng.randint(1, 9)};{word(rng)})",
    ]
    return pick(rng, forms)


def file_name(rng):
    """A path's last piece with what people put into names of files and pages."""
    forms = [
        f"{word(rng)} ({rng.randint(1, 9)}).pdf",
        f"{word(rng)}--{word(rng)}---{rng.randint(1, 99)}.html",
        f"{word(rng)}'s-{word(rng)}_v{rng.randint(1, 9)}.{rng.randint(0, 9)}.tar.gz",
        f"{pick(rng, VERBS)}-{pick(rng, NOUNS)}-from-{word(rng)}-or-{word(rng)}",
        f"{word(rng)};jsessionid={rng.randbytes(8).hex().upper()}",
        f"{word(rng)}@2x~{word(rng)}!{rng.randint(1, 999)}.png",
        f"wiki:{word(rng)}:{word(rng)}*,{rng.randint(1, 9)}",
        f"+{word(rng)}+{word(rng)}+-+{word(rng)}+%28{word(rng)}%29",
        f"%27{word(rng)}%27,%20{word(rng)}",
    ]
    return pick(rng, forms)


def value(rng):
    draw = rng.random()
    for share, make in ((0.25, agent), (0.45, referer), (0.6, tracked), (0.75, search)):
        if draw < share:
            return make(rng)
    return pick(rng, [cookie, packed, file_name])(rng)
