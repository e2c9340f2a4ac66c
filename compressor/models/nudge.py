"""All weights of a network moved a little, so that nothing hides behind one that begins at zero."""

from __future__ import annotations

import torch
from torch import nn

SPREAD = 0.05


@torch.no_grad()
def nudge(model: nn.Module) -> nn.Module:
    """The model itself, its weights changed in place, always by the same numbers."""
    made = torch.Generator().manual_seed(0)
    for value in model.parameters():
        if value.is_floating_point():
            value.add_(torch.randn(value.shape, generator=made).to(value.dtype), alpha=SPREAD)
    return model
