"""The models that `train_api.py` compares: n-gram embedding, logistic regression, LSTM.

Embedding and logistic regression see the ids of a window of a decoded part; the LSTM, which the
first sketch of this project proposed, sees the characters of the same window, and is trained the
same way: on the worst window of a malicious body.
"""

import json
import shlex
import subprocess
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

BUCKETS = 16_384
DIMS = 8
HIDDEN = 32
LETTERS = 128
LSTM = 32


def bag_init(key):
    keys = jax.random.split(key, 3)
    return {
        "table": jax.random.normal(keys[0], (BUCKETS, DIMS)) * 0.05,
        "w1": jax.random.normal(keys[1], (2 * DIMS, HIDDEN)) * (1.0 / np.sqrt(DIMS)),
        "b1": jnp.zeros(HIDDEN),
        "w2": jax.random.normal(keys[2], (HIDDEN, 1)) * (1.0 / np.sqrt(HIDDEN)),
        "b2": jnp.zeros(1),
    }


def bag(params, ids, keep=None):
    mask = ids > 0 if keep is None else (ids > 0) & keep
    rows = jnp.where(mask[..., None], params["table"][ids], 0.0)
    count = jnp.maximum(mask.sum(1, keepdims=True), 1)
    pooled = jnp.concatenate([rows.sum(1) / jnp.sqrt(count), jnp.maximum(rows.max(1), 0.0)], axis=1)
    hidden = jax.nn.relu(pooled @ params["w1"] + params["b1"])
    return (hidden @ params["w2"] + params["b2"])[:, 0]


def linear_init(_key):
    return {"table": jnp.zeros((BUCKETS, 1)), "b": jnp.zeros(1)}


def linear(params, ids, keep=None):
    """The simple baseline: logistic regression over the same n-grams."""
    mask = ids > 0 if keep is None else (ids > 0) & keep
    rows = jnp.where(mask, params["table"][ids, 0], 0.0)
    return rows.sum(1) / jnp.sqrt(jnp.maximum(mask.sum(1), 1)) + params["b"][0]


def lstm_init(key):
    keys = jax.random.split(key, 4)
    return {
        "table": jax.random.normal(keys[0], (LETTERS, 16)) * 0.3,
        "wx": jax.random.normal(keys[1], (16, 4 * LSTM)) * 0.25,
        "wh": jax.random.normal(keys[2], (LSTM, 4 * LSTM)) * 0.15,
        "b": jnp.zeros(4 * LSTM).at[LSTM : 2 * LSTM].set(1.0),
        "w2": jax.random.normal(keys[3], (2 * LSTM, 1)) * 0.2,
        "b2": jnp.zeros(1),
    }


def lstm(params, letters, _keep=None):
    """One layer over the characters; last state and maximum over all, one output."""
    inputs = params["table"][letters] @ params["wx"] + params["b"]
    mask = (letters > 0).astype(jnp.float32)

    def cell(state, given):
        h, c, most = state
        x, m = given
        gates = x + h @ params["wh"]
        i, f, o, g = jnp.split(gates, 4, axis=1)
        c2 = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h2 = jax.nn.sigmoid(o) * jnp.tanh(c2)
        m = m[:, None]
        h, c = m * h2 + (1 - m) * h, m * c2 + (1 - m) * c
        return (h, c, jnp.maximum(most, jnp.where(m > 0, h, -1.0))), None

    zero = jnp.zeros((letters.shape[0], LSTM))
    state, _ = jax.lax.scan(cell, (zero, zero, zero - 1), (inputs.transpose(1, 0, 2), mask.T))
    return (jnp.concatenate([state[0], state[2]], axis=1) @ params["w2"] + params["b2"])[:, 0]


KINDS = {"embedding": (bag_init, bag), "linear": (linear_init, linear), "lstm": (lstm_init, lstm)}
INPUT = {"embedding": "ids", "linear": "ids", "lstm": "characters"}

WINDOW = 192


def characters(command, rows):
    """The characters of all windows of all bodies, one row each, in the order of the ids: what
    `command` (the example `api_windows` of the patrols' crate) writes."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({"method": "GET", "path": "/"} | row["body"]) + "\n")
        file.flush()
        args = [*shlex.split(command), file.name]
        raw = subprocess.run(args, check=True, stdout=subprocess.PIPE).stdout
    made, at = [], 0
    while at < len(raw):
        count = int.from_bytes(raw[at : at + 2], "little")
        end = at + 2 + count * WINDOW
        made.append(np.frombuffer(raw[at + 2 : end], np.uint8).reshape(count, WINDOW))
        at = end
    return np.minimum(np.concatenate(made), LETTERS - 1)
