"""Trains `api-watch`: rows from the Rust code, whole sources left out, ONNX.

python train_api.py --data DIR --out ../agents/patrol/models [--folds] [--left-out DIR]

A body has many rows (windows of its parts) and one label. Every row of a benign body is benign; of
a malicious one at least one row is not, and training takes the row that scores worst so far.
"""

import argparse
import functools
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

import api_models
import api_sources
import export_onnx
import features
import sources
from generators import api_attack, api_benign, api_sites

SEED = 20_261_121
BUCKETS = 16_384
GENERATED_BENIGN = 70_000
GENERATED_ATTACKS = 60_000
# Simulated sites, and bodies of each; every tenth site is held back as a whole.
SITES = 1200
SITE_BODIES = 40
SITES_HELD = 10
# Share of benign bodies of held-back sites, and of other held-back bodies, that may score 0.5.
FALSE_ALARMS = {"sites": 0.0005, "others": 0.0005}
# How far above that, in logits, the threshold lies: real sites are less alike than simulated ones,
# and this is the least distance at which those left out (see `curve`) are flagged at 0.2 %.
MARGIN = 0.3
# Families of attacks whose content shows them, as the sources name them.
CONTENT = ["cmd_injection", "crlf", "file_inclusion", "path_traversal", "sqli", "ssi", "xss"]
FOLDS = {
    "elastic_apache_access": ["elastic_apache_access"],
    "rita_outbound_http": ["rita_outbound_http"],
    "gotestwaf": ["gotestwaf"],
    "payload lists": ["httpparams", "payloadbox", "sqlmap_templates"],
    "texts": ["dependency_texts"],
}


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


def batches_of(rng, lengths, use, batch, width):
    """Batches of rows of similar length, in random order."""
    groups, low = [], -1
    for high in (64, 112, width):
        groups.append((high, use[(lengths[use] > low) & (lengths[use] <= high)]))
        low = high
    made = [
        (high, part)
        for high, group in groups
        for part in np.split(rng.permutation(group), range(batch, len(group), batch))
        if len(part) == batch
    ]
    rng.shuffle(made)
    return made


def worst_rows(values, owner, bodies):
    """Per body the index of its worst row, -1 without rows."""
    order = np.lexsort((values, owner))
    worst = np.full(bodies, -1)
    worst[owner[order]] = order
    return worst


def fit_rows(pool, bodies, kind, *, epochs, seed=SEED, rate=0.004, decay=1e-6, drop=0.1, batch=256):
    """Adam; from the second pass on, a malicious body trains with its worst row."""
    start, forward = api_models.KINDS[kind]
    key = jax.random.PRNGKey(seed)
    params = start(key)
    moments = (jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))
    rng = np.random.default_rng(seed)
    inputs, owner = pool[api_models.INPUT[kind]], pool["owner"]
    lengths = (inputs > 0).sum(1)
    chosen = np.zeros(len(pool["labels"]), bool)
    chosen[bodies] = True
    labels = pool["labels"][owner].astype(np.float32)
    weights = pool["weights"][owner]
    benign = np.flatnonzero(chosen[owner] & (labels == 0))
    malicious = np.flatnonzero(chosen[owner] & (labels == 1))
    single = np.bincount(owner, minlength=len(chosen))[owner] == 1
    at, total = 0, None
    for epoch in range(epochs):
        if epoch == 0:
            attacks = malicious[single[malicious]]
        else:
            values = scores(params, forward, inputs[malicious])
            worst = worst_rows(values, owner[malicious], len(chosen))
            attacks = malicious[worst[worst >= 0]]
        use = np.concatenate([benign, attacks])
        made = batches_of(rng, lengths, use, batch, inputs.shape[1])
        total = total or epochs * len(made)
        for width, part in made:
            at += 1
            key, draw = jax.random.split(key)
            slope = max(0.02, min(1.0, 2.0 * (1.0 - at / (total + 1))))
            params, moments = step(
                forward, params, moments, inputs[part, :width].astype(np.int32), labels[part],
                weights[part], draw, at, rate * slope, decay, drop,
            )  # fmt: skip
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


