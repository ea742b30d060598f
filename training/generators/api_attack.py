"""Attacks for `api-watch`: a payload, a disguise, and the place of a request where it stands.

Seeded and written from scratch; families in `api_payloads`, SQL injection from `sql_attack`.
"""

import base64
import html
import json
import random
from urllib.parse import quote, quote_plus

from . import api_probes as payloads
from . import sql_attack, sql_values
from .sql_values import pick, word

# How often SQL injection is drawn, beside the weights of `payloads.FAMILIES`.
SQL_WEIGHT = 5.0


def mixed(rng, text):
    return "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in text)


def entities(rng, text):
    form = pick(rng, ["&#{};", "&#x{:x};", "&#{}", "&#0000{};"])
    return "".join(form.format(ord(c)) if rng.random() < 0.6 and ord(c) < 128 else c for c in text)


def disguise(rng, text, family):
    """Case, blanks, encodings; mostly none."""
    draw = rng.random()
    if draw < 0.06:
        text = mixed(rng, text) if family in ("xss", "sql_injection") else text
    elif draw < 0.09:
        text = text.replace(
            " ", pick(rng, ["/**/", "\t", "  ", "\n", "+", "%20", "${IFS}", "\x0b"])
        )
    elif draw < 0.14:
        text = quote(text, safe="")
    elif draw < 0.17:
        text = quote(quote(text, safe=""), safe="")
    elif draw < 0.19:
        text = "".join(f"%{ord(c):02x}" if ord(c) < 128 else c for c in text)
    elif draw < 0.21:
        text = entities(rng, text) if family == "xss" else text
    elif draw < 0.22:
        text = html.escape(text)
    elif draw < 0.24:
        text = "".join(f"\\u00{ord(c):02x}" if c in "<>'\"(){}$" else c for c in text)
    elif draw < 0.25:
        text = "".join(f"\\x{ord(c):02x}" if c in "<>'\"()" else c for c in text)
    elif draw < 0.26:
        text = "".join(f"%u00{ord(c):02x}" if c in "'\"<>=() /." else c for c in text)
    elif draw < 0.27:
        text = "".join(chr(ord(c) + 0xFEE0) if c in "'\"()=<>/" else c for c in text)
    return text


def embedded(rng, text):
    """Within ordinary text; mostly alone."""
    draw = rng.random()
    if draw < 0.10:
        text = f"{sql_values.sentence(rng)} {text}"
    elif draw < 0.16:
        text = f"{text} {sql_values.sentence(rng)}"
    elif draw < 0.20:
        text = f"{word(rng)} {text} {word(rng)}"
    elif draw < 0.22:
        text = f"https://{word(rng)}.com/{word(rng)}?{word(rng)}={text}&{word(rng)}=1"
    elif draw < 0.24:
        text = json.dumps({word(rng): text})
    elif draw < 0.26:
        text = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return text


def payload(rng):
    """A family and one of its payloads."""
    names = list(payloads.FAMILIES)
    weights = [payloads.FAMILIES[name][1] for name in names]
    family = rng.choices([*names, "sqlmap"], [*weights, SQL_WEIGHT])[0]
    if family == "sqlmap":
        family = "sql_injection"
        text = sql_attack.value(rng) if rng.random() < 0.85 else sql_attack.bare(rng)
        if rng.random() < 0.4:
            text = sql_attack.disguise(rng, text)
    else:
        text = payloads.FAMILIES[family][0](rng)
    return family, disguise(rng, text, family)


def in_path(text):
    return "".join(
        c if c in "/;=:@!$&'()*+,~|<>\"{}`^[]." or c.isalnum() else quote(c, safe="") for c in text
    )


def multipart(rng, name, text, file=None, kind=None):
    edge = "----WebKitFormBoundary" + payloads.tag(rng) * 2
    file = f'; filename="{file}"' if file is not None else ""
    kind = f"Content-Type: {kind}\r\n" if kind else ""
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{kind}\r\n'
        f"{text}\r\n--{edge}--\r\n"
    )
    return {
        "path": "/",
        "headers": {"content-type": f"multipart/form-data; boundary={edge}"},
        "body": body,
    }


def value_body(rng, text):
    """A request that carries a value, in one of the places for values."""
    name = word(rng)
    draw = rng.random()
    if draw < 0.45:
        return {"path": "/", "query": f"{name}={pick(rng, [quote, quote_plus])(text)}"}
    if draw < 0.5:
        raw = text.replace("&", "%26").replace("#", "%23").replace("+", "%2b")
        return {"path": "/", "query": f"{name}={raw}"}
    if draw < 0.65:
        return {"path": "/", "body": f"{name}={quote_plus(text)}"}
    if draw < 0.82:
        return {"path": "/", "body": json.dumps({name: text}, ensure_ascii=rng.random() < 0.5)}
    if draw < 0.92:
        return {"path": "/", "headers": {"cookie": f"{name}={quote(text, safe='')}"}}
    return multipart(rng, name, text)


def body(rng):
    """One malicious body with nothing else in it, and its family."""
    draw = rng.random()
    if draw < 0.03:
        return "webshell", multipart(rng, word(rng), word(rng), file=payloads.script_name(rng))
    if draw < 0.06:
        name = payloads.strange_name(rng) if rng.random() < 0.6 else payloads.nosql_name(rng)
        return "strange_name", {"path": "/", "query": quote(name, safe="[]$.") + "=1"}
    if draw < 0.12:
        return "probe", {"path": payloads.probe(rng)}
    if draw < 0.14:
        return "agent", {"path": "/", "headers": {"user-agent": payloads.agent(rng)}}
    family, text = payload(rng)
    if draw < 0.22:
        return family, {"path": "/" + in_path(text).lstrip("/")}
    text = embedded(rng, text)
    if draw < 0.28:
        name = pick(
            rng,
            [
                "referer",
                "x-forwarded-for",
                "user-agent",
                "x-api-version",
                "accept",
                "host",
                "authorization",
                "content-type",
                "origin",
                "x-" + word(rng),
            ],
        )
        return family, {"path": "/", "headers": {name: text}}
    if draw < 0.36 or family in ("xxe", "deserialization") and draw < 0.75:
        if rng.random() < 0.5:
            return family, {"path": "/", "body": text}
        file = f"{word(rng)}.{pick(rng, ['jpg', 'png', 'txt', 'xml', 'csv', 'pdf'])}"
        lead = pick(rng, ["", "", "GIF89a", "\x89PNG\r\n\x1a\n", sql_values.sentence(rng) + "\n"])
        return family, multipart(rng, word(rng), lead + text, file=file, kind="image/png")
    return family, value_body(rng, text)


def rows(count, seed):
    """`count` bodies with label 1."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        family, request = body(rng)
        made.append({"body": request, "label": 1, "source": "generated_attack", "family": family})
    return made
