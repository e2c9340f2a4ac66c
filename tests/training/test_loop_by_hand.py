"""Steps, rates, losses and averages of a training, counted by hand over several epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from compressor.training import loop
from compressor.training.settings import TrainingFields
from tests.toy import Falling, ToyTask, toy_context


class Slope(nn.Module):
    """One weight, whose loss falls by one with each unit: a step moves it by the learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :3] * self.weight


def fit(folder: Path, task: Any = None, objective: Any = None, **changes: Any) -> tuple[float, list[dict[str, Any]]]:
    fields = {
        "epochs": 2, "batch_size": 16, "learning_rate": 1.0, "momentum": 0, "weight_decay": 0, "schedule": "constant",
        "precision": "float32", **changes,
    }  # fmt: skip
    model, task = Slope(), task or ToyTask(train=48, validation=0)
    context = toy_context(folder, task)
    falling = objective or Falling(lambda model, batch: -model.weight.sum())
    curves = loop.fit(model, falling, task, TrainingFields(**fields), context=context)
    return model.weight.item(), curves


def test_rates_rise_in_the_first_epoch_and_fall_by_the_cosine_in_the_second(tmp_path: Path) -> None:
    """Six steps, three of warm-up: 1/3, 2/3 and 1; then progress 0, 1/3 and 2/3: 1, 3/4 and 1/4. Four in all."""
    moved, curves = fit(tmp_path, schedule="cosine", warmup_epochs=1.0, learning_rate=0.5)
    assert moved == pytest.approx(0.5 * 4)
    assert [row["learning_rate"] for row in curves] == pytest.approx([0.5, 0.125])


def test_half_an_epoch_of_warmup_is_rounded_to_steps(tmp_path: Path) -> None:
    """Half of three steps is two (to even): 1/2 and 1, then four at the peak."""
    assert fit(tmp_path, warmup_epochs=0.5)[0] == pytest.approx(0.5 + 1 + 4)


def test_an_incomplete_batch_at_the_end_of_an_epoch_is_left_out(tmp_path: Path) -> None:
    for size, steps in ((47, 2), (48, 3), (16, 1)):
        assert fit(tmp_path / str(size), ToyTask(train=size, validation=0))[0] == 2 * steps


def test_the_loss_of_an_epoch_is_the_mean_over_its_steps(tmp_path: Path) -> None:
    """Before each step the loss is minus the weight: 0, -1, -2 and -3, -4, -5."""
    _, curves = fit(tmp_path)
    assert [row["train_loss"] for row in curves] == [-1.0, -4.0]
    assert [row["epoch"] for row in curves] == [1, 2]


def test_the_average_counts_its_steps_through_all_epochs(tmp_path: Path) -> None:
    """Weights 1 to 4 in two epochs of two steps, decays 1/10, 2/11, 3/12 and 4/13, all below 1/2."""
    average = 0.0
    for weight, decay in ((1, 1 / 10), (2, 2 / 11), (3, 3 / 12), (4, 4 / 13)):
        average = decay * average + (1 - decay) * weight
    assert fit(tmp_path, ToyTask(train=32, validation=0), ema=0.5)[0] == pytest.approx(average)


def test_progress_is_told_at_the_first_and_the_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", 3600.0)
    task = ToyTask(train=48, validation=0)
    context = toy_context(tmp_path, task)
    fields = TrainingFields(epochs=2, batch_size=16, learning_rate=0.5, precision="float32")
    loop.fit(Slope(), Falling(lambda model, batch: -model.weight.sum()), task, fields, context=context)
    assert [step[:3] for step in context.progress.steps] == [(1, 6, "batches"), (6, 6, "batches")]


def test_a_checkpoint_is_written_after_every_epoch_and_after_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[int, int]] = []
    real = loop.checkpoint.write

    def write(path: Path, position: Any, parts: Any, *, sync: bool) -> None:
        written.append((position.epoch, position.batch))
        real(path, position, parts, sync=sync)

    monkeypatch.setattr(loop.checkpoint, "write", write)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 3600.0)
    fit(tmp_path / "a")
    assert written == [(1, 0), (2, 0)]
    written.clear()
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    fit(tmp_path / "b")
    assert written == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
