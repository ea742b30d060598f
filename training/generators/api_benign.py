"""Ordinary requests for `api-watch`, part by part: what real clients put into each place.

Seeded and written from scratch. What looks like an attack and is none decides the rate of false
alarms, so rich text, code, formulas, queries of search engines and long cookies are drawn often.
"""

import base64
import json
import random
from urllib.parse import quote, quote_plus, urlencode

from . import sql_benign, sql_values
from .api_attack import multipart
from .api_vocabulary import (
    AGENTS,
    FOREIGN,
    GRAPHQL,
    MARKUP,
    PATHS,
    PROGRAM,
    SCRIPTS,
    SEARCHES,
    TOPICS,
    TRACKERS,
)
from .sql_values import name, number, opaque, pick, sentence, short, word


def fill(rng, template):
    out = []
    rest = template
    while rest:
        at = min(
            (rest.find(key) for key in ("{w}", "{n}", "{s}", "{o}", "{{", "}}") if key in rest),
            default=-1,
        )
        if at < 0:
            out.append(rest)
            break
        out.append(rest[:at])
        key = rest[at : at + 2] if rest[at : at + 2] in ("{{", "}}") else rest[at : at + 3]
        rest = rest[at + len(key) :]
        out.append(
            {
                "{w}": lambda: word(rng),
                "{n}": lambda: str(rng.randint(0, 10 ** rng.randint(1, 6))),
                "{s}": lambda: sentence(rng),
                "{o}": lambda: pick(
                    rng,
                    [
                        rng.randbytes(rng.randint(4, 16)).hex(),
                        base64.b64encode(rng.randbytes(12)).decode(),
                    ],
                ),
                "{{": lambda: "{",
                "}}": lambda: "}",
            }[key]()
        )
    return "".join(out)


def document(rng):
    """Several pieces of rich text or code after one another."""
    source = pick(rng, [MARKUP, MARKUP, PROGRAM, FOREIGN])
    return pick(rng, ["", "\n", "\r\n", " "]).join(
        fill(rng, pick(rng, source)) for _ in range(rng.randint(1, 6))
    )


def value(rng):
    draw = rng.random()
    if draw < 0.05:
        return link(rng)
    if draw < 0.08:
        return listed(rng)
    if draw < 0.30:
        return sql_values.param(rng)
    for share, source in (
        (0.38, MARKUP),
        (0.50, PROGRAM),
        (0.62, SEARCHES),
        (0.65, GRAPHQL),
        (0.73, TRACKERS),
        (0.78, FOREIGN),
    ):
        if draw < share:
            return fill(rng, pick(rng, source))
    if draw < 0.82:
        return document(rng)
    if draw < 0.85:
        return pick(rng, [sql_values.url, link, link, link, listed])(rng)
    if draw < 0.88:
        return " ".join(sentence(rng) for _ in range(rng.randint(2, 5)))
    if draw < 0.90:
        return sql_benign.prose(rng)
    if draw < 0.92:
        return short(rng)
    if draw < 0.945:
        return topical(rng)
    if draw < 0.95:
        return pick(rng, [inverted, phrase, phrase])(rng)
    if draw < 0.96:
        return name(rng)
    if draw < 0.97:
        return opaque(rng)
    return number(rng)


def inverted(rng):
    """Names as registers and atlases sort them: the article comes last."""
    article = pick(
        rng, ["L'", "El", "La", "Las", "Los", "Les", "A", "Le", "'t", "'s", "d'", "The", "O'"]
    )
    place = " ".join(word(rng).capitalize() for _ in range(rng.randint(1, 3)))
    return pick(
        rng,
        [
            f"{place}, {article}",
            f"{place} ({article})",
            f"{place} {article}",
            f"{place} d'{word(rng).capitalize()}",
            f"{article}{place}",
        ],
    )


def latin(rng, text):
    """Percent escapes of clients that send Latin-1."""
    accents = "áéíóúñçàèìòùäöüßºª"
    text = "".join(pick(rng, accents) if c in "aeioun" and rng.random() < 0.2 else c for c in text)
    return quote_plus(text.encode("latin-1", "replace"))


# Small words of several languages; many are also commands, keywords or names of code.
PARTICLES = """del de la las los el su sus para con por no os as do da dos das die der das und oder ist nicht ne pas le les
 des du ou et que en un une il lo gli di nel set top mit von zu im am an auf y o e a i if or and not more less man who date
 sort type id is at to in on for the this that self all any or by up out""".split()


