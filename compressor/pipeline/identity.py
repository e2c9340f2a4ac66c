"""What a step's key is made of: everything that could change its result, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.stages.base import Stage, StageSpec

Versions = Callable[[str], str]
Contents = Callable[[str], Mapping[str, Any]]

_LIBRARY_MODEL = re.compile(r"(torchvision|timm):")


def no_contents(step: str) -> Mapping[str, Any]:
    """For pipelines whose steps read nothing but their inputs and the task."""
    return {}


@dataclass(frozen=True)
class World:
    """What keys depend on outside of the pipeline file, as plain values.

    task_parts: fingerprint of each part of the task that a stage may use, as JSON. task_libraries: those that make
    something of a part's contents, by part. versions: of a library, by name.
    isa: the instruction-set level. machine: the identity that timings belong to. threads: of a step that runs now.
    contents: step -> settings that stand for what the step reads beside its inputs (`weights`: the file's digest).
    """

    task_parts: Mapping[str, Any]
    device: str
    versions: Versions
    isa: str
    machine: str = ""
    threads: int | None = None
    contents: Contents = field(default=no_contents)
    task_libraries: Mapping[str, Sequence[str]] = field(default_factory=dict)


def settings(spec: StageSpec, roles: frozenset[str], contents: Mapping[str, Any]) -> dict[str, Any]:
    """A step's settings for its key: defaults filled in, digests instead of paths, without names of steps.

    roles: fields that name other steps; the keys of what they name stand in the step's key instead.
    """
    made: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude={"stage", "seed"})
    if isinstance(made.get("model"), str):
        made["model"] = {"name": made["model"], "widths": None}
    if made.get("weights") == "none":
        made["weights"] = None
    made.update(contents)
    return {name: value for name, value in made.items() if name not in roles}


def identity(
    stage: Stage, spec: StageSpec, made: Mapping[str, Any], inputs: Mapping[str, Any], seed: int, world: World,
    opset: int,
) -> dict[str, Any]:  # fmt: skip
    """Everything behind a key, as JSON; the key is its digest.

    made: `settings`. inputs: keys by role. The seed counts where the step leaves something to chance, the opset where
    a graph is made, the machine where models are timed.
    """
    uses = sorted(stage.uses - spec.unused())
    of_task = (name for part in uses for name in world.task_libraries.get(part, ()))
    libraries = {*stage.libraries, *_library_of(made.get("model")), *of_task}
    found: dict[str, Any] = {
        "stage": stage.name,
        "revision": stage.revision,
        "settings": dict(made),
        "inputs": dict(inputs),
        "task": {part: _part(world.task_parts, part, stage) for part in uses},
        "device": world.device.partition(":")[0],
        "libraries": {name: world.versions(name) for name in sorted(libraries)},
    }
    if "seed" not in spec.unused():
        found["seed"] = seed
    if stage.isa:
        found["isa"] = world.isa
    if stage.makes in ("onnx", "bundle"):
        found["opset"] = opset
    if is_benchmark(stage):
        found["machine"] = world.machine
    return found


def is_benchmark(stage: Stage) -> bool:
    """Whether a stage measures all models of a pipeline together."""
    return "models" in stage.takes


def _library_of(model: Any) -> tuple[str, ...]:
    """The library that a network comes from, where it is not one of ours: its version decides the layers."""
    found = _LIBRARY_MODEL.match(str(model.get("name"))) if isinstance(model, Mapping) else None
    return (found[1],) if found else ()


def _part(parts: Mapping[str, Any], part: str, stage: Stage) -> Any:
    if part not in parts:
        raise ValueError(f'stage {stage.name} uses "{part}" of the task, which has {", ".join(parts) or "nothing"}')
    return parts[part]
