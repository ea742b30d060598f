"""Simulated connections: hosts that browse, poll, back up and serve, and some that are owned.

`rows(hosts, seed, world)` yields bodies of `flow` in order of time, with `label`, `category` and, of
an attack, `attack`, which tells attacks apart. Nothing is trained on them: net-sentry's counters were
set by looking at the world `train`, and are judged by the others, whose seeds and parameters differ.

Ordinary life is meant to look like the attacks: clocks and name servers that are asked evenly, mail and
news fetched every few minutes, agents that report every minute, backups at night, a browser that opens
thirty connections at once and finds a few closed, a monitor that tries dead hosts. `chat` is the one
that no counter can tell from a beacon: the same bytes on the dot to an address outside.
"""

import math
import random

DAY, HOUR = 86_400, 3600
START = 1_750_118_400  # A Tuesday, midnight UTC.

WORLDS = {
    # Periods and jitter of beacons, share of beats missed, spread of their bytes; days; hosts that chat.
    "train": {"period": (20, 1800), "jitter": (0.0, 0.4), "missed": 0.05, "spread": 0.05, "days": 5, "chat": 0.01},
    "office": {"period": (10, 900), "jitter": (0.1, 0.4), "missed": 0.1, "spread": 0.1, "days": 6, "chat": 0.02},
    "servers": {"period": (60, 3600), "jitter": (0.3, 0.4), "missed": 0.02, "spread": 0.02, "days": 5, "chat": 0.0},
    "home": {"period": (5, 600), "jitter": (0.0, 0.2), "missed": 0.15, "spread": 0.2, "days": 7, "chat": 0.02},
}


def public(rng):
    return f"{rng.choice([5, 23, 34, 45, 52, 81, 104, 142, 151, 172, 185, 193, 212])}.{rng.randint(32, 250)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


