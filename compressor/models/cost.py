"""What a network costs: multiply-accumulates of one inference, and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Cost:
    """macs: multiply-accumulates of convolutions and dense layers for one sample. params: trained numbers."""

    macs: int
    params: int


def count(model: nn.Module, input_shape: Sequence[int]) -> Cost:
    """Send one sample of zeros, [1, *input_shape], through the model in eval mode and count.

    The model's mode and device stay as they are.
    """
    macs = 0

    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal macs
        macs += _macs(module, inputs[0], output)

    counted = [one for one in model.modules() if isinstance(one, (*_CONVOLUTIONS, *_TRANSPOSED, nn.Linear))]
    handles = [one.register_forward_hook(hook) for one in counted]
    modes = [(one, one.training) for one in model.modules()]
    example = next(model.parameters(), torch.zeros(()))
    try:
        for one, _ in modes:  # not `model.eval()`, which exported modules refuse
            one.training = False
        with torch.no_grad():
            model(torch.zeros(1, *input_shape, device=example.device, dtype=example.dtype))
    finally:
        for one, training in modes:
            one.training = training
        for handle in handles:
            handle.remove()
    return Cost(macs=macs, params=sum(parameter.numel() for parameter in model.parameters()))


def _macs(module: Any, given: Tensor, made: Tensor) -> int:
    """Multiply-accumulates of one layer: each weight once for every place it is used at; biases are not counted."""
    if isinstance(module, nn.Linear):
        return made.numel() * int(module.in_features)
    if isinstance(module, _TRANSPOSED):
        return given.numel() * (int(module.weight.numel()) // int(module.in_channels))
    return made.numel() * (int(module.weight.numel()) // int(module.out_channels))
