"""The loop: what it does to a network, what it tells, and what it refuses."""

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.errors import InputError, ResourceError, StepError
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY
from compressor.training import loop
from compressor.training.evaluation import evaluate
from compressor.training.settings import TrainingFields
from tests.toy import Falling, ToyTask, toy_context, toy_model


def settings(**changes: Any) -> TrainingFields:
    return TrainingFields(**{"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "precision": "float32", **changes})


@Falling
def labels(model: nn.Module, batch: Any) -> Tensor:
    return ToyTask().loss({"output": model(batch.inputs["input"])}, batch).mean


def test_it_learns_and_tells(tmp_path: Path) -> None:
    context, model = toy_context(tmp_path), toy_model()
    curves = loop.fit(model, labels, context.task, settings(epochs=6), context=context)
    assert [row["epoch"] for row in curves] == [1, 2, 3, 4, 5, 6]
    assert set(curves[0]) == {"epoch", "train_loss", "learning_rate", "validation_loss", "validation_accuracy"}
    assert curves[-1]["train_loss"] < 0.7 * curves[0]["train_loss"]
    assert not model.training
    found = evaluate(model, context.task, "validation", batch_size=16)
    assert found["accuracy"] == pytest.approx(curves[-1]["validation_accuracy"])
    assert found["loss"] == pytest.approx(curves[-1]["validation_loss"], rel=1e-5)
    done, total, unit, numbers = context.progress.steps[-1]
    assert (done, total, unit) == (18, 18, "batches")
    assert set(numbers) == {"loss", "learning_rate", "accuracy"}


class Slope(nn.Module):
    """A weight, which decays, and a bias, which does not."""

    def __init__(self, weight: float, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[weight]]))
        self.bias = nn.Parameter(torch.tensor([bias]))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight + self.bias


def test_one_step_of_sgd_is_the_one_worked_out_by_hand(tmp_path: Path) -> None:
    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        return (model.weight * 3 + model.bias).sum()

    model = Slope(2.0, 1.0)
    task = ToyTask(train=16, validation=0)
    wanted = settings(epochs=1, learning_rate=0.1, momentum=0.5, weight_decay=0.2, schedule="constant")
    curves = loop.fit(model, objective, task, wanted, context=toy_context(tmp_path, task))
    # Nesterov's first step moves by rate * (1 + momentum) * gradient; only the matrix decays: gradient 3 + 0.2 * 2.
    assert model.weight.item() == pytest.approx(2 - 0.1 * 1.5 * 3.4)
    assert model.bias.item() == pytest.approx(1 - 0.1 * 1.5 * 1)
    assert curves == [{"epoch": 1, "train_loss": 7.0, "learning_rate": 0.1}]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    def trained(place: str, seed: int) -> Tensor:
        model = toy_model()
        loop.fit(model, labels, ToyTask(), settings(mixup=0.2), context=toy_context(tmp_path / place, seed=seed))
        return torch.cat([value.flatten().float() for value in model.state_dict().values()])

    torch.manual_seed(3)
    first = trained("a", 0)
    torch.manual_seed(99)
    assert torch.equal(first, trained("b", 0))
    assert not torch.equal(first, trained("c", 1))


def test_the_average_is_the_one_worked_out_by_hand(tmp_path: Path) -> None:
    model = Slope(0.0)
    wanted = settings(
        epochs=1, batch_size=16, learning_rate=1, momentum=0, weight_decay=0, schedule="constant", ema=0.25
    )
    task = ToyTask(train=48, validation=0)
    loop.fit(model, Falling(lambda m, b: -m.weight.sum()), task, wanted, context=toy_context(tmp_path, task))
    # Weights 1, 2, 3; decays min(1/4, 1/10), min(1/4, 2/11), min(1/4, 3/12).
    average = 0.9 * 1
    average = average * 2 / 11 + 2 * 9 / 11
    average = average * 0.25 + 3 * 0.75
    assert model.weight.item() == pytest.approx(average)


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    looked: list[float] = []

    def value(*_: Any) -> float:
        looked.append([0.1, 0.8, 0.3, 0.8, 0.9][min(len(looked), 4)])
        return looked[-1]

    kept: dict[int, Tensor] = {}
    task = ToyTask(validation=4)
    task.metrics = {"accuracy": replace(ACCURACY, value=value)}

    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        kept.setdefault(len(looked), model.conv1.weight.detach().clone())
        return labels.scalar(model, batch)

    model = toy_model()
    wanted = settings(epochs=9, early_stopping=2)
    curves = loop.fit(model, objective, task, wanted, context=toy_context(tmp_path, task))
    assert [row["validation_accuracy"] for row in curves] == pytest.approx([0.1, 0.8, 0.3, 0.8])
    assert torch.equal(model.conv1.weight, kept[2])  # the weights that the third epoch began with
    assert not torch.equal(model.conv1.weight, kept[3])


