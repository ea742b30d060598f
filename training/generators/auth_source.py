"""How a login is told: servers, sign-on portals, Windows domains, each with words of its own."""

import dataclasses
import math

BROWSERS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/{v}.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/{v}.0 Edg/{v}.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/{v} Safari/605.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/{v}.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0",
    "Mozilla/5.0 (X11; CrOS x86_64 14541) AppleWebKit/537.36 Chrome/{v}.0 Safari/537.36",
]
PHONES = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/{v} Mobile",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/{v}.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 13; SM-A546B) AppleWebKit/537.36 Chrome/{v}.0 Mobile Safari/537.36",
    "CompanyMail/{v} (iOS)",
]
SCRIPTS = [
    "python-requests/2.{v}",
    "curl/8.{v}",
    "Go-http-client/1.1",
    "okhttp/4.{v}",
    "Apache-HttpClient/4.{v} (Java/17)",
    "axios/1.{v}",
]


@dataclasses.dataclass(frozen=True)
class City:
    name: str
    country: str
    lat: float
    lon: float

    def km(self, other):
        """Great-circle distance."""
        a, b = math.radians(self.lat), math.radians(other.lat)
        across = math.sin(math.radians(other.lon - self.lon) / 2) ** 2
        chord = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * across
        return 2 * 6371 * math.asin(math.sqrt(chord))


CITIES = [
    City(*row)
    for row in [
        ("Berlin", "DE", 52.5, 13.4),
        ("Munich", "DE", 48.1, 11.6),
        ("Paris", "FR", 48.9, 2.4),
        ("London", "GB", 51.5, -0.1),
        ("Madrid", "ES", 40.4, -3.7),
        ("Rome", "IT", 41.9, 12.5),
        ("Warsaw", "PL", 52.2, 21.0),
        ("Stockholm", "SE", 59.3, 18.1),
        ("Kyiv", "UA", 50.5, 30.5),
        ("Moscow", "RU", 55.8, 37.6),
        ("Istanbul", "TR", 41.0, 29.0),
        ("Cairo", "EG", 30.0, 31.2),
        ("Lagos", "NG", 6.5, 3.4),
        ("Nairobi", "KE", -1.3, 36.8),
        ("Cape Town", "ZA", -33.9, 18.4),
        ("Dubai", "AE", 25.2, 55.3),
        ("Mumbai", "IN", 19.1, 72.9),
        ("Bangalore", "IN", 13.0, 77.6),
        ("Singapore", "SG", 1.4, 103.8),
        ("Jakarta", "ID", -6.2, 106.8),
        ("Hanoi", "VN", 21.0, 105.9),
        ("Beijing", "CN", 39.9, 116.4),
        ("Shanghai", "CN", 31.2, 121.5),
        ("Seoul", "KR", 37.6, 127.0),
        ("Tokyo", "JP", 35.7, 139.7),
        ("Sydney", "AU", -33.9, 151.2),
        ("New York", "US", 40.7, -74.0),
        ("Chicago", "US", 41.9, -87.6),
        ("Seattle", "US", 47.6, -122.3),
        ("Toronto", "CA", 43.7, -79.4),
        ("Mexico City", "MX", 19.4, -99.1),
        ("Sao Paulo", "BR", -23.6, -46.6),
        ("Buenos Aires", "AR", -34.6, -58.4),
    ]
]


def address(rng):
    """Somebody's address at home, in an office or a hotel."""
    first = rng.choice([n for n in range(20, 220) if n not in (127, 169, 172, 192, 198, 203)])
    return f"{first}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def hosting(rng):
    """An address of a rented machine: few neighbourhoods, many tenants."""
    network = rng.choice(["45.9", "91.240", "104.131", "139.59", "159.89", "167.99", "185.220"])
    return f"{network}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


class Device:
    """What a client says about itself; the version moves on."""

    def __init__(self, rng, phone=False, script=False):
        self.words = rng.choice(SCRIPTS if script else PHONES if phone else BROWSERS)
        self.version = rng.randrange(17, 130)
        self.name = f"dev-{rng.randrange(10**6)}"

    def agent(self, rng):
        if rng.random() < 0.02:
            self.version += 1
        return self.words.format(v=self.version)


