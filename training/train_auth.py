"""Trains `auth-sentry` on simulated logins; other seeds, fixed worlds and real logs judge it.

python train_auth.py --data DIR --out ../agents/patrol/models [--features-cmd "…"]
"""

import argparse
import collections
import datetime
import functools
import json
import pathlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np

import export_onnx
import features
import sources
from generators import auth_life
from train_data import linear, train

SEED = 20_261_121
# Where the account's half begins in a row: as many features as an address has.
USER_FROM = 62
# Features by which the patrol itself decides (`says.rs` has the same numbers). Not flagged are, at an
# address, the success of an account that was let in there before, and a failure where only one account
# was tried and was told that it had expired. Flagged are counts that say guessing, and a known account
# that strangers guess at from surroundings new to it, or that opens there.
FAILED_THERE, ACCOUNTS_DAY, EXCUSED, SIGN, EXPIRED_THERE = 1, 39, 59, 60, 61
FAILED, OPENED, GAVE_UP, MINUTE, ROW, GIVEN_UP = (USER_FROM + at for at in (1, 2, 3, 13, 22, 33))
DEVICE_NEW, NETWORK_NEW, DEVICE_ONCE, BOTH_NEW, STRANGERS, DEVICE_TOLD, EXPIRED = (
    USER_FROM + 38 + at for at in (6, 10, 11, 13, 17, 30, 33)
)
# Organisations to train on, in lots that know nothing of one another and one where people log in in
# turn; to calibrate; to judge by.
ORGS, LOTS, RUSH_ORGS, HELD_ORGS, JUDGED_ORGS = 260, 2, 80, 140, 14
HIDDEN = (96, 48)
FIELDS = (
    "ts event outcome status event_id reason user actor target_user src_ip host session "
    "user_agent device src_host method lat lon country repeated service"
).split()
# Shares of never attacked accounts that may ever, from their first day on, reach 0.5 and 0.85 on
# held-back organisations, by the row of an address and by that of an account.
SHARES = ((0.001, 0.0003), (0.001, 0.0003))
# What a row of each kind weighs to the address's half and to the account's. An attack that one half
# cannot see must not teach it that the ordinary is bad.
SEES = {
    "brute_force": (4.0, 1.0),
    "slow_brute_force": (4.0, 1.0),
    "spraying": (4.0, 0.05),
    "distributed_spraying": (0.1, 3.0),
    "credential_stuffing": (4.0, 0.02),
    "takeover": (2.0, 4.0),
    "takeover_untold": (0.3, 0.5),
    "impossible_travel": (0.0, 30.0),
    "impossible_travel_same_client": (0.0, 15.0),
    "automation": (0.3, 3.0),
}
# Rows of one attack after which each weighs fully: the first failure of many is like any other.
RAMP = {"automation": 12, "impossible_travel": 1, "impossible_travel_same_client": 1}
# A flood's later rows say little: what counts is how soon it is seen.
FLOODS = ("brute_force", "slow_brute_force", "spraying", "credential_stuffing")
EARLY, LATE, SOON = 12, 0.1, 4.0
# So do a traveller's, who is where the login before was: else an owner's first use of a far gateway
# makes the next logins bad.
JOURNEYS = ("impossible_travel", "impossible_travel_same_client")
# How long after a success of a stranger the owner's own logins say nothing.
POLLUTED_S = 3 * 86_400.0


