"""Scored events of simulated entities: noise as patrols make it, and campaigns of several stages.

`events(benign, attacks, seed, world)` gives scored events as the mesh's messages have them, each
with `label` (1: part of a campaign) beside. A campaign's stages are seen by patrols that miss
some of them; noise is not only single findings but the harmless causes that set off several
patrols at once: a scanner of one's own, a forgotten password, a nightly export, a console, a load
test, a new laptop abroad, a restart of gateways, a backup, an update of a plug-in.

Worlds differ in what their patrols are like: `train`, `test` (same, other seeds), `weak patrols`
(fewer stages are seen, and at lower levels), `noisy` (more noise at higher levels), `slow`
(campaigns stretched over hours).
"""

import random
import uuid

WORLDS = {
    "train": {},
    "test": {},
    "weak patrols": {"seen": 0.65, "shift": -1},
    "noisy": {"noise": 3.0, "noise_shift": 1},
    "slow": {"stretch": 12.0},
}
START = 1_760_000_000
DAY = 86_400
LEVELS = ("low", "medium", "high", "critical")
SCORES = {"low": (0.3, 0.5), "medium": (0.5, 0.85), "high": (0.85, 1.0), "critical": (0.9, 1.0)}
PATROL = {
    "sql": "sql-guard",
    "api": "api-watch",
    "auth": "auth-sentry",
    "data": "data-flow",
    "extension": "extension-guard",
    "iot": "iot-monitor",
    "flow": "net-sentry",
    "dns": "net-sentry",
    "host": "host-watch",
}

# A stage: kind, categories, levels with their weights, how many events, techniques, seconds that
# it lasts.
Stage = tuple
RECON = (
    "api",
    ("scan_probe", "recon", "forbidden", "sensitive_file"),
    (6, 4, 1, 0),
    (3, 60),
    ("T1595",),
    240,
)
FUZZ = ("api", ("fuzzing", "id_enumeration", "scraping"), (4, 5, 1, 0), (3, 80), ("T1595",), 300)
WEB = (
    "api",
    ("xss", "path_traversal", "cmd_injection", "ssrf", "sqli"),
    (1, 4, 8, 1),
    (1, 15),
    ("T1190",),
    200,
)
SQLI = ("sql", ("union", "tautology", "blind", "stacked"), (1, 3, 9, 1), (1, 20), ("T1190",), 200)
EXEC = ("sql", ("command_execution",), (0, 1, 5, 4), (1, 3), ("T1059",), 60)
SHELL = (
    "host",
    ("unknown_process", "reverse_shell"),
    (1, 4, 4, 1),
    (1, 4),
    ("T1059", "T1505"),
    120,
)
ROOT = (
    "host",
    ("sudo", "first_sudo", "uid_change", "new_audit_value"),
    (6, 3, 1, 0),
    (2, 12),
    ("T1548",),
    120,
)
GUESS = (
    "auth",
    ("brute_force", "password_spraying", "login_failed"),
    (6, 5, 2, 0),
    (4, 80),
    ("T1110",),
    300,
)
STUFF = ("auth", ("credential_stuffing",), (4, 6, 3, 0), (4, 60), ("T1110.004",), 300)
TAKEN = (
    "auth",
    ("takeover", "impossible_travel", "new_device"),
    (2, 4, 5, 1),
    (1, 3),
    ("T1078",),
    60,
)
DUMP = ("data", ("bulk_export", "dump", "copy"), (1, 3, 7, 1), (1, 8), ("T1213", "T1567"), 240)
DRAIN = ("data", ("slow_drain",), (6, 4, 1, 0), (3, 12), ("T1030",), 500)
MANIFEST = (
    "extension",
    ("outside_manifest", "exfiltration", "mining", "backdoor"),
    (1, 4, 6, 1),
    (1, 8),
    ("T1176",),
    200,
)
BOT = (
    "iot",
    ("flood", "spoofed_id", "replay", "malformed"),
    (2, 5, 5, 1),
    (4, 60),
    ("T1498",),
    240,
)
BEACON = ("flow", ("beacon", "rare_destination"), (5, 5, 2, 0), (2, 20), ("T1071",), 500)
TUNNEL = ("dns", ("tunnel", "dga"), (2, 5, 4, 0), (2, 40), ("T1568", "T1048"), 300)
UPLOAD = ("flow", ("upload_burst", "exfiltration"), (1, 4, 5, 0), (1, 6), ("T1048", "T1041"), 200)
SPREAD = ("flow", ("scan", "lateral"), (3, 5, 3, 0), (2, 30), ("T1046", "T1021"), 240)

