"""Scales with which averages, multiplications and functions of one number round far from ties, too.

In a graph whose additions have chosen scales, the scales around these operators are moved where that is needed and
enough: an average or a product is a whole number times one ratio, which becomes a fraction with an odd denominator;
a function has 256 results, which a small change of a scale moves away from ties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx

from compressor.onnx_graph import functions, links, ties
from compressor.onnx_graph.ties import Grid, Margin

FURTHEST = 2e-3
"""The most that a scale may move, as a share of itself."""
_UNNOTICED = 3e-4
_TRIED = 60
_STEPS = 100
_MOVES = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose")

Grids = Mapping[str, Grid]


@dataclass(frozen=True)
class Rounding:
    """An operator between bytes. inputs, out: names of scales. ratio: of input and output scales, the number that
    whole numbers are multiplied with; None for a function."""

    inputs: tuple[str, ...]
    out: str
    margin: Callable[[Grids], Margin]
    ratio: Callable[[Grids], float] | None = None


def find(graph: onnx.GraphProto, counts: Mapping[str, int]) -> list[Rounding]:
    """Those of a QDQ graph, in its order. counts: how many numbers each average takes, by the names of nodes."""
    makers, users = links.makers(graph), links.users(graph)
    found = []
    for node in graph.node:
        sources = [makers.get(name) for name in node.input[: 2 if node.op_type == "Mul" else 1]]
        sinks = users.get(node.output[0], []) if node.output else []
        while len(sinks) == 1 and sinks[0].op_type in _MOVES:
            sinks = users.get(sinks[0].output[0], [])
        if len(sinks) != 1 or sinks[0].op_type != "QuantizeLinear":
            continue
        if not sources or any(one is None or one.op_type != "DequantizeLinear" for one in sources):
            continue
        inputs = tuple(one.input[1] for one in sources if one is not None)
        made = _rounding(node, inputs, sinks[0].input[1], counts)
        if made is not None:
            found.append(made)
    return found


def _rounding(node: onnx.NodeProto, inputs: tuple[str, ...], out: str, counts: Mapping[str, int]) -> Rounding | None:
    a, b = inputs[0], inputs[-1]
    if node.op_type == "Mul":
        return Rounding(
            inputs,
            out,
            lambda grids: ties.multiplication(grids[a], grids[b], grids[out]),
            lambda grids: grids[a].scale * grids[b].scale / grids[out].scale,
        )
    if node.op_type in ("ReduceMean", "GlobalAveragePool") and node.name in counts:
        count = counts[node.name]
        return Rounding(
            inputs,
            out,
            lambda grids: ties.mean(grids[a], grids[out], count, exact_sum=node.op_type == "GlobalAveragePool"),
            lambda grids: grids[a].scale / grids[out].scale / count,
        )
    function = functions.of(node)
    if function is None:
        return None
    return Rounding(inputs, out, lambda grids: ties.table(grids[a], grids[out], function.exact, function.error))


def settle(roundings: Iterable[Rounding], given: Grids, fixed: Iterable[str]) -> dict[str, float]:
    """New float32 scales by name for those that must move; nothing for an operator that no small move helps.

    fixed: names whose scales stay.
    """
    grids, settled, immovable = dict(given), list[Rounding](), set(fixed)
    for one in roundings:
        if not {*one.inputs, one.out} <= set(grids):
            continue
        for name, scale in (None, 0.0), *_candidates(one, grids, immovable):
            tried = grids if name is None else {**grids, name: replace(grids[name], scale=scale)}
            others = [other for other in settled if name in (*other.inputs, other.out)]
            if all(other.margin(tried).proven for other in (one, *others)):
                grids = tried
                settled.append(one)
                break
    return {name: grid.scale for name, grid in grids.items() if grid.scale != given[name].scale}


def _candidates(one: Rounding, grids: Grids, immovable: set[str]) -> Iterator[tuple[str, float]]:
    """A scale to move and where to, near ones first: that of the output, then those of the inputs."""
    for name in dict.fromkeys((one.out, *reversed(one.inputs))):
        if name in immovable or one.inputs.count(name) > 1 or (name == one.out and name in one.inputs):
            continue
        scale = grids[name].scale
        for factor in _fractions(one.ratio(grids), one.margin(grids).largest_error) if one.ratio else _nudges():
            yield name, float(np.float32(scale / factor if name == one.out else scale * factor))


def _nudges() -> Iterator[float]:
    for step in range(1, _STEPS + 1):
        yield from (1 + step * FURTHEST / _STEPS, 1 - step * FURTHEST / _STEPS)


def _fractions(ratio: float, error: float) -> Iterator[float]:
    """Factors near one that make the ratio a fraction with an odd denominator, its ties further away than the error."""
    denominators = np.arange(1, max(2, min(4095, int(0.4 / max(error, 1e-9)))), 2)
    numerators = np.round(ratio * denominators)
    factors = numerators / (ratio * denominators)
    order = np.lexsort((denominators, np.maximum(np.abs(factors - 1), _UNNOTICED)))
    near = [place for place in order if numerators[place] >= 1 and abs(factors[place] - 1) <= FURTHEST]
    yield from (float(factors[place]) for place in near[:_TRIED])
