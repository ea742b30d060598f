"""Compares what could score `auth-sentry`'s rows, at an equal rate of false alarms, with cost.

python train_auth.py … --keep sets.pkl && python compare_auth.py sets.pkl

The recurrent network sees the last events of a key one by one, without counts; the others see the
state's features. All are trained on the same share of the same rows, and calibrated alike. Costs are
those of `costs.py`; state is what a key must keep, where a history is kept for a recurrent network that
is asked at any time and beside the sets that say what is new.
"""

import argparse
import collections
import contextlib
import io
import pathlib
import pickle
import time

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

import costs
import tables
import train_auth
from train_data import linear, train

STEPS, HIDDEN, ROWS, SEED = 16, 32, 120_000, 7
# Bytes of the counts and sketches of a key, and of the sets alone that say what is new.
STATE, SETS = 448, 144
# What an event says by itself: outcome, agent, gap, hour, and what is new; no counts.
COMMON_WIDTH = 38
COMMON = [*range(1, 13), 25, 30, 31, 32]
OWN = [COMMON_WIDTH + at for at in (9, 10, 11, 13, 16, 18)]
USER = [train_auth.USER_FROM + at for at in COMMON]
FROM = train_auth.USER_FROM + COMMON_WIDTH
USER_OWN = [FROM + at for at in (*range(4, 9), 14, 21, 22, 23, 25, 29, 30, 31)]
PLAIN = [0, *COMMON, *OWN, train_auth.USER_FROM, *USER, *USER_OWN]


def histories(part):
    """For each row, the numbers of its key's last rows, oldest first; -1 before the first."""
    last = collections.defaultdict(lambda: collections.deque(maxlen=STEPS))
    made = np.full((len(part.owners), STEPS), -1, np.int32)
    for at, (owner, by_address) in enumerate(zip(part.owners, part.by_address, strict=True)):
        row = part.rows[owner]
        user = row.get("user") or row.get("target_user")
        past = last[(by_address, row.get("src_ip") if by_address else user)]
        past.append(at)
        made[at, STEPS - len(past) :] = past
    return made


def recurrent(params, steps):
    """A gated recurrent unit over `[N, STEPS, width]`; the last state through a column per half."""

    def move(state, x):
        both = jnp.concatenate([x, state], 1)
        update, reset = jnp.split(jax.nn.sigmoid(both @ params["wg"] + params["bg"]), 2, 1)
        new = jnp.tanh(jnp.concatenate([x, reset * state], 1) @ params["wn"] + params["bn"])
        there = jnp.abs(x).sum(1, keepdims=True) > 0
        return jnp.where(there, (1 - update) * state + update * new, state), None

    first = jnp.zeros((steps.shape[0], HIDDEN))
    state, _ = jax.lax.scan(move, first, steps.transpose(1, 0, 2))
    both = state @ params["wo"] + params["bo"]
    return jnp.where(steps[:, -1, 0] > 0.5, both[:, 0], both[:, 1])


def plain_rows(x):
    """What events say by themselves, and after the last an empty one: the number -1 means it."""
    made = np.zeros((len(x) + 1, len(PLAIN)), np.float32)
    made[:-1] = x[:, PLAIN] / np.float32(4.0)
    return made


def train_recurrent(part, chosen, labels, weights, epochs=5, batch=512, rate=0.003):
    rng, width = np.random.default_rng(SEED), len(PLAIN)
    shapes = {"wg": (width + HIDDEN, 2 * HIDDEN), "bg": (2 * HIDDEN,), "bn": (HIDDEN,)}
    shapes |= {"wn": (width + HIDDEN, HIDDEN), "wo": (HIDDEN, 2), "bo": (2,)}
    params = {
        name: rng.normal(0, 0 if name[0] == "b" else shape[0] ** -0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }

    @jax.jit
    def step(params, first, second, x, y, w, at):
        def loss(p):
            out = recurrent(p, x)
            return ((jax.nn.softplus(out) - y * out) * w).sum() / w.sum()

        grads = jax.grad(loss)(params)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, second, grads)
        move = lambda p, m, v: p - rate * (m / (1 - 0.9**at)) / (  # noqa: E731
            jnp.sqrt(v / (1 - 0.99**at)) + 1e-8
        )
        return jax.tree.map(move, params, first, second), first, second

    first = second = jax.tree.map(jnp.zeros_like, params)
    history, plain, at = histories(part), plain_rows(part.x), 0
    for _ in range(epochs):
        order = rng.permutation(chosen)
        for from_ in range(0, len(order) - batch + 1, batch):
            some = order[from_ : from_ + batch]
            at += 1
            params, first, second = step(
                params, first, second, plain[history[some]], labels[some], weights[some], float(at)
            )
    run = jax.jit(recurrent)

    def logit(one):
        past, rows = histories(one), plain_rows(one.x)
        chunks = [past[at : at + 8192] for at in range(0, len(past), 8192)]
        made = [np.asarray(run(params, rows[chunk])) for chunk in chunks]
        return np.concatenate(made) if made else np.zeros(0, np.float32)

    return logit


