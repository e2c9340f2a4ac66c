"""Scales with which the additions of an int8 graph never round on a tie, so that all CPUs give the same bytes.

With `scale of an input = scale of the output * p / m` for both inputs and m odd, a sum of bytes is a multiple of 1/m
and at least 1/(2m) from the middle between two bytes. All tensors whose additions depend on each other in a ring share
one base: every scale is a whole multiple of it, an odd one for what an addition gives out. Where additions hang
together by a single tensor, as in most networks, each has a base of its own, found from the tensor that they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from compressor.onnx_graph import links, ties
from compressor.onnx_graph.ties import Grid

MOST = 4095
# A change of a scale that nobody can measure: the largest value moves by less than a tenth of a step.
UNNOTICED = 3e-4
_THROUGH = ("Relu", "Clip")


@dataclass(frozen=True)
class Addition:
    """The tensors of an addition, by the names of their scales."""

    a: str
    b: str
    out: str


def find(graph: onnx.GraphProto) -> list[Addition]:
    """The additions of a QDQ graph that onnxruntime runs on bytes, in the order of the graph."""
    makers, users = links.makers(graph), links.users(graph)
    found = []
    for node in graph.node:
        if node.op_type != "Add":
            continue
        given = [makers.get(name) for name in node.input]
        rounding = _rounding(node.output[0], users)
        if rounding is not None and all(one is not None and one.op_type == "DequantizeLinear" for one in given):
            a, b = (one.input[1] for one in given if one is not None)
            found.append(Addition(a, b, rounding.input[1]))
    return found


def _rounding(value: str, users: Mapping[str, Sequence[onnx.NodeProto]]) -> onnx.NodeProto | None:
    """The only QuantizeLinear that takes the value, straight or behind activations that vanish into it."""
    while len(users.get(value, ())) == 1:
        (node,) = users[value]
        if node.op_type == "QuantizeLinear":
            return node
        if node.op_type not in _THROUGH:
            return None
        value = node.output[0]
    return None


def grids(graph: onnx.GraphProto) -> dict[str, Grid]:
    """The scale and zero point of every tensor with one scale, by the scale's name."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[1] in held:
            scale = numpy_helper.to_array(held[node.input[1]])
            zero = numpy_helper.to_array(held[node.input[2]]) if len(node.input) > 2 and node.input[2] else np.array(0)
            if scale.size == zero.size == 1:
                found[node.input[1]] = Grid(float(scale.reshape(())), int(zero.reshape(())))
    return found


def choose(additions: Iterable[Addition], given: Mapping[str, Grid]) -> dict[str, float]:
    """New float32 scales by name, near the given ones, for those that must move so that no addition can tie.

    Where the scales of an addition are too far apart for that, its tensors keep theirs.
    """
    known = [one for one in additions if {one.a, one.b, one.out} <= set(given)]
    chosen: dict[str, float] = {}
    waiting = _groups(known)
    while waiting:
        group = next((one for one in waiting if not chosen.keys().isdisjoint(_names(one))), waiting[-1])
        waiting.remove(group)
        fixed = {name: chosen[name] for name in _names(group) if name in chosen}
        chosen |= _settle(group, given, fixed)
    return {name: scale for name, scale in chosen.items() if scale != given[name].scale}


def _names(group: Iterable[Addition]) -> list[str]:
    return list(dict.fromkeys(name for one in group for name in (one.out, one.a, one.b)))


def _groups(additions: Sequence[Addition]) -> list[list[Addition]]:
    """Additions that depend on each other in a ring of shared tensors belong together; the others stand alone.

    The tensors that groups share join them to trees, so that each group meets at most one settled tensor.
    """
    rings = [one for one in additions if _closes_a_ring(one, additions)]
    of_ring = _components(rings)
    groups: dict[str | int, list[Addition]] = {}
    for number, one in enumerate(additions):
        groups.setdefault(of_ring[one.out] if one in rings else number, []).append(one)
    return list(groups.values())


def _closes_a_ring(one: Addition, additions: Sequence[Addition]) -> bool:
    """Whether two of its tensors hang together without it, too."""
    component = _components([other for other in additions if other is not one])
    own = set(_names([one]))
    return len({component.get(name, name) for name in own}) < len(own)


def _components(additions: Iterable[Addition]) -> dict[str, str]:
    """A name of the connected set of tensors that each tensor belongs to."""
    leader: dict[str, str] = {}

    def chief(name: str) -> str:
        while leader.setdefault(name, name) != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for one in additions:
        for name in (one.a, one.b):
            leader[chief(name)] = chief(one.out)
    return {name: chief(name) for name in list(leader)}


def _settle(group: Sequence[Addition], given: Mapping[str, Grid], fixed: Mapping[str, float]) -> dict[str, float]:
    """Scales of the group's tensors that are whole multiples of one base; the given ones where there is no such base.

    fixed: at most one that is settled already.
    """
    names = _names(group)
    wanted = np.array([fixed.get(name, given[name].scale) for name in names])
    limits = _limits(group, given)
    most = np.array([limits.get(name, np.inf) for name in names])
    anchor = next((place for place, name in enumerate(names) if name in fixed), 0)
    multiples = np.arange(1, 16 * MOST)
    multiples = multiples[(multiples % 2 == 1) & (multiples <= most[anchor])] if names[anchor] in limits else multiples
    bases = wanted[anchor] / multiples
    shares = wanted / bases[:, None]
    odd = np.array([name in limits for name in names])
    rounded = np.where(odd, 2 * np.round((shares - 1) / 2) + 1, np.round(shares))
    worst = np.abs(rounded / shares - 1).max(1)
    worst[((rounded > most) | (rounded < 1)).any(1)] = np.inf
    if not len(worst) or not np.isfinite(worst).any():
        return {name: fixed.get(name, given[name].scale) for name in names}
    best = int(np.argmax(worst <= max(UNNOTICED, worst.min())))
    scales = (bases[best] * rounded[best]).astype(np.float32)
    return {name: float(scale) for name, scale in zip(names, scales, strict=True)} | dict(fixed)


def _limits(group: Iterable[Addition], given: Mapping[str, Grid]) -> dict[str, float]:
    """The largest odd multiple that each output may be, so that ties stay twice as far away as float32 errs."""
    limits: dict[str, float] = {}
    for one in group:
        error = ties.addition(given[one.a], given[one.b], given[one.out]).largest_error
        limits[one.out] = min(limits.get(one.out, MOST), np.floor(1 / (4 * error)) if error else MOST)
    return limits
