"""Whether a graph gives the same bits on every CPU, decided operator by operator from the graph that onnxruntime runs.

Proven is what moves data or compares, what is one correctly rounded operation of IEEE 754 (the sum of two numbers,
the scaling of an integer sum that ends a convolution), and what rounds where no tie is near (see `ties`). All else is
named: float operators that sum or approximate, integer products that may saturate, roundings near a tie, and float
numbers that become integers though nobody knows whether these have room (see `ranges`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from compressor.onnx_graph import functions, links, operators, ranges, ties
from compressor.onnx_graph.ties import Grid, Margin

EXACT = frozenset({
    "Abs", "Add", "And", "ArgMax", "ArgMin", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape",
    "DepthToSpace", "DequantizeLinear", "Div", "Equal", "Expand", "Flatten", "Floor", "Gather", "GatherElements",
    "GatherND", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "MaxPool", "Min", "Mul", "Neg",
    "NchwcMaxPool", "NhwcMaxPool", "NonZero", "Not", "Or", "Pad", "QLinearConcat", "QuantizeLinear", "Range",
    "ReduceMax", "ReduceMin", "Relu", "ReorderInput", "ReorderOutput", "Reshape", "Round", "ScatterElements",
    "ScatterND", "Shape", "Sign", "Size", "Slice", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "TopK",
    "Transpose", "Unsqueeze", "Where", "Xor",
})  # fmt: skip
"""Data movement, comparisons, and single operations of IEEE 754, which round correctly everywhere."""
_WEIGHTED = {"QLinearConv": (2, 3, 5), "QGemm": (2, 3, 5), "QLinearMatMul": (2, 3, 5)}
"""Places of: the zero point of the input, the weights, the zero point of the weights."""
_SEVEN_BITS = 64
_AVERAGES = frozenset({"ReduceMean", "QLinearReduceMean", "QLinearGlobalAveragePool", "GlobalAveragePool"})


def judge(path: Path) -> dict[str, Any]:
    """`{"proven": bool, "because": ["layer_norm (float)", …]}` of an ONNX file: the kinds of operators without proof.

    In brackets: `float` arithmetic in an order that CPUs choose, a `tie` that float32 cannot be kept away from,
    `8-bit weights` and `signed activations`, whose products some CPUs saturate, a `range` of float numbers for which an
    integer type may have no room.
    """
    doubts = doubtful(operators.optimised(path).graph, spatial_counts(path))
    return {"proven": not doubts, "because": list(dict.fromkeys(doubts.values()))}


def sentence(found: Mapping[str, Any]) -> str:
    """`bits: proven`, or `bits: not proven, because layer_norm (float), …`."""
    return "bits: proven" if found["proven"] else f"bits: not proven, because {', '.join(found['because'])}"


def doubtful(graph: onnx.GraphProto, counts: Mapping[str, int]) -> dict[str, str]:
    """The nodes without proof in an optimised graph, by their first output, and in words what they are.

    counts: of `spatial_counts`, by the names of nodes.
    """
    known = _Graph(graph, counts)
    found = {}
    for node in graph.node:
        why = _doubt(node, known)
        if why:
            found[node.output[0]] = f"{word(operators.kind(node))} ({why})"
    return found


def word(operator: str) -> str:
    """An operator in small letters, without what one CPU's fusions and layouts add: `layer_norm` of
    LayerNormalization, `conv` of NhwcFusedConv."""
    plain = re.sub(r"^(Nchwc|Nhwc)?(Fused)?(?=[A-Z])", "", operator).replace("Normalization", "Norm")
    plain = plain.replace("QLinear", "Qlinear").replace("QGemm", "Qgemm")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
    return re.sub(r"[^a-z0-9_]", "_", words)[:80] or "_"


def spatial_counts(path: Path) -> dict[str, int]:
    """How many numbers go into each average, by the names of the nodes of an ONNX file that say it by their shapes.

    Nodes without a name of their own are left out.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False))
    graph = model.graph
    held = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {
        value.name: [dim.dim_value if dim.HasField("dim_value") else 0 for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
    }
    found = {}
    names = Counter(node.name for node in graph.node)
    for node in graph.node:
        shape = shapes.get(node.input[0]) if node.input else None
        if node.op_type not in ("ReduceMean", "GlobalAveragePool") or not shape or names[node.name] > 1:
            continue
        axes = list(range(2, len(shape)))
        if node.op_type == "ReduceMean":
            given = links.attributes(node).get("axes")
            if given is None and len(node.input) > 1 and node.input[1] in held:
                given = numpy_helper.to_array(held[node.input[1]]).tolist()
            if given is None:
                continue
            axes = given
        found[node.name] = int(np.prod([shape[axis] for axis in axes]))
    return {name: count for name, count in found.items() if name and count}


class _Graph:
    """An optimised graph's nodes by what they make and take, and its constants."""

    def __init__(self, graph: onnx.GraphProto, counts: Mapping[str, int]) -> None:
        self.held = {tensor.name: tensor for tensor in graph.initializer}
        self.makers, self.users = links.makers(graph), links.users(graph)
        self.counts, self.ranges = counts, ranges.Ranges(graph)

    def constant(self, node: onnx.NodeProto, place: int) -> np.ndarray | None:
        name = node.input[place] if place < len(node.input) else ""
        return numpy_helper.to_array(self.held[name]) if name in self.held else None

    def grid(self, node: onnx.NodeProto, scale: int) -> Grid | None:
        """What stands at this place and the next: a scale and a zero point of uint8."""
        step, zero = self.constant(node, scale), self.constant(node, scale + 1)
        if step is None or zero is None or zero.dtype != np.uint8 or step.size != 1 or zero.size != 1:
            return None
        return Grid(float(step.item()), int(zero.item()))

    def between(self, node: onnx.NodeProto) -> tuple[Grid, Grid] | None:
        """The bytes that a float node's only number comes from, and those that all of its results are rounded to."""
        source = self.makers.get(node.input[0])
        sinks = self.users.get(node.output[0], [])
        while len(sinks) == 1 and sinks[0].op_type in ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"):
            sinks = self.users.get(sinks[0].output[0], [])
        if source is None or source.op_type != "DequantizeLinear" or len(sinks) != 1:
            return None
        given, out = self.grid(source, 1), self.grid(sinks[0], 1)
        return (given, out) if sinks[0].op_type == "QuantizeLinear" and given and out else None


def _doubt(node: onnx.NodeProto, known: _Graph) -> str:
    """Why the node has no proof; empty where it has one."""
    kind = operators.kind(node)
    if kind in _WEIGHTED:
        return _weights(node, known)
    if kind == "Resize":
        mode = links.attributes(node).get("mode", b"nearest")
        return "" if mode == b"nearest" else "float"
    if kind == "Cast":
        return "" if known.ranges.fits(node) else "range"
    if kind in EXACT:
        return ""
    margin = _margin(node, known)
    if margin is not None and margin.proven:
        return ""
    return "tie" if kind in _TIES else "float"


_TIES = frozenset({"QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearAveragePool",
                   "QLinearGlobalAveragePool", "QLinearReduceMean"})  # fmt: skip


def _weights(node: onnx.NodeProto, known: _Graph) -> str:
    at_input, at_weights, at_zero = _WEIGHTED[node.op_type]
    zero, weights, weights_zero = (known.constant(node, place) for place in (at_input, at_weights, at_zero))
    if zero is None or zero.dtype != np.uint8:
        return "signed activations"
    if weights_zero is not None and weights_zero.dtype == np.uint8:
        return ""
    if weights is None or int(np.abs(weights.astype(np.int16)).max(initial=0)) > _SEVEN_BITS:
        return "8-bit weights"
    return ""


def _margin(node: onnx.NodeProto, known: _Graph) -> Margin | None:
    kind = node.op_type
    if kind in ("QLinearAdd", "QLinearMul"):
        a, b, out = (known.grid(node, place) for place in (1, 4, 6))
        if not (a and b and out):
            return None
        return ties.addition(a, b, out) if kind == "QLinearAdd" else ties.multiplication(a, b, out)
    quantized = kind.startswith("QLinear")
    ends = (known.grid(node, 1), known.grid(node, 3)) if quantized else known.between(node) or (None, None)
    given, out = ends
    if not (given and out):
        return None
    function = functions.of(node)
    if function is not None:
        return ties.table(given, out, function.exact, function.error)
    if kind in _AVERAGES and node.name in known.counts:
        return ties.mean(given, out, known.counts[node.name], exact_sum=kind == "QLinearGlobalAveragePool")
    if kind == "QLinearAveragePool":
        count = _window(node)
        return ties.mean(given, out, count, exact_sum=False) if count else None
    return None


def _window(node: onnx.NodeProto) -> int:
    """How many numbers every window of an average has; 0 where that differs from window to window."""
    given = links.attributes(node)
    padded = any(given.get("pads", ())) or given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    if given.get("ceil_mode") or (padded and not given.get("count_include_pad")):
        return 0
    return int(np.prod(given["kernel_shape"]))
