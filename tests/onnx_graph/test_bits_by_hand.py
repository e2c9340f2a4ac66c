"""Proofs of single operators by hand: which weights saturate, which averages tie, what stands between bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.onnx_graph import bits

HELD: dict[str, np.ndarray] = {
    "half": np.array(0.5, np.float32), "one": np.array(1, np.float32), "three_quarters": np.array(0.75, np.float32),
    "zero": np.array(0, np.uint8), "signed": np.array(0, np.int8), "pair": np.array([0.5, 1], np.float32),
}  # fmt: skip


def doubts(*nodes: onnx.NodeProto, counts: dict[str, int] | None = None, **held: np.ndarray) -> dict[str, str]:
    tensors = [numpy_helper.from_array(value, name) for name, value in {**HELD, **held}.items()]
    return bits.doubtful(helper.make_graph(list(nodes), "g", [], [], tensors), counts or {})


def node(operator: str, given: str, made: str = "y", name: str = "", **attributes: Any) -> onnx.NodeProto:
    domain = "com.microsoft" if operator.startswith("QLinear") and operator != "QLinearConv" else ""
    inputs = [one.replace("-", "") for one in given.split()]
    return helper.make_node(operator, inputs, [made], name=name, domain=domain, **attributes)


@pytest.mark.parametrize(
    ("weights", "zero", "weights_zero", "why"),
    [
        ([64, -64, 0], "zero", "signed", ""),
        ([65, 0, 0], "zero", "signed", "8-bit weights"),
        ([0, -65, 0], "zero", "signed", "8-bit weights"),
        ([0, -128, 0], "zero", "signed", "8-bit weights"),
        ([127, 0, 0], "zero", "zero", ""),
        ([1, 0, 0], "signed", "signed", "signed activations"),
        ([1, 0, 0], "computed", "signed", "signed activations"),
        (None, "zero", "signed", "8-bit weights"),
    ],
)
def test_products_of_bytes_and_seven_bits_never_saturate(
    weights: list[int] | None, zero: str, weights_zero: str, why: str
) -> None:
    held = {} if weights is None else {"w": np.array(weights, np.int8)}
    found = doubts(node("QLinearConv", f"x half {zero} w half {weights_zero} one zero"), **held)
    assert found == ({"y": f"qlinear_conv ({why})"} if why else {})


WINDOW: dict[str, Any] = {"kernel_shape": [2, 2]}


@pytest.mark.parametrize(
    ("out", "attributes", "proven"),
    [
        ("three_quarters", {}, True),  # sums of four over 4 · 3/4: thirds
        ("one", {}, False),  # fourths tie
        ("one", {"kernel_shape": [3, 1]}, True),
        ("three_quarters", {"kernel_shape": [1, 2]}, True),  # two of them: i / 2 · 4 / 3, thirds again
        ("three_quarters", {"ceil_mode": 1}, False),
        ("three_quarters", {"pads": [0, 0, 0, 1]}, False),
        ("three_quarters", {"pads": [0, 0, 0, 0]}, True),
        ("three_quarters", {"pads": [0, 0, 0, 1], "count_include_pad": 1}, True),
        ("three_quarters", {"auto_pad": "SAME_UPPER"}, False),
        ("three_quarters", {"auto_pad": "VALID"}, True),
    ],
)
def test_averages_of_windows_that_all_have_as_many_numbers(out: str, attributes: dict[str, Any], proven: bool) -> None:
    found = doubts(node("QLinearAveragePool", f"x one zero {out} zero", **{**WINDOW, **attributes}))
    assert found == ({} if proven else {"y": "qlinear_average_pool (tie)"})


@pytest.mark.parametrize(
    ("operator", "given", "out", "proven"),
    [
        ("QLinearAdd", "x half zero x one zero", "one", False),
        ("QLinearAdd", "x half zero x half zero", "three_quarters", True),  # 2/3 (i + j)
        ("QLinearMul", "x half zero x one zero", "one", False),
        ("QLinearMul", "x half zero x half zero", "three_quarters", True),  # i j / 3
        ("QLinearAdd", "x half zero x pair zero", "one", False),  # two scales
        ("QLinearAdd", "x half signed x half signed", "three_quarters", False),
    ],
)
def test_sums_and_products_of_bytes(operator: str, given: str, out: str, proven: bool) -> None:
    found = doubts(node(operator, f"{given} {out} zero"))
    assert found == ({} if proven else {"y": f"qlinear_{operator[7:].lower()} (tie)"})


def test_averages_over_everything_need_a_known_count() -> None:
    one = node("QLinearGlobalAveragePool", "x one zero three_quarters zero", name="pool")
    assert doubts(one, counts={"pool": 4}) == {}
    assert doubts(one, counts={"pool": 8}) == {"y": "qlinear_global_average_pool (tie)"}  # sixths: 3/6 is a tie
    assert doubts(one) == {"y": "qlinear_global_average_pool (tie)"}


@pytest.mark.parametrize("moves", [[], ["Reshape"], ["Transpose", "Squeeze"]])
def test_a_float_average_between_bytes(moves: list[str]) -> None:
    places = ["m", *(f"t{place}" for place in range(len(moves)))]
    chain = [node(move, before, after) for move, before, after in zip(moves, places, places[1:], strict=False)]

    def found(sink: str = "QuantizeLinear", more: int = 0, source: str = "DequantizeLinear") -> dict[str, str]:
        nodes = [node(source, "q one zero", "x"), node("ReduceMean", "x axes", "m", "mean"), *chain]
        nodes += [node(sink, f"{places[-1]} three_quarters zero", f"y{place}") for place in range(1 + more)]
        return doubts(*nodes, counts={"mean": 4})

    assert found() == {}
    for other in (found("Relu"), found(more=1), found(source="Relu")):
        assert other == {"m": "reduce_mean (float)"}


def test_resizing_and_what_only_moves_data() -> None:
    assert doubts(node("Resize", "x", mode="nearest"), node("Resize", "x"), node("Reshape", "x s")) == {}
    assert doubts(node("Resize", "x", mode="linear")) == {"y": "resize (float)"}
    assert doubts(node("Softmax", "x"), node("Erf", "x", "z")) == {"y": "softmax (float)", "z": "erf (float)"}


BOUND: dict[str, Any] = {"low": np.array(-3, np.float32), "high": np.array(300.7, np.float32)}


@pytest.mark.parametrize(
    ("before", "to", "proven"),
    [
        ([], TensorProto.INT32, False),  # any number that is fed
        ([], TensorProto.FLOAT16, True),
        ([], TensorProto.BOOL, True),
        (["Round"], TensorProto.INT64, False),
        (["Clip x low high"], TensorProto.INT32, True),
        (["Clip x low high"], TensorProto.UINT8, False),
        (["Clip x zero_float high"], TensorProto.UINT8, False),
        (["Clip x zero_float high", "Clip - - full"], TensorProto.UINT8, True),
        (["Clip x low"], TensorProto.INT32, False),  # upwards it is open
        (["Relu", "Clip - - high"], TensorProto.INT32, True),
        (["Sqrt", "Clip - low high"], TensorProto.INT32, False),  # the root of less than zero is no number
        (["DequantizeLinear b half zero"], TensorProto.INT8, True),  # at most 127.5 from zero
        (["DequantizeLinear b half zero"], TensorProto.UINT8, False),
        (["DequantizeLinear b half signed", "Floor"], TensorProto.INT8, True),  # from -127.5 to 127.5, floors from -128
        (["DequantizeLinear b half zero", "Transpose", "Relu", "Ceil"], TensorProto.UINT8, True),
        (["DequantizeLinear b one zero"], TensorProto.INT8, False),
        (["DequantizeLinear b computed zero"], TensorProto.INT32, False),
        (["Shape"], TensorProto.INT8, True),  # among integers it is the same everywhere
        (["Concat x half"], TensorProto.INT32, False),
        (["Concat half one"], TensorProto.INT32, True),
        (["Cast x 7", "Cast - 1"], TensorProto.INT32, False),  # int64 in float32 has more than int32
        (["Cast b 1"], TensorProto.INT32, True),
        (["ArgMax x", "Cast - 1", "Floor"], TensorProto.INT8, False),
        (["Clip x wide_low wide_high", "Cast - 10"], TensorProto.INT32, False),  # float16 makes infinity of 100,000
        (["Clip x low high", "Cast - 10"], TensorProto.INT32, True),
    ],
)
def test_a_float_number_becomes_an_integer_only_where_there_is_room(before: list[str], to: int, proven: bool) -> None:
    nodes, last = [], "x"
    for place, words in enumerate(before):
        operator, *given = words.split()
        more = {"axis": 0} if operator == "Concat" else {"to": int(given.pop())} if operator == "Cast" else {}
        inputs = [last, *given[1:]] if given[:1] in ([], ["-"]) else given
        inputs = ["" if one == "-" else one for one in inputs]
        nodes.append(helper.make_node(operator, inputs, [last := f"t{place}"], **more))
    nodes.append(helper.make_node("Cast", [last], ["y"], to=to))
    held = {**HELD, **BOUND, "zero_float": np.array(0, np.float32), "full": np.array(255, np.float32)}
    held |= {"wide_low": np.array(-1e5, np.float32), "wide_high": np.array(1e5, np.float32)}
    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4]),
             helper.make_tensor_value_info("b", TensorProto.UINT8, [4])]  # fmt: skip
    found = bits.doubtful(helper.make_graph(nodes, "g", ports, [], tensors), {})
    assert found.get("y") == (None if proven else "cast (range)")
