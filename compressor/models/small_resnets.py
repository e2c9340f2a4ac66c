"""ResNets for small pictures: He's CIFAR family (option A) and the shape of MLPerf Tiny (1x1 shortcuts).

He et al., Deep Residual Learning for Image Recognition, 2015, section 4.2; MLPerf Tiny, `resnet_v1_eembc`.
Parameters are named as in the checkpoints of akamaster/pytorch_resnet_cifar10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shortcut = Literal["pad", "convolution"]


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them.

    Shortcut `pad` takes every `stride`-th pixel and puts `pad` = (before, after) channels of zeros around the input's;
    `convolution` is 1x1 wherever stride or width changes. `pad` counts the zero channels that are really there, so
    that pruning can take some of them away.
    """

    pad: tuple[int, int]

    def __init__(self, into: int, out: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride = stride
        self.pad = (0, 0)
        self.shortcut: nn.Module | None = None
        if shortcut == "convolution" and (stride != 1 or into != out):
            self.shortcut = nn.Conv2d(into, out, 1, stride=stride)
        elif shortcut == "pad":
            self.pad = evenly(out - into)

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, in, height, width] to [batch, out, height / stride, width / stride]."""
        inside = F.relu(self.bn1(self.conv1(inputs)))
        inside = self.bn2(self.conv2(inside))
        return F.relu(inside + self._around(inputs))

    def pads(self) -> tuple[int, int]:
        """(before, after) zero channels of the shortcut: `pad` where it fits the real widths, else split evenly."""
        missing = self.conv2.out_channels - self.conv1.in_channels
        return self.pad if sum(self.pad) == missing else evenly(missing)

    def _around(self, inputs: Tensor) -> Tensor:
        if self.shortcut is not None:
            return cast(Tensor, self.shortcut(inputs))
        if self.stride != 1:
            inputs = inputs[:, :, :: self.stride, :: self.stride]
        before, after = self.pads()
        return F.pad(inputs, (0, 0, 0, 0, before, after)) if before or after else inputs


class SmallResNet(nn.Module):
    """A 3x3 stem, three stages of blocks, average pool, one dense layer. The second and third stage halve the size."""

    def __init__(self, blocks: int, widths: Sequence[int], shortcut: Shortcut, channels: int, outputs: int) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(channels, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = _stage(first, first, 1, blocks, shortcut)
        self.layer2 = _stage(first, second, 2, blocks, shortcut)
        self.layer3 = _stage(second, third, 2, blocks, shortcut)
        self.linear = nn.Linear(third, outputs)
        self.apply(_initialise)

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, channels, height, width] to [batch, outputs]."""
        inside = F.relu(self.bn1(self.conv1(inputs)))
        inside = self.layer3(self.layer2(self.layer1(inside)))
        return cast(Tensor, self.linear(torch.flatten(F.adaptive_avg_pool2d(inside, 1), 1)))


def evenly(missing: int) -> tuple[int, int]:
    """Zero channels before and after; the odd one goes after, as in the akamaster checkpoints' network."""
    return missing // 2, missing - missing // 2


def _stage(into: int, out: int, stride: int, blocks: int, shortcut: Shortcut) -> nn.Sequential:
    first = Block(into, out, stride, shortcut)
    return nn.Sequential(first, *(Block(out, out, 1, shortcut) for _ in range(blocks - 1)))


def _initialise(module: nn.Module) -> None:
    """He's initialisation of convolutions and dense layers; biases start at zero."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
