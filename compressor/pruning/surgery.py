"""Channels really removed: smaller weights, not zeros; and a proof that only those channels went."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_pruning import ops
from torch_pruning.pruner.function import PrunerBox

from compressor.errors import InputError
from compressor.models import modes
from compressor.models.small_resnets import Block
from compressor.pruning.channels import Axis, Channels

_NOISE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""Share of the largest output by which two orders of adding up may differ, with room."""

Removed = Mapping[Axis, tuple[int, ...]]
"""Channels to remove, by axis, in rising order."""


def chosen(channels: Channels, scores: Sequence[Sequence[float]], kept: Sequence[int]) -> Removed:
    """What goes when each family keeps its `kept` units of highest score; of equal ones the first stay."""
    removed: dict[Axis, list[int]] = {}
    for family, values, count in zip(channels.families, scores, kept, strict=True):
        order = sorted(range(len(values)), key=lambda place: (-values[place], place))
        for place in order[count:]:
            for axis, indices in family.units[place].items():
                removed.setdefault(axis, []).extend(indices)
    return {axis: tuple(sorted(indices)) for axis, indices in removed.items()}


def remove(model: nn.Module, removed: Removed) -> nn.Module:
    """A copy of the model without these channels, in eval mode. Paddings of our own shortcuts shrink with them."""
    pruned = modes.in_eval(copy.deepcopy(model))
    modules: dict[str, Any] = dict(pruned.named_modules())
    pads = {name: _pads_left(name, block, removed) for name, block in modules.items() if isinstance(block, Block)}
    for (name, side), indices in removed.items():
        pruner = PrunerBox[ops.module2type(modules[name])]
        (pruner.prune_out_channels if side == "out" else pruner.prune_in_channels)(modules[name], list(indices))
    for name, left in pads.items():
        modules[name].pad = left
    return pruned


def _pads_left(name: str, block: Block, removed: Removed) -> tuple[int, int]:
    """Zero channels that stay before and after those of the shortcut's input."""
    before, _ = block.pads() if block.shortcut is None else (0, 0)
    if block.shortcut is not None:
        return block.pad
    gone = set(removed.get((f"{name}.conv2", "out"), ()))
    past = before + block.conv1.in_channels
    left = [place for place in range(block.conv2.out_channels) if place not in gone]
    return sum(place < before for place in left), sum(place >= past for place in left)


def masked(model: nn.Module, removed: Removed) -> nn.Module:
    """A copy of the model, as wide as before, whose removed channels are zero: the same function as the pruned one."""
    copied = modes.in_eval(copy.deepcopy(model))
    modules: dict[str, Any] = dict(copied.named_modules())
    with torch.no_grad():
        for (name, side), indices in removed.items():
            module, places = modules[name], list(indices)
            transposed = getattr(module, "transposed", False)
            if module.weight is not None:
                dimension = int(transposed) if side == "out" else 1 - int(transposed)
                module.weight.index_fill_(dimension, torch.tensor(places, device=module.weight.device), 0)
            if side == "out" and getattr(module, "bias", None) is not None:
                module.bias[places] = 0
    return copied


def check(model: nn.Module, pruned: nn.Module, removed: Removed, input_shape: Sequence[int], where: str) -> None:
    """Send two samples through the pruned network and through the masked one, in float64 where the network can.

    Raises:
        InputError: the pruned network does not run, or more than the removed channels changed.
    """
    with torch.no_grad():
        inputs, expected = _answered(masked(model, removed).cpu(), input_shape, where)
        trail: list[str] = []
        watched = copy.deepcopy(pruned).cpu().to(inputs.dtype)
        handles = [handle for name, one in watched.named_modules() for handle in _watch(name, one, trail)]
        try:
            got = watched(inputs)
        except Exception as problem:
            raise InputError(
                where,
                f"the network does not run without the channels that would be removed: {trail[-1] or 'its forward'} "
                f"fails ({str(problem).splitlines()[0]})",
                "prune another network; this one's code relies on its widths",
            ) from problem
        finally:
            for handle in handles:
                handle.remove()
    limit = _NOISE[inputs.dtype] * float(expected.abs().max())
    if got.shape != expected.shape or float((got - expected).abs().max()) > limit:
        names = ", ".join(sorted({name for name, side in removed if side == "out"})[:3])
        raise InputError(
            where,
            f"removing channels ({names}, …) changes what other channels compute, in a way that cannot be followed",
            "prune another network",
        )


def _answered(reference: nn.Module, input_shape: Sequence[int], where: str) -> tuple[Tensor, Tensor]:
    """Two samples that a network takes, and its answers: noise, or numbers between 0 and 1 where it checks its input
    or looks numbers up in a table; in float64, or in float32 where it is made for that alone."""
    generator = torch.Generator().manual_seed(0)
    failed: Exception | None = None
    for draw in (torch.randn, torch.rand):
        given = draw(2, *input_shape, generator=generator, dtype=torch.float64)
        for inputs in (given, given.float()):
            try:
                return inputs, copy.deepcopy(reference).to(inputs.dtype)(inputs)
            except Exception as problem:  # the user's code raises what it likes
                failed = problem
    reason = (str(failed).strip().splitlines() or ["no words"])[0]
    what = f"the network answers neither noise nor numbers between 0 and 1 ({reason}), so it cannot be compared"
    raise InputError(where, what, "prune another network, or let its `forward` take any numbers") from failed


def _watch(name: str, module: nn.Module, trail: list[str]) -> list[Any]:
    """Keep the names of modules under way; after a failure the last is the innermost."""

    def enter(*_: Any) -> None:
        trail.append(name)

    def leave(*_: Any) -> None:
        trail.pop()

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
