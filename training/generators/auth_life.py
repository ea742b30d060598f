"""Simulated logins: the life of organisations, which is as untidy as the attacks upon it.

No public record of logins has labels for anything but guessing, so the world is made here, seeded.
Benign life has typing errors, expired passwords, clients that retry an old one for hours, offices
behind one address, carriers that change addresses, gateways abroad, flights, new laptops, moves,
night shifts, services and monitors as regular as clocks, and the rush at nine. `auth_attacks`
adds those who want in. `WORLDS` holds the parameters of the evaluation; training and calibration
draw a world of its own for each organisation (`drawn`), from wider spans than any of those.
`label`, `category`, `attack`, `person`: 1 for an attacker's event, what it does, which attack it
is, whose life it is.
"""

import dataclasses
import random

from generators import auth_attacks
from generators.auth_source import CITIES, Device, Source, address, hosting
from generators.spans import log_between, span, whole

HOUR = 3600.0
DAY = 24 * HOUR
MONDAY = 1_704_067_200  # 2024-01-01T00:00:00Z
# Who has just begun to look knows nobody. Figures are told with and without these days.
WARM_S = 2 * DAY


@dataclasses.dataclass(frozen=True)
class World:
    """Parameters of simulated organisations and their enemies; spans are (least, most)."""

    days: tuple = (4, 24)
    people: tuple = (15, 70)
    logins: tuple = (0.8, 8.0)  # a person's logins in a working day
    typo: tuple = (0.01, 0.08)  # share of logins that begin with a typing error
    expiry_days: tuple = (25, 120)  # between an account's changes of password
    retry_share: float = 0.15  # of changes: a forgotten client goes on with the old one
    retry_gap: tuple = (20.0, 1200.0)
    remote: tuple = (0.0, 0.9)  # share of logins from elsewhere than the office
    gateway: float = 0.15  # share of people who use a gateway in another place
    travel: float = 0.02  # chance of a journey on a day
    move: float = 0.004  # chance of a new home or provider on a day
    laptop: float = 0.006  # chance of a new device on a day
    services: tuple = (2, 8)
    attacks: tuple = (6, 16)  # per organisation
    tries: tuple = (6, 400)
    gap: tuple = (0.05, 20.0)  # seconds between tries
    slow_gap: tuple = (60.0, 9000.0)
    sprayed: tuple = (8, 60)
    botnet: tuple = (8, 60)  # addresses after one account
    stuffed: tuple = (30, 250)
    stuffed_known: tuple = (0.05, 0.5)  # share of a leaked list that exists here
    guesses: tuple = (2, 25)  # failures before a takeover
    beat: tuple = (20.0, 1800.0)  # seconds between logins of a script
    jitter: tuple = (0.0, 0.06)
    sleeps: float = 0.0  # share of scripts that sleep for an uneven time instead
    rushes: int = 0  # times that people of one place log in one after the other


WORLDS = {
    # Many enemies: the middle of what training draws from.
    "train": World(attacks=(14, 34)),
    # Few enemies, so that there are many people whom nobody attacked.
    "quiet": World(people=(40, 100), attacks=(0, 3)),
    "other paces": World(
        gap=(0.8, 60.0),
        slow_gap=(200.0, 14_400.0),
        tries=(6, 60),
        beat=(45.0, 3000.0),
        jitter=(0.01, 0.1),
        retry_gap=(60.0, 2400.0),
    ),
    "other sizes": World(
        people=(40, 120),
        logins=(0.5, 14.0),
        sprayed=(6, 25),
        botnet=(6, 20),
        stuffed=(15, 80),
        stuffed_known=(0.3, 0.8),
        guesses=(2, 6),
    ),
    "other habits": World(
        typo=(0.03, 0.14),
        expiry_days=(15, 60),
        retry_share=0.35,
        gateway=0.3,
        travel=0.05,
        move=0.01,
        laptop=0.015,
        remote=(0.4, 1.0),
    ),
}

