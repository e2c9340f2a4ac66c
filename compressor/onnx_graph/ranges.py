"""Between which limits a graph's numbers lie, where its constants tell: what follows if all its inputs are numbers.

A float number that an integer type has no room for becomes another one on each kind of CPU: on x86 the smallest of
all, on Arm the nearest, and of NaN the smallest or zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compressor.onnx_graph import links

DEEPEST = 50
"""Nodes that are looked at one behind the other."""
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
_ROOM: Mapping[int, tuple[float, float]] = {
    TensorProto.FLOAT16: (65504.0, 2.0**-10),
    TensorProto.BFLOAT16: (3.38e38, 2.0**-7),
    TensorProto.FLOAT: (3.4e38, 2.0**-23),
    TensorProto.DOUBLE: (1.79e308, 2.0**-52),
}
"""Of a float type the largest number, and the share by which it may round one."""
_WHOLE = frozenset({
    "Shape", "Size", "ArgMax", "ArgMin", "NonZero", "QuantizeLinear", "Equal", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "And", "Or", "Not", "Xor",
})  # fmt: skip
_MOVED = frozenset({
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Expand", "Tile", "Gather",
    "GatherElements", "GatherND", "MaxPool", "ReduceMax", "ReduceMin", "DepthToSpace", "SpaceToDepth",
})  # fmt: skip
_ALL = {"Concat": 0, "Max": 0, "Min": 0, "Where": 1}
"""From which place on their inputs are what comes out."""
_STEPS: Mapping[str, Callable[[float], float]] = {
    "Floor": lambda x: floor(x) if isfinite(x) else x,
    "Ceil": lambda x: ceil(x) if isfinite(x) else x,
    "Round": lambda x: round(x) if isfinite(x) else x,
    "Relu": lambda x: max(x, 0.0),
}


@dataclass(frozen=True)
class Range:
    """Limits of the numbers, both among them. whole: their type is one of integers, or bool."""

    low: float
    high: float
    whole: bool = False


WHOLE = Range(-inf, inf, whole=True)


class Ranges:
    """Of the tensors of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers, self._held = links.makers(graph), links.constants(graph)
        self._kinds = {value.name: value.type.tensor_type.elem_type for value in graph.input}

    def fits(self, cast: onnx.NodeProto) -> bool:
        """Whether a Cast has room for all of its numbers, or is one that does the same everywhere."""
        to = int(links.attributes(cast)["to"])
        if to in _FLOATS or to == TensorProto.BOOL:
            return True
        found = self.of(cast.input[0])
        kind = np.dtype(helper.tensor_dtype_to_np_dtype(to))
        if found is None or kind.kind not in "iu":
            return False
        room = np.iinfo(kind)
        return found.whole or (room.min - 1 < found.low and found.high < room.max + 1)  # what follows the point goes

    def of(self, name: str, depth: int = 0) -> Range | None:
        """The range of a tensor; None where it is not known, or where some of it may be no number."""
        node = self._makers.get(name)
        if name in self._held:
            values = numpy_helper.to_array(self._held[name])
            return _of_values(values) if values.dtype.kind in "fiub" else None
        if node is None:
            return _of_type(self._kinds[name]) if name in self._kinds else None
        if depth > DEEPEST:
            return None
        return self._made(node, [self.of(one, depth + 1) if one else None for one in node.input])

    def _made(self, node: onnx.NodeProto, given: list[Range | None]) -> Range | None:
        kind = node.op_type
        if kind in _WHOLE:
            return WHOLE
        if kind == "Cast":
            return _cast(given[0], int(links.attributes(node)["to"]))
        if kind == "DequantizeLinear":
            return self._dequantized(node, given[1])
        if kind in _ALL:
            return _joined(given[_ALL[kind] :])
        source = given[0] if given else None
        if source is None:
            return None
        if kind in _MOVED:
            return source
        if kind in _STEPS:
            step = _STEPS[kind]
            return Range(step(source.low), step(source.high), source.whole)
        if kind == "Clip":
            low, high = ((given[place] if len(given) > place else None) for place in (1, 2))
            lowest, highest = low.low if low else -inf, high.high if high else inf
            return Range(max(source.low, lowest), min(source.high, highest), source.whole)
        return None

    def _dequantized(self, node: onnx.NodeProto, scale: Range | None) -> Range | None:
        """Of bytes, whichever of the two types they have: at most 255 steps from the zero point."""
        zero = self._held.get(node.input[2]) if len(node.input) > 2 else None
        if scale is None or zero is None or zero.data_type not in (TensorProto.UINT8, TensorProto.INT8):
            return None
        reach = 255 * max(abs(scale.low), abs(scale.high))
        return Range(-reach, reach) if isfinite(reach) else None


def _of_type(kind: int) -> Range:
    """Of all numbers of a type."""
    if kind in _FLOATS:
        return Range(-inf, inf)
    numbers = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    if numbers.kind not in "iu":
        return WHOLE
    room = np.iinfo(numbers)
    return Range(float(room.min), float(room.max), whole=True)


def _cast(given: Range | None, to: int) -> Range | None:
    """After a Cast: a float type of fewer bits rounds, and makes infinity of what it has no room for."""
    if to not in _FLOATS:
        return _of_type(to)
    if given is None:
        return None
    most, step = _ROOM[to]
    low, high = (value + sign * abs(value) * step for value, sign in ((given.low, -1), (given.high, 1)))
    return Range(low if abs(low) <= most else -inf, high if abs(high) <= most else inf)


def _of_values(values: np.ndarray) -> Range | None:
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    return None if np.isnan(low) else Range(low, high, values.dtype.kind != "f")


def _joined(given: Collection[Range | None]) -> Range | None:
    known = [one for one in given if one is not None]
    if not known or len(known) < len(given):
        return None
    return Range(min(one.low for one in known), max(one.high for one in known), all(one.whole for one in known))
