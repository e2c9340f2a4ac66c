"""Networks from the user's own code."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as registration

from compressor.errors import InputError
from compressor.models import catalogue, network, size

CODE = """
from torch import nn
def make(width=2, classes=3):
    head = nn.Linear(width, classes)
    return nn.Sequential(nn.Conv2d(1, width, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
def inside(kind):
    import torch
    wrapped = {"DataParallel": nn.DataParallel, "compile": torch.compile, "script": torch.jit.script}
    if kind == "part":
        return nn.Sequential(torch.jit.script(nn.Flatten()), nn.Linear(64, 3))
    return wrapped[kind](make())
def broken():
    raise RuntimeError("no such luck")
def nothing():
    return 3
def drawn():
    import random
    import numpy as np
    import torch
    model = make()
    with torch.no_grad():
        model[3].weight.copy_(random.random() * torch.from_numpy(np.random.randn(3, 2)))
    return model
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "usersnets").mkdir()
    (tmp_path / "usersnets/nets.py").write_text(CODE)
    return tmp_path


def build(factory: str, base: Path | None, **args: object) -> Any:
    return catalogue.build({"factory": factory, "args": args}, outputs=3, input_shape=(1, 8, 8), base=base)


def test_a_factory_beside_the_pipeline_is_called_with_its_args(base: Path, tmp_path: Path) -> None:
    model = build("usersnets.nets:make", base, width=5)
    assert model[0].out_channels == 5  # type: ignore[index]
    (tmp_path / "artifact").mkdir()
    ref = {"factory": "usersnets.nets:make", "args": {"width": 5}}
    network.save(tmp_path / "artifact", model, ref, 3, (1, 8, 8))  # type: ignore[arg-type]
    assert network.read(tmp_path / "artifact", base)[0].out_channels == 5  # type: ignore[index]


def test_what_a_factory_draws_follows_from_the_seed(base: Path) -> None:
    one, other = (build("usersnets.nets:drawn", base)[3].weight for _ in range(2))
    assert torch.equal(one, other)


def test_a_folder_of_the_same_name_elsewhere_does_not_stand_in(base: Path, tmp_path: Path) -> None:
    build("usersnets.nets:make", base)
    other = tmp_path / "other"
    (other / "usersnets").mkdir(parents=True)
    (other / "usersnets/nets.py").write_text(CODE.replace("width=2", "width=7"))
    assert build("usersnets.nets:make", other)[0].out_channels == 7  # type: ignore[index]


@pytest.mark.parametrize(
    ("factory", "args", "said"),
    [
        ("usersnets.none:make", {}, "there is no module 'usersnets.none'"),
        ("usersnets.nets:mke", {}, "did you mean 'make'?"),
        ("usersnets.nets:broken", {}, "RuntimeError: no such luck"),
        ("usersnets.nets:nothing", {}, "it returned a int"),
        ("usersnets.nets:inside", {"kind": "DataParallel"}, r"returned a DataParallel; .* inside: its `\.module`"),
        ("usersnets.nets:inside", {"kind": "compile"}, r"what torch\.compile made; .* inside: its `\._orig_mod`"),
        ("usersnets.nets:inside", {"kind": "script"}, "it returned a TorchScript program"),
        ("usersnets.nets:inside", {"kind": "part"}, "its part `0` is a TorchScript program"),
        ("usersnets.nets:make", {"depth": 3}, "unexpected keyword argument 'depth'"),
        ("usersnets.nets:make", {"classes": 4}, r"answers with shape \[2, 4\] for 2 samples, where \[2, 3\] is needed"),
    ],
)
def test_what_is_wrong_with_a_factory_is_said(base: Path, factory: str, args: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        build(factory, base, **args)


def test_more_than_an_onnx_file_holds_is_refused_before_it_is_made_or_run() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Linear(64, 8_800_000, bias=False, device="meta")

    what = r"its weights take 2\.25 GB in float32, and one ONNX file holds 2\.15 GB; use a smaller network"
    with pytest.raises(InputError, match=what):
        size.check(Wide(), "resnet8")
    with pytest.raises(InputError, match=r"model timm:vit_giant_patch14_224: its weights take 4\.04 GB"):
        catalogue.build("timm:vit_giant_patch14_224", outputs=10, input_shape=(3, 224, 224))


GROWING = """
import torch
from torch import nn
MADE = []
class Row(nn.Linear):
    def reset_parameters(self):
        MADE.append(self.weight.numel())
        super().reset_parameters()
def grows(): return nn.Sequential(*(Row(100, 100, bias=False) for _ in range(30)))
def part():
    for _ in range(5):
        whole = None
        whole = nn.Sequential(*(Row(100, 100, bias=False) for _ in range(8)))
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 100), whole[0], nn.Linear(100, 3))
def twins():
    row = Row(100, 100)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 100), *(row for _ in range(30)), nn.Linear(100, 3))
def later():
    with torch.device("meta"): made = nn.Sequential(*(nn.Linear(100, 100) for _ in range(30)))
    MADE.append("no")
    return made
"""


@pytest.fixture
def small_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(size, "LARGEST_FILE", 400_000)  # ten rows of 40,000 bytes
    (tmp_path / "growing.py").write_text(GROWING)
    return tmp_path


@pytest.mark.parametrize("name", ["grows", "later"])
def test_a_factory_is_stopped_where_its_network_becomes_too_large(name: str, small_limit: Path) -> None:
    with pytest.raises(InputError, match=r"its weights take at least 0\.00 GB in float32, and one ONNX file holds"):
        build(f"growing:{name}", small_limit)
    made = sys.modules["growing"].MADE
    assert made == ([10_000] * 10 if name == "grows" else [])
    assert not registration._global_parameter_registration_hooks


@pytest.mark.parametrize("name", ["part", "twins"])
def test_what_is_thrown_away_or_shared_counts_once(name: str, small_limit: Path) -> None:
    assert build(f"growing:{name}", small_limit)(torch.ones(2, 1, 8, 8)).shape == (2, 3)
