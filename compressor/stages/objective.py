"""What a training step makes small: the task's loss on the labels, and the distance to a teacher's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from compressor.problem.context import Context
from compressor.store.artifact import Artifact

if TYPE_CHECKING:
    from torch import Tensor, nn

    Objective = Callable[[nn.Module, Any], Tensor]


def ineffective(spec: Any) -> list[tuple[str, str]]:
    """Options about a teacher without effect in their combination, and why."""
    if spec.teacher is None:
        return [(name, "there is no teacher to learn from") for name in ("temperature", "alpha")]
    if spec.alpha == 1:
        why = "alpha 1 leaves the teacher no share in the loss; lower it, or do without a teacher"
        return [("teacher", why), ("temperature", why)]
    if spec.alpha == 0 and spec.label_smoothing:
        return [("label_smoothing", "alpha 0 leaves the labels no share in the loss")]
    return []


def build(spec: Any, inputs: Mapping[str, Artifact], context: Context) -> tuple[Objective, str]:
    """(model, batch) -> loss, and the loss in words. A teacher among the inputs is frozen and in eval mode; one that
    answers with probabilities teaches by the logits behind them."""
    from compressor.distillation import hinton
    from compressor.models import final_activation, network
    from compressor.training import samples

    if "teacher" not in inputs:
        smoothed = f" with labels smoothed by {spec.label_smoothing:g}" if spec.label_smoothing else ""
        return of(spec, None, context), f"the task's loss{smoothed}"
    teacher = network.read(inputs["teacher"].folder, context.base)
    taught = final_activation.as_logits(teacher, samples.few(context.task, final_activation.SAMPLES))
    words = hinton.words(spec.temperature, spec.alpha, spec.label_smoothing)
    if isinstance(taught, final_activation.Logits):
        words += f" (the teacher: {taught.words()})"
    return of(spec, taught, context), words


def of(spec: Any, teacher: nn.Module | None, context: Context) -> Objective:
    """(model, batch) -> loss. The teacher, where there is one, is frozen, and moved to the device, in place."""
    import torch

    from compressor.distillation import hinton
    from compressor.models import modes
    from compressor.training.placing import place

    task = context.task

    def labels(outputs: Tensor, batch: Any) -> Tensor:
        return task.loss(outputs, batch, label_smoothing=spec.label_smoothing)

    if teacher is None:
        return lambda model, batch: labels(model(batch.inputs), batch)
    frozen = modes.in_eval(place(teacher, context.device)).requires_grad_(False)

    def both(model: nn.Module, batch: Any) -> Tensor:
        outputs = model(batch.inputs)
        with torch.no_grad():
            taught = frozen(batch.inputs).float()
        distance = task.distance(outputs, taught, temperature=spec.temperature)
        return hinton.blend(labels(outputs, batch), distance, spec.alpha)

    return both
