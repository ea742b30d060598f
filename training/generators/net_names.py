"""Names asked for in DNS: what people and machines ordinarily ask for, what programs make up to find
their master, and what tunnels ask for.

`rows(count, seed)` yields `{"qname", "label", "category", "source"}`. Words come from `net_words`:
lists of real words and of real registered names, so that ordinary names are as varied as they are.
The generators of made-up names are ours and follow no family's code: they vary alphabet, length and
rhythm (letters by chance, hexadecimal, base 32, syllables, joined words, a fixed rest behind a moving
head), so that a family never seen resembles some of them.
"""

import base64
import random
import string

VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxz"
SUFFIXES = "com com com com net org de co.uk fr it es nl ru pl jp co.jp com.br in io info biz eu us"
SUFFIXES = SUFFIXES.split() + "app dev cloud online site xyz tv me cn com.au ca ch se cz at be".split()
DYNAMIC = "ddns.net duckdns.org mooo.com dyndns.org hopto.org no-ip.org dynserv.com servebbs.com"
DYNAMIC = DYNAMIC.split() + ["zapto.org", "sytes.net", "yi.org", "github.io"]
HOSTS = (
    "www www www mail smtp imap api api cdn static img images assets login auth sso vpn m blog shop "
    "news docs support status dev test staging prod admin portal app apps media video edge gateway "
    "autodiscover ns1 ns2 mx1 mx2 ftp git ci grafana db web web01 app-02 srv3 eu-west us-east-1 ws "
    "push notify update updates download dl files s3 telemetry metrics events collect analytics "
    "tracking pixel ads ad sync rtb ocsp crl time ntp pool wpad isatap"
).split()


def pick(rng, of):
    return of[rng.randrange(len(of))]


def chance(rng, alphabet, least, most):
    return "".join(pick(rng, alphabet) for _ in range(rng.randint(least, most)))


# Ordinary names.


def brand(rng, words):
    """What people register: words, joined, shortened, with numbers, and names that sound."""
    word = lambda: pick(rng, words)
    kind = rng.random()
    if kind < 0.25:
        name = word()
    elif kind < 0.55:
        name = word() + pick(rng, ["", "", "", "-"]) + word()
    elif kind < 0.63:
        name = word()[: rng.randint(2, 5)] + word()[: rng.randint(2, 5)]
    elif kind < 0.71:
        name = word() + pick(rng, ["ly", "ify", "hub", "lab", "labs", "soft", "tech", "media", "online"])
    elif kind < 0.78:
        name = pick(rng, ["my", "get", "the", "go", "i", "e", "best", "all", "top", "free"]) + word()
    elif kind < 0.84:
        name = chance(rng, string.ascii_lowercase, 2, 4)
    elif kind < 0.9:
        name = word() + str(pick(rng, [1, 2, 24, 365, 4, 360, 7, 99, 21, 2000]))
    elif kind < 0.95:
        name = "".join(chance(rng, CONSONANTS, 1, 1) + chance(rng, VOWELS, 1, 1) for _ in range(2))
        name += pick(rng, ["", "x", "n", "o", "a", "la", "ra"])
    else:
        name = word() + word()[:4] + pick(rng, ["", "", "s", "gmbh", "inc", "group"])
    return name.strip("-")[:40]


