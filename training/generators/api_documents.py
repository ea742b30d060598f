"""Documents of simulated sites: JSON of interfaces and hooks, GraphQL, rich text, tables, XML."""

import base64
from urllib.parse import quote

from . import api_benign
from .api_languages import NAMES
from .sql_values import number, opaque, pick


def opaque_short(rng):
    raw = rng.randbytes(rng.randint(4, 16))
    return pick(
        rng,
        [
            raw.hex(),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
            str(rng.randint(10**6, 10**12)),
        ],
    )


def tree(rng, site, depth=0):
    """JSON as interfaces send it: names by the site's habit, texts of people, lists, nested."""
    if depth > 3 or depth > 0 and rng.random() < 0.45:
        return pick(
            rng,
            [
                site.text,
                site.text,
                site.word,
                opaque,
                number,
                lambda r: r.randint(0, 10**6),
                lambda r: None,
                lambda r: True,
                lambda r: r.random() * 1000,
                lambda r: date(r),
                lambda r: (
                    f"https://{site.host(r)}/{site.word(r)}/{r.randint(1, 9999)}?{site.word(r)}={site.word(r)}"
                ),
                lambda r: rich(r, site),
                lambda r: site.macro(r) if r.random() < 0.2 else site.word(r),
            ],
        )(rng)
    if depth and rng.random() < 0.3:
        return [tree(rng, site, depth + 1) for _ in range(rng.randint(0, 4))]
    return {site.key(rng): tree(rng, site, depth + 1) for _ in range(rng.randint(1, 6))}


def date(rng):
    return f"20{rng.randint(10, 30)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}{pick(rng, ['Z', '+02:00', '.123Z', '-0800'])}"


def rich(rng, site):
    """Text with the marks of Markdown, wikis, boards, chats and editors."""
    t, w = site.text, site.word
    return pick(
        rng,
        [
            lambda: (
                f"# {t(rng)}\n\n{t(rng)}\n\n- {t(rng)}\n- [ ] {t(rng)}\n\n```{pick(rng, ['', 'sh', 'js', 'sql', 'py'])}\n{api_benign.fill(rng, pick(rng, api_benign.PROGRAM))}\n```\n"
            ),
            lambda: (
                f"{t(rng)} **{w(rng)}** _{w(rng)}_ [{t(rng)}](https://{site.host(rng)}/{w(rng)}) ![{w(rng)}]({w(rng)}.png)"
            ),
            lambda: (
                f"[b]{t(rng)}[/b] [url=https://{site.host(rng)}/]{w(rng)}[/url] [quote={w(rng)}]{t(rng)}[/quote]"
            ),
            lambda: (
                f"== {t(rng)} ==\n'''{w(rng)}''' ''{w(rng)}'' [[{w(rng)}|{t(rng)}]] {{{{{w(rng)}|{w(rng)}={t(rng)}}}}} <ref name=\"{w(rng)}\">{t(rng)}</ref>"
            ),
            lambda: (
                f"<p>{t(rng)}</p>\n<p><strong>{t(rng)}</strong> &mdash; <em>{w(rng)}</em></p><ul><li>{t(rng)}</li></ul>"
            ),
            lambda: (
                f'<div><span data-{w(rng)}="{rng.randint(1, 99)}" class="{w(rng)} {w(rng)}">{t(rng)}</span><br></div>'
            ),
            lambda: (
                f"<@U{opaque_short(rng)}> {t(rng)} :{w(rng)}: <https://{site.host(rng)}|{w(rng)}> `{w(rng)}`"
            ),
            lambda: f"@{w(rng)} {t(rng)} #{w(rng)} 😀 {t(rng)}",
            lambda: (
                f"{t(rng)},\r\n\r\n{t(rng)}\r\n-- \r\n{pick(rng, NAMES)}\r\nTel.: +{rng.randint(1, 99)} / {rng.randint(100, 9999)}-{rng.randint(100, 9999)}"
            ),
            lambda: (
                f"> {t(rng)}\n\n{t(rng)} ~~{w(rng)}~~ | {w(rng)} | {w(rng)} |\n|---|:-:|\n| {t(rng)} | {rng.randint(1, 99)} |"
            ),
            lambda: (
                f"Am {rng.randint(1, 28)}.{rng.randint(1, 12)}. schrieb {pick(rng, NAMES)} <{w(rng)}@{site.host(rng)}>:\n> {t(rng)}\n{t(rng)}"
            ),
            lambda: api_benign.document(rng),
        ],
    )()


