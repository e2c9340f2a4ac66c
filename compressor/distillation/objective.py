"""What a network learns from where there is a teacher: the labels, and its answers beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from compressor.distillation.learning import TeacherFields
from compressor.errors import InputError
from compressor.models import final_activation, modes, network
from compressor.problem.batch import Batch, Logits, Sum, Tensors
from compressor.problem.context import Context
from compressor.problem.task import Task
from compressor.training import samples
from compressor.training.objective import LabelLoss, Objective, answer
from compressor.training.placing import place
from compressor.training.settings import TrainingFields


class Distillation:
    """alpha * loss of the labels + (1 - alpha) * distance to the teacher's answers, in which no gradient flows."""

    extra: nn.Module | None = None

    def __init__(self, task: Task, settings: TeacherFields, teacher: nn.Module) -> None:
        self.task, self.settings, self.teacher = task, settings, teacher
        self.method, self.words = settings.compared_by, settings.loss_in_words()
        if isinstance(teacher, final_activation.Logits):
            self.words += f" (the teacher: {teacher.words()})"

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Sum]:
        """`{"labels": …, "teacher": …}`, without a term of no weight."""
        settings, terms = self.settings, dict[str, Sum]()
        outputs = answer(model, batch, self.task)
        if settings.alpha > 0:
            labels = self.task.loss(outputs, batch, label_smoothing=settings.label_smoothing)
            terms["labels"] = labels.times(settings.alpha)
        if settings.alpha < 1:
            terms["teacher"] = self._distance(outputs, batch).times(1 - settings.alpha)
        return terms

    def _distance(self, outputs: Tensors, batch: Batch) -> Sum:
        with torch.no_grad():
            taught = {name: values.float() for name, values in answer(self.teacher, batch, self.task).items()}
        mine, theirs = self._logits(outputs, batch), self._logits(taught, batch)
        distance = self.method.distance(mine, theirs, self.settings.temperature)
        return Sum(distance, len(mine.rows))

    def _logits(self, outputs: Tensors, batch: Batch) -> Logits:
        found = self.task.logits(outputs, batch)
        if found is None:
            what = f"the answers of {self.task.facts.name} are no scores over alternatives that could be softened"
            raise InputError("teacher", what, "train without a teacher")
        return found


def build(settings: TeacherFields, teacher: Path | None, context: Context) -> Objective:
    """What a step makes small. teacher: the folder of its network; one that answers with probabilities teaches by the
    logits behind them."""
    if teacher is None:
        return of(settings, None, context)
    read = network.read(teacher, context.base)
    few = samples.few(context.task, final_activation.SAMPLES)
    return of(settings, final_activation.as_logits(read, few), context)


def of(settings: TrainingFields, teacher: nn.Module | None, context: Context) -> Objective:
    """The same, of a network. It is frozen, in eval mode, and moved to the device, in place."""
    if teacher is None:
        return LabelLoss(context.task, settings.label_smoothing)
    assert isinstance(settings, TeacherFields)
    frozen = modes.in_eval(place(teacher, context.device)).requires_grad_(False)
    return Distillation(context.task, settings, frozen)