def phrase(rng):
    """Names and phrases in which small words stand between others."""
    words = []
    for _ in range(rng.randint(1, 4)):
        words.append(word(rng).capitalize() if rng.random() < 0.6 else word(rng))
        words.append(pick(rng, PARTICLES))
        if rng.random() < 0.3:
            words.append(pick(rng, PARTICLES))
    words.append(word(rng).capitalize())
    return " ".join(words)


# What ad servers and mailers replace, or forget to.
MACROS = """{visitor_id} [USER_UUID] <user_id> <visit> __UID__ $UID ${UID} {{uid}} %%CACHEBUSTER%% [timestamp] {gclid} ##id## !!id!!
 {adset.name} {{campaign.name}} $!{id} <ID> [USER] ${CONSENT_12} {$id} (none) (not%20set) *|EMAIL|* %m% @@id@@""".split()


def link(rng):
    """Addresses inside parameters: redirects, pixels, callbacks, images, endpoints."""
    scheme = pick(rng, ["http://", "http://", "https://", "//", "", "http%3A%2F%2F", "https%3A//"])
    host = ".".join(word(rng) for _ in range(rng.randint(1, 3))) + pick(
        rng, [".com", ".net", ".org", ".io", ".tv", ".cn", ".de", ".co.uk"]
    )
    host += pick(rng, ["", "", "", ":8080", ":80", ":443"])
    parts = [word(rng) for _ in range(rng.randint(0, 4))]
    end = pick(
        rng,
        [
            "",
            "/",
            f"/{rng.randint(1, 9999)}",
            "." + pick(rng, SCRIPTS),
            ".gif",
            ".jpg",
            ".png",
            f"/{pick(rng, TOPICS)}",
            f";{word(rng)}={rng.randint(1, 99)}",
            f"/{word(rng)}:{word(rng)}={rng.randint(1, 999)}",
        ],
    )
    pairs = []
    for _ in range(rng.randint(0, 4)):
        value = pick(
            rng,
            [
                lambda: word(rng),
                lambda: number(rng),
                lambda: opaque(rng),
                lambda: pick(rng, MACROS),
                lambda: "",
                lambda: topical(rng),
            ],
        )()
        pairs.append(
            f"{pick(rng, [word, word, lambda r: pick(r, TOPICS), lambda r: '_' + word(r)])(rng)}={value}"
        )
    text = (
        scheme
        + host
        + "/".join(["", *parts])
        + end
        + ("?" + "&".join(pairs) if pairs else pick(rng, ["", "", "?", "#", "#/" + word(rng)]))
    )
    return pick(
        rng,
        [
            lambda: text,
            lambda: text,
            lambda: text,
            lambda: quote(text, safe=""),
            lambda: f"{word(rng)},{text}",
            lambda: f"{text},{text[:30]}",
        ],
    )()


def listed(rng):
    """Values of trackers: lists of pairs in marks of their own."""
    parts = [
        pick(
            rng,
            [
                word,
                number,
                opaque,
                lambda r: pick(r, MACROS),
                lambda r: word(r) + pick(r, ",:=.~|-") + number(r),
            ],
        )(rng)
        for _ in range(rng.randint(1, 6))
    ]
    return pick(rng, [",", "|", ";", ":", "~", "!", "*", ".", "_", "-", "^", "&", "||", "::"]).join(
        parts
    )


def topical(rng):
    """Words of attacks in ordinary company."""
    words = [
        pick(rng, TOPICS) if rng.random() < 0.6 else word(rng) for _ in range(rng.randint(1, 5))
    ]
    if rng.random() < 0.2:
        words = [w.capitalize() for w in words]
    return pick(rng, [" ", " ", " ", "-", "_", ", ", "/", " and ", " & ", ": "]).join(words)


def path(rng):
    draw = rng.random()
    if draw < 0.45:
        return fill(rng, pick(rng, PATHS))
    if draw < 0.8:
        parts = [
            pick(rng, TOPICS) if rng.random() < 0.25 else word(rng)
            for _ in range(rng.randint(1, 5))
        ]
        if rng.random() < 0.2:
            parts[0] += str(rng.randint(1, 99))
        end = pick(
            rng,
            [
                "",
                "",
                "/",
                f"/{rng.randint(1, 10**6)}",
                "." + pick(rng, SCRIPTS),
                "." + pick(rng, SCRIPTS),
                "." + pick(rng, SCRIPTS),
            ],
        )
        return "/" + "/".join(parts) + end
    if draw < 0.9:
        return "/" + topical(rng).replace(" ", pick(rng, ["-", "_", "+", "%20", "/"]))
    return "/" + quote(short(rng), safe="/'(),;@$!*")


