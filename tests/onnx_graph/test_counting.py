"""Operators as onnxruntime runs them, and cost by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.onnx_graph import cost, operators


def graph(
    path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], given: list[int], made: list[int]
) -> Path:
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in (("x", given), ("y", made))
    ]
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ports[:1], ports[1:], tensors),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    onnx.save(model, path)
    return path


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("groups", "weight", "params", "macs"),
    [
        # 3x3 kernels on a 6x5 picture, padded: 6 * 5 places, each out channel sums 9 numbers of every in channel it sees
        (1, (8, 4, 3, 3), 8 * 4 * 9 + 8, 6 * 5 * 8 * 4 * 9),
        (4, (8, 1, 3, 3), 8 * 1 * 9 + 8, 6 * 5 * 8 * 1 * 9),
        (2, (8, 2, 3, 3), 8 * 2 * 9 + 8, 6 * 5 * 8 * 2 * 9),
    ],
)
def test_convolutions_by_hand(groups: int, weight: tuple[int, ...], params: int, macs: int, tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "c.weight", "c.bias"], ["y"], name="c", group=groups, pads=[1] * 4)
    path = graph(tmp_path / "g.onnx", [node], {"c.weight": floats(*weight), "c.bias": floats(8)}, [4, 6, 5], [8, 6, 5])
    assert cost.count(path) == {"params": params, "macs": macs, "macs_unknown": None}


def test_gemm_matmul_and_transposed_convolution_by_hand(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["x", "up"], ["a"], strides=[2, 2]),  # [2, 3, 3] -> [4, 6, 6], kernel 2x2
        helper.make_node("Clip", ["a", "low"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "g"], ["d"], transB=1),
        helper.make_node("MatMul", ["d", "m"], ["y"]),
    ]
    weights = {"up": floats(2, 4, 2, 2), "low": np.float32(0), "g": floats(7, 144), "m": floats(7, 5)}
    path = graph(tmp_path / "g.onnx", nodes, weights, [2, 3, 3], [5])
    assert cost.count(path) == {
        "params": 32 + 7 * 144 + 35,
        "macs": 2 * 9 * 4 * 4 + 144 * 7 + 7 * 5,
        "macs_unknown": None,
    }


def test_float_convolutions_are_counted_in_every_form_and_named_as_in_the_file(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b"], ["a"], name="first", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "w2", "b"], ["s"], name="second", pads=[1] * 4),
        helper.make_node("Flatten", ["s"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["y"], name="head"),
    ]
    weights = {"w1": floats(16, 16, 3, 3), "w2": floats(16, 16, 3, 3), "b": floats(16), "g": floats(256, 3)}
    found = operators.count(graph(tmp_path / "g.onnx", nodes, weights, [16, 4, 4], [3]))
    assert found["float_convolutions"] == 2
    assert found["float_names"] == ["first", "second", "head"]
    assert found["precision"] == "float32"
    assert "Relu" not in found["operators"], "onnxruntime fuses it into the convolution"
    assert found["operators"]["Gemm"] == 1


def test_a_graph_with_both_is_mixed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["dw"], axis=0),
        helper.make_node("Conv", ["d", "dw"], ["a"], name="integer"),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["qa"]),
        helper.make_node("DequantizeLinear", ["qa", "s", "z"], ["da"]),
        helper.make_node("Conv", ["da", "f"], ["y"], name="left"),
    ]
    weights = {
        "s": np.float32(0.1), "z": np.uint8(128), "w": np.ones((4, 4, 1, 1), np.int8), "ws": np.ones(4, np.float32),
        "wz": np.zeros(4, np.int8), "f": floats(4, 4, 1, 1),
    }  # fmt: skip
    found = operators.count(graph(tmp_path / "g.onnx", nodes, weights, [4, 2, 2], [4, 2, 2]))
    assert (found["precision"], found["float_convolutions"]) == ("mixed", 1)
    assert found["operators"]["QLinearConv"] == 1
    assert cost.count(tmp_path / "g.onnx")["macs"] == 2 * 4 * 4 * 4


ROUNDING = {"s": np.float32(0.1), "z": np.uint8(128)}
INTEGER_CONVOLUTION = [
    helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
    helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["dw"], axis=0),
    helper.make_node("Conv", ["d", "dw"], ["a"], name="integer"),
    helper.make_node("QuantizeLinear", ["a", "s", "z"], ["qa"]),
    helper.make_node("DequantizeLinear", ["qa", "s", "z"], ["c"]),
]
"""From x [batch, 4, 2, 2] to c of that shape, by one integer kernel."""
INTEGER_WEIGHTS = ROUNDING | {
    "w": np.ones((4, 4, 1, 1), np.int8), "ws": np.ones(4, np.float32), "wz": np.zeros(4, np.int8),
}  # fmt: skip


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_layer_beside_integers_is_a_float_product(layer: str, tmp_path: Path) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[layer]
    nodes = [
        *INTEGER_CONVOLUTION,
        helper.make_node("Reshape", ["c", "shape"], ["t"]),
        helper.make_node("Transpose", ["t"], ["seq"], perm=[1, 0, 2]),
        helper.make_node(layer, ["seq", "W", "R"], ["", "last"], name="rnn", hidden_size=3),
        helper.make_node("Squeeze", ["last", "zero"], ["y"]),
    ]
    weights = INTEGER_WEIGHTS | {
        "shape": np.array([-1, 4, 4]), "zero": np.array([0]),
        "W": floats(1, gates * 3, 4), "R": floats(1, gates * 3, 3),
    }  # fmt: skip
    found = operators.count(graph(tmp_path / "g.onnx", nodes, weights, [4, 2, 2], [3]))
    assert (found["precision"], found["float_convolutions"], found["float_matmuls"]) == ("mixed", 0, 1)
    assert (found["float_names"], found["unknown_operators"]) == (["rnn"], [])


def test_products_inside_branches_are_seen(tmp_path: Path) -> None:
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("left", "right")]
    branches = [
        helper.make_graph([helper.make_node("MatMul", ["c", "m"], [one.name], name=one.name)], one.name, [], [one])
        for one in made
    ]
    nodes = [
        *INTEGER_CONVOLUTION,
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "s"], ["when"]),
        helper.make_node("If", ["when"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    weights = INTEGER_WEIGHTS | {"m": floats(2, 2)}
    found = operators.count(graph(tmp_path / "g.onnx", nodes, weights, [4, 2, 2], [4, 2, 2]))
    assert (found["precision"], found["float_matmuls"]) == ("mixed", 2)
    assert found["float_names"] == ["left", "right"]


def test_an_operator_outside_the_lists_is_named_and_no_int8(tmp_path: Path) -> None:
    nodes = [*INTEGER_CONVOLUTION, helper.make_node("SampleOp", ["c"], ["y"], name="odd", domain="com.microsoft")]
    path = graph(tmp_path / "g.onnx", nodes, INTEGER_WEIGHTS, [4, 2, 2], [4, 2, 2])
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    found = operators.count(path)
    assert (found["precision"], found["unknown_operators"], found["float_names"]) == ("mixed", ["SampleOp"], [])


def test_an_operator_of_another_domain_is_not_taken_for_its_namesake() -> None:
    assert operators.kind(helper.make_node("Relu", ["x"], ["y"], domain="some.body")) == "some.body:Relu"
    assert operators.kind(helper.make_node("Conv", ["x"], ["y"], domain="com.microsoft.nchwc")) == "NchwcConv"
    assert operators.kind(helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft")) == "FusedConv"


def test_sizes_that_onnx_cannot_infer_are_seen_in_a_run(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GroupNormalization", ["x", "one", "one"], ["n"], num_groups=2),  # ONNX infers nothing here
        helper.make_node("Conv", ["n", "w"], ["a"], name="c"),
        helper.make_node("Flatten", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "g"], ["y"], name="head"),
    ]
    weights = {"one": np.ones(4, np.float32), "w": floats(8, 4, 3, 3), "g": floats(8 * 2 * 3, 5)}
    path = graph(tmp_path / "g.onnx", nodes, weights, [4, 4, 5], [5])
    assert cost.count(path)["macs"] == 2 * 3 * 8 * 4 * 9 + 48 * 5


def test_a_product_whose_sizes_cannot_be_told_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GroupNormalization", ["x", "one", "one"], ["n"], num_groups=2),
        helper.make_node("Conv", ["n", "w"], ["y"], name="odd"),
    ]
    weights = {"one": np.ones(4, np.float32), "w": floats(8, 3, 3, 3)}  # 3 channels where 4 come in
    path = graph(tmp_path / "g.onnx", nodes, weights, [4, 4, 5], [8, 2, 3])
    model = onnx.load(path)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    found = cost.count(path)
    assert found["macs"] is None
    assert found["macs_unknown"].startswith("the multiplications of `odd` (Conv) cannot be counted: its sizes depend")


def test_weights_in_another_file_are_not_needed_to_count_operators(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="c")
    path = graph(tmp_path / "g.onnx", [node], {"w": floats(8, 4, 3, 3)}, [4, 6, 5], [8, 4, 3])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="g.onnx.data", size_threshold=0)
    found = operators.count(path)
    assert (found["float_names"], found["float_convolutions"]) == (["c"], 1)
