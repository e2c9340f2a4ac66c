"""Rounding as the int8 graph rounds, inside a torch network that goes on learning in float."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
LIMITS = {7: 64, 8: 127}
_MOMENTUM = 0.01
_SMALLEST = 1e-12


def round_weight(weight: Tensor, bits: int) -> Tensor:
    """The weight [out, …] on the symmetric int8 grid of each output channel; the gradient passes through.

    >>> round_weight(torch.tensor([[1.0, 0.3]]), 7)  # 1/64 a step: 0.3 lies between 19/64 and 20/64
    tensor([[1.0000, 0.2969]])
    """
    limit = LIMITS[bits]
    scale = (weight.detach().flatten(1).abs().amax(1) / limit).clamp_min(_SMALLEST)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -limit, limit)


class RoundedWeight(nn.Module):
    """`round_weight` as a parametrization."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        """The rounded weight."""
        return round_weight(weight, self.bits)


class RoundedInput(nn.Module):
    """Rounds a layer's input to 256 levels between `low` and `high`, which follow what it sees while training.

    The range is a moving average of each batch's extremes and stands still after `freeze_after` batches, so that the
    last part of the training learns the rounding that ships.
    """

    low: Tensor
    high: Tensor
    seen: Tensor

    def __init__(self, freeze_after: int) -> None:
        super().__init__()
        self.freeze_after = freeze_after
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, values: Tensor) -> Tensor:
        """The rounded values; nothing is rounded before a range was seen."""
        if self.training and int(self.seen) < max(1, self.freeze_after):
            self._follow(values.detach())
        if self.high == self.low:
            return values
        scale = (self.high - self.low) / 255
        zero = torch.round(-self.low / scale).to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, 255)

    def _follow(self, values: Tensor) -> None:
        low, high = values.amin().float().clamp_max(0), values.amax().float().clamp_min(0)
        if int(self.seen) == 0:
            self.low.copy_(low)
            self.high.copy_(high)
        else:
            self.low.lerp_(low, _MOMENTUM)
            self.high.lerp_(high, _MOMENTUM)
        self.seen += 1


def attach(model: nn.Module, bits: int, freeze_after: int) -> None:
    """Makes every convolution and linear layer round its weight and its input, in place."""
    for layer in [module for module in model.modules() if isinstance(module, LAYERS)]:
        parametrize.register_parametrization(layer, "weight", RoundedWeight(bits))
        layer.register_module("input_rounding", RoundedInput(freeze_after))
        layer.register_forward_pre_hook(_round_first)


def _round_first(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    rounding = layer.get_submodule("input_rounding")
    return (rounding(inputs[0]), *inputs[1:])


def detach(model: nn.Module) -> None:
    """Takes all rounding off again, in place.

    The weights stay the float ones that were trained; rounding them again gives what training saw.
    """
    for layer in list(model.modules()):
        rounding = getattr(layer, "input_rounding", None)
        if not isinstance(rounding, RoundedInput):
            continue
        for key, hook in list(layer._forward_pre_hooks.items()):
            if hook is _round_first:
                del layer._forward_pre_hooks[key]
        del layer.input_rounding
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
