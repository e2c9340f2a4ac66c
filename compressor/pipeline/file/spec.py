"""A pipeline file as typed values: read, checked as a whole, with defaults filled in.

Nothing here looks at data or at models, and nothing loads torch: a mistake in the file is answered at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation, field_validator

from compressor.device.refused import Unfit
from compressor.errors import InputError, meant
from compressor.pipeline.file import budget as budgets
from compressor.pipeline.file import explain, roles
from compressor.pipeline.file import steps as reading
from compressor.pipeline.file.budget import Budget, Limit
from compressor.pipeline.file.document import Document, Mistake, together
from compressor.pipeline.file.roles import Step
from compressor.pipeline.file.words import listing, quote
from compressor.pipeline.file.yaml_file import scan, text_of
from compressor.report.judgement.evidence import Decide
from compressor.stages import WRITTEN
from compressor.stages.base import AnyStage, StageSpec
from compressor.store.artifact import KINDS
from compressor.strict import Frozen
from compressor.tasks.base import TaskSpec

Tasks = Mapping[str, type[TaskSpec]]


NAME = r"^[a-z0-9-]+$"


class OnnxSettings(Frozen):
    """Settings of every ONNX graph made here."""

    opset: int = Field(21, ge=18, le=23, description="Version of the ONNX operators in every graph made here.")


class PipelineFile(Frozen):
    """A pipeline: a task, its steps, what ships and the budget it must meet."""

    version: Literal[1] = Field(description="Version of this file format.")
    name: str = Field(pattern=NAME, max_length=100, description="Names the run folder.")
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seed of all that is random; splits of the data do not depend on it."
    )
    task: dict[str, Any] = Field(description="The problem: data, preprocessing, augmentation.")
    steps: dict[str, Any] = Field(min_length=1, description="Steps in order; a step may name only earlier ones.")
    onnx: OnnxSettings = Field(default_factory=OnnxSettings, description="Settings of every ONNX graph made here.")
    baseline: str | None = Field(
        None,
        description="Step that drops and speed-ups are measured against; left out: the first that makes a model.",
    )
    ship: str | None = Field(
        None, description="Export step that the verdict is about; may be left out where there is only one."
    )
    budget: dict[str, Any] = Field(
        default_factory=dict, description="Limits on what ships; `measured` is the verdict without."
    )

    @field_validator("version", mode="before")
    @classmethod
    def _a_number(cls, version: Any) -> Any:
        if isinstance(version, bool):
            raise Unfit(f"{quote(version)} is not 1", "write 1")
        return version


class Pipeline(Frozen):
    """A pipeline that has no mistakes. Paths in it are as written, relative to `base`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    version: int
    name: str
    seed: int
    task: Annotated[TaskSpec, SkipValidation]
    steps: Annotated[dict[str, StageSpec], SkipValidation]
    onnx: OnnxSettings
    baseline: str | None
    ship: str | None
    budget: tuple[Limit, ...]
    decide: Decide
    _document: Document = PrivateAttr()
    _stages: Mapping[str, AnyStage] = PrivateAttr()

    @property
    def document(self) -> Document:
        """The file as it was read."""
        return self._document

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._document.path

    @property
    def base(self) -> Path:
        """The folder that relative paths start from, absolute."""
        return self._document.path.absolute().parent

    @property
    def text(self) -> str:
        """The file as written; `--set` is not in it."""
        return self._document.text

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def lines(self) -> Mapping[tuple[str | int, ...], int]:
        """The line of each key."""
        return self._document.lines

    def stage(self, step: str) -> AnyStage:
        """The stage of a step."""
        return self._stages[self.steps[step].stage]

    def roles(self, step: str) -> dict[str, str]:
        """Role -> the earlier step that fills it: `{"from": "slim", "teacher": "big"}`."""
        return roles.roles(self.stage(step), self.steps[step])

    def where(self, *place: str | int) -> str:
        """`file:line: steps.student.weights`, for errors found later than here."""
        return self._document.mistake(place, "").error.where


def name_in(path: Path | str, sets: Sequence[str] = ()) -> str | None:
    """The name that a file gives its pipeline, as far as it can be read, whatever else is wrong with it."""
    try:
        data: Any = scan(text_of(Path(path)), Path(path), sets).data
    except InputError:
        return None
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) and re.match(NAME, name) else None


def load(path: Path | str, sets: Sequence[str] = ()) -> Pipeline:
    """The pipeline in a file, with `--set` options applied.

    Raises:
        InputError: every mistake of the file, in the order of its lines.
    """
    return parse(scan(text_of(Path(path)), Path(path), sets))


