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
from .sql_values import name, number, opaque, pick, sentence, short, word

AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{n}.0.{n}.{n} Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{n} Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS {n}_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.{n}(0x18002a2b) NetType/WIFI Language/zh_CN",
    "Mozilla/5.0 (Linux; Android {n}; {w} {n} Build/{o}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/{n}.0 Mobile Safari/537.36",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; SLCC2; .NET CLR 2.0.{n}; .NET CLR 3.5.{n}; InfoPath.{n})",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; {w}bot/{n}.0; +https://{w}.com/bot)",
    "{w}/{n}.{n} CFNetwork/{n} Darwin/{n}.0.0",
    "okhttp/4.{n}.0",
    "python-requests/2.{n}.1",
    "curl/7.{n}.0",
    "PostmanRuntime/7.{n}.3",
    "Go-http-client/1.1",
    "Java/1.8.0_{n}",
    "Apache-HttpClient/4.5.{n} (Java/11.0.{n})",
    "Dalvik/2.1.0 (Linux; U; Android {n}; {w} Build/{o})",
    "{w}-app/{n}.{n} (iOS {n}.1; iPhone{n},2; Scale/3.00)",
    "Wget/1.{n} (linux-gnu)",
    "kube-probe/1.{n}",
    "Prometheus/2.{n}.0",
    "GitHub-Hookshot/{o}",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; .NET4.0C; .NET4.0E; rv:11.0) like Gecko",
    "Opera/9.80 (Windows NT 6.1; U; {w}) Presto/2.{n}",
    "aws-sdk-java/1.{n} Linux/5.{n} OpenJDK_64-Bit_Server_VM/25.{n}",
    "Microsoft-CryptoAPI/10.0",
    "Windows-Update-Agent/10.0.{n} Client-Protocol/2.{n}",
    "{w}",
    "",
]
MARKUP = [
    "<p>{s}</p>",
    "<p>{s}<br>{s}</p><ul><li>{w}</li><li><b>{w}</b></li></ul>",
    '<div class="{w}-{w}" style="color: #{n}; margin: {n}px">{s}</div>',
    '<a href="https://{w}.com/{w}?{w}={n}" target="_blank">{w}</a>',
    '<img src="https://cdn.{w}.com/{w}/{n}.png" alt="{s}" width="{n}">',
    "<h2>{w} &amp; {w}</h2><p>{s} &ndash; {s}</p>",
    "{s}<br/>{s}<br />",
    '<table border="1"><tr><td>{w}</td><td>{n}</td></tr></table>',
    "<strong>{w}</strong>: {s}",
    '<p style="text-align:center"><span style="font-size:14px"><em>{s}</em></span></p>',
    "&lt;{w}&gt; {s}",
    "<{w}>{n}</{w}>",
    "<blockquote>{s}</blockquote>",
    "<pre><code>{w}({n})</code></pre>",
    "<!-- {w} --><p>{s}</p>",
    "<p>&nbsp;</p>",
    '<svg width="{n}" height="{n}"><path d="M{n} {n}L{n} {n}Z" fill="#{n}"/></svg>',
    '<?xml version="1.0" encoding="UTF-8"?><{w}><{w}>{s}</{w}><{w} id="{n}"/></{w}>',
    "<html><body><p>{s}</p></body></html>",
    '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><{w} xmlns="http://{w}.org/"><{w}>{n}</{w}></{w}></soap:Body></soap:Envelope>',
    '<iframe width="560" height="315" src="https://www.youtube.com/embed/{o}"></iframe>',
    '<video controls src="/{w}/{n}.mp4"></video>',
    "<xml><ToUserName><![CDATA[{o}]]></ToUserName><CreateTime>{n}</CreateTime><MsgType><![CDATA[text]]></MsgType></xml>",
    '<rss version="2.0"><channel><title>{s}</title></channel></rss>',
    '<input type="text" name="{w}" value="{n}">',
    "<style>.{w} {{ color: red; margin: 0 auto; }}</style>",
    '<D:propfind xmlns:D="DAV:"><D:prop><D:getetag/></D:prop></D:propfind>',
    "<methodCall><methodName>{w}.{w}</methodName><params><param><value><int>{n}</int></value></param></params></methodCall>",
]
PROGRAM = [
    "function {w}({w}) {{\n  return {w}.map(x => x * {n});\n}}",
    "const {{ {w}, {w} }} = require('{w}');",
    "import {w} from './{w}';\nexport default function {w}() {{}}",
    "if ({w} > {n} && {w} != '{w}') {{ {w}(); }}",
    "def {w}(self, {w}=None):\n    return self.{w}[{n}]",
    'for i in range({n}):\n    print(f"{{i}}: {w}")',
    "class {w} extends {w} {{ constructor() {{ super(); }} }}",
    "SELECT {w}, {w} FROM {w} WHERE {w} = {n} ORDER BY {w}",
    "docker run -it --rm -p {n}:80 {w}/{w}",
    "git clone https://github.com/{w}/{w}.git && cd {w} && make",
    "npm install --save {w}",
    "pip install {w}=={n}.0",
    "$ {w} --{w}={n} | grep {w}",
    "ls -la /{w}/{w}",
    "var {w} = document.getElementById('{w}');",
    "console.log('{w}', {w});",
    "try {{ {w}(); }} catch (e) {{ throw e; }}",
    "SELECT COUNT(*) FROM {w} GROUP BY {w}",
    'public static void main(String[] args) {{ System.out.println("{s}"); }}',
    "let x = {w} ?? {n};",
    "{w}: {{ {w}: '{n}px', color: '#fff' }}",
    ".{w} > a:hover {{ background: url(/img/{w}.png) no-repeat; }}",
    "@media (max-width: {n}px) {{ .{w} {{ display: none; }} }}",
    "```\n{w} = {w}({n})\n```",
    '#!/bin/bash\nset -e\necho "{w}"',
    "FROM {w}:{n}\nRUN apt-get update && apt-get install -y {w}",
    "echo ${w}",
    "{{{{ {w} }}}}",
    "{{{{ {w}.{w} }}}}",
    "Hello {{{{{w}}}}}, {s}",
    "${{{w}}}",
    "%{{{w}}}",
    "Dear {{{w}}},\n{s}",
    "{{% if {w} %}}{s}{{% endif %}}",
    "#{{{w}}}",
    '{w}("{w}", {w} -> {w}.{w}())',
    'panic!("{w} at {n}")',
    "fn {w}(x: &str) -> Result<{w}, {w}> {{ Ok(x) }}",
    "x = lambda y: y ** {n}",
    "a = b; c = d; // {s}",
    "at {w}.{w} ({w}.js:{n}:{n})",
    'Traceback (most recent call last):\n  File "{w}.py", line {n}, in {w}',
    "java.lang.NullPointerException: {w}\n\tat com.{w}.{w}.{w}({w}.java:{n})",
    "TypeError: Cannot read property '{w}' of undefined at https://{w}.com/{w}.js:{n}:{n}",
    "Uncaught ReferenceError: {w} is not defined",
    "[{n}] {w}: {s} ({w})",
    "{w} | {w} | {n}",
    "{w};{w};{n}\n{w};{w};{n}",
    "cat and dog | {w}",
    "id;name;{w}\n{n};{w};{w}",
    "| {w} | {w} |\n|---|---|\n| {n} | {n} |",
    "- [ ] {s}\n- [x] {s}",
    "# {w}\n\n{s} **{w}** and `{w}` [{w}](https://{w}.org/{w})",
    "> {s}\n\n{s}",
    "{w} -- {s}",
    "/* {s} */",
    "// {s}",
    "<!-- {s} -->",
    "\\frac{{{n}}}{{{w}}} + \\sum_{{i=1}}^{n}",
]
SEARCHES = [
    '"{w} {w}" -{w}',
    "{w} AND ({w} OR {w})",
    "{w}:{w} AND NOT {w}",
    'title:"{w}" OR body:{w}*',
    "{w} && {w}",
    "site:{w}.com {w}",
    "how to select a {w} from {w}",
    "{w} or {w}?",
    "{w}'s {w} & {w}",
    "what's the {w}",
    "{w} (2023) [{w}]",
    "{w} + {w} = {w}",
    "c++ {w}",
    "{w}/{w}",
    '{w} "{w}"',
    "rock'n'roll {w}",
    "{w}; {w}; {w}",
    "{w} > {n} and {w} < {n}",
    'status in ("{w}", "{w}") order by {w} desc',
    'sum(rate({w}{{job="{w}"}}[5m])) by ({w})',
    "histogram_quantile(0.9, {w})",
    '{{app="{w}"}} |= "{w}"',
    "_time:[now-1h TO now] | stats count by {w}",
    'index={w} source="{w}" | table {w}, {w}',
    "fields={w},{w}(limit:{n})",
    "name eq '{w}' and age gt {n}",
    "startswith({w},'{w}')",
    "{w}.ilike.*{w}*",
    '("{w}","{w}")',
    "{w}~{n}",
    "eq.{n}",
    "in.({n},{n})",
    "[{n} TO {n}]",
    "?{w}",
    "{w}?!",
    "100% {w}",
    "{w} <3 {w}",
    "{w} -> {w}",
    "<{w}>",
    "$100 - $200",
    "@{w} #{w}",
    "https://{w}.com",
    "www.{w}.com/{w}",
    "../{w}",
    "{w}\\{w}",
    "file.{w}",
    "{w}.php",
    "{w}.sql",
    "etc",
    "/{w}/{w}.conf",
    "admin",
    "select",
    "union station",
    "script writing",
    "image alt text",
    "system of a {w}",
    "exec {w}",
    "cat {w}",
    "ping {w}",
    "sleep well",
    "drop table lamp",
    "5' {n}\" tall",
    "javascript tutorial",
    "php echo",
    "bash if else",
    "{w} | {w}",
    "alert {w}",
    "and 1 more",
    "1 or 2 {w}",
    "between 5 and 10",
    "order by {w}",
]
GRAPHQL = [
    "query {w}($id: ID!) {{ {w}(id: $id) {{ id name {w} {{ {w} }} }} }}",
    '{{ {w}(first: {n}, where: {{{w}: {{eq: "{w}"}}}}) {{ edges {{ node {{ id }} }} }} }}',
    'mutation {{ create{w}(input: {{name: "{w}", count: {n}}}) {{ ok }} }}',
    "query {w} {{\n  {w} {{\n    id\n    __typename\n  }}\n}}",
    "fragment {w} on {w} {{ id, {w} }}",
]
PATHS = [
    "/",
    "/{w}",
    "/{w}/",
    "/{w}/{w}",
    "/{w}/{n}",
    "/api/v1/{w}/{n}",
    "/api/{w}/{w}",
    "/{w}/{w}.html",
    "/static/js/{w}.{o}.chunk.js",
    "/assets/{w}-{o}.css",
    "/images/{w}/{n}.jpg",
    "/{w}.php",
    "/index.php/{w}/{w}",
    "/{w}.jsp",
    "/{w}.aspx",
    "/{w}.do;jsessionid={o}",
    "/wiki/{w}_({w})",
    "/wiki/{w}:{w}",
    "/{w}/{w},{w}/",
    "/@{w}/{w}",
    "/{w}/{w}@{n}.0.0/dist/{w}.min.js",
    "/{w}%20{w}/{w}",
    "/{w}+{w}",
    "/search/{w}%20and%20{w}",
    "/~{w}/",
    "/{w}/../{w}.css",
    "/{w}//{w}",
    "/{w}/{w}(1).pdf",
    "/{w}'s-{w}",
    "/files/{w}%27s%20{w}.pdf",
    "/%E4%BD%A0%E5%A5%BD/{w}",
    "/caf%C3%A9",
    "/.well-known/acme-challenge/{o}",
    "/favicon.ico",
    "/robots.txt",
    "/sitemap.xml",
    "/{w}/!{w}",
    "/{w}/{w}=w{n}-h{n}",
    "/{w}:{w}/{n}",
    "/rest/{w}({n})",
    "/odata/{w}('{w}')",
    "/{w}/{w}$",
    "/b/ss/{w},{w}/1/JS-1.6.1/s{n}",
    "/{w}/{w};{w}={n};ord={n}?",
    "/{w}/{w}.git/info/refs",
    "/{w}/-/{w}/tree/master",
    "/{w}/cat/{n}",
    "/blog/{w}/the-{w}-of-{w}-and-{w}",
    "/admin/{w}",
    "/{w}/login",
    "/user/{w}/edit",
    "/oauth2/token",
    "/{w}/select-{w}",
    "/union/{w}",
    "/{w}/null",
    "/download/{w}.zip",
    "/{w}.exe",
    "/cgi/{w}",
    "/{w}.cgi",
    "/{w}.swf",
    "/{w}/*.{w}",
    "/console/{w}",
    "/{w}/{w}|{w}",
    "/{w}/[{w}]",
    "/{w}/%7B{w}%7D",
    "/{w}/{w}%2F{w}",
    "/proxy/https://{w}.com/{w}",
    "/{w}/config",
    "/{w}/config.json",
    "/{w}/manifest.json",
    "/etc/designs/{w}/clientlibs.css",
    "/etc.clientlibs/{w}/{w}.min.js",
    "/bin/{w}.json",
    "/content/dam/{w}/{w}.png",
    "/{w}/system/{w}.js",
    "/{w}/test.html",
    "/script.js",
    "/scripts/{w}.js",
    "/{w}/style.css",
    "/wp-content/uploads/2023/{n}/{w}.jpg",
    "/wp-content/themes/{w}/style.css",
    "/wp-includes/js/jquery/jquery.min.js",
    "/wp-json/wp/v2/posts",
    "/wp-admin/admin-ajax.php",
    "/wp-login.php",
]
SCRIPTS = "jsp jsp php php asp aspx do action cgi pl py rb html htm shtml xhtml java xml txt json csv yml conf md log ini svc asmx ashx axd cfm jsf".split()
# Words of attacks that are ordinary words too, alone in paths, tags and searches.
TOPICS = """script image style link cookie window document location alert prompt object form input body source system
 exec cat id ping sleep test admin config backup group user users hosts shadow etc bin tmp home root log logs php python java
 ruby perl bash shell cmd file data select union from table drop insert delete update order where and or not null
 function return import class context module process runtime load read include require key private public secret server
 request response execute lookup filter convert resource internal metadata latest version name position page language
 iframe video audio svg math base frames top parent self eval fetch print echo find sort head tail more less net dir type copy""".split()
