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
