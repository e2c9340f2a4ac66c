"""Train a network on the task's labels: from nothing, from weights of another task, or on from an earlier step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from compressor.problem.context import Context
from compressor.stages import starting
from compressor.stages.base import Stage, StartSpec, TrainingSpec
from compressor.store.artifact import Artifact


class FinetuneSpec(TrainingSpec, StartSpec):
    """Training with the labels alone; a last layer of other classes is replaced."""

    stage: Literal["finetune"] = "finetune"


def run(spec: FinetuneSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Train and write the network; the facts hold curves, precision and loss."""
    from compressor.training.objective import LabelLoss

    start = starting.begin(spec, inputs, context)
    context.progress.say(start.words())
    loss = LabelLoss(context.task, spec.label_smoothing)
    facts = starting.train(start.model, loss, spec, context)
    start.save(context)
    return facts


STAGE = Stage(
    name="finetune",
    spec=FinetuneSpec,
    makes="model",
    run=run,
    takes={"from": frozenset({"model"})},
    untrained=starting.untrained,
    uses=frozenset({"train", "validation", "preprocess", "augment"}),
    libraries=("torch",),
    isa=True,
)
