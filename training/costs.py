"""What forms of model cost to run: microseconds a row at batch 1 and 64, on one thread.

Costs hang on shapes alone, so weights are drawn by chance; only trees are measured as they grew.
"""

import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def _model(nodes, shape, weights, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "form",
        [helper.make_tensor_value_info("x", kind, ["N", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=OPSETS)
    model.ir_version = 8
    return model.SerializeToString()


def _weights(**shapes):
    rng = np.random.default_rng(1)
    return {n: (rng.normal(size=s) * 0.1).astype(np.float32) for n, s in shapes.items()}


def layers(sizes):
    """Fully connected layers, ReLU between them; two sizes are a linear model."""
    weights, nodes, last = {}, [], "x"
    for at, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
        weights |= _weights(**{f"w{at}": (before, after), f"b{at}": (after,)})
        end = at == len(sizes) - 2
        nodes.append(helper.make_node("Gemm", [last, f"w{at}", f"b{at}"], ["y" if end else f"g{at}"]))
        if not end:
            nodes.append(helper.make_node("Relu", [f"g{at}"], [f"h{at}"]))
            last = f"h{at}"
    return _model(nodes, (sizes[0],), weights), (sizes[0],)


def recurrent(width, steps, hidden, unit="GRU"):
    """A gated recurrent unit (or an LSTM) over the last events, then a linear layer."""
    gates = {"GRU": 3, "LSTM": 4}[unit] * hidden
    weights = _weights(w=(1, gates, width), r=(1, gates, hidden), o=(hidden, 2))
    weights["axis"] = np.array([0], np.int64)
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node(unit, ["t", "w", "r"], ["", "last"], hidden_size=hidden),
        helper.make_node("Squeeze", ["last", "axis"], ["state"]),
        helper.make_node("MatMul", ["state", "o"], ["y"]),
    ]
    return _model(nodes, (steps, width), weights), (steps, width)


def convolution(width, steps, filters):
    """Two layers over time, the maximum, two linear layers."""
    weights = _weights(
        c1=(filters, width, 3), c2=(filters, filters, 3), w=(filters, filters), o=(filters, 1)
    )
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "c1"], ["a"], pads=[2, 0]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "c2"], ["c"], pads=[2, 0]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("ReduceMax", ["d"], ["m"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["e"]),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "o"], ["y"]),
    ]
    return _model(nodes, (steps, width), weights), (steps, width)