def train_boosted(part, chosen, labels, weights):
    halves = []
    for by_address in (True, False):
        mine = chosen[part.by_address[chosen] == by_address]
        trees = HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=31, random_state=SEED)
        halves.append(trees.fit(part.x[mine], labels[mine], sample_weight=weights[mine]))

    def logit(one):
        made = np.zeros(len(one.x), np.float32)
        for by_address, trees in zip((True, False), halves, strict=True):
            mine = one.by_address == by_address
            made[mine] = trees.decision_function(one.x[mine]) if mine.any() else 0.0
        return made

    logit.form = costs.trees(halves[0], part.x.shape[1])
    return logit


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=pathlib.Path)
    with open(parser.parse_args().sets, "rb") as file:
        (part, *_), held, judged = pickle.load(file)
    labels, weights = part.labels(), part.weights()
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(len(labels), min(ROWS, len(labels)), replace=False))
    given = (part.x[chosen], labels[chosen], weights[chosen])

    def plain(forward):
        params = train(*given, forward, epochs=12, outputs=2, hidden=train_auth.HIDDEN)
        return lambda one: np.asarray(forward(params, one.x))

    width = part.x.shape[1]
    forms = {
        "logistic regression": (costs.layers((width, 2)), STATE),
        "network on the state": (costs.layers((width, *train_auth.HIDDEN, 2)), STATE),
        "gradient boosting on the state": (None, STATE),
        "recurrent, last 16 events": (
            costs.recurrent(len(PLAIN), STEPS, HIDDEN), SETS + STEPS * len(PLAIN) * 4
        ),
    }
    makers = {
        "logistic regression": lambda: plain(linear),
        "network on the state": lambda: plain(train_auth.heads),
        "gradient boosting on the state": lambda: train_boosted(part, chosen, labels, weights),
        "recurrent, last 16 events": lambda: train_recurrent(part, chosen, labels, weights),
    }
    print("| form | train, s | µs a row, batch 1 | batch 64 | bytes a key ", end="")
    print("| accounts flagged | within 5, simulated | real | ", end="")
    kinds = sorted(train_auth.SEES)
    print(f"{' | '.join(kinds)} |\n|{' --- |' * (8 + len(kinds))}")
    for name, make in makers.items():
        begin = time.perf_counter()
        logit = make()
        took = time.perf_counter() - begin
        scales = train_auth.calibrate(held, logit(held))
        told = [(title, one, logit(one)) for title, one in judged.items()]
        form, state = forms[name]
        alone, many = costs.microseconds(form or logit.form)
        with contextlib.redirect_stdout(io.StringIO()):
            told = [
                train_auth.report(one, train_auth.scores(one, made, scales), title)
                for title, one, made in told
            ]
        found = tables.unseen_attacks(told)
        shares = [tables.percent(found[kind][1] / found[kind][0]) for kind in kinds]
        worlds = [one for one in told if one["behaviours"] and one["title"] != "simulated, train"]
        logs = [one for one in told if not one["behaviours"]]
        print(
            f"| {name} | {took:.0f} | {alone:.1f} | {many:.2f} | {state} "
            f"| {pooled(worlds, 'accounts', 'accounts_flagged')} "
            f"| {pooled(worlds, 'addresses', 'within_5')} "
            f"| {pooled(logs, 'addresses', 'within_5')} | {' | '.join(shares)} |",
            flush=True,
        )


def pooled(told, of, share):
    """A share over several sets, each by how many it has."""
    return tables.percent(sum(one[of] * one[share] for one in told) / sum(one[of] for one in told))


if __name__ == "__main__":
    main()
