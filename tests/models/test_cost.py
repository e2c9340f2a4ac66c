"""Multiply-accumulates counted by hand."""

import torch
from torch import nn

from compressor.models import cost


def test_a_layer_of_each_kind() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2),  # 4 * 6 * 6 places, 9 products each: 1,296
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 3, 2, stride=2),  # 4 * 6 * 6 inputs, 3 * 4 products each: 1,728
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 5),  # 15
    )
    assert cost.count(model, (2, 6, 6)) == cost.Cost(macs=1_296 + 1_728 + 15, params=40 + 8 + 51 + 20)


def test_a_layer_used_twice_counts_twice_and_a_token_each() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4, bias=False)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(tokens))

    assert cost.count(Twice(), (3, 4)) == cost.Cost(macs=2 * 3 * 16, params=16)


def test_counting_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    model[0].eval()
    cost.count(model, (1, 2, 2))
    assert model.training
    assert not model[0].training
    assert model[1].training
    assert model[1].running_mean.item() == 0
    assert not model[0]._forward_hooks