# Worlds that were written down after features, signs and thresholds were settled, and judged once.
LAST_WORLDS = {
    # Many who come seldom, from everywhere, through gateways.
    "campus": World(
        people=(60, 130),
        logins=(0.4, 3.0),
        typo=(0.02, 0.1),
        remote=(0.6, 1.0),
        gateway=0.3,
        travel=0.03,
        attacks=(4, 12),
    ),
    # Few people at one place among many services; enemies of all paces.
    "workshop": World(
        people=(10, 30),
        logins=(2.0, 12.0),
        remote=(0.0, 0.25),
        travel=0.0,
        services=(6, 14),
        attacks=(8, 20),
        tries=(8, 80),
        gap=(0.3, 40.0),
        slow_gap=(300.0, 10_000.0),
        rushes=2,
    ),
    # Passwords expire all the time, and many type them wrong.
    "strict passwords": World(
        people=(30, 90),
        typo=(0.04, 0.15),
        expiry_days=(12, 35),
        retry_share=0.3,
        retry_gap=(15.0, 600.0),
        move=0.008,
        laptop=0.012,
        attacks=(5, 14),
    ),
    # Enemies who take their time and content themselves with little.
    "patient enemies": World(
        people=(25, 80),
        attacks=(8, 20),
        tries=(5, 40),
        gap=(2.0, 80.0),
        slow_gap=(600.0, 18_000.0),
        sprayed=(5, 30),
        botnet=(5, 30),
        stuffed=(12, 60),
        stuffed_known=(0.1, 0.7),
        guesses=(2, 12),
        beat=(60.0, 6000.0),
        jitter=(0.0, 0.15),
        sleeps=0.3,
    ),
}


def drawn(rng, attacks=(14, 34)):
    """A world by chance: each span lies somewhere within the widest that is thought possible."""

    return World(
        days=whole(rng, 3, 30),
        people=whole(rng, 8, 130),
        logins=span(rng, 0.4, 15.0),
        typo=span(rng, 0.005, 0.16),
        expiry_days=span(rng, 12.0, 150.0),
        retry_share=rng.uniform(0.0, 0.4),
        retry_gap=span(rng, 15.0, 3000.0),
        remote=tuple(sorted(rng.random() for _ in range(2))),
        gateway=rng.uniform(0.0, 0.35),
        travel=rng.uniform(0.0, 0.06),
        move=rng.uniform(0.0, 0.012),
        laptop=rng.uniform(0.0, 0.02),
        services=whole(rng, 1, 12),
        attacks=attacks,
        tries=span(rng, 5, 400),
        gap=span(rng, 0.05, 90.0),
        slow_gap=span(rng, 60.0, 18_000.0),
        sprayed=span(rng, 5, 60),
        botnet=span(rng, 5, 60),
        stuffed=span(rng, 12, 250),
        stuffed_known=tuple(sorted(rng.uniform(0.03, 0.85) for _ in range(2))),
        guesses=span(rng, 2, 25),
        beat=span(rng, 10.0, 7200.0),
        jitter=(0.0, rng.uniform(0.0, 0.2)),
        sleeps=rng.uniform(0.0, 0.5),
    )


