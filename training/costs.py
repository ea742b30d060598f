"""What forms of model cost to run: microseconds a row at batch 1 and 64, on one thread.

Costs hang on shapes alone, so weights are drawn by chance; only trees are measured as they grew.
"""

import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def _model(nodes, shape, weights):
    graph = helper.make_graph(
        nodes,
        "form",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
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


def recurrent(width, steps, hidden):
    """A gated recurrent unit over the last events, then a linear layer."""
    weights = _weights(w=(1, 3 * hidden, width), r=(1, 3 * hidden, hidden), o=(hidden, 2))
    weights["axis"] = np.array([0], np.int64)
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["t", "w", "r"], ["", "last"], hidden_size=hidden),
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
    """Of a row, the median over many runs, at each size of batch."""
    model, shape = form
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    made = []
    for batch in batches:
        x = np.random.default_rng(2).normal(size=(batch, *shape)).astype(np.float32)
        took = []
        for _ in range(rounds):
            begin = time.perf_counter()
            session.run(None, {"x": x})
            took.append(time.perf_counter() - begin)
        made.append(float(np.median(took)) / batch * 1e6)
    return made
