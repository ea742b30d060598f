"""Compares forms of `sql-guard`'s model on sources left out, all trained on the same rows.

python compare_sql.py --data DIR [--features-cmd "…"] [--rows 40000]

The forms: logistic regression and the shipped embedding over n-grams, and a small transformer over
the characters of the text (the form that such detectors are usually given). One training each,
without any row of `LEFT_OUT`, and a threshold per form at which the same share of all benign rows of
the sources is flagged. Prints a table for the model card.
"""

import argparse
import functools
import pathlib
import time
from urllib.parse import unquote_plus

import jax
import jax.numpy as jnp
import numpy as np

import costs
import features
import sources
import train_sql

LEFT_OUT = ["payloadbox", "gotestwaf", "text2sql_advising", "sqlglot", "elastic_apache_access"]
LEFT_OUT += ["rita_outbound_http"]
CHARACTERS = 160
DIMS, HEADS, WIDE = 32, 2, 64
FALSE_ALARMS = (0.001, 0.003)
# A transformer needs more and smaller steps than the n-grams do; with fewer it is no fair rival.
GENTLE = {"rate": 0.001, "batch": 64, "epochs": 10, "warm": 200}


def encoder(layers):
    return costs.transformer(256, CHARACTERS, DIMS, HEADS, WIDE, layers)


def characters(rows):
    """Bytes of each decoded text, its two ends where it is longer; 0 is padding."""
    made = np.zeros((len(rows), CHARACTERS), np.uint8)
    for at, row in enumerate(rows):
        text = unquote_plus(row["text"]) if "%" in row["text"] else row["text"]
        data = text.encode("utf-8", "replace").replace(b"\0", b" ")
        if len(data) > CHARACTERS:
            data = data[: CHARACTERS // 2] + data[-CHARACTERS // 2 :]
        made[at, : len(data)] = np.frombuffer(data, np.uint8)
    return made


def transformer(layers):
    """Start and forward functions of a small encoder: mean and maximum of its last layer."""

    def start(key, _dims, _hidden):
        keys = iter(jax.random.split(key, 3 + 5 * layers))
        draw = lambda *shape: jax.random.normal(next(keys), shape) / np.sqrt(shape[0])
        params = {
            "table": jax.random.normal(next(keys), (256, DIMS)) * 0.1,
            "place": jax.random.normal(next(keys), (CHARACTERS, DIMS)) * 0.1,
            "out": draw(2 * DIMS, 1),
            "bias": jnp.zeros(1),
        }
        for at in range(layers):
            params[f"layer{at}"] = {
                "qkv": draw(DIMS, 3 * DIMS),
                "join": draw(DIMS, DIMS),
                "up": draw(DIMS, WIDE),
                "down": draw(WIDE, DIMS) * 0.5,
                "near": draw(3 * DIMS, DIMS) * 0.5,
                "gain": jnp.ones((2, DIMS)),
            }
        return params

    def normal(x, gain):
        x = x - x.mean(-1, keepdims=True)
        return gain * x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)

    def layer(p, x, mask):
        x = jnp.where(mask[..., None], x, 0.0)
        around = jnp.pad(normal(x, 1.0), ((0, 0), (1, 1), (0, 0)))
        x = x + jnp.concatenate([around[:, :-2], around[:, 1:-1], around[:, 2:]], -1) @ p["near"]
        parts = (normal(x, p["gain"][0]) @ p["qkv"]).reshape(*x.shape[:2], 3, HEADS, -1)
        q, k, v = parts[:, :, 0], parts[:, :, 1], parts[:, :, 2]
        weight = jnp.einsum("nqhd,nkhd->nhqk", q, k) / np.sqrt(DIMS / HEADS)
        weight = jax.nn.softmax(jnp.where(mask[:, None, None], weight, -1e9), -1)
        seen = jnp.einsum("nhqk,nkhd->nqhd", weight, v).reshape(x.shape)
        x = x + seen @ p["join"]
        return x + jax.nn.gelu(normal(x, p["gain"][1]) @ p["up"]) @ p["down"]

    def forward(params, ids, _keep=None):
        mask = ids > 0
        x = params["table"][ids] + params["place"][: ids.shape[1]]
        for at in range(layers):
            x = layer(params[f"layer{at}"], x, mask)
        x = normal(x, 1.0)
        count = jnp.maximum(mask.sum(1, keepdims=True), 1)
        mean = jnp.where(mask[..., None], x, 0.0).sum(1) / count
        top = jnp.where(mask[..., None], x, -1e9).max(1)
        top = jnp.where(mask.any(1, keepdims=True), top, 0.0)
        return (jnp.concatenate([mean, top], 1) @ params["out"] + params["bias"])[:, 0]

    return start, forward


