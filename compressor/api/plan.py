"""What a run would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compressor.pipeline.plan.prepare import Prepared


def plan(
    path: str | Path,
    *,
    store: str | Path | None = None,
    device: str = "auto",
    sets: Sequence[str] = (),
    until: str | None = None,
    fresh: str | None = None,
) -> Prepared:
    """What would run, what is reused, and why, as `compress plan` shows it. Runs nothing and loads no torch.

    Arguments: as those of `run`. Of the answer, `plan.nodes` has a node a step in the order of the run, hidden ones
    too: its `name`, `stage`, `status` (run, reuse or resume), `why` and `key`.

    Raises:
        compressor.errors.InputError: the file or the data has mistakes, all of them at once.
    """
    from compressor.pipeline.plan.prepare import Request, prepare

    return prepare(Request(Path(path), tuple(sets), Path(store) if store else None, device, until, fresh))
