"""Trains `sql-guard`: features from the Rust code, validation on whole sources left out, ONNX.

python train_sql.py --data DIR --out ../agents/patrol/models [--features-cmd "…"] [--folds]
    [--left-out DIR]
"""

import argparse
import functools
import json
import pathlib
import random

import jax
import jax.numpy as jnp
import numpy as np

import export_onnx
import features
import sources
from generators import sql_attack, sql_benign

SEED = 20_240_917
BUCKETS = 16_384
GENERATED_BENIGN = 140_000
GENERATED_ATTACKS = 80_000
# What one training draws from one source at most, by weight (see `row_weights`).
SOURCE_WEIGHT = {
    "sqlmap_enum_queries": 0.1,
}
FOLDS = {
    "httpparams": ["httpparams"],
    "payloadbox": ["payloadbox"],
    "gotestwaf": ["gotestwaf"],
    "sqlmap and httpparams": ["sqlmap_templates", "sqlmap_enum_queries", "httpparams"],
    "sqlglot": ["sqlglot"],
    "wikisql": ["wikisql"],
    "text2sql_advising": ["text2sql_advising"],
    "web values": ["elastic_apache_access", "rita_outbound_http"],
}


def init(key, dims, hidden):
    keys = jax.random.split(key, 3)
    return {
        "table": jax.random.normal(keys[0], (BUCKETS, dims)) * 0.05,
        "w1": jax.random.normal(keys[1], (2 * dims, hidden)) * (1.0 / np.sqrt(dims)),
        "b1": jnp.zeros(hidden),
        "w2": jax.random.normal(keys[2], (hidden, 1)) * (1.0 / np.sqrt(hidden)),
        "b2": jnp.zeros(1),
    }


def logits(params, ids, keep=None):
    mask = ids > 0
    if keep is not None:
        mask = mask & keep
    rows = jnp.where(mask[..., None], params["table"][ids], 0.0)
    count = jnp.maximum(mask.sum(1, keepdims=True), 1)
    pooled = jnp.concatenate([rows.sum(1) / jnp.sqrt(count), jnp.maximum(rows.max(1), 0.0)], axis=1)
    hidden = jax.nn.relu(pooled @ params["w1"] + params["b1"])
    return (hidden @ params["w2"] + params["b2"])[:, 0]


def linear_init(_key, _dims, _hidden):
    return {"table": jnp.zeros((BUCKETS, 1)), "b": jnp.zeros(1)}


def linear_logits(params, ids, keep=None):
    """The simple baseline: logistic regression over the same n-grams."""
    mask = ids > 0
    if keep is not None:
        mask = mask & keep
    rows = jnp.where(mask, params["table"][ids, 0], 0.0)
    return rows.sum(1) / jnp.sqrt(jnp.maximum(mask.sum(1), 1)) + params["b"][0]


FORMS = {"embedding": (init, logits), "linear": (linear_init, linear_logits)}


@functools.partial(jax.jit, static_argnames=("forward",))
def step(forward, params, moments, ids, labels, weights, key, at, rate, decay, drop):
    keep = jax.random.uniform(key, ids.shape) > drop

    def loss(p):
        out = forward(p, ids, keep)
        each = jax.nn.softplus(out) - labels * out
        return (each * weights).sum() / weights.sum() + decay * (p["table"] ** 2).sum()

    grads = jax.grad(loss)(params)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], grads)
    second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, moments[1], grads)
    params = jax.tree.map(
        lambda p, m, v: p - rate * (m / (1 - 0.9**at)) / (jnp.sqrt(v / (1 - 0.99**at)) + 1e-8),
        params,
        first,
        second,
    )
    return params, (first, second)


