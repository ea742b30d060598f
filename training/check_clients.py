"""Figures of the behaviour of `api-watch`: simulated clients, and recorded ones.

python check_clients.py --data DIR --score-cmd "magsentinel score" [--count 2000] [--world test]

A client is flagged when one of its requests is, by a reason that names the client. Content is not
counted: recorded clients are given without query, headers and body.
"""

import argparse
import collections
import json
import pathlib
import shlex
import subprocess
import tempfile

import sources
from generators import api_clients

FIRST = 20


def scored(command, bodies):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for body in bodies:
            file.write(json.dumps(body) + "\n")
        file.flush()
        args = [*shlex.split(command), "api-watch", file.name]
        with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
            yield from (json.loads(line) for line in process.stdout)


def flagged(row):
    found = row["scored"]
    by_client = any(reason.startswith("client: ") for reason in found.get("reasons", []))
    return by_client and found["level"] in ("medium", "high", "critical"), found


def report(title, command, lives):
    """`lives`: (kind, label, bodies)."""
    bodies = [dict(body, label=str(at)) for at, (_, _, life) in enumerate(lives) for body in life]
    first, named = {}, collections.Counter()
    count = collections.Counter()
    for row in scored(command, bodies):
        at = int(row["label"])
        count[at] += 1
        hit, found = flagged(row)
        if hit and at not in first:
            first[at] = count[at]
            named[lives[at][0], found["category"]] += 1
    print(f"\n{title}")
    for label in (1, 0):
        for kind in sorted({k for k, mark, _ in lives if mark == label}):
            of = [at for at, (k, mark, _) in enumerate(lives) if k == kind and mark == label]
            early = sum(first.get(at, 10**9) <= FIRST for at in of)
            ever = sum(at in first for at in of)
            names = {c: n for (k, c), n in named.items() if k == kind}
            print(
                f"  {'attack' if label else 'benign'} {kind:24} {len(of):5} clients, within {FIRST}: "
                f"{early / len(of):.2%}, ever {ever / len(of):.2%} {names}"
            )
        of = [at for at, (_, mark, _) in enumerate(lives) if mark == label]
        if of:
            early = sum(first.get(at, 10**9) <= FIRST for at in of) / len(of)
            ever = sum(at in first for at in of) / len(of)
            print(
                f"  all {'attacks' if label else 'benign'}: within {FIRST} {early:.2%}, ever {ever:.2%}"
            )


def recorded(data, wanted):
    """Clients of recordings, in order of time; those with fewer than five requests left out."""
    lives = collections.defaultdict(list)
    labels = collections.defaultdict(list)
    for row in sources.read(data / "api" / "http_requests.jsonl.gz"):
        if row["source"] in wanted and row.get("client"):
            key = row["source"], row["client"]
            body = {
                k: row[k]
                for k in ("ts", "client", "method", "path", "status")
                if row.get(k) is not None
            }
            headers = row.get("headers") or {}
            body["headers"] = {"user-agent": headers.get("user-agent", "")[:20], "host": headers.get("host", "")}
            lives[key].append(body)
            labels[key].append(row["label"])
    made = []
    for key, life in lives.items():
        if len(life) >= 5:
            life.sort(key=lambda body: body["ts"])
            made.append((f"{key[0]}", int(max(labels[key]) == 1), life))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--score-cmd", default="magsentinel score")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--world", default="test", choices=list(api_clients.WORLDS))
    args = parser.parse_args()
    lives = list(api_clients.clients(args.count, args.seed, args.world))
    report(f"simulated clients, world {args.world}, seed {args.seed}", args.score_cmd, lives)
    if args.data:
        wanted = (
            "elastic_apache_access",
            "rita_cloud_host_http",
            "basjes_access_log",
            "rita_outbound_http",
            "scan_acunetix",
            "scan_netsparker",
        )
        report("recorded clients", args.score_cmd, recorded(args.data, wanted))


if __name__ == "__main__":
    main()
