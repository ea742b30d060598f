"""Those who want in: guessing, spraying, stuffing, takeovers, impossible journeys, scripts.

A source may tell too little of an attack to know it from its victim's own doings. Such attacks
have a category of their own, so that figures of the others mean something and theirs are seen:
`takeover_untold` (two or three failures and a success from another network; neither the client nor
the place is told, or both are the owner's) and `impossible_travel_same_client` (a far place, but
the client says what the owner's says, or nothing: so does the owner's first use of a far gateway).
"""

import collections
import contextlib
import random

from generators.auth_source import CITIES, Device, address, hosting
from generators.spans import log_between

HOUR = 3600.0
DAY = 24 * HOUR
MONDAY = 1_704_067_200
# Events that an account has, at least, before somebody takes it over.
KNOWN = 10
# Failures that show by themselves that somebody guesses.
SHOWN = 4
AFTERMATH = ("session_opened", "session_closed", "disconnect")

NAMES = """anna ben carla david elena felix greta hannah ivan julia karl lena marco nina omar paula
 quentin rosa stefan tanya ulrich vera walter yara zoe amir bianca chen diego emma farid""".split()
GUESSED = """root admin test oracle postgres user guest ubuntu pi ftp mysql support deploy git
 jenkins www nagios tomcat backup student dev web mail info hadoop temp""".split()


class Nobody(Exception):
    """There is nobody yet whose account could be taken."""


class Service:
    """An account without a person: what an attack needs to know of it."""

    def __init__(self, name, home, city, device):
        self.name, self.home, self.home_city = name, home, city
        self.laptop, self.phone = device, None


