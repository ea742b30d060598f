"""Ordinary traffic of whole sites for `api-watch`: each profile is one site with a vocabulary, a
framework, trackers and interfaces of its own, so that a site can be held back as a whole.

A site that nobody has seen differs from the others in habits, not in single values: how its
framework names fields, what its ad servers put where they forgot to fill something in, in which
language its visitors write, what its interface calls an operator. Seeded, written from scratch.
"""

import base64
import json
import random
from urllib.parse import quote, quote_plus

from . import api_benign, sql_values
from .api_attack import multipart
from .api_languages import NAMES, WORDS
from .sql_values import number, opaque, pick

# Hidden fields, names in brackets and in dots, cookies and paths of families of frameworks.
FRAMEWORKS = {
    "rails": (["authenticity_token", "utf8", "_method", "{w}[{w}]", "{w}[{w}_attributes][{n}][{w}]", "{w}_ids[]", "commit"], ["_{w}_session"], ["/{w}s/{n}", "/{w}s/{n}/edit", "/{w}s.json", "/rails/active_storage/blobs/redirect/{o}/{w}.png"]),
    "django": (["csrfmiddlewaretoken", "{w}_set-{n}-{w}", "form-{n}-{w}", "form-TOTAL_FORMS", "{w}__{w}__icontains", "{w}__gte", "o", "q"], ["csrftoken", "sessionid"], ["/{w}/{n}/change/", "/admin/{w}/{w}/?q={w}", "/{w}-{w}-{n}/"]),
    "aspnet": (["__VIEWSTATE", "__EVENTTARGET", "ctl00$Main${w}$txt{w}", "ctl00$ctl{n}${w}", "__RequestVerificationToken", "{w}.{w}", "{w}[{n}].{w}"], ["ASP.NET_SessionId", ".ASPXAUTH", ".AspNetCore.Antiforgery.{o}"], ["/{w}/{w}.aspx", "/{w}/Default.aspx", "/{w}.axd", "/_layouts/15/{w}.aspx"]),
    "java": (["javax.faces.ViewState", "{w}Form:{w}:{w}", "{w}Form:j_idt{n}:{n}:{w}", "struts.token.name", "{w}.{w}.{w}", "_csrf", "execution"], ["JSESSIONID"], ["/{w}/{w}.do", "/{w}/{w}.action", "/{w}/{w}.xhtml;jsessionid={o}", "/{w}/rest/{w}/{n}"]),
    "php": (["{w}[]", "{w}[{w}][]", "PHPSESSID", "form_build_id", "form_key", "op", "option", "Itemid", "view", "task", "_wpnonce", "_wp_http_referer"], ["PHPSESSID", "wordpress_logged_in_{o}", "wp-settings-{n}", "laravel_session", "XSRF-TOKEN"], ["/index.php/{w}/{w}", "/{w}.php", "/index.php?route={w}/{w}", "/wp-json/wp/v2/{w}", "/wp-content/plugins/{w}/{w}.js", "/skin/frontend/{w}/default/css/{w}.css"]),
    "node": (["{w}", "{w}.{w}", "_csrf", "filter[where][{w}]", "filter[order]", "$limit", "$sort[{w}]", "__d", "__a"], ["connect.sid", "next-auth.session-token", "io"], ["/api/{w}/{o}", "/_next/data/{o}/{w}.json", "/socket.io/?EIO=4&transport=polling&t={o}", "/@{w}/{w}@{n}.1.0/dist/{w}.mjs"]),
    "cms": (["p", "cat", "tag", "s", "post_type", "preview_id", "customize_changeset_uuid", "{w}-{w}", "field_{w}[und][0][value]", "tx_{w}_pi1[{w}]", "tx_news_pi1[@widget_0][currentPage]", "L", "cHash", "no_cache"], ["cookieconsent_status", "fe_typo_user", "has_js"], ["/{w}/{w}/{w}.html", "/node/{n}", "/?p={n}", "/typo3temp/assets/{o}.css", "/sites/default/files/{w}.pdf", "/{w}/{w},{n}"]),
    "shop": (["super_attribute[{n}]", "variation[attribute_pa_{w}]", "add-to-cart", "pf_t_{w}", "filter.v.price.gte", "sort_by", "dwvar_{o}_{w}", "cgid", "prefn1", "prefv1", "srule", "facet.{w}"], ["_shopify_s", "cart", "cart_sig", "dwac_{o}", "frontend"], ["/products/{w}-{w}?variant={n}", "/collections/{w}/{w}+{w}", "/on/demandware.store/Sites-{w}-Site/en_US/{w}-{w}", "/catalogsearch/result/?q={w}", "/dp/{o}/ref=sr_1_{n}?keywords={w}+{w}"]),
    "enterprise": (["sap-client", "sap-ffield_b64", "sysparm_query", "sysparm_fields", "vfRetURLInFrame", "retURL", "isdtp", "jql", "expand", "cid", "p_p_id", "p_p_lifecycle", "_{n}_WAR_{w}portlet_{w}", "p_auth"], ["sap-usercontext", "BIGipServer~{w}~{w}", "glide_user_route", "LFR_SESSION_STATE_{n}"], ["/sap/opu/odata/sap/Z{w}_SRV/{w}Set('{n}')", "/nav_to.do?uri=%2F{w}.do%3Fsys_id%3D{o}", "/rest/api/2/search", "/web/guest/{w}", "/sites/{w}/_api/web/lists/getbytitle('{w}')/items", "/apex/{w}"]),
}