CAMPAIGNS = {
    "web intrusion": ("client", [RECON, WEB, SQLI, DUMP]),
    "injection": ("client", [SQLI, DUMP]),
    "injection to shell": ("host", [RECON, WEB, SQLI, EXEC, SHELL, ROOT, SPREAD]),
    "scan and break in": ("host", [RECON, FUZZ, WEB, SHELL, ROOT, TUNNEL]),
    "takeover": ("user", [GUESS, TAKEN, FUZZ, DUMP]),
    "stuffing": ("client", [STUFF, TAKEN, FUZZ]),
    "key abuse": ("user", [TAKEN, FUZZ, DUMP]),
    "insider": ("user", [DRAIN, DUMP]),
    "extension": ("user", [MANIFEST, TUNNEL, UPLOAD]),
    "botnet": ("device", [GUESS, BOT, BEACON, SPREAD]),
    "beacon": ("host", [BEACON, TUNNEL, UPLOAD]),
    "worm": ("host", [SPREAD, GUESS, SHELL, SPREAD]),
}

# Harmless causes: stages whose findings are wrong, and how often they come again.
NOISE = {
    "lone finding": (10.0, [("any", ("odd",), (8, 2, 0.3, 0), (1, 2), (), 60)]),
    "own scanner": (1.0, [("api", ("scan_probe",), (6, 4, 0, 0), (5, 80), ("T1595",), 280)]),
    "monitoring": (2.0, [("api", ("web_error",), (1, 0, 0, 0), (5, 120), (), 290)]),
    "password": (3.0, [("auth", ("login_failed",), (8, 1, 0, 0), (2, 8), ("T1110",), 120)]),
    "stale password": (
        1.0,
        [("auth", ("login_failed", "brute_force"), (6, 3, 0.3, 0), (10, 90), ("T1110",), 290)],
    ),
    "nightly export": (1.0, [("data", ("bulk_export",), (3, 5, 1, 0), (1, 5), ("T1213",), 200)]),
    "report": (
        1.0,
        [
            ("data", ("bulk_export",), (6, 3, 0.2, 0), (1, 4), (), 200),
            ("sql", ("tooling",), (8, 2, 0, 0), (1, 3), (), 200),
        ],
    ),
    "console": (
        1.0,
        [
            ("sql", ("tooling", "schema"), (6, 3, 0.3, 0), (2, 12), ("T1190",), 280),
            ("data", ("bulk_export",), (6, 2, 0, 0), (1, 3), (), 200),
        ],
    ),
    "load test": (1.0, [("api", ("burst", "scraping"), (5, 4, 0, 0), (20, 120), (), 290)]),
    "crawler": (
        1.0,
        [("api", ("scraping", "forbidden", "web_error"), (7, 3, 0, 0), (5, 60), ("T1595",), 290)],
    ),
    "new laptop": (
        1.0,
        [
            ("auth", ("new_device", "login_failed"), (6, 4, 0.2, 0), (1, 4), ("T1078",), 100),
            ("api", ("web_error",), (1, 0, 0, 0), (1, 4), (), 100),
        ],
    ),
    "prose": (
        1.0,
        [
            ("api", ("sqli",), (5, 2, 0.2, 0), (1, 3), ("T1190",), 100),
            ("sql", ("quoted",), (6, 1, 0, 0), (1, 3), (), 100),
        ],
    ),
    "gateway restart": (
        1.0,
        [
            ("iot", ("malformed",), (6, 3, 0, 0), (5, 40), (), 150),
            ("flow", ("rare_destination",), (8, 1, 0, 0), (1, 10), (), 150),
        ],
    ),
    "backup": (
        1.0,
        [
            ("flow", ("upload_burst",), (4, 5, 0.3, 0), (1, 4), ("T1048",), 200),
            ("data", ("dump",), (5, 3, 0.3, 0), (1, 3), ("T1213",), 200),
        ],
    ),
    "plug-in update": (
        1.0,
        [
            ("extension", ("outside_manifest",), (6, 3, 0, 0), (1, 3), (), 100),
            ("dns", ("rare_name",), (1, 0, 0, 0), (1, 6), (), 100),
            ("flow", ("rare_destination",), (8, 1, 0, 0), (1, 6), (), 100),
        ],
    ),
    "administrator": (
        1.0,
        [
            ("host", ("sudo", "session"), (1, 0, 0, 0), (2, 14), ("T1548",), 250),
            ("auth", ("session",), (1, 0, 0, 0), (2, 10), (), 250),
        ],
    ),
    "telemetry": (
        1.0,
        [
            ("dns", ("rare_name", "entropy"), (6, 2, 0, 0), (2, 50), ("T1568",), 290),
            ("flow", ("beacon",), (8, 1, 0, 0), (1, 10), ("T1071",), 290),
        ],
    ),
    "loose sensor": (
        1.0,
        [
            (
                "flow",
                ("ids_event", "protocol_anomaly", "many_alerts"),
                (9, 1, 0, 0),
                (5, 120),
                (),
                290,
            )
        ],
    ),
}
KINDS = tuple(PATROL)


