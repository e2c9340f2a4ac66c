"""Real architectures, small: their graph, torch's own counter and the product's count of the network agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import ConvNeXt, DenseNet, MobileNetV3, ResNet, SwinTransformer, VisionTransformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.resnet import Bottleneck

from compressor.models import cost as of_network
from compressor.onnx_graph import cost, exporter
from tests.onnx_graph.networks import signature

SHAPE, CLASSES = (3, 32, 32), 5


class Reader(nn.Module):
    """A text recogniser's shape: convolutions, two directions of an LSTM over columns, attention, a GRU, an einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.eyes = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=4))
        self.lstm = nn.LSTM(64, 6, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(12, 6, batch_first=True)
        self.mix, self.head = nn.Parameter(torch.randn(6, 4)), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        columns = self.eyes(x).permute(0, 3, 1, 2).flatten(2)
        states, _ = self.lstm(columns)
        heads = states[:, None]
        states, _ = self.gru(F.scaled_dot_product_attention(heads, heads, heads)[:, 0])
        return self.head(torch.einsum("bti,ij->btj", states, self.mix).mean(1))


class Decoder(nn.Module):
    """Up again by transposed convolutions, one of them in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 8, 4, 4), nn.ConvTranspose2d(8, 6, 3, 2, groups=2)
        self.last = nn.ConvTranspose2d(6, CLASSES, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.up(torch.relu(self.down(x))))).mean((2, 3))


def mobilenet() -> nn.Module:
    rows = [(8, 3, 16, 8, True, "RE", 2, 1), (8, 5, 24, 16, True, "HS", 1, 1)]
    return MobileNetV3([InvertedResidualConfig(*row, width_mult=1) for row in rows], 32, CLASSES)


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "ResNet": lambda: ResNet(Bottleneck, [1, 1, 1, 1], CLASSES, groups=2, width_per_group=16),
    "MobileNetV3": mobilenet,
    "ViT": lambda: VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=CLASSES),
    "ConvNeXt": lambda: ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=CLASSES),
    "Swin": lambda: SwinTransformer([4, 4], 8, [2, 1], [1, 2], [2, 2], num_classes=CLASSES),
    "DenseNet": lambda: DenseNet(4, (2, 2), 8, num_classes=CLASSES),
    "a reader of text": Reader,
    "a decoder": Decoder,
}
UNCOUNTED = {
    # torch's counter leaves out LSTMs on a CPU: 8 columns, 2 directions, 4 gates of 6, from 64 inputs and 6 hidden ones
    "a reader of text": 8 * 2 * 24 * (64 + 6),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_graph_has_the_products_that_torch_counts(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ARCHITECTURES[name]().eval()
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # whose one operator for a whole block torch does not count
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *SHAPE))
    torch.backends.mha.set_fastpath_enabled(before)
    expected = counter.get_total_flops() // 2 + UNCOUNTED.get(name, 0)
    exporter.export_core(model, signature(SHAPE, CLASSES), tmp_path / "core.onnx", 21)
    found = cost.count(tmp_path / "core.onnx")
    assert (found["macs"], found["macs_unknown"]) == (expected, None)
    network = of_network.count(model, SHAPE)
    assert (network.macs, network.uncounted) == (expected, ())
