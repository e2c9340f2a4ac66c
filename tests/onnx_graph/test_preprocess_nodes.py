"""Normalisation in the graph gives the bits that the runner's `numeric` gives outside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compressor.errors import StepError
from compressor.onnx_graph import session
from compressor.onnx_graph.finish import Finish, finish, lowest_ir, oldest_onnxruntime, weight_bits
from compressor.runner import runner

IMAGENET = ({"scale": 255}, {"mean": [0.485, 0.456, 0.406]}, {"std": [0.229, 0.224, 0.225]})


def identity(path: Path, shape: list[int], dtype: int = TensorProto.FLOAT) -> Path:
    """A graph that gives its input back, which is called like the pixels that will stand before it."""
    sizes = ["n", *shape]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["pixels"], ["out"])],
        "core",
        [helper.make_tensor_value_info("pixels", dtype, sizes)],
        [helper.make_tensor_value_info("out", dtype, sizes)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), str(path))
    return path


@pytest.mark.parametrize("steps", [IMAGENET, IMAGENET[:1], IMAGENET[1:], ({"std": [3, 7, 11]},), ()])
@pytest.mark.parametrize("layout", ["pixels_nhwc", "pixels_nchw"])
def test_the_same_bits_as_the_runner(tmp_path: Path, steps: Any, layout: Any) -> None:
    core = identity(tmp_path / "core.onnx", [3, 16, 16])
    made = finish(core, tmp_path / "model.onnx", Finish(layout, ({"resize": {"shortest": 16}}, *steps)))
    every = np.arange(3 * 16 * 16, dtype=np.int64).reshape(1, 16, 16, 3) % 256
    pixels = every.astype(np.uint8)
    given = pixels if layout == "pixels_nhwc" else pixels.transpose(0, 3, 1, 2)
    found = session.predict(tmp_path / "model.onnx", [given], 1)
    assert np.array_equal(found, runner().numeric(pixels, steps))
    assert made.in_graph == tuple(name for step in steps for name in step)
    assert made.inputs[0].dtype == "uint8"
    assert made.inputs[0].name != "pixels", "the name was taken inside the graph"


def test_numbers_that_do_not_fit_the_channels_are_refused(tmp_path: Path) -> None:
    core = identity(tmp_path / "core.onnx", [1, 4, 4])
    with pytest.raises(StepError, match="mean has 3 numbers"):
        finish(core, tmp_path / "model.onnx", Finish("pixels_nhwc", IMAGENET))


def test_pixels_into_something_that_takes_no_pictures_are_refused(tmp_path: Path) -> None:
    core = identity(tmp_path / "core.onnx", [5])
    with pytest.raises(StepError, match="leave input: float"):
        finish(core, tmp_path / "model.onnx", Finish("pixels_nhwc", ()))


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    core = identity(tmp_path / "core.onnx", [5])
    model = onnx.load(str(core))
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../secret")
    model.graph.initializer.append(outside)
    onnx.save(model, str(core))
    with pytest.raises(StepError, match="another file"):
        finish(core, tmp_path / "model.onnx", Finish())


@pytest.mark.parametrize(
    ("opset", "ir", "release"), [(17, 8, "1.12"), (21, 10, "1.18"), (21, 11, "1.23"), (22, 10, "1.21"), (99, 10, None)]
)
def test_the_oldest_onnxruntime_by_table(opset: int, ir: int, release: str | None) -> None:
    assert oldest_onnxruntime(opset, ir) == release


def test_the_default_ir_never_asks_for_a_newer_onnxruntime() -> None:
    assert [lowest_ir(opset) for opset in (17, 19, 21, 22, 23)] == [8, 9, 10, 10, 11]


@pytest.mark.parametrize(("largest", "bits"), [(64, 7), (-64, 7), (65, 8), (-127, 8)])
def test_the_bits_that_weights_use(largest: int, bits: int) -> None:
    weights = helper.make_tensor("w", TensorProto.INT8, [2], [largest, 0])
    node = helper.make_node("DequantizeLinear", ["w", "scale"], ["f"])
    assert weight_bits(helper.make_graph([node], "g", [], [], [weights])) == bits
    assert weight_bits(helper.make_graph([], "g", [], [], [weights])) is None
