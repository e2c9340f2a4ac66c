"""Weights saved as what they are computed from, loaded into plain networks, and plain ones into networks that compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from compressor.errors import InputError
from compressor.models import checkpoints, plain

pytestmark = pytest.mark.filterwarnings("ignore:.*(weight_norm|spectral_norm).*:FutureWarning")

Wrap = Callable[[nn.Module], Any]
WRAPS: dict[str, Wrap] = {
    "weight_norm": nn.utils.weight_norm,
    "weight_norm, one length": lambda layer: nn.utils.weight_norm(layer, dim=None),  # type: ignore[arg-type]
    "spectral_norm": nn.utils.spectral_norm,
    "mask": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),  # type: ignore[no-untyped-call]
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
}


def network(wrap: Wrap | None = None) -> nn.Module:
    layer = nn.Conv2d(2, 4, 3)
    return nn.Sequential(nn.Conv2d(1, 2, 3), wrap(layer) if wrap else layer, nn.Flatten(), nn.Linear(64, 3))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", WRAPS)
def test_saved_parts_become_the_weight_that_they_make(name: str, prefix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    given, taken, inputs = network(WRAPS[name]), network(), torch.randn(2, 1, 8, 8)
    given.train()(inputs)
    torch.save({prefix + key: value for key, value in given.state_dict().items()}, tmp_path / "w.pt")
    told: list[str] = []
    checkpoints.load_into(taken, tmp_path / "w.pt", None, say=told.append)
    with torch.no_grad():
        assert torch.allclose(taken.eval()(inputs), given.eval()(inputs), rtol=1e-5, atol=1e-6)
    assert any("computed from what" in line and "1.weight" in line for line in told)


@pytest.mark.parametrize("name", WRAPS)
def test_plain_weights_fit_a_network_that_computes_them(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    given, taken, inputs = network(), network(WRAPS[name]), torch.randn(2, 1, 8, 8)
    torch.save(given.state_dict(), tmp_path / "w.pt")
    with torch.no_grad():
        taken.eval()(inputs)  # as whoever builds a network does: only then can old weight norms be copied
        checkpoints.load_into(taken, tmp_path / "w.pt", None)
        assert torch.equal(taken.eval()(inputs), given.eval()(inputs))
    assert not plain.bake(taken)


def test_parts_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(network(nn.utils.weight_norm).state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="another architecture"):
        checkpoints.load_into(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)), tmp_path / "w.pt", None)


RECURRENT: dict[str, Wrap] = {
    "weight_norm": lambda layer: nn.utils.weight_norm(layer, "weight_hh_l0"),
    "spectral_norm": lambda layer: nn.utils.spectral_norm(layer, "weight_ih_l0"),
    "mask": lambda layer: prune.l1_unstructured(layer, "weight_hh_l0", 0.5),  # type: ignore[no-untyped-call]
    "parametrized weight_norm": lambda layer: parametrizations.weight_norm(layer, "weight_ih_l0"),
    "parametrized spectral_norm": lambda layer: parametrizations.spectral_norm(layer, "weight_hh_l0"),
}


class Recurrent(nn.Module):
    """A layer whose weights have other names than `weight` and `bias`."""

    def __init__(self, wrap: Wrap | None = None) -> None:
        super().__init__()
        made = nn.LSTM(3, 4)
        self.layer = wrap(made) if wrap else made

    def forward(self, inputs: torch.Tensor) -> Any:
        """Outputs [length, samples, 4]."""
        return self.layer(inputs)[0]


@pytest.mark.parametrize("name", RECURRENT)
def test_saved_parts_of_any_tensor_become_the_one_that_they_make(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    given, taken, inputs = Recurrent(RECURRENT[name]), Recurrent(), torch.randn(5, 2, 3)
    given.train()(inputs)
    torch.save(given.state_dict(), tmp_path / "w.pt")
    checkpoints.load_into(taken, tmp_path / "w.pt", None)
    with torch.no_grad():
        assert torch.allclose(taken.eval()(inputs), given.eval()(inputs), rtol=1e-5, atol=1e-6)