def _level(rng, weights, shift):
    place = rng.choices(range(4), weights)[0]
    return LEVELS[max(0, min(3, place + shift))]


def _scored(rng, key, kind, category, level, techniques, ts, label):
    low, high = SCORES[level]
    clazz, value = key
    entities = [{"class": clazz, "value": value, "trust": "observed"}]
    if clazz in ("user", "client") and rng.random() < 0.6:
        other = "client" if clazz == "user" else "user"
        name = f"{other}-of-{value}-{rng.randrange(3)}"
        # The key is the client where there is one; only a user's own findings keep the user.
        if clazz == "client":
            entities.append({"class": other, "value": name, "trust": "observed"})
    if rng.random() < 0.3 and clazz != "host":
        host = f"host-{rng.randrange(40)}"
        entities.append({"class": "host", "value": host, "trust": "observed"})
    ids = (str(uuid.UUID(int=rng.getrandbits(128), version=5)) for _ in range(2))
    return {
        "id": next(ids),
        "event": next(ids),
        "tenant": "default",
        "kind": kind,
        "ts": ts,
        "patrol": PATROL[kind],
        "level": level,
        "score": round(rng.uniform(low, high), 4),
        "confidence": round(rng.uniform(max(low, 0.4), high), 4),
        "category": category,
        "techniques": list(techniques),
        "reasons": [],
        "entities": entities,
        "label": label,
    }


def _stage(rng, key, stage, begin, label, stretch=1.0, shift=0):
    kind, categories, weights, (fewest, most), techniques, lasts = stage
    kind = rng.choice(KINDS) if kind == "any" else kind
    count = round(fewest * (most / fewest) ** rng.random())
    for _ in range(count):
        level = _level(rng, weights, shift)
        ts = begin + rng.random() * lasts * stretch
        yield _scored(rng, key, kind, rng.choice(categories), level, techniques, ts, label)


def _noise(rng, key, days, knobs):
    names = list(NOISE)
    weights = [NOISE[name][0] for name in names]
    times = rng.randrange(1, 2 + round(4 * knobs.get("noise", 1.0)))
    for _ in range(times):
        begin = START + rng.random() * days * DAY
        shift = knobs.get("noise_shift", 0) if rng.random() < 0.3 else 0
        for stage in NOISE[rng.choices(names, weights)[0]][1]:
            yield from _stage(rng, key, stage, begin + rng.random() * 60, 0, shift=shift)


def _campaign(rng, name, number, days, knobs):
    clazz, stages = CAMPAIGNS[name]
    key = (clazz, f"{clazz}-x{number}")
    begin = START + rng.random() * days * DAY
    stretch = knobs.get("stretch", rng.choice((0.3, 1.0, 1.0, 3.0)))
    for stage in stages:
        if rng.random() < knobs.get("seen", 0.85):
            shift = knobs.get("shift", 0) if rng.random() < 0.6 else 0
            yield from _stage(rng, key, stage, begin, 1, min(stretch, 2.0), shift)
        begin += (30 + rng.random() * 240) * stretch
    if rng.random() < 0.5:
        yield from _noise(rng, key, days, knobs)


def events(benign, attacks, seed, world="train", days=5):
    """Scored events of so many harmless entities and so many campaigns, by time."""
    rng = random.Random(f"{seed} {world}")
    knobs = WORLDS[world]
    made = []
    for number in range(benign):
        clazz = rng.choice(("client", "user", "device", "host"))
        made.extend(_noise(rng, (clazz, f"{clazz}-{number}"), days, knobs))
    names = list(CAMPAIGNS)
    for number in range(attacks):
        made.extend(_campaign(rng, names[number % len(names)], number, days, knobs))
    made.sort(key=lambda event: event["ts"])
    return made
