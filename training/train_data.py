"""Trains `data-flow` on simulated accounts; other seeds, fixed worlds and real logs judge it.

python train_data.py --data DIR --out ../agents/patrol/models [--features-cmd "…"]
"""

import argparse
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
from generators import data_access

SEED = 20_240_918
USERS = 3000
# Accounts of each fixed world that are looked at here; `cargo xtask accuracy` judges others.
JUDGED = 300
# Worlds that calibration draws, and accounts of each: the threshold must hold in all kinds of them.
HELD_WORLDS, HELD_USERS = 16, 60
# Shares of benign user-days that reach 0.5 and 0.85 there, all worlds together; and how many times
# the first the worst quarter of those worlds may have.
SHARES, WORST = (0.0035, 0.0015), 1.4
# Counts that say so flag by themselves: see `features::data`.
SIGN = 48
FIELDS = ("ts", "user", "src_ip", "action", "resource", "rows", "bytes_out", "project")
# A slow drain's single events look ordinary; they must not teach that ordinary is bad.
KIND_WEIGHT = {
    "drain": 0.25,
    "trickle": 0.25,
    "scrape": 0.15,
    "export": 4.0,
    "copies": 3.0,
    "dump": 2.0,
    "secrets": 3.0,
}
HIDDEN = (64, 32)


def epoch(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp()


def cloud(data):
    for row in sources.read(data / "dataflow" / "cloud_audit.jsonl.gz"):
        yield {
            "ts": epoch(row["ts"]),
            "user": row.get("actor") or row.get("src_ip", ""),
            "action": row["action"],
            "resource": row.get("resource", ""),
            "src_ip": row.get("src_ip"),
            "bytes_out": row.get("bytes_out"),
            "label": row["label"],
            "category": row.get("category", ""),
            "source": row["source"],
        }


def cert(data):
    for row in sources.read(data / "dataflow" / "cert_activity.csv.gz"):
        yield {
            "ts": epoch(row["ts"]),
            "user": row["user"],
            "action": row["action"],
            "resource": row["object"] or row["host"],
            "src_ip": row["host"],
            "bytes_out": int(row["bytes"]) if row["bytes"] else None,
            "label": 0,
            "category": "",
            "source": "cert",
        }


def logits(params, x):
    z = jnp.clip((x - params["mean"]) * params["scale"], -6, 6)
    h = jax.nn.relu(z @ params["w1"] + params["b1"])
    h = jax.nn.relu(h @ params["w2"] + params["b2"])
    return (h @ params["w3"] + params["b3"])[:, 0]


def linear(params, x):
    z = jnp.clip((x - params["mean"]) * params["scale"], -6, 6)
    return z @ params["w"] + params["b"]


@functools.partial(jax.jit, static_argnames=("forward",))
def step(forward, params, moments, x, labels, weights, at, rate):
    def loss(p):
        out = forward({**p, "mean": params["mean"], "scale": params["scale"]}, x)
        each = jax.nn.softplus(out) - labels * out
        return (each * weights).sum() / weights.sum() + 1e-5 * sum(
            (value**2).sum() for name, value in p.items() if name.startswith("w")
        )

    grads = jax.grad(loss)(params)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], grads)
    second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, moments[1], grads)
    moved = jax.tree.map(
        lambda p, m, v: p - rate * (m / (1 - 0.9**at)) / (jnp.sqrt(v / (1 - 0.99**at)) + 1e-8),
        params,
        first,
        second,
    )
    return {**moved, "mean": params["mean"], "scale": params["scale"]}, (first, second)


