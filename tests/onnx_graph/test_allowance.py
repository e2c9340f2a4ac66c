"""What another CPU may show, on graphs of one operator whose disturbance can be counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compressor.onnx_graph import session
from compressor.onnx_graph.allowance import Allowance, allowance


def graph(path: Path, nodes: list[onnx.NodeProto], kind: int, shape: list[int], held: dict[str, np.ndarray]) -> Path:
    ports = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_graph(nodes, "g", ports[:1], ports[1:], tensors)
    onnx.save(helper.make_model(made, opset_imports=sets, ir_version=10), path)
    return path


def found(path: Path, samples: np.ndarray) -> Allowance:
    return allowance(path, samples, session.predict(path, [samples], 1))


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_float_result_moves_by_a_millionth_of_the_largest_either_way(scale: float, tmp_path: Path) -> None:
    """exp(0) is 1 everywhere: moved by up to 2^-20, twice that is allowed, and a millionth for the last digits.

    Of 4,000 numbers a sample some are moved by nearly all of it: the largest and the median of samples are alike.
    """
    nodes = [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Mul", ["e", "scale"], ["y"])]
    path = graph(tmp_path / "g.onnx", nodes, TensorProto.FLOAT, ["n", 4000], {"scale": np.float32(scale)})
    allowed = found(path, np.zeros((3, 4000), np.float32))
    wanted = scale * (2 * 2**-20 + 1e-6)
    assert allowed.largest == pytest.approx(wanted, rel=0.05)
    assert allowed.median == pytest.approx(wanted, rel=0.05)


def test_what_one_sample_has_more_of_is_the_largest_and_not_the_median(tmp_path: Path) -> None:
    """A result moves by a share of the largest in its tensor, and is then multiplied with what stands in the sample."""
    nodes = [
        helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Exp", ["zero"], ["e"]),
        helper.make_node("Mul", ["e", "x"], ["y"]),
    ]  # fmt: skip
    path = graph(tmp_path / "g.onnx", nodes, TensorProto.FLOAT, ["n", 4000], {})
    samples = np.full((5, 4000), 2.0, np.float32)
    samples[4] = 64.0
    allowed = found(path, samples)
    assert allowed.largest == pytest.approx(64 * (2 * 2**-20 + 1e-6), rel=0.05)
    assert allowed.median == pytest.approx(2 * 2 * 2**-20 + 64e-6, rel=0.05)


def test_bytes_move_by_one_step(tmp_path: Path) -> None:
    """QLinearAdd of two halves ties. One byte in a thousand flips: of 20,000 some do in every sample."""
    held = {"half": np.float32(0.5), "one": np.float32(1.0), "zero": np.uint8(0)}
    node = helper.make_node("QLinearAdd", ["x", "half", "zero", "x", "one", "zero", "one", "zero"], ["y"],
                            domain="com.microsoft")  # fmt: skip
    path = graph(tmp_path / "g.onnx", [node], TensorProto.UINT8, ["n", 20_000], held)
    samples = np.random.default_rng(0).integers(10, 100, (2, 20_000), dtype=np.uint8)
    outputs = session.predict(path, [samples], 1).astype(np.float32)
    allowed = allowance(path, samples, outputs)
    digits = 1e-6 * outputs.max()
    assert allowed == Allowance(*[float(np.float32(2 + digits))] * 2)


def test_what_is_proven_allows_nothing(tmp_path: Path) -> None:
    path = graph(tmp_path / "g.onnx", [helper.make_node("Relu", ["x"], ["y"])], TensorProto.FLOAT, ["n", 4], {})
    assert found(path, np.ones((2, 4), np.float32)) == Allowance(0.0, 0.0)
