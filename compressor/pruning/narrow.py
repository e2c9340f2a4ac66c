"""From a network and a share to a narrower network: couplings, widths, surgery and its proof."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from compressor.errors import InputError
from compressor.models import cost, modes
from compressor.pruning import channels as coupling
from compressor.pruning import importance, surgery, widths
from compressor.pruning.channels import Axis, Channels

Resource = Literal["macs", "params"]
_ROUNDS = 6
"""Times that widths are chosen: what is in no layer may shrink with them, and is only seen when they are there."""


@dataclass(frozen=True)
class Target:
    """What to keep of which resource, in widths that are multiples of what. where: the step, for messages."""

    resource: Resource
    share: float
    round_to: int
    where: str


@dataclass(frozen=True)
class Narrowed:
    """The narrower network. kept: its shares of MACs and of parameters. layers: outputs of each layer, before and
    after. unmeasured: sets of coupled layers in which the importance found nothing to read. uncounted: operators whose
    multiply-accumulates are in no share.
    """

    model: nn.Module
    kept: dict[str, float]
    layers: dict[str, tuple[int, int]]
    unmeasured: int
    uncounted: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def narrow(
    model: nn.Module, input_shape: Sequence[int], wanted: Target, axes: Mapping[Axis, Tensor] | None = None
) -> Narrowed:
    """A narrower copy of the model in eval mode. axes: importance of channels (`importance.of_axes`); without it all
    count alike, and the result does not depend on the weights.

    Raises:
        InputError: nothing can be removed, the share cannot be met, or the network does not work without the channels.
    """
    channels = coupling.find(model, input_shape, f"{wanted.where}.from")
    if not channels.families:
        why = f": what goes with those of {channels.lost[0]} could not be followed" if channels.lost else ""
        what = f"no channel of this network can be removed{why}"
        raise InputError(f"{wanted.where}.from", what, "prune another network")
    scores, unmeasured = importance.of_units(channels, axes or {})
    search = search_of(model, input_shape, channels, wanted.resource, wanted.round_to)
    before = cost.count(model, input_shape)
    whole = before.params if wanted.resource == "params" else before.macs
    elsewhere = whole - _amount(search, [*search.sizes])

    def meet(others: int) -> Narrowed:
        """Choose, see what the rest costs then, and choose again, from what it may cost."""
        scale = share = 1.0
        for _ in range(_ROUNDS):
            choice = _choose(_with(search, others), wanted.share, scores, scale)
            removed = surgery.chosen(channels, scores, choice.kept)
            pruned = surgery.remove(model, removed)
            try:
                kept = shares(model, pruned, input_shape)
            except Exception:  # whatever the network raises without its channels
                surgery.check(model, pruned, removed, input_shape, f"{wanted.where}.from")
                raise
            share = kept[wanted.resource]
            if abs(share - wanted.share) <= widths.TOLERANCE:
                surgery.check(model, pruned, removed, input_shape, f"{wanted.where}.from")
                uncounted = before.uncounted if wanted.resource == "macs" else ()
                return Narrowed(pruned, kept, _layers(model, pruned), unmeasured, uncounted, channels.lost)
            others = round(share * whole) - _amount(search, list(coupling.axis_sizes(pruned).values()))
            scale = whole / (_amount(search, [*search.sizes]) + others)
        raise widths.OutOfReachError(*((share, 1.0) if share < wanted.share else (None, share)))

    # As if what is in no layer shrank like the layers, then as if it stayed.
    for others in dict.fromkeys((0, elsewhere)):
        try:
            return meet(others)
        except widths.OutOfReachError as reach:
            nearest = reach
    raise _out_of_reach(wanted, nearest.below, nearest.above) from nearest


def _amount(search: widths.Search, sizes: Sequence[int]) -> int:
    """What layers with so many channels on each axis cost."""
    channels = {place: int(size) for place, size in enumerate(sizes)} | {None: 1}
    return round(sum(term.coefficient * channels[term.out] * channels[term.into] for term in search.terms))


def _with(search: widths.Search, others: int) -> widths.Search:
    """The search whose cost holds what is in no layer too: products of functions, recurrent layers, attention."""
    return replace(search, terms=(*search.terms, widths.Term(float(others), None))) if others else search


def shares(model: nn.Module, pruned: nn.Module, input_shape: Sequence[int]) -> dict[str, float]:
    """What the pruned network has of the model's MACs and parameters, counted on both."""
    before, after = cost.count(model, input_shape), cost.count(pruned, input_shape)
    return {"macs": after.macs / before.macs, "params": after.params / before.params}