class Source:
    """Where an organisation's logins are told, and in which words; collects `rows`."""

    def __init__(self, rng, number):
        self.rng, self.number, self.rows, self.sessions = rng, number, [], 0
        self.kind = rng.choice(["portal"] * 5 + ["ssh"] * 3 + ["windows", "bare"])
        self.words = rng.choice(["outcome", "names", "status", "dotted"])
        self.style = rng.choice(["full", "full", "brief", "pam"])
        self.placed = rng.choice(["point", "point", "naked", "country", "none"])
        self.agents = rng.random() < 0.85
        self.names_devices = rng.random() < 0.3
        self.hosts = [f"h{number}-{n}" for n in range(rng.choice([1, 1, 3, 12]))]

    @property
    def tells_places(self):
        return self.kind == "portal" and self.placed != "none"

    def add(self, at, person, extra, **fields):
        row = {"ts": round(at, 3 if self.kind == "portal" else 0), "person": person}
        row |= {"label": 0, "category": "", "attack": ""} | extra
        self.rows.append(row | {key: value for key, value in fields.items() if value is not None})

    def _session(self, keep):
        if not keep:
            self.sessions += 1
        return f"sshd[{self.sessions}]" if self.kind == "ssh" else None

    def let_in(self, at, user, where, person, device=None, city=None, keyed=False, **extra):
        if self.kind == "ssh":
            self._ssh_let_in(at, user, where, person, keyed, extra)
        elif self.kind == "windows":
            self._windows(at, user, where, person, device, extra, None)
        else:
            self._portal(at, user, where, person, device, city, extra, None)

    def refuse(
        self, at, user, where, person, device=None, city=None, unknown=False, expired=False,
        keep=False, keyed=False, **extra
    ):  # fmt: skip
        why = "unknown" if unknown else "expired" if expired else "password"
        if self.kind == "ssh":
            self._ssh_refuse(at, user, where, person, unknown, keep, extra)
        elif self.kind == "windows":
            self._windows(at, user, where, person, device, extra, why)
        else:
            self._portal(at, user, where, person, device, city, extra, why)

    def noise(self, at, where, person, device=None, city=None, **extra):
        """A connection that comes to nothing; only servers tell of those."""
        if self.kind == "ssh":
            event = self.rng.choice(["no_identification", "conn_closed", "disconnect_preauth"])
            host, session = self.hosts[0], self._session(False)
            self.add(at, person, extra, event=event, src_ip=where, host=host, session=session)

    def _portal(self, at, user, where, person, device, city, extra, why):
        rng, fields = self.rng, {}
        if self.kind == "bare":
            # A workstation tells who sat down, nothing else.
            event = "logon" if why is None else "logon_failed"
            return self.add(at, person, extra, event=event, user=user, host=f"pc-{where}")
        if self.words == "outcome":
            fields = {"event": "login", "outcome": "success" if why is None else "failure"}
        elif self.words == "names":
            fields = {"event": "login_success" if why is None else "login_failed"}
        elif self.words == "status":
            fields = {"event": "sign-in", "status": 200 if why is None else 401}
        else:
            fields = {"event": "user.login.ok" if why is None else "user.login.failed"}
        if why in ("unknown", "expired") and self.words in ("outcome", "names"):
            fields["reason"] = "unknown_user" if why == "unknown" else "password_expired"
        if device and self.agents:
            fields["user_agent"] = device.agent(rng)
            if self.names_devices:
                fields["device"] = device.name
        if city and self.placed != "none":
            if self.placed != "naked":
                fields["country"] = city.country
            if self.placed != "country":
                fields["lat"] = round(city.lat + rng.gauss(0, 0.15), 3)
                fields["lon"] = round(city.lon + rng.gauss(0, 0.15), 3)
        host = rng.choice(self.hosts)
        return self.add(at, person, extra, user=user, src_ip=where, host=host, **fields)

    def _ssh_let_in(self, at, user, where, person, keyed, extra):
        host, session = self.rng.choice(self.hosts), self._session(False)
        told = {"src_ip": where, "host": host, "session": session, "service": "sshd"}
        method = "publickey" if keyed else "password"
        self.add(at, person, extra, event="accepted", user=user, method=method, **told)
        if self.style == "full":
            self.add(at, person, extra, event="session_opened", user=user, **told)
            later = at + self.rng.expovariate(1 / 600)
            self.add(later, person, extra, event="disconnect", **told)
            self.add(later, person, extra, event="session_closed", user=user, **told)

    def _ssh_refuse(self, at, user, where, person, unknown, keep, extra):
        host, session = self.rng.choice(self.hosts[:3]), self._session(keep)
        told = {"src_ip": where, "host": host, "session": session, "service": "sshd"}
        if self.style == "full":
            if unknown and not keep:
                self.add(at, person, extra, event="invalid_user", user=user, **told)
                self.add(at, person, extra, event="invalid_user_auth", user=user, **told)
            if unknown:
                self.add(at, person, extra, event="check_pass_unknown", **told)
            known = None if unknown else user
            self.add(at, person, extra, event="auth_failure", user=known, **told)
        if self.style == "pam":
            known = None if unknown else user
            if unknown:
                self.add(at, person, extra, event="check_pass_unknown", **told)
            self.add(at, person, extra, event="auth_failure", user=known, **told)
        else:
            at += 2 if self.style == "full" else 0
            self.add(at, person, extra, event="failed_password", user=user, **told)
        if self.style == "full" and self.rng.random() < 0.4:
            event = self.rng.choice(["disconnect_preauth", "disconnect_preauth", "conn_closed"])
            self.add(at, person, extra, event=event, **told)

    def gives_up(self, at, user, where, person, **extra):
        """All that some servers tell of six tries on one connection."""
        host, session = self.hosts[0], self._session(False)
        told = {"src_ip": where, "host": host, "session": session, "service": "sshd"}
        self.add(at, person, extra, event="max_attempts", user=user, **told)

    def _windows(self, at, user, where, person, device, extra, why):
        rng = self.rng
        inside = where.startswith("10.")
        told = {"target_user": user, "host": rng.choice(self.hosts)}
        told["src_ip"] = where if rng.random() < (0.5 if inside else 1.0) else None
        told["src_host"] = device.name if device and rng.random() < 0.7 else None
        if why is None:
            event = rng.choice(["logon_success", "logon_success", "kerberos_tgt"])
            number, status = (4624, None) if event == "logon_success" else (4768, "0x0")
        else:
            event = rng.choice(["logon_failure", "ntlm_validation"])
            number = 4625 if event == "logon_failure" else 4776
            codes = {"unknown": "0xc0000064", "expired": "0xc0000071", "password": "0xc000006a"}
            status = codes[why]
        self.add(at, person, extra, event=event, event_id=number, status=status, **told)
