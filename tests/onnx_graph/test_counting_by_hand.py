"""Which tensors of a graph are parameters, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import helper

from compressor.onnx_graph import cost
from tests.onnx_graph.test_counting import floats, graph


def test_weights_and_dequantized_biases_are_parameters_and_scales_indices_and_limits_are_none(tmp_path: Path) -> None:
    """A weight of 4 by 5 bytes, a bias of 5 in int32, a factor of 5 floats: 30. The rest has 1, 3, 1, 1, 1 and 2."""
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["weight"]),
        helper.make_node("DequantizeLinear", ["b", "b_scale"], ["bias"]),
        helper.make_node("Gemm", ["x", "weight", "bias"], ["g"]),
        helper.make_node("Mul", ["g", "factor"], ["m"]),
        helper.make_node("Clip", ["m", "low"], ["c"]),
        helper.make_node("Gather", ["c", "places"], ["t"], axis=1),
        helper.make_node("Reshape", ["t", "shape"], ["y"]),
    ]
    held = {
        "w": np.ones((4, 5), np.int8), "w_scale": np.float32(0.5), "w_zero": np.int8(0), "b": np.ones(5, np.int32),
        "b_scale": np.float32(0.25), "factor": floats(5), "low": np.float32(0), "places": np.array([0, 2, 4], np.int32),
        "shape": np.array([-1, 3], np.int64),
    }  # fmt: skip
    found = cost.count(
        graph(tmp_path / "g.onnx", nodes, {name: np.asarray(value) for name, value in held.items()}, [4], [3])
    )
    assert (found["params"], found["macs"]) == (30, 20)
