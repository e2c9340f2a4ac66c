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
    # 6x6 places, each a row of 3 with 2 rows of theta
    "affine grid": (node("AffineGrid", "x s"), {"x": [1, 2, 3]}, {}, 36 * 2 * 3),
    "elementwise": (node("Mul", "x m"), {"x": [1, 4]}, {"m": [4]}, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_operator_by_hand(case: str, tmp_path: Path) -> None:
    one, inputs, weights, wanted = CASES[case]
    first = [node("Transpose", "x", "t", perm=[1, 0, 2])] if "t" in one.input else []
    values = {"s": np.array([1, 1, 6, 6])} if "s" in one.input else None
    found = cost.count(saved(tmp_path / "g.onnx", [*first, one], inputs, weights, values=values))
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


def chosen(condition: list[onnx.NodeProto], right: str) -> list[onnx.NodeProto]:
    """A branch of 20 multiply-accumulates where `when` holds, else one of 20 (m) or 24 (n)."""
    branches = [
        body(name, [node("MatMul", f"x {name}", f"{name}_out")], {}, {f"{name}_out": [1, 5 if name == "m" else 6]})
        for name in ("m", right)
    ]
    return [*condition, node("If", "when", then_branch=branches[0], else_branch=branches[1])]


BY_VALUE = [node("ReduceSum", "x", "all", keepdims=0), node("Cast", "all", "when", to=TensorProto.BOOL)]
BY_SIZE = [node("Shape", "x", "sizes"), node("ReduceMax", "sizes", "widest"), node("Greater", "widest four", "when")]


@pytest.mark.parametrize(
    ("condition", "right", "wanted"), [(BY_VALUE, "m", 20), (BY_VALUE, "n", None), (BY_SIZE, "n", 24)]
)
def test_branches_count_where_they_cost_alike_or_sizes_choose(
    condition: list[onnx.NodeProto], right: str, wanted: int | None, tmp_path: Path
) -> None:
    values = {"four": np.array([4])}
    path = saved(
        tmp_path / "g.onnx", chosen(condition, right), {"x": [1, 4]}, {"m": [4, 5], "n": [4, 6]}, 18, None, values
    )
    found = cost.count(path)
    assert found["macs"] == wanted
    assert (found["macs_unknown"] or "").endswith("" if wanted else "the values that go in choose its branch")


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


def loop(nodes: list[onnx.NodeProto], goes_on: list[onnx.NodeProto]) -> onnx.NodeProto:
    """From x [1, 4] to y: v becomes w in each of n rounds, while d holds."""
    inner = body("b", [*nodes, *goes_on], {}, {})
    for name, kind, sizes in (
        ("i", TensorProto.INT64, []),
        ("c", TensorProto.BOOL, []),
        ("v", TensorProto.FLOAT, None),
    ):
        inner.input.append(helper.make_tensor_value_info(name, kind, sizes))
    inner.output.append(helper.make_tensor_value_info("d", TensorProto.BOOL, []))
    inner.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, None))
    return helper.make_node("Loop", ["n", "", "x"], ["y"], name="loop", body=inner)


ALWAYS = [node("Identity", "c", "d")]
UNTIL = [node("ReduceMax", "w", "top", keepdims=0), node("Less", "top one", "d")]
PRODUCT = [node("MatMul", "v m", "w")]
BY_LENGTH = [node("Shape", "x", "sizes"), node("ReduceMax", "sizes", "n", keepdims=0)]
BY_CONTENT = [node("ReduceMax", "x", "top", keepdims=0), node("Cast", "top", "n", to=TensorProto.INT64)]
LOOPS = {
    "a number of rounds in the file": ([], loop(PRODUCT, ALWAYS), 3 * 16),
    "a number that follows from a size": (BY_LENGTH, loop(PRODUCT, ALWAYS), 4 * 16),
    # 1, 2 and 3 rows of 4 through [4, 4]
    "a state that grows": ([], loop([node("Concat", "v x", "w", axis=0), node("MatMul", "v m", "p")], ALWAYS), 6 * 16),
    "no product": (BY_CONTENT, loop([node("Add", "v v", "w")], ALWAYS), 0),
    "a number that follows from values": (BY_CONTENT, loop(PRODUCT, ALWAYS), None),
    "an end that follows from values": ([], loop(PRODUCT, UNTIL), None),
}


