"""Where rounding ends and company begins."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from compressor.errors import InputError
from compressor.models import neighbours

FEW = {"input": torch.linspace(-1, 1, 32).reshape(8, 4).sin()}


class Amplified(nn.Module):
    """Answers move with the batch's size by 100,000 roundings of the type that is computed in."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self.fc, self.share = nn.Linear(4, 3), share

    def forward(self, x: Tensor) -> Tensor:
        rounding = 1e5 * torch.finfo(x.dtype).eps * len(x)
        found: Tensor = self.fc(x) * (1 + rounding + self.share * len(x))
        return found


class Single(Amplified):
    """Made for float32 alone."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x[:, :3] @ torch.eye(3)


def test_rounding_that_a_network_amplifies_is_none_of_the_company() -> None:
    neighbours.check(Amplified().eval(), FEW)


@pytest.mark.parametrize("network", [Amplified(share=1e-4), Single(share=0.01)])
def test_what_float64_shows_too_and_what_cannot_be_asked_in_it_is(network: nn.Module) -> None:
    with pytest.raises(InputError, match="otherwise"):
        neighbours.check(network.eval(), FEW)


class Alike(Amplified):
    """Answers all samples nearly alike, as a deep network does whose weights nobody trained."""

    def forward(self, x: Tensor) -> Tensor:
        rounding = 2 * torch.finfo(x.dtype).eps * len(x)
        found: Tensor = 1 + rounding + 1e-9 * self.fc(x)
        return found


def test_answers_that_are_alike_but_for_rounding_are_compared_with_its_size() -> None:
    neighbours.check(Alike().eval(), FEW)


class Masked(nn.Module):
    """The second answer is always minus infinity."""

    def __init__(self, mixing: bool) -> None:
        super().__init__()
        self.fc, self.mixing = nn.Linear(4, 3), mixing

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(x - x.mean(0) if self.mixing else x)
        return found.masked_fill(torch.tensor([False, True, False]), float("-inf"))


def test_answers_beside_an_infinite_one_are_compared() -> None:
    neighbours.check(Masked(mixing=False), FEW)
    with pytest.raises(InputError, match=r"`mean` .*mixes the samples of a batch"):
        neighbours.check(Masked(mixing=True), FEW)


class Stubborn(nn.Module):
    """Stays in training mode, whatever it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def train(self, mode: bool = True) -> Stubborn:
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(x)
        return found


class Turning(nn.Module):
    """Turns to training mode while it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        self.norm.train()
        found: Tensor = self.norm(x)
        self.norm.eval()
        return found


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Stubborn(), r"let `Stubborn\.train` put it into eval mode: `return super\(\)\.train\(mode\)`"),
        (nn.Sequential(nn.Linear(4, 4), Stubborn()), r"let `Stubborn\.train` \(of `1`\) put it into eval mode"),
        (Turning(), r"leave it in eval mode: no `\.train\(\)` in `forward`"),
    ],
)
def test_what_keeps_a_norm_in_training_mode_is_named(network: nn.Module, words: str) -> None:
    with pytest.raises(InputError, match=words):
        neighbours.check(network.eval(), FEW)