def threshold_at(values, pool, share):
    """Where that share of all benign rows of the unseen sources lies above, but own and noisy."""
    of = (pool["labels"] == 0) & ~np.isin(pool["names"], ["unseen_seed", "sqliv3"])
    ordered = np.sort(values[of])[::-1]
    return ordered[int(share * len(ordered))]


def cells(values, pool, share):
    """Detection of each unseen source and part at equal false alarms, as cells of a table."""
    at = threshold_at(values, pool, share)
    wanted = [("payloadbox", "param"), ("payloadbox", "query"), ("sqliv3", "param")]
    wanted += [("sqliv3", "query"), ("unseen_seed", "param"), ("unseen_seed", "query")]
    for name, kind in wanted:
        part = (pool["names"] == name) & (pool["kinds"] == kind) & (pool["labels"] == 1)
        yield f"{(values[part] > at).mean():.1%}".replace("%", " %")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument("--rows", type=int, default=40_000, help="rows to train on")
    parser.add_argument("--epochs", type=int, default=6, help="of the n-grams")
    parser.add_argument("--forms", type=int, nargs="*", default=[0, 1, 2, 3], help="which, from 0")
    args = parser.parse_args()
    rows = train_sql.collect(args.data)
    names = np.array([row["source"] for row in rows])
    permitted = np.array([n in sources.PERMITTED or n.startswith("generated_") for n in names])
    unseen = np.isin(names, LEFT_OUT) | ~permitted
    rng = np.random.default_rng(train_sql.SEED)
    use = rng.permutation(np.flatnonzero(~unseen))[: args.rows]
    judged = np.flatnonzero(unseen)
    rows = [rows[at] for at in np.concatenate([use, judged])]
    grams = features.vectors(args.features_cmd, "sql-guard", rows, ("text", "kind"), np.uint16)
    letters = characters(rows)
    labels = np.array([row["label"] for row in rows], np.float32)
    weights = train_sql.row_weights(names[use], labels[: len(use)])
    pool = {
        "names": names[judged],
        "labels": labels[len(use) :],
        "kinds": np.array([row["kind"] or "" for row in rows[len(use) :]]),
    }
    forms = [
        ("logistic regression, n-grams", grams, "linear", {}, costs.bag(16_384, 256, 1)),
        ("**embedding, n-grams**", grams, "embedding", {}, costs.bag(16_384, 256, 8, 32)),
        ("transformer, 1 layer, characters", letters, transformer(1), GENTLE, encoder(1)),
        ("transformer, 2 layers, characters", letters, transformer(2), GENTLE, encoder(2)),
    ]
    print("| form | weights | train, s | µs, batch 1 | batch 64 | false alarms "
          "| payloadbox, values | statements | sqliv3, values | statements | own, values | statements |")
    print("|" + " --- |" * 12)
    for title, data, model, options, form in (forms[at] for at in args.forms):
        begin = time.perf_counter()
        fit = functools.partial(train_sql.train, data[: len(use)], labels[: len(use)], weights)
        params, forward = fit(model=model, **({"epochs": args.epochs} | options))
        took = time.perf_counter() - begin
        size = sum(np.size(part) for part in jax.tree.leaves(params))
        values = train_sql.scores(params, forward, data[len(use) :], 1024)
        known = train_sql.scores(params, forward, data[: len(use)][:8192], 1024)
        fitted = train_sql.auc(labels[:8192], known)
        alone, many = costs.microseconds(form)
        for share in FALSE_ALARMS:
            found = " | ".join(cells(values, pool, share))
            print(f"| {title} | {size:,} | {took:.0f} | {alone:.1f} | {many:.1f} | {share:.1%} "
                  f"| {found} |", flush=True)
        print(f"    area under the curve on rows of the training {fitted:.4f}", flush=True)


if __name__ == "__main__":
    main()