def test_frozen_parts_rest_with_their_statistics(tmp_path: Path) -> None:
    model = toy_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loop.fit(model, labels, ToyTask(), settings(freeze=("conv1", "bn1", "layer1")), context=toy_context(tmp_path))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("conv1", "bn1", "layer1")) for name in changed)
    assert {"layer2.0.conv1.weight", "layer2.0.bn1.running_mean", "linear.bias"} <= changed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"freeze": ("conv9",)}, "steps.toy.freeze: no parameter lies under 'conv9'; its parts are conv1, bn1, layer1"),
        ({"freeze": ("conv1", "bn1", "layer1", "layer2", "layer3", "linear")}, "nothing is left to train"),
        ({"batch_size": 64}, "steps.toy.batch_size: 64 is more than the 48 training samples; use at most 48"),
    ],
)
def test_settings_that_cannot_be_met_are_input_errors(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        loop.fit(toy_model(), labels, ToyTask(), settings(**changes), context=toy_context(tmp_path))
    assert said in str(caught.value)


def test_early_stopping_needs_a_validation_split(tmp_path: Path) -> None:
    task = ToyTask(validation=0)
    with pytest.raises(InputError, match="no validation split to stop by"):
        loop.fit(toy_model(), labels, task, settings(early_stopping=1), context=toy_context(tmp_path, task))
    assert (
        "validation_loss" not in loop.fit(toy_model(), labels, task, settings(), context=toy_context(tmp_path, task))[0]
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_with_epoch_and_rate(tmp_path: Path, value: float) -> None:
    seen = []

    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        seen.append(1)
        return labels.scalar(model, batch) * (value if len(seen) > 4 else 1)

    with pytest.raises(StepError) as caught:
        loop.fit(
            toy_model(), objective, ToyTask(), settings(epochs=3, schedule="constant"), context=toy_context(tmp_path)
        )
    assert str(caught.value) == (
        f"step toy: the loss is not a number ({value}) in epoch 2 of 3 at a learning rate of 0.05;"
        " try learning_rate: 0.005, warmup_epochs: 1 or clip_norm: 1"
    )


def test_weights_that_are_no_numbers_are_found_in_the_last_step_too(tmp_path: Path) -> None:
    task = ToyTask(train=16)
    with pytest.raises(StepError, match="the validation loss is not a number"):
        loop.fit(
            toy_model(), Falling(lambda m, b: labels.scalar(m, b) * 1e30), task, settings(epochs=1, learning_rate=100),
            context=toy_context(tmp_path, task),
        )  # fmt: skip


SHORTAGES = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
)


@pytest.mark.parametrize("problem", SHORTAGES)
def test_a_shortage_of_memory_names_a_batch_size(tmp_path: Path, problem: Exception) -> None:
    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        raise problem

    with pytest.raises(ResourceError, match="batch_size of 16; try batch_size: 8"):
        loop.fit(toy_model(), objective, ToyTask(), settings(), context=toy_context(tmp_path))


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError, match="a bug of ours"):
        loop.fit(toy_model(), objective, ToyTask(), settings(), context=toy_context(tmp_path))


def test_gradients_are_clipped_to_the_norm(tmp_path: Path) -> None:
    model = Slope(0.0)
    wanted = settings(epochs=1, learning_rate=1, momentum=0, weight_decay=0, schedule="constant", clip_norm=0.5)
    task = ToyTask(train=16, validation=0)
    loop.fit(model, Falling(lambda m, b: -40 * m.weight.sum()), task, wanted, context=toy_context(tmp_path, task))
    assert model.weight.item() == pytest.approx(0.5, rel=1e-4)


def test_smoke_trains_two_batches(tmp_path: Path) -> None:
    seen = []

    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        seen.append(len(batch))
        return labels.scalar(model, batch)

    loop.fit(toy_model(), objective, ToyTask(), settings(epochs=1), context=toy_context(tmp_path / "a", smoke=True))
    assert seen == [16, 16]
    wanted = settings(epochs=1, batch_size=1000)
    loop.fit(toy_model(), objective, ToyTask(), wanted, context=toy_context(tmp_path / "b", smoke=True))
    assert seen == [16, 16, 48]


def test_bfloat16_computes_the_network_but_not_the_loss(tmp_path: Path) -> None:
    seen: set[torch.dtype] = set()

    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        outputs = model(batch.inputs["input"])
        seen.update({outputs.dtype, nn.functional.conv2d(batch.inputs["input"], model.conv1.weight).dtype})
        return ToyTask().loss({"output": outputs}, batch).mean

    model = toy_model()
    context = toy_context(tmp_path)
    wanted = settings(precision="bfloat16")
    curves = loop.fit(model, objective, ToyTask(), wanted, context=context)
    assert seen == {torch.float32, torch.bfloat16}
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert not model._forward_hooks
    assert loop.facts(curves, wanted, context) == {"curves": curves, "precision": "bfloat16"}


@pytest.mark.parametrize(("has", "said"), [(True, "computes in bfloat16"), (False, "in which this device is slower")])
def test_bfloat16_is_told_and_its_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: bool, said: str) -> None:
    monkeypatch.setattr("compressor.training.precision.has_bf16", lambda device: has)
    context = toy_context(tmp_path)
    loop.fit(toy_model(), labels, ToyTask(), settings(epochs=1, precision="bfloat16"), context=context)
    assert said in context.progress.lines[0]


def test_what_a_network_draws_from_python_and_numpy_follows_from_the_seed(tmp_path: Path) -> None:
    @Falling
    def objective(model: nn.Module, batch: Any) -> Tensor:
        return labels.scalar(model, batch) * (1 + random.random() + np.random.rand())

    states = random.getstate(), np.random.get_state()[1].tolist()
    curves = [
        loop.fit(toy_model(), objective, ToyTask(), settings(), context=toy_context(tmp_path / name))
        for name in ("a", "b")
    ]
    assert curves[0] == curves[1]
    assert states == (random.getstate(), np.random.get_state()[1].tolist())
