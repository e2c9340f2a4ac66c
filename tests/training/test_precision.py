"""bfloat16 only where it pays."""

import pytest
import torch

from compressor import machine
from compressor.training import precision


@pytest.mark.parametrize(("flag", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch, flag: bool, expected: str) -> None:
    monkeypatch.setattr(machine, "has_bf16", lambda: flag)
    assert precision.resolve("auto", "cpu") == expected
    assert precision.resolve("float32", "cpu") == "float32"
    assert precision.resolve("bfloat16", "cpu") == "bfloat16"
    assert precision.resolve("auto", "mps") == "float32"


def test_autocast_only_where_asked() -> None:
    inputs = torch.ones(2, 2)
    with precision.autocast("bfloat16", "cpu"):
        assert (inputs @ inputs).dtype is torch.bfloat16
    with precision.autocast("float32", "cpu"):
        assert (inputs @ inputs).dtype is torch.float32


def test_a_numbered_gpu_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert precision.resolve("auto", "cuda:1") == "bfloat16"
    asked: list[str] = []
    monkeypatch.setattr(torch, "autocast", lambda device, dtype: asked.append(device))
    precision.autocast("bfloat16", "cuda:1")
    assert asked == ["cuda"]
