"""Networks that nobody asked anything before they were trained: what is asked of them when they ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Compress = Callable[..., tuple[int, str, str]]

NETS = """
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 3, 2)
    def pooled(self, x):
        return self.conv(x).mean((2, 3))
class Centred(Base):
    def forward(self, x):
        y = self.pooled(x)
        return y - y.mean(0)
class Turned(Base):
    def forward(self, x):
        return self.pooled(x).cumsum(0)
"""


@pytest.fixture
def run(tmp_path: Path, compress: Compress, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    (tmp_path / "shipnets.py").write_text(NETS)

    def call(name: str, more: str = "", *, unasked: tuple[str, ...] = ()) -> tuple[int, str]:
        path = tmp_path / "p.yaml"
        head = "version: 1\nname: n\ntask: {type: image-classification, data: digits}\nsteps:\n"
        path.write_text(f"{head}  net: {{stage: load, factory: 'shipnets:{name}'}}\n{more}")
        with monkeypatch.context() as before:
            for check in unasked:
                before.setattr(check, lambda *given: None)
            code, _, said = compress("run", path, "--store", tmp_path / "store", "--out", tmp_path / "out")
        return code, said

    return call


TORCH, GRAPH = "compressor.models.neighbours.check", "compressor.evaluation.single.check"
PARITY = "compressor.onnx_graph.parity.check_float"


@pytest.mark.parametrize(("name", "says"), [("Centred", "ReduceMean"), ("Turned", "CumSum")])
def test_a_network_of_an_older_store_is_asked_when_it_is_evaluated(
    name: str, says: str, run: Callable[..., tuple[int, str]]
) -> None:
    code, said = run(name, unasked=(TORCH,))
    assert code == 3, said
    assert "step net.evaluation: the graph does not answer each sample by itself: its node `" in said
    assert f"({says}) mixes the samples of a batch" in said


def test_what_was_evaluated_unasked_is_asked_when_it_ships(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, said = run("Centred", unasked=(TORCH, GRAPH, PARITY))
    assert code == 0, said
    code, said = run("Centred", "  edge: {stage: export, from: net}\n")
    assert code == 3, said
    assert "step edge: the graph does not answer each sample by itself: its node `" in said
    assert not (tmp_path / "out" / "bundle").exists()