# Names that frameworks give to fields and files.
FRAMEWORK = """__VIEWSTATE __EVENTTARGET __EVENTARGUMENT __EVENTVALIDATION __VIEWSTATEGENERATOR __RequestVerificationToken
 __typename __v _id _csrf _method _token __utma __cfduid __Host-session __Secure-id __init__.py __main__.py __tests__
 csrfmiddlewaretoken authenticity_token utf8 javax.faces.ViewState _wpnonce g-recaptcha-response __proto __args __kwargs
 SAMLResponse RelayState wp-settings-1 data[User][name] items[0][id] $select $filter $top @odata.type $schema $ref
 _ga _gid _fbp __gads __gpi __stripe_mid ASP.NET_SessionId PHPSESSID JSESSIONID connect.sid laravel_session""".split()


def parameter_name(rng):
    return pick(
        rng,
        [
            lambda: word(rng),
            lambda: f"{word(rng)}[{word(rng)}]",
            lambda: f"{word(rng)}[]",
            lambda: f"{word(rng)}.{word(rng)}",
            lambda: f"${pick(rng, ['filter', 'top', 'select', 'orderby', 'expand', 'skip'])}",
            lambda: f"{word(rng)}[{rng.randint(0, 99)}][{word(rng)}]",
            lambda: f"{word(rng)}:{word(rng)}",
            lambda: f"filter[{word(rng)}][{pick(rng, ['eq', 'gt', 'like', 'in'])}]",
            lambda: f"x-{word(rng)}",
            lambda: f"@{word(rng)}",
            lambda: f"columns[{rng.randint(0, 9)}][search][regex]",
            lambda: f"javax.faces.{word(rng)}",
            lambda: f"ctl00${word(rng)}${word(rng)}",
            lambda: f"{word(rng)} {word(rng)}",
            lambda: f"$.{word(rng)}.{word(rng)}",
            lambda: f"{word(rng)}-{word(rng)}*",
            lambda: f"({word(rng)})",
            lambda: f"utf8",
            lambda: f"_{word(rng)}",
            lambda: "dojo.preventCache",
            lambda: pick(rng, FRAMEWORK),
            lambda: pick(rng, FRAMEWORK),
        ],
    )()


def binary(rng):
    """Bytes as a body's text shows them."""
    raw = rng.randbytes(rng.randint(40, 900))
    lead = pick(
        rng,
        [
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"\xff\xd8\xff\xe0\x00\x10JFIF",
            b"PK\x03\x04",
            b"%PDF-1.4\n",
            b"",
            b"\x1f\x8b\x08",
        ],
    )
    return (lead + raw).decode(pick(rng, ["latin-1", "utf-8"]), "replace")


def header(rng):
    url = pick(rng, [sql_values.url, link])(rng)
    return pick(
        rng,
        [
            lambda: ("referer", url),
            lambda: ("referer", url),
            lambda: ("origin", url[:30]),
            lambda: (
                "x-forwarded-for",
                f"{rng.randint(1, 254)}.{rng.randint(1, 254)}.3.4, 10.0.0.{rng.randint(1, 254)}",
            ),
            lambda: (
                "content-type",
                f"multipart/form-data; boundary=----WebKitFormBoundary{opaque(rng)[:16]}",
            ),
            lambda: ("content-type", "text/xml; charset=utf-8"),
            lambda: ("content-disposition", f'attachment; filename="{word(rng)} {word(rng)}.pdf"'),
            lambda: ("if-modified-since", "Thu, 01 Jan 2020 00:00:00 GMT"),
            lambda: ("accept", "image/gif, image/x-xbitmap, */*;q='0.8'"),
            lambda: ("traceparent", f"00-{rng.randbytes(16).hex()}-{rng.randbytes(8).hex()}-01"),
            lambda: ("x-" + word(rng), fill(rng, pick(rng, TRACKERS))),
            lambda: (
                "authorization",
                f'Digest username="{word(rng)}", realm="{word(rng)}", nonce="{opaque(rng)}", uri="/{word(rng)}"',
            ),
            lambda: (
                "authorization",
                f"AWS4-HMAC-SHA256 Credential={word(rng)}/20240101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature={rng.randbytes(32).hex()}",
            ),
            lambda: ("via", f"1.1 {word(rng)} (Varnish/{rng.randint(1, 9)}.0)"),
            lambda: ("soapaction", f'"http://{word(rng)}.org/{word(rng)}"'),
            lambda: ("from", f"{word(rng)}@{word(rng)}.com"),
            lambda: ("forwarded", f'for=192.0.2.{rng.randint(1, 99)};proto=https;by="{word(rng)}"'),
            lambda: ("link", f'<https://{word(rng)}.com/?page=2>; rel="next"'),
            lambda: ("x-json", json.dumps({word(rng): number(rng)})),
            lambda: ("baggage", f"{word(rng)}={number(rng)},{word(rng)}={word(rng)}"),
            lambda: ("dpr", "1.5"),
            lambda: ("cookie2", "$Version=1"),
            lambda: ("sentry-trace", f"{rng.randbytes(16).hex()}-1"),
            lambda: ("x-csrf-token", opaque(rng)),
            lambda: ("report-to", '{"group":"' + word(rng) + '","max_age":604800}'),
        ],
    )()


