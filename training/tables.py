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


def auth(report):
    print("| judged on | model | people never attacked | flagged | attacks | found |", end="")
    print(" hostile addresses, 5+ failures | flagged within 5 | ever |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for model, sets in report.items():
        for one in sets:
            kinds = one["behaviours"].values()
            attacks = sum(number for number, _, _ in kinds)
            found = sum(number * hit for number, hit, _ in kinds) / max(attacks, 1)
            print(
                f"| {one['title']} | {model} | {one['people']} | {percent(one['flagged'])} "
                f"| {attacks or '–'} | {percent(found) if attacks else '–'} | {one['addresses']} "
                f"| {percent(one['within_5'])} | {percent(one['ever'])} |"
            )
    print("\n| behaviour | model | number | flagged | high |\n| --- | --- | --- | --- | --- |")
    for model, sets in report.items():
        kinds = {}
        for one in sets:
            for kind, (number, hit, high) in one["behaviours"].items():
                have = kinds.setdefault(kind, [0, 0.0, 0.0])
                have[0] += number
                have[1] += number * hit
                have[2] += number * high
        for kind, (number, hit, high) in sorted(kinds.items()):
            shares = f"{percent(hit / number)} | {percent(high / number)}"
            print(f"| {kind} | {model} | {number} | {shares} |")


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        content = json.load(file)
    if "folds" in content:
        sql(content)
    elif "behaviours" in content["network"][0]:
        auth(content)
    else:
        data(content)
