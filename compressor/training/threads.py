"""How many threads a training uses: one where the network is so small that threads only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from compressor.models import cost
from compressor.problem.signature import TensorSpec

LEAST_WORK = 5e8
"""MACs of one forward pass of a batch below which one thread trains faster.

ResNet-14 on 8x8 digits, 64 a batch (1e8 MACs), on two cores that other jobs use too: 50 ms a step with one thread,
160 to 180 ms with two. ResNet-8 on CIFAR-10, 128 a batch (1.6e9), gains from the second.
"""


def wanted(model: nn.Module, inputs: Sequence[TensorSpec], batch_size: int, available: int) -> int:
    """Threads for training this network. Follows from its size alone, never from timing: threads change the bytes."""
    return 1 if cost.of(model, inputs).macs * batch_size < LEAST_WORK else available


@contextmanager
def limited(model: nn.Module, inputs: Sequence[TensorSpec], batch_size: int) -> Iterator[None]:
    """torch's threads set to `wanted` inside, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted(model, inputs, batch_size, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