def machine_label(rng):
    """What clouds call their machines: long, hexadecimal, and ordinary."""
    hexadecimal = lambda least, most: chance(rng, "0123456789abcdef", least, most)
    number = lambda digits: chance(rng, string.digits, 1, digits)
    dashed = "-".join(number(3) for _ in range(4))
    return pick(
        rng,
        [
            lambda: f"ec2-{dashed}.compute-1",
            lambda: f"ip-{dashed}.eu-central-1.compute",
            lambda: f"a{hexadecimal(31, 31)}-{number(10)}.us-east-1.elb",
            lambda: f"{dashed}.dynamic.{pick(rng, ['adsl', 'dsl', 'pool', 'cable', 'dyn'])}",
            lambda: f"host{dashed}",
            lambda: f"e{number(5)}.{pick(rng, ['dscb', 'dsca', 'g', 'b', 'x'])}",
            lambda: f"r{number(2)}---sn-{chance(rng, string.ascii_lowercase + '0123456789', 8, 10)}",
            lambda: f"{hexadecimal(32, 32)}.{pick(rng, ['clo', 'fp', 'cdn', 'edge'])}",
            lambda: f"{number(8)}.fls",
            lambda: f"{hexadecimal(8, 8)}-{hexadecimal(4, 4)}-{hexadecimal(4, 4)}-{hexadecimal(4, 4)}-"
            f"{hexadecimal(12, 12)}",
            lambda: f"{chance(rng, string.ascii_lowercase, 2, 5)}{number(3)}s{number(2)}-in-f{number(2)}",
            lambda: f"{number(3)}.{number(3)}.{number(3)}.{number(3)}.zen",
            lambda: f"_{pick(rng, ['dmarc', 'domainkey', 'acme-challenge', 'sip._tls', 'ldap._tcp.dc'])}",
            lambda: f"s{number(6)}._domainkey",
            lambda: f"selector{number(1)}._domainkey",
            lambda: f"{hexadecimal(6, 12)}.{pick(rng, HOSTS)}",
            lambda: f"{pick(rng, HOSTS)}-{hexadecimal(8, 10)}-{chance(rng, string.ascii_lowercase, 5, 5)}",
            lambda: f"{number(6)}-{pick(rng, HOSTS)}.{pick(rng, HOSTS)}",
            lambda: f"{pick(rng, HOSTS)}.{pick(rng, HOSTS)}.{pick(rng, HOSTS)}.{pick(rng, HOSTS)}",
            lambda: f"{hexadecimal(40, 40)}.{pick(rng, ['hash', 'sha1', 'url', 'rep'])}",
        ],
    )()


PLATFORMS = (
    "cloudfront.net amazonaws.com azurewebsites.net azureedge.net blob.core.windows.net fastly.net "
    "herokuapp.com appspot.com run.app web.app firebaseapp.com vercel.app netlify.app pages.dev "
    "workers.dev s3.amazonaws.com cloudapp.net trafficmanager.net github.io gitlab.io blogspot.com "
    "wordpress.com myshopify.com cloudapp.azure.com elasticbeanstalk.com akamaiedge.net "
    "edgekey.net edgesuite.net"
).split()


def platform_name(rng, words):
    """A name below a platform: its own, or one that the platform made up."""
    platform = pick(rng, PLATFORMS)
    if platform == "cloudfront.net":
        return "d" + chance(rng, string.ascii_lowercase + string.digits, 12, 13) + "." + platform
    letters = string.ascii_lowercase + string.digits
    own = pick(
        rng,
        [
            lambda: brand(rng, words),
            lambda: brand(rng, words),
            lambda: f"{brand(rng, words)}-{chance(rng, letters, 5, 10)}",
            lambda: f"{brand(rng, words)}-{pick(rng, HOSTS)}",
            lambda: f"{pick(rng, HOSTS)}.{brand(rng, words)}",
            lambda: f"e{chance(rng, string.digits, 3, 6)}",
        ],
    )
    return f"{own()}.{platform}"


def benign(rng, words, registered):
    """A name that is ordinarily asked for."""
    kind = rng.random()
    if kind < 0.12:
        return platform_name(rng, words)
    own = pick(rng, registered) if rng.random() < 0.6 else None
    if own is None:
        own = f"{brand(rng, words)}.{pick(rng, SUFFIXES)}"
    if kind < 0.45:
        return own
    if kind < 0.62:
        return f"{pick(rng, HOSTS)}.{own}"
    if kind < 0.72:
        return f"{pick(rng, HOSTS)}{pick(rng, ['-', '.', ''])}{pick(rng, HOSTS)}.{own}"
    if kind < 0.82:
        return f"{brand(rng, words)}.{own}"
    return f"{machine_label(rng)}.{own}"


# Names that programs make up.


def syllables(rng):
    out = ""
    consonants, vowels = pick(rng, [CONSONANTS, "bcdfgklmnprstv", "qpsxgvlm"]), pick(
        rng, [VOWELS, "aeiouy", "aeiou"]
    )
    for _ in range(rng.randint(2, 6)):
        form = pick(rng, ["cv", "cv", "cvc", "vc", "v"])
        out += "".join(pick(rng, consonants if c == "c" else vowels) for c in form)
    return out[: rng.randint(6, 16)]


