"""The built-in scenario: one hour of a small web shop, near whose end an injection becomes a dump.

Deterministic (fixed seed); writes JSON lines `{"kind", "ts", "body"}` to standard output:

    python training/generators/shop_hour.py > cli/scenarios/shop-hour.jsonl

Everything is invented. Benign life: shoppers browse, log in, order; staff log in by ssh; a
reporting role reads a few thousand rows at half past. The attack, from one address: a scanner's
first probes, an injection that fails, a union injection that works, then the application's role
reads the whole customer table and copies it out.
"""

import datetime
import json
import random

START = datetime.datetime(2026, 3, 2, 14, 0, tzinfo=datetime.timezone.utc)
APP_SESSIONS = ["69a5b2c0.1f4a", "69a5b2c1.1f4b", "69a5b2c1.1f4c"]
WORDS = ["teapot", "kettle", "mug", "saucer", "infuser", "whisk", "caddy", "tray"]


class Hour:
    """Collects rows by their second in the hour."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.rows = []

    def add(self, second, event_kind, /, **body):
        ts = START + datetime.timedelta(seconds=second)
        stamp = ts.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.rows.append((second, {"kind": event_kind, "ts": stamp, "body": {"ts": stamp, **body}}))

    def request(self, second, client, path, query=None, method="GET", status=200, size=None):
        size = size or int(self.random.lognormvariate(8.2, 0.6))
        agent = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"}
        body = {"client": client, "method": method, "path": path, "headers": agent,
                "status": status, "resp_bytes": size}
        if query:
            body["query"] = query
        self.add(second, "api", **body)

    def statement(self, second, text, session, user="shop_app", error=None):
        body = {"text": text, "kind": "query", "user": user, "session": session,
                "src_ip": "10.20.0.5", "database": "shop", "application": "shop-web"}
        if error:
            body["error"] = error
        self.add(second, "sql", **body)

    def read(self, second, resource, rows, session, user="shop_app", action="select"):
        self.add(second, "data", user=user, session=session, src_ip="10.20.0.5", action=action,
                 resource=resource, rows=rows, project="shop")


def shopper(hour, begin, client):
    """One visit: some pages, perhaps an order."""
    rng, second = hour.random, begin
    session = rng.choice(APP_SESSIONS)
    for _ in range(rng.randint(2, 5)):
        word, item = rng.choice(WORDS), rng.randint(1, 400)
        if rng.random() < 0.5:
            hour.request(second, client, "/search", f"q={word}")
            hour.statement(second + 0.02, "SELECT id, name, price FROM products "
                           f"WHERE name ILIKE '%{word}%' ORDER BY name LIMIT 20", session)
            hour.read(second + 0.03, "products", rng.randint(1, 20), session)
        else:
            hour.request(second, client, f"/products/{item}")
            hour.statement(second + 0.02, "SELECT id, name, price, stock FROM products "
                           f"WHERE id = {item}", session)
            hour.read(second + 0.03, "products", 1, session)
        second += rng.lognormvariate(2.6, 0.7)
    if rng.random() < 0.3:
        order = rng.randint(10_000, 99_999)
        hour.request(second, client, "/orders", method="POST", status=201)
        hour.statement(second + 0.02, "INSERT INTO orders (id, customer_id, total) VALUES "
                       f"({order}, {rng.randint(1, 48_000)}, {rng.randint(5, 90)}.50)", session)
        hour.read(second + 0.05, "orders", 1, session)


def attack(hour):
    """From a first probe at 52 minutes to the copy at 57."""
    client, session = "203.0.113.66", APP_SESSIONS[1]
    begin = 52 * 60
    for n, path in enumerate(["/.env", "/admin", "/phpmyadmin/"]):
        hour.request(begin + 4 * n, client, path, status=404, size=153)
    broken = "mug' AND 1=CAST((SELECT version()) AS int)--"
    hour.request(begin + 60, client, "/search", "q=mug%27%20AND%201%3DCAST%28%28SELECT%20"
                 "version%28%29%29%20AS%20int%29--", status=500, size=512)
    hour.statement(begin + 60.02, "SELECT id, name, price FROM products WHERE name ILIKE "
                   f"'%{broken}%' ORDER BY name LIMIT 20", session, error="22P02")
    union = "x%' UNION SELECT id, email, card_token FROM customers--"
    hour.request(begin + 150, client, "/search", "q=x%25%27%20UNION%20SELECT%20id%2C%20email"
                 "%2C%20card_token%20FROM%20customers--", size=2_481_907)
    hour.statement(begin + 150.02, "SELECT id, name, price FROM products WHERE name ILIKE "
                   f"'%{union}%' ORDER BY name LIMIT 20", session)
    hour.read(begin + 150.4, "customers", 48_213, session)
    stacked = "x'; COPY customers TO '/var/lib/postgresql/c.csv' CSV HEADER--"
    hour.statement(begin + 270.02, "SELECT id, name, price FROM products WHERE name ILIKE "
                   f"'%{stacked}%'", session)
    hour.read(begin + 270.3, "customers", 48_213, session, action="copy_to")


def main():
    hour = Hour(seed=20260302)
    rng = hour.random
    for _ in range(110):
        shopper(hour, rng.uniform(0, 3480), f"198.51.100.{rng.randint(2, 250)}")
    for minute in (3, 17, 41):
        common = {"host": "shop-1", "service": "sshd", "user": "maria", "src_ip": "192.0.2.17",
                  "session": f"sshd[{4200 + minute}]"}
        hour.add(minute * 60, "auth", event="accepted_publickey", **common)
    for part in range(4):
        second = 1800 + 40 * part
        hour.statement(second, "SELECT date_trunc('day', created), sum(total) FROM orders "
                       "GROUP BY 1 ORDER BY 1", "69a5b2d0.2010", user="reports")
        hour.read(second + 0.5, "orders", rng.randint(2_000, 2_600), "69a5b2d0.2010",
                  user="reports")
    attack(hour)
    hour.request(3598, "198.51.100.9", "/")
    for _, row in sorted(hour.rows, key=lambda pair: pair[0]):
        print(json.dumps(row, separators=(",", ":")))


if __name__ == "__main__":
    main()
