"""What moves and what stays, each rule by itself and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from compressor.errors import InputError, ResourceError
from compressor.training import optimizer
from compressor.training.evaluation import evaluate, memory_errors
from compressor.training.placing import to_device
from compressor.training.settings import TrainingFields
from tests.toy import ToyTask


def settings(**changes: Any) -> TrainingFields:
    return TrainingFields(**{"epochs": 1, "batch_size": 2, "learning_rate": 0.5, **changes})


def layers() -> nn.ModuleDict:
    return nn.ModuleDict({"part": nn.Linear(2, 1), "part1": nn.Linear(2, 1), "norm": nn.BatchNorm1d(1)})


def test_a_prefix_is_a_whole_name_and_takes_what_lies_below_it() -> None:
    for prefix in ("part", "part."):
        model = layers()
        resting = optimizer.frozen_parts(model, [prefix], "s")
        assert [name for name, one in model.named_parameters() if not one.requires_grad] == ["part.weight", "part.bias"]
        assert resting == [model["part"]]
    model = layers()
    assert optimizer.frozen_parts(model, ["norm.weight"], "s") == []
    assert [name for name, one in model.named_parameters() if not one.requires_grad] == ["norm.weight"]
    assert optimizer.frozen_parts(layers(), [], "s") == []
    with pytest.raises(InputError, match="no parameter lies under 'par'"):
        optimizer.frozen_parts(layers(), ["par"], "s")


def test_matrices_decay_and_what_has_one_dimension_does_not() -> None:
    model = layers()
    model["part1"].weight.requires_grad_(False)
    matrices, rest = optimizer.groups(model, 0.125)
    assert (matrices["weight_decay"], rest["weight_decay"]) == (0.125, 0.0)
    assert [one.dim() for one in matrices["params"]] == [2]
    assert [one.dim() for one in rest["params"]] == [1] * 4


def test_momentum_is_nesterovs_and_none_is_plain() -> None:
    made = optimizer.make(layers(), settings(momentum=0.75, weight_decay=0.5))
    assert isinstance(made, torch.optim.SGD)
    assert [(group["momentum"], group["nesterov"], group["lr"]) for group in made.param_groups] == [
        (0.75, True, 0.5)
    ] * 2
    plain = optimizer.make(layers(), settings(momentum=0))
    assert [group["nesterov"] for group in plain.param_groups] == [False, False]
    adamw = optimizer.make(nn.BatchNorm1d(1), settings(optimizer="adamw", learning_rate=0.25))
    assert isinstance(adamw, torch.optim.AdamW)
    assert [group["lr"] for group in adamw.param_groups] == [0.25], "a group of nothing is left out"


@pytest.mark.parametrize(
    ("clip", "moved"), [(None, [3.0, 4.0]), (2.5, [1.5, 2.0]), (5.0, [3.0, 4.0]), (9.0, [3.0, 4.0])]
)
def test_gradients_of_norm_five_are_scaled_down_together(clip: float | None, moved: list[float]) -> None:
    """3 and 4 in two parameters: a norm of 2.5 halves both."""
    model = nn.ParameterDict({"a": nn.Parameter(torch.zeros(1)), "b": nn.Parameter(torch.zeros(1, 1))})
    made = optimizer.make(model, settings(momentum=0, weight_decay=0))
    for name, gradient in (("a", 3.0), ("b", 4.0)):
        model[name].grad = torch.full_like(model[name], gradient)
    optimizer.step(made, 2.0, clip)
    assert [model[name].item() for name in "ab"] == pytest.approx([-2 * one for one in moved], rel=1e-5)


def test_the_memory_of_an_optimizer_goes_on() -> None:
    """Nesterov of momentum 1/2: gradients 1, 1 move by 1.5 and then 1.75."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    held: dict[str, torch.Tensor] = {}
    for moved in (-1.5, -3.25):
        made = optimizer.make(model, settings(momentum=0.5, weight_decay=0))
        optimizer.restore(made, model, held)
        model.weight.grad = torch.ones(1, 1)
        optimizer.step(made, 1.0, None)
        assert model.weight.item() == moved
        held = optimizer.state(made, model)
        assert set(held) == {"weight|momentum_buffer"}