# What an ad server or mailer replaces, as each writes it; one in some is never replaced.
MACROS = ["[{W}]", "[{w}_{w}]", "{{{w}}}", "{{{{{w}}}}}", "%%{W}%%", "${{{W}}}", "${W}", "$${W}$$", "__{W}__", "##{W}##", "<{w}>", "<{w}_{w}>", "{{{w}.{w}}}", "{{{{{w}.{w}}}}}", "@{W}@", "!!{w}!!", "*|{W}|*", "%{w}%", "~{W}~", "[[{w}]]", "<%{w}%>", "[%{w}%]", "(({w}))", "|{W}|", "-{W}-", "{{{{ {w} }}}}", "$!{{{w}}}", "#{{{w}}}", "%{{{w}}}", "{{{w}:{w}}}", "[{w}]", "{{{{{w}|default:{w}}}}}"]
REDIRECTS = "redir redirect rd r u url ru dest destination goto next return return_to continue cb callback clickurl click adurl clu dl ref rurl tag_url forward link to out target"
REDIRECTS = REDIRECTS.split()
MARKS = ["|", ";", "~", "!", "*", "^", ",", ":", "$", "@", "#", ".", "||", "::", "--", "__", "~~", "!!", "=", "|:|"]


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


def opaque_short(rng):
    raw = rng.randbytes(rng.randint(4, 16))
    return pick(rng, [raw.hex(), base64.urlsafe_b64encode(raw).decode().rstrip("="), str(rng.randint(10**6, 10**12))])


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
        return self.case(f"{self.word(rng)} {self.word(rng)}" if rng.random() < 0.4 else self.word(rng))

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
            made[-1] += pick(rng, [" (" + pick(rng, words) + ")", " & Co.", "!", "?", " – " + pick(rng, words), ": " + pick(rng, words), " / " + pick(rng, words), "…", " #" + str(rng.randint(1, 99)), " \"" + pick(rng, words) + "\"", " '" + pick(rng, words) + "'", " +" + pick(rng, words)])
        return " ".join(made)

    def macro(self, rng):
        return some(rng, self, pick(rng, self.macros))

    def host(self, rng):
        return pick(rng, self.hosts)

    def scalar(self, rng):
        return pick(rng, [self.word, self.text, number, opaque, self.text, self.word])(rng)


