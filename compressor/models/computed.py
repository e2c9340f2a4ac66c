"""Weights that a file holds as what they are computed from: weight norms, spectral norms and pruning masks."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Parts = tuple[str, ...]


def _normed(direction: Tensor, length: Tensor) -> Tensor:
    """length * direction, each of its rows along the axis in which `length` is long of norm one."""
    axes = [axis for axis, size in enumerate(length.shape) if size == 1 and direction.dim() == length.dim()]
    norm = torch.linalg.vector_norm(direction, dim=axes or None, keepdim=length.dim() > 0)
    weight: Tensor = direction * (length / norm)
    return weight


def _spectral(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The weight, divided by its largest singular value, as torch estimates it in eval mode."""
    axis = next((axis for axis, size in enumerate(weight.shape) if size == len(left)), 0)
    matrix = weight.movedim(axis, 0).flatten(1)
    divided: Tensor = weight / torch.dot(left, torch.mv(matrix, right))
    return divided


_FORMS: tuple[tuple[Parts, str, Callable[..., Tensor]], ...] = (
    (("{}_v", "{}_g"), "weight_norm", _normed),
    (("parametrizations.{}.original1", "parametrizations.{}.original0"), "weight_norm", _normed),
    (("{}_orig", "{}_mask"), "the mask", torch.mul),
    (("{}_orig", "{}_u", "{}_v"), "spectral_norm", _spectral),
    (("parametrizations.{}.original", "parametrizations.{}.0._u", "parametrizations.{}.0._v"), "spectral_norm",
     _spectral),
)  # fmt: skip
"""The names that stand for a tensor of a module, what made them so, and how the tensor is computed."""


def plain(state: Mapping[str, Any]) -> tuple[OrderedDict[str, Any], list[str]]:
    """The state with plain weights in place of what they are computed from, and in words what was computed,
    `weight_norm of 3.weight`; a copy of the state where nothing was."""
    held, words = OrderedDict(state), []
    for name in list(state):
        for parts, what, compute in _FORMS:
            found = re.fullmatch(rf"((?:.*\.)?){parts[0].replace('.', '[.]').format('([^.]+)')}", name)
            if found is None:
                continue
            prefix, tensor = found.groups()
            names = [prefix + part.format(tensor) for part in parts]
            if all(isinstance(held.get(one), Tensor) and held[one].is_floating_point() for one in names):
                with torch.no_grad():
                    held[prefix + tensor] = compute(*(held.pop(one).float() for one in names))
                words.append(f"{what} of {prefix}{tensor}")
    return held, words
