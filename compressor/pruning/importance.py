"""How much each channel matters: the size of its weights, its scale after the norm, or what the loss says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from compressor.pruning.channels import Axis, Channels

Measure = Literal["l1", "l2", "taylor", "bn"]
Gradients = Mapping[str, Tensor]
"""Size of the loss's gradient for each layer's weight, by the module's name."""


def by_norm(weight: Tensor, dimension: int, power: Literal[1, 2]) -> Tensor:
    """L1 or L2 norm of each slice of a weight along a dimension, float64 [channels]."""
    slices = weight.double().movedim(dimension, 0).flatten(1)
    return slices.abs().sum(dim=1) if power == 1 else slices.square().sum(dim=1).sqrt()


def by_taylor(weight: Tensor, gradient: Tensor, dimension: int) -> Tensor:
    """Sum of |weight · gradient| of each slice, float64 [channels]: to first order, the most that the loss can change
    when the weights of the slice become zero one by one (after Molchanov et al., Importance Estimation for Neural
    Network Pruning, 2019, who square the sum: on a trained network its parts cancel, and little is left to tell).
    """
    return (weight.double() * gradient.double()).abs().movedim(dimension, 0).flatten(1).sum(dim=1)


def of_axes(model: nn.Module, measure: Measure, gradients: Gradients | None = None) -> dict[Axis, Tensor]:
    """Importance of the channels of each axis, scaled to a mean of 1, float64 on the CPU.

    `bn` reads the scales of batch norms; the other measures read convolutions and dense layers, on both sides.
    """
    found: dict[Axis, Tensor] = {}
    for name, module in model.named_modules():
        if measure == "bn":
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
                found[name, "out"] = module.weight.detach().double().abs()
        elif isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            found[name, "out"] = _slices(name, module, _dimension(module, "out"), measure, gradients)
            if getattr(module, "groups", 1) == 1:
                found[name, "in"] = _slices(name, module, _dimension(module, "in"), measure, gradients)
    return {axis: _scaled(values).cpu() for axis, values in found.items()}


def of_units(channels: Channels, axes: Mapping[Axis, Tensor]) -> tuple[list[list[float]], int]:
    """Importance of each unit, by family: the mean over its axes that were measured. And the number of families whose
    axes were not measured at all (no batch norm on the way); their units count alike.
    """
    scores, unmeasured = [], 0
    values = {axis: tensor.tolist() for axis, tensor in axes.items()}
    for family in channels.families:
        known = [axis for axis in family.touches if axis in values]
        unmeasured += not known
        for_units = ([_mean([values[axis][at] for at in unit[axis]]) for axis in known] for unit in family.units)
        scores.append([_mean(for_axes) for for_axes in for_units])
    return scores, unmeasured


def gradients(model: nn.Module, losses: Iterable[Tensor]) -> Gradients:
    """The size of the gradient, summed over some losses, for the weights of all convolutions and dense layers.

    Losses of few samples each tell more: over many, the gradients of a trained network cancel. Each loss is computed,
    and its graph freed, before the next is asked for.
    """
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    sums = {name: torch.zeros_like(module.weight) for name, module in layers.items()}
    weights = [module.weight for module in layers.values()]
    for loss in losses:
        for name, gradient in zip(layers, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
            if gradient is not None:
                sums[name] += gradient.abs()
    return sums


def _slices(name: str, module: Any, dimension: int, measure: Measure, gradients: Gradients | None) -> Tensor:
    weight = module.weight.detach()
    if measure == "taylor":
        if gradients is None:
            raise ValueError("taylor needs gradients")
        return by_taylor(weight, gradients[name], dimension)
    return by_norm(weight, dimension, 1 if measure == "l1" else 2)


def _scaled(values: Tensor) -> Tensor:
    """The values with a mean of 1; all alike where they are all zero."""
    mean = float(values.mean())
    return values / mean if mean > 0 else torch.ones_like(values)


def _dimension(module: Any, side: Literal["in", "out"]) -> int:
    transposed = bool(getattr(module, "transposed", False))
    return int(transposed) if side == "out" else 1 - int(transposed)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0