class Person:
    """One account with an owner: habits, devices, and addresses that change."""

    def __init__(self, org, number, shared=None):
        rng = self.rng = org.rng
        self.org = org
        self.name = shared or f"{rng.choice(auth_attacks.NAMES)}.{org.number}.{number}"
        self.home_city = org.city if rng.random() < 0.85 else rng.choice(CITIES)
        self.home = address(rng)
        self.carriers = [rng.randrange(11, 200) for _ in range(rng.choice([1, 1, 2]))]
        self.laptop, self.phone = Device(rng), Device(rng, phone=True)
        # Who lives in another city never comes to the office.
        near = self.home_city is org.city
        self.remote = rng.uniform(*org.world.remote) if near else 1.0
        self.mobile = rng.choice([0.0, 0.05, 0.1, 0.3])
        if shared:
            # Administration is done at a desk.
            self.remote, self.mobile = min(self.remote, 0.2), 0.0
        self.typo = log_between(rng, org.world.typo)
        self.rate = log_between(rng, org.world.logins)
        self.start = rng.choice([22, 14, 6, 7, 8, 8, 8.5, 9, 9, 9, 10]) + rng.gauss(0, 0.4)
        self.weekend = rng.choice([0.0, 0.05, 0.1, 0.8])
        self.gateway = rng.random() < org.world.gateway
        self.away = None  # (until, city, address) on a journey
        self.back = 0.0  # when the last journey ended
        self.last = 0.0  # the latest login
        self.used = [self.home]  # addresses that let this person in
        self.joined = rng.choice([0, 0, 0, 0, rng.randrange(org.days)])
        self.expires = rng.uniform(0, log_between(rng, org.world.expiry_days))

    def where(self, ts):
        """Address, city and device of a login."""
        rng = self.rng
        if self.away and ts < self.away[0]:
            return self.away[2], self.away[1], self.laptop if rng.random() < 0.8 else self.phone
        if self.gateway and rng.random() < 0.3:
            return self.org.gateway, self.org.gateway_city, self.laptop
        if rng.random() < self.mobile:
            number = rng.choice(self.carriers)
            mine = f"{number}.{rng.randrange(4) + 16}.{rng.randrange(256)}.{rng.randrange(256)}"
            return mine, self.home_city, self.phone
        if rng.random() < self.remote:
            return self.home, self.home_city, self.laptop
        return self.org.office, self.org.city, self.laptop

    def day(self, day):
        """One day's logins."""
        rng, world = self.rng, self.org.world
        weekday = (day % 7) < 5
        midnight = MONDAY + day * DAY
        if rng.random() < world.laptop:
            self.laptop = Device(rng)
        if rng.random() < world.move:
            self.home = address(rng)
        if not weekday and rng.random() >= self.weekend:
            return
        if self.away and midnight > self.away[0]:
            self.back = self.away[0] + self.flight(self.away[1])
            self.away = None
        elif rng.random() < world.travel and not self.away:
            city = rng.choice(CITIES)
            begin = max(midnight + rng.uniform(0, 10) * HOUR, self.last + HOUR)
            midnight = begin + self.flight(city)
            self.away = (midnight + rng.randint(1, 5) * DAY, city, address(rng))
        count = min(40, int(rng.expovariate(1 / self.rate) + 0.6))
        first = midnight + self.start * HOUR + rng.gauss(0, 900)
        times = [first + (0 if n == 0 else rng.uniform(0, 9 * HOUR)) for n in range(count)]
        if rng.random() < 0.04:
            times.append(midnight + rng.uniform(0, 24) * HOUR)
        self.expires -= 1
        for at in sorted(max(time, midnight) for time in times):
            self.login(at)

    def flight(self, city):
        """At 800 km/h, and three hours at both ends; nobody logs in on the way."""
        return (city.km(self.home_city) / 800 + 3) * HOUR

    def login(self, at):
        rng, source = self.rng, self.org.source
        landed = self.away[0] + self.flight(self.away[1]) if self.away else self.back
        if (at > self.away[0] if self.away else True) and at < landed:
            return
        where, city, device = self.where(at)
        self.last = max(self.last, at)
        self.used = [*self.used[-5:], where]
        mine = {"person": f"{self.name}@{self.org.number}", "device": device, "city": city}
        if self.expires < 0:
            at = self.change_password(at, where, mine)
        elif rng.random() < self.typo:
            wrong_name = rng.random() < 0.12
            name = self.name[1:] if wrong_name else self.name
            for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 3])):
                source.refuse(at, name, where, unknown=wrong_name, **mine)
                at += rng.lognormvariate(2.2, 0.6)
        elif rng.random() < 0.02:
            source.noise(at, where, **mine)
        source.let_in(at, self.name, where, **mine)

    def change_password(self, at, where, mine):
        """The old password is refused a few times; some client may not be told of the new one."""
        rng, source, world = self.rng, self.org.source, self.org.world
        self.expires = log_between(rng, world.expiry_days)
        for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 3, 4, 5, 8])):
            source.refuse(at, self.name, where, expired=rng.random() < 0.4, **mine)
            at += rng.lognormvariate(2.5, 0.8)
        at += rng.uniform(60, 1800)
        if rng.random() < world.retry_share:
            gap, client = log_between(rng, world.retry_gap), mine | {"device": self.phone}
            elsewhere = rng.choice(self.used[1:])
            for n in range(int(log_between(rng, (6, 150)))):
                beat = at + n * gap * (1 + rng.gauss(0, 0.02))
                source.refuse(beat, self.name, elsewhere, **client)
        return at


