"""What torch is asked before the first step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from compressor.errors import InputError
from compressor.pipeline.run import preflight
from compressor.stages.finetune import FinetuneSpec


def test_a_batch_is_compared_with_the_whole_split_even_where_smoke_sees_a_few() -> None:
    task: Any = SimpleNamespace(facts=SimpleNamespace(sizes={"train": 1000}), size=lambda split: 512)
    FinetuneSpec(model="resnet8", batch_size=600).check_data("a", task)
    with pytest.raises(InputError, match=r"steps.a.batch_size: 1001 samples a batch, and the training split has 1000"):
        FinetuneSpec(model="resnet8", batch_size=1001).check_data("a", task)


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