def styles(rng, words):
    """One program's way to make names: a function that gives the next. `words` is its word list."""
    letters = string.ascii_lowercase
    least = rng.randint(5, 16)
    most = least + pick(rng, [0, 0, 2, 5, 9])
    subset = "".join(rng.sample(letters, rng.randint(8, 18)))
    few = "".join(rng.sample("abcdefghijklmnop", rng.randint(6, 12)))
    own = rng.sample(words, 120)
    rest, head = chance(rng, letters, 6, 10), rng.randint(2, 5)
    tail = pick(rng, words) + pick(rng, words)
    stamp = lambda: str(rng.randint(10**9, 2 * 10**9))
    text = lambda: base64.b32encode(rng.randbytes(rng.randint(6, 12))).decode().lower().strip("=")
    forms = [
        ("letters", lambda: chance(rng, letters, least, most)),
        ("letters", lambda: chance(rng, letters, least, most)),
        ("letters", lambda: chance(rng, letters, max(5, least - 4), most)),
        ("subset", lambda: chance(rng, subset, max(6, least), most + 3)),
        ("few", lambda: chance(rng, few, max(9, least), most + 4)),
        ("alphanumeric", lambda: chance(rng, letters + string.digits, max(7, least), most + 4)),
        ("alphanumeric", lambda: chance(rng, letters + "0123456789" * 2, max(8, least), most + 4)),
        ("hexadecimal", lambda: chance(rng, "0123456789abcdef", max(8, least), most + 6)),
        ("base32", text),
        ("stamp", lambda: base64.b64encode(stamp().encode()).decode().lower().strip("=")),
        ("syllables", lambda: syllables(rng)),
        ("syllables", lambda: syllables(rng) + pick(rng, ["", "", "-" + syllables(rng)])),
        ("consonants", lambda: chance(rng, CONSONANTS + "y", max(6, least - 2), most + 2)),
        ("joined", lambda: pick(rng, own) + pick(rng, own)),
        ("moving head", lambda: chance(rng, letters, head, head) + rest),
        ("moving head", lambda: chance(rng, letters, head, head) + tail),
    ]
    return pick(rng, forms)


def families(rng, words, count, each):
    """Names of `count` programs, `each` of each: `(category, name)`."""
    for _ in range(count):
        name, make = styles(rng, words)
        ends = rng.sample(SUFFIXES, rng.randint(1, 6))
        if rng.random() < 0.12:
            ends = [pick(rng, DYNAMIC)]
        for _ in range(each):
            yield f"generated: {name}", f"{make()[:60]}.{pick(rng, ends)}"


# Tunnels.

BASE64 = string.ascii_letters + string.digits + "-_"
ALPHABETS = {
    "base32": "abcdefghijklmnopqrstuvwxyz234567",
    "base32hex": "0123456789abcdefghijklmnopqrstuv",
    "hexadecimal": "0123456789abcdef",
    "base64": BASE64,
    "base64 plus": string.ascii_letters + string.digits + "+/",
    "base36": string.ascii_lowercase + string.digits,
    "latin": string.ascii_letters + string.digits + "".join(map(chr, range(0xBC, 0xFE))),
}


def tunnel(rng, alphabet, words, fixed):
    """One question of a tunnel: data cut into labels, with a head of its own now and then."""
    size = pick(rng, [rng.randint(20, 60), rng.randint(60, 120), rng.randint(100, 200)])
    width = fixed["width"]
    data = chance(rng, ALPHABETS[alphabet], size, size)
    labels = [data[at : at + width] for at in range(0, len(data), width)]
    if fixed["counter"]:
        labels.insert(0, pick(rng, [str(rng.randint(0, 999)), f"{rng.randint(0, 65535):04x}"]))
    if fixed["head"]:
        labels.insert(0, fixed["head"])
    return ".".join(labels)[:200]


def tunnels(rng, words, count, each):
    """Questions of `count` tunnels, each below a name of its own."""
    for _ in range(count):
        alphabet = pick(rng, list(ALPHABETS))
        fixed = {
            "width": pick(rng, [63, 63, 60, 57, 50, 40, 32, 30]),
            "counter": rng.random() < 0.35,
            "head": pick(rng, ["", "", "", "post", "api", "cdn", "t", "dnscat", "www", "d"]),
        }
        domain = f"{brand(rng, words)}.{pick(rng, SUFFIXES)}"
        for _ in range(each):
            yield f"generated: {alphabet}", f"{tunnel(rng, alphabet, words, fixed)}.{domain}"


def rows(count, seed, words, registered):
    """`count` ordinary names, and as many of either attack."""
    rng = random.Random(seed)
    for _ in range(count):
        yield {"qname": benign(rng, words, registered), "label": 0, "category": "ordinary"}
    for category, name in families(rng, words, count // 50, 50):
        yield {"qname": name, "label": 1, "category": category}
    for category, name in tunnels(rng, words, count // 60, 30):
        yield {"qname": name, "label": 1, "category": f"tunnel, {category}"}
