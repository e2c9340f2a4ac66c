"""Train a student to answer as a trained teacher does (Hinton, Vinyals and Dean, 2015, arXiv:1503.02531).

loss = alpha * CE(student, labels) + (1 - alpha) * T^2 * KL(softmax(teacher / T) || softmax(student / T))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from compressor.distillation import learning
from compressor.problem.context import Context
from compressor.stages.base import Stage, StartSpec, TaughtSpec
from compressor.store.artifact import Artifact
from compressor.training import starting


class DistillSpec(learning.MethodFields, TaughtSpec, StartSpec):
    """A student learns from the labels and from the softened answers of a teacher, which stays as it is.

    loss = alpha * CE + (1 - alpha) * T^2 * KL(teacher || student) at temperature T (Hinton et al., 2015,
    arXiv:1503.02531).
    """

    stage: Literal["distill"] = "distill"
    teacher: str = Field(
        description="Earlier step whose network teaches; it may be a loaded, a trained or a pruned one."
    )


def run(spec: DistillSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Train and write the student; the teacher's artifact is only read. The facts hold curves, precision and loss."""
    from compressor.distillation import objective

    start = starting.begin(spec, inputs["from"].folder if "from" in inputs else None, context)
    loss = objective.build(spec, inputs["teacher"].folder, context)
    context.progress.say(f"loss: {loss.words}")
    return starting.trained(start, loss, spec, context)


STAGE = Stage(
    name="distill",
    spec=DistillSpec,
    makes="model",
    run=run,
    takes={"teacher": frozenset({"model"}), "from": frozenset({"model"})},
    untrained=starting.untrained,
    uses=frozenset({"train", "validation", "preprocess", "augment"}),
    libraries=("torch",),
    isa=True,
)
