"""Lives of clients for the behaviour of `api-watch`: simulated, seeded, documented.

Each function draws one client: a list of (seconds since its begin, body). Benign lives are as rich
as the attacks: pages with their assets, single-page applications, apps that poll, batch jobs that
page through lists or fetch thing after thing with a key, crawlers that wait, monitors, offices
behind one address, people who mistype passwords, sites with dead links, expired tokens. `world`
shifts sites, speeds and mixtures, so that figures come from another world than the baselines.
"""

import random

from .sql_values import pick, word

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:12{}.0) Gecko/20100101 Firefox/12{}.0"
WORLDS = {"train": 1.0, "test": 0.75, "slow": 1.6}


def call(method, path, status, agent, **more):
    path, _, query = path.partition("?")
    body = {"method": method, "path": path, "status": status, "headers": {"user-agent": agent}}
    headers = more.pop("headers", None)
    if headers:
        body["headers"].update(headers)
    return body | ({"query": query} if query else {}) | more


class Site:
    """A site's pages, things, and endpoints."""

    def __init__(self, rng):
        self.pages = [f"/{word(rng)}/{word(rng)}-{word(rng)}" for _ in range(60)]
        self.assets = [
            f"/static/{word(rng)}.{pick(rng, ['js', 'css', 'png', 'woff2'])}" for _ in range(80)
        ]
        self.api = [f"/api/v1/{word(rng)}" for _ in range(14)]
        self.login = pick(
            rng, ["/login", "/api/login", "/auth/token", "/users/sign_in", "/wp-login.php"]
        )
        self.thing = pick(
            rng, ["/product/{}", "/api/v1/orders/{}", "/item?id={}", "/u/{}", "/news/{}.html"]
        )


def agent_of(rng):
    n = rng.randint(0, 9)
    return BROWSER.format(n, n)


def visitor(rng, site, pace):
    """A person who reads pages; some links are dead."""
    at, agent, made = 0.0, agent_of(rng), []
    for _ in range(rng.randint(2, 30)):
        at += rng.lognormvariate(2.5, 1.0) * pace
        status = 404 if rng.random() < 0.04 else pick(rng, [200, 200, 200, 304, 301])
        path = (
            pick(rng, site.pages) if rng.random() < 0.7 else site.thing.format(rng.randint(1, 9000))
        )
        made.append((at, call("GET", path, status, agent)))
        for _ in range(rng.randint(0, 40)):
            made.append(
                (
                    at + rng.random(),
                    call("GET", pick(rng, site.assets), pick(rng, [200, 304, 200, 404]), agent),
                )
            )
    if rng.random() < 0.3:
        for n in range(rng.randint(1, 4)):
            at += rng.uniform(4, 20)
            made.append(
                (at, call("POST", site.login, 401, agent, body=f"username=me&password=x{n}"))
            )
        made.append((at + 9, call("POST", site.login, 200, agent, body="username=me&password=y")))
    return made


def application(rng, site, pace):
    """A single-page application: bursts of different endpoints, then quiet."""
    at, agent, made = 0.0, agent_of(rng), []
    key = {"authorization": f"Bearer {word(rng)}{rng.randint(1, 99)}"}
    for _ in range(rng.randint(2, 12)):
        at += rng.lognormvariate(2.7, 0.8) * pace
        for path in rng.sample(site.api, rng.randint(3, 12)):
            at += rng.uniform(0.01, 0.2)
            number = f"/{rng.randint(1, 900)}" if rng.random() < 0.4 else ""
            made.append(
                (
                    at,
                    call(
                        "GET",
                        path + number,
                        pick(rng, [200, 200, 200, 204, 304]),
                        agent,
                        headers=key,
                    ),
                )
            )
    return made


def poller(rng, site, pace):
    """An app that asks one endpoint again and again; its token may have expired."""
    status = 401 if rng.random() < 0.2 else 200
    gap = rng.uniform(1, 30) * pace
    path = pick(rng, site.api)
    agent = f"{word(rng)}-app/2.{rng.randint(0, 9)}"
    return [
        (n * gap + rng.random() * 0.2, call("GET", path, status, agent))
        for n in range(rng.randint(20, 150))
    ]


def batch(rng, site, pace):
    """A job that pages through lists and fetches things by key, as fast as it may."""
    at, made = 0.0, []
    agent, key = (
        pick(rng, ["python-requests/2.31.0", "Go-http-client/2.0"]),
        {"authorization": "Bearer k"},
    )
    path = pick(rng, site.api)
    for page in range(1, rng.randint(10, 120)):
        at += rng.uniform(0.15, 1.2) * pace
        made.append((at, call("GET", f"{path}?page={page}&per_page=100", 200, agent, headers=key)))
        for _ in range(rng.randint(0, 3)):
            at += rng.uniform(0.15, 0.8) * pace
            made.append(
                (
                    at,
                    call(
                        "GET",
                        f"{path}/{rng.randint(1000, 10**7)}",
                        pick(rng, [200] * 30 + [404]),
                        agent,
                        headers=key,
                    ),
                )
            )
    return made


def crawler(rng, site, pace):
    """A search engine that asks for robots.txt and waits between pages."""
    agent = "Mozilla/5.0 (compatible; Examplebot/2.1; +http://example.org/bot.html)"
    at, made = 0.0, [(0.0, call("GET", "/robots.txt", 200, agent))]
    for _ in range(rng.randint(20, 200)):
        at += rng.uniform(3, 12) * pace
        status = pick(rng, [200] * 9 + [404, 301])
        path = (
            pick(rng, site.pages) if rng.random() < 0.5 else site.thing.format(rng.randint(1, 9000))
        )
        made.append((at, call("GET", path, status, agent)))
    return made


