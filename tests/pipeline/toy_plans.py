"""A pipeline of stages that do nothing, a shelf in place of a store, and the plan of the two."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from compressor.models.settings import ModelRef
from compressor.pipeline.plan.identity import World
from compressor.pipeline.plan.plan import Plan, plan, remember
from compressor.stages.base import EveryPart, NetworkSpec, PartOf, SettledSpec, Stage, StageSpec, TakenOver
from compressor.store.artifact import Artifact

MODEL, ONNX = frozenset({"model"}), frozenset({"onnx"})


class LoadSpec(NetworkSpec):
    stage: Literal["load"] = "load"
    model: ModelRef = "resnet8"

    def unused(self) -> frozenset[str]:
        return frozenset() if self.weights in (None, "none") else frozenset({"seed"})


class FinetuneSpec(NetworkSpec):
    stage: Literal["finetune"] = "finetune"
    from_: str | None = Field(None, alias="from")
    epochs: int = 10


class DistillSpec(FinetuneSpec):
    stage: Literal["distill"] = "distill"  # type: ignore[assignment]
    teacher: str
    temperature: float = 4.0


class QuantizeSpec(StageSpec):
    stage: Literal["quantize"] = "quantize"
    from_: str = Field(alias="from")
    method: str = "ptq"


class ExportSpec(SettledSpec):
    stage: Literal["export"] = "export"
    from_: str = Field(alias="from")
    softmax: bool = False


class BenchmarkSpec(SettledSpec):
    stage: Literal["benchmark"] = "benchmark"
    threads: tuple[int, ...] = (1,)


class EvaluateSpec(SettledSpec):
    stage: Literal["evaluate"] = "evaluate"


class CompareSpec(SettledSpec):
    stage: Literal["compare"] = "compare"


def never(*_: Any) -> dict[str, Any]:
    raise AssertionError("a plan runs nothing")


TRAIN = frozenset({"train", "validation", "preprocess", "augment"})
SEEN = frozenset({"test", "preprocess"})
BOTH = {"from": MODEL, "teacher": MODEL}
GRAPH = {"from": MODEL | ONNX}
CORE = {"core": PartOf("evaluation")}
FLOAT = {"float": PartOf("evaluation", back_to="model")}
MADE = {"from": MODEL | ONNX | {"bundle"}}
ENDS = {"baseline": PartOf("evaluation", "baseline"), "shipped": PartOf("evaluation", "ship")}
PART = {"part": "evaluation", "takes": MADE, "derives": {"core": TakenOver("core")}}
EVERY = {"models": EveryPart("evaluation")}
LEARNS = frozenset({"train"})
TORCH, RUNTIME = ("torch",), ("onnxruntime",)
STAGES = {
    one.name: one
    for one in (
        Stage("load", LoadSpec, "model", never),
        Stage("finetune", FinetuneSpec, "model", never, takes={"from": MODEL}, uses=TRAIN, libraries=TORCH, isa=True),
        Stage("distill", DistillSpec, "model", never, takes=BOTH, uses=TRAIN, libraries=TORCH, isa=True),
        Stage("quantize", QuantizeSpec, "onnx", never, takes=GRAPH, derives=CORE, uses=LEARNS, libraries=RUNTIME),
        Stage("export", ExportSpec, "bundle", never, takes=GRAPH, derives={**CORE, **FLOAT}, uses=SEEN),
        Stage("evaluate", EvaluateSpec, "onnx", never, uses=SEEN, libraries=RUNTIME, **PART),
        Stage("benchmark", BenchmarkSpec, "measurement", never, derives=EVERY, times=True),
        Stage("compare", CompareSpec, "measurement", never, uses=SEEN, part="comparison", derives=ENDS),
    )
}


@dataclass
class Onnx:
    opset: int = 21


@dataclass
class Toy:
    """A pipeline as plain data."""

    steps: dict[str, StageSpec]
    name: str = "digits"
    seed: int = 0
    baseline: str | None = "teacher"
    ship: str | None = "edge"
    onnx: Onnx = field(default_factory=Onnx)
    path: Path = Path("pipelines/digits.yaml")

    def roles(self, step: str) -> dict[str, str]:
        spec = self.steps[step]
        named = {"from": getattr(spec, "from_", None), "teacher": getattr(spec, "teacher", None)}
        return {role: other for role, other in named.items() if other is not None}


@dataclass
class Shelf:
    """A store as plain data."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    slots: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def find(self, key: str, rebuild: str = "") -> Artifact | None:
        self.asked.append((key, rebuild))
        return self.artifacts.get(key)

    def interrupted(self, key: str) -> str | None:
        return self.saved.get(key)

    def previous(self, slot: str) -> tuple[str, dict[str, Any]] | None:
        return self.slots.get(slot)

    def remember(self, slot: str, key: str, identity: Any) -> None:
        self.slots[slot] = (key, dict(identity))

    def ran(self, pipeline: Toy, made: Plan, threads: int = 2) -> None:
        """Have everything in a plan as if it had run."""
        for node in made.nodes:
            self.artifacts[node.key] = Artifact(
                node.key, node.stage.makes, node.stage.name, Path("x"), record={"threads": threads}
            )
            remember(self, pipeline, node)


PARTS = {"train": "t1", "validation": "v1", "test": "x1", "preprocess": ["p1"], "augment": ["a1"]}
VERSIONS = {"torch": "2.15", "onnxruntime": "1.31"}


def planned(pipeline: Toy, shelf: Shelf, **changes: Any) -> Plan:
    world: dict[str, Any] = {
        "task_parts": PARTS, "device": "cpu", "versions": VERSIONS.__getitem__, "isa": "x86-64-v4", "machine": "m1",
    }  # fmt: skip
    how = {
        "stages": STAGES,
        **{name: changes.pop(name) for name in {"stages", "until", "fresh", "command"} & {*changes}},
    }
    return plan(pipeline, World(**{**world, **changes}), store=shelf, **how)


def digits(**steps: StageSpec) -> Toy:
    """The pipeline of `plan`'s docstring; steps replace those of the same name."""
    usual: dict[str, StageSpec] = {
        "teacher": FinetuneSpec(model="resnet20"),
        "student": DistillSpec(teacher="teacher", model="resnet8"),
        "int8": QuantizeSpec.model_validate({"from": "student"}),
        "edge": ExportSpec.model_validate({"from": "int8"}),
        "latency": BenchmarkSpec(),
    }
    return Toy({**usual, **steps})


def story(made: Plan) -> dict[str, str]:
    """Each node's status and reason."""
    return {node.name: f"{node.status} {node.why}".strip() for node in made.nodes}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def ran() -> Shelf:
    """A store in which the usual pipeline has run."""
    shelf = Shelf()
    shelf.ran(digits(), planned(digits(), shelf))
    return shelf