def body_scores(pool, params, forward, kind, bodies=None):
    """The worst row of each body; very low without rows."""
    inputs, owner = pool[api_models.INPUT[kind]], pool["owner"]
    which = np.arange(len(owner)) if bodies is None else np.flatnonzero(np.isin(owner, bodies))
    values = scores(params, forward, inputs[which])
    worst = np.full(len(pool["labels"]), -30.0)
    np.maximum.at(worst, owner[which], values)
    return worst


def calibrate(raw, pool, held):
    """Slope and shift so that few benign held-back bodies score 0.5, most attacks 0.85.

    Bodies of a site of which others were trained on flatter, so the threshold is set on whole
    sites that were not, and no lower than the other held-back bodies ask for.
    """
    benign = held & (pool["labels"] == 0)
    site = pool["names"] == "generated_site"
    threshold = -30.0
    for kind, which in (("sites", benign & site), ("others", benign & ~site)):
        values = np.sort(raw[which])
        threshold = max(threshold, values[int(len(values) * (1 - FALSE_ALARMS[kind]))])
    attacks = np.sort(raw[held & (pool["labels"] == 1)])
    high = max(attacks[int(len(attacks) * 0.15)], threshold + 1.0)
    slope = float(np.clip(1.735 / (high - threshold), 0.3, 1.5))
    return slope, float(-threshold * slope) - MARGIN


def held_sites(pool):
    """Bodies of the sites that are held back as a whole."""
    return (pool["names"] == "generated_site") & (pool["sites"] % SITES_HELD == 0)


def weigh(names, labels):
    """A source weighs as the square root of its bodies; both classes weigh the same in all."""
    weights = np.zeros(len(names), np.float32)
    for name in np.unique(names):
        which = names == name
        weights[which] = np.sqrt(4000.0) / np.sqrt(which.sum())
        if name.startswith("generated"):
            weights[which] = 1.0
    for label in (0, 1):
        which = labels == label
        weights[which] *= len(labels) / (2 * max(weights[which].sum(), 1))
    return weights


def fit(pool, chosen, kind, **options):
    """Trains on nine tenths of the bodies and calibrates on the tenth; of sites, on whole ones."""
    rng = np.random.default_rng(SEED)
    held = np.zeros(len(pool["labels"]), bool)
    held[chosen] = rng.random(len(chosen)) < 0.1
    held = np.where(pool["names"] == "generated_site", held_sites(pool), held)
    use = np.setdiff1d(chosen, np.flatnonzero(held))
    pool["weights"] = np.zeros(len(held), np.float32)
    pool["weights"][use] = weigh(pool["names"][use], pool["labels"][use])
    params, forward = fit_rows(pool, use, kind, **options)
    raw = body_scores(pool, params, forward, kind, np.flatnonzero(held))
    slope, shift = calibrate(raw, pool, held)
    return params, forward, slope, shift


def table(pool, values, of):
    """Per source and family: bodies, shares at low, flagged, high."""
    lines = []
    probability = 1 / (1 + np.exp(-values))
    for name in sorted(set(pool["names"][of])):
        for family in sorted(set(pool["families"][of & (pool["names"] == name)])):
            for label in (1, 0):
                which = of & (pool["names"] == name) & (pool["families"] == family)
                which &= pool["labels"] == label
                if which.any():
                    share = [float((probability[which] >= t).mean()) for t in (0.3, 0.5, 0.85)]
                    lines.append({"source": name, "family": family, "label": label,
                                  "rows": int(which.sum()), "low": share[0],
                                  "flagged": share[1], "high": share[2]})  # fmt: skip
    return lines


def show(lines, title):
    print(f"\n{title}")
    for line in lines:
        print(
            f"  {line['source']:24} {'attack' if line['label'] else 'benign'} {line['family']:20}"
            f" {line['rows']:6} low {line['low']:.2%} flagged {line['flagged']:.2%} high "
            f"{line['high']:.2%}",
            flush=True,
        )


