"""The memory format in which networks are trained."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from compressor.training.placing import layout


def strided(channels: int, kernel: int = 1, stride: int | tuple[int, int] = 2) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 16, kernel, stride=stride))


@pytest.mark.parametrize(
    ("model", "side", "device", "last"),
    [
        (strided(8), 64, "cpu", False),
        (strided(15, stride=(1, 2)), 33, "cpu", False),
        (strided(16), 64, "cpu", True),
        (strided(8, kernel=3), 64, "cpu", True),
        (strided(8, stride=1), 64, "cpu", True),
        (strided(8), 32, "cpu", True),
        (strided(8), 64, "cuda", True),
        (nn.Linear(8, 2), 64, "cpu", True),
    ],
)
def test_channels_are_last_but_where_torch_would_write_too_far(
    model: nn.Module, side: int, device: str, last: bool
) -> None:
    wanted = torch.channels_last if last else torch.contiguous_format
    assert layout(model, (3, side, side), device) is wanted


def test_a_network_of_few_channels_and_large_pictures_can_be_trained() -> None:
    """In a process of its own: where memory is overrun it dies by a signal."""
    code = """
import torch
from torch import nn
from compressor.training.placing import formed, layout, place
model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 1, stride=2), nn.AdaptiveAvgPool2d(1))
form = layout(model, (3, 64, 64), "cpu")
place(model, "cpu", form)
for _ in range(10):
    model(formed(torch.randn(8, 3, 64, 64), form)).sum().backward()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
