"""Statements from limits, and the verdict from statements.

A statement holds when its whole 95 % interval keeps the limit, is broken when the whole interval breaks it, and is
open otherwise. With `decide: point` the value alone decides. What is exact (a size, a count) has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from compressor import statistics
from compressor.report.report import Limit, Needed, Statement, StatementState, VerdictState
from compressor.report.rows import LatencyRow, ModelRow

Decide = Literal["interval", "point"]
LIMITS = ("min", "max", "max_drop")
P99_RUNS = 1000
"""Runs that a 99th percentile needs: ten beyond it."""


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
    interval_at: Callable[[float], statistics.Interval] | None = None
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


def state_of(finding: Finding, limit: Limit, decide: Decide) -> StatementState:
    """Whether the value, or its whole interval, keeps the limit."""
    if finding.value is None:
        return "open"
    point = decide == "point" or finding.low is None or finding.high is None
    low = finding.value if point or finding.low is None else finding.low
    high = finding.value if point or finding.high is None else finding.high
    if limit.min is not None:
        return "holds" if low >= limit.min else "broken" if high < limit.min else "open"
    return "holds" if high <= limit.value else "broken" if low > limit.value else "open"


def statements(budget: Sequence[Mapping[str, Any]], evidence: Evidence, decide: Decide) -> tuple[Statement, ...]:
    """One statement a limit, in the order of the file. budget: `{measure, min | max | max_drop}` each."""
    found = []
    for entry in budget:
        for kind in LIMITS:
            if entry.get(kind) is not None:
                limit = Limit(**{kind: float(entry[kind])})
                found.append(_statement(str(entry["measure"]), limit, evidence, decide))
    return tuple(found)


def verdict_of(found: Sequence[Statement]) -> VerdictState:
    """fail where one is broken, undecided where one is open, pass where all hold, measured where there is none."""
    states = {statement.state for statement in found}
    if not states:
        return "measured"
    return "fail" if "broken" in states else "undecided" if "open" in states else "pass"


def _statement(measure: str, limit: Limit, evidence: Evidence, decide: Decide) -> Statement:
    finding = measure_of(measure, limit, evidence)
    state = state_of(finding, limit, decide)
    how = finding.how
    if decide == "point" and finding.low is not None:
        how += "; decided by the value alone"
    return Statement(
        measure=measure,
        limit=limit,
        value=finding.value,
        low=finding.low,
        high=finding.high,
        state=state,
        how=how,
        needed=_needed(finding, limit) if state == "open" else None,
    )


def _needed(finding: Finding, limit: Limit) -> Needed | None:
    if finding.interval_at is None or not finding.unit:
        return finding.needed
    n = statistics.samples_needed(finding.interval_at, finding.n, limit.value)
    if n is None:
        return None
    return Needed(samples=n) if finding.unit == "samples" else Needed(processes=n)


def measure_of(measure: str, limit: Limit, evidence: Evidence) -> Finding:
    """The finding that a limit is about; its value is None where nothing was measured."""
    if limit.max_drop is not None:
        return evidence.drops.get(measure) or Finding(None, how=f"no drop of {measure} was measured")
    if measure in evidence.quality:
        return evidence.quality[measure]
    if measure in _MEASURES:
        return _MEASURES[measure](evidence)
    return Finding(None, how=f"no {measure} was measured")


def _first_latency(evidence: Evidence) -> LatencyRow | None:
    rows = evidence.shipped.latency
    return rows[0] if rows else None


def _setting(row: LatencyRow) -> str:
    return f"{row.threads} thread{'' if row.threads == 1 else 's'}, batch {row.batch}"


def _latency_p50(evidence: Evidence) -> Finding:
    row = _first_latency(evidence)
    if row is None or row.p50_ms is None:
        return Finding(None, how="no latency was measured")
    if row.low_ms is None or row.high_ms is None or not row.processes:
        return Finding(row.p50_ms, how=f"median, {_setting(row)}; too few processes for an interval")
    how = (
        f"median of the medians of {row.processes} processes, in {row.rounds} interleaved rounds, {_setting(row)}; "
        f"order-statistic interval and {statistics.DRIFT:.1%} for the machine's pace"
    )
    interval = statistics.Interval(row.p50_ms, row.low_ms, row.high_ms)
    at = statistics.scaled(interval, row.processes, statistics.DRIFT)
    return Finding(row.p50_ms, row.low_ms, row.high_ms, how, row.processes, "processes", at)


def _latency_p99(evidence: Evidence) -> Finding:
    row = _first_latency(evidence)
    if row is None:
        return Finding(None, how="no latency was measured")
    if row.p99_ms is None:
        how = (
            f"{row.samples or 0} runs carry no p99, which needs at least {P99_RUNS:,}: raise min_seconds; "
            f"{_setting(row)}"
        )
        more = None
        if row.samples and row.processes:
            more = Needed(processes=math.ceil(P99_RUNS * row.processes / row.samples))
        return Finding(None, how=how, needed=more)
    return Finding(row.p99_ms, how=f"99th percentile of {row.samples:,} runs, {_setting(row)}; the value alone")


def _peak_memory(evidence: Evidence) -> Finding:
    row = _first_latency(evidence)
    if row is None or row.peak_memory_bytes is None:
        return Finding(None, how="no peak memory was measured")
    return Finding(
        row.peak_memory_bytes / 1e6, how=f"peak of a fresh process that runs the file alone, {_setting(row)}"
    )


def _size(evidence: Evidence) -> Finding:
    size = evidence.shipped.size_bytes
    return Finding(None if size is None else size / 1e6, how="size of model.onnx, exact; 1 MB is 10^6 bytes")


def _size_ratio(evidence: Evidence) -> Finding:
    size = evidence.shipped.size_bytes
    before = None if evidence.baseline is None else evidence.baseline.size_bytes
    if size is None or before is None or size == 0:
        return Finding(None, how="no two sizes to compare")
    return Finding(before / size, how=f"baseline's {before:,} bytes over {size:,}, exact")


def _macs(evidence: Evidence) -> Finding:
    row = evidence.shipped
    if row.macs is None:
        return Finding(None, how=row.macs_unknown or "no multiply-accumulates were counted")
    return Finding(row.macs, how="multiply-accumulates of one sample, exact")


def _speedup(evidence: Evidence) -> Finding:
    return evidence.speedup or Finding(None, how="baseline and shipped model were not timed in the same rounds")


_MEASURES: dict[str, Callable[[Evidence], Finding]] = {
    "latency_p50_ms": _latency_p50,
    "latency_p99_ms": _latency_p99,
    "peak_memory_mb": _peak_memory,
    "size_mb": _size,
    "size_ratio": _size_ratio,
    "speedup": _speedup,
    "params": lambda evidence: Finding(evidence.shipped.params, how="count of the network's weights, exact"),
    "macs": _macs,
}
