"""From what was asked on the command line to a plan: reads the file, the data's digests and the store, never torch."""

from __future__ import annotations

import platform
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor import machine
from compressor.errors import InputError
from compressor.pipeline.file import spec
from compressor.pipeline.plan import plan as planning
from compressor.pipeline.plan.contents import of_step
from compressor.pipeline.plan.identity import World
from compressor.store.digests import Digests
from compressor.store.store import Store
from compressor.strict import Place

if TYPE_CHECKING:
    from compressor.models.names import Named
    from compressor.pipeline.file.spec import Pipeline
    from compressor.pipeline.plan.node import Node, Plan


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    path: Path
    sets: tuple[str, ...] = ()
    store: Path | None = None
    device: str = "auto"
    until: str | None = None
    fresh: str | None = None
    smoke: bool = False

    def command(self) -> str:
        """The command that runs this, without `--until` and `--fresh`."""
        words = ["compress", "run", str(self.path)]
        if self.store is not None:
            words += ["--store", str(self.store)]
        if self.device != "auto":
            words += ["--device", self.device]
        return shlex.join(words + [word for one in self.sets for word in ("--set", one)])

    def to_json(self) -> dict[str, Any]:
        """The same as JSON, for the child."""
        return {
            "path": str(self.path),
            "sets": list(self.sets),
            "store": str(self.store) if self.store else None,
            "device": self.device,
            "until": self.until,
            "fresh": self.fresh,
            "smoke": self.smoke,
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Request:
        """The inverse of `to_json`."""
        store = Path(given["store"]) if given["store"] else None
        return cls(**{**given, "path": Path(given["path"]), "sets": tuple(given["sets"]), "store": store})


@dataclass(frozen=True)
class Prepared:
    """All that a run needs to know before it begins."""

    request: Request
    pipeline: Pipeline
    store: Store
    digests: Digests
    plan: Plan
    device: str

    def declared(self) -> list[Any] | None:
        """The preprocessing that the weights of the first model declare. Imports the model's library."""
        named = declaring(self.pipeline)
        if named is None:
            return None
        from compressor.models import catalogue

        return catalogue.declared_preprocess(named)

    def remember(self, node: Node) -> None:
        """Keep the settings behind a node's key, for the next plan's `why`."""
        planning.remember(self.store, self.pipeline, node)


def prepare(request: Request) -> Prepared:
    """Read the file, look at the data and the store, and plan.

    Raises:
        InputError: everything wrong that can be found without torch.
    """
    pipeline = spec.load(request.path, request.sets)
    if request.smoke:
        steps = {name: one.short() for name, one in pipeline.steps.items()}
        pipeline = pipeline.model_copy(update={"steps": steps})
    store = Store(request.store)
    store.check_place()
    digests = Digests(store.root / "digests")
    device = resolve_device(request.device)
    parts, contents = _read(pipeline, digests)
    if request.smoke:
        parts = {name: {"smoke": part} for name, part in parts.items()}
    world = World(
        task_parts=parts, device=device, versions=installed, isa=machine.isa_level(), machine=machine.identity(),
        threads=machine.default_threads(), contents=contents.__getitem__, task_libraries=pipeline.task.libraries(),
    )  # fmt: skip
    made = planning.plan(
        pipeline, world, store=store, until=request.until, fresh=request.fresh, command=request.command()
    )
    store.rebuild = made.rebuild
    return Prepared(request, pipeline, store, digests, made, device)


def needs_download(request: Request) -> bool:
    """Whether the file asks for data that is not here yet: `fetch` it in the child, then prepare."""
    pipeline = spec.load(request.path, request.sets)
    return pipeline.task.needs_download(pipeline.base)


def fetch(given: dict[str, Any]) -> None:
    """Download what the file asks for. Imports torchvision: for the child.

    Raises:
        InputError: no network, or not the files that were expected.
    """
    request = Request.from_json(given)
    pipeline = spec.load(request.path, request.sets)
    if pipeline.task.needs_download(pipeline.base):
        pipeline.task.fetch(pipeline.base)


def resolve_device(asked: str) -> str:
    """`auto` as this machine has it, without torch.

    Raises:
        InputError: a device that is not one, or CUDA without a driver.
    """
    cuda = Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()
    if asked == "auto":
        return "cuda" if cuda and not installed("torch").endswith("+cpu") else "cpu"
    kind, _, index = asked.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise InputError("--device", f'no such device as "{asked}"', "use auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and not cuda:
        raise InputError("--device", f"{asked} was asked for, and this machine has no CUDA driver", "use --device cpu")
    if kind == "mps" and not (sys.platform == "darwin" and platform.machine() == "arm64"):
        raise InputError("--device", "mps was asked for, and this is no Mac with an Apple chip", "use --device cpu")
    return asked


def installed(package: str) -> str:
    """The version of an installed package; `none` where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def declaring(pipeline: Pipeline) -> Named | None:
    """The first network that declares its preprocessing, where the file gives none."""
    if getattr(pipeline.task, "preprocess", None) is not None:
        return None
    brought = (spec.network() for spec in pipeline.steps.values())
    return next((named for named in brought if named is not None and named.declares), None)


def declaration(pipeline: Pipeline) -> dict[str, str] | None:
    """What stands in the key for declared preprocessing: the network's name, its weights and the library's version."""
    named = declaring(pipeline)
    if named is None:
        return None
    library = named.reference.library
    return {**named.declaration(), library: installed(library)}


def _read(pipeline: Pipeline, digests: Digests) -> tuple[dict[str, Any], dict[str, dict[Place, str]]]:
    """The task's fingerprint by part, and for each step what stands in its key for the files that it reads.

    Raises:
        InputError: everything that is missing, together.
    """
    mistakes: list[InputError] = []
    parts: dict[str, Any] = {}
    contents: dict[str, dict[Place, str]] = {}
    try:
        parts = dict(pipeline.task.fingerprint(pipeline.base, digests, declared=declaration(pipeline)))
    except InputError as error:
        mistakes.append(error)
    for step in pipeline.steps:
        try:
            contents[step] = of_step(pipeline, digests, step)
        except InputError as error:
            mistakes.append(error)
    if mistakes:
        raise located(InputError.together(mistakes), pipeline)
    return parts, contents


def located(error: InputError, pipeline: Pipeline) -> InputError:
    """The error, and those found with it, with the file and the line in front of a place such as `steps.int8.from`."""
    for one in (error, *error.others):
        place = tuple(one.where.split("."))
        if place[0] in ("steps", "task"):
            one.where = pipeline.where(*place)
    return error
