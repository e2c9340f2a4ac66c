"""Normalisation inside the graph: uint8 pixels in, the same bits as the runner's `numeric` computes outside.

    uint8 [batch, height, width, channels]  (pixels_nhwc)      uint8 [batch, channels, height, width]  (pixels_nchw)
        └─ Transpose ─┐                                             │
                      └──────────── Cast to float32 ────────────────┘
                       Div scale ─ Sub mean ─ Div std   (those that the list has, in its order)
                                  └─ the core graph's float32 [batch, channels, height, width]

The nodes are the runner's operations one by one and not folded into a multiplication: folding saves nothing that
can be measured and would round differently, and then a picture on the border of two quantization steps would differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compressor.errors import StepError

Layout = Literal["pixels_nhwc", "pixels_nchw"]
NUMERIC = {"scale": "Div", "mean": "Sub", "std": "Div"}


def prepend(graph: onnx.GraphProto, preprocess: Sequence[Mapping[str, Any]], layout: Layout, name: str) -> list[str]:
    """Put normalisation before the graph's only input, which becomes uint8 pixels called `name`, in place.

    Returns the names of the steps of `preprocess` that the graph now does itself. The graph's input must be float32
    [batch, channels, height, width]; geometric steps (resize, pad, …) stay with the device. StepError where the
    numbers do not fit its channels.
    """
    old = graph.input[0]
    dims = [_dim(dim) for dim in old.type.tensor_type.shape.dim]
    batch, channels, height, width = dims
    numeric = [(step, value) for item in preprocess for step, value in item.items() if step in NUMERIC]
    nodes: list[onnx.NodeProto] = []
    current = name
    if layout == "pixels_nhwc":
        current = _after(nodes, "Transpose", [current], f"{name}_nchw", perm=[0, 3, 1, 2])
    last = len(numeric)
    current = _after(nodes, "Cast", [current], f"{name}_float" if last else old.name, to=TensorProto.FLOAT)
    for place, (step, value) in enumerate(numeric, start=1):
        constant = f"{name}_{step}"
        numbers = _constant(step, value, int(channels or 0), int(width or 1))
        graph.initializer.append(numpy_helper.from_array(numbers, constant))
        result = old.name if place == last else f"{name}_after_{step}"
        current = _after(nodes, NUMERIC[step], [current, constant], result)
    shape = [batch, height, width, channels] if layout == "pixels_nhwc" else dims
    pixels = helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
    rest = list(graph.node)
    del graph.node[:], graph.input[:]
    graph.node.extend([*nodes, *rest])
    graph.input.append(pixels)
    return [step for step, _ in numeric]


def _after(nodes: list[onnx.NodeProto], operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
    nodes.append(helper.make_node(operator, inputs, [output], name=f"prepare/{output}", **attributes))
    return output


def _constant(step: str, value: Any, channels: int, width: int) -> np.ndarray:
    """float32, rounded as the runner rounds it: a scalar for scale, [1, channels, 1, width] for mean and std.

    onnxruntime moves the transposition of an int8 graph behind these nodes. A constant of one number a channel is then
    spread over the innermost dimension, three numbers at a time: 2.6 ms for 224 pixels, where a row takes 0.2 ms.
    """
    if step == "scale":
        return np.asarray(value, dtype=np.float32)
    if len(value) != channels:
        what = f"{step} has {len(value)} numbers, and the network {channels} channels"
        raise StepError("", f"preprocess: {what}", "give each channel one")
    return np.repeat(np.asarray(value, dtype=np.float32)[None, :, None, None], width, axis=3)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return dim.dim_param or None
