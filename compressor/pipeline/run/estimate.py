"""`compress smoke`: a whole run of one batch in a store of its own, and from its pace what the real run takes."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor import unfinished
from compressor.pipeline.file import spec
from compressor.pipeline.plan.prepare import Request, prepare
from compressor.pipeline.run.pace import Pace
from compressor.pipeline.run.run import run
from compressor.pipeline.run.supervise import ChildBug
from compressor.stages.base import StageSpec

OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Line:
    """One node's seconds, in the smoke run and as expected of the real one."""

    node: str
    smoke_seconds: float
    real_seconds: float


@dataclass(frozen=True)
class Estimate:
    """What the real run is expected to take on this machine, as busy as it was."""

    lines: tuple[Line, ...]
    smoke_seconds: float
    memory_bytes: int
    disk_bytes: int

    @property
    def seconds(self) -> float:
        """Seconds of the whole real run."""
        return sum(line.real_seconds for line in self.lines)


def smoke(path: Path, sets: tuple[str, ...], device: str, on_event: OnEvent, command: str = "") -> Estimate:
    """Run one batch through every stage, export, onnxruntime and report included; leave nothing behind.

    command: what was typed, for the sentence after Ctrl-C.

    Raises:
        CompressError: what the real run would have met.
    """
    paces: dict[str, Pace] = {}
    sizes: dict[str, int] = {}
    began = time.monotonic()

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            pace = paces.setdefault(event["node"], Pace())
            pace.see(time.monotonic(), event["done"], event["unit"])
        elif event["event"] == "done":
            paces.setdefault(event["node"], Pace()).seconds = event["seconds"]
        elif event["event"] == "sizes":
            sizes.update(event["sizes"])
        on_event(event)

    with unfinished.folder("smoke") as scratch:
        store = scratch / "store"
        request = Request(path=path, sets=sets, store=store, device=device, smoke=True)
        try:
            run(request, out=scratch / "run", on_event=listen, command=command)
        except ChildBug as bug:
            kept = shutil.copy(scratch / "run" / "log.jsonl", f"{scratch}.log.jsonl")
            bug.todo = f"please report it and attach {kept}"
            raise
        disk = sum(one.stat().st_size for one in store.rglob("*") if one.is_file())
        nodes = prepare(request).plan.nodes
    steps = spec.load(path, sets).steps
    sizes["models"] = sum(bool(node.name.step and node.name.part) for node in nodes)
    lines = tuple(
        Line(node.name, pace.seconds, real_seconds(steps.get(node.name, node.spec), pace, sizes))
        for node in nodes
        if (pace := paces.get(node.name)) is not None
    )
    return Estimate(lines, time.monotonic() - began, _peak_memory(), disk)


def real_seconds(spec: StageSpec, pace: Pace, sizes: dict[str, int]) -> float:
    """The smoke's seconds, and what more batches, samples and rounds of the whole step add to them.

    sizes: samples of each split, and the number of `models` that are measured.
    """
    work = spec.work(sizes)
    more = sum((pace.seconds_each(unit) or 0.0) * count for unit, count in work.units.items())
    return pace.seconds * (1 + work.again) + max(more, work.seconds)


def _peak_memory() -> int:
    """Bytes of the largest child so far."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
