"""Ordinary traffic of whole sites for `api-watch`: each profile is one site with a vocabulary, a
framework, trackers and interfaces of its own, so that a site can be held back as a whole.

A site that nobody has seen differs from the others in habits, not in single values: how its
framework names fields, what its ad servers put where they forgot to fill something in, in which
language its visitors write, what its interface calls an operator. Seeded, written from scratch.
"""

import json
import random
from urllib.parse import quote, quote_plus

from . import api_benign, sql_values
from .api_attack import multipart
from .api_documents import date, envelope, opaque_short, rich, table, tree, xml
from .api_habits import ENDS, FRAMEWORKS, MACROS, MARKS, OPERATORS, REDIRECTS
from .api_languages import NAMES, WORDS
from .sql_values import number, opaque, pick


def some(rng, site, text):
    """A template of this site filled in: w a word, W it in capitals, n a number, o opaque."""

    def known(key):
        return {
            "w": lambda: site.word(rng),
            "W": lambda: site.word(rng).upper(),
            "n": lambda: str(rng.randint(0, 10 ** rng.randint(1, 7))),
            "o": lambda: opaque_short(rng),
        }[key]()

    out, at = [], 0
    while at < len(text):
        if text[at : at + 2] in ("{{", "}}"):
            out.append(text[at])
            at += 2
        elif text[at] == "{" and text[at + 2 : at + 3] == "}" and text[at + 1] in "wWno":
            out.append(known(text[at + 1]))
            at += 3
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


class Site:
    """The habits of one site."""

    def __init__(self, rng):
        self.words = [sql_values.word(rng) for _ in range(40)]
        self.words += rng.sample(api_benign.TOPICS, 8)
        self.languages = rng.sample(list(WORDS), rng.randint(1, 3))
        self.framework = FRAMEWORKS[pick(rng, list(FRAMEWORKS))]
        self.case = pick(rng, [str, str, snake, camel, str.capitalize, str.upper, kebab])
        self.macros = rng.sample(MACROS, 4)
        self.trackers = [Tracker(rng, self) for _ in range(rng.randint(2, 5))]
        self.operators = pick(rng, OPERATORS)
        self.kinds = rng.sample(list(KINDS), rng.randint(3, 7))
        self.hosts = [f"{sql_values.word(rng)}.{pick(rng, ENDS)}" for _ in range(6)]

    def word(self, rng):
        return pick(rng, self.words)

    def key(self, rng):
        return self.case(
            f"{self.word(rng)} {self.word(rng)}" if rng.random() < 0.4 else self.word(rng)
        )

    def text(self, rng):
        """What visitors write, in one of the site's languages."""
        words = WORDS[pick(rng, self.languages)]
        draw = rng.random()
        if draw < 0.15:
            return pick(rng, NAMES)
        made = [pick(rng, words) for _ in range(rng.randint(1, 9))]
        if rng.random() < 0.3:
            made[0] = made[0].capitalize()
        if draw < 0.25:
            made[-1] += pick(
                rng,
                [
                    " (" + pick(rng, words) + ")",
                    " & Co.",
                    "!",
                    "?",
                    " – " + pick(rng, words),
                    ": " + pick(rng, words),
                    " / " + pick(rng, words),
                    "…",
                    " #" + str(rng.randint(1, 99)),
                    ' "' + pick(rng, words) + '"',
                    " '" + pick(rng, words) + "'",
                    " +" + pick(rng, words),
                ],
            )
        return " ".join(made)

    def macro(self, rng):
        return some(rng, self, pick(rng, self.macros))

    def host(self, rng):
        return pick(rng, self.hosts)

    def scalar(self, rng):
        return pick(rng, [self.word, self.text, number, opaque, self.text, self.word])(rng)


def snake(text):
    return text.replace(" ", "_")


def kebab(text):
    return text.replace(" ", "-")


def camel(text):
    first, *rest = text.split(" ")
    return first + "".join(word.capitalize() for word in rest)


