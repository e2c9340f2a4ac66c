"""Finds the range of every activation of a float graph from real samples, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort

from compressor.onnx_graph.session import make_session

Method = Literal["minmax", "percentile", "mse"]
Samples = Callable[[int], Iterable[np.ndarray]]
Ranges = dict[str, tuple[float, float]]

BINS = 2048
PERCENTILE = 99.99
_LEVELS = 255
_MEMORY = 256 * 2**20


def activation_ranges(
    path: Path, samples: Samples, method: Method, threads: int, advance: Callable[[int], None] | None = None
) -> Ranges:
    """`{tensor: (low, high)}` for every float activation of the graph, low <= 0 <= high.

    samples: called with a batch size, gives the calibration samples as arrays [batch, …], the same at every call.
    minmax: the extremes seen. percentile: 99.99 % of the values lie between. mse: the range with the smallest mean
    squared error after rounding to 256 levels. Memory is bounded by one batch, whose size follows from the graph.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    names = activations(model)
    size = batch_size(model, names)
    watched = path.with_name("watched.onnx")
    onnx.save(watch(model, names), watched)
    session = make_session(watched, threads, optimize=False)
    ranges = _extremes(session, names, samples(size), advance)
    if method == "minmax":
        return ranges
    histograms = {name: Histogram(low, high) for name, (low, high) in ranges.items()}
    for batch in samples(size):
        for name, values in zip(names, session.run(names, {session.get_inputs()[0].name: batch}), strict=True):
            histograms[name].add(values)
        if advance:
            advance(len(batch))
    pick = percentile_range if method == "percentile" else mse_range
    return {name: pick(histogram) for name, histogram in histograms.items()}


def activations(model: onnx.ModelProto) -> list[str]:
    """The float tensors that depend on the input, in the order of the graph."""
    weights = {tensor.name for tensor in model.graph.initializer}
    floats = {
        value.name
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    order = [value.name for value in model.graph.input] + [name for node in model.graph.node for name in node.output]
    return [name for name in order if name in floats and name not in weights]


def watch(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of the graph that gives the named tensors out."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {value.name for value in (*model.graph.value_info, *model.graph.input)}
    present = {value.name for value in model.graph.output}
    for name in names:
        if name in known and name not in present:
            watched.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return watched


def batch_size(model: onnx.ModelProto, names: Iterable[str]) -> int:
    """How many samples at once keep all activations within 256 MB, 1 to 64."""
    wanted = set(names)
    numbers: int = sum(
        prod(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
        if value.name in wanted
    )
    return max(1, min(64, _MEMORY // max(1, 4 * numbers)))


def _extremes(
    session: ort.InferenceSession, names: list[str], batches: Iterable[np.ndarray],
    advance: Callable[[int], None] | None,
) -> Ranges:  # fmt: skip
    ranges: Ranges = dict.fromkeys(names, (0.0, 0.0))
    for batch in batches:
        for name, values in zip(names, session.run(names, {session.get_inputs()[0].name: batch}), strict=True):
            low, high = ranges[name]
            ranges[name] = float(values.min(initial=low)), float(values.max(initial=high))
        if advance:
            advance(len(batch))
    return ranges


@dataclass
class Histogram:
    """Values of a tensor between `low` and `high` in equal bins; exact zeros apart, for they round to themselves."""

    low: float
    high: float
    counts: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    zeros: int = 0

    def add(self, values: np.ndarray) -> None:
        """Counts more values."""
        filled = values[values != 0]
        self.zeros += values.size - filled.size
        if self.high > self.low:
            self.counts += np.histogram(filled, len(self.counts), (self.low, self.high))[0]

    @property
    def edges(self) -> np.ndarray:
        """float64 [bins + 1]."""
        return np.linspace(self.low, self.high, len(self.counts) + 1)


def percentile_range(histogram: Histogram, percentile: float = PERCENTILE) -> tuple[float, float]:
    """The range that leaves out half of the remaining share at either end, zero always within."""
    counts = histogram.counts.astype(np.float64)
    edges = histogram.edges
    if histogram.zeros:
        counts[min(len(counts) - 1, max(0, int(np.searchsorted(edges, 0.0, "right")) - 1))] += histogram.zeros
    total = counts.sum()
    if not total:
        return histogram.low, histogram.high
    outside = total * (100 - percentile) / 200
    below = np.concatenate([[0.0], np.cumsum(counts)])
    first = int(np.searchsorted(below, outside, "right")) - 1
    last = int(np.searchsorted(below, total - outside, "left"))
    return min(0.0, float(edges[first])), max(0.0, float(edges[last]))


def mse_range(histogram: Histogram, candidates: int = 100) -> tuple[float, float]:
    """The range whose 256 levels lose least, by mean squared error over the histogram; each end is searched in turn.

    Both ends start at the extremes; candidates are that many equal steps from a hundredth of them up.
    """
    low, high = histogram.low, histogram.high
    edges = histogram.edges
    centres, counts = (edges[:-1] + edges[1:]) / 2, histogram.counts.astype(np.float64)
    shares = np.arange(1, candidates + 1) / candidates
    for _ in range(2):
        high = min((_loss(centres, counts, low, histogram.high * s), histogram.high * s) for s in shares)[1]
        low = min((_loss(centres, counts, histogram.low * s, high), histogram.low * s) for s in shares)[1]
    return float(low), float(high)


def _loss(centres: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    scale = (high - low) / _LEVELS
    if scale <= 0:
        return float(counts @ centres**2)
    zero = np.round(-low / scale)
    rounded = (np.clip(np.round(centres / scale) + zero, 0, _LEVELS) - zero) * scale
    return float(counts @ (centres - rounded) ** 2)