ENDS = "com net org io de fr co.uk com.br co.jp tv ru pl se it info app dev cloud".split()
OPERATORS = [
    "{k} eq '{v}'|{k} gt {n} and {k} lt {n}|contains({k},'{v}')|startswith(tolower({k}),'{v}') or {k} ne null|{k}/any(x:x/{k} eq '{v}')|substringof('{v}',{k}) eq true|not ({k} in ('{v}','{v}'))|(({k} ge {n}) and ({k} le {n}))",
    "{k}:{v}|{k}:\"{v}\" AND NOT {k}:{v}|({k}:[{n} TO *] OR {k}:{v}*)|+{k}:{v} -{k}:{v}~2|{{!tag={k}}}{k}:\"{v}\"|_query_:\"{{!edismax qf='{k}'}}{v}\"|{k}:(\"{v}\" \"{v}\")^{n}",
    "{k}=gt.{n}|{k}=in.(\"{v}\",\"{v}\")|{k}=ilike.*{v}*|or=({k}.eq.{v},{k}.is.null)|select={k},{k}(*)|{k}=not.is.null|and=({k}.gte.{n},{k}.lt.{n})",
    "{k}=={v};{k}=gt={n}|{k}=in=({v},{v}),{k}!={v}|{k}=='{v}*'|{k}=like={v}",
    "{k} = \"{v}\" AND {k} in ({v}, {v}) ORDER BY {k} DESC|{k} ~ \"{v}\" OR {k} is EMPTY|{k} >= -7d AND {k} < now()|{k} = currentUser() and {k} was not \"{v}\"",
    "{k}>={n}^{k}LIKE{v}^ORDERBY{k}|{k}=javascript:gs.daysAgoStart({n})|{k}ISNOTEMPTY^{k}IN{v},{v}^EQ",
    "{k}:{v},{k}:>{n}|is:open {k}:{v} -{k}:{v}|{k}:{v}..{v} {v}|author:@me {k}:\"{v} {v}\"",
    "[[\"{k}\",\"=\",\"{v}\"],\"and\",[\"{k}\",\">\",{n}]]¦['|', ('{k}', 'ilike', '{v}'), ('{k}', '=', False)]¦{{\"{k}\":{{\"$gte\":{n}}}}}¦{{\"and\":[{{\"{k}\":\"{v}\"}},{{\"or\":[]}}]}}",
    "sum(rate({k}{{{k}=\"{v}\",{k}!~\"{v}|{v}.*\"}}[5m])) by ({k})¦{{{k}=\"{v}\"}} |~ \"{v}\" | json | line_format \"{{{{.{k}}}}}\"¦SELECT mean(\"{k}\") FROM \"{v}\" WHERE time > now() - 1h GROUP BY time($interval) fill(null)",
]


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
        self.names = [pick(rng, ["", "", "_", "u", "c", "ev_", "x-", "ad_", "h."]) + sql_values.word(rng)[: rng.randint(1, 6)] for _ in range(8)]
        self.mark, self.pair = pick(rng, MARKS), pick(rng, "=:,.~-/_|")
        self.back = pick(rng, REDIRECTS)
        self.path = some(rng, site, pick(rng, ["/{w}.gif", "/{w}/{w}", "/pixel", "/b/ss/{w},{w}/1/H.{n}/s{n}", "/{w}.ashx", "/r/collect", "/ad/{w}.{w}/{w};sz=300x250;ord={n}", "/sync", "/cm", "/{n}/{w}.js", "/jpt", "/usersync/{w}", "/imp;{w}={n};{w}={n}", "/i.match", "/{w}.php", "/cms/v1", "/getuid", "/{w}/bid"]))
        self.end = f"{sql_values.word(rng)}.{pick(rng, ENDS)}"

    def value(self, rng, site):
        return pick(rng, [site.macro, number, opaque, site.word, site.text, lambda r: self.listed(r, site), lambda r: ""])(rng)

    def listed(self, rng, site):
        parts = [pick(rng, [site.word, number, opaque_short, site.macro, lambda r: site.word(r) + self.pair + number(r)])(rng) for _ in range(rng.randint(2, 7))]
        return self.mark.join(parts)

    def target(self, rng, site, depth=0):
        """Where it sends a visitor on: an address with macros, and another one inside."""
        scheme = pick(rng, ["http://", "https://", "//", "http:/", ""])
        pairs = [f"{pick(rng, self.names)}={self.value(rng, site)}" for _ in range(rng.randint(0, 4))]
        if depth < 2 and rng.random() < 0.35:
            inner = self.target(rng, site, depth + 1)
            pairs.append(f"{self.back}={inner if rng.random() < 0.3 else quote(inner, safe='')}")
        tail = pick(rng, ["?", "?", ";", "&", "/?", "#"]) + pick(rng, ["&", "&", "&", ";", "&amp;"]).join(pairs) if pairs else ""
        return f"{scheme}{pick(rng, [site.host(rng), self.end])}{self.path}{tail}"

    def query(self, rng, site):
        pairs = [(pick(rng, self.names), self.value(rng, site)) for _ in range(rng.randint(1, 6))]
        if rng.random() < 0.5:
            pairs.insert(rng.randint(0, len(pairs)), (self.back, self.target(rng, site)))
        style = pick(rng, [quote, quote_plus, lambda t: t.replace(" ", "%20").replace("&", "%26").replace("#", "%23")])
        text = pick(rng, ["&", "&", "&", ";"]).join(f"{key}={style(value)}" for key, value in pairs)
        return self.listed(rng, site).replace(" ", "%20").replace("#", "%23") if rng.random() < 0.06 else text


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
        path = "/" + "/".join(quote(pick(rng, [site.word, site.text, site.key])(rng), safe=pick(rng, ["", "'(),:;@!$*+", "'"])) for _ in range(rng.randint(1, 4)))
        path += pick(rng, ["", "/", ".html", ".htm", ".php", ".aspx", f"-{rng.randint(1, 10**6)}", f".{rng.randint(1, 99)}.html", "?", f"/p{rng.randint(1, 9)}"])
    return {"path": path}