def monitor(rng, site, pace):
    gap = pick(rng, [5, 10, 30, 60])
    path = pick(rng, ["/health", "/healthz", "/", "/api/v1/status"])
    return [
        (
            n * gap,
            call(
                pick(rng, ["GET", "HEAD"]),
                path,
                503 if rng.random() < 0.02 else 200,
                "kube-probe/1.29",
            ),
        )
        for n in range(rng.randint(30, 150))
    ]


def office(rng, site, pace):
    """Many people behind one address; in the morning they all log in."""
    made = []
    for person in range(rng.randint(5, 25)):
        begin = rng.uniform(0, 900)
        agent = agent_of(rng)
        for n in range(1 if rng.random() < 0.85 else 2):
            status = 401 if n == 0 and rng.random() < 0.12 else 200
            made.append(
                (
                    begin + n * 8,
                    call("POST", site.login, status, agent, body=f"username=p{person}&password=x"),
                )
            )
        made += [(begin + 15 + at, body) for at, body in visitor(rng, site, pace)[:60]]
    return sorted(made, key=lambda pair: pair[0])


def shopper(rng, site, pace):
    """Looks at a few things after another, close to each other in a list."""
    at, agent, made, number = 0.0, agent_of(rng), [], rng.randint(100, 9000)
    for _ in range(rng.randint(4, 25)):
        at += rng.lognormvariate(2.2, 0.8) * pace
        number += pick(rng, [1, -1, 2, 5, -7, 40, 300, -90])
        made.append((at, call("GET", site.thing.format(abs(number)), 200, agent)))
    return made


BENIGN = {
    f.__name__: f for f in (visitor, application, poller, batch, crawler, monitor, office, shopper)
}


def burst(rng, site, pace):
    gap = rng.uniform(0.005, 0.09) * pace
    path, agent = pick(rng, site.pages + site.api), agent_of(rng)
    status = pick(rng, [200, 200, 503, 429])
    return [
        (n * gap, call("GET", path + f"?q={rng.randint(1, 99)}", status, agent)) for n in range(60)
    ]


def stuffing(rng, site, pace):
    gap = rng.uniform(0.2, 20) * pace
    agent = agent_of(rng)
    bad = pick(rng, [401, 403, 401, 422, 400])
    return [
        (
            n * gap,
            call(
                "POST",
                site.login,
                200 if rng.random() < 0.02 else bad,
                agent,
                body=f"username={word(rng)}{n}&password={word(rng)}",
            ),
        )
        for n in range(40)
    ]


def guessing(rng, site, pace):
    gap = rng.uniform(0.1, 15) * pace
    agent = "python-requests/2.31.0"
    return [
        (
            n * gap,
            call(
                "POST", site.login, 401, agent, body=f'{{"username": "admin", "password": "x{n}"}}'
            ),
        )
        for n in range(40)
    ]


def enumeration(rng, site, pace):
    gap, begin = rng.uniform(0.1, 10) * pace, rng.randint(1, 100_000)
    share = rng.random() * 0.6
    agent, step = agent_of(rng), pick(rng, [1, 1, 1, -1, 2])
    return [
        (
            n * gap * rng.uniform(0.8, 1.2),
            call(
                "GET",
                site.thing.format(abs(begin + n * step)),
                pick(rng, [403, 404]) if rng.random() < share else 200,
                agent,
            ),
        )
        for n in range(60)
    ]


def scraping(rng, site, pace):
    gap = rng.uniform(0.05, 0.8) * pace
    agent = agent_of(rng)
    return [
        (n * gap, call("GET", site.thing.format(rng.randint(1, 10**6)), 200, agent))
        for n in range(80)
    ]


def scanning(rng, site, pace):
    gap = rng.uniform(0.02, 6) * pace
    agent = agent_of(rng)
    return [
        (
            n * gap,
            call(
                pick(rng, ["GET", "HEAD", "GET"]),
                f"/{word(rng)}{rng.randint(1, 99)}{pick(rng, ['', '/', '.php', '/admin'])}",
                200 if rng.random() < 0.1 else 404,
                agent,
            ),
        )
        for n in range(50)
    ]


def fuzzing(rng, site, pace):
    gap = rng.uniform(0.05, 4) * pace
    agent, path = agent_of(rng), pick(rng, site.api)
    return [
        (
            n * gap,
            call(
                "POST",
                path,
                pick(rng, [500, 400, 500, 422, 200, 400]),
                agent,
                body=f"a={word(rng)}",
            ),
        )
        for n in range(50)
    ]


def forbidden(rng, site, pace):
    gap = rng.uniform(0.2, 10) * pace
    agent = agent_of(rng)
    return [
        (
            n * gap,
            call(
                "GET",
                f"/admin/{word(rng)}/{word(rng)}",
                200 if rng.random() < 0.1 else pick(rng, [403, 401]),
                agent,
            ),
        )
        for n in range(40)
    ]


ATTACKS = {
    f.__name__: f
    for f in (burst, stuffing, guessing, enumeration, scraping, scanning, fuzzing, forbidden)
}


def clients(count, seed, world="train"):
    """`count` clients as (kind, label, bodies), half of them attacks; times from 2026 on."""
    rng = random.Random(f"{seed} {world}")
    for number in range(count):
        site = Site(rng)
        label = number % 2
        kinds = ATTACKS if label else BENIGN
        kind = pick(rng, list(kinds))
        life = sorted(kinds[kind](rng, site, WORLDS[world]), key=lambda pair: pair[0])
        client = f"198.51.{number // 250 % 250}.{number % 250}-{number}"
        begin = 1_767_225_600 + rng.random() * 86_400
        yield kind, label, [dict(body, ts=round(begin + at, 3), client=client) for at, body in life]
