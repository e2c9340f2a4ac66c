"""Whether a graph ends in a softmax, a sigmoid or a logarithm of one, told by its last nodes and by its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from compressor.models.answer_kinds import KINDS, SUM, Kind, fitting
from compressor.onnx_graph import links

_PASSING = frozenset({
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout", "QuantizeLinear",
    "DequantizeLinear", "Slice",
})  # fmt: skip
_MAKERS: dict[str, Kind] = {
    "Softmax": "softmax",
    "QLinearSoftmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "QLinearSigmoid": "sigmoid",
    "HardSigmoid": "sigmoid",
}
_COMBINING = frozenset({
    "Add", "Sub", "Mul", "Div", "Neg", "Reciprocal", "Concat", "Where", "Min", "Max", "Mean", "Sum", "Log",
})  # fmt: skip
_BOUNDED = frozenset({*_MAKERS, "Tanh", "Exp", "Erf", "Clip", "Hardmax"})
_FOLLOWING = _PASSING | _COMBINING | _BOUNDED
_ROUNDED = 1 / 256
_FOLLOWED = 64


def find(graph: onnx.GraphProto, answers: np.ndarray) -> Kind | None:
    """What the first output of a graph is; None for raw scores. answers: what it gave, [samples, classes]."""
    found, rounded = fitting(answers), fitting(answers, max(SUM, _ROUNDED * answers.shape[-1]))
    if not rounded:
        return None
    behind = [node for node in nodes(graph) if node.op_type not in _PASSING]
    maker = behind[0].op_type if behind else ""
    held = links.constants(graph)
    bounded = any(_bounds(node, held) for node in behind)
    if (made := _MAKERS.get(maker)) is not None:
        return made if made in rounded else "sigmoid" if "sigmoid" in rounded else None
    for kind in ("softmax", "log_softmax"):
        if kind in found and len(np.unique(answers, axis=0)) > 1:
            return kind
    if "sigmoid" in found and bounded:
        return "sigmoid"
    return "log_sigmoid" if "log_sigmoid" in found and maker == "Log" and bounded else None


def of_names(in_graph: Iterable[str]) -> Kind | None:
    """The one that a bundle's `in_graph` names."""
    return next((kind for kind in KINDS if kind in in_graph), None)


def _bounds(node: onnx.NodeProto, held: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a node keeps its values between 0 and 1, or is what such a function is computed with."""
    if node.op_type != "Clip":
        return node.op_type in _BOUNDED
    most = held.get(node.input[2]) if len(node.input) > 2 else None
    if most is not None:
        return bool((numpy_helper.to_array(most) <= 1).all())
    return any(one.name == "max" and one.f <= 1 for one in node.attribute)  # before opset 11


def nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The last node, and those before it that move values, combine them or bound them: in a graph that ends in such a
    function, which `find` tells, those behind its scores."""
    makers, wanted = links.makers(graph), [graph.output[0].name]
    found: list[onnx.NodeProto] = []
    seen: set[str] = set()
    while wanted and len(seen) < _FOLLOWED:
        name = wanted.pop(0)
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type not in _FOLLOWING:
            continue
        found.append(node)
        wanted.extend(node.input)
    return found