class Host:
    def __init__(self, rng, number, world):
        self.rng, self.world = rng, WORLDS[world]
        self.ip = f"10.{number // 250}.{number % 250}.{rng.randint(2, 250)}"
        self.end = START + self.world["days"] * DAY
        self.works = (rng.uniform(7, 10) * HOUR, rng.uniform(16, 19) * HOUR)
        self.rows = []

    def add(self, ts, dst, port, up, down, state="SF", proto="tcp", process=None, label=0, category="", attack=None):
        row = {
            "ts": round(ts, 3), "src_ip": self.ip, "src_port": self.rng.randint(32768, 60999),
            "dst_ip": dst, "dst_port": port, "proto": proto, "orig_bytes": int(up),
            "resp_bytes": int(down), "conn_state": state, "label": label, "category": category,
        }
        if process:
            row["process"] = process
        if attack:
            row["attack"] = attack
        self.rows.append(row)

    def bytes(self, typical, sigma):
        return typical * math.exp(self.rng.gauss(0, sigma))

    def every(self, period, wobble, first=None, last=None):
        """Times about `period` apart, each gap off by a share of it, for a day."""
        at = (first or START) + self.rng.uniform(0, period)
        while at < (last or START + DAY):
            yield at
            at += period * (1 + self.rng.uniform(-wobble, wobble))

    def working_times(self, a_day):
        for day in range(self.world["days"]):
            for _ in range(int(a_day * self.rng.uniform(0.4, 1.6))):
                yield START + day * DAY + self.rng.uniform(*self.works)

    # Ordinary life.

    def browse(self):
        rng = self.rng
        for at in sorted(self.working_times(rng.uniform(1, 5))):
            favourite = rng.random() < 0.6
            for part in range(rng.randint(1, 12)):
                own = random.Random(f"{self.ip} {rng.randint(0, 12)}") if favourite else rng
                state = "S0" if rng.random() < 0.015 else "SF"
                self.add(at + rng.expovariate(0.5), public(own), 443, self.bytes(1500, 0.9), self.bytes(30_000, 1.6), state, process="browser")

    def clocks(self):
        rng = self.rng
        for _ in range(rng.randint(1, 3)):
            dst = public(rng)
            for at in self.every(rng.choice([256, 512, 1024, 1024, 2048]), 0.02):
                self.add(at, dst, 123, 48, 48, proto="udp")

    def names(self):
        for at in self.working_times(12):
            self.add(at, "10.0.0.53", 53, self.bytes(60, 0.2), self.bytes(180, 0.4), proto="udp")

    def mail(self):
        dst = public(self.rng)
        for at in self.every(self.rng.choice([120, 300, 300, 600]), 0.02):
            new = self.rng.random() < 0.15
            self.add(at, dst, 993, self.bytes(900, 0.1), self.bytes(60_000 if new else 2500, 1.2), process="mail")

    def news(self):
        dst = public(self.rng)
        for at in self.every(self.rng.choice([300, 900, 1800]), 0.05):
            self.add(at, dst, 443, self.bytes(700, 0.05), self.bytes(9000, 1.1))

    def agent(self):
        dst = public(self.rng)
        for at in self.every(self.rng.choice([60, 120, 300]), 0.03):
            self.add(at, dst, 443, self.bytes(6000, 0.7), self.bytes(400, 0.3), process="agent")

    def chat(self):
        dst = public(self.rng)
        for at in self.every(self.rng.choice([120, 300]), 0.02):
            self.add(at, dst, 443, 310, 290)

    def update(self):
        dst = public(self.rng)
        for at in self.every(4 * HOUR, 0.2, last=self.end):
            self.add(at, dst, 443, self.bytes(1200, 0.2), self.bytes(4000, 1.5), process="update")

    def backup(self):
        dst, hour = public(self.rng), self.rng.uniform(0, 5) * HOUR
        for day in range(self.world["days"]):
            for part in range(self.rng.randint(3, 8)):
                self.add(START + day * DAY + hour + part * 60, dst, 443, self.bytes(3e8, 0.4), 9000, process="backup")

    def monitor(self):
        """Looks after hosts of which a few are down for a while."""
        hosts = [f"10.9.{self.rng.randint(0, 9)}.{n}" for n in range(2, 32)]
        dead = set(self.rng.sample(hosts, 4))
        for at in self.every(300, 0.01, last=START + 2 * HOUR):
            for host in hosts:
                state = "S0" if host in dead else "SF"
                self.add(at + self.rng.random(), host, 9100, 200, 0 if host in dead else self.bytes(20_000, 0.1), state)

    def serve(self):
        """A service that talks to the same few others."""
        few = [public(self.rng) for _ in range(self.rng.randint(1, 4))]
        process = self.rng.choice(["postgres", "billing", "exporter", "printd"])
        for at in self.every(self.rng.choice([600, 900]), 0.9, last=self.end):
            self.add(at, self.rng.choice(few), 443, self.bytes(3000, 1.0), self.bytes(5000, 1.0), process=process)
        return process

    def uploads(self):
        for at in self.working_times(1.5):
            self.add(at, public(self.rng), 443, self.bytes(4e6, 1.2), 3000, process="browser")

    # What an owned host does.

    def beacon(self, attack):
        rng, world = self.rng, self.world
        period = math.exp(rng.uniform(*map(math.log, world["period"])))
        jitter, dst = rng.uniform(*world["jitter"]), public(rng)
        port, up, down = rng.choice([443, 443, 80, 8443, 53, 4444]), rng.uniform(150, 1500), rng.uniform(90, 2000)
        at = START + rng.uniform(0, DAY)
        last = min(self.end, at + max(period * rng.randint(40, 120), 1800))
        while at < last:
            if rng.random() >= world["missed"]:
                order = rng.random() < 0.03
                self.add(at, dst, port, self.bytes(up, world["spread"]), self.bytes(down * (20 if order else 1), world["spread"]), label=1, category="beaconing", attack=attack)
            at += period * (1 + rng.uniform(-jitter, jitter))

    def scan_ports(self, attack):
        rng, dst = self.rng, public(self.rng) if self.rng.random() < 0.5 else f"10.3.1.{self.rng.randint(2, 200)}"
        at, gap = START + rng.uniform(0.2, 0.9) * DAY, rng.choice([0.01, 0.2, 1.0, 5.0])
        for port in rng.sample(range(1, 10_000), rng.choice([30, 100, 400])):
            state = "SF" if rng.random() < 0.03 else rng.choice(["REJ", "S0"])
            self.add(at, dst, port, 0, 0, state, label=1, category="port_scan", attack=attack)
            at += gap * rng.uniform(0.5, 1.5)

    def scan_hosts(self, attack):
        rng, port = self.rng, self.rng.choice([22, 23, 445, 3389, 80, 6379])
        at, gap = START + rng.uniform(0.2, 0.9) * DAY, rng.choice([0.01, 0.2, 1.0, 5.0])
        net = rng.randint(0, 200)
        for _ in range(rng.choice([30, 100, 250])):
            dst = f"10.4.{net}.{rng.randint(1, 254)}" if rng.random() < 0.7 else public(rng)
            state = "SF" if rng.random() < 0.1 else rng.choice(["REJ", "S0", "S0"])
            self.add(at, dst, port, 0, 0, state, label=1, category="network_scan", attack=attack)
            at += gap * rng.uniform(0.5, 1.5)

    def upload_at_night(self, attack):
        rng, dst = self.rng, public(self.rng)
        at = START + (self.world["days"] - 1) * DAY + rng.uniform(1, 4) * HOUR
        for part in range(rng.randint(3, 20)):
            self.add(at + part * 40, dst, 443, self.bytes(8e7, 0.5), 4000, label=1, category="upload_burst", attack=attack)

    def strange_destination(self, attack):
        process = self.serve()
        at = START + (self.world["days"] - 1) * DAY + self.rng.uniform(0, DAY)
        self.add(at, public(self.rng), 443, 900, 3000, process=process, label=1, category="rare_destination", attack=attack)


def rows(hosts, seed, world):
    rng = random.Random(f"{seed} {world}")
    everything = []
    attacks = ["beacon"] * 5 + ["scan_ports", "scan_hosts", "upload_at_night", "strange_destination"]
    for number in range(hosts):
        host = Host(rng, number, world)
        host.names()
        if rng.random() < 0.8:
            host.browse()
            host.uploads()
        for life, share in (("clocks", 0.3), ("mail", 0.2), ("news", 0.15), ("agent", 0.06), ("update", 0.5), ("monitor", 0.03), ("serve", 0.15), ("backup", 0.15)):
            if rng.random() < share:
                getattr(host, life)()
        if rng.random() < host.world["chat"]:
            host.chat()
        if rng.random() < 0.7:
            attack = rng.choice(attacks)
            getattr(host, attack)(f"{world} {number}")
        everything += host.rows
    everything.sort(key=lambda row: row["ts"])
    return everything
