"""All weights of a network moved a little, so that nothing hides behind one that begins at zero."""

from __future__ import annotations

import torch
from torch import nn

SPREAD = 0.05


@torch.no_grad()
def nudge(model: nn.Module, spread: float = SPREAD) -> nn.Module:
    """The model itself, its weights changed in place, always by the same numbers.

    spread: as a share of a tensor's root mean square, or of 1 / sqrt(inputs of a layer) where that is larger, as where
    it begins at zero; so deep and wide networks stay as loud as they are.
    """
    made = torch.Generator().manual_seed(0)
    for value in model.parameters():
        if value.is_floating_point() and value.numel():
            size = max(float(value.float().square().mean().sqrt()), inputs_of(value) ** -0.5)
            drawn = torch.randn(value.shape, generator=made).to(value.device, value.dtype)
            value.add_(drawn, alpha=spread * size)
    return model


def inputs_of(weights: torch.Tensor) -> int:
    """How many numbers one output of a layer with these weights, none of them empty, is a sum of."""
    return weights[0].numel() if weights.dim() > 1 else 1