def write_wrong(path, rows, pool, values, of):
    """Bodies on the wrong side of 0.5, for reading."""
    if path is None:
        return
    wrong = of & ((values > 0) != (pool["labels"] == 1))
    with open(path, "w", encoding="utf-8") as file:
        for at in np.flatnonzero(wrong):
            file.write(
                f"{pool['names'][at]} {pool['families'][at]} {pool['labels'][at]} "
                f"{values[at]:.2f} {json.dumps(rows[at]['body'], ensure_ascii=False)[:400]}\n"
            )


def collect(args):
    rows = list(api_sources.bodies(args.data))
    rows += api_sources.dependency_texts(args.texts, args.lock, SEED + 4)
    if args.unseen_texts:
        rows += api_sources.folder_texts(args.unseen_texts, SEED + 5)
    rows += api_attack.rows(int(GENERATED_ATTACKS * args.size), SEED)
    rows += api_benign.rows(int(GENERATED_BENIGN * args.size), SEED + 1)
    rows += api_sites.rows(int(SITES * args.size), SITE_BODIES, SEED + 6)
    rows += unseen(api_attack.rows(4000, SEED + 2), "all")
    rows += unseen(api_benign.rows(8000, SEED + 3), "all")
    rows += unseen(api_sites.rows(200, 40, SEED + 7), "sites")
    return rows


def unseen(rows, family):
    """Generated with a seed of their own, to evaluate on only."""
    return [dict(row, source="unseen_seed", family=family) for row in rows]


def unpacked_crates():
    """Where cargo unpacks crates: what people write into rich text fields is learned from them."""
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    return home / "registry" / "src"


