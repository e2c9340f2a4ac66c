"""Folds batch norms into the convolutions before them, in any torch network that runs."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from compressor.models import modes

Pair = tuple[str, str]
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_PRODUCERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_TOLERANCE = 1e-3


def fold(model: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[nn.Module, list[Pair]]:
    """A copy of the network, in eval mode, with batch norms folded, and the (layer, norm) names that were.

    inputs: an example batch. The network is watched while it runs, so it need not be traceable. A pair whose folding
    would change the outputs (a convolution that something else reads, too) is left as it is. New biases are trainable.
    """
    model = modes.in_eval(copy.deepcopy(model))
    pairs = find_pairs(model, inputs)
    with torch.no_grad():
        wanted = model(*inputs)
        folded = _folded(model, pairs)
        if _same(folded(*inputs), wanted):
            return folded, pairs
        kept = [pair for pair in pairs if _same(_folded(model, [pair])(*inputs), wanted)]
    return _folded(model, kept), kept


def find_pairs(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Pair]:
    """Names of (convolution or linear, batch norm) where the second is given the very tensor that the first made."""
    made: dict[int, tuple[str, Tensor]] = {}
    pairs: list[Pair] = []
    calls: Counter[str] = Counter()
    handles = []

    def after(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            calls[name] += 1
            made[id(output)] = name, output  # the tensor is kept alive, so that its id stays its own

        return hook

    def before(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            calls[name] += 1
            if args and id(args[0]) in made:
                pairs.append((made[id(args[0])][0], name))

        return hook

    for name, module in model.named_modules():
        if isinstance(module, _PRODUCERS):
            handles.append(module.register_forward_hook(after(name)))
        elif isinstance(module, _NORMS) and module.running_mean is not None and _replacement(module) is not None:
            handles.append(module.register_forward_pre_hook(before(name)))
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    readers = Counter(layer for layer, _ in pairs)
    return [(layer, norm) for layer, norm in pairs if calls[layer] == calls[norm] == readers[layer] == 1]


def _folded(model: nn.Module, pairs: list[Pair]) -> nn.Module:
    folded = copy.deepcopy(model)
    for layer_name, norm_name in pairs:
        layer, norm = folded.get_submodule(layer_name), folded.get_submodule(norm_name)
        fuse: Any = fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fuse_conv_bn_eval
        fused: nn.Module = fuse(layer, norm)
        for parameter in fused.parameters():
            parameter.requires_grad_(True)  # torch leaves a new bias frozen, and training would pass it by
        rest = _replacement(norm)
        assert rest is not None
        folded.set_submodule(layer_name, fused)
        folded.set_submodule(norm_name, rest)
    return folded


def _replacement(norm: nn.Module) -> nn.Module | None:
    """What stays of a batch norm without its arithmetic: nothing, or the dropout and activation that timm adds."""
    if type(norm) in _NORMS:
        return nn.Identity()
    parts = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if isinstance(part, nn.Module)]
    return nn.Sequential(*parts) if len(parts) == 2 else None


def _same(found: Tensor, wanted: Tensor) -> bool:
    return bool((found - wanted).abs().max() <= _TOLERANCE * wanted.abs().max().clamp_min(1e-6))
