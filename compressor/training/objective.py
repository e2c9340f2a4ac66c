"""What a training step makes small: terms by name, whose means are added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from compressor.problem.batch import Batch, Sum, named
from compressor.problem.task import Task


class Objective(Protocol):
    """(model, batch) -> terms. Runs inside autocast; the model's outputs come in float32."""

    @property
    def words(self) -> str:
        """The loss as a person reads it."""

    @property
    def extra(self) -> nn.Module | None:
        """What is trained along with the network and is not kept, such as projections between layers."""

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Sum]:
        """The terms of the loss, by name."""


class LabelLoss:
    """The task's own loss on the labels."""

    extra: nn.Module | None = None

    def __init__(self, task: Task, label_smoothing: float = 0.0) -> None:
        self.task, self.label_smoothing = task, label_smoothing
        smoothed = f" with labels smoothed by {label_smoothing:g}" if label_smoothing else ""
        self.words = f"the task's loss{smoothed}"

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Sum]:
        """`{"labels": …}`."""
        outputs = answer(model, batch, self.task)
        return {"labels": self.task.loss(outputs, batch, label_smoothing=self.label_smoothing)}


def answer(model: nn.Module, batch: Batch, task: Task) -> dict[str, Tensor]:
    """What the model answers, in the mode that it is in, by the names of the task's outputs."""
    return named(model(*batch.inputs.values()), [output.name for output in task.signature.outputs])


def loss(terms: Mapping[str, Sum]) -> Tensor:
    """The scalar that is made small."""
    first, *others = (term.mean for term in terms.values())
    return sum(others, start=first)
