"""Multiply-accumulates of every kind of operator that multiplies, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.onnx_graph import cost, macs

Sizes = dict[str, list[int]]


def saved(
    path: Path, nodes: list[onnx.NodeProto], inputs: Sizes, weights: Sizes | None = None, opset: int = 23,
    functions: list[onnx.FunctionProto] | None = None, values: dict[str, np.ndarray] | None = None,
) -> Path:  # fmt: skip
    """A graph whose output is `y`, of a size that nobody tells."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in inputs.items()]
    held = {name: np.ones(sizes, np.float32) for name, sizes in (weights or {}).items()} | (values or {})
    domains = {node.domain for node in nodes} - {""}
    model = helper.make_model(
        helper.make_graph(
            nodes, "g", ports, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(one, name) for name, one in held.items()],
        ),
        functions=functions or [],
        opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)],
        ir_version=10,
    )  # fmt: skip
    onnx.save(model, path)
    return path


def node(kind: str, inputs: str, output: str = "y", **more: object) -> onnx.NodeProto:
    return helper.make_node(kind, [name.strip("-") for name in inputs.split()], [output], name=kind.lower(), **more)


CASES = {
    # 5 steps of 1 sample, 2 directions: 4 gates of 3, from 7 inputs and 3 hidden ones
    "lstm": (
        node("LSTM", "t w r", hidden_size=3, direction="bidirectional"), {"x": [1, 5, 7]},
        {"w": [2, 12, 7], "r": [2, 12, 3]}, 5 * 2 * 12 * (7 + 3),
    ),
    "gru": (node("GRU", "t w r", hidden_size=3), {"x": [1, 5, 7]}, {"w": [1, 9, 7], "r": [1, 9, 3]}, 5 * 9 * 10),
    "rnn": (node("RNN", "t w r", hidden_size=3), {"x": [1, 5, 7]}, {"w": [1, 3, 7], "r": [1, 3, 3]}, 5 * 3 * 10),
    # 2 heads, 4 queries, 6 keys of 8, values of 5
    "attention": (node("Attention", "q k v"), {"q": [1, 2, 4, 8], "k": [1, 2, 6, 8], "v": [1, 2, 6, 5]}, {}, 48 * 13),
    "attention of heads side by side, fewer for keys": (
        node("Attention", "q k v", q_num_heads=4, kv_num_heads=2),
        {"q": [1, 4, 32], "k": [1, 6, 16], "v": [1, 6, 10]}, {}, 4 * 4 * 6 * (8 + 5),
    ),
    "attention with a past": (
        node("Attention", "q k v - pk pv"),
        {"q": [1, 2, 4, 8], "k": [1, 2, 6, 8], "v": [1, 2, 6, 5], "pk": [1, 2, 3, 8], "pv": [1, 2, 3, 5]}, {},
        2 * 4 * 9 * 13,
    ),
    "onnxruntime's attention": (
        node("Attention", "x w b", num_heads=2, domain="com.microsoft"),
        {"x": [1, 4, 8]}, {"w": [8, 24], "b": [24]}, 4 * 8 * 24 + 4 * 4 * 16,
    ),
    "onnxruntime's multi-head attention": (
        node("MultiHeadAttention", "q k v", num_heads=2, domain="com.microsoft"),
        {"q": [1, 4, 8], "k": [1, 6, 8], "v": [1, 6, 10]}, {}, 4 * 6 * 18,
    ),
    "packed multi-head attention": (
        node("MultiHeadAttention", "q", num_heads=2, domain="com.microsoft"), {"q": [1, 4, 2, 3, 8]}, {}, 2 * 16 * 16,
    ),
    "einsum": (node("Einsum", "x m", equation="bik,kj->bij"), {"x": [1, 3, 4]}, {"m": [4, 5]}, 3 * 4 * 5),
    "einsum of three": (
        node("Einsum", "x m n", equation="bi,ij,jk->bk"), {"x": [1, 4]}, {"m": [4, 5], "n": [5, 6]}, 20 + 30,
    ),
    # 3x3 kernels at 4x4 places
    "deformable": (
        node("DeformConv", "x w o", kernel_shape=[3, 3]), {"x": [1, 2, 6, 6], "o": [1, 18, 4, 4]}, {"w": [5, 2, 3, 3]},
        5 * 16 * 18,
    ),
    "fused convolution": (
        node("FusedConv", "x w", activation="Relu", domain="com.microsoft"), {"x": [1, 2, 6, 6]}, {"w": [5, 2, 3, 3]},
        5 * 16 * 18,
    ),
    "fused product, transposed": (
        node("FusedMatMul", "x m", transA=1, domain="com.microsoft"), {"x": [1, 4, 3]}, {"m": [4, 5]}, 3 * 4 * 5,
    ),
    "elementwise": (node("Mul", "x m"), {"x": [1, 4]}, {"m": [4]}, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_operator_by_hand(case: str, tmp_path: Path) -> None:
    one, inputs, weights, wanted = CASES[case]
    first = [node("Transpose", "x", "t", perm=[1, 0, 2])] if "t" in one.input else []
    found = cost.count(saved(tmp_path / "g.onnx", [*first, one], inputs, weights))
    assert (found["macs"], found["macs_unknown"]) == (wanted, None)


@pytest.mark.parametrize(
    ("equation", "operands", "wanted"),
    [
        ("ij->ji", [(3, 4)], 0),
        ("ij,jk", [(3, 4), (4, 5)], 60),
        ("...ij,...jk->...ik", [(2, 7, 3, 4), (7, 4, 5)], 2 * 7 * 60),
        ("i,j->ij", [(3,), (4,)], 12),
        ("ij,k->k", [(3, 4), (5,)], 5),  # i and j are summed before anything is multiplied
        ("bhid,bhjd->bhij", [(1, 2, 6, 8), (1, 2, 5, 8)], 2 * 6 * 5 * 8),
    ],
)
def test_sums_of_products_by_hand(equation: str, operands: list[tuple[int, ...]], wanted: int) -> None:
    assert macs.of_einsum(equation, operands) == wanted


def test_functions_inside_the_model_are_counted_at_every_call(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("own", 1)]
    inner = helper.make_function("own", "Dense", ["a", "m"], ["b"], [node("MatMul", "a m", "b")], opsets)
    twice = [node("Dense", "a m", "b", domain="own"), node("Dense", "b m", "c", domain="own")]
    outer = helper.make_function("own", "Twice", ["a", "m"], ["c"], twice, opsets)
    calls = [node("Twice", "x m", "t", domain="own"), node("Dense", "t m", domain="own")]
    path = saved(tmp_path / "g.onnx", calls, {"x": [1, 4]}, {"m": [4, 4]}, functions=[inner, outer])
    assert cost.count(path)["macs"] == 3 * 16


def test_functions_that_call_functions_without_measure_are_not_written_out(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", "F0", ["a"], ["b"], [node("Relu", "a", "b")], opsets)]
    for depth in range(1, 40):
        calls = [node(f"F{depth - 1}", "a", "t", domain="own"), node(f"F{depth - 1}", "t", "b", domain="own")]
        functions.append(helper.make_function("own", f"F{depth}", ["a"], ["b"], calls, opsets))
    path = saved(tmp_path / "g.onnx", [node("F39", "x", domain="own")], {"x": [1, 4]}, functions=functions)
    found = cost.count(path)
    assert found["macs"] is None
    assert "more than 200,000 nodes" in found["macs_unknown"]


def body(name: str, nodes: list[onnx.NodeProto], inputs: Sizes, outputs: Sizes) -> onnx.GraphProto:
    def ports(sizes: Sizes) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(one, TensorProto.FLOAT, size) for one, size in sizes.items()]

    return helper.make_graph(nodes, name, ports(inputs), ports(outputs))


def test_the_body_of_a_scan_counts_once_for_each_step(tmp_path: Path) -> None:
    step = [node("MatMul", "part m", "made"), node("Identity", "state", "next")]
    inner = body("step", step, {"state": [1], "part": [1, 4]}, {"next": [1], "made": [1, 5]})
    scan = helper.make_node("Scan", ["s", "x"], ["end", "y"], body=inner, num_scan_inputs=1, scan_input_axes=[1])
    path = saved(tmp_path / "g.onnx", [scan], {"x": [1, 7, 4]}, {"m": [4, 5], "s": [1]})
    assert cost.count(path)["macs"] == 7 * 20


@pytest.mark.parametrize(("right", "wanted"), [("m", 20), ("n", None)])
def test_branches_count_where_they_cost_alike(right: str, wanted: int | None, tmp_path: Path) -> None:
    branches = [
        body(name, [node("MatMul", f"x {name}", f"{name}_out")], {}, {f"{name}_out": [1, 5 if name == "m" else 6]})
        for name in ("m", right)
    ]
    nodes = [
        node("ReduceSum", "x", "all", keepdims=0),
        node("Cast", "all", "when", to=TensorProto.BOOL),
        node("If", "when", then_branch=branches[0], else_branch=branches[1]),
    ]
    found = cost.count(saved(tmp_path / "g.onnx", nodes, {"x": [1, 4]}, {"m": [4, 5], "n": [4, 6]}))
    assert found["macs"] == wanted
    assert (found["macs_unknown"] or "").endswith("" if wanted else "the values that go in choose")


UNKNOWN = {
    "SampleOp": (node("SampleOp", "x", domain="com.microsoft"), {"x": [1, 4]}, "nobody here can say what it multip"),
    "its:Own": (node("Own", "x", domain="its"), {"x": [1, 4]}, "nobody here can say what it multiplies"),
    "Det": (node("Det", "x"), {"x": [1, 4, 4]}, "its products are not counted here"),
}


@pytest.mark.parametrize("operator", UNKNOWN)
def test_an_unknown_operator_makes_the_number_unknown(operator: str, tmp_path: Path) -> None:
    one, inputs, why = UNKNOWN[operator]
    found = cost.count(saved(tmp_path / "g.onnx", [one], inputs))
    assert found["macs"] is None
    assert f"({operator}) cannot be counted: {why}" in found["macs_unknown"]


def test_a_loop_with_products_is_unknown_and_one_without_is_not(tmp_path: Path) -> None:
    for kind, wanted in (("MatMul", None), ("Add", 0)):
        inner = body("b", [node(kind, "v m", "w"), node("Identity", "c", "d")], {}, {"d": [], "w": [4, 4]})
        inner.input.extend(
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("c", TensorProto.BOOL, []),
                helper.make_tensor_value_info("v", TensorProto.FLOAT, [4, 4]),
            ]
        )
        inner.output[0].type.tensor_type.elem_type = TensorProto.BOOL
        loop = helper.make_node("Loop", ["n", "", "x"], ["y"], name="loop", body=inner)
        sizes = {"x": [1, 4]}
        path = saved(tmp_path / "g.onnx", [loop], sizes, {"m": [4, 4]}, values={"n": np.array(3)})
        found = cost.count(path)
        assert found["macs"] == wanted
        assert wanted == 0 or "`loop` (Loop) cannot be counted: how often it runs" in found["macs_unknown"]


def test_open_sizes_are_those_of_the_sample(tmp_path: Path) -> None:
    path = saved(tmp_path / "g.onnx", [node("Conv", "x w")], {"x": [1, 2, 1, 1]}, {"w": [5, 2, 3, 3]})
    model = onnx.load(path)
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim, ("n", "c", "h", "w"), strict=True):
        dim.dim_param = name
    onnx.save(model, path)
    assert cost.count(path)["macs"] is None
    assert cost.count(path, (2, 6, 6))["macs"] == 5 * 16 * 18
