"""Simulated data access: people, services and jobs over weeks, and exfiltrations among them.

No public audit log of a database has sizes and labels, so the world is made here: seeded,
with sizes log-normal, working hours, weekends, holidays, growth, month ends and one-off big
reports on the benign side; and on the other side the ways in which data leaves. Attack sizes follow
the suggestion in the data's own notes: 10 to 100 times what the user is used to, plus low and
slow ones. `data_worlds` has the parameters.
"""

import random

from generators.data_worlds import WORLDS, between, drawn
from generators.spans import log_between

HOUR = 3600.0
DAY = 24 * HOUR
MONDAY = 1_704_067_200  # 2024-01-01T00:00:00Z


PLAIN = """products orders carts articles comments tags categories stock shipments sessions events
 metrics logs reviews prices coupons inventory suppliers tickets tasks projects files reports
 notifications readings devices regions settings branches routes posts threads""".split()
SENSITIVE = """customers payments users accounts invoices credit_cards employees payroll patients
 clients members tokens secrets salaries billing credentials""".split()
ROLES = [
    "service",
    "young",
    "clerk",
    "support",
    "analyst",
    "batch",
    "backup",
    "etl",
    "developer",
    "dba",
    "cloud",
    "files",
    "terse",
    "busy",
]
ROLE_SHARE = [11, 28, 13, 8, 10, 6, 4, 5, 6, 4, 8, 6, 4, 4]
CLOUD = [
    "GetObject",
    "ListObjects",
    "DescribeInstances",
    "GetParameter",
    "PutObject",
    "AssumeRole",
    "ListBuckets",
    "DescribeSubnets",
    "GetSecretValue",
    "Decrypt",
    "GetBucketAcl",
    "DescribeTable",
    "Query",
    "GetItem",
    "DeleteObject",
    "GetUser",
    "CreateSecret",
    "HeadObject",
]


# Share of the accounts that training sees from which data leaves.
TAUGHT_SHARE = 0.75


