"""Compares what could judge a client of `api-watch` by its requests: counters, or a network.

python compare_api.py --data DIR [--score-cmd "magsentinel score"] [--clients 3000]

Every form sees the same window, the first requests of a client and no content: the shipped
counters, as the patrol itself scores them; an LSTM (the first sketch's proposal) over the requests
one by one; logistic regression and boosted trees over mean, spread and extremes of the same numbers.
The learned forms train on simulated clients of one world; other worlds and recorded clients are left
out as a whole. Scans and ordinary recorded clients, which are few, are cut into windows, each a
client of its own. The threshold of a learned form lies where the counters' share of all judged
benign windows is flagged, and once more at one percent. The network is trained from several seeds.
"""

import argparse
import datetime
import pathlib
import re
import time

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

import check_clients
import costs
import tables
from generators import api_clients

STEPS, LEAST, CELLS, SEED = 20, 5, 32, 11
RECORDED = ["elastic_apache_access", "rita_outbound_http", "rita_cloud_host_http"]
RECORDED += ["basjes_access_log", "scan_acunetix", "scan_netsparker"]
METHODS = ["GET", "HEAD", "POST"]
ASSET = re.compile(r"\.(js|css|png|jpe?g|gif|ico|svg|woff2?|ttf|map|webp)$", re.IGNORECASE)
LOGIN = re.compile(r"log-?in|sign_?in|auth|token|session", re.IGNORECASE)
# Bytes that a live client costs with the shipped counters, as `cargo xtask bench score` prints.
COUNTERS_STATE = 446


