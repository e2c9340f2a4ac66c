"""What training changes outside of the state dict, after the first step has shown nothing, fails the step by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Compress = Callable[..., tuple[int, str, str]]

NETS = """
from collections import deque
import torch
from torch import nn

class Late(nn.Module):
    '''Changes something from the third batch on.'''
    def __init__(self):
        super().__init__()
        self.conv, self.fc, self.steps = nn.Conv2d(1, 8, 3, 2), nn.Linear(8, 10), 0
        self.setup()
    def setup(self): pass
    def forward(self, x):
        y = self.conv(x).relu().mean((2, 3))
        if self.training:
            self.steps += 1
            if self.steps > 2:
                self.change(y)
        return self.fc(self.use(y))
class Tensor(Late):
    def setup(self): self.mean = torch.zeros(8)
    def change(self, y): self.mean = self.mean + 0.1 + y.mean(0).detach()
    def use(self, y): return y - self.mean
class Buffer(Tensor):
    def setup(self): self.register_buffer("mean", torch.zeros(8), persistent=False)
class Number(Late):
    def setup(self): self.tau = 1.0
    def change(self, y): self.tau *= 0.9
    def use(self, y): return y / self.tau
class List(Late):
    def setup(self): self.gains = [1.0] * 8
    def change(self, y): self.gains[0] += 0.5
    def use(self, y): return y * torch.tensor(self.gains)
class Queue(Late):
    def setup(self): self.last = deque([1.0], maxlen=3)
    def change(self, y): self.last.append(2.0)
    def use(self, y): return y * sum(self.last)
class Slot:
    __slots__ = ("gain",)
class Slotted(Late):
    def setup(self):
        self.held = Slot()
        self.held.gain = 1.0
    def change(self, y): self.held.gain += 0.5
    def use(self, y): return y * self.held.gain
class Forgets(Number):
    def get_extra_state(self): return {"tau": self.tau}
    def set_extra_state(self, state): pass
class OneWay(Number):
    def get_extra_state(self): return {"tau": self.tau}
class Grows(Late):
    def change(self, y):
        if not hasattr(self, "late"):
            self.late = nn.Linear(8, 8)
    def use(self, y): return self.late(y) if hasattr(self, "late") else y
class Lazy(Late):
    def use(self, y):
        if not hasattr(self, "late"):
            self.late = nn.Linear(8, 8)
        return self.late(y)
class Sizeless(Late):
    def setup(self): self.fc = nn.LazyLinear(10)
    def use(self, y): return y
class Kept(Number):
    def get_extra_state(self): return {"tau": self.tau, "steps": self.steps}
    def set_extra_state(self, state): self.tau, self.steps = state["tau"], state["steps"]
"""


@pytest.fixture
def run(tmp_path: Path, compress: Compress) -> Callable[..., tuple[int, str]]:
    (tmp_path / "latenets.py").write_text(NETS)

    def call(name: str, more: str = "", epochs: int = 1) -> tuple[int, str]:
        path = tmp_path / "p.yaml"
        path.write_text(
            "version: 1\nname: n\ntask: {type: image-classification, data: digits}\nsteps:\n"
            f"  net: {{stage: finetune, factory: 'latenets:{name}', epochs: {epochs}, batch_size: 256, {more}}}\n"
        )
        code, _, said = compress("run", path, "--store", tmp_path / "store", "--out", tmp_path / "out")
        return code, said

    return call


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("Tensor", "mean"), ("Buffer", "mean"), ("Number", "tau"), ("List", "gains"), ("Queue", "last"),
     ("Slotted", "held"), ("Forgets", "tau")],
)  # fmt: skip
def test_an_attribute_that_training_changed_is_named(
    name: str, attribute: str, run: Callable[..., tuple[int, str]]
) -> None:
    for _ in range(2):  # what the first run left of its training does not make the second one pass
        code, said = run(name)
        assert code == 3, said
        assert "step net: the network that was saved answers otherwise when it is read back" in said
        assert f"its attribute `{attribute}` is not in its state dict" in said


def test_layers_that_appear_while_it_trains_are_named(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("Grows")
    assert code == 3, said
    assert "step net: after some samples the network has `late." in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Lazy", "after some samples the network has `late.weight`, `late.bias` in its state dict"),
        ("Sizeless", "its part `fc` (LazyLinear) has no size until a first sample goes through it"),
        ("OneWay", "has `get_extra_state` and no `set_extra_state`"),
    ],
)
def test_what_building_shows_is_refused_before_training(
    name: str, says: str, run: Callable[..., tuple[int, str]]
) -> None:
    code, said = run(name)
    assert code == 2, said
    assert says in said


@pytest.mark.parametrize(
    "more",
    ["ema: 0.9", "early_stopping: 1"],
)
def test_extra_state_is_kept_with_what_else_chooses_weights(more: str, run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("Kept", more, epochs=2)
    assert code == 0, said


def test_a_weight_that_lies_otherwise_in_memory_when_it_is_built_is_pruned_and_read_back(
    tmp_path: Path, compress: Compress
) -> None:
    """An orthogonal parametrization computes a weight in other strides than a pruned copy has: products of the two
    differ in their last bits."""
    (tmp_path / "strided.py").write_text(
        "import torch\nfrom torch import nn\nfrom torch.nn.utils import parametrizations\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv, self.norm = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)\n"
        "        self.fc = parametrizations.orthogonal(nn.Linear(16, 10))\n"
        "    def forward(self, x):\n"
        "        return self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))\n"
    )
    (tmp_path / "s.yaml").write_text(
        "version: 1\nname: s\ntask: {type: image-classification, data: digits}\nsteps:\n"
        "  a: {stage: load, factory: 'strided:Net'}\n"
        "  b: {stage: prune, from: a, keep: {macs: 0.625}, round_to: 1, epochs: 1, batch_size: 512}\n"
    )
    code, _, said = compress("run", tmp_path / "s.yaml", "--until", "b")
    assert code == 0, said