def epoch(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp()


def real(data, name):
    """Rows of a curated file with the names that evaluation reads, in order of time."""
    made = []
    for row in sources.read(data / "auth" / name):
        user = row.get("user") or row.get("target_user") or ""
        made.append(row | {"ts": epoch(row["ts"]), "person": user, "label": int(row["label"])})
    return sorted(made, key=lambda row: row["ts"])


class Set:
    """Events, their rows of features, and which event each row is of."""

    def __init__(self, rows, make):
        self.rows = rows
        self.x, self.owners = make(rows)
        self.by_address = self.x[:, 0] > 0.5
        # Each row is of one half alone: else the numbers above are not those of the features.
        assert (self.by_address ^ (self.x[:, USER_FROM] > 0.5)).all()

    def worst(self, scores):
        """The score of each event."""
        worst = np.zeros(len(self.rows), np.float32)
        np.maximum.at(worst, self.owners, scores)
        return worst

    def labels(self):
        return np.array([self.rows[at]["label"] for at in self.owners], np.float32)

    def weights(self):
        """How much each row says, by kind of attack, half and place in the attack."""
        seen, entered = collections.Counter(), {}
        for row in self.rows:
            if row["label"] and row.get("user") and not refused(row):
                entered.setdefault(row["user"], []).append(row["ts"])
        weights = np.ones(len(self.owners), np.float32)
        for at, (owner, by_address) in enumerate(zip(self.owners, self.by_address, strict=True)):
            row = self.rows[owner]
            kind = row["category"]
            if not row["label"]:
                times = entered.get(row.get("user"), ())
                polluted = any(0 <= row["ts"] - time < POLLUTED_S for time in times)
                weights[at] = 0.0 if polluted else 1.0
                continue
            key = (row["attack"], row.get("src_ip") if by_address else row.get("user"))
            seen[key] += 1
            ramp = min(1.0, seen[key] / RAMP.get(kind, 4)) ** 1.5
            if kind in FLOODS:
                ramp *= LATE if seen[key] > EARLY else SOON if seen[key] > 2 else 1.0
            if kind in JOURNEYS and seen[key] > 1:
                ramp *= LATE
            success = kind.startswith("takeover") and not refused(row)
            weights[at] = SEES[kind][0 if by_address else 1] * (3.0 if success else ramp)
        return weights


def vectors(command, rows):
    """All rows of features, and whose event each is; only `FIELDS` of an event leave."""
    bodies = [{key: row[key] for key in FIELDS if row.get(key) is not None} for row in rows]
    return features.row_sets(command, "auth-sentry", bodies, np.float32)


def refused(row):
    told = (row.get("event"), row.get("outcome"), str(row.get("status")))
    return any(word in f"{text}" for text in told for word in ("fail", "invalid", "401", "0xc0"))


def attacked(rows):
    """Accounts that were tried by somebody else."""
    return {row.get("user") or row.get("target_user") for row in rows if row["label"] == 1}


def account(row):
    return row.get("user") or row.get("target_user")


def peaceful(row, victims):
    """Whether it is an event of somebody's life whom nobody attacked."""
    return row["label"] == 0 and row["person"] and account(row) not in victims


def people(part, worst):
    """The worst score of each person who was never attacked, once two days have taught."""
    return unattacked(part, worst, lambda row: row["person"] if row.get("warm", True) else None)


def accounts(part, worst):
    """The worst score of each account that was never attacked, from the first event on, misspelt
    names and services too: as `cargo xtask accuracy` counts."""
    return unattacked(part, worst, account)


def unattacked(part, worst, of):
    victims, scores = attacked(part.rows), {}
    for row, score in zip(part.rows, worst, strict=True):
        if peaceful(row, victims) and (key := of(row)):
            scores[key] = max(scores.get(key, -99.0), float(score))
    return np.array(sorted(scores.values()))


def addresses(part, worst):
    """Of each attacking address with five failures: flagged within those, and ever; and of those
    with fewer: flagged ever."""
    failures, within, ever, hostile = collections.Counter(), {}, {}, set()
    first = {}
    for at, owner in enumerate(part.owners):
        if part.by_address[at]:
            first[owner] = part.x[at]
    for at, (row, score) in enumerate(zip(part.rows, worst, strict=True)):
        where = row.get("src_ip")
        if where is None or at not in first:
            continue
        before = failures[where]
        failure, given_up, told = first[at][1], first[at][3], first[at][32]
        if row["label"] != 1:
            # Others behind the same address: their typing errors are none of the attacker's.
            continue
        hostile.add(where)
        failures[where] += (failure + 5 * given_up) * (told < 0.5)
        flagged = score >= 0.5
        ever[where] = ever.get(where, False) or flagged
        in_time = failures[where] <= 5 or before == 0
        within[where] = within.get(where, False) or (flagged and in_time)
    many = [where for where in hostile if failures[where] >= 5]
    few = [where for where in hostile if 0 < failures[where] < 5]
    share = lambda got, of: float(np.mean([got[w] for w in of])) if of else 0.0  # noqa: E731
    return {
        "addresses": len(many),
        "within_5": share(within, many),
        "ever": share(ever, many),
        "with_1_to_4": len(few),
        "few_ever": share(ever, few),
    }


def behaviours(part, worst):
    """Per kind of attack: how many, and how many with an event of theirs flagged, and high."""
    best = {}
    for row, score in zip(part.rows, worst, strict=True):
        if row["label"] == 1 and row.get("attack"):
            key = (row["category"], row["attack"])
            best[key] = max(best.get(key, 0.0), float(score))
    kinds = {}
    for (kind, _), score in best.items():
        kinds.setdefault(kind, []).append(score)
    shares = {k: (len(v), np.array(v)) for k, v in sorted(kinds.items())}
    return {
        kind: [number, float((v >= 0.5).mean()), float((v >= 0.85).mean())]
        for kind, (number, v) in shares.items()
    }


def heads(params, x):
    """Two shared layers, then a last one for addresses' rows and one for accounts'."""
    z = jnp.clip((x - params["mean"]) * params["scale"], -6, 6)
    h = jax.nn.relu(z @ params["w1"] + params["b1"])
    h = jax.nn.relu(h @ params["w2"] + params["b2"])
    both = h @ params["w3"] + params["b3"]
    return jnp.where(x[:, 0] > 0.5, both[:, 0], both[:, 1])


def scores(part, logit, scales):
    """Logits as scores, each half by its own slope and shift."""
    of_address, of_user = (logit * slope + shift for slope, shift in scales)
    scaled = np.where(part.by_address, of_address, of_user)
    made = 1 / (1 + np.exp(-np.clip(scaled, -50, 50)))
    made = np.where(excused(part.x), np.minimum(made, 0.49), made)
    return np.where(signs(part.x), np.maximum(made, 0.6), made)


def excused(x):
    """Rows of addresses that are not flagged, whatever the model says."""
    told = (x[:, FAILED_THERE] > 0.5) & (x[:, EXPIRED_THERE] >= np.log1p(0.3))
    return (x[:, EXCUSED] > 0.5) | (told & (x[:, ACCOUNTS_DAY] < np.log1p(1.6)))


def signs(x):
    """Rows that are flagged whatever the model says."""
    taken = (x[:, OPENED] > 0.5) & (x[:, BOTH_NEW] > 0.99) & (x[:, STRANGERS] >= np.log1p(2.6))
    failed = (x[:, FAILED] > 0.5) | ((x[:, GAVE_UP] > 0.5) & (x[:, GIVEN_UP] > np.log1p(1.5)))
    device = (x[:, DEVICE_TOLD] < 0.5) | (x[:, DEVICE_NEW] > 0.5)
    refused = failed & device & (x[:, NETWORK_NEW] > 0.99) & (x[:, STRANGERS] >= np.log1p(4.2))
    burst = (x[:, FAILED] > 0.5) & (x[:, DEVICE_ONCE] > 0.99) & (x[:, MINUTE] >= np.log1p(4.2))
    burst &= (x[:, ROW] >= np.log1p(4.5)) & (x[:, ROW] < np.log1p(6.5))
    own = x[:, EXPIRED] >= np.log1p(0.3)
    return (x[:, SIGN] > 0.5) | ((taken | refused | burst) & ~own)


def calibrate(part, logit):
    """Slope and shift of each half: where the shares of never attacked accounts reach 0.5 and
    0.85."""
    halves = (part.by_address & ~excused(part.x), ~part.by_address)
    return [
        calibrate_half(part, np.where(half, logit, -99.0), shares)
        for half, shares in zip(halves, SHARES, strict=True)
    ]


def calibrate_half(part, logit, shares):
    worst = np.full(len(part.rows), -99.0, np.float32)
    np.maximum.at(worst, part.owners, logit)
    clean = accounts(part, worst)
    half, high = (clean[int(len(clean) * (1 - share))] for share in shares)
    slope = float(np.clip(1.735 / max(high - half, 0.3), 0.4, 1.5))
    return slope, float(-half * slope)


def report(part, scores, title):
    worst = part.worst(scores)
    clean = people(part, worst)
    told = {"title": title, "people": len(clean)}
    told["flagged"] = float((clean >= 0.5).mean()) if len(clean) else 0.0
    every = accounts(part, worst)
    told["accounts"] = len(every)
    told["accounts_flagged"] = float((every >= 0.5).mean()) if len(every) else 0.0
    told |= {"behaviours": behaviours(part, worst)} | addresses(part, worst)
    hostile = [s for row, s in zip(part.rows, worst, strict=True) if row["label"] == 1]
    peaceful = [s for row, s in zip(part.rows, worst, strict=True) if row["label"] == 0]
    told["events"] = {
        "hostile": len(hostile),
        "hostile_flagged": float(np.mean(np.array(hostile) >= 0.5)) if hostile else 0.0,
        "peaceful": len(peaceful),
        "peaceful_flagged": float(np.mean(np.array(peaceful) >= 0.5)) if peaceful else 0.0,
    }
    print(
        f"{title}: accounts flagged {told['accounts_flagged']:.2%} of {told['accounts']}, people "
        f"after two days {told['flagged']:.2%} of {told['people']}; addresses within 5 "
        f"{told['within_5']:.1%}, ever {told['ever']:.1%} of {told['addresses']}; with 1 to 4 "
        f"failures {told['few_ever']:.1%} of {told['with_1_to_4']}; events {told['events']}"
    )
    for kind, (number, hit, high) in told["behaviours"].items():
        print(f"    {kind:22} {number:4} flagged {hit:.1%} high {high:.1%}", flush=True)
    return told


def curve(part, logits, shares=(0.001, 0.0025, 0.005, 0.01, 0.02)):
    """What is found of attacks and of addresses within five failures where a share of never attacked
    accounts is flagged: the calibrated scores' threshold is moved, signs and excuses stay."""
    worst = part.worst(logits)
    clean = accounts(part, worst)
    found = []
    for share in shares:
        least = max(float(clean[int(len(clean) * (1 - share))]), 1e-6) if len(clean) else 0.5
        # `>=` counts the account that gives the threshold itself.
        moved = np.where(worst > least, 0.9, 0.1)
        kinds = behaviours(part, moved)
        told = {kind: (number, hit) for kind, (number, hit, _) in kinds.items()}
        found.append(
            {"share": share, "kinds": told, "within_5": addresses(part, moved)["within_5"]}
        )
    return found


def judged_sets(data, make):
    made = {
        f"simulated, {world}": Set(auth_life.rows(JUDGED_ORGS, SEED + 2 + place, world), make)
        for place, world in enumerate(auth_life.WORLDS)
    }
    events = real(data, "auth_events.jsonl.gz")
    for source in ("elastic_auth", "loghub_openssh", "loghub_linux"):
        made[source] = Set([row for row in events if row["source"] == source], make)
    made["cowrie"] = Set(real(data, "cowrie_sessions.jsonl.gz"), make)
    made["cert"] = Set(real(data, "cert_logons.csv.gz"), make)
    made["windows"] = Set(real(data, "windows_logons.jsonl.gz"), make)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path, help="keep the sets here, for compare_auth.py")
    parser.add_argument("--kept", type=pathlib.Path, help="read the sets that --keep wrote")
    parser.add_argument("--no-export", action="store_true")
    args = parser.parse_args()
    make = functools.partial(vectors, args.features_cmd)

    if args.kept:
        with open(args.kept, "rb") as file:
            parts, held, judged = pickle.load(file)
    else:
        seeds = range(SEED, SEED + 100 * LOTS, 100)
        parts = [Set(auth_life.rows(ORGS, seed, "drawn"), make) for seed in seeds]
        rushes = auth_life.rows(RUSH_ORGS, SEED + 100 * LOTS, "drawn, rushes")
        parts.append(Set(rushes, make))
        held = Set(auth_life.rows(HELD_ORGS, SEED + 1, "drawn, quiet"), make)
        judged = judged_sets(args.data, make)
    if args.keep:
        args.keep.write_bytes(pickle.dumps((parts, held, judged)))
    labels, weights = (
        np.concatenate(made)
        for made in zip(*((one.labels(), one.weights()) for one in parts), strict=True)
    )
    x = np.concatenate([one.x for one in parts])
    events = sum(len(one.rows) for one in parts)
    print(f"{events} events, {len(labels)} rows, {int(labels.sum())} of attacks", flush=True)
    figures = {}
    for name, forward in (("logistic regression", linear), ("network", heads)):
        params = train(x, labels, weights, forward, args.epochs, outputs=2, hidden=HIDDEN)
        scales = calibrate(held, np.asarray(forward(params, held.x)))
        print(f"\n{name}: slopes and shifts {np.round(scales, 3).tolist()}")
        figures[name] = []
        for title, one in judged.items():
            made = scores(one, np.asarray(forward(params, one.x)), scales)
            told = report(one, made, title)
            if title.startswith("simulated"):
                told["curve"] = curve(one, made)
            figures[name].append(told)
    if args.report:
        args.report.write_text(json.dumps(figures, indent=1))
    if not args.no_export:
        export(args.out, params, scales, make)
        trained = ["generated drawn"] * events
        sources.write_list(args.out / "auth-sentry.sources.json", trained)


