"""Networks of every family that pruning promises, small, with norms that were trained on something."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from compressor.models.small_resnets import SmallResNet


class Flattened(nn.Module):
    """A convolution whose pixels become inputs of a dense layer each, and a concatenation of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(3, 16, 3, padding=1)
        self.join, self.norm = nn.Conv2d(32, 16, 1), nn.BatchNorm2d(16)
        self.hidden, self.activation, self.answer = nn.Linear(16 * 16, 32), nn.PReLU(32), nn.Linear(32, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        both = torch.cat([torch.relu(self.left(inputs)), torch.sigmoid(self.right(inputs))], dim=1)
        inside = torch.relu(self.norm(self.join(nn.functional.max_pool2d(both, 8))))
        answer: Tensor = self.answer(self.activation(self.hidden(inside.flatten(1))))
        return answer


def _torchvision(name: str) -> nn.Module:
    import torchvision

    made: nn.Module = getattr(torchvision.models, name)(weights=None, num_classes=5)
    return made


def _timm(name: str) -> nn.Module:
    import timm

    made: nn.Module = timm.create_model(name, pretrained=False, num_classes=5)
    return made


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "option A, one block": lambda: SmallResNet(1, (16, 32, 64), "pad", 3, 5),
    "option A, three blocks": lambda: SmallResNet(3, (16, 32, 64), "pad", 3, 5),
    "option A, odd widths": lambda: SmallResNet(2, (16, 19, 40), "pad", 3, 5),
    "mlperf": lambda: SmallResNet(1, (16, 32, 64), "convolution", 3, 5),
    "flattened": Flattened,
    "resnet18": lambda: _torchvision("resnet18"),
    "mobilenet_v3_small": lambda: _torchvision("mobilenet_v3_small"),
    "tf_efficientnet_lite0": lambda: _timm("tf_efficientnet_lite0"),
}
INPUT_SHAPE = (3, 32, 32)


def build(name: str, seed: int = 0) -> nn.Module:
    """The network in eval mode, with statistics, scales and shifts away from their first values."""
    torch.manual_seed(seed)
    model = FAMILIES[name]()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
    return model.eval()