def bag(buckets, width, dims, hidden=0):
    """A table of n-grams, summed; with `hidden`, their maximum and a layer besides."""
    weights = _weights(table=(buckets, dims))
    weights["axis"] = np.array([1], np.int64)
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["sum"], keepdims=0),
    ]
    if not hidden:
        nodes.append(helper.make_node("Sigmoid", ["sum"], ["y"]))
        return _model(nodes, (width,), weights, TensorProto.INT32), (width,), buckets
    weights |= _weights(w=(2 * dims, hidden), o=(hidden, 1))
    nodes += [
        helper.make_node("ReduceMax", ["rows"], ["most"], axes=[1], keepdims=0),
        helper.make_node("Concat", ["sum", "most"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "o"], ["c"]),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    return _model(nodes, (width,), weights, TensorProto.INT32), (width,), buckets


def transformer(letters, width, dims, heads, wide, layers):
    """An encoder as `compare_sql.py` has it: neighbours, attention, two layers, per layer."""
    weights = _weights(table=(letters, dims), place=(width, dims), o=(2 * dims, 1))
    weights |= {"gain": np.ones(dims, np.float32), "half": np.float32([0.5]).reshape(())}
    weights |= {"one": np.float32(1).reshape(()), "root": np.float32((dims / heads) ** -0.5)}
    weights["heads"] = np.array([0, width, heads, dims // heads], np.int64)
    weights["flat"] = np.array([0, width, dims], np.int64)
    nodes = []

    def add(kind, inputs, output, **more):
        nodes.append(helper.make_node(kind, inputs, [output], **more))
        return output

    x = add("Add", [add("Gather", ["table", "x"], "e"), "place"], "x0")
    for at in range(layers):
        n = lambda name: f"{name}{at}"  # noqa: B023, E731
        weights |= _weights(**{n("near"): (dims, dims, 3), n("up"): (dims, wide)})
        weights |= _weights(**{n(k): (dims, dims) for k in ("q", "k", "v", "join")})
        weights |= _weights(**{n("down"): (wide, dims)})
        norm = add("LayerNormalization", [x, "gain"], n("n"))
        turned = add("Transpose", [norm], n("t"), perm=[0, 2, 1])
        around = add("Conv", [turned, n("near")], n("c"), pads=[1, 1])
        x = add("Add", [x, add("Transpose", [around], n("tc"), perm=[0, 2, 1])], n("xa"))
        norm = add("LayerNormalization", [x, "gain"], n("m"))
        parts = {}
        for part, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            split = add("Reshape", [add("MatMul", [norm, n(part)], n(part) + "a"), "heads"],
                        n(part) + "b")  # fmt: skip
            parts[part] = add("Transpose", [split], n(part) + "c", perm=order)
        near = add("Mul", [add("MatMul", [parts["q"], parts["k"]], n("qk")), "root"], n("s"))
        seen = add("MatMul", [add("Softmax", [near], n("p"), axis=-1), parts["v"]], n("pv"))
        seen = add("Transpose", [seen], n("pt"), perm=[0, 2, 1, 3])
        seen = add("MatMul", [add("Reshape", [seen, "flat"], n("pf")), n("join")], n("j"))
        x = add("Add", [x, seen], n("xb"))
        up = add("MatMul", [add("LayerNormalization", [x, "gain"], n("l")), n("up")], n("u"))
        gate = add("Add", [add("Erf", [up], n("er")), "one"], n("g"))
        gelu = add("Mul", [add("Mul", [up, gate], n("ug")), "half"], n("ge"))
        x = add("Add", [x, add("MatMul", [gelu, n("down")], n("d"))], n("xc"))
    mean = add("ReduceMean", [x], "mean", axes=[1], keepdims=0)
    most = add("ReduceMax", [x], "most", axes=[1], keepdims=0)
    add("MatMul", [add("Concat", [mean, most], "both", axis=1), "o"], "y")
    return _model(nodes, (width,), weights, TensorProto.INT32), (width,), letters


def trees(boosted, width):
    """A fitted `HistGradientBoostingClassifier` of scikit-learn, as it grew."""
    of = {name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes")}
    of |= {"truenodeids": [], "falsenodeids": []}
    leaf = {"treeids": [], "nodeids": [], "ids": [], "weights": []}
    for tree, (one,) in enumerate(boosted._predictors):
        for at, node in enumerate(one.nodes):
            end = bool(node["is_leaf"])
            of["treeids"].append(tree)
            of["nodeids"].append(at)
            of["featureids"].append(0 if end else int(node["feature_idx"]))
            of["values"].append(0.0 if end else float(node["num_threshold"]))
            of["modes"].append("LEAF" if end else "BRANCH_LEQ")
            of["truenodeids"].append(0 if end else int(node["left"]))
            of["falsenodeids"].append(0 if end else int(node["right"]))
            if end:
                leaf["treeids"].append(tree)
                leaf["nodeids"].append(at)
                leaf["ids"].append(0)
                leaf["weights"].append(float(node["value"]))
    told = {f"nodes_{name}": values for name, values in of.items()}
    told |= {f"target_{name}": values for name, values in leaf.items()}
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, **told
    )
    return _model([node], (width,), {}), (width,)


def microseconds(form, batches=(1, 64), rounds=400):
    """Of a row, the median over many runs, at each size of batch.

    A form that reads numbers of words or letters says below what they lie.
    """
    model, shape, *below = form
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    made = []
    for batch in batches:
        rng = np.random.default_rng(2)
        x = rng.normal(size=(batch, *shape)).astype(np.float32)
        if below:
            x = rng.integers(1, below[0], (batch, *shape)).astype(np.int32)
        took = []
        for _ in range(rounds):
            begin = time.perf_counter()
            session.run(None, {"x": x})
            took.append(time.perf_counter() - begin)
        made.append(float(np.median(took)) / batch * 1e6)
    return made