class User:
    """One account with habits; `events` fills with dictionaries in order of time."""

    def __init__(self, rng, world, number):
        self.rng, self.world, self.number = rng, world, number
        self.role = rng.choices(ROLES, ROLE_SHARE)[0]
        if world.newcomers and rng.random() < world.newcomers:
            self.role = "young"
        self.name = f"{self.role}{number}"
        self.shift = rng.choice([-8, -5, 0, 0, 1, 1, 2, 3, 5, 8]) * HOUR
        self.around_clock = self.role in ("service", "etl", "busy") or (
            self.role in ("young", "cloud") and rng.random() < 0.5
        )
        wide = self.role in ("analyst", "etl")
        self.median = log_between(rng, world.analyst_median if wide else world.read_median)
        # How sizes spread: log-normal, pages of a list, anything up to a limit, or by table.
        self.shape = rng.choice(["spread", "spread", "pages", "even", "tables"])
        if self.role in ("batch", "backup"):
            self.median = log_between(rng, world.batch_median)
        self.sigma = between(rng, world.read_sigma)
        self.rate = log_between(rng, world.events_per_day)
        self.days = rng.randint(*world.days)
        self.known = rng.random() >= world.rows_unknown
        # A log of statements often has the rows of a select, but not those of a copy.
        self.bulk_known = self.known and rng.random() < 0.7
        self.bytes_known = rng.random() < 0.3
        count = {
            "service": 12,
            "young": 8,
            "clerk": 8,
            "support": 5,
            "analyst": 25,
            "dba": 20,
            "batch": 10,
            "backup": 15,
            "etl": 10,
            "developer": 20,
        }.get(self.role, 12)
        suffix = "" if rng.random() < 0.5 else f"_{rng.randint(1, world.tables)}"
        self.tables = [
            t + suffix for t in rng.sample(PLAIN, min(len(PLAIN), rng.randint(2, count)))
        ]
        share = 0.6 if self.role in ("support", "backup", "batch", "dba") else 0.35
        self.tables += [t for t in SENSITIVE if rng.random() < share / 4]
        self.projects = [f"p{rng.randint(1, 60)}" for _ in range(rng.choice([1, 1, 1, 2, 3, 6]))]
        self.has_project = rng.random() < 0.6
        self.sources = [
            f"10.{rng.randint(0, 9)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
            for _ in range(rng.choice([1, 1, 2, 3]))
        ]
        self.bulk = {"analyst": 0.04, "developer": 0.01, "dba": 0.03, "support": 0.003}.get(
            self.role, 0
        )
        self.start = MONDAY + rng.randint(0, 300) * DAY
        self.events = []
        self.largest = self.median * 4

    def rows(self, factor=1.0, table=""):
        rng = self.rng
        if self.shape == "pages":
            size = rng.choice([1, 1, rng.randint(0, 5), 10, 20, 20, 50]) * max(
                1.0, self.median / 20
            )
        elif self.shape == "even":
            size = rng.uniform(0, 3 * self.median)
        elif self.shape == "tables":
            size = self.median * 4 ** ((hash_of(table) % 100) / 25 - 2) * rng.lognormvariate(0, 0.3)
        else:
            size = rng.lognormvariate(0, self.sigma) * self.median
        return max(0, int(size * factor))

    def emit(self, ts, action, resource, rows, *, label=0, kind="", project=None, src=None):
        rng = self.rng
        bulk = action.lower() not in ("select", "insert", "update", "delete", "list")
        known = (self.bulk_known if bulk else self.known) and rows is not None
        event = {
            "ts": round(ts, 3),
            "user": self.name,
            "action": action,
            "resource": resource,
            "label": label,
            "category": kind,
            "src_ip": src or (self.sources[0] if rng.random() < 0.9 else rng.choice(self.sources)),
        }
        if known:
            event["rows"] = int(min(rows, 1e12))
        if (
            rows is not None
            and (not bulk or self.bulk_known)
            and (self.bytes_known or (self.role in ("cloud", "files") and self.known))
        ):
            event["bytes_out"] = int(min(rows * rng.uniform(40, 400), 1e14))
        if self.has_project:
            event["project"] = project or rng.choice(self.projects)
        self.events.append(event)
        return event

    # Benign life

    def times(self, day, rate):
        """Times of one day's events: sessions of a few events each, in working hours or not."""
        rng, made = self.rng, []
        weekday = int((day - MONDAY) / DAY) % 7
        if weekday >= 5 and not self.around_clock and rng.random() < 0.9:
            return []
        if not self.around_clock and rng.random() < 0.05:
            return []
        if weekday >= 5 and not self.around_clock:
            rate = rate * 0.2
        left = max(1, int(rng.lognormvariate(0, 0.4) * rate))
        while left > 0:
            at = rng.random() * DAY if self.around_clock else rng.gauss(13, 2.6) * HOUR - self.shift
            if rng.random() < 0.01:
                at = rng.gauss(20, 3) * HOUR - self.shift
            part = min(left, 1 + int(rng.expovariate(1 / 6)))
            for _ in range(part):
                made.append(day + at)
                at += rng.lognormvariate(3, 1.5)
            left -= part
        return sorted(made)

    def ordinary(self, ts, factor):
        rng, role = self.rng, self.role
        table = rng.choice(
            self.tables[: max(2, len(self.tables) // 2)] if rng.random() < 0.8 else self.tables
        )
        if role == "terse":
            return self.emit(ts, "select", "", self.rows(factor))
        if role == "cloud":
            action = rng.choice(CLOUD[:6] if rng.random() < 0.7 else CLOUD)
            return self.emit(ts, action, f"{table}/{rng.randint(1, 9)}", self.rows(factor, table))
        if role == "files":
            action = rng.choice(
                [
                    "http_visit",
                    "http_visit",
                    "email_send",
                    "file_copy_removable" if self.number % 4 == 0 else "http_visit",
                    "file_open",
                ]
            )
            return self.emit(ts, action, f"{table}{rng.randint(1, 40)}", self.rows(factor, table))
        if role == "etl":
            action = rng.choice(["insert_select", "select", "insert", "copy_from"])
            return self.emit(ts, action, table, self.rows(factor, table))
        if rng.random() < self.bulk:
            return self.emit(
                ts, rng.choice(["copy", "export", "copy"]), table, self.rows(factor * 3, table)
            )
        draw = rng.random()
        if draw < (0.55 if role in ("service", "young", "busy") else 0.8):
            return self.emit(ts, "select", table, self.rows(factor, table))
        if draw < 0.9:
            return self.emit(ts, rng.choice(["insert", "update"]), table, rng.randint(0, 2))
        if draw < 0.94 or role not in ("developer", "dba"):
            return self.emit(
                ts, rng.choice(["delete", "update", "select"]), table, rng.randint(0, 3)
            )
        return self.emit(ts, rng.choice(["create", "alter", "show", "grant"]), table, None)

    def live(self):
        """Fills `events` with the benign weeks."""
        rng = self.rng
        if self.role in ("young", "busy"):
            self.hours()
            return
        hour = rng.choice([1, 2, 3, 4, 22, 23]) * HOUR + rng.random() * HOUR
        action = rng.choice(["copy", "export", "dump", "backup", "select"])
        growth = rng.choice([1.0, 1.0, 1.0, 1.01, 1.03])
        busy = 1.0
        for number in range(self.days):
            day = self.start + number * DAY
            if self.role in ("batch", "backup"):
                name = action if self.role == "batch" else rng.choice(["dump", "backup"])
                if rng.random() < 0.03:
                    continue
                at = day + hour + abs(rng.gauss(0, 300)) + (6 * HOUR if rng.random() < 0.02 else 0)
                for place, table in enumerate(self.tables):
                    spread = self.median * (0.3 + 1.7 * (hash_of(table) % 97) / 97)
                    size = spread * growth**number * rng.lognormvariate(0, 0.08)
                    self.emit(at + place * rng.uniform(1, 60), name, table, int(size))
                continue
            if rng.random() < 0.04:
                busy = rng.choice([0.5, 1.0, 1.0, 1.5, 2.5])
            if rng.random() < 0.015:
                self.tables.append(rng.choice(PLAIN + SENSITIVE) + f"_v{rng.randint(1, 9)}")
            if rng.random() < 0.006 and self.has_project:
                self.projects.append(f"p{rng.randint(1, 60)}")
            for at in self.times(day, self.rate * busy):
                self.ordinary(at, growth**number)
            if rng.random() < 0.012 and self.events:
                self.one_off(self.events[-1]["ts"] + rng.uniform(60, 3000))

    def one_off(self, ts):
        """A big but honest request: a month's report, a list for the accountant."""
        factor = self.rng.uniform(3, 8) if self.role != "analyst" else self.rng.uniform(3, 20)
        table = self.rng.choice(self.tables)
        self.emit(ts, "select", table, self.rows(factor, table))

    def hours(self):
        """An account first seen some hours ago: a shop's role behind a connection pool."""
        rng = self.rng
        at = self.start + rng.random() * DAY
        span = log_between(rng, (0.1, 10)) * HOUR
        count = int(log_between(rng, (3, 700)))
        if self.role == "busy":
            span = log_between(rng, (0.2, 40)) * HOUR
            count = int(log_between(rng, (500, 4000)))
        uneven = rng.choice([1.0, rng.uniform(0.5, 2.0)])
        if rng.random() < 0.3:
            moments = [span * place / count for place in range(count)]
        else:
            moments = sorted(rng.random() ** uneven * span for _ in range(count))
        for moment in moments:
            self.ordinary(at + moment, 1.0)
        self.events.sort(key=lambda event: event["ts"])

    # Attacks

    def attack(self):
        """Adds one exfiltration to the later part of the life and returns its kind."""
        rng = self.rng
        if len(self.events) < 4:
            return None
        self.events.sort(key=lambda event: event["ts"])
        kinds = ["export", "off_hours", "projects", "copies", "dump", "scrape", "stranger"]
        if self.role == "cloud":
            kinds = ["secrets", "secrets", "projects", "export", "off_hours"]
        if self.days >= 8 and self.role not in ("young", "busy", "batch", "backup") and self.known:
            kinds += ["drain", "drain", "trickle"]
        if self.role in ("young", "busy"):
            kinds = ["export", "export", "copies", "dump", "stranger", "projects"]
        kind = rng.choice(kinds)
        sizes = sorted(event.get("rows", 0) for event in self.events)
        # The largest but for the top hundredth: one honest report does not set the scale.
        usual = max(20.0, float(sizes[int(len(sizes) * 0.99)]), self.median * 2)
        late = rng.uniform(0.6, 1.0)
        at = self.events[min(len(self.events) - 1, int(len(self.events) * late))]["ts"]
        at += rng.uniform(5, 600)
        getattr(self, f"do_{kind}")(at, usual)
        self.events.sort(key=lambda event: event["ts"])
        return kind

    def target(self):
        """A table worth taking: one of the user's own, or one never touched."""
        if self.rng.random() < 0.45:
            return self.rng.choice(self.tables)
        return self.rng.choice(SENSITIVE if self.rng.random() < 0.75 else PLAIN)

    def big(self, usual):
        return usual * log_between(self.rng, self.world.excess)

    def do_export(self, at, usual):
        rng = self.rng
        size, verb = self.big(usual), rng.choice(["copy", "COPY", "select", "export", "select"])
        if rng.random() < 0.4:
            size = max(size, log_between(rng, (5e3, 5e6)))  # a whole table
        if self.role == "cloud":
            verb = "GetObject"
        if not self.known:
            verb = rng.choice(["copy", "export", "dump"])
        resource = self.target()
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.5:
                resource = self.target()
            self.emit(at, verb, resource, size * rng.uniform(0.5, 1.5), label=1, kind="export")
            at += rng.uniform(5, 400)

    def do_off_hours(self, at, usual):
        rng = self.rng
        day = at - (at - MONDAY) % DAY
        at = day + (rng.uniform(0, 4.5) * HOUR - self.shift) % DAY
        at += DAY if at < self.events[-1]["ts"] else 0
        verb = "select" if self.known else "copy"
        for _ in range(rng.randint(5, 30)):
            size = usual * rng.uniform(2, 10)
            self.emit(at, verb, self.target(), size, label=1, kind="off_hours")
            at += rng.uniform(5, 200)

    def do_projects(self, at, usual):
        rng = self.rng
        self.has_project = True
        verb = (
            "GetObject"
            if self.role == "cloud"
            else rng.choice(["select", "select", "list", "copy"])
        )
        for number in range(int(between(rng, self.world.sweep))):
            self.emit(
                at,
                verb,
                f"{self.target()}_{number}",
                usual * rng.uniform(0.3, 2),
                label=1,
                kind="projects",
                project=f"x{rng.randint(1, 400)}",
            )
            at += rng.uniform(2, 90)

    def do_copies(self, at, usual):
        for _ in range(self.rng.randint(1, 6)):
            self.emit(
                at,
                self.rng.choice(["insert_select", "create_table_as", "insert_select"]),
                self.target(),
                self.big(usual),
                label=1,
                kind="copies",
            )
            at += self.rng.uniform(5, 300)

    def do_dump(self, at, usual):
        verb = self.rng.choice(["dump", "backup", "pg_dump", "copy"])
        for table in self.rng.sample(SENSITIVE + PLAIN, self.rng.randint(2, 14)):
            size = self.big(usual) * self.rng.uniform(0.05, 1)
            self.emit(at, verb, table, size, label=1, kind="dump")
            at += self.rng.uniform(1, 30)

    def do_scrape(self, at, usual):
        rng = self.rng
        target = self.target()
        rate = max(20.0, min(400.0, self.rate * rng.uniform(4, 12)))
        for _ in range(int(rate)):
            self.emit(at, "select", target, usual * rng.uniform(0.5, 1.5), label=1, kind="scrape")
            at += rng.uniform(0.5, 8)

    def do_stranger(self, at, usual):
        """The account from another address, with a burst of large reads."""
        src = f"203.0.113.{self.rng.randint(1, 250)}"
        verb = "select" if self.known else "copy"
        for _ in range(self.rng.randint(2, 10)):
            self.emit(
                at, verb, self.target(), self.big(usual) / 2, label=1, kind="stranger", src=src
            )
            at += self.rng.uniform(5, 200)

    def do_secrets(self, at, _usual):
        verb = self.rng.choice(["GetSecretValue", "GetParameter", "GetPasswordData", "GetObject"])
        for _ in range(int(between(self.rng, self.world.sweep)) + 4):
            self.emit(
                at, verb, f"secret-{self.rng.randint(1, 10**6)}", None, label=1, kind="secrets"
            )
            at += self.rng.uniform(0.05, 2)

    def do_trickle(self, at, usual):
        """A drain at once to three times the usual day, the hardest to see."""
        self.do_drain(at, usual, self.world.trickle, "trickle")

    def do_drain(self, _at, usual, factor=None, kind="drain"):
        """Every working hour a little more than usual, for days."""
        rng = self.rng
        first = max(self.events[0]["ts"] + 4 * DAY, self.events[-1]["ts"] - 6 * DAY)
        daily = sum(event.get("rows", 0) for event in self.events) / self.days
        wanted = max(usual, daily) * between(rng, factor or self.world.drain)
        target = self.target()
        for number in range(rng.randint(*self.world.drain_days)):
            count = rng.randint(8, 30)
            for _ in range(count):
                at = first + number * DAY - (first % DAY) + (rng.gauss(13, 2.5) * HOUR - self.shift)
                self.emit(
                    at, "select", target, wanted / count * rng.uniform(0.6, 1.4), label=1, kind=kind
                )


def hash_of(text):
    """A number of a name that does not depend on the process."""
    value = 7
    for letter in text:
        value = (value * 131 + ord(letter)) % 1_000_003
    return value


def rows(users, seed, world="train"):
    """The events of `users` accounts, user after user in order of time. Of `drawn`, each account is
    of a world of its own; of `drawn together`, all are of one."""
    rng = random.Random(seed)
    made, together = [], drawn(rng) if world == "drawn together" else None
    for number in range(users):
        own = random.Random(rng.getrandbits(64))
        of = WORLDS.get(world) or together or drawn(own)
        user = User(own, of, number)
        user.live()
        user.events.sort(key=lambda event: event["ts"])
        share = of.attack_share * (1.8 if user.role in ("young", "busy") else 1.0)
        if world == "drawn":
            # Most have an ordinary life first; the more attacks, the more there is to learn.
            share = TAUGHT_SHARE
        if user.rng.random() < share:
            user.attack()
        for event in user.events:
            event["user"] = f"{world}-{seed}-{event['user']}"
            event["source"] = f"generated {world}"
        made += user.events
    return made
