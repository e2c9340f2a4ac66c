"""A whole run of a pipeline file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.pipeline.run.run import Outcome
    from compressor.report.contract.report import Report


def run(
    path: str | Path,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    device: str = "auto",
    sets: Sequence[str] = (),
    until: str | None = None,
    fresh: str | None = None,
) -> Report:
    """Run a pipeline file as `compress run` does and return its report.

    out: the run's folder, runs/NAME where left out. store: where artifacts are kept. device: auto, cpu, cuda, cuda:N
    or mps. sets: changes of the file, `steps.student.temperature=2`. until: the step to end after. fresh: one to build
    again.

    Raises:
        compressor.errors.CompressError: with the exit code that the command would have had.
    """
    return outcome(path, out=out, store=store, device=device, sets=sets, until=until, fresh=fresh).report


def outcome(
    path: str | Path,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    device: str = "auto",
    sets: Sequence[str] = (),
    until: str | None = None,
    fresh: str | None = None,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    command: str = "",
) -> Outcome:
    """What `run` does, and the folder that holds the report.

    on_event: is told what happens. command: what was typed, for the sentence after Ctrl-C.
    """
    from compressor.pipeline.plan.prepare import Request
    from compressor.pipeline.run.run import run as conduct

    request = Request(Path(path), tuple(sets), Path(store) if store else None, device, until, fresh)
    return conduct(request, out=Path(out) if out else None, on_event=on_event, command=command)
