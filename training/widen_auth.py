"""Gives `auth-sentry`'s model features that it never saw, at no weight, so that it scores as before.

python widen_auth.py OLD.onnx 61 133 --out ../agents/patrol/models [--features-cmd "…"]

The numbers are those of the new features in the wider row. For the time between a change of features
and the next whole training; `train_auth.py` writes the model that uses them.
"""

import argparse
import functools
import pathlib

import numpy as np
import onnx

import train_auth


def widened(values, new, width):
    """Rows of weights, zero where a feature is new."""
    made = np.zeros((width, *values.shape[1:]), values.dtype)
    made[[at for at in range(width) if at not in new]] = values
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=pathlib.Path)
    parser.add_argument("new", type=int, nargs="+")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--features-cmd", default="magsentinel features")
    args = parser.parse_args()
    stored = onnx.load(args.old).graph.initializer
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in stored}
    width = len(weights["mean"]) + len(args.new)
    params = {name: weights[name] for name in ("b1", "w2", "b2", "w3", "b3")}
    params |= {name: widened(weights[name], args.new, width) for name in ("mean", "scale", "w1")}
    # Slopes and shifts are in the weights already.
    make = functools.partial(train_auth.vectors, args.features_cmd)
    train_auth.export(args.out, params, [(1.0, 0.0), (1.0, 0.0)], make)


if __name__ == "__main__":
    main()