def parse(document: Document, *, stages: Mapping[str, AnyStage] | None = None, tasks: Tasks | None = None) -> Pipeline:
    """The pipeline that a document describes; InputError with every mistake in it."""
    stages = WRITTEN if stages is None else stages
    told = {mistake.error.where for mistake in document.mistakes}
    mistakes: list[Mistake] = []
    data = document.data
    file, wrong = explain.check(PipelineFile, data, document, (), "a pipeline file")
    mistakes += wrong
    task, wrong = _task(data.get("task"), document, tasks)
    mistakes += wrong
    steps, wrong = reading.read(data.get("steps"), document, stages, task)
    mistakes += wrong
    limits, wrong = budgets.parse(data.get("budget"), None if task is None else task.metrics, document)
    mistakes += wrong
    mistakes += _shipping(data, steps, limits, document, stages)
    mistakes = [*document.mistakes, *(mistake for mistake in mistakes if mistake.error.where not in told)]
    if mistakes or file is None or task is None:
        raise together(mistakes)
    specs = {step.name: step.spec for step in steps if step.spec is not None}
    pipeline = Pipeline(
        version=file.version, name=file.name, seed=file.seed, task=task, steps=specs, onnx=file.onnx,
        baseline=file.baseline or _first_model(steps), ship=file.ship or next(iter(_exports(steps)), None),
        budget=limits.limits, decide=limits.decide,
    )  # fmt: skip
    pipeline._document, pipeline._stages = document, stages
    return pipeline


def _task(raw: Any, document: Document, tasks: Tasks | None) -> tuple[TaskSpec | None, list[Mistake]]:
    if not isinstance(raw, Mapping):
        return None, []
    if tasks is None:
        from compressor.tasks import TASKS

        tasks = TASKS
    name = raw.get("type")
    if not isinstance(name, str) or name not in tasks:
        todo = f"write one of: {listing(tasks)}"
        if "type" not in raw:
            return None, [
                document.mistake(("task",), "the task has no type", f"add `type: …`, one of: {', '.join(tasks)}")
            ]
        return None, [document.mistake(("task", "type"), f"there is no task {quote(name)}", meant(name, tasks, todo))]
    return explain.check(tasks[name], raw, document, ("task",), quote(name))


def _exports(steps: Sequence[Step]) -> list[str]:
    return [step.name for step in steps if step.makes is not None and step.makes.ships]


def _networks(steps: Sequence[Step]) -> list[str]:
    return [step.name for step in steps if step.makes is not None and step.makes.network]


def _first_model(steps: Sequence[Step]) -> str | None:
    return next(iter(_networks(steps)), None)


def _shipping(
    data: Mapping[str, Any], steps: Sequence[Step], limits: Budget, document: Document, stages: Mapping[str, AnyStage]
) -> list[Mistake]:
    """What is wrong with baseline, ship, and limits that nothing would measure."""
    if not steps:
        return []
    mistakes: list[Mistake] = []
    exports = _exports(steps)
    makers = _networks(steps)
    unsure = {step.name for step in steps if step.stage is None}
    for field, fitting, purpose in (
        ("baseline", makers, "makes no model to compare with"),
        ("ship", exports, "exports no bundle"),
    ):
        name = data.get(field)
        if not isinstance(name, str) or name in fitting or name in unsure:
            continue
        todo = f"name one of: {listing(fitting)}" if fitting else "leave it out"
        if name not in {step.name for step in steps}:
            mistakes.append(document.mistake((field,), f"there is no step {quote(name)}", meant(name, fitting, todo)))
        else:
            mistakes.append(document.mistake((field,), f"{quote(name)} {purpose}", todo))
    if len(exports) > 1 and data.get("ship") is None:
        place = ("steps", exports[1])
        mistakes.append(
            document.mistake(
                place, "is a second export step, and the file does not say which ships", f"add `ship: {exports[-1]}`"
            )
        )
    timed = bool(unsure) or any(step.stage is not None and step.stage.times for step in steps)
    needs = budgets.Needs(
        timing=next((name for name, stage in stages.items() if stage.times), ""), timed=timed,
        shipping=next((name for name, stage in stages.items() if KINDS[stage.makes].ships), ""),
        ships=bool(unsure) or bool(exports), batches=_batches(steps, data.get("ship") or next(iter(exports), None)),
    )  # fmt: skip
    return mistakes + budgets.unmeasured(limits, needs, document)


def _batches(steps: Sequence[Step], ship: Any) -> tuple[StageSpec, StageSpec] | None:
    """The timing step's spec and the shipping one's, where the first times another batch than the other takes."""
    timing = next((step.spec for step in steps if step.spec and step.stage and step.stage.times), None)
    ships = next((step.spec for step in steps if step.name == ship), None)
    if timing is None or ships is None or None in (timing.batch, ships.batch) or timing.batch == ships.batch:
        return None
    return timing, ships