class Attack:
    """One enemy's visit: where from, with what, how fast."""

    def __init__(self, org, number, kind):
        rng = self.rng = org.rng
        self.org, self.world, self.source = org, org.world, org.source
        self.extra = {"label": 1, "category": kind, "attack": f"{org.number}/{number}"}
        self.city = rng.choice(CITIES)
        self.where = self.new_address()
        self.device = Device(rng, script=rng.random() < 0.5)
        if kind in ("brute_force", "spraying") and rng.random() < 0.1:
            # A machine inside was taken first: the address has a past, and company.
            self.where, self.city = org.office, org.city
        self.at = MONDAY + rng.uniform(0.4, 1.0) * org.days * DAY
        self.start, self.end = self.at, MONDAY + org.days * DAY

    def new_address(self):
        return hosting(self.rng) if self.rng.random() < 0.4 else address(self.rng)

    def told(self, **more):
        return {"person": "", "device": self.device, "city": self.city} | self.extra | more

    def tells_another_client(self, person):
        """Whether the client's own words differ from those of the victim's devices."""
        if self.source.kind == "windows":
            return True
        own = [device for device in (person.laptop, person.phone) if device]
        if self.source.kind != "portal" or not self.source.agents or self.device in own:
            return False
        same = any(device.words == self.device.words for device in own)
        return self.source.names_devices or not same

    def wait(self, gap):
        even = self.rng.random() < 0.5
        self.at += gap * (self.rng.uniform(0.95, 1.05) if even else self.rng.expovariate(1))

    def victim(self):
        """Somebody with a past to differ from."""
        past = collections.Counter(
            row["person"]
            for row in self.source.rows
            if row["ts"] < self.at and not row["label"] and row["event"] not in AFTERMATH
        )
        own = f"@{self.org.number}"
        old = [person for person in self.org.people if past[person.name + own] >= KNOWN]
        services = [one for one in self.org.services if past[one.name] >= KNOWN]
        if services and self.rng.random() < 0.15:
            return self.rng.choice(services)
        if not old:
            raise Nobody
        return self.rng.choice(old)

    def fail(self, user, where=None, **more):
        self.source.refuse(self.at, user, where or self.where, **self.told(**more))

    def enter(self, user, where=None, **more):
        self.source.let_in(self.at, user, where or self.where, **self.told(**more))

    def brute_force(self, gap=None):
        rng, server = self.rng, self.source.kind == "ssh"
        gap = gap or log_between(rng, self.world.gap)
        unknown = rng.random() < 0.5
        names = [rng.choice(GUESSED) for _ in range(rng.choice([1, 1, 2, 5, 20, 400]))]
        targets = names if unknown or rng.random() < 0.3 else [self.victim().name]
        hidden = server and rng.random() < 0.25
        tries = int(log_between(rng, self.world.tries))
        # Tools open many connections at once, which then fail within the same second.
        burst = rng.choice([1, 1, 1, 2, 4, 10])
        for n in range(tries // 6 + 1 if hidden else tries):
            user = targets[n * len(targets) // tries if n < tries else 0]
            if hidden:
                self.source.gives_up(self.at, user, self.where, "", **self.extra)
            else:
                keep = n % 6 > 0 and server and burst == 1
                self.fail(user, unknown=unknown and user != "root", keep=keep)
            if n % 7 == 0:
                self.source.noise(self.at, self.where, **self.told())
            if n % burst == burst - 1:
                self.wait(gap * burst)
            if self.at > self.end:
                return
        if rng.random() < 0.1:
            self.enter(targets[-1])

    def slow_brute_force(self):
        self.brute_force(log_between(self.rng, self.world.slow_gap))

    def spraying(self):
        """A few passwords for everybody, from one address."""
        rng, gap = self.rng, log_between(self.rng, (self.world.gap[0], 300.0))
        people = [p.name for p in self.org.people]
        guessed = [f"{name}.{self.org.number}.x" for name in NAMES]
        count = int(log_between(rng, self.world.sprayed))
        named = rng.sample(people, min(len(people), count))
        named += rng.sample(guessed, min(len(guessed), max(0, count - len(named))))
        for _ in range(rng.choice([1, 1, 2])):
            for name in named:
                self.fail(name, unknown=name.endswith(".x"))
                self.wait(gap)
            self.at += rng.uniform(0, 2) * HOUR
        if rng.random() < 0.25:
            self.enter(rng.choice(named))

    def distributed_spraying(self):
        """Many addresses after one account, each with a few tries."""
        rng, user = self.rng, self.victim().name
        gap = log_between(rng, (5.0, 900.0))
        for _ in range(int(log_between(rng, self.world.botnet))):
            self.where, self.city = self.new_address(), rng.choice(CITIES)
            for _ in range(rng.choice([1, 1, 2, 3])):
                self.fail(user)
                self.wait(gap)

    def credential_stuffing(self):
        """A leaked list, each pair once: most accounts do not exist here, a few open."""
        rng, gap = self.rng, log_between(self.rng, (self.world.gap[0], 8.0))
        homes = [self.where] + [self.new_address() for _ in range(rng.choice([0, 0, 2, 8]))]
        known = rng.uniform(*self.world.stuffed_known)
        people = [p.name for p in self.org.people]
        for n in range(int(log_between(rng, self.world.stuffed))):
            where = homes[n % len(homes)]
            if rng.random() < known:
                user = rng.choice(people)
                (self.enter if rng.random() < 0.02 else self.fail)(user, where)
            else:
                self.fail(f"{rng.choice(NAMES)}{rng.randrange(10**5)}", where, unknown=True)
            self.wait(gap)

    def takeover(self):
        """Guesses from elsewhere, then success from a new place with a new device."""
        rng, person = self.rng, self.victim()
        user, gap = person.name, log_between(rng, (3.0, 1200.0))
        guesses = int(log_between(rng, self.world.guesses))
        placed = self.source.tells_places and self.city.km(person.home_city) > 500
        if guesses < SHOWN and not placed and not self.tells_another_client(person):
            self.extra["category"] = "takeover_untold"
        for _ in range(guesses):
            self.fail(user)
            self.wait(gap)
            if rng.random() < 0.15:
                self.where = self.new_address()
        self.at += log_between(rng, (2.0, 3 * HOUR))
        for _ in range(rng.choice([1, 1, 2, 4])):
            self.enter(user)
            self.at += rng.expovariate(1 / 900)

    def impossible_travel(self):
        """The owner is here, and somebody with the owner's password is elsewhere."""
        rng, person = self.rng, self.victim()
        # Where only countries are told, a large neighbour is no journey.
        far = 6000 if self.source.placed == "country" else 2500
        self.city = rng.choice([c for c in CITIES if c.km(person.home_city) > far])
        home = person.home_city.country
        # Of a source that tells points only, everybody's last login is taken.
        mine = [
            row
            for row in self.source.rows
            if row.get("user") == person.name
            and row["ts"] > self.start
            and not row["label"]
            and row.get("country", home) == home != self.city.country
        ]
        if not mine:
            return
        before = min(mine, key=lambda row: row["ts"])
        if rng.random() < 0.1:
            self.device = person.laptop
        if not self.tells_another_client(person):
            self.extra["category"] = "impossible_travel_same_client"
        hours = self.city.km(person.home_city) / 1500
        self.at = before["ts"] + rng.uniform(0.02, 0.8) * min(hours, 6) * HOUR
        for _ in range(rng.choice([1, 2, 3])):
            self.enter(person.name)
            self.at += rng.expovariate(1 / 600)

    def automation(self):
        """A person's account at the beat of a script, from elsewhere or from the person's home."""
        rng, person = self.rng, self.victim()
        if isinstance(person, Service):
            raise Nobody
        beat, jitter = log_between(rng, self.world.beat), rng.uniform(*self.world.jitter)
        sleeps = self.world.sleeps and rng.random() < self.world.sleeps
        uneven = rng.uniform(0.1, 0.5) if sleeps else 0.0
        self.device = Device(rng, script=rng.random() < 0.75)
        if rng.random() < 0.3:
            self.where, self.city = person.home, person.home_city
        for _ in range(int(log_between(rng, (14, 120)))):
            self.enter(person.name)
            # As `sleep $((RANDOM % n + m))` does; what is called takes its time on top.
            noise = rng.uniform(-uneven, uneven) + rng.expovariate(10) if sleeps else 0.0
            self.at += max(1.0, beat * (1 + rng.gauss(0, jitter) + noise))


KINDS = {
    "brute_force": 4,
    "slow_brute_force": 2,
    "spraying": 3,
    "distributed_spraying": 2,
    "credential_stuffing": 2,
    "takeover": 4,
    "impossible_travel": 10,
    "automation": 4,
}


def attack(org):
    """Lets a number of enemies visit an organisation."""
    rng: random.Random = org.rng
    # A workstation that tells neither address nor client is no place to see an attack.
    if org.source.kind == "bare":
        return
    for number in range(rng.randint(*org.world.attacks)):
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        if kind == "impossible_travel" and not org.source.tells_places:
            kind = "takeover"
        with contextlib.suppress(Nobody):
            getattr(Attack(org, number, kind), kind)()