class Org:
    """An organisation with one source of logins."""

    def __init__(self, rng, world, number):
        self.rng, self.world, self.number = rng, world, number
        self.days = rng.randint(*world.days)
        self.city = rng.choice(CITIES)
        # Most gateways stand near the people; some come out of the wall on another continent.
        near = sorted(CITIES, key=self.city.km)
        self.gateway_city = rng.choice([*near[:1] * 14, *near[1:6], rng.choice(CITIES)])
        private = rng.random() < 0.4
        self.office = self.inside(0, 7) if private else address(rng)
        self.gateway = address(rng)
        self.source, self.services = Source(rng, number), []
        self.people = [Person(self, n) for n in range(rng.randint(*world.people))]
        # Accounts that every list of guesses holds are somebody's daily bread, typing errors too.
        for shared in rng.sample(["root", "admin", "deploy", "git", "postgres", "backup"], 3):
            if rng.random() < 0.4:
                self.people.append(Person(self, number, f"{shared}{number}"))

    def inside(self, net, host):
        """An address within the organisation, which no other one has."""
        number = self.number
        if net == 0:
            return f"10.{number % 250}.{number // 250}.{host}"
        return f"10.{number % 250}.{net + 10 * (number // 250)}.{host}"

    def live(self):
        for person in self.people:
            for day in range(person.joined, self.days):
                person.day(day)
        for number in range(self.rng.randint(*self.world.services)):
            self.service(number)
        self.watch()
        for _ in range(self.world.rushes):
            self.rush()

    def rush(self):
        """People of one place log in one after the other, at an almost even pace; some err first."""
        rng = self.rng
        at = MONDAY + rng.randrange(self.days) * DAY + rng.uniform(5, 18) * HOUR
        gap, jitter = log_between(rng, (3.0, 60.0)), rng.choice([0.0, 0.0, 0.05, 0.15, 0.3])
        err, where = rng.uniform(0.02, 0.2), self.office if rng.random() < 0.5 else address(rng)
        near = [person for person in self.people if person.home_city is self.city]
        for person in rng.sample(near, min(len(near), rng.randint(6, 60))):
            mine = {"person": f"{person.name}@{self.number}", "device": person.laptop}
            mine["city"] = self.city
            if rng.random() < err:
                self.source.refuse(at - rng.uniform(2, 15), person.name, where, **mine)
            self.source.let_in(at, person.name, where, **mine)
            at += gap * (1 + rng.uniform(-jitter, jitter))

    def service(self, number):
        """A service or a nightly job: one place, an even beat, a script by its own words."""
        rng, source = self.rng, self.source
        name = f"{rng.choice(['svc', 'backup', 'sync', 'report', 'ci'])}.{self.number}.{number}"
        beat = log_between(rng, (120, DAY))
        own = {"person": name, "device": Device(rng, script=rng.random() < 0.8)}
        own |= {"city": self.city, "keyed": rng.random() < 0.5}
        where = self.inside(9, number + 10) if rng.random() < 0.7 else hosting(rng)
        self.services.append(auth_attacks.Service(name, where, self.city, own["device"]))
        at, jitter = MONDAY + rng.uniform(0, DAY), rng.choice([0.0, 0.002, 0.02])
        end = MONDAY + self.days * DAY
        broken = rng.uniform(at, end * 3 - 2 * at) if rng.random() < 0.3 else end
        for _ in range(rng.randint(60, 500)):
            if at > end:
                break
            if broken < at < broken + beat * 12:
                source.refuse(at, name, where, **own)
            else:
                source.let_in(at, name, where, **own)
                if rng.random() < 0.05:  # a play that visits many hosts at once
                    for _ in range(rng.randint(2, 20)):
                        source.let_in(at + rng.uniform(0, 20), name, where, **own)
            at += beat * (1 + rng.gauss(0, jitter))

    def watch(self):
        """A monitor or balancer that connects and says nothing."""
        rng = self.rng
        if rng.random() < 0.5:
            where, beat = self.inside(8, 8), log_between(rng, (30, 1200))
            start = MONDAY + rng.uniform(0, self.days) * DAY
            for n in range(rng.randint(20, 120)):
                self.source.noise(start + n * beat, where, person=f"monitor.{self.number}")


def rows(orgs, seed, world="train"):
    """Events of many organisations in order of time. Of `drawn`, each organisation is of a world of
    its own; `drawn, quiet` has few enemies, so that there are many people whom nobody attacked;
    `drawn, rushes` has people who log in in turn, and stay at home otherwise.
    `warm` says that the event lies after the days in which nobody is known yet."""
    rng = random.Random(seed)
    made = []
    for number in range(orgs):
        few = world == "drawn, quiet"
        of = (WORLDS | LAST_WORLDS).get(world) or drawn(rng, attacks=(0, 3) if few else (14, 34))
        if world == "drawn, rushes":
            of = dataclasses.replace(of, travel=0.0, rushes=rng.randint(2, 12))
        org = Org(rng, of, number)
        org.live()
        auth_attacks.attack(org)
        made += org.source.rows
    made.sort(key=lambda row: row["ts"])
    for row in made:
        row["warm"] = row["ts"] >= MONDAY + WARM_S
    return made
