"""What is known of one measured value, and what statements are made about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from compressor.report.contract.report import Needed
    from compressor.report.contract.rows import ModelRow
    from compressor.statistics import Interval


Decide = Literal["interval", "point"]
"""Whether the whole interval decides about a limit, or the value alone."""


@dataclass(frozen=True)
class Finding:
    """One measured value: its interval, where it comes from, and what more of the same would decide.

    interval_at: the interval at another number of samples or processes, where more would narrow it. needed: where it is
    known without an interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    how: str = ""
    n: int = 0
    unit: Literal["samples", "processes", ""] = ""
    interval_at: Callable[[float], Interval] | None = None
    needed: Needed | None = None


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
