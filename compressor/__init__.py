"""From one pipeline file to a verified edge bundle and a report that decides.

    report = compressor.run("pipeline.yaml")
    model = compressor.load_bundle("runs/digits/bundle")

Importing this loads nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compressor.bundle.loaded import LoadedBundle
    from compressor.report.contract.report import Report

__all__ = ["load_bundle", "run"]

# onnxruntime's telemetry is on by default, has a thread beside what is timed, and leaves files behind.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def run(
    path: str | Path,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    device: str = "auto",
    sets: Sequence[str] = (),
) -> Report:
    """Run a pipeline file as `compress run` does and return its report.

    Raises:
        compressor.errors.CompressError: with the exit code that the command would have had.
    """
    from compressor.pipeline.plan.prepare import Wanted
    from compressor.pipeline.run.run import run as run_pipeline

    wanted = Wanted(path=Path(path), sets=tuple(sets), store=Path(store) if store else None, device=device)
    return run_pipeline(wanted, out=Path(out) if out else None, on_event=lambda event: None).report


def load_bundle(folder: str | os.PathLike[str], threads: int = 1) -> LoadedBundle:
    """A bundle whose files are what was written, ready to answer: `load_bundle(folder).predict(["picture.png"])`.

    `load` of an exported copy's `runner/` is the same where this package is not installed.

    Raises:
        compressor.errors.CompressError: with the exit code that `python run.py` would have had.
    """
    from compressor.bundle.loaded import LoadedBundle

    return LoadedBundle(folder, threads)
