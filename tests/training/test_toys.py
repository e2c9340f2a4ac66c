"""The loop, its objectives and the checks before it, on problems of other shapes than a picture and a class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from compressor.distillation import learning, objective
from compressor.errors import InputError
from compressor.models import faithful, final_activation, neighbours
from compressor.problem.batch import Sum
from compressor.training import loop, samples, trial
from compressor.training.evaluation import evaluate
from compressor.training.objective import LabelLoss
from tests.toy import ToyTask, toy_context, toy_model
from tests.toys import Numbers, RegressionTask, TokenTask, Words

if TYPE_CHECKING:
    from compressor.problem.task import Task

Made = tuple["Task", Callable[[], nn.Module]]
TOYS: dict[str, Made] = {
    "picture": (ToyTask(), toy_model),
    "tokens": (TokenTask(), Words),
    "regression": (RegressionTask(), Numbers),
}


def settings(**changes: Any) -> learning.TeacherFields:
    known = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05, "precision": "float32"}
    return learning.TeacherFields.model_validate({**known, **changes})


@pytest.fixture(params=TOYS)
def toy(request: pytest.FixtureRequest) -> tuple[Task, nn.Module]:
    task, build = TOYS[request.param]
    torch.manual_seed(0)
    return task, build()


def test_a_network_learns_from_labels(toy: tuple[Task, nn.Module], tmp_path: Path) -> None:
    task, model = toy
    curves = loop.fit(model, LabelLoss(task), task, settings(epochs=6), context=toy_context(tmp_path, task))
    assert curves[-1]["train_loss"] < curves[0]["train_loss"]
    metric = next(iter(task.metrics))
    assert curves[-1][f"validation_{metric}"] == evaluate(model, task, "validation", batch_size=4)[metric]


def test_the_checks_before_training_take_it(toy: tuple[Task, nn.Module]) -> None:
    task, model = toy
    inputs = samples.few(task, 8)
    assert {name: len(one) for name, one in inputs.items()} == {one.name: 8 for one in task.signature.inputs}
    neighbours.check(model, inputs)
    final_activation.refuse(model, inputs)
    before = [one.clone() for one in model.parameters()]
    trained = trial.step(model, task, inputs, lambda _: ())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(before, trained.parameters(), strict=True))


def test_what_mixes_samples_is_found_whatever_the_inputs() -> None:
    class Mixing(Words):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return super().forward(ids, mask) - super().forward(ids, mask).mean(0)

    with pytest.raises(InputError, match=r"`mean` at test_toys\.py, line .* mixes the samples of a batch"):
        neighbours.check(Mixing(), samples.few(TokenTask(), 8))


def test_what_is_drawn_anew_is_found_whatever_the_inputs() -> None:
    class Drawn(Words):
        def __init__(self) -> None:
            super().__init__()
            self.scale = float(torch.rand(()))

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.scale * super().forward(ids, mask)

    def build(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return Drawn()

    with pytest.raises(InputError, match="its attribute `scale` is drawn anew"):
        faithful.check_building(lambda: build(0), samples.few(TokenTask(), 2), lambda: build(1))


@pytest.mark.parametrize("name", ["picture", "tokens"])
def test_a_teacher_teaches_by_scores_over_alternatives(name: str, tmp_path: Path) -> None:
    task, build = TOYS[name]
    torch.manual_seed(1)
    teacher, student = build(), build()
    chosen = settings(teacher="t", alpha=0.25)
    loss = objective.of(chosen, teacher, toy_context(tmp_path, task))
    batch = next(iter(task.batches("train", 16)))
    terms = loss(student, batch)
    assert list(terms) == ["labels", "teacher"]
    assert all(isinstance(one, Sum) and one.count == 16 for one in terms.values())
    labels = LabelLoss(task)(student, batch)["labels"].mean
    assert terms["labels"].mean.item() == pytest.approx(0.25 * labels.item(), rel=1e-5)
    curves = loop.fit(student, loss, task, chosen, context=toy_context(tmp_path / "fit", task))
    assert curves[-1]["train_loss"] < curves[0]["train_loss"]


def test_a_regression_has_nothing_that_could_be_softened(tmp_path: Path) -> None:
    task = RegressionTask()
    loss = objective.of(settings(teacher="t"), Numbers(), toy_context(tmp_path, task))
    with pytest.raises(InputError, match="the answers of toy-regression are no scores over alternatives"):
        loss(Numbers(), next(iter(task.batches("train", 16))))


def test_what_trains_along_is_moved_and_resumed_and_is_not_part_of_the_network(tmp_path: Path) -> None:
    """A scale of one's own, killed in the second epoch: the bytes are those of a training that was not."""

    class Scaled:
        words = "scaled"

        def __init__(self, task: Task, last: int | None = None) -> None:
            self.extra, self.labels, self.left = nn.Linear(1, 1), LabelLoss(task), last
            nn.init.ones_(self.extra.weight)

        def __call__(self, model: nn.Module, batch: Any) -> dict[str, Sum]:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
            (found,) = self.labels(model, batch).values()
            return {"labels": Sum(self.extra(found.total[None])[0], found.count)}

    def trained(folder: str, *lasts: int | None) -> tuple[bytes, float]:
        task = TokenTask()
        for last in lasts:
            torch.manual_seed(2)
            model, objective = Words(), Scaled(task, last)
            nn.init.zeros_(objective.extra.bias)
            try:
                loop.fit(model, objective, task, settings(), context=toy_context(tmp_path / folder, task))
            except KeyboardInterrupt:
                continue
        bytes_ = b"".join(one.detach().numpy().tobytes() for one in model.state_dict().values())
        return bytes_, objective.extra.weight.item()

    whole, scale = trained("whole", None)
    assert scale != 1
    assert trained("killed", 4, None) == (whole, scale)