@pytest.mark.parametrize("case", LOOPS)
def test_a_loop_counts_unless_values_choose_how_often_it_runs(case: str, tmp_path: Path) -> None:
    before, one, wanted = LOOPS[case]
    values = {"one": np.float32(1)} | ({} if before else {"n": np.array(3)})
    found = cost.count(saved(tmp_path / "g.onnx", [*before, one], {"x": [1, 4]}, {"m": [4, 4]}, 18, None, values))
    assert found["macs"] == wanted
    why = "the multiplications of `loop` (Loop) cannot be counted: how often it runs depends on the values that go in"
    assert found["macs_unknown"] == (why if wanted is None else None)


def test_a_scan_of_the_oldest_form_counts_its_batch_and_its_steps(tmp_path: Path) -> None:
    inner = body("step", [node("MatMul", "part m", "made")], {"part": [4, 4]}, {"made": [4, 4]})
    scan = helper.make_node("Scan", ["", "x"], ["y"], body=inner, num_scan_inputs=1)
    path = saved(tmp_path / "g.onnx", [scan], {"x": [1, 7, 4, 4]}, {"m": [4, 4]}, opset=8)
    assert cost.count(path)["macs"] == 7 * 64


def test_sizes_that_follow_from_values_are_unknown_even_if_a_run_shows_some(tmp_path: Path) -> None:
    nodes = [
        node("NonZero", "x", "places"),
        node("Transpose", "places", "rows", perm=[1, 0]),
        node("Cast", "rows", "found", to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["found", "m"], ["y"], name="head"),
    ]
    found = cost.count(saved(tmp_path / "g.onnx", nodes, {"x": [1, 4]}, {"m": [2, 5]}, 18))
    assert found["macs"] is None
    assert "`head` (MatMul) cannot be counted: its sizes depend on the values that go in" in found["macs_unknown"]


def test_what_follows_from_the_weights_alone_is_no_work_of_an_inference(tmp_path: Path) -> None:
    nodes = [node("MatMul", "m n", "p"), node("MatMul", "x p")]
    assert cost.count(saved(tmp_path / "g.onnx", nodes, {"x": [1, 4]}, {"m": [4, 6], "n": [6, 5]}))["macs"] == 20


def test_a_file_for_a_fixed_batch_counts_a_sample_and_its_notes_of_sizes_are_not_believed(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x rows", "r"), node("Relu", "r", "t"), node("MatMul", "t m")]
    path = saved(tmp_path / "g.onnx", nodes, {"x": [8, 2, 2]}, {"m": [4, 5]}, 18, None, {"rows": np.array([8, 4])})
    assert cost.count(path)["macs"] == 20
    model = onnx.load(path)
    model.graph.value_info.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, [8, 400]))
    onnx.save(model, path)
    assert cost.count(path)["macs"] == 20


def test_weights_are_parameters_wherever_the_file_keeps_them_and_of_whatever_type(tmp_path: Path) -> None:
    held = helper.make_node("Constant", [], ["m"], value=numpy_helper.from_array(np.ones((4, 5), np.float32), "m"))
    wide = node("DequantizeLinear", "q s z", "n")
    nodes = [held, wide, node("MatMul", "x m", "t"), node("MatMul", "t n")]
    values = {"q": np.ones((5, 3), np.int16), "s": np.float32(0.1), "z": np.int16(0)}
    found = cost.count(saved(tmp_path / "g.onnx", nodes, {"x": [1, 4]}, values=values))
    assert found == {"params": 20 + 15, "macs": 20 + 15, "macs_unknown": None}


def test_open_sizes_are_those_of_the_sample(tmp_path: Path) -> None:
    path = saved(tmp_path / "g.onnx", [node("Conv", "x w")], {"x": [1, 2, 1, 1]}, {"w": [5, 2, 3, 3]})
    model = onnx.load(path)
    for dim, name in zip(model.graph.input[0].type.tensor_type.shape.dim, ("n", "c", "h", "w"), strict=True):
        dim.dim_param = name
    onnx.save(model, path)
    assert cost.count(path)["macs"] is None
    assert cost.count(path, (2, 6, 6))["macs"] == 5 * 16 * 18


def test_a_sequence_among_the_outputs_stops_no_counting(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "g.onnx", [node("MatMul", "x w"), node("SequenceConstruct", "y", "s")], {"x": [1, 7]}, {"w": [7, 5]}
    )
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None))
    onnx.save(model, path)
    assert cost.count(path)["macs"] == 7 * 5
