"""Small torch networks for graph and quantization tests, one trait each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compressor.problem.signature import Signature, TensorSpec


def signature(shape: tuple[int, ...] = (3, 12, 12), classes: int = 4) -> Signature:
    return Signature((TensorSpec("input", "float32", shape),), (TensorSpec("logits", "float32", (classes,)),))


def settle(model: nn.Module, seed: int = 0) -> nn.Module:
    """Gives the batch norms statistics that are not those of an untrained network."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval()


class Net(nn.Module):
    """Every kind of convolution that must become an integer kernel: plain, depthwise, grouped, strided, 1x1, residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.narrow = nn.Conv2d(8, 6, 1, stride=2)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(self.norm(self.depthwise(x)) + x)
        x = torch.relu(self.narrow(torch.relu(self.grouped(x))))
        return self.head(x.mean((2, 3)))


class Chain(Net):
    """One layer after the other: nothing is added."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.depthwise(self.stem(x))))
        x = torch.relu(self.narrow(torch.relu(self.grouped(x))))
        return self.head(x.mean((2, 3)))


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return settle(Net(), seed)