class Tracker:
    """One measuring or advertising service: its names, marks, and where it sends visitors."""

    def __init__(self, rng, site):
        self.names = [
            pick(rng, ["", "", "_", "u", "c", "ev_", "x-", "ad_", "h."])
            + sql_values.word(rng)[: rng.randint(1, 6)]
            for _ in range(8)
        ]
        self.mark, self.pair = pick(rng, MARKS), pick(rng, "=:,.~-/_|")
        self.back = pick(rng, REDIRECTS)
        self.path = some(
            rng,
            site,
            pick(
                rng,
                [
                    "/{w}.gif",
                    "/{w}/{w}",
                    "/pixel",
                    "/b/ss/{w},{w}/1/H.{n}/s{n}",
                    "/{w}.ashx",
                    "/r/collect",
                    "/ad/{w}.{w}/{w};sz=300x250;ord={n}",
                    "/sync",
                    "/cm",
                    "/{n}/{w}.js",
                    "/jpt",
                    "/usersync/{w}",
                    "/imp;{w}={n};{w}={n}",
                    "/i.match",
                    "/{w}.php",
                    "/cms/v1",
                    "/getuid",
                    "/{w}/bid",
                ],
            ),
        )
        self.end = f"{sql_values.word(rng)}.{pick(rng, ENDS)}"

    def value(self, rng, site):
        return pick(
            rng,
            [
                site.macro,
                number,
                opaque,
                site.word,
                site.text,
                lambda r: self.listed(r, site),
                lambda r: "",
            ],
        )(rng)

    def listed(self, rng, site):
        parts = [
            pick(
                rng,
                [
                    site.word,
                    number,
                    opaque_short,
                    site.macro,
                    lambda r: site.word(r) + self.pair + number(r),
                ],
            )(rng)
            for _ in range(rng.randint(2, 7))
        ]
        return self.mark.join(parts)

    def target(self, rng, site, depth=0):
        """Where it sends a visitor on: an address with macros, and another one inside."""
        scheme = pick(rng, ["http://", "https://", "//", "http:/", ""])
        pairs = [
            f"{pick(rng, self.names)}={self.value(rng, site)}" for _ in range(rng.randint(0, 4))
        ]
        if depth < 2 and rng.random() < 0.35:
            inner = self.target(rng, site, depth + 1)
            pairs.append(f"{self.back}={inner if rng.random() < 0.3 else quote(inner, safe='')}")
        tail = (
            pick(rng, ["?", "?", ";", "&", "/?", "#"])
            + pick(rng, ["&", "&", "&", ";", "&amp;"]).join(pairs)
            if pairs
            else ""
        )
        return f"{scheme}{pick(rng, [site.host(rng), self.end])}{self.path}{tail}"

    def query(self, rng, site):
        pairs = [(pick(rng, self.names), self.value(rng, site)) for _ in range(rng.randint(1, 6))]
        if rng.random() < 0.5:
            pairs.insert(rng.randint(0, len(pairs)), (self.back, self.target(rng, site)))
        style = pick(
            rng,
            [
                quote,
                quote_plus,
                lambda t: t.replace(" ", "%20").replace("&", "%26").replace("#", "%23"),
            ],
        )
        text = pick(rng, ["&", "&", "&", ";"]).join(f"{key}={style(value)}" for key, value in pairs)
        return (
            self.listed(rng, site).replace(" ", "%20").replace("#", "%23")
            if rng.random() < 0.06
            else text
        )


def track(rng, site):
    tracker = pick(rng, site.trackers)
    body = {"path": tracker.path, "query": tracker.query(rng, site)}
    if rng.random() < 0.3:
        body["headers"] = {"referer": tracker.target(rng, site)}
    return body


def form(rng, site):
    names, _, paths = site.framework
    pairs = []
    for _ in range(rng.randint(1, 6)):
        name = some(rng, site, pick(rng, names)) if rng.random() < 0.6 else site.key(rng)
        pairs.append(f"{quote(name, safe='[]$:.@')}={quote_plus(site.scalar(rng))}")
    text = "&".join(pairs)
    path = some(rng, site, pick(rng, paths))
    if rng.random() < 0.5:
        return {"path": path, "body": text}
    return {"path": path.split("?")[0], "query": text}


def page(rng, site):
    path = some(rng, site, pick(rng, site.framework[2]))
    if rng.random() < 0.4:
        path = "/" + "/".join(
            quote(
                pick(rng, [site.word, site.text, site.key])(rng),
                safe=pick(rng, ["", "'(),:;@!$*+", "'"]),
            )
            for _ in range(rng.randint(1, 4))
        )
        path += pick(
            rng,
            [
                "",
                "/",
                ".html",
                ".htm",
                ".php",
                ".aspx",
                f"-{rng.randint(1, 10**6)}",
                f".{rng.randint(1, 99)}.html",
                "?",
                f"/p{rng.randint(1, 9)}",
            ],
        )
    return {"path": path}


