"""Networks of the libraries with random weights that behave like trained ones: no branch is zero, statistics fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn


def build(name: str, size: int = 64, weights: str = "", **settings: Any) -> nn.Module:
    """A network of 10 classes for pictures of `size` pixels. weights: a file whose fitting tensors are taken."""
    torch.manual_seed(0)
    library, _, name = name.partition(":")
    if library == "timm":
        import timm

        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=10, **settings)
    else:
        import torchvision

        model = torchvision.models.get_model(name, weights=None, num_classes=10, **settings)
    if weights:
        from safetensors.torch import load_file

        held, own = load_file(Path(weights)), model.state_dict()
        model.load_state_dict(
            {**own, **{key: one for key, one in held.items() if own.get(key, one).shape == one.shape}}
        )
        return model.eval()
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.affine:
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.3, 0.3)
            part.momentum = None
    for key, parameter in model.named_parameters():
        if "gamma" in key.rsplit(".", 1)[-1] or "layer_scale" in key:
            nn.init.constant_(parameter, 0.5)
    model.train()
    with torch.no_grad():
        model(torch.randn(16, 3, size, size))
    return model.eval()
