"""A network in eval mode for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode and no gradients inside, each in its own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:  # not `model.eval()`, which exported modules refuse
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def zeros(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """One sample of zeros, [1, *input_shape], of the type and on the device of the model's weights."""
    example = next(model.parameters(), torch.zeros(()))
    return torch.zeros(1, *input_shape, device=example.device, dtype=example.dtype)
