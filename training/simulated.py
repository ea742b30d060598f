"""Writes simulated rows that judge a patrol where no public data can be had.

python simulated.py DIR

makes `DIR/<patrol>.jsonl`: bodies with `label`, `category` and `source`, from the generators, with
other seeds than training uses and also other parameters. Needs nothing but Python itself.
"""

import json
import pathlib
import sys

from generators import api_clients, auth_life, data_access, net_flows, sql_judge

SEED = 20_250_101
ACCOUNTS = 300
# So many that a behaviour is seen some dozens of times in a world, and one miss does not decide.
ORGS = 40
CLIENTS = 1000
TEXTS = 1500
HOSTS = 150


def data_flow():
    """Accounts of four worlds in order of time; of `train` only the seed is another."""
    for place, world in enumerate(data_access.WORLDS):
        rows = data_access.rows(ACCOUNTS, SEED + place, world)
        for row in sorted(rows, key=lambda row: row["ts"]):
            yield {**row, "source": f"simulated: {world}"}


def auth_sentry():
    """Logins of the organisations of each world; of `train` only the seed is another. Those whose
    figures were looked at before the patrol was last changed say so."""
    for place, world in enumerate(auth_life.WORLDS):
        for row in auth_life.rows(ORGS, SEED + place, world):
            yield {**row, "source": f"simulated: {world}, seen"}
    for place, world in enumerate(auth_life.LAST_WORLDS):
        for row in auth_life.rows(ORGS, SEED + 100 + place, world):
            yield {**row, "source": f"simulated: {world}"}


def api_watch():
    """Clients of every world, each world in order of time; of `train` only the seed is another."""
    for place, world in enumerate(api_clients.WORLDS):
        rows = (
            # Every world numbers its clients from nought: they are others, with a past of their own.
            {**body, "client": f"{world}.{body['client']}", "label": label, "category": kind}
            for kind, label, life in api_clients.clients(CLIENTS, SEED + place, world)
            for body in life
        )
        for row in sorted(rows, key=lambda row: row["ts"]):
            yield {**row, "source": f"simulated: {world}"}


def sql_guard():
    """Texts, values, statements and injections of a generator that training never uses."""
    yield from sql_judge.rows(TEXTS, SEED)


def net_sentry():
    """Connections of the hosts of each world; of `train` only the seed is another. Names of other
    seeds are judged by training, which knows the words that they are made of."""
    for place, world in enumerate(net_flows.WORLDS):
        for row in net_flows.rows(HOSTS, SEED + place, world):
            yield {**row, "source": f"simulated: {world}"}


PATROLS = {
    "api-watch": api_watch,
    "auth-sentry": auth_sentry,
    "data-flow": data_flow,
    "net-sentry": net_sentry,
    "sql-guard": sql_guard,
}


def main():
    folder = pathlib.Path(sys.argv[1])
    for patrol, rows in PATROLS.items():
        with open(folder / f"{patrol}.jsonl", "w", encoding="utf-8") as file:
            for row in rows():
                file.write(json.dumps({**row, "label_quality": "simulated"}) + "\n")


if __name__ == "__main__":
    main()
