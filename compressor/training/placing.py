"""Networks and batches on a device, in the memory format in which it convolves pictures fast and rightly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from compressor.problem.batch import Batch

FEWEST_CHANNELS = 16
LARGEST_SIDE = 32


def layout(model: nn.Module, shape: Sequence[int], device: str) -> torch.memory_format:
    """Channels last, which CPUs and GPUs convolve faster, for a network that is trained on samples of this shape.

    But not where torch would write beyond the end of a tensor: oneDNN's gradient of a strided 1x1 convolution of fewer
    than 16 channels does so on CPUs with channels last (seen with torch 2.15, oneDNN 3.13, from 41 pixels a side on).
    """
    small = device != "cpu" or max(shape[1:], default=0) <= LARGEST_SIDE
    overruns = not small and any(_overruns(module) for module in model.modules())
    return torch.contiguous_format if overruns else torch.channels_last


def _overruns(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < FEWEST_CHANNELS
    )


def place(model: nn.Module, device: str, form: torch.memory_format = torch.channels_last) -> nn.Module:
    """The model on a device. form: that of the pictures which it is given."""
    return model.to(device=device).to(memory_format=form)


def to_device(batch: Batch, device: str, form: torch.memory_format = torch.channels_last) -> Batch:
    """The batch on a device; form: of pictures."""
    moved = batch.moved(lambda values: values.to(device))
    return replace(moved, inputs={name: formed(values, form) for name, values in moved.inputs.items()})


def formed(inputs: Tensor, form: torch.memory_format) -> Tensor:
    """The inputs, pictures among them in a memory format."""
    return inputs.contiguous(memory_format=form) if inputs.dim() == 4 else inputs
