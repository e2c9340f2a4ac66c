"""Train a network on the task's labels: from nothing, from weights of another task, or on from an earlier step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from compressor.problem.context import Context
from compressor.stages.base import Stage, StartSpec, TrainingSpec
from compressor.store.artifact import Artifact
from compressor.training import starting


class FinetuneSpec(TrainingSpec, StartSpec):
    """Training with the labels alone; a last layer of other classes is replaced."""

    stage: Literal["finetune"] = "finetune"


def run(spec: FinetuneSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Train and write the network; the facts hold curves, precision and loss."""
    from compressor.training.objective import LabelLoss

    start = starting.begin(spec, inputs["from"].folder if "from" in inputs else None, context)
    return starting.trained(start, LabelLoss(context.task, spec.label_smoothing), spec, context)


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