def table(rng, site):
    """Lines of a spread sheet or of a log, as uploads and imports have them."""
    mark = pick(rng, [",", ";", "\t", "|"])
    head = mark.join(site.key(rng) for _ in range(rng.randint(2, 6)))
    cells = [
        number,
        site.text,
        site.text,
        opaque_short,
        date,
        lambda r: "",
        lambda r: f'"{site.text(r)}{mark} {site.text(r)}"',
        lambda r: f"={pick(r, ['SUM', 'IF', 'VLOOKUP'])}(A{r.randint(1, 99)}:B{r.randint(1, 99)})",
    ]
    lines = [
        mark.join(pick(rng, cells)(rng) for _ in head.split(mark)) for _ in range(rng.randint(2, 8))
    ]
    return pick(rng, ["\n", "\r\n"]).join([head, *lines])


def graph(rng, site):
    """A GraphQL request with fields, arguments and variables of the site."""
    k, w = site.key, site.word
    fields = " ".join(k(rng).replace(" ", "") for _ in range(rng.randint(1, 6)))
    text = pick(rng, [
        f"query {w(rng).capitalize()}($id: ID!, $first: Int = 10) {{\n  {w(rng)}(id: $id, first: $first) {{ {fields} __typename }}\n}}",
        f"mutation {{ {w(rng)}(input: {{{w(rng)}: \"{w(rng)}\", {w(rng)}: {rng.randint(1, 99)}}}) {{ {w(rng)} {{ id }} userErrors {{ field message }} }} }}",
        f"{{ {w(rng)}(where: {{{w(rng)}: {{_eq: \"{w(rng)}\"}}}}, orderBy: {{{w(rng)}: DESC}}) {{ ...{w(rng)}F }} }} fragment {w(rng)}F on {w(rng).capitalize()} {{ {fields} }}",
        f"subscription {{ {w(rng)}Added({w(rng)}: [{w(rng).upper()}]) {{ {fields} ... on {w(rng).capitalize()} @include(if: $x) {{ {w(rng)} }} }} }}",
    ])  # fmt: skip
    return {
        "operationName": w(rng),
        "query": text,
        "variables": tree(rng, site, 1),
        "extensions": {"persistedQuery": {"version": 1, "sha256Hash": rng.randbytes(32).hex()}},
    }