def search(rng, site):
    text = site.text(rng)
    text = pick(rng, [str, str, str.upper, lambda t: f'"{t}"', lambda t: t + "'s", lambda t: f"{t} -{site.word(rng)}", lambda t: f"({t})", lambda t: t.replace(" ", " + "), lambda t: t.replace(" ", "|"), lambda t: f"{t}; {site.word(rng)}", lambda t: f"{t} <{site.word(rng)}>", lambda t: t + pick(rng, "´ ? ! ; : , . ) ( ] & % * = + - /".split(" ")) + pick(rng, ["", "", " "])])(text)
    return {"path": "/" + site.word(rng), "query": f"{site.key(rng)}={quote_plus(text)}"}


def query(rng, site):
    """The site's own language for filters."""
    text = pick(rng, site.operators.split("¦" if "¦" in site.operators else "|"))
    text = text.replace("{k}", "\0k").replace("{v}", "\0v").replace("{n}", "\0n").replace("{{", "{").replace("}}", "}")
    while "\0" in text:
        text = text.replace("\0k", site.key(rng).replace(" ", ""), 1)
        text = text.replace("\0v", pick(rng, [site.word, site.word, site.text])(rng), 1)
        text = text.replace("\0n", str(rng.randint(0, 9999)), 1)
    name = pick(rng, ["$filter", "q", "query", "filter", "where", "jql", "search", "expr", "fq", "domain", "s", "condition"])
    if rng.random() < 0.25:
        return {"path": "/", "body": json.dumps({name: text})}
    return {"path": f"/{site.word(rng)}", "query": f"{quote(name, safe='$')}={pick(rng, [quote, quote_plus])(text)}"}


def tree(rng, site, depth=0):
    """JSON as interfaces send it: names by the site's habit, texts of people, lists, nested."""
    if depth > 3 or depth > 0 and rng.random() < 0.45:
        return pick(rng, [site.text, site.text, site.word, opaque, number, lambda r: r.randint(0, 10**6), lambda r: None, lambda r: True, lambda r: r.random() * 1000, lambda r: date(r), lambda r: f"https://{site.host(r)}/{site.word(r)}/{r.randint(1, 9999)}?{site.word(r)}={site.word(r)}", lambda r: rich(r, site), lambda r: site.macro(r) if r.random() < 0.2 else site.word(r)])(rng)
    if depth and rng.random() < 0.3:
        return [tree(rng, site, depth + 1) for _ in range(rng.randint(0, 4))]
    return {site.key(rng): tree(rng, site, depth + 1) for _ in range(rng.randint(1, 6))}


def date(rng):
    return f"20{rng.randint(10, 30)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}{pick(rng, ['Z', '+02:00', '.123Z', '-0800'])}"


def rich(rng, site):
    """Text with the marks of Markdown, wikis, boards, chats and editors."""
    t, w = site.text, site.word
    return pick(rng, [
        lambda: f"# {t(rng)}\n\n{t(rng)}\n\n- {t(rng)}\n- [ ] {t(rng)}\n\n```{pick(rng, ['', 'sh', 'js', 'sql', 'py'])}\n{api_benign.fill(rng, pick(rng, api_benign.PROGRAM))}\n```\n",
        lambda: f"{t(rng)} **{w(rng)}** _{w(rng)}_ [{t(rng)}](https://{site.host(rng)}/{w(rng)}) ![{w(rng)}]({w(rng)}.png)",
        lambda: f"[b]{t(rng)}[/b] [url=https://{site.host(rng)}/]{w(rng)}[/url] [quote={w(rng)}]{t(rng)}[/quote]",
        lambda: f"== {t(rng)} ==\n'''{w(rng)}''' ''{w(rng)}'' [[{w(rng)}|{t(rng)}]] {{{{{w(rng)}|{w(rng)}={t(rng)}}}}} <ref name=\"{w(rng)}\">{t(rng)}</ref>",
        lambda: f"<p>{t(rng)}</p>\n<p><strong>{t(rng)}</strong> &mdash; <em>{w(rng)}</em></p><ul><li>{t(rng)}</li></ul>",
        lambda: f"<div><span data-{w(rng)}=\"{rng.randint(1, 99)}\" class=\"{w(rng)} {w(rng)}\">{t(rng)}</span><br></div>",
        lambda: f"<@U{opaque_short(rng)}> {t(rng)} :{w(rng)}: <https://{site.host(rng)}|{w(rng)}> `{w(rng)}`",
        lambda: f"@{w(rng)} {t(rng)} #{w(rng)} 😀 {t(rng)}",
        lambda: f"{t(rng)},\r\n\r\n{t(rng)}\r\n-- \r\n{pick(rng, NAMES)}\r\nTel.: +{rng.randint(1, 99)} / {rng.randint(100, 9999)}-{rng.randint(100, 9999)}",
        lambda: f"> {t(rng)}\n\n{t(rng)} ~~{w(rng)}~~ | {w(rng)} | {w(rng)} |\n|---|:-:|\n| {t(rng)} | {rng.randint(1, 99)} |",
        lambda: f"Am {rng.randint(1, 28)}.{rng.randint(1, 12)}. schrieb {pick(rng, NAMES)} <{w(rng)}@{site.host(rng)}>:\n> {t(rng)}\n{t(rng)}",
        lambda: api_benign.document(rng),
    ])()


