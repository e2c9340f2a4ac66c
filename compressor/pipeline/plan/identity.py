"""What a step's key is made of: everything that could change its result, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.models import names
from compressor.pipeline.file.document import dotted
from compressor.stages.base import AnyStage, StageSpec
from compressor.store.artifact import KINDS
from compressor.strict import FilePath, ForKey, Place, left_out

Versions = Callable[[str], str]
Contents = Callable[[str], Mapping[Place, str]]


def no_contents(step: str) -> Mapping[Place, str]:
    """For pipelines whose steps read nothing but their inputs and the task."""
    return {}


@dataclass(frozen=True)
class World:
    """What keys depend on outside of the pipeline file, as plain values.

    task_parts: fingerprint of each part of the task that a stage may use, as JSON. task_libraries: those that make
    something of a part's contents, by part. versions: of a library, by name.
    isa: the instruction-set level. machine: the identity that timings belong to. threads: of a step that runs now.
    contents: step -> the digest of all that its spec reads, by place.
    """

    task_parts: Mapping[str, Any]
    device: str
    versions: Versions
    isa: str
    machine: str = ""
    threads: int | None = None
    contents: Contents = field(default=no_contents)
    task_libraries: Mapping[str, Sequence[str]] = field(default_factory=dict)


def settings(spec: StageSpec, roles: frozenset[str], contents: Mapping[Place, str]) -> dict[str, Any]:
    """A step's settings for its key: defaults filled in, digests instead of paths, without names of steps.

    roles: fields that name other steps; the keys of what they name stand in the step's key instead.
    """
    files, code = dict[str, str](), dict[Place, str]()
    for place, read in spec.reads().items():
        if isinstance(read, FilePath):
            files[read] = contents[place]
        else:
            code[place] = contents[place]
    made = spec.model_dump(mode="json", by_alias=True, exclude={"stage", "seed"}, context=ForKey(files))
    fields = [place[-1] for place in code]
    for place, found in code.items():
        made[str(place[-1]) if fields.count(place[-1]) == 1 else dotted(place)] = found
    return {name: value for name, value in made.items() if name not in roles | left_out(spec)}


def identity(
    stage: AnyStage, spec: StageSpec, made: Mapping[str, Any], inputs: Mapping[str, Any], seed: int, world: World,
    opset: int,
) -> dict[str, Any]:  # fmt: skip
    """Everything behind a key, as JSON; the key is its digest.

    made: `settings`. inputs: keys by role. The seed counts where the step leaves something to chance, the opset where
    a graph is made, the machine where models are timed.
    """
    uses = sorted(stage.uses - spec.unused())
    of_task = (name for part in uses for name in world.task_libraries.get(part, ()))
    network = spec.network()
    libraries = {*stage.libraries, *of_task, *(names.libraries(network.ref) if network else ())}
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
    if KINDS[stage.makes].graph:
        found["opset"] = opset
    if stage.times:
        found["machine"] = world.machine
    return found


def _part(parts: Mapping[str, Any], part: str, stage: AnyStage) -> Any:
    if part not in parts:
        raise ValueError(f'stage {stage.name} uses "{part}" of the task, which has {", ".join(parts) or "nothing"}')
    return parts[part]
