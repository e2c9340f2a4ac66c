"""What the statements are made about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from compressor.evaluation.quality import Finding

if TYPE_CHECKING:
    from compressor.report.contract.rows import ModelRow


Decide = Literal["interval", "point"]
"""Whether the whole interval decides about a limit, or the value alone."""
Bound = Literal["min", "max", "max_drop"]
BOUNDS: tuple[Bound, ...] = ("min", "max", "max_drop")


@dataclass(frozen=True)
class Evidence:
    """What the statements are about: the shipped model's row, the baseline's, and the quality on unseen samples.

    quality, drops: by metric; measured on the samples that no choice was made on where there are such.
    """

    shipped: ModelRow
    baseline: ModelRow | None
    quality: Mapping[str, Finding] = field(default_factory=dict)
    drops: Mapping[str, Finding] = field(default_factory=dict)
    speedup: Finding | None = None
