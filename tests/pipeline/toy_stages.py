"""Stages and a task of a few fields, so that tests of the pipeline file do not follow every change of the real ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from compressor.device.refused import Unfit
from compressor.pipeline.file import spec, yaml_file
from compressor.pipeline.file.spec import Pipeline
from compressor.problem.batch import only
from compressor.problem.metric import Metric, mean
from compressor.stages.base import Flaw, Stage, StageSpec, StartSpec, TrainingSpec
from compressor.stages.load import LoadSpec
from compressor.store.artifact import Kind
from compressor.strict import Idle
from compressor.tasks.base import TaskSpec
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY

MODEL: frozenset[Kind] = frozenset({"model"})
GRAPH: frozenset[Kind] = frozenset({"model", "onnx"})


class Make(TrainingSpec, StartSpec):
    """Makes a model."""

    stage: Literal["make"] = "make"
    teacher: str | None = Field(None, description="Step to learn from.")
    temperature: float = Field(4.0, gt=0, le=100, description="Softens.")
    expect: dict[str, float] = Field(default_factory=dict, description="Metrics that must be reached.")

    @field_validator("model", "weights")
    @classmethod
    def _known(cls, value: Any) -> Any:
        return value

    @field_validator("weights")
    @classmethod
    def _right(cls, weights: Any) -> Any:
        return weights

    @classmethod
    def flaws(cls, written: Mapping[str, Any], task: TaskSpec | None) -> Iterator[Flaw]:
        """Those of a step that starts from something, and of one that expects something."""
        yield from super().flaws(written, task)
        yield from LoadSpec.flaws(written, task)

    def ineffective(self, task: TaskSpec | None = None) -> list[Idle]:
        """A temperature needs a teacher."""
        alone = [("temperature", "there is no teacher to learn from")] if self.teacher is None else []
        return [*super().ineffective(task), *alone]


class Pack(StageSpec):
    """Makes a graph."""

    stage: Literal["pack"] = "pack"
    from_: str = Field(alias="from", description="Step to pack.")
    method: Literal["ptq", "qat"] = Field("ptq", description="How.")
    limit: float | None = Field(1.0, description="A limit, or null for none.")


class Ptq(Pack):
    """Without training."""

    method: Literal["ptq"] = Field("ptq", description="How.")
    steps: int = Field(1, ge=1, description="A field of its own.")
    lacks: ClassVar[str | Unfit] = "method ptq does not train, only qat does"


class Qat(Pack, TrainingSpec):
    """With training."""

    method: Literal["qat"] = Field("qat", description="How.")
    lacks: ClassVar[str | Unfit] = Unfit("qat has its own", "leave it to it")


class Send(StageSpec):
    """Makes a bundle."""

    stage: Literal["export"] = "export"
    from_: str = Field(alias="from", description="Step to send.")
    batch_size: Literal["dynamic"] | int = Field("dynamic", description="Samples at once.")


class Time(StageSpec):
    """Measures."""

    stage: Literal["benchmark"] = "benchmark"
    threads: tuple[int, ...] = Field((1,), min_length=1, description="Thread counts.")


MEAN_ERROR = mean(
    "mean_error", lambda outputs, targets: only(outputs) - only(targets), better="lower", range=(-inf, inf)
)


class ToySpec(TaskSpec):
    """A problem of one field."""

    metrics: ClassVar[dict[str, Metric]] = {"accuracy": ACCURACY, "mean_error": MEAN_ERROR}
    type: Literal["toy"] = "toy"
    data: str = Field(description="Where samples come from.")


def _run(*_: Any) -> dict[str, Any]:
    return {}


STAGES = {
    "make": Stage("make", Make, "model", _run, {"from": MODEL, "teacher": MODEL}),
    "pack": Stage("pack", Pack, "onnx", _run, {"from": MODEL}, by="method", forms={"ptq": Ptq, "qat": Qat}),
    "export": Stage("export", Send, "bundle", _run, {"from": GRAPH}),
    "benchmark": Stage("benchmark", Time, "measurement", _run, times=True),
}
TASKS = {"toy": ToySpec}

FILE = """\
version: 1
name: toy
task: {type: toy, data: here}
steps:
  big: {stage: make, model: net, optimizer: adamw}
  small: {stage: make, model: {name: net, widths: [4, 8]}, teacher: big, temperature: 6, seed: 3}
  int8: {stage: pack, from: small}
  edge: {stage: export, from: int8}
  fast: {stage: benchmark, threads: [1, 2]}
budget: {accuracy: {max_drop: 0.02, min: 0.9}, latency_p50_ms: {max: 1}}
"""


def parse(text: str, *sets: str, path: str = "folder/x.yaml") -> Pipeline:
    """A pipeline over the toys; InputError as `spec.load` raises it."""
    return spec.parse(yaml_file.scan(text, Path(path), sets), stages=STAGES, tasks=TASKS)