def export(out, params, scales, make):
    slopes, shifts = np.array(scales, np.float32).T
    scaled = dict(params, w3=params["w3"] * slopes, b3=params["b3"] * slopes + shifts)
    # The first feature of each half says that it is filled: it chooses the layer.
    width = len(params["mean"])
    scaled["chosen"] = np.zeros((width, 2), np.float32)
    scaled["chosen"][0, 0] = scaled["chosen"][USER_FROM, 1] = 1.0
    path = out / "auth-sentry.onnx"
    export_onnx.auth_sentry(path, scaled, width)
    lines = (pathlib.Path(__file__).parent / "selftest_auth.jsonl").read_text("utf-8").splitlines()
    bodies = [json.loads(line) for line in lines]
    made, owners = make(bodies)
    # One row a body is published: addresses' and accounts' take turns where a body has both.
    chosen = [
        rows[at % len(rows)]
        for at in range(len(bodies))
        if len(rows := np.flatnonzero(owners == at))
    ]
    told = [bodies[owners[at]] for at in chosen]
    result = export_onnx.run(path, "x", made[chosen])
    export_onnx.selftest(out / "auth-sentry.selftest.json", told, made[chosen], result)
    print(f"wrote {path}: {path.stat().st_size} bytes; self test {np.round(result, 3)}")


if __name__ == "__main__":
    # By its name, so that what `--keep` writes can be read by another program.
    import train_auth

    train_auth.main()