def table(rng, site):
    """Lines of a spread sheet or of a log, as uploads and imports have them."""
    mark = pick(rng, [",", ";", "\t", "|"])
    head = mark.join(site.key(rng) for _ in range(rng.randint(2, 6)))
    cells = [number, site.text, site.text, opaque_short, date, lambda r: "", lambda r: f'"{site.text(r)}{mark} {site.text(r)}"', lambda r: f"={pick(r, ['SUM', 'IF', 'VLOOKUP'])}(A{r.randint(1, 99)}:B{r.randint(1, 99)})"]
    lines = [mark.join(pick(rng, cells)(rng) for _ in head.split(mark)) for _ in range(rng.randint(2, 8))]
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
    return {"operationName": w(rng), "query": text, "variables": tree(rng, site, 1), "extensions": {"persistedQuery": {"version": 1, "sha256Hash": rng.randbytes(32).hex()}}}


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


def interface(rng, site):
    text = json.dumps(envelope(rng, site), ensure_ascii=rng.random() < 0.5, indent=2 if rng.random() < 0.1 else None)
    return {"path": f"/api/v{rng.randint(1, 3)}/{site.word(rng)}", "body": text}


def upload(rng, site):
    text, kind = pick(rng, [(table, "csv"), (table, "tsv"), (rich, "md"), (rich, "txt"), (rich, "html"), (lambda r, s: json.dumps(tree(r, s)), "json"), (lambda r, s: api_benign.binary(r), "pdf"), (xml, "xml")])
    file = pick(rng, [f"{site.text(rng)}.{kind}", f"{site.word(rng)} ({rng.randint(1, 9)}).{kind}", f"{site.word(rng)}_{date(rng)[:10]}.{kind}"]).replace('"', "")
    return multipart(rng, site.key(rng), text(rng, site), file=file, kind="application/octet-stream")


def xml(rng, site):
    """Documents and calls in XML, with schemas, namespaces and CDATA as tools write them."""
    w, t = site.word, site.text
    inner = "".join(f"<{k}>{t(rng).replace('&', '&amp;').replace('<', '&lt;')}</{k}>" for k in (w(rng) for _ in range(rng.randint(1, 4))))
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


def document(rng, site):
    return {"path": "/" + site.word(rng), "body": pick(rng, [xml, xml, table, rich])(rng, site)}


def cookie(rng, site):
    names = [some(rng, site, pick(rng, site.framework[1])) for _ in range(2)]
    tracker = pick(rng, site.trackers)
    parts = [f"{pick(rng, names)}={pick(rng, [opaque_short, opaque])(rng).replace(';', '')}"]
    parts += [f"{pick(rng, tracker.names)}={pick(rng, [lambda t: quote(t, safe=''), lambda t: t.replace(';', '.')])(tracker.value(rng, site))}" for _ in range(rng.randint(0, 4))]
    if rng.random() < 0.3:
        parts.append(f"{site.key(rng)}={quote(json.dumps(tree(rng, site, 2), ensure_ascii=False))}")
    return {"path": "/", "headers": {"cookie": "; ".join(parts)}}


def header(rng, site):
    name, text = api_benign.header(rng)
    tracker = pick(rng, site.trackers)
    if rng.random() < 0.5:
        name, text = "referer", pick(rng, [lambda: f"https://{site.host(rng)}/{site.word(rng)}?{site.key(rng)}={quote_plus(site.text(rng))}", lambda: tracker.target(rng, site)])()
    return {"path": "/", "headers": {name: text}}


# Kinds of traffic; a site has some of them.
KINDS = {f.__name__: f for f in (track, form, page, search, query, interface, upload, document, cookie, header)}


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
