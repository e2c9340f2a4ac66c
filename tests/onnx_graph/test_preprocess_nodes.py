"""Normalisation in the graph gives the bits that the runner's `numeric` gives outside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compressor.device.preprocess import numeric
from compressor.errors import StepError
from compressor.onnx_graph import session
from compressor.onnx_graph.finish import Finish, finish, lowest_ir, oldest_onnxruntime, weight_bits

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
    assert np.array_equal(found, numeric(pixels, steps))
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


@pytest.mark.parametrize(("width", "repeated"), [(5, 5), (None, 1)])
def test_the_nodes_and_constants_that_stand_before_a_network(width: int | None, repeated: int) -> None:
    """Pixels [n, 4, 5, 2] of a network that takes [n, 2, 4, 5]; numbers are spread over a row where its length is known."""
    from compressor.onnx_graph import preprocess_nodes

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 4, width])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2, 4, width])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [given], [made])
    steps = [{"resize": {"shortest": 4}}, {"scale": 255}, {"mean": [0.5, 0.25]}, {"std": [2, 4]}]
    assert preprocess_nodes.prepend(graph, steps, "pixels_nhwc", "pixels") == ["scale", "mean", "std"]
    assert [node.op_type for node in graph.node] == ["Transpose", "Cast", "Div", "Sub", "Div", "Relu"]
    assert list(graph.node[0].attribute[0].ints) == [0, 3, 1, 2]
    assert [node.output[0] for node in graph.node][-2:] == ["x", "y"]
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert held["pixels_scale"] == np.float32(255) and held["pixels_scale"].shape == ()
    assert held["pixels_mean"].shape == held["pixels_std"].shape == (1, 2, 1, repeated)
    assert held["pixels_mean"][0, :, 0, 0].tolist() == [0.5, 0.25]
    (port,) = graph.input
    dims = port.type.tensor_type.shape.dim
    assert (port.name, dims[0].dim_param, dims[1].dim_value, dims[3].dim_value) == ("pixels", "n", 4, 2)


def test_pixels_of_a_network_whose_channels_are_open_are_refused() -> None:
    from compressor.onnx_graph import preprocess_nodes

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None, 4, 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    with pytest.raises(StepError, match="mean has 1 numbers, and the network 0 channels"):
        preprocess_nodes.prepend(graph, [{"mean": [0.5]}], "pixels_nchw", "pixels")