def train(
    ids,
    labels,
    weights,
    *,
    model="embedding",
    dims=8,
    hidden=32,
    epochs=6,
    seed=SEED,
    rate=0.004,
    decay=1e-6,
    drop=0.1,
    batch=256,
    warm=0,
):
    """Adam over batches of similar length; short texts are not padded to the full width.

    `model` is the name of a form, or a form itself: its start and its forward function. The rate
    grows over the first `warm` steps and falls in the second half.
    """
    start, forward = FORMS[model] if isinstance(model, str) else model
    key = jax.random.PRNGKey(seed)
    params = start(key, dims, hidden)
    moments = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))
    lengths = (ids > 0).sum(1)
    rng = np.random.default_rng(seed)
    groups = [
        (48, np.flatnonzero(lengths <= 48)),
        (96, np.flatnonzero((lengths > 48) & (lengths <= 96))),
        (ids.shape[1], np.flatnonzero(lengths > 96)),
    ]
    total = epochs * sum(len(group) // batch for _, group in groups)
    at = 0
    for _ in range(epochs):
        batches = [
            (width, part)
            for width, group in groups
            for part in np.split(rng.permutation(group), range(batch, len(group), batch))
            if len(part) == batch
        ]
        rng.shuffle(batches)
        for width, part in batches:
            at += 1
            key, use = jax.random.split(key)
            slope = min(1.0, 2.0 * (1.0 - at / (total + 1)), at / (warm + 1))
            params, moments = step(
                forward,
                params,
                moments,
                ids[part, :width].astype(np.int32),
                labels[part],
                weights[part],
                use,
                at,
                rate * slope,
                decay,
                drop,
            )
    return jax.tree.map(np.asarray, params), forward


def scores(params, forward, ids, chunk=4096):
    call = jax.jit(forward)
    parts = []
    for from_ in range(0, len(ids), chunk):
        part = ids[from_ : from_ + chunk].astype(np.int32)
        rows = len(part)
        if rows < chunk:
            part = np.pad(part, ((0, chunk - rows), (0, 0)))
        parts.append(np.asarray(call(params, part))[:rows])
    return np.concatenate(parts) if parts else np.zeros(0)


def row_weights(names, labels):
    """A source weighs as the square root of its rows; both classes weigh the same in all."""
    weights = np.zeros(len(names), np.float32)
    for name in np.unique(names):
        which = names == name
        weights[which] = SOURCE_WEIGHT.get(name, 1.0) * np.sqrt(4000.0) / np.sqrt(which.sum())
        if name.startswith("generated"):
            weights[which] = 1.0
    for label in (0, 1):
        which = labels == label
        weights[which] *= len(labels) / (2 * weights[which].sum())
    return weights


def calibrate(raw, labels, weights, held):
    """Slope and shift so that half of one thousand benign held-back rows score 0.5 or more."""
    benign = np.sort(raw[held & (labels == 0)])
    threshold = benign[int(len(benign) * 0.9994)]
    attacks = np.sort(raw[held & (labels == 1)])
    high = max(attacks[int(len(attacks) * 0.12)], threshold + 1.0)
    # 0.85 (logit 1.73) where seven eighths of the attacks lie above.
    slope = float(np.clip(1.735 / (high - threshold), 0.3, 1.5))
    return slope, float(-threshold * slope)


def fit(data, pool, chosen, **options):
    """Trains on `chosen` rows of the pool, nine tenths to fit and one tenth to calibrate."""
    rng = np.random.default_rng(SEED)
    held = np.zeros(len(pool["labels"]), bool)
    held[chosen] = rng.random(len(chosen)) < 0.1
    use = np.setdiff1d(chosen, np.flatnonzero(held))
    labels = pool["labels"][use].astype(np.float32)
    params, forward = train(data[use], labels, row_weights(pool["names"][use], labels), **options)
    raw = np.zeros(len(held))
    raw[held] = scores(params, forward, data[held])
    slope, shift = calibrate(raw, pool["labels"], None, held)
    return params, forward, slope, shift


def auc(labels, values):
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    ones = labels == 1
    if not ones.any() or ones.all():
        return float("nan")
    return (ranks[ones].sum() - ones.sum() * (ones.sum() + 1) / 2) / (ones.sum() * (~ones).sum())


def collect(data):
    """All rows, each with the name of its source and whether it may train."""
    rows = list(sources.sql(data))
    rows += sources.http_values(data, {"elastic_apache_access", "rita_outbound_http"}, 12_000)
    rows += sources.http_values(data, {"csic2010"}, 20_000)
    rows += sql_benign.rows(GENERATED_BENIGN, SEED)
    rows += sql_attack.rows(GENERATED_ATTACKS, SEED + 1)
    rows += [dict(row, source="unseen_seed") for row in sql_benign.rows(8_000, SEED + 2)]
    rows += [dict(row, source="unseen_seed") for row in sql_attack.rows(8_000, SEED + 3)]
    return rows


def table(pool, low, flagged, high, of):
    """Rows of a markdown table: source, kind, rows, share flagged, share high."""
    lines = []
    for name in sorted(set(pool["names"][of])):
        for label in (1, 0):
            for kind in sorted(set(pool["kinds"][of])):
                which = of & (pool["names"] == name) & (pool["labels"] == label)
                which &= pool["kinds"] == kind
                if which.any():
                    lines.append(
                        {
                            "source": name,
                            "label": label,
                            "kind": kind,
                            "rows": int(which.sum()),
                            "low": float(low[which].mean()),
                            "flagged": float(flagged[which].mean()),
                            "high": float(high[which].mean()),
                        }
                    )
    return lines


def evaluate(pool, values, of):
    probability = 1 / (1 + np.exp(-values))
    return table(pool, probability >= 0.3, probability >= 0.5, probability >= 0.85, of)


def show(lines, title):
    print(f"\n{title}")
    for line in lines:
        print(
            f"  {line['source']:28} {'attack' if line['label'] else 'benign'} {line['kind']:10}"
            f" {line['rows']:6} low {line['low']:.2%} flagged {line['flagged']:.2%} high "
            f"{line['high']:.2%}",
            flush=True,
        )


def write_wrong(report, fold, rows, pool, values, of):
    """The rows on the wrong side of 0.5, for reading."""
    if report is None:
        return
    wrong = of & ((values > 0) != (pool["labels"] == 1))
    path = report.with_suffix(f".{fold.replace(' ', '_')}.txt")
    with open(path, "w", encoding="utf-8") as file:
        for at in np.flatnonzero(wrong):
            file.write(
                f"{pool['names'][at]} {pool['labels'][at]} {values[at]:.2f} "
                f"{rows[at]['text'][:300]!r}\n"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument("--folds", nargs="*", help="run these folds (none named: all)")
    parser.add_argument("--left-out", type=pathlib.Path, help="write the folds' models here")
    parser.add_argument("--model", default="embedding", choices=["embedding", "linear"])
    parser.add_argument("--dims", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--drop", type=float, default=0.1, help="share of ids hidden in training")
    parser.add_argument("--report", type=pathlib.Path, help="write the figures as JSON")
    parser.add_argument("--no-export", action="store_true")
    args = parser.parse_args()

    rows = collect(args.data)
    data = features.vectors(args.features_cmd, "sql-guard", rows, ("text", "kind"), np.uint16)
    pool = {
        "names": np.array([row["source"] for row in rows]),
        "labels": np.array([row["label"] for row in rows]),
        "kinds": np.array([row["kind"] or "" for row in rows]),
    }
    permitted = np.array(
        [name in sources.PERMITTED or name.startswith("generated_") for name in pool["names"]]
    )
    options = {"model": args.model, "dims": args.dims, "epochs": args.epochs, "drop": args.drop}
    report = {"options": options, "folds": {}}
    folds = [] if args.folds is None else args.folds or list(FOLDS)
    for fold in folds:
        out = np.isin(pool["names"], FOLDS[fold])
        params, forward, slope, shift = fit(data, pool, np.flatnonzero(permitted & ~out), **options)
        values = np.zeros(len(out))
        values[out] = scores(params, forward, data[out]) * slope + shift
        if args.left_out:
            folder = args.left_out / "sql-guard"
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"without {fold}.onnx"
            export(path, args.features_cmd, params, slope, shift)
            write_list(path, pool["names"][permitted & ~out])
        report["folds"][fold] = evaluate(pool, values, out)
        show(report["folds"][fold], f"left out: {fold}")
        write_wrong(args.report, fold, rows, pool, values, out)

    params, forward, slope, shift = fit(data, pool, np.flatnonzero(permitted), **options)
    values = scores(params, forward, data) * slope + shift
    report["unseen"] = evaluate(pool, values, ~permitted)
    report["seen"] = evaluate(pool, values, permitted)
    report["auc_unseen"] = auc(pool["labels"][~permitted], values[~permitted])
    show(report["unseen"], "never in training")
    show(report["seen"], "in training")
    print(f"slope {slope:.3f} shift {shift:.3f} auc {report['auc_unseen']:.5f}")
    if args.report:
        args.report.write_text(json.dumps(report, indent=1))
        write_wrong(args.report, "all", rows, pool, values, values == values)
    if not args.no_export and args.model == "embedding":
        path = args.out / "sql-guard.onnx"
        shown = export(path, args.features_cmd, params, slope, shift)
        write_list(path, pool["names"][permitted])
        for body, score in shown:
            print(f"{score:.3f} {body['text'][:110]!r}")


def write_list(path, names):
    sources.write_list(path.with_suffix(".sources.json"), list(names))


def export(path, features_cmd, params, slope, shift):
    """Writes model and self test, and gives back the bodies of the latter with their scores."""
    scaled = dict(params, w2=params["w2"] * slope, b2=params["b2"] * slope + shift)
    doc = "sql-guard: SQL injection in a statement or a value"
    export_onnx.bag_of_ids(path, scaled, 256, doc)
    bodies = [
        json.loads(line)
        for line in (pathlib.Path(__file__).parent / "selftest_sql.jsonl")
        .read_text("utf-8")
        .splitlines()
    ]
    made = features.vectors(features_cmd, "sql-guard", bodies, ("text", "kind"), np.int32)
    result = export_onnx.run(path, "ids", made)
    wanted = np.asarray(scores(scaled, logits, made))
    assert np.abs(result - 1 / (1 + np.exp(-wanted))).max() < 1e-4
    export_onnx.selftest(path.with_suffix(".selftest.json"), bodies, made, result)
    return list(zip(bodies, result, strict=True))


if __name__ == "__main__":
    random.seed(SEED)
    main()
