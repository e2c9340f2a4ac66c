"""Which channels go together: Torch-Pruning's dependency graph, read channel by channel.

A unit is a set of channels of several layers that can only be removed together (a residual stream, say, or a
depthwise convolution and the layers around it). Units that touch the same layers are alike and form a family; how
many units each family keeps decides all widths.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch_pruning
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch_pruning import ops
from torch_pruning._helpers import _HybridIndex
from torch_pruning.dependency.index_mapping import _FlattenIndexMapping

from compressor.errors import InputError
from compressor.models import modes
from compressor.models.small_resnets import Block

Axis = tuple[str, Literal["in", "out"]]
"""One side of a layer: its module's name, and inputs or outputs. Norms and depthwise convolutions have `out` only."""

Channel = tuple[str, Literal["in", "out"], int]

Shapes = dict[Any, tuple[Sequence[int], Sequence[int]]]
"""Shapes of what went into and came out of an operation, by its node in the graph of gradients."""

_KEPT: Channel = ("", "out", -1)  # stands for all channels that nothing may remove
_CROWDED = 8  # a channel may be coupled with a few others of its own layer, not with all of them
_LAYERS = (ops.OPTYPE.CONV, ops.OPTYPE.LINEAR)
_PER_CHANNEL = (ops.OPTYPE.BN, ops.OPTYPE.PRELU, ops.OPTYPE.DEPTHWISE_CONV, ops.OPTYPE.IN)
_THROUGH = (
    ops.OPTYPE.CONCAT, ops.OPTYPE.SPLIT, ops.OPTYPE.ELEMENTWISE, ops.OPTYPE.RESHAPE, ops.OPTYPE.SLICE,
    ops.OPTYPE.UNBIND, ops.OPTYPE.EXPAND,
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Units that touch the same axes equally often. units: the channels of each, by axis."""

    touches: Mapping[Axis, int]
    units: tuple[Mapping[Axis, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Channels:
    """All that can be removed from a network.

    sizes: channels of every axis of every layer, removable or not. lost: layers, in their order, whose channels stay
    since what goes with them could not be followed to its end.
    """

    families: tuple[Family, ...]
    sizes: Mapping[Axis, int]
    lost: tuple[str, ...] = ()


class _Sets:
    """Disjoint sets of channels, joined as couplings are found."""

    def __init__(self) -> None:
        self.parent: dict[Channel, Channel] = {}

    def find(self, one: Channel) -> Channel:
        self.parent.setdefault(one, one)
        root = one
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[one] != root:
            self.parent[one], one = root, self.parent[one]
        return root

    def join(self, one: Channel, other: Channel) -> None:
        self.parent[self.find(one)] = self.find(other)


def sides(module: nn.Module) -> tuple[Literal["in", "out"], ...]:
    """The axes a module has: (`out`,) where each channel stays itself, none where it has no channels."""
    kind = ops.module2type(module)
    if kind in _LAYERS:
        return ("in", "out")
    if kind in _PER_CHANNEL and not (isinstance(module, nn.PReLU) and module.num_parameters == 1):
        return ("out",)
    return ()


def size_of(module: Any, side: Literal["in", "out"]) -> int:
    """Channels on one side of a convolution, dense layer, norm or PReLU."""
    names = {
        "in": ("in_channels", "in_features"),
        "out": ("out_channels", "out_features", "num_features", "num_parameters"),
    }[side]
    return int(next(getattr(module, name) for name in names if hasattr(module, name)))


def find(model: nn.Module, input_shape: Sequence[int], where: str = "model") -> Channels:
    """The removable channels of a network that takes [batch, *input_shape]. The model stays as it is.

    Never removable: outputs of the network, channels of grouped (not depthwise) convolutions, of norms over channels,
    of attention and of free parameters, and what passes through a constant padding of channels in foreign code.

    Raises:
        InputError: the network's operations cannot be followed.
    """
    traced = modes.in_eval(copy.deepcopy(model)).requires_grad_(True)
    example = torch.zeros(2, *input_shape, device=next(traced.parameters()).device)
    watch = _Watch()
    try:
        with watch:
            graph = torch_pruning.DependencyGraph().build_dependency(
                traced, example, forward_fn=lambda network, inputs: network(inputs), verbose=False
            )
    except Exception as problem:  # the tracer fails in as many ways as networks are written
        raise InputError(
            where,
            f"the network's operations cannot be followed to find which channels go together ({problem})",
            "prune another network",
        ) from problem
    _map_flattenings(graph, watch.shapes)
    paddings = _map_paddings(graph, watch.shapes)
    ours = sum(1 for one in traced.modules() if isinstance(one, Block) and one.shortcut is None and any(one.pads()))
    stops = set() if len(paddings) == ours else set(paddings)
    names = {module: name for name, module in traced.named_modules()}
    sets = _Sets()
    largest = max([*(size for pair in watch.shapes.values() for shape in pair for size in shape), 1])
    lost = [
        names[module]
        for module in list(graph.module2node)
        if module in names
        and ops.module2type(module) in _LAYERS
        and not _follow(graph, module, names, sets, stops, largest)
    ]
    order = [name for name, _ in traced.named_modules()]
    return Channels(_families(sets), axis_sizes(model), tuple(sorted(lost, key=order.index)))


def axis_sizes(model: nn.Module) -> dict[Axis, int]:
    """Channels of every axis of every layer and norm."""
    return {(name, side): size_of(one, side) for name, one in model.named_modules() for side in sides(one)}


class _Watch(TorchFunctionMode):
    """Notes which shapes went into and came out of each operation; the graph of gradients does not say."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: Shapes = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.grad_fn is not None and args and isinstance(args[0], Tensor):
            self.shapes.setdefault(made.grad_fn, (tuple(args[0].shape), tuple(made.shape)))
        return made


def _map_flattenings(graph: Any, shapes: Shapes) -> None:
    """Set how many inputs of a dense layer each flattened channel becomes, from the shapes that were seen.

    Torch-Pruning guesses it from the layers around, and guesses wrong behind a padded shortcut.
    """
    for node in list(graph.module2node.values()):
        if ops.module2type(node.module) != ops.OPTYPE.RESHAPE or node.grad_fn not in shapes:
            continue
        before, after = shapes[node.grad_fn]
        if len(before) != 4 or len(after) != 2:
            continue
        places = before[2] * before[3]
        if before[1] * places != after[1]:
            continue
        for source in node.inputs:
            _set_mapping(source, node, _FlattenIndexMapping(places) if places > 1 else None)
            _set_mapping(node, source, _FlattenIndexMapping(places, reverse=True) if places > 1 else None)


def _set_mapping(source: Any, target: Any, mapping: Any) -> None:
    """How channels of one node become those of the next."""
    for edge in source.dependencies:
        if edge.target is target:
            edge.index_mapping[0] = mapping


def _map_paddings(graph: Any, shapes: Shapes) -> list[Any]:
    """Teach the graph that channels move where zeros are put before them; the nodes where that happens.

    Torch-Pruning takes a padding for an operation on each element, which ties channel i to channel i.
    """
    nodes = []
    for node in list(graph.module2node.values()):
        around: Sequence[int] = getattr(node.grad_fn, "_saved_pad", ())
        if len(around) < 6 or not (around[4] or around[5]):  # pairs from the last dimension on; channels are the third
            continue
        nodes.append(node)
        for source in node.inputs:
            _set_mapping(source, node, _Shift(around[4], None))
            _set_mapping(node, source, _Shift(-around[4], shapes[node.grad_fn][0][1]))
    return nodes


class _Shift:
    """Moves channels by an offset; those outside [0, width) were zeros and have no counterpart."""

    def __init__(self, offset: int, width: int | None) -> None:
        self.offset, self.width = offset, width

    def __call__(self, indices: list[Any]) -> list[Any]:
        moved = [_HybridIndex(idx=one.idx + self.offset, root_idx=one.root_idx) for one in indices]
        return [one for one in moved if one.idx >= 0 and (self.width is None or one.idx < self.width)]


def _follow(
    graph: Any, module: nn.Module, names: Mapping[Any, str], sets: _Sets, stops: set[Any], largest: int
) -> bool:
    """Join each output channel of a layer with all channels that must go with it; False where the walk gave up.

    The walk is Torch-Pruning's own (`get_pruning_group`), but it keeps apart which channel led to which. Where it
    comes to a place with far more channels than `largest`, the greatest size of any tensor, it runs in circles
    (channels that went into the batch, as attention's heads do, are multiplied each time): what led there stays.
    """
    name, width = names[module], size_of(module, "out")
    pruner = graph.get_pruner_of_module(module)
    start = [_HybridIndex(idx=place, root_idx=place) for place in range(width)]
    start = [one for one in start if (name, "out", one.idx) not in sets.parent]  # the others were reached already
    seen: dict[Any, set[Any]] = defaultdict(set)
    waiting = [(graph.module2node[module], pruner.prune_out_channels, start)]
    whole = True
    while waiting:
        node, action, indices = waiting.pop()
        fresh = [one for one in indices if one not in seen[node, action]]
        if not fresh:
            continue
        seen[node, action].update(fresh)
        if len(seen[node, action]) > _CROWDED * largest or any(one.idx >= largest for one in fresh):
            for place in {one.root_idx for one in fresh}:
                sets.join(_KEPT, (name, "out", place))
            whole = False
            continue
        for reached in _reached(graph, node, action, names, fresh, stops):
            sets.join(reached[0], (name, "out", reached[1]))
        for edge in node.dependencies:
            if edge.is_triggered_by(action):
                moved = fresh
                for mapping in edge.index_mapping:
                    moved = mapping(moved) if mapping is not None else moved
                waiting.append((edge.target, edge.handler, moved))
    return whole


def _reached(
    graph: Any, node: Any, action: Any, names: Mapping[Any, str], indices: Iterable[Any], stops: set[Any]
) -> list[tuple[Channel, int]]:
    """The channels of a node's module, each with the channel of the root that led there."""
    module, kind = node.module, ops.module2type(node.module)
    side: Literal["in", "out"] = "out" if kind not in _LAYERS or graph.is_out_channel_pruning_fn(action) else "in"
    is_output = side == "out" and not node.outputs
    if kind in (*_LAYERS, *_PER_CHANNEL) and _is_plain(module) and not is_output:
        if side not in sides(module):
            return []
        width = size_of(module, side)  # beyond it, the walk has lost its way and nothing may go
        return [((names[module], side, one.idx) if one.idx < width else _KEPT, one.root_idx) for one in indices]
    if kind in _THROUGH and node not in stops and not is_output:
        return []
    return [(_KEPT, one.root_idx) for one in indices]


def _is_plain(module: Any) -> bool:
    """Whether a layer holds what its kind holds and no more, and its channels are not in groups."""
    grouped = ops.module2type(module) == ops.OPTYPE.CONV and module.groups > 1
    return not grouped and {name for name, _ in module.named_parameters()} <= {"weight", "bias"}


def _families(sets: _Sets) -> tuple[Family, ...]:
    units: dict[Channel, list[Channel]] = defaultdict(list)
    for channel in sets.parent:
        units[sets.find(channel)].append(channel)
    kept = sets.find(_KEPT)
    alike: dict[tuple[tuple[Axis, int], ...], list[Mapping[Axis, tuple[int, ...]]]] = defaultdict(list)
    for root, channels in units.items():
        if root == kept:
            continue
        unit: dict[Axis, list[int]] = defaultdict(list)
        for name, side, place in sorted(channels):
            unit[name, side].append(place)
        counts = Counter({axis: len(places) for axis, places in unit.items()})
        alike[tuple(sorted(counts.items()))].append({axis: tuple(places) for axis, places in unit.items()})
    for members in alike.values():
        members.sort(key=lambda unit: sorted(unit.items()))
    return tuple(Family(dict(touches), tuple(alike[touches])) for touches in sorted(alike))
