"""Writes the models as plain ONNX (opset 17, float32, symbolic batch) and checks them."""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def _save(path, nodes, inputs, weights, doc):
    graph = helper.make_graph(
        nodes,
        path.stem,
        inputs,
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", 1])],
        [
            numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in weights.items()
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="magsentinel-training",
        doc_string=doc,
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def bag_of_ids(path, params, width, doc, lifted=None):
    """ids [N, width] int32 → sum and maximum of embeddings → two layers → score [N, 1].

    The width is fixed: with a symbolic one tract keeps some 45 kB of every model that it ever
    loaded. Row zero of the table (padding) is zero and counts for nothing. Eight columns, no more, no less: the
    runtime's reductions are several times slower on a number that fills no vector register.

    `lifted`, `(first, end, by)`, adds to the logit of rows with an id of that range: kinds of rows that
    one model scores have thresholds of their own.
    """
    table = np.array(params["table"], np.float32)
    table[0] = 0.0
    dims = table.shape[1]
    weights = {
        "table": table,
        "one": np.ones(1, np.float32),
        "axis": np.array([1], np.int64),
        "w1s": np.asarray(params["w1"], np.float32)[:dims],
        "w1m": np.asarray(params["w1"], np.float32)[dims:],
        "b1": np.asarray(params["b1"], np.float32),
        "w2": np.asarray(params["w2"], np.float32),
        "b2": np.asarray(params["b2"], np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "ids"], ["rows"], axis=0),
        node("ReduceSum", ["rows", "axis"], ["sum"], keepdims=0),
        node("ReduceMax", ["rows"], ["most"], axes=[1], keepdims=0),
        node("Relu", ["most"], ["top"]),
        node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        node("Min", ["numbers", "one"], ["filled"]),
        node("ReduceSum", ["filled", "axis"], ["count"], keepdims=1),
        node("Max", ["count", "one"], ["some"]),
        node("Sqrt", ["some"], ["root"]),
        node("Div", ["sum", "root"], ["mean"]),
        node("MatMul", ["mean", "w1s"], ["hidden_mean"]),
        node("MatMul", ["top", "w1m"], ["hidden_top"]),
        node("Add", ["hidden_mean", "hidden_top"], ["hidden_both"]),
        node("Add", ["hidden_both", "b1"], ["hidden_in"]),
        node("Relu", ["hidden_in"], ["hidden"]),
        node("MatMul", ["hidden", "w2"], ["logit_in"]),
        node("Add", ["logit_in", "b2"], ["logit_all"]),
    ]
    if lifted:
        first, end, by = lifted
        weights |= {
            "before": np.float32(first - 1),
            "end": np.float32(end),
            "by": np.float32(by),
        }
        nodes += [
            node("Sub", ["numbers", "before"], ["beyond"]),
            node("Sub", ["end", "numbers"], ["below"]),
            node("Min", ["beyond", "below"], ["inside"]),
            node("ReduceMax", ["inside"], ["inside_any"], axes=[1], keepdims=1),
            node("Relu", ["inside_any"], ["inside_some"]),
            node("Min", ["inside_some", "one"], ["is_lifted"]),
            node("Mul", ["is_lifted", "by"], ["lift"]),
            node("Add", ["logit_all", "lift"], ["logit"]),
        ]
    nodes.append(node("Sigmoid", ["logit" if lifted else "logit_all"], ["score"]))
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT32, ["N", width])]
    _save(path, nodes, inputs, weights, doc)


def data_flow(path, params, width):
    """x [N, width] float32 → standardise → three layers → score [N, 1]."""
    weights, nodes = _layers(params)
    nodes.append(helper.make_node("Sigmoid", ["last"], ["score"]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", width])]
    _save(path, nodes, inputs, weights, "data-flow: exfiltration in one user's data accesses")


def auth_sentry(path, params, width):
    """As data-flow, but the last layer has one column for the rows of addresses and one for those
    of accounts; `chosen` picks by the features that say whose row it is."""
    weights, nodes = _layers(params)
    weights["chosen"] = np.asarray(params["chosen"], np.float32)
    weights["axis"] = np.array([1], np.int64)
    node = helper.make_node
    nodes += [
        node("MatMul", ["x", "chosen"], ["whose"]),
        node("Mul", ["last", "whose"], ["picked"]),
        node("ReduceSum", ["picked", "axis"], ["logit"], keepdims=1),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", width])]
    _save(path, nodes, inputs, weights, "auth-sentry: guessed and stolen accounts")


def severity(path, params, width):
    """x [N, width] float32 → scaled, cut at 6 → two layers of positive weights → score [N, 1]."""
    weights = {name: np.asarray(value, np.float32) for name, value in params.items()}
    weights["most"] = np.array([6.0], np.float32)
    node = helper.make_node
    nodes = [
        node("Mul", ["x", "scale"], ["scaled"]),
        node("Min", ["scaled", "most"], ["z"]),
        node("MatMul", ["z", "w1"], ["m1"]),
        node("Add", ["m1", "b1"], ["a1"]),
        node("Sigmoid", ["a1"], ["h1"]),
        node("MatMul", ["h1", "w2"], ["m2"]),
        node("Add", ["m2", "b2"], ["logit"]),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", width])]
    _save(path, nodes, inputs, weights, "severity: an attack in the findings about one entity")


def _layers(params):
    """Weights and nodes from `x`, standardised and clipped, through three layers to `last`."""
    weights = {
        name: np.asarray(params[name], np.float32)
        for name in ("mean", "scale", "w1", "b1", "w2", "b2", "w3", "b3")
    }
    weights["low"], weights["high"] = np.float32(-6.0), np.float32(6.0)
    node = helper.make_node
    return weights, [
        node("Sub", ["x", "mean"], ["centred"]),
        node("Mul", ["centred", "scale"], ["scaled"]),
        node("Clip", ["scaled", "low", "high"], ["z"]),
        node("MatMul", ["z", "w1"], ["m1"]),
        node("Add", ["m1", "b1"], ["a1"]),
        node("Relu", ["a1"], ["h1"]),
        node("MatMul", ["h1", "w2"], ["m2"]),
        node("Add", ["m2", "b2"], ["a2"]),
        node("Relu", ["a2"], ["h2"]),
        node("MatMul", ["h2", "w3"], ["m3"]),
        node("Add", ["m3", "b3"], ["last"]),
    ]


def run(path, name, values):
    """Scores of a saved model, as the native runtime computes them."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["score"], {name: values})[0][:, 0]


def selftest(path, bodies, vectors, scores):
    """Rows that both runtimes must reproduce within 1e-4."""
    rows = [
        {
            "body": body,
            "x": [int(v) if isinstance(v, (int, np.integer)) else float(v) for v in vector],
            "score": round(float(score), 6),
        }
        for body, vector, score in zip(bodies, vectors, scores, strict=True)
    ]
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{text}\n]\n", encoding="utf-8")
