"""Networks with re-parametrized layers as loaded ones, teachers and students, pruned and exported."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

Compress = Callable[..., tuple[int, str, str]]

NETS = """
from torch import nn
from torch.nn.utils import prune, spectral_norm, weight_norm

def layered(wrap):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), wrap(nn.Conv2d(4, 8, 3)), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
def normed(): return layered(weight_norm)
def spectral(): return layered(spectral_norm)
def masked(): return layered(lambda layer: prune.l1_unstructured(layer, "weight", 0.5))
"""


@pytest.mark.filterwarnings("ignore:.*(weight_norm|spectral_norm).*:FutureWarning")
def test_they_load_teach_learn_are_pruned_and_ship(
    tmp_path: Path, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "computednets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    nets = importlib.import_module("computednets")
    torch.save(nets.normed().state_dict(), tmp_path / "normed.pt")
    torch.save(nets.masked().state_dict(), tmp_path / "masked.pt")
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nname: n\ntask: {type: image-classification, data: digits}\nsteps:\n"
        "  teacher: {stage: load, factory: 'computednets:normed', weights: normed.pt}\n"
        "  other: {stage: load, factory: 'computednets:masked', weights: masked.pt}\n"
        "  student: {stage: distill, teacher: teacher, factory: 'computednets:spectral', epochs: 1, batch_size: 512}\n"
        "  slim: {stage: prune, from: other, keep: {macs: 0.7}, round_to: 1, epochs: 1, batch_size: 512}\n"
        "  edge: {stage: export, from: student}\n"
        "  thin: {stage: export, from: slim}\n"
        "ship: edge\n"
    )
    code, _, said = compress("run", path, "--store", tmp_path / "store", "--out", tmp_path / "out")
    assert code == 0, said