def test_the_average_by_hand_statistics_included() -> None:
    """Decays 1/10 and 2/11 below 1/2, and from step 8 on 1/2: (1 + 8) / (10 + 8)."""
    model = nn.BatchNorm1d(1)
    average = optimizer.Average(model, 0.5)
    assert set(average.values) == {"weight", "bias", "running_mean", "running_var"}
    with torch.no_grad():
        model.weight.fill_(11.0)
        model.running_mean.fill_(20.0)
    average.update(model, 0)
    assert average.values["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 11)
    assert average.values["running_mean"].item() == pytest.approx(18.0)
    average.update(model, 1)
    assert average.values["running_mean"].item() == pytest.approx(18 * 2 / 11 + 20 * 9 / 11)
    for steps in (8, 1000):
        before = average.values["weight"].item()
        average.update(model, steps)
        assert average.values["weight"].item() == pytest.approx((before + 11) / 2)
    average.swap(model)
    assert (model.running_mean.item() < 20, average.values["running_mean"].item()) == (True, 20.0)
    average.swap(model)
    assert (model.weight.item(), model.running_mean.item()) == (11.0, 20.0)


class Echo(nn.Module):
    """Logits that grow with a sample's number."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.flatten(1)[:, :3]


def test_a_mean_is_over_samples_however_the_batches_are_cut() -> None:
    task = ToyTask(validation=15)
    whole = evaluate(Echo(), task, "validation", batch_size=15)
    for size in (4, 7, 64):
        found = evaluate(Echo(), task, "validation", batch_size=size)
        assert found == pytest.approx(whole, rel=1e-6)
    outputs, targets = task.data["validation"][0].flatten(1)[:, :3].double(), task.data["validation"][1].numpy()
    shares = np.log(np.exp(outputs.numpy()) / np.exp(outputs.numpy()).sum(1, keepdims=True))
    assert whole["loss"] == pytest.approx(-shares[np.arange(15), targets].mean(), rel=1e-5)
    assert whole["accuracy"] == (outputs.numpy().argmax(1) == targets).mean()
    assert evaluate(Echo(), ToyTask(validation=0), "validation", batch_size=4) == {"loss": 0.0}


@pytest.mark.parametrize(("size", "less"), [(16, 8), (7, 3), (5, 2), (4, 2), (3, 2), (1, 2)])
def test_half_a_batch_is_proposed_and_two_at_least(size: int, less: int) -> None:
    with (
        pytest.raises(ResourceError, match=f"a batch_size of {size}; try batch_size: {less}$"),
        memory_errors("s", size),
    ):
        raise MemoryError


def test_pictures_go_to_a_device_with_channels_last_and_numbers_as_they_are() -> None:
    (batch,) = ToyTask(input_shape=(3, 8, 8), validation=4).batches("validation", 4)
    assert to_device(batch, "cpu").inputs["input"].is_contiguous(memory_format=torch.channels_last)


def test_the_epoch_that_was_best_is_kept_until_patience_ends(tmp_path: Path) -> None:
    """Values 1, 3, 2, 3: the second is the best, equal is not better, and a patience of two ends after the fourth."""
    from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY
    from compressor.training import loop
    from tests.toy import Falling, toy_context

    values = iter([0.1, 0.3, 0.2, 0.3, 0.9])

    class Slope(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1, 1))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.flatten(1)[:, :3] * self.weight

    model, task = Slope(), ToyTask(train=4, validation=4)
    task.metrics = {"accuracy": replace(ACCURACY, value=lambda *_: next(values))}
    wanted = settings(epochs=9, batch_size=4, learning_rate=1, momentum=0, weight_decay=0, schedule="constant",
                      early_stopping=2, precision="float32")  # fmt: skip
    curves = loop.fit(model, Falling(lambda m, b: -m.weight.sum()), task, wanted, context=toy_context(tmp_path, task))
    assert [row["validation_accuracy"] for row in curves] == pytest.approx([0.1, 0.3, 0.2, 0.3])
    assert model.weight.item() == 2.0, "a step of one an epoch"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_is_judged_in_the_precision_that_it_trains_in(precision: str) -> None:
    seen: list[str] = []

    class Linear(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs = super().forward(inputs.flatten(1))
            seen.append(str(outputs.dtype).removeprefix("torch."))
            return outputs

    evaluate(Linear(64, 3), ToyTask(validation=4), "validation", batch_size=4, precision=precision)
    assert seen == [precision]