def train(
    x, labels, weights, forward=logits, epochs=12, batch=512, rate=0.002, outputs=1, hidden=HIDDEN
):
    rng = np.random.default_rng(SEED)
    params = {"mean": x.mean(0), "scale": 1 / np.maximum(x.std(0), 0.05)}
    if forward is linear:
        params |= {"w": np.zeros(x.shape[1], np.float32), "b": np.float32(0)}
    else:
        last = x.shape[1]
        for number, size in enumerate((*hidden, outputs), 1):
            params[f"w{number}"] = rng.normal(0, np.sqrt(2 / last), (last, size)).astype(np.float32)
            params[f"b{number}"] = np.zeros(size, np.float32)
            last = size
    params = jax.tree.map(jnp.asarray, params)
    moments = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))
    at, total = 0, epochs * (len(x) // batch)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for from_ in range(0, len(x) - batch + 1, batch):
            part = order[from_ : from_ + batch]
            at += 1
            params, moments = step(
                forward,
                params,
                moments,
                x[part],
                labels[part],
                weights[part],
                at,
                rate * min(1.0, 2.5 * (1 - at / (total + 1))),
            )
    return jax.tree.map(np.asarray, params)


def days_flagged(rows, scores, threshold):
    """Benign user-days (no attack event) with an event at or above the threshold."""
    days, attacked = {}, set()
    for row, score in zip(rows, scores, strict=True):
        key = (row["user"], int(row["ts"] // 86_400))
        days[key] = max(days.get(key, 0.0), score)
        if row["label"] == 1:
            attacked.add(key)
    clean = [score for key, score in days.items() if key not in attacked]
    return float(np.mean([score >= threshold for score in clean])) if clean else 0.0, len(clean)


def found(rows, scores, threshold):
    """Per kind of exfiltration: how many, and how many with an attack event flagged."""
    worst = {}
    for row, score in zip(rows, scores, strict=True):
        if row["label"] == 1:
            key = (row["category"], row["user"])
            worst[key] = max(worst.get(key, 0.0), score)
    kinds = {}
    for (kind, _), score in worst.items():
        kinds.setdefault(kind, []).append(score >= threshold)
    return {kind: (len(hits), float(np.mean(hits))) for kind, hits in sorted(kinds.items())}


def clean_days(rows, logit):
    """The worst logit of each benign user-day, sorted."""
    days = {}
    for row, value in zip(rows, logit, strict=True):
        key = (row["user"], int(row["ts"] // 86_400))
        top, label = days.get(key, (-99.0, 0))
        days[key] = (max(top, value), max(label, row["label"]))
    return np.sort([top for top, label in days.values() if label == 0])


def calibrate(rows, logit):
    """Slope and shift: 0.5 where `SHARES` of benign user-days reach it in all worlds together, or
    where the worst quarter of the worlds stays within `WORST` times that; 0.85 likewise."""
    clean = clean_days(rows, logit)
    half, high = (clean[int(len(clean) * (1 - share))] for share in SHARES)
    worlds = {}
    for at, row in enumerate(rows):
        # A name begins with its world and seed.
        worlds.setdefault(row["user"].rsplit("-", 1)[0], []).append(at)
    own = [clean_days([rows[at] for at in some], logit[some]) for some in worlds.values()]
    least = [days[int(len(days) * (1 - WORST * SHARES[0]))] for days in own if len(days) > 150]
    if least:
        half = max(half, float(np.quantile(least, 0.75)))
    high = max(high, half + 0.3)
    slope = float(np.clip(1.735 / (high - half), 0.4, 1.5))
    return slope, float(-half * slope)


def scored(logit, x):
    """Scores of calibrated logits; what counts say stands beside the model."""
    made = 1 / (1 + np.exp(-np.clip(logit, -50, 50)))
    return np.where(x[:, SIGN] > 0.5, np.maximum(made, 0.6), made)


def curve(rows, scores, shares=(0.001, 0.0025, 0.005, 0.01, 0.02)):
    """What is found, by kind, where a share of benign user-days is flagged."""
    clean, found_at = clean_days(rows, scores), []
    for share in shares:
        least = float(clean[int(len(clean) * (1 - share))]) if len(clean) else 0.5
        found_at.append({"share": share, "kinds": found(rows, scores, np.nextafter(least, 2))})
    return found_at


def report(rows, scores, title):
    share, count = days_flagged(rows, scores, 0.5)
    kinds = found(rows, scores, 0.5)
    total = sum(n for n, _ in kinds.values())
    mean = sum(n * hit for n, hit in kinds.values()) / max(total, 1)
    high = found(rows, scores, 0.85)
    print(f"{title}: benign user-days flagged {share:.2%} of {count}; found {mean:.1%} of {total}")
    for kind, (number, hit) in kinds.items():
        print(f"    {kind:14} {number:4} flagged {hit:.1%} high {high[kind][1]:.1%}", flush=True)
    return {
        "title": title,
        "user_days": count,
        "flagged": share,
        "attacks": total,
        "found": mean,
        "kinds": {kind: [number, hit, high[kind][1]] for kind, (number, hit) in kinds.items()},
    }


def held_rows(worlds=HELD_WORLDS, users=HELD_USERS):
    """Accounts of several drawn worlds, for calibration."""
    seeds = range(SEED + 1000, SEED + 1000 + worlds)
    return [row for seed in seeds for row in data_access.rows(users, seed, "drawn together")]


def all_sets(data, make):
    """Rows and their features: of training, of calibration, and by what they are judged on."""
    judged = {
        world: data_access.rows(JUDGED, SEED + 2 + place, world)
        for place, world in enumerate(data_access.WORLDS)
    }
    for name, real in (("cloud", list(cloud(data))), ("cert", list(cert(data)))):
        judged[name] = sorted(real, key=lambda row: row["ts"])
    rows, held = data_access.rows(USERS, SEED, "drawn"), held_rows()
    judged = {name: (part, make(part)) for name, part in judged.items()}
    return (rows, make(rows)), (held, make(held)), judged


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path, help="keep the sets here")
    parser.add_argument("--kept", type=pathlib.Path, help="read the sets that --keep wrote")
    parser.add_argument("--no-export", action="store_true")
    args = parser.parse_args()
    make = functools.partial(
        features.vectors, args.features_cmd, "data-flow", fields=FIELDS, dtype=np.float32
    )

    if args.kept:
        sets = pickle.loads(args.kept.read_bytes())
    else:
        sets = all_sets(args.data, make)
    if args.keep:
        args.keep.write_bytes(pickle.dumps(sets))
    (rows, x), (held, held_x), judged = sets
    labels = np.array([row["label"] for row in rows], np.float32)
    weights = np.array([KIND_WEIGHT.get(row["category"], 1.0) for row in rows], np.float32)
    print(f"{len(rows)} events, {int(labels.sum())} of attacks", flush=True)

    figures = {}
    for name, forward in (("logistic regression", linear), ("network", logits)):
        params = train(x, labels, weights, forward, args.epochs)
        slope, shift = calibrate(held, np.asarray(forward(params, held_x)))
        print(f"\n{name}: slope {slope:.3f} shift {shift:.3f}")
        figures[name] = []
        for world, (part, part_x) in judged.items():
            logit = np.asarray(forward(params, part_x)) * slope + shift
            score = scored(logit, part_x)
            told = report(part, score, world)
            if world in data_access.WORLDS:
                told["curve"] = curve(part, score)
            figures[name].append(told)
    if args.report:
        args.report.write_text(json.dumps(figures, indent=1))
    if not args.no_export:
        export(args, params, slope, shift, make, rows)


def export(args, params, slope, shift, make, rows):
    scaled = dict(params, w3=params["w3"] * slope, b3=params["b3"] * slope + shift)
    path = args.out / "data-flow.onnx"
    export_onnx.data_flow(path, scaled, len(params["mean"]))
    bodies = [
        json.loads(line)
        for line in (pathlib.Path(__file__).parent / "selftest_data.jsonl")
        .read_text("utf-8")
        .splitlines()
    ]
    made = make(bodies)
    result = export_onnx.run(path, "x", made)
    export_onnx.selftest(args.out / "data-flow.selftest.json", bodies, made, result)
    sources.write_list(path.with_suffix(".sources.json"), [row["source"] for row in rows])
    for body, score in zip(bodies, result, strict=True):
        print(f"{score:.3f} {json.dumps(body)[:140]}")


if __name__ == "__main__":
    main()
