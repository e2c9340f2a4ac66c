"""What a network learns from: the labels, and, where there is a teacher, its answers beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from compressor.device.refused import Unfit
from compressor.distillation.method import Method
from compressor.distillation.methods import METHODS, USUAL, AnyMethod
from compressor.errors import InputError
from compressor.problem.context import Context
from compressor.strict import Idle, Later
from compressor.training.settings import TrainingFields

if TYPE_CHECKING:
    from torch import nn

    from compressor.problem.batch import Batch, Logits, Sum, Tensors
    from compressor.problem.task import Task
    from compressor.training.objective import Objective


class TeacherFields(TrainingFields):
    """How a step trains that may learn from a teacher."""

    teacher: str | None = Field(None, description="Earlier step whose answers are learnt beside the labels.")
    temperature: float = Field(
        4.0, gt=0, le=1000, description="Softens the answers of both; 1 leaves them as they are."
    )
    alpha: float = Field(0.1, ge=0, le=1, description="Share of the labels in the loss; the teacher has the rest.")

    @property
    def compared_by(self) -> Method:
        """How the answers are compared."""
        return METHODS[USUAL](name=USUAL)

    def loss_in_words(self) -> str:
        """The loss with a teacher as a person reads it."""
        smoothing = f" (smoothed by {self.label_smoothing:g})" if self.label_smoothing else ""
        labels, teacher = f"cross-entropy with the labels{smoothing}", self.compared_by.words(self.temperature)
        if self.alpha in (0, 1):
            return labels if self.alpha else teacher
        return f"{self.alpha:g} * {labels} + {1 - self.alpha:g} * {teacher}"

    def idle(self) -> list[Idle]:
        """Options without effect in their combination, and why."""
        found = super().idle()
        if self.teacher is None:
            found += [(name, "there is no teacher to learn from") for name in ("temperature", "alpha")]
        elif self.alpha == 1:
            why = Unfit("alpha 1 leaves the teacher no share in the loss", "lower it, or do without a teacher")
            found += [("teacher", why), ("temperature", why)]
        elif self.alpha == 0 and self.label_smoothing:
            found.append(("label_smoothing", "alpha 0 leaves the labels no share in the loss"))
        return found


class MethodFields(TeacherFields):
    """How a step trains that may choose how it learns from a teacher."""

    method: Annotated[AnyMethod, Later] = Field(
        METHODS[USUAL](name=USUAL), description="How the student's answers are compared with the teacher's."
    )

    @property
    def compared_by(self) -> Method:
        """`method`."""
        return self.method

    def idle(self) -> list[Idle]:
        """The method too, where the teacher has no share."""
        found = super().idle()
        return found + [("method", why) for field, why in found if field == "temperature"]


class Distillation:
    """alpha * loss of the labels + (1 - alpha) * distance to the teacher's answers, in which no gradient flows."""

    extra: nn.Module | None = None

    def __init__(self, task: Task, settings: TeacherFields, teacher: nn.Module) -> None:
        from compressor.models.final_activation import Logits

        self.task, self.settings, self.teacher = task, settings, teacher
        self.words = settings.loss_in_words()
        if isinstance(teacher, Logits):
            self.words += f" (the teacher: {teacher.words()})"

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Sum]:
        """`{"labels": …, "teacher": …}`, without a term of no weight."""
        from compressor.problem.batch import Sum
        from compressor.training.objective import answer

        settings, terms = self.settings, dict[str, Sum]()
        outputs = answer(model, batch, self.task)
        if settings.alpha > 0:
            labels = self.task.loss(outputs, batch, label_smoothing=settings.label_smoothing)
            terms["labels"] = labels.times(settings.alpha)
        if settings.alpha < 1:
            terms["teacher"] = self._distance(outputs, batch).times(1 - settings.alpha)
        return terms

    def _distance(self, outputs: Tensors, batch: Batch) -> Sum:
        import torch

        from compressor.problem.batch import Sum
        from compressor.training.objective import answer

        with torch.no_grad():
            taught = {name: values.float() for name, values in answer(self.teacher, batch, self.task).items()}
        mine, theirs = self._logits(outputs, batch), self._logits(taught, batch)
        distance = self.settings.compared_by.distance(mine, theirs, self.settings.temperature)
        return Sum(distance, len(mine.rows))

    def _logits(self, outputs: Tensors, batch: Batch) -> Logits:
        found = self.task.logits(outputs, batch)
        if found is None:
            what = f"the answers of {self.task.facts.name} are no scores over alternatives that could be softened"
            raise InputError("teacher", what, "train without a teacher")
        return found


def objective(settings: TeacherFields, teacher: Path | None, context: Context) -> Objective:
    """What a step makes small. teacher: the folder of its network; one that answers with probabilities teaches by the
    logits behind them."""
    from compressor.models import final_activation, network
    from compressor.training import samples

    if teacher is None:
        return of(settings, None, context)
    read = network.read(teacher, context.base)
    few = samples.few(context.task, final_activation.SAMPLES)
    return of(settings, final_activation.as_logits(read, few), context)


def of(settings: TrainingFields, teacher: nn.Module | None, context: Context) -> Objective:
    """The same, of a network. It is frozen, in eval mode, and moved to the device, in place."""
    from compressor.models import modes
    from compressor.training.objective import LabelLoss
    from compressor.training.placing import place

    if teacher is None:
        return LabelLoss(context.task, settings.label_smoothing)
    assert isinstance(settings, TeacherFields)
    frozen = modes.in_eval(place(teacher, context.device)).requires_grad_(False)
    return Distillation(context.task, settings, frozen)