def search(rng, site):
    text = site.text(rng)
    text = pick(
        rng,
        [
            str,
            str,
            str.upper,
            lambda t: f'"{t}"',
            lambda t: t + "'s",
            lambda t: f"{t} -{site.word(rng)}",
            lambda t: f"({t})",
            lambda t: t.replace(" ", " + "),
            lambda t: t.replace(" ", "|"),
            lambda t: f"{t}; {site.word(rng)}",
            lambda t: f"{t} <{site.word(rng)}>",
            lambda t: (
                t
                + pick(rng, ["´", "?", "!", ";", ":", ",", ".", ")", "(", "]", "&", "%", "*", "=", "+", "-", "/"])
                + pick(rng, ["", "", " "])
            ),
        ],
    )(text)
    return {"path": "/" + site.word(rng), "query": f"{site.key(rng)}={quote_plus(text)}"}


def query(rng, site):
    """The site's own language for filters."""
    text = pick(rng, site.operators.split("¦" if "¦" in site.operators else "|"))
    text = (
        text.replace("{k}", "\0k")
        .replace("{v}", "\0v")
        .replace("{n}", "\0n")
        .replace("{{", "{")
        .replace("}}", "}")
    )
    while "\0" in text:
        text = text.replace("\0k", site.key(rng).replace(" ", ""), 1)
        text = text.replace("\0v", pick(rng, [site.word, site.word, site.text])(rng), 1)
        text = text.replace("\0n", str(rng.randint(0, 9999)), 1)
    name = pick(
        rng,
        [
            "$filter",
            "q",
            "query",
            "filter",
            "where",
            "jql",
            "search",
            "expr",
            "fq",
            "domain",
            "s",
            "condition",
        ],
    )
    if rng.random() < 0.25:
        return {"path": "/", "body": json.dumps({name: text})}
    return {
        "path": f"/{site.word(rng)}",
        "query": f"{quote(name, safe='$')}={pick(rng, [quote, quote_plus])(text)}",
    }


def interface(rng, site):
    text = json.dumps(
        envelope(rng, site),
        ensure_ascii=rng.random() < 0.5,
        indent=2 if rng.random() < 0.1 else None,
    )
    return {"path": f"/api/v{rng.randint(1, 3)}/{site.word(rng)}", "body": text}


def upload(rng, site):
    text, kind = pick(
        rng,
        [
            (table, "csv"),
            (table, "tsv"),
            (rich, "md"),
            (rich, "txt"),
            (rich, "html"),
            (lambda r, s: json.dumps(tree(r, s)), "json"),
            (lambda r, s: api_benign.binary(r), "pdf"),
            (xml, "xml"),
        ],
    )
    file = pick(
        rng,
        [
            f"{site.text(rng)}.{kind}",
            f"{site.word(rng)} ({rng.randint(1, 9)}).{kind}",
            f"{site.word(rng)}_{date(rng)[:10]}.{kind}",
        ],
    ).replace('"', "")
    return multipart(
        rng, site.key(rng), text(rng, site), file=file, kind="application/octet-stream"
    )


def document(rng, site):
    return {"path": "/" + site.word(rng), "body": pick(rng, [xml, xml, table, rich])(rng, site)}


def cookie(rng, site):
    names = [some(rng, site, pick(rng, site.framework[1])) for _ in range(2)]
    tracker = pick(rng, site.trackers)
    parts = [f"{pick(rng, names)}={pick(rng, [opaque_short, opaque])(rng).replace(';', '')}"]
    parts += [
        f"{pick(rng, tracker.names)}={pick(rng, [lambda t: quote(t, safe=''), lambda t: t.replace(';', '.')])(tracker.value(rng, site))}"
        for _ in range(rng.randint(0, 4))
    ]
    if rng.random() < 0.3:
        parts.append(f"{site.key(rng)}={quote(json.dumps(tree(rng, site, 2), ensure_ascii=False))}")
    return {"path": "/", "headers": {"cookie": "; ".join(parts)}}


def header(rng, site):
    name, text = api_benign.header(rng)
    tracker = pick(rng, site.trackers)
    if rng.random() < 0.5:
        name, text = (
            "referer",
            pick(
                rng,
                [
                    lambda: (
                        f"https://{site.host(rng)}/{site.word(rng)}?{site.key(rng)}={quote_plus(site.text(rng))}"
                    ),
                    lambda: tracker.target(rng, site),
                ],
            )(),
        )
    return {"path": "/", "headers": {name: text}}


# Kinds of traffic; a site has some of them.
KINDS = {
    f.__name__: f
    for f in (track, form, page, search, query, interface, upload, document, cookie, header)
}


def rows(sites, each, seed):
    """`each` bodies with label 0 of each of `sites` sites, which are numbered."""
    rng = random.Random(seed)
    made = []
    for at in range(sites):
        site = Site(rng)
        for _ in range(each):
            body = KINDS[pick(rng, site.kinds)](rng, site)
            made.append({"body": body, "label": 0, "source": "generated_site", "family": "sites",
                         "site": at})  # fmt: skip
    return made
