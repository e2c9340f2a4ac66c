"""What holds a pipeline's steps together: which step starts from which, and options that do nothing together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.device.refused import Unfit
from compressor.errors import meant
from compressor.pipeline.file.document import Document, Mistake
from compressor.pipeline.file.words import listing, quote
from compressor.stages.base import AnyStage, StageSpec
from compressor.store.artifact import KINDS, Kind, Traits
from compressor.strict import Place
from compressor.tasks.base import TaskSpec


@dataclass(frozen=True)
class Step:
    """A step as the file has it. `stage` is None where the file names none that exists, `spec` where it is wrong."""

    name: str
    raw: Mapping[str, Any]
    stage: AnyStage | None = None
    spec: StageSpec | None = None

    @property
    def makes(self) -> Traits | None:
        """What it makes, where that is known."""
        return None if self.stage is None else KINDS[self.stage.makes]


def written(kind: type[StageSpec]) -> dict[str, str]:
    """The fields of a stage as a file names them -> as Python does: `from` -> `from_`."""
    return {info.alias or name: name for name, info in kind.model_fields.items()}


def roles(stage: AnyStage, spec: StageSpec) -> dict[str, str]:
    """Role -> the step that fills it, of the roles that a file names; `ROLE.0`, `ROLE.1` … where there are several."""
    fields = written(type(spec))
    found: dict[str, str] = {}
    for role in stage.takes:
        named = getattr(spec, fields[role]) if role in fields else None
        if isinstance(named, str):
            found[role] = named
        elif isinstance(named, tuple):
            found |= {f"{role}.{index}": step for index, step in enumerate(named)}
    return found


def check(steps: Sequence[Step], document: Document, task: TaskSpec | None) -> Iterator[Mistake]:
    """Every mistake between steps, between the fields of each, and between those and the task."""
    for position, step in enumerate(steps):
        if step.stage is None:
            continue
        form = step.stage.form(step.raw)
        for role in step.stage.takes:
            if role in written(form):
                for place, name in _named(role, step.raw.get(role)):
                    yield from _role(place, name, step, steps, position, document)
        for field, what, todo in form.flaws(step.raw, task):
            yield document.mistake(("steps", step.name, *field), what, todo)
        if step.spec is not None:
            yield from _ineffective(step.name, step.spec, document, task)


def _named(role: str, raw: Any) -> Iterator[tuple[Place, str]]:
    """The steps that a role names, as written, and where."""
    if isinstance(raw, str):
        yield (role,), raw
    elif isinstance(raw, list):
        yield from (((role, index), one) for index, one in enumerate(raw) if isinstance(one, str))


def _role(
    field: Place, name: str, step: Step, steps: Sequence[Step], position: int, document: Document
) -> Iterator[Mistake]:
    assert step.stage is not None
    place, allowed = ("steps", step.name, *field), step.stage.takes[str(field[0])]
    earlier = [other for other in steps[:position] if other.stage is None or other.stage.makes in allowed]
    fitting = f"name one of: {listing(other.name for other in earlier)}"
    if not earlier:
        fitting = f"put a step that makes {kinds(allowed)} before it"
    index = next((i for i, other in enumerate(steps) if other.name == name), None)
    if index is None:
        yield document.mistake(
            place, f"there is no step {quote(name)}", meant(name, (other.name for other in earlier), fitting)
        )
    elif index == position:
        yield document.mistake(place, f"{quote(name)} is this step itself", fitting)
    elif index > position:
        yield document.mistake(
            place, f"{quote(name)} comes later in the file", f"move it above {quote(step.name)}, or {fitting}"
        )
    else:
        other = steps[index].stage
        if other is not None and other.makes not in allowed:
            what = f"{quote(name)} makes {KINDS[other.makes].words} ({other.name})"
            yield document.mistake(place, f"{what}, but {step.stage.name} needs {kinds(allowed)} here", fitting)


def kinds(allowed: frozenset[Kind]) -> str:
    """Kinds of artifact in words: `a model or an ONNX graph`."""
    return " or ".join(traits.words for kind, traits in KINDS.items() if kind in allowed)


def _ineffective(name: str, spec: StageSpec, document: Document, task: TaskSpec | None) -> Iterator[Mistake]:
    fields = written(type(spec))
    for field, why in spec.ineffective(task):
        python = fields.get(field, field)
        if python in spec.model_fields_set and getattr(spec, python) is not None:
            yield without_effect(("steps", name, field), why, document)


def without_effect(place: Place, why: str | Unfit, document: Document) -> Mistake:
    """The mistake of an option that does nothing."""
    problem, todo = (why.problem, why.todo) if isinstance(why, Unfit) else (why, "leave it out")
    return document.mistake(place, f"has no effect: {problem}", todo)
