"""`compress smoke`: a whole run of one batch in a store of its own, and from its pace what the real run takes."""

from __future__ import annotations

import math
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor import unfinished
from compressor.pipeline import spec
from compressor.pipeline.plan import EVALUATION
from compressor.pipeline.prepare import Wanted, prepare
from compressor.pipeline.run import run
from compressor.pipeline.smoke import Pace
from compressor.pipeline.supervise import ChildBug

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
        wanted = Wanted(path=path, sets=sets, store=store, device=device, smoke=True)
        try:
            run(wanted, out=scratch / "run", on_event=listen, command=command)
        except ChildBug as bug:
            kept = shutil.copy(scratch / "run" / "log.jsonl", f"{scratch}.log.jsonl")
            bug.todo = f"please report it and attach {kept}"
            raise
        disk = sum(one.stat().st_size for one in store.rglob("*") if one.is_file())
        nodes = [node.name for node in prepare(wanted).plan.nodes]
    pipeline = spec.load(path, sets)
    sizes["models"] = sum(name.endswith(EVALUATION) for name in nodes)
    lines = tuple(
        Line(name, paces[name].seconds, real_seconds(pipeline.steps.get(name), name, paces[name], sizes))
        for name in nodes
        if name in paces
    )
    return Estimate(lines, time.monotonic() - began, _peak_memory(), disk)


def real_seconds(step: Any, name: str, pace: Pace, sizes: dict[str, int]) -> float:
    """The smoke's seconds, and what more batches, samples and rounds add to them.

    sizes: samples of each split, and the number of `models` that are measured.
    """
    batch, sample, round_ = (pace.seconds_each(unit) or 0.0 for unit in ("batches", "samples", "rounds"))
    seconds = pace.seconds
    if name.endswith(EVALUATION):
        seconds += sample * (sizes["test"] + sizes["validation"])
    if hasattr(step, "epochs") and getattr(step, "method", "qat") == "qat":
        seconds += batch * float(step.epochs * math.ceil(sizes["train"] / step.batch_size))
    if hasattr(step, "calibration_samples"):
        passes = 1 if step.calibration == "minmax" else 2
        seconds += sample * passes * min(step.calibration_samples, sizes["train"])
    if hasattr(step, "min_seconds"):
        settings = len(step.threads) * len(step.batch_sizes)
        seconds += (step.processes - 1) * pace.seconds  # the smoke's one process started, opened all and warmed up
        seconds += max(round_ * float(step.rounds), sizes["models"] * settings * float(step.min_seconds))
    return seconds


def _peak_memory() -> int:
    """Bytes of the largest child so far."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
