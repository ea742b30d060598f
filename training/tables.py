"""Prints the figures of a training run as the markdown tables of a model card.

python train_sql.py … --report sql.json && python tables.py sql.json
"""

import json
import sys


def percent(share):
    return f"{share * 100:.2f} %"


def sql(report):
    print("| left out, or never in training | rows | kind | should be | low+ | flagged | high |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    parts = [(name, lines) for name, lines in report["folds"].items()]
    for fold, lines in [*parts, ("never in training", report["unseen"])]:
        for line in lines:
            what = "attack" if line["label"] == 1 else "benign"
            name = line["source"] if fold == line["source"] else f"{line['source']} ({fold})"
            print(
                f"| {name} | {line['rows']} | {line['kind']} | {what} | {percent(line['low'])} "
                f"| {percent(line['flagged'])} | {percent(line['high'])} |"
            )


def data(report):
    print("| judged on | model | benign user-days | flagged | exfiltrations | found |")
    print("| --- | --- | --- | --- | --- | --- |")
    for model, worlds in report.items():
        for world in worlds:
            print(
                f"| {world['title']} | {model} | {world['user_days']} | {percent(world['flagged'])}"
                f" | {world['attacks']} | {percent(world['found'])} |"
            )
    kinds = {}
    for world in report["network"]:
        if world["title"] in ("cloud", "cert"):
            continue
        for kind, (number, hit, high) in world["kinds"].items():
            have = kinds.setdefault(kind, [0, 0.0, 0.0])
            have[0] += number
            have[1] += number * hit
            have[2] += number * high
    print("\n| kind, all simulated worlds | number | flagged | high |\n| --- | --- | --- | --- |")
    for kind, (number, hit, high) in sorted(kinds.items()):
        print(f"| {kind} | {number} | {percent(hit / number)} | {percent(high / number)} |")


    data_curve(report)


def data_curve(report):
    """What is found in all fixed worlds together, by the share of benign user-days flagged."""
    worlds = [one for one in report["network"] if "curve" in one]
    shares = [point["share"] for point in worlds[0]["curve"]]
    print(f"\n| found, where of user-days are flagged | {' | '.join(map(percent, shares))} |")
    print("| --- |" + " --- |" * len(shares))
    kinds = sorted({kind for one in worlds for kind in one["curve"][0]["kinds"]})
    sums = {kind: [[0, 0.0] for _ in shares] for kind in [*kinds, "all"]}
    for one in worlds:
        for at, point in enumerate(one["curve"]):
            for kind, (number, hit) in point["kinds"].items():
                for name in (kind, "all"):
                    sums[name][at][0] += number
                    sums[name][at][1] += number * hit
    for kind, cells in sums.items():
        print(f"| {kind} | {' | '.join(percent(hit / number) for number, hit in cells)} |")


def auth(report):
    print("| judged on | accounts | flagged ever | people | flagged after two days ", end="")
    print("| attacking addresses, 5 failures or more ", end="")
    print("| within 5 | ever | with 1 to 4 | flagged |\n|" + " --- |" * 10)
    for one in report["network"]:
        told = ""
        for of, share in (("accounts", "accounts_flagged"), ("people", "flagged")):
            told += f"| {one[of]} | {percent(one[share])} " if one[of] else "| 0 | – "
        told += f"| {one['addresses']} "
        many = f"| {percent(one['within_5'])} | {percent(one['ever'])} "
        told += many if one["addresses"] else "| – | – "
        few = f"| {one['with_1_to_4']} | {percent(one['few_ever'])} |"
        print(f"| {one['title']} {told}{few if one['with_1_to_4'] else '| 0 | – |'}")
    print("\n| behaviour | attacks | network | of it high | logistic regression |")
    print("| --- | --- | --- | --- | --- |")
    found = {model: unseen_attacks(sets) for model, sets in report.items()}
    for kind, (number, hit, high) in sorted(found["network"].items()):
        linear = found["logistic regression"][kind][1] / number
        print(
            f"| {kind} | {number} | {percent(hit / number)} | {percent(high / number)} "
            f"| {percent(linear)} |"
        )
    auth_curve(report)


def auth_curve(report):
    """What is found in all fixed worlds together, by the share of accounts flagged."""
    worlds = [one for one in report["network"] if "curve" in one]
    shares = [point["share"] for point in worlds[0]["curve"]]
    print(f"\n| found, where of accounts are flagged | {' | '.join(map(percent, shares))} |")
    print("| --- |" + " --- |" * len(shares))
    kinds = sorted({kind for one in worlds for kind in one["curve"][0]["kinds"]})
    for kind in kinds:
        cells = []
        for at in range(len(shares)):
            found = [one["curve"][at]["kinds"].get(kind, (0, 0.0)) for one in worlds]
            number = sum(n for n, _ in found)
            cells.append(percent(sum(n * hit for n, hit in found) / number))
        print(f"| {kind} | {' | '.join(cells)} |")
    within = [
        sum(one["addresses"] * one["curve"][at]["within_5"] for one in worlds)
        / sum(one["addresses"] for one in worlds)
        for at in range(len(shares))
    ]
    print(f"| attacking addresses within 5 | {' | '.join(map(percent, within))} |")


def unseen_attacks(sets):
    """By behaviour: attacks in the worlds not trained on, and how many are flagged, and high."""
    kinds = {}
    for one in sets:
        if one["title"] == "simulated, train":
            continue
        for kind, (number, hit, high) in one["behaviours"].items():
            have = kinds.setdefault(kind, [0, 0.0, 0.0])
            have[0] += number
            have[1] += number * hit
            have[2] += number * high
    return kinds


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        content = json.load(file)
    if "folds" in content:
        sql(content)
    elif "behaviours" in content["network"][0]:
        auth(content)
    else:
        data(content)
