"""What holds a pipeline's steps together: which step starts from which, and options that do nothing together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.pipeline.document import Document, Mistake
from compressor.pipeline.words import listing, meant, quote
from compressor.stages.base import Stage, StageSpec
from compressor.store.artifact import Kind

KINDS: Mapping[Kind, str] = {
    "model": "a model",
    "onnx": "an ONNX graph",
    "bundle": "a bundle",
    "measurement": "measurements",
}
MODEL_MAKING = frozenset({"model", "onnx"})


@dataclass(frozen=True)
class Step:
    """A step as the file has it. `stage` is None where the file names none that exists, `spec` where it is wrong."""

    name: str
    raw: Mapping[str, Any]
    stage: Stage | None
    spec: StageSpec | None


def written(kind: type[StageSpec]) -> dict[str, str]:
    """The fields of a stage as a file names them -> as Python does: `from` -> `from_`."""
    return {info.alias or name: name for name, info in kind.model_fields.items()}


def roles(stage: Stage, spec: StageSpec) -> dict[str, str]:
    """Role -> the step that fills it, of the roles that a file names."""
    fields = written(stage.spec)
    found = {role: getattr(spec, fields[role]) for role in stage.takes if role in fields}
    return {role: step for role, step in found.items() if isinstance(step, str)}


def check(steps: Sequence[Step], document: Document) -> Iterator[Mistake]:
    """Every mistake between steps: roles, exclusive fields, options without effect."""
    for position, step in enumerate(steps):
        if step.stage is None:
            continue
        fields = written(step.stage.spec)
        for role in step.stage.takes:
            if role in fields and isinstance(step.raw.get(role), str):
                yield from _role(role, step, steps, position, document)
        yield from _model_or_from(step, fields, document)
        if step.spec is not None:
            yield from _ineffective(step.name, step.spec, fields, document)


def _role(role: str, step: Step, steps: Sequence[Step], position: int, document: Document) -> Iterator[Mistake]:
    assert step.stage is not None
    name, place = step.raw[role], ("steps", step.name, role)
    allowed = step.stage.takes[role]
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
            what = f"{quote(name)} makes {KINDS[other.makes]} ({other.name})"
            yield document.mistake(place, f"{what}, but {step.stage.name} needs {kinds(allowed)} here", fitting)


def kinds(allowed: frozenset[Kind]) -> str:
    """Kinds of artifact in words: `a model or an ONNX graph`."""
    return " or ".join(words for kind, words in KINDS.items() if kind in allowed)


def _ineffective(name: str, spec: StageSpec, fields: Mapping[str, str], document: Document) -> Iterator[Mistake]:
    for field, why in ineffective(spec):
        python = fields.get(field, field)
        if python in spec.model_fields_set and getattr(spec, python) is not None:
            yield document.mistake(
                ("steps", name, field), f"has no effect: {why}", "" if ";" in why else "leave it out"
            )


def _model_or_from(step: Step, fields: Mapping[str, str], document: Document) -> Iterator[Mistake]:
    """A step that can begin with a network of its own or with another step's takes exactly one of them."""
    assert step.stage is not None
    if not {"model", "from"} <= fields.keys():
        return
    named = any(step.raw.get(field) is not None for field in ("model", "factory"))
    follows = step.raw.get("from") is not None
    if named and follows:
        todo = "keep model for a new network, or from to go on with that step's"
        yield document.mistake(
            ("steps", step.name, "from"), "stands beside model, and a step starts from one of them", todo
        )
    elif not named and not follows:
        todo = "add `model: NAME` for a new network, or `from: STEP` to go on with an earlier one"
        yield document.mistake(("steps", step.name), f"{step.stage.name} has neither model nor from", todo)


def ineffective(spec: StageSpec) -> list[tuple[str, str]]:
    """Fields that do nothing beside the others, as a file names them, and why; written or not."""
    found = spec.ineffective()
    return [*found, ("seed", "nothing here is left to chance")] if "seed" in spec.unused() else found
