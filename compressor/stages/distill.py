"""Train a student to answer as a trained teacher does (Hinton, Vinyals and Dean, 2015, arXiv:1503.02531).

loss = alpha * CE(student, labels) + (1 - alpha) * T^2 * KL(softmax(teacher / T) || softmax(student / T))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from compressor.stages import starting
from compressor.stages.base import Context, Stage, StageSpec, TrainingFields
from compressor.store.artifact import Artifact

if TYPE_CHECKING:
    from torch import Tensor, nn


class DistillSpec(TrainingFields, starting.StartFields, StageSpec):
    """A student learns from the labels and from the softened answers of a teacher, which stays as it is.

    loss = alpha * CE + (1 - alpha) * T^2 * KL(teacher || student) at temperature T (Hinton et al., 2015,
    arXiv:1503.02531).
    """

    stage: Literal["distill"] = "distill"
    teacher: str = Field(
        description="Earlier step whose network teaches; it may be a loaded, a trained or a pruned one."
    )
    temperature: float = Field(
        4.0, gt=0, le=1000, description="Softens the answers of both; 1 leaves them as they are."
    )
    alpha: float = Field(0.1, ge=0, le=1, description="Share of the labels in the loss; the teacher has the rest.")

    def ineffective(self) -> list[tuple[str, str]]:
        """Options without effect in their combination, and why."""
        found = [*super().ineffective(), *starting.start_ineffective(self)]
        if self.alpha == 1:
            why = "alpha 1 leaves the teacher no share in the loss; lower it, or use `finetune`"
            found += [("teacher", why), ("temperature", why)]
        if self.alpha == 0:
            found.append(("label_smoothing", "alpha 0 leaves the labels no share in the loss"))
        return found


def run(spec: DistillSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Train and write the student; the teacher's artifact is only read. The facts hold curves, precision and loss."""
    import torch

    from compressor.distillation import hinton
    from compressor.models import network
    from compressor.training import loop
    from compressor.training.evaluation import place

    start, task = starting.begin(spec, inputs, context), context.task
    teacher = place(network.read(inputs["teacher"].folder, context.base), context.device).eval().requires_grad_(False)

    def objective(student: nn.Module, batch: Any) -> Tensor:
        answer = student(batch.inputs)
        with torch.no_grad():
            taught = teacher(batch.inputs).float()
        labels = task.loss(answer, batch, label_smoothing=spec.label_smoothing)
        return hinton.blend(labels, task.distance(answer, taught, temperature=spec.temperature), spec.alpha)

    loss = hinton.words(spec.temperature, spec.alpha, spec.label_smoothing)
    context.progress.say(f"loss: {loss}")
    context.progress.say(start.words())
    curves = loop.fit(start.model, objective, task, spec, context=context)
    start.save(context)
    return starting.trained_facts(curves, spec, context, loss)


STAGE = Stage(
    name="distill",
    spec=DistillSpec,
    makes="model",
    run=run,
    takes={"teacher": frozenset({"model"}), "from": frozenset({"model"})},
    sketch=starting.sketch,
    uses=frozenset({"train", "validation", "preprocess", "augment"}),
    libraries=("torch",),
    isa=True,
)
