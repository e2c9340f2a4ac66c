"""Multiply-accumulates counted by hand."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

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


class Products(nn.Module):
    """Something of [1, 4, 6] by the name of a case."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case, self.weight = case, nn.Parameter(torch.randn(5, 6))
        self.lstm = nn.LSTM(6, 3, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(6, 3, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.block = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = {
            "linear": lambda: F.linear(x, self.weight),
            "convolution": lambda: F.conv1d(x, torch.ones(8, 2, 3), groups=2),
            "matrices": lambda: x @ x.transpose(1, 2),
            "vector": lambda: x[0] @ x[0, 0],
            "einsum": lambda: torch.einsum("bik,jk->bij", x, self.weight),
            "scaled dot product": lambda: F.scaled_dot_product_attention(x, x, x),
            "lstm": lambda: self.lstm(x)[0],
            "gru": lambda: self.gru(x)[0],
            "attention": lambda: self.attention(x, x, x)[0],
            "block": lambda: self.block(x),
            "weights alone": lambda: x[..., :5] @ torch.relu(self.weight @ self.weight.T),
            "elementwise": lambda: (x * x).cumsum(1).softmax(2),
        }[self.case]()
        return made.flatten(1) if made.dim() > 1 else made[None]


@pytest.mark.parametrize(
    ("case", "macs"),
    [
        ("linear", 4 * 5 * 6),
        ("convolution", 8 * 4 * 2 * 3),
        ("matrices", 4 * 4 * 6),
        ("vector", 4 * 6),
        ("einsum", 4 * 5 * 6),
        ("scaled dot product", 2 * 4 * 4 * 6),
        # 4 steps, 2 directions: 4 gates of 3, from 6 inputs or the 6 of both directions below, and 3 hidden ones
        ("lstm", 4 * 2 * 12 * (6 + 3) * 2),
        ("gru", 4 * 9 * (6 + 3)),
        ("attention", 4 * 6 * 18 + 2 * 4 * 4 * 6 + 4 * 6 * 6),
        ("block", 4 * 6 * 18 + 2 * 4 * 4 * 6 + 4 * 6 * 6 + 2 * 4 * 6 * 8),
        ("weights alone", 4 * 5 * 5),
        ("elementwise", 0),
    ],
)
def test_products_are_counted_whether_modules_or_functions(case: str, macs: int) -> None:
    found = cost.count(Products(case), (4, 6))
    assert (found.macs, found.uncounted) == (macs, ())


def test_a_deformable_convolution_by_hand() -> None:
    class Deformable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offsets = nn.Conv2d(2, 18, 3)
            self.layer = torchvision.ops.DeformConv2d(2, 5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x, self.offsets(x))

    # 4x4 places, each output sums 2 channels of 9
    assert cost.count(Deformable(), (2, 6, 6)).macs == 16 * 18 * 18 + 16 * 5 * 18


def test_operators_that_nobody_counts_are_named() -> None:
    class Spectrum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(torch.fft.fft(x).abs())

    found = cost.count(Spectrum(), (4,))
    assert (found.macs, found.uncounted) == (12, ("aten._fft_r2c",))
    assert found.words() == "15 parameters, at least 12 MACs (those of aten._fft_r2c are not counted)"


def test_counting_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train()
    model[0].eval()
    cost.count(model, (1, 2, 2))
    assert model.training
    assert not model[0].training
    assert model[1].training
    assert model[1].running_mean.item() == 0
    assert not model[0]._forward_hooks


def test_a_network_that_draws_and_holds_a_whole_number_first_is_counted() -> None:
    class Drawing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.Parameter(torch.tensor(3), requires_grad=False)
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.rand(1)
            return self.layer(x)

    model, drawn = Drawing(), torch.get_rng_state()
    assert cost.count(model, (4,)).macs == 12
    assert torch.equal(drawn, torch.get_rng_state())


@pytest.mark.parametrize(
    ("macs", "words"),
    [
        (12_501_000, "12.5 million"), (999_999, "999,999"), (1_000_000, "1 million"), (3_196_000_000, "3.2 billion"),
    ],
)  # fmt: skip
def test_a_count_in_words(macs: int, words: str) -> None:
    assert cost.Cost(macs, 1_234).words() == f"1,234 parameters, {words} MACs"