def body(rng):
    """One ordinary body with one interesting part."""
    draw = rng.random()
    if draw < 0.12:
        return {"path": path(rng)}
    if draw < 0.16:
        return {"path": "/", "headers": {"user-agent": fill(rng, pick(rng, AGENTS))}}
    if draw < 0.21:
        key, text = header(rng)
        return {"path": "/", "headers": {key: text}}
    if draw < 0.25:
        return {"path": "/", "query": quote(parameter_name(rng), safe="[]$.") + "=1"}
    if draw < 0.31:
        return {
            "path": "/",
            "body": pick(
                rng,
                [
                    lambda: document(rng),
                    lambda: fill(rng, pick(rng, MARKUP[15:])),
                    lambda: binary(rng),
                    lambda: sql_values.json_text(rng),
                    lambda: "\n".join(",".join(short(rng) for _ in range(4)) for _ in range(5)),
                    lambda: json.dumps(
                        {"query": fill(rng, pick(rng, GRAPHQL)), "variables": {"id": number(rng)}}
                    ),
                ],
            )(),
        }
    if draw < 0.36:
        kind = pick(
            rng,
            ["jpg", "png", "txt", "csv", "pdf", "docx", "xml", "svg", "md", "html", "js", "json"],
        )
        text = binary(rng) if kind in ("jpg", "png", "pdf", "docx") else document(rng)
        file = pick(
            rng,
            [
                f"{word(rng)}.{kind}",
                f"{word(rng)} {word(rng)} ({rng.randint(1, 9)}).{kind}",
                f"{name(rng)}.{kind}",
                f"C:\\Users\\{word(rng)}\\{word(rng)}.{kind}",
                f"IMG_{rng.randint(1, 9999)}.{kind}",
                f"__{word(rng)}__.py",
                pick(rng, FRAMEWORK),
                f"{word(rng)}.test.{kind}",
                f"截图{rng.randint(1, 99)}.{kind}",
            ],
        )
        return multipart(rng, word(rng), text, file=file, kind="application/octet-stream")
    text = value(rng)
    key = word(rng)
    draw = rng.random()
    if draw < 0.06:
        text = pick(rng, [inverted, name, sentence, short, phrase, phrase])(rng)
        pair = f"{key}={latin(rng, text)}"
        return {"path": "/", "query": pair} if rng.random() < 0.5 else {"path": "/", "body": pair}
    if draw < 0.35:
        return {"path": "/", "query": f"{key}={pick(rng, [quote, quote_plus])(text)}"}
    if draw < 0.40:
        return {
            "path": "/",
            "query": f"{key}=" + text.replace("&", "%26").replace("#", "%23").replace("+", "%2b"),
        }
    if draw < 0.44:
        return {
            "path": "/",
            "query": urlencode(
                {
                    key: f"https://{word(rng)}.com/{word(rng)}?"
                    + urlencode({word(rng): text, "x": number(rng)})
                }
            ),
        }
    if draw < 0.60:
        return {"path": "/", "body": f"{key}={quote_plus(text)}"}
    if draw < 0.80:
        tree = (
            {key: text}
            if rng.random() < 0.6
            else {key: [{word(rng): text, word(rng): number(rng)}, sql_values.value_tree(rng)]}
        )
        return {"path": "/", "body": json.dumps(tree, ensure_ascii=rng.random() < 0.5)}
    if draw < 0.92:
        return {
            "path": "/",
            "headers": {
                "cookie": f"{key}={pick(rng, [lambda t: quote(t, safe=''), lambda t: t.replace(';', ' ')])(text)}"
            },
        }
    if draw < 0.95:
        return {"path": "/", "query": f"{key}={quote(base64.b64encode(text.encode()).decode())}"}
    return multipart(rng, key, text)


def rows(count, seed):
    """`count` bodies with label 0."""
    rng = random.Random(seed)
    return [
        {"body": body(rng), "label": 0, "source": "generated_benign", "family": "benign"}
        for _ in range(count)
    ]