def envelope(rng, site):
    """What hooks, queues, JSON-RPC, OData, browsers' reports and telemetry wrap their data in."""
    data, w = tree(rng, site), site.word
    return pick(rng, [
        lambda: data,
        lambda: data,
        lambda: graph(rng, site),
        lambda: graph(rng, site),
        lambda: {"jsonrpc": "2.0", "id": rng.randint(1, 99), "method": f"{w(rng)}.{w(rng)}", "params": pick(rng, [data, [w(rng), data], {"args": [[["name", "ilike", site.text(rng)]]], "kwargs": {}}])},
        lambda: {"@odata.context": f"$metadata#{w(rng)}", "value": [data], f"{w(rng)}@odata.bind": f"/{w(rng)}({rng.randint(1, 9999)})"},
        lambda: {"id": f"evt_{opaque_short(rng)}", "object": "event", "type": f"{w(rng)}.{w(rng)}.updated", "data": {"object": data, "previous_attributes": tree(rng, site, 2)}, "livemode": False},
        lambda: {"action": "opened", "pull_request": {"title": site.text(rng), "body": rich(rng, site), "html_url": f"https://{site.host(rng)}/{w(rng)}/{w(rng)}/pull/{rng.randint(1, 999)}", "diff_url": f"https://{site.host(rng)}/{w(rng)}.diff"}, "sender": {"login": w(rng), "type": "User"}},
        lambda: {"text": rich(rng, site), "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": rich(rng, site)}}]},
        lambda: {"csp-report": {"document-uri": f"https://{site.host(rng)}/{w(rng)}", "violated-directive": "script-src 'self' 'unsafe-inline'", "blocked-uri": "inline", "original-policy": f"default-src 'none'; script-src 'nonce-{opaque_short(rng)}' https://{site.host(rng)}; img-src * data:"}},
        lambda: {"exception": {"values": [{"type": "TypeError", "value": f"Cannot read properties of undefined (reading '{w(rng)}')", "stacktrace": {"frames": [{"filename": f"https://{site.host(rng)}/{w(rng)}.js", "function": f"Object.{w(rng)}", "lineno": rng.randint(1, 999), "context_line": api_benign.fill(rng, pick(rng, api_benign.PROGRAM))}]}}]}},
        lambda: {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": f"GET /{w(rng)}/{{id}}", "attributes": [{"key": "db.statement", "value": {"stringValue": f"SELECT * FROM {w(rng)} WHERE {w(rng)} = ?"}}, {"key": "http.url", "value": {"stringValue": f"https://{site.host(rng)}/{w(rng)}?{w(rng)}={w(rng)}"}}]}]}]}]},
        lambda: {"version": "4", "status": "firing", "alerts": [{"labels": {"alertname": w(rng), "instance": f"10.0.0.{rng.randint(1, 254)}:9100"}, "annotations": {"summary": site.text(rng), "description": f"{{{{ $labels.{w(rng)} }}}} is {{{{ $value }}}}"}, "generatorURL": "http://" + w(rng) + ":9090/graph?g0.expr=" + quote(w(rng) + '{a="b"} > 5')}]},
        lambda: [{"op": "replace", "path": f"/{w(rng)}/{rng.randint(0, 9)}/{w(rng)}", "value": site.text(rng)}],
        lambda: {"size": rng.randint(0, 100), "query": {"bool": {"must": [{"match": {site.key(rng): site.text(rng)}}], "filter": [{"range": {"@timestamp": {"gte": "now-15m/m", "lt": "now"}}}, {"query_string": {"query": f"{w(rng)}:\"{site.text(rng)}\" AND *"}}]}}, "aggs": {w(rng): {"terms": {"field": f"{w(rng)}.keyword"}}}},
        lambda: {"template": f"Hello {site.macro(rng)}, {site.text(rng)}", "substitutions": {site.macro(rng): site.text(rng)}},
        lambda: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{w(rng)}-{opaque_short(rng)[:5].lower()}"}, "spec": {"containers": [{"image": f"{site.host(rng)}/{w(rng)}:1.{rng.randint(0, 99)}", "command": [w(rng)], "env": [{"name": w(rng).upper(), "value": site.text(rng)}]}]}},
        lambda: {"model": f"{w(rng)}-{rng.randint(1, 9)}", "messages": [{"role": "user", "content": rich(rng, site)}], "temperature": 0.7},
    ])()  # fmt: skip


def xml(rng, site):
    """Documents and calls in XML, with schemas, namespaces and CDATA as tools write them."""
    w, t = site.word, site.text
    inner = "".join(
        f"<{k}>{t(rng).replace('&', '&amp;').replace('<', '&lt;')}</{k}>"
        for k in (w(rng) for _ in range(rng.randint(1, 4)))
    )
    return pick(rng, [
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{w(rng)} xmlns="http://{site.host(rng)}/{w(rng)}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{inner}</{w(rng)}>',
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body><{w(rng)} xmlns="urn:{w(rng)}">{inner}</{w(rng)}></s:Body></s:Envelope>',
        f"<{w(rng)}><![CDATA[{t(rng)}]]></{w(rng)}>",
        f"<methodCall><methodName>{w(rng)}.{w(rng)}</methodName><params><param><value><string>{t(rng)}</string></value></param></params></methodCall>",
        f'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_{opaque_short(rng)}" Destination="https://{site.host(rng)}/acs"><saml:Issuer>https://{site.host(rng)}</saml:Issuer></samlp:Response>',
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><g fill="none"><path d="M{rng.randint(0, 24)} {rng.randint(0, 24)}h{rng.randint(1, 9)}z"/></g></svg>',
        f'<!DOCTYPE html><html lang="en"><head><title>{t(rng)}</title></head><body>{inner}</body></html>',
        f'<cfdi:Comprobante xmlns:cfdi="http://{site.host(rng)}/{w(rng)}" Total="{rng.randint(1, 999)}.00" Fecha="{date(rng)}">{inner}</cfdi:Comprobante>',
    ])  # fmt: skip
