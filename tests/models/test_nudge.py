"""Weights moved a little: zeros begin to count, and deep and wide networks stay as loud as they are."""

from __future__ import annotations

import copy

import torch
from torch import nn

from compressor.models.nudge import nudge


def test_zeros_begin_to_count_and_weights_move_by_a_share_of_their_size() -> None:
    layer = nn.Linear(10_000, 4)
    nn.init.constant_(layer.weight, 2.0), nn.init.zeros_(layer.bias)
    before = copy.deepcopy(layer)
    assert nudge(layer) is layer
    # A root mean square of 2, so 0.05 * 2 of it; a bias of zeros by 0.05 * 1.
    assert abs(float((layer.weight - before.weight).detach().std()) - 0.1) < 0.002
    assert (layer.bias != 0).all()
    assert float(layer.bias.detach().abs().max()) < 0.3
    nn.init.zeros_(layer.weight)
    nudge(layer)
    assert abs(float(layer.weight.detach().std()) - 0.05 / 100) < 2e-5  # 1 / sqrt(10,000) where it begins at zero


def test_a_deep_and_wide_network_stays_as_loud_as_it_is() -> None:
    torch.manual_seed(0)
    layers = [part for _ in range(60) for part in (nn.Linear(512, 512), nn.ReLU())]
    for part in layers[::2]:
        nn.init.kaiming_normal_(part.weight)  # type: ignore[arg-type]
    deep = nn.Sequential(*layers)
    inputs = torch.randn(2, 512)
    before = float(deep(inputs).detach().square().mean().sqrt())
    after = float(nudge(deep)(inputs).detach().square().mean().sqrt())
    assert 0.2 < after / before < 5
