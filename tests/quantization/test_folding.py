"""Batch norms fold into what they follow, in networks of our own and of others, and only where that changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from compressor.quantization import folding
from tests.onnx_graph.networks import net, settle

EXAMPLE = (torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0)),)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def same(a: nn.Module, b: nn.Module) -> bool:
    other = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return torch.allclose(a.eval()(other), b.eval()(other), atol=1e-5)


def test_pairs_are_found_inside_and_between_modules_and_all_parameters_learn() -> None:
    model = net()
    folded, pairs = folding.fold(model, EXAMPLE)
    assert pairs == [("stem.0", "stem.1"), ("depthwise", "norm")]
    assert norms(folded) == 0
    assert norms(model) == 2
    assert same(folded, model)
    assert folded.get_submodule("stem.0").bias is not None
    assert all(parameter.requires_grad for parameter in folded.parameters())


def test_timms_norms_keep_their_activation_and_its_same_padding_convolutions_fold() -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = settle(timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=4))
    example = (torch.randn(2, 3, 32, 32),)
    folded, pairs = folding.fold(model, example)
    assert len(pairs) == norms(model) == 49
    assert norms(folded) == 0
    with torch.no_grad():
        assert torch.allclose(folded(example[0]), model(example[0]), atol=1e-4, rtol=1e-3)


class _ReadTwice(nn.Module):
    """The convolution's output goes past the norm, too, so that folding would change it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.good, self.good_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.good_norm(self.good(self.norm(x) + x)).mean((2, 3))


def test_a_convolution_that_something_else_reads_keeps_its_norm() -> None:
    model = settle(_ReadTwice())
    folded, pairs = folding.fold(model, EXAMPLE)
    assert pairs == [("good", "good_norm")]
    assert same(folded, model)


class _Shared(nn.Module):
    """One convolution, used twice, with a norm each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.conv(self.first(self.conv(x)))).mean((2, 3))


def test_a_convolution_used_twice_keeps_its_norms() -> None:
    folded, pairs = folding.fold(settle(_Shared()), EXAMPLE)
    assert pairs == []
    assert norms(folded) == 2


def test_a_linear_layer_takes_its_norm_in() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.BatchNorm1d(5))
    nn.init.uniform_(model[2].running_mean, -1, 1)
    folded, pairs = folding.fold(model, EXAMPLE)
    assert pairs == [("1", "2")]
    assert same(folded, model)


class _Leaks(nn.Module):
    """A norm that doubles what the convolution gives unchanged, and a share of the convolution's output beside it."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.conv, self.norm, self.share = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0), share
        nn.init.ones_(self.conv.weight)
        nn.init.constant_(self.norm.weight, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.norm(x) + self.share * x


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
@pytest.mark.parametrize(
    ("share", "folds"), [(0.0, True), (0.00199, True), (0.00202, False), (-0.00199, True), (-0.002, False)]
)
def test_outputs_may_change_by_a_thousandth_of_the_largest(size: float, share: float, folds: bool) -> None:
    """Folded, the share is of twice the output: of (2 + share) · x the change is share · x."""
    example = (size * torch.tensor([[[[0.0, 1.0, -0.5]]]]),)
    folded, pairs = folding.fold(_Leaks(share), example)
    assert pairs == ([("conv", "norm")] if folds else [])
    assert norms(folded) == (0 if folds else 1)


def test_a_norm_without_statistics_of_its_own_stays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
    assert folding.fold(model, EXAMPLE)[1] == []
