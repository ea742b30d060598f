"""Trains the analyzer's severity model on whole scenarios of real alerts and simulated campaigns.

python train_severity.py --data DIR --out ../analyzer/models [--features-cmd "…"] [--left-out DIR]

Every scenario is also judged by a model that has not seen it (`--left-out` keeps these models),
and every simulated world by one that saw only `train`.
"""

import argparse
import csv
import gzip
import json
import pathlib
import shlex
import subprocess
import tempfile
import uuid

import export_onnx
import jax
import jax.numpy as jnp
import numpy as np
import sources
from generators import campaigns
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import brier_score_loss, roc_auc_score

SEED = 20_261_122
HIDDEN = 24
BENIGN, ATTACKS = 9000, 1800
CHAIN = "mixed_findings"


def detector_rules():
    text = (pathlib.Path(__file__).parent / "detectors.json").read_text("utf-8")
    return json.loads(text)


def scenarios(data):
    """Scored events of each scenario. `label` is 1 where the event is known to be the intruder's,
    0 outside of its stages, and none where nobody knows."""
    rules = detector_rules()
    found = {}
    with gzip.open(data / "chains" / "ait_alerts.csv.gz", "rt", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file)):
            rule = next(rule for rule in rules["rules"] if rule["in"] in row["name"])
            known = row["event_label"] not in ("-", "")
            label = {("1", True): 1, ("0", False): 0}.get((row["label"], known))
            name = f"{row['scenario']} {number}"
            found.setdefault(row["scenario"], []).append(
                {
                    "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"scored {name}")),
                    "event": str(uuid.uuid5(uuid.NAMESPACE_OID, f"event {name}")),
                    "tenant": "default",
                    "kind": rule["kind"],
                    "ts": float(row["ts"]),
                    "patrol": rules["patrols"][rule["kind"]],
                    "level": rule["level"],
                    "score": rule["score"],
                    "confidence": rule["score"],
                    "category": rule["category"],
                    "techniques": rule["techniques"],
                    "reasons": [],
                    "entities": [
                        {"class": "host", "value": row["host"], "trust": "observed"},
                    ],
                    "label": label,
                }
            )
    return found


def rows(command, events):
    """What the model sees of these events: vectors, and whether each row is an attack, none where
    nobody knows."""
    labels = {event["id"]: event["label"] for event in events}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for event in events:
            body = {key: value for key, value in event.items() if key != "label"}
            file.write(json.dumps(body) + "\n")
        file.flush()
        args = [*shlex.split(command), "severity", file.name]
        made = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True).stdout
    vectors, attack, chains = [], [], []
    for line in made.splitlines():
        row = json.loads(line)
        named = [labels[member] for member in row["members"]]
        # An attack by a member that is known to be one; noise only if all members are.
        label = 1 if 1 in named else (0 if all(n == 0 for n in named) else -1)
        vectors.append(row["x"])
        attack.append(label)
        chains.append(row["chain"])
    return np.array(vectors, np.float32), np.array(attack), np.array(chains)


def positive(value):
    return jax.nn.softplus(value)


def monotone(params, x):
    """Two layers whose weights are all positive: no input can lower the result."""
    z = jnp.minimum(x * params["scale"], 6.0)
    h = jax.nn.sigmoid(z @ positive(params["w1"]) + params["b1"])
    return (h @ positive(params["w2"]) + params["b2"])[:, 0]


def free(params, x):
    z = jnp.minimum(x * params["scale"], 6.0)
    h = jax.nn.sigmoid(z @ params["w1"] + params["b1"])
    return (h @ params["w2"] + params["b2"])[:, 0]


def logistic(params, x):
    z = jnp.minimum(x * params["scale"], 6.0)
    return (z @ positive(params["w1"]) + params["b2"])[:, 0]