def search_of(
    model: nn.Module, input_shape: Sequence[int], channels: Channels, resource: Resource, round_to: int
) -> widths.Search:
    """The network in numbers: its families, axes and cost."""
    numbers = {axis: place for place, axis in enumerate(channels.sizes)}
    touches = np.zeros((len(numbers), len(channels.families)), dtype=int)
    for column, family in enumerate(channels.families):
        for axis, count in family.touches.items():
            touches[numbers[axis], column] = count
    modules = dict(model.named_modules())
    layers = [numbers[axis] for axis in numbers if axis[1] == "out" and len(coupling.sides(modules[axis[0]])) == 2]
    return widths.Search(
        units=np.array([len(family.units) for family in channels.families], dtype=int),
        sizes=np.array(list(channels.sizes.values()), dtype=int),
        touches=touches,
        terms=tuple(terms(model, input_shape, resource, numbers)),
        layers=np.array([place for place in layers if touches[place].any()], dtype=int),
        round_to=round_to,
    )


def terms(
    model: nn.Module, input_shape: Sequence[int], resource: Resource, numbers: Mapping[Axis, int]
) -> list[widths.Term]:
    """The cost of the network's convolutions and dense layers, as a sum of products of channels."""
    found: list[widths.Term] = []
    positions = _positions(model, input_shape) if resource == "macs" else {}
    for name, module in model.named_modules():
        axes = [(numbers[name, side], coupling.size_of(module, side)) for side in coupling.sides(module)]
        if resource == "params":
            found += [_term(parameter.numel(), axes, parameter.dim()) for parameter in module.parameters(recurse=False)]
        elif name in positions:
            weight: Any = module.weight
            found.append(_term(positions[name] * weight.numel(), axes, weight.dim()))
    return found


def _term(amount: float, axes: Sequence[tuple[int, int]], dimensions: int) -> widths.Term:
    """An amount that grows with all axes of a layer, or, for biases and norms, with its outputs only."""
    if len(axes) == 2 and dimensions > 1:
        (into, many_in), (out, many_out) = axes
        return widths.Term(amount / (many_in * many_out), out, into)
    if axes:
        out, many = axes[-1]
        return widths.Term(amount / many, out)
    return widths.Term(float(amount), None)


def _positions(model: nn.Module, input_shape: Sequence[int]) -> dict[str, float]:
    """How often one sample uses each weight of each convolution and dense layer."""
    found: dict[str, float] = {}
    handles = []
    copied = modes.in_eval(copy.deepcopy(model))

    def watch(name: str) -> Any:
        def hook(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            transposed = getattr(module, "transposed", False)
            side: Literal["in", "out"] = "in" if transposed else "out"
            values = inputs[0] if transposed else output
            found[name] = found.get(name, 0.0) + values.numel() / coupling.size_of(module, side)

        return hook

    for name, module in copied.named_modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            handles.append(module.register_forward_hook(watch(name)))
    with torch.no_grad():
        copied(torch.zeros(1, *input_shape, device=next(copied.parameters()).device))
    return found


def _choose(search: widths.Search, share: float, scores: Sequence[Sequence[float]], scale: float) -> widths.Choice:
    """scale: the network's cost as a share of the search's."""
    try:
        return widths.choose(search, share * scale, scores)
    except widths.OutOfReachError as reach:
        raise widths.OutOfReachError(reach.below and reach.below / scale, reach.above / scale) from reach


def _out_of_reach(wanted: Target, below: float | None, above: float) -> InputError:
    """What was asked for, and the nearest that can be had."""
    where = f"{wanted.where}.keep.{wanted.resource}"
    rounded = f"in multiples of {wanted.round_to} " if wanted.round_to > 1 else ""
    finer = " or for a smaller round_to" if wanted.round_to > 1 else ""
    if below is None and above == 1:
        todo = f"ask{finer.removeprefix(' or')}" if finer else "prune another network"
        return InputError(where, f"no widths {rounded}are smaller than those of the network", todo)
    lower = f"{below:.3f} below" if below else "none below"
    upper = f"{above:.3f} above" if above < 1 else "all of it above"
    return InputError(
        where,
        f"no widths {rounded}keep {wanted.share:g} of the {wanted.resource} within {widths.TOLERANCE:g}; "
        f"the nearest shares are {lower} and {upper}",
        f"ask for {'that' if below is None or above == 1 else 'one of these'}{finer}",
    )


def _layers(model: nn.Module, pruned: nn.Module) -> dict[str, tuple[int, int]]:
    before, after = coupling.axis_sizes(model), coupling.axis_sizes(pruned)
    return {
        name: (before[name, "out"], after[name, "out"])
        for name, module in model.named_modules()
        if len(coupling.sides(module)) == 2
    }