def steps(life):
    """A row of numbers for each request: what it says by itself and beside the one before."""
    made, seen, before = np.zeros((STEPS, 26), np.float32), set(), None
    for at, body in enumerate(life):
        path, status = body.get("path") or "/", int(body.get("status") or 0)
        place = re.sub(r"\d+", "#", path)
        numbers = re.findall(r"\d+", path + "?" + (body.get("query") or ""))
        last = int(numbers[-1][:15]) if numbers else None
        gap = max(body["ts"] - before["ts"], 0.0) if before else 0.0
        step = abs(last - before["last"]) if before and None not in (last, before["last"]) else -1
        row = [1.0, np.log1p(gap * 100) / 8, float(before is None)]
        row += [float(body.get("method") == method) for method in METHODS]
        row += [float(status // 100 == kind) for kind in (2, 3, 4, 5)]
        row += [float(status in (401, 403)), float(status in (404, 410)), float(status == 429)]
        row += [float(bool(before) and path == before["path"]), float(path in seen)]
        row += [float(bool(before) and place == before["place"]), float(step in (1, 2))]
        row += [float(step > 2), float(bool(ASSET.search(path))), float(bool(LOGIN.search(path)))]
        row += [min(path.count("/"), 8) / 8, min(len(path), 120) / 120]
        row += [float(bool(body.get("query"))), float(place.endswith((".php", "/admin")))]
        agent = (body.get("headers") or {}).get("user-agent", "")
        row += [float(agent.startswith("Mozilla")), float(not agent)]
        made[at] = row
        seen.add(path)
        before = {"ts": body["ts"], "path": path, "place": place, "last": last}
    return made


def seconds(when):
    """Seconds since 1970, from them or from a date as the recordings write it."""
    if isinstance(when, str):
        return datetime.datetime.fromisoformat(when).timestamp()
    return float(when)


def windows(lives):
    """(name, label, requests): a client's first window, all of a scan's and of recorded people's."""
    for name, label, life in lives:
        whole = name.startswith("scan_") or (name in RECORDED and not label)
        cut = range(0, len(life), STEPS) if whole else [0]
        for at in cut:
            part = life[at : at + STEPS]
            if len(part) >= LEAST:
                yield name, label, part


def simulated(count, seed, world):
    lives = api_clients.clients(count, seed, world)
    return list(windows((f"simulated, {world}", label, life) for _, label, life in lives))


def recorded(data):
    """Recorded clients; of rita_cloud_host_http only those that its rule calls attackers."""
    lives = [
        (name, label, [dict(body, ts=seconds(body["ts"])) for body in life])
        for name, label, life in check_clients.recorded(data, RECORDED)
        if name != "rita_cloud_host_http" or label
    ]
    return list(windows(lives))


def counters(command, judged):
    """1 where the patrol flags one of the window's requests for what the client does."""
    bodies = [
        dict(body, label=str(at), client=f"w{at}")
        for at, (_, _, life) in enumerate(judged)
        for body in life
    ]
    bodies.sort(key=lambda body: body["ts"])
    values, begin = np.zeros(len(judged)), time.perf_counter()
    for row in check_clients.scored(command, bodies):
        if check_clients.flagged(row)[0]:
            values[int(row["label"])] = 1.0
    return values, (time.perf_counter() - begin) / len(bodies) * 1e6


def summary(x):
    """A window's numbers without their order."""
    there = x[:, :, :1]
    count = np.maximum(there.sum(1), 1)
    mean = x.sum(1) / count
    spread = np.sqrt(np.maximum((x**2).sum(1) / count - mean**2, 0))
    return np.concatenate([mean, spread, x.max(1), count / STEPS], 1)


def lstm(params, x):
    """One layer over the requests; the last state through a column."""

    def move(state, row):
        h, c = state
        i, f, o, g = jnp.split(jnp.concatenate([row, h], 1) @ params["w"] + params["b"], 4, 1)
        new = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        there = row[:, :1] > 0
        h = jnp.where(there, jax.nn.sigmoid(o) * jnp.tanh(new), h)
        return (h, jnp.where(there, new, c)), None

    zero = jnp.zeros((x.shape[0], CELLS))
    (h, _), _ = jax.lax.scan(move, (zero, zero), x.transpose(1, 0, 2))
    return (h @ params["o"] + params["bias"])[:, 0]


def linear(params, x):
    return (x @ params["o"] + params["bias"])[:, 0]


def fit(forward, shapes, x, y, *, epochs, seed=SEED, batch=64, rate=0.003):
    """Adam with a falling rate; windows of both labels in equal number."""
    rng = np.random.default_rng(seed)
    params = {
        name: rng.normal(0, shape[0] ** -0.5 if len(shape) > 1 else 0, shape).astype(np.float32)
        for name, shape in shapes.items()
    }

    @jax.jit
    def step(params, first, second, x, y, at, rate):
        def loss(p):
            out = forward(p, x)
            decay = 1e-4 * sum((part**2).sum() for part in jax.tree.leaves(p))
            return (jax.nn.softplus(out) - y * out).mean() + decay

        grads = jax.grad(loss)(params)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, second, grads)
        move = lambda p, m, v: p - rate * (m / (1 - 0.9**at)) / (  # noqa: E731
            jnp.sqrt(v / (1 - 0.99**at)) + 1e-8
        )
        return jax.tree.map(move, params, first, second), first, second

    first = second = jax.tree.map(jnp.zeros_like, params)
    at, total = 0, epochs * (len(x) // batch)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for from_ in range(0, len(order) - batch + 1, batch):
            some, at = order[from_ : from_ + batch], at + 1
            slope = rate * min(1.0, 2 * (1 - at / (total + 1)))
            params, first, second = step(
                params, first, second, x[some], y[some], float(at), slope
            )
    run = jax.jit(forward)
    return lambda some: np.asarray(run(params, some))


def learned(x, y, epochs, seeds):
    """Name, cost as a form of ONNX, bytes of a key, and how to score, of each learned form."""
    flat, width = summary(x), x.shape[2]
    many = flat.shape[1]
    shapes = {"w": (width + CELLS, 4 * CELLS), "b": (4 * CELLS,), "o": (CELLS, 1), "bias": (1,)}
    begin = time.perf_counter()
    line = fit(linear, {"o": (many, 1), "bias": (1,)}, flat, y, epochs=epochs)
    took = time.perf_counter() - begin
    state = STEPS * width * 4
    yield "logistic regression", costs.layers((many, 1)), state, lambda x: line(summary(x)), took
    begin = time.perf_counter()
    trees = HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=31, random_state=SEED)
    trees.fit(flat, y)
    took = time.perf_counter() - begin
    form = costs.trees(trees, many)
    yield "gradient boosting", form, state, lambda x: trees.decision_function(summary(x)), took
    form = costs.recurrent(width, STEPS, CELLS, "LSTM")
    for seed in range(SEED, SEED + seeds):
        begin = time.perf_counter()
        net = fit(lstm, shapes, x, y, epochs=epochs, seed=seed)
        yield f"LSTM, 32 cells, seed {seed}", form, state, net, time.perf_counter() - begin


def at_share(values, benign, share):
    """The lowest threshold above which at most that share of the benign windows lies."""
    ordered = np.sort(values[benign])[::-1]
    return ordered[int(share * len(ordered) + 1e-9)]


def shares(judged, flagged, label):
    names = [name for name, mark, _ in judged]
    for name in dict.fromkeys(names):
        part = np.array([n == name and mark == label for n, mark, _ in judged])
        yield name, int(part.sum()), float(flagged[part].mean()) if part.any() else None


def show(title, judged, flagged, rest):
    benign = np.array([label == 0 for _, label, _ in judged])
    told = [tables.percent(s) for mark in (0, 1) for _, n, s in shares(judged, flagged, mark) if n]
    both = tables.percent(flagged[benign].mean())
    print(f"| {title} | {both} | {' | '.join(told)} | {rest} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--score-cmd", default="magsentinel score")
    parser.add_argument("--clients", type=int, default=6000, help="simulated ones to train on")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3, help="networks to train")
    args = parser.parse_args()
    known = simulated(args.clients, SEED, "train")
    judged = simulated(1000, SEED + 1, "test") + simulated(1000, SEED + 2, "slow")
    judged += recorded(args.data)
    x = np.stack([steps(life) for _, _, life in known])
    y = np.array([label for _, label, _ in known], np.float32)
    seen = np.stack([steps(life) for _, _, life in judged])
    benign = np.array([label == 0 for _, label, _ in judged])
    heads = ["form", "benign"]
    for mark, kind in ((0, "benign"), (1, "attacks")):
        heads += [f"{name}: {n} {kind}" for name, n, _ in shares(judged, benign, mark) if n]
    heads += ["µs a window, batch 1", "batch 64", "bytes a key", "train, s"]
    print(f"{len(known)} windows to train on\n\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    hit, cost = counters(args.score_cmd, judged)
    show("counters", judged, hit > 0, f"{cost:.1f} with JSON | | {COUNTERS_STATE} | 0")
    rate = float((hit[benign] > 0).mean())
    for name, form, state, score, took in learned(x, y, args.epochs, args.seeds):
        values = np.asarray(score(seen))
        alone, many = costs.microseconds(form)
        rest = f"{alone:.1f} | {many:.2f} | {state} | {took:.0f}"
        for share in (rate, 0.01):
            show(name, judged, values > at_share(values, benign, share), rest)


if __name__ == "__main__":
    main()