def train(x, labels, weights, forward, epochs=30, batch=512, rate=0.01):
    rng = np.random.default_rng(SEED)
    width = x.shape[1]
    outer = 1 if forward is logistic else HIDDEN
    shift = 0.0 if forward is free else -3.0
    params = {
        "w1": (rng.normal(0, 0.3, (width, outer)) + shift).astype(np.float32),
        "b1": np.full(outer, -1.0, np.float32),
        "w2": (rng.normal(0, 0.3, (outer, 1)) + shift / 3).astype(np.float32),
        "b2": np.full(1, -3.0, np.float32),
    }
    scale = jnp.asarray(1 / np.maximum(x.std(0), 0.1))

    def loss(p, part, y, w):
        out = forward({**p, "scale": scale}, part)
        each = jax.nn.softplus(out) - y * out
        return (each * w).sum() / w.sum() + 1e-4 * (p["w2"] ** 2).mean()

    @jax.jit
    def step(p, m, v, part, y, w, at, speed):
        grads = jax.grad(loss)(p, part, y, w)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, grads)
        move = lambda p, m, v: (
            p - speed * (m / (1 - 0.9**at)) / (jnp.sqrt(v / (1 - 0.99**at)) + 1e-8)
        )
        return jax.tree.map(move, p, m, v), m, v

    params = jax.tree.map(jnp.asarray, params)
    m, v = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
    at, total = 0, max(1, epochs * (len(x) // batch))
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for begin in range(0, len(x) - batch + 1, batch):
            part = order[begin : begin + batch]
            at += 1
            speed = rate * min(1.0, 2 * (1 - at / (total + 1)))
            params, m, v = step(params, m, v, x[part], labels[part], weights[part], at, speed)
    return {**jax.tree.map(np.asarray, params), "scale": np.asarray(scale)}


def balance(labels, groups):
    """Each group weighs as the root of its rows; within it a quarter of the weight is attacks'."""
    weights = np.zeros(len(labels))
    for group in np.unique(groups):
        for label, share in ((0, 0.75), (1, 0.25)):
            part = (groups == group) & (labels == label)
            if part.any():
                weights[part] = share * np.sqrt((groups == group).sum()) / part.sum()
    return (weights / weights.mean()).astype(np.float32)


def score(forward, params, x):
    return 1 / (1 + np.exp(-np.clip(np.asarray(forward(params, x)), -30, 30)))


def report(title, labels, scores):
    known = labels >= 0
    y, s = labels[known], scores[known]
    auc = roc_auc_score(y, s) if 0 < y.sum() < len(y) else float("nan")
    flagged, high = s >= 0.5, s >= 0.85
    figures = {
        "attacks": int(y.sum()),
        "noise": int((y == 0).sum()),
        "found": float(flagged[y == 1].mean()) if y.sum() else None,
        "high": float(high[y == 1].mean()) if y.sum() else None,
        "false": float(flagged[y == 0].mean()),
        "false high": float(high[y == 0].mean()),
        "auc": float(auc),
        "brier": float(brier_score_loss(y, s)),
    }
    text = " ".join(
        f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items()
    )
    print(f"{title:34} {text}", flush=True)
    return figures


def calibration(labels, scores):
    """In ten bands of rating: rows, mean rating, share of attacks."""
    known = labels >= 0
    y, s = labels[known], scores[known]
    band = np.minimum((s * 10).astype(int), 9)
    for at in range(10):
        part = band == at
        if part.any():
            print(
                f"  {at / 10:.1f}: {part.sum():7} rated {s[part].mean():.3f} attacks {y[part].mean():.3f}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument("--left-out", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=30)
    args = parser.parse_args()

    parts = {name: rows(args.features_cmd, events) for name, events in scenarios(args.data).items()}
    made = campaigns.events(BENIGN, ATTACKS, SEED)
    parts["simulated"] = rows(args.features_cmd, made)
    judged = {
        f"simulated: {world}": rows(args.features_cmd, campaigns.events(2500, 480, SEED + 1, world))
        for world in campaigns.WORLDS
        if world != "train"
    }

    def gather(names):
        x = np.concatenate([parts[name][0] for name in names])
        y = np.concatenate([parts[name][1] for name in names])
        g = np.concatenate([np.full(len(parts[name][1]), name) for name in names])
        known = y >= 0
        return x[known], y[known].astype(np.float32), g[known]

    def fit(names, forward):
        x, y, groups = gather(names)
        return train(x, y, balance(y, groups), forward, args.epochs)

    real = [name for name in parts if name != "simulated"]
    pooled = {}
    for title, forward in (("positive logistic", logistic), ("free", free), ("monotone", monotone)):
        print(f"\n{title}")
        outs = []
        for name in real:
            params = fit([other for other in parts if other != name], forward)
            s = score(forward, params, parts[name][0])
            report(f"{name}, not in training", parts[name][1], s)
            outs.append((parts[name][1], s))
            if forward is monotone and args.left_out:
                place = args.left_out / "severity"
                place.mkdir(parents=True, exist_ok=True)
                others = {other: part for other, part in parts.items() if other != name}
                export(place / f"{name}.onnx", params, others)
        pooled[title] = [np.concatenate(part) for part in zip(*outs, strict=True)]
        params = fit(["simulated"], forward)
        for world, (x, y, _) in judged.items():
            report(world, y, score(forward, params, x))
        report("all scenarios, simulated only", *real_all(parts, real, forward, params))
    print("\nboosted trees")
    for name in real:
        x, y, groups = gather([other for other in parts if other != name])
        trees = HistGradientBoostingClassifier(random_state=0).fit(
            x, y, sample_weight=balance(y, groups)
        )
        report(
            f"{name}, not in training", parts[name][1], trees.predict_proba(parts[name][0])[:, 1]
        )
    print("\nmonotone, scenarios not in training, calibration")
    calibration(*pooled["monotone"])

    params = fit(list(parts), monotone)
    print("\nshipped")
    for name, (x, y, _) in {**parts, **judged}.items():
        report(name, y, score(monotone, params, x))
    export(args.out / "severity.onnx", params, parts)


def real_all(parts, real, forward, params):
    x = np.concatenate([parts[name][0] for name in real])
    y = np.concatenate([parts[name][1] for name in real])
    return y, score(forward, params, x)


def export(path, params, parts):
    fixed = {
        "scale": params["scale"],
        "w1": np.logaddexp(0, params["w1"]),
        "b1": params["b1"],
        "w2": np.logaddexp(0, params["w2"]),
        "b2": params["b2"],
    }
    export_onnx.severity(path, fixed, len(params["scale"]))
    x, y, _ = parts["simulated"]
    chosen = [*np.flatnonzero(y == 1)[:12], *np.flatnonzero(y == 0)[:12]]
    result = export_onnx.run(path, "x", x[chosen])
    bodies = [{"attack": int(y[at])} for at in chosen]
    export_onnx.selftest(path.with_suffix(".selftest.json"), bodies, x[chosen], result)
    named = []
    for name, (_, labels, _) in parts.items():
        source = "generated campaigns" if name == "simulated" else f"ait_ads_{name}"
        named.extend([source] * int((labels >= 0).sum()))
    sources.write_list(path.with_suffix(".sources.json"), named)


if __name__ == "__main__":
    main()
