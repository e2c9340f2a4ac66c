"""Which numbers a training computes with: bfloat16 autocast only where the device gains from it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from compressor import machine


def resolve(wanted: str, device: str) -> str:
    """`float32` or `bfloat16`. wanted: one of the two, or `auto`: bfloat16 where the device has units for it.

    On a CPU without such units bfloat16 is slower than float32 (measured on Cascade Lake: 0.6 of the speed).
    """
    if wanted != "auto":
        return wanted
    return "bfloat16" if has_bf16(device) else "float32"


def has_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device == "cpu":
        return machine.has_bf16()
    return device.partition(":")[0] == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def autocast(precision: str, device: str) -> AbstractContextManager[object]:
    """The context in which the network computes."""
    return torch.autocast(device.partition(":")[0], dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext()


def in_float32(_: nn.Module, __: Any, outputs: Any) -> Any:
    """Forward hook: losses are computed in float32, whatever the network computed in."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.is_floating_point() else outputs
    if isinstance(outputs, dict):
        return type(outputs)({name: in_float32(_, __, value) for name, value in outputs.items()})
    if isinstance(outputs, tuple | list):
        return type(outputs)(in_float32(_, __, value) for value in outputs)
    return outputs
