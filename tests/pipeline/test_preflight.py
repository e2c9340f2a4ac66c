"""What torch is asked before the first step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from compressor.errors import InputError
from compressor.pipeline import preflight


def trains(batch_size: int) -> Any:
    return SimpleNamespace(name="a", spec=SimpleNamespace(epochs=1, batch_size=batch_size))


def test_a_batch_is_compared_with_the_whole_split_even_where_smoke_sees_a_few() -> None:
    task: Any = SimpleNamespace(facts=SimpleNamespace(sizes={"train": 1000}), size=lambda split: 512)
    preflight._check_samples(trains(600), task)
    with pytest.raises(InputError, match="1001 samples a batch, and the training split has 1000"):
        preflight._check_samples(trains(1001), task)


def test_a_device_that_torch_cannot_use_is_the_users_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    preflight.check_device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device: cuda cannot be used by the torch that is installed"):
        preflight.check_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    preflight.check_device("cuda:1")
    with pytest.raises(InputError, match="there is no cuda:2, the last one is cuda:1"):
        preflight.check_device("cuda:2")