def gather(args, rows):
    """The rows of features of all bodies, and what is known of each body."""
    bodies = [{"method": "GET", "path": "/"} | row["body"] for row in rows]
    ids, owner = features.row_sets(args.features_cmd, "api-watch", bodies, np.uint16)
    return {
        "ids": ids,
        "owner": owner,
        "names": np.array([row["source"] for row in rows]),
        "labels": np.array([row["label"] for row in rows]),
        "families": np.array([row.get("family") or "" for row in rows]),
        "sites": np.array([row.get("site", -1) for row in rows]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument(
        "--windows-cmd", default="cargo run --release --quiet --example api_windows --"
    )
    parser.add_argument("--texts", type=pathlib.Path, default=unpacked_crates(),
                        help="cargo's folder of unpacked crates")  # fmt: skip
    parser.add_argument("--unseen-texts", type=pathlib.Path, help="texts to evaluate on only")
    parser.add_argument("--lock", type=pathlib.Path, default=pathlib.Path("../Cargo.lock"))
    parser.add_argument("--folds", nargs="*", help="run these folds (none named: all)")
    parser.add_argument("--left-out", type=pathlib.Path, help="write the folds' models here")
    parser.add_argument("--model", default="embedding", choices=list(api_models.KINDS))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--size", type=float, default=1.0, help="share of the generated bodies")
    parser.add_argument("--report", type=pathlib.Path, help="write the figures as JSON")
    parser.add_argument("--no-export", action="store_true")
    args = parser.parse_args()
    if not any(args.texts.glob("*/*/Cargo.toml")):
        raise SystemExit(f"--texts {args.texts}: no unpacked crates there: run `cargo fetch` first")

    rows = collect(args)
    pool = gather(args, rows)
    if api_models.INPUT[args.model] == "characters":
        pool["characters"] = api_models.characters(args.windows_cmd, rows)
    permitted = api_sources.permitted(pool["names"])
    print(f"{len(rows)} bodies, {len(pool['owner'])} rows, {permitted.sum()} bodies to train on")
    report, curves = {"model": args.model, "folds": {}}, {}
    for fold in [] if args.folds is None else args.folds or list(FOLDS):
        out = np.isin(pool["names"], FOLDS[fold])
        chosen = np.flatnonzero(permitted & ~out)
        params, forward, slope, shift = fit(pool, chosen, args.model, epochs=args.epochs)
        values = body_scores(pool, params, forward, args.model) * slope + shift
        report["folds"][fold] = table(pool, values, out)
        show(report["folds"][fold], f"left out: {fold}")
        if args.left_out and args.model == "embedding":
            folder = args.left_out / "api-watch"
            folder.mkdir(parents=True, exist_ok=True)
            export(folder / f"without {fold}.onnx", args.features_cmd, params, slope, shift)
            write_list(folder / f"without {fold}.onnx", pool["names"][permitted & ~out])
        if args.report:
            path = args.report.with_suffix(f".{fold.replace(' ', '_')}.txt")
            write_wrong(path, rows, pool, values, out)
            curves[fold] = (values, out)

    chosen = np.flatnonzero(permitted)
    params, forward, slope, shift = fit(pool, chosen, args.model, epochs=args.epochs)
    values = body_scores(pool, params, forward, args.model) * slope + shift
    report["unseen"] = table(pool, values, ~permitted)
    report["seen"] = table(pool, values, permitted)
    show(report["unseen"], "never in training")
    show(report["seen"], "in training")
    print(f"slope {slope:.3f} shift {shift:.3f}")
    if args.report:
        report["curve"] = curve(pool, values, ~permitted, curves)
        args.report.write_text(json.dumps(report, indent=1))
        write_wrong(args.report.with_suffix(".wrong.txt"), rows, pool, values, values == values)
    if not args.no_export and args.model == "embedding":
        path = args.out / "api-watch.onnx"
        for body, score in export(path, args.features_cmd, params, slope, shift):
            print(f"{score:.3f} {json.dumps(body)[:120]}")
        write_list(path, pool["names"][permitted])


def curve(pool, values, unseen_, folds):
    """Detection of attack content in sources never trained on, and false alarms of each left-out
    benign source by the model that never saw it, at thresholds above and below 0.5."""
    content = unseen_ & np.isin(pool["families"], CONTENT) & (pool["labels"] == 1)
    names = sorted(set(pool["names"][content]))
    lines = []
    for offset in (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0):
        found = [
            float((values[content & (pool["names"] == name)] > offset).mean()) for name in names
        ]
        line = {"offset": offset, "detection": float(np.mean(found)), "worst": min(found)}
        for fold, (out_values, out) in folds.items():
            which = out & (pool["labels"] == 0)
            if which.any():
                line[fold] = float((out_values[which] > offset).mean())
        for name in sorted(set(pool["names"][unseen_ & (pool["labels"] == 0)])):
            which = unseen_ & (pool["labels"] == 0) & (pool["names"] == name)
            line[name] = float((values[which] > offset).mean())
        lines.append(line)
        print(" ".join(f"{k} {v:.2%}" if k != "offset" else f"{v:+.1f}" for k, v in line.items()))
    return lines


def write_list(path, names):
    sources.write_list(
        path.with_suffix(".sources.json"),
        list(names),
        {"dependency_texts": "as each crate's manifest says"},
        # Its probes stay unseen: `api_sources.py` gives them a name of their own.
        {"elastic_apache_access": [0]},
    )


def export(path, features_cmd, params, slope, shift):
    """Writes model and self test, and gives back the bodies of the latter with their scores."""
    scaled = dict(params, w2=params["w2"] * slope, b2=params["b2"] * slope + shift)
    doc = "api-watch: an attack in a part of a request"
    export_onnx.bag_of_ids(path, scaled, 192, doc)
    lines = (pathlib.Path(__file__).parent / "selftest_api.jsonl").read_text("utf-8").splitlines()
    bodies = [json.loads(line) for line in lines]
    made, owner = features.row_sets(features_cmd, "api-watch", bodies, np.int32)
    result = export_onnx.run(path, "ids", made)
    wanted = scores(scaled, api_models.KINDS["embedding"][1], made)
    assert np.abs(result - 1 / (1 + np.exp(-wanted))).max() < 1e-4
    shown = [bodies[at] for at in owner]
    export_onnx.selftest(path.with_suffix(".selftest.json"), shown, made, result)
    return list(zip(shown, result, strict=True))


if __name__ == "__main__":
    main()
