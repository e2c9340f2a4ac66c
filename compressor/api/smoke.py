"""A whole run of one batch, and from its pace what the real run takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.pipeline.run.estimate import Estimate


def smoke(
    path: str | Path,
    *,
    device: str = "auto",
    sets: Sequence[str] = (),
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    command: str = "",
) -> Estimate:
    """Send one batch through every stage, export, onnxruntime and report included; leave nothing behind.

    Raises:
        compressor.errors.CompressError: what the real run would have met.
    """
    from compressor.pipeline.run.estimate import smoke as measure

    return measure(Path(path), tuple(sets), device, on_event, command)
