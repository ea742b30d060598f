"""Compares forms of `data-flow`'s model: one access against a profile, or the last accesses.

python compare_data.py [--features-cmd "…"] [--users 1200]

The forms: logistic regression and the shipped network over one access's features against the user's
profile; a small convolutional network over the last accesses as they are logged, without a profile;
and the same over the features of the last accesses. All are trained on the same simulated accounts,
calibrated alike, and judged on worlds with other parameters. Prints a table for the model card.
"""

import argparse
import functools
import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np

import costs
import features
import train_data
from generators import data_access

LAST = 24  # accesses that a convolutional network sees, the judged one included
FILTERS = 24
PROFILE = 352  # bytes
EQUAL = 0.005  # share of benign user-days at which all forms are compared, whatever was calibrated


def plain(rows):
    """Each access by itself, as a log has it: sizes, time, and words by hash."""
    made = np.zeros((len(rows), 40), np.float32)
    before = {}
    for at, row in enumerate(rows):
        last = before.get(row["user"], row)
        size, sent = row.get("rows"), row.get("bytes_out")
        hour = row["ts"] % 86_400 / 86_400 * 2 * math.pi
        made[at, :12] = [
            math.log1p(size or 0),
            float(size is None),
            math.log1p(sent or 0),
            float(sent is None),
            math.sin(hour),
            math.cos(hour),
            float(row["ts"] // 86_400 % 7 in (2, 3)),
            math.log1p(max(row["ts"] - last["ts"], 0)),
            float(row["resource"] != last["resource"]),
            float(row.get("src_ip") != last.get("src_ip")),
            float(row.get("project") != last.get("project")),
            float(row["action"] != last["action"]),
        ]
        made[at, 12 + zlib.crc32(row["action"].encode()) % 16] = 1
        made[at, 28 + zlib.crc32(row["resource"].encode()) % 12] = 1
        before[row["user"]] = row
    return made


def places(rows):
    """Of each row, where the last accesses of its user lie; -1 is none."""
    made = np.full((len(rows), LAST), -1, np.int64)
    past = {}
    for at, row in enumerate(rows):
        own = past.setdefault(row["user"], [])
        own.append(at)
        del own[:-LAST]
        made[at, LAST - len(own) :] = own
    return made


def convolution(params, x):
    """Two layers over time; the last access and the maximum of all are read."""
    mask = (x[..., :1] > -1e8).astype(jnp.float32)
    z = jnp.clip((x - params["mean"]) * params["scale"], -6, 6) * mask
    for layer in ("1", "2"):
        around = jnp.pad(z, ((0, 0), (2, 0), (0, 0)))
        parts = jnp.concatenate([around[:, :-2], around[:, 1:-1], z], -1)
        z = jax.nn.relu(parts @ params["w" + layer] + params["b" + layer]) * mask
    h = jnp.concatenate([z[:, -1], z.max(1)], 1)
    h = jax.nn.relu(h @ params["w3"] + params["b3"])
    return (h @ params["w4"] + params["b4"])[:, 0]


def start(x):
    rng = np.random.default_rng(train_data.SEED)
    shapes = [(3 * x.shape[1], FILTERS), (3 * FILTERS, FILTERS), (2 * FILTERS, FILTERS)]
    params = {"mean": x.mean(0), "scale": 1 / np.maximum(x.std(0), 0.05)}
    for number, shape in enumerate([*shapes, (FILTERS, 1)], 1):
        params[f"w{number}"] = rng.normal(0, np.sqrt(2 / shape[0]), shape).astype(np.float32)
        params[f"b{number}"] = np.zeros(shape[1], np.float32)
    return jax.tree.map(jnp.asarray, params)


def windows(x, where):
    """The rows at some places; an empty place holds what `convolution` masks."""
    return np.where((where >= 0)[..., None], x[where], -1e9).astype(np.float32)


def fit_convolution(x, where, labels, weights, epochs, batch=512, rate=0.002):
    rng = np.random.default_rng(train_data.SEED)
    params = start(x)
    moments = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))
    at, total = 0, epochs * (len(x) // batch)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for from_ in range(0, len(x) - batch + 1, batch):
            part = order[from_ : from_ + batch]
            at += 1
            slope = min(1.0, 2.5 * (1 - at / (total + 1)))
            params, moments = train_data.step(
                convolution,
                params,
                moments,
                windows(x, where[part]),
                labels[part],
                weights[part],
                at,
                rate * slope,
            )
    return params


def logits_of(forward, params, x, where):
    if where is None:
        return np.asarray(forward(params, x))
    call = jax.jit(forward)
    parts = [windows(x, where[at : at + 4096]) for at in range(0, len(x), 4096)]
    return np.concatenate([np.asarray(call(params, part)) for part in parts])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument("--users", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    vectors = functools.partial(
        features.vectors, args.features_cmd, "data-flow", fields=train_data.FIELDS, dtype=np.float32
    )
    seed = train_data.SEED
    sets = {"train": data_access.rows(args.users, seed, "drawn")}
    sets["held"] = train_data.held_rows(8, 60)
    for place, world in enumerate(("other sizes", "other habits", "long")):
        sets[world] = data_access.rows(300, seed + 3 + place, world)
    against = {name: vectors(rows) for name, rows in sets.items()}
    logged = {name: plain(rows) for name, rows in sets.items()}
    where = {name: places(rows) for name, rows in sets.items()}
    rows = sets["train"]
    labels = np.array([row["label"] for row in rows], np.float32)
    weights = np.array(
        [train_data.KIND_WEIGHT.get(row["category"], 1.0) for row in rows], np.float32
    )
    print("| form | weights | µs, batch 1 | batch 64 | bytes a key ", end="")
    print("| world | benign user-days | flagged | exfiltrations | found ", end="")
    print(f"| found at {EQUAL:.1%} |\n|" + " --- |" * 11)
    for title, forward, x, past in (
        ("logistic regression, profile", train_data.linear, against, None),
        ("**network, profile**", train_data.logits, against, None),
        ("convolution, last accesses as logged", convolution, logged, where),
        ("convolution, last accesses against the profile", convolution, against, where),
    ):
        if past is None:
            params = train_data.train(x["train"], labels, weights, forward, args.epochs)
        else:
            params = fit_convolution(x["train"], past["train"], labels, weights, args.epochs)
        judge = lambda name: logits_of(forward, params, x[name], past and past[name])
        slope, shift = train_data.calibrate(sets["held"], judge("held"))
        size = sum(np.size(part) for name, part in params.items() if name not in ("mean", "scale"))
        width = x["train"].shape[1]
        form = {
            train_data.linear: lambda: costs.layers((width, 1)),
            train_data.logits: lambda: costs.layers((width, *train_data.HIDDEN, 1)),
            convolution: lambda: costs.convolution(width, LAST, FILTERS),
        }[forward]()
        alone, many = costs.microseconds(form)
        state = (PROFILE if x is against else 0) + (LAST * width * 4 if past else 0)
        for world in ("other sizes", "other habits", "long"):
            score = 1 / (1 + np.exp(-np.clip(judge(world) * slope + shift, -50, 50)))
            share, days = train_data.days_flagged(sets[world], score, 0.5)
            kinds = train_data.found(sets[world], score, 0.5)
            attacks = sum(number for number, _ in kinds.values())
            equal = train_data.curve(sets[world], score, (EQUAL,))[0]["kinds"]
            hit, equal = (
                sum(number * part for number, part in one.values()) / attacks
                for one in (kinds, equal)
            )
            line = [title, f"{size:,}", f"{alone:.1f}", f"{many:.2f}", f"{state:,}"]
            line += [world, f"{days:,}", f"{share:.2%}", attacks, f"{hit:.1%}", f"{equal:.1%}"]
            print("| " + " | ".join(str(c).replace("%", " %") for c in line) + " |", flush=True)


if __name__ == "__main__":
    main()
