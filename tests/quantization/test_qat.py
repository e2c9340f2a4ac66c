"""Training with the rounding: what goes in and what comes out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from compressor.quantization import qat
from compressor.stages.quantize import QatSpec
from compressor.training.objective import LabelLoss
from tests.toy import ToyTask, toy_context


def test_a_parametrized_network_learns_as_its_plain_self(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = parametrizations.weight_norm(nn.Conv2d(1, 4, 3))
    model = nn.Sequential(layer, nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    parametrizations.orthogonal(model[5])
    settings = QatSpec.model_validate(
        {"stage": "quantize", "from": "x", "method": "qat", "epochs": 1, "batch_size": 16, "precision": "float32"}
    )
    task = ToyTask()
    network, _ = qat.train(
        model, LabelLoss(task), task, settings, 7,
        example=(torch.zeros(2, 1, 8, 8),), context=toy_context(tmp_path, task),
    )  # fmt: skip
    assert not any(parametrize.is_parametrized(module) for module in network.modules())
    assert isinstance(network[0].weight, nn.Parameter)
    assert parametrize.is_parametrized(model[0])
    assert parametrize.is_parametrized(model[5])