TRACKERS = [
    "utmccn%3D(organic)%7Cutmcsr%3D{w}%7Cutmctr%3D{w}%20{w}%7Cutmcmd%3Dorganic",
    "{n}.{n}.1.1.{n}.{n}",
    "fb.1.{n}.{n}",
    "{w}:{n}|{w}:{n}|{w}:{n}",
    "{w}%3A{n}%7C{w}%3A{n}",
    "%7B%22{w}%22%3A%22{o}%22%2C%22{w}%22%3A{n}%7D",
    "[[{w}],[{n}]]",
    "{w}^{n}^{w}",
    "{w}|{w}|{n}",
    "({w};{n})",
    "~{o}~{n}~{w}",
    "{w}={n}&{w}={w}",
    "v1%7C{o}",
    "{n}*{w}*{n}",
    '"{o}"',
    "{w}!{n}!{o}",
    "{w}#{n}#",
    "s%3A{o}.{o}",
    "{n}%2C{n}%2C{n}",
    "isEnableSS%3Dtrue%26{w}%3D{n}",
    '{{"{w}":{{"{w}":{n}}}}}',
    "{w}__{n}--{w}",
    "<{n}>",
    "{w}:'{w}',{w}:{n}",
    "0x{n}|{w}$",
    "%5B%5B%22{w}%22%2C{n}%5D%5D",
    "$2i1$s{n}$o1",
    'a:2:{{s:2:"id";i:{n};s:4:"{w}";s:3:"abc";}}',
    "{w};path=/;expires={n}",
    "K{n}_{{{n}}}_{o}",
    "direct|{n}|(none)|(not set)",
    "Hm_lvt_{o}",
    "*{n}*",
    "{w} {n} GMT+0800 (CST)",
    "Thu, {n} Jan 2023 00:00:00 GMT",
    "{{{o}}}",
    "({o})",
    "{o};{o}",
    "{w}//{w}//{n}",
    "gzip, deflate, br",
    "{n}x{n}x24",
    "{w}`{n}`",
    "||{n}|{w}||",
    "${n}_{w}",
    "--{w}--",
    "T={n}&M={w}&S={o}",
]
FOREIGN = [
    "你好，世界",
    "数据库 {w} 查询",
    "请选择 {w} 和 {n}",
    "¿Cómo está {w}?",
    "l'été à {w}, c'est d'accord",
    "Straße {n}, Köln",
    "привет {w}; как дела?",
    "これは{w}です。",
    "안녕하세요 {w}",
    "مرحبا {w}",
    "नमस्ते {w}",
    "Ça va? {w} & «{w}»",
    "São Paulo — {w}",
    "Österreich (A-{n})",
    "{w}（{n}）",
    "《{w}》“{w}”",
    "🙂 {w} 👍🏽",
    "O’Neill & Sons",
    "naïve café – {w}",
    "Łódź, ul. {w} {n}/{n}",
    "标题：{w}<br>{n}",
    "搜索;{w}",
]


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
MACROS = """{visitor_id} [MM_UUID] <na_id> <na_da> __UID__ $UID ${UID} {{uid}} %%CACHEBUSTER%% [timestamp] {gclid} ##id## !!id!!
 {adset.name} {{campaign.name}} $!{id} <ID> [USER] ${GDPR_CONSENT_278} {$id} (none) (not%20set) *|EMAIL|* %m% @@id@@""".split()


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
