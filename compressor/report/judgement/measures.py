"""What a budget can limit beside the task's metrics: a row a measure, with all that is said of it anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from compressor import statistics
from compressor.device.figures import DRIFT
from compressor.evaluation.quality import Finding
from compressor.problem.metric import Better
from compressor.report.judgement.evidence import Evidence

if TYPE_CHECKING:
    from compressor.report.contract.report import MetricFacts
    from compressor.report.contract.rows import LatencyRow

Unit = Literal["share", "", "ms", "MB", "×", "count"]

P99_RUNS = 1000
"""Runs that a 99th percentile needs: ten beyond it."""


@dataclass(frozen=True)
class Measure:
    """label: its name for people. meaning: one sentence for the file's author. find: its value of what ships.

    unit: what stands behind a value; `count` for numbers so large that they are shortened, `share` for what is shown
    in percent. exact: it is counted, so that no interval is missing where there is none. timed: it needs a benchmark.
    """

    label: str
    meaning: str
    find: Callable[[Evidence], Finding]
    unit: Unit
    better: Better = "lower"
    exact: bool = False
    timed: bool = False


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
        f"order-statistic interval and {DRIFT:.1%} for the machine's pace"
    )
    interval = statistics.Interval(row.p50_ms, row.low_ms, row.high_ms)
    at = statistics.scaled(interval, row.processes, DRIFT)
    return Finding(row.p50_ms, row.low_ms, row.high_ms, how, row.processes, "processes", at)


def _latency_p99(evidence: Evidence) -> Finding:
    row = _first_latency(evidence)
    if row is None:
        return Finding(None, how="no latency was measured")
    if row.p99_ms is None:
        how = (
            f"{row.samples or 0} runs carry no p99, which needs at least {P99_RUNS:,}: measure for more seconds; "
            f"{_setting(row)}"
        )
        more = math.ceil(P99_RUNS * row.processes / row.samples) if row.samples and row.processes else None
        return Finding(None, how=how, unit="processes", needed=more)
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


def _params(evidence: Evidence) -> Finding:
    return Finding(evidence.shipped.params, how="count of the network's weights, exact")


MEASURES: Mapping[str, Measure] = {
    "latency_p50_ms": Measure(
        "median latency",
        "Median latency in milliseconds, at the first thread count and batch size of `benchmark`.",
        _latency_p50,
        "ms",
        timed=True,
    ),
    "latency_p99_ms": Measure(
        "99th percentile of latency",
        "99th percentile of the latency in milliseconds, measured as the median is.",
        _latency_p99,
        "ms",
        timed=True,
    ),
    "size_mb": Measure("file size", "Size of `model.onnx` in MB of 10^6 bytes.", _size, "MB", exact=True),
    "peak_memory_mb": Measure(
        "peak memory",
        "Largest memory of a fresh process that runs the model, in MB of 10^6 bytes.",
        _peak_memory,
        "MB",
        timed=True,
    ),
    "params": Measure("parameters", "Number of parameters.", _params, "count", exact=True),
    "macs": Measure(
        "multiply-accumulates", "Multiply-accumulate operations for one sample.", _macs, "count", exact=True
    ),
    "speedup": Measure(
        "speed-up over the baseline",
        "The baseline's median latency over the shipped model's, in the same rounds.",
        _speedup,
        "×",
        "higher",
        timed=True,
    ),
    "size_ratio": Measure(
        "times smaller than the baseline",
        "The baseline's size over the shipped model's.",
        _size_ratio,
        "×",
        "higher",
        exact=True,
    ),
}


def measure_of(name: str, metrics: Mapping[str, MetricFacts]) -> Measure:
    """The row of a measure: of the table, else that of a metric. metrics: the task's, by name."""
    if name in MEASURES:
        return MEASURES[name]

    def find(evidence: Evidence) -> Finding:
        return evidence.quality.get(name) or Finding(None, how=f"no {name} was measured")

    known = metrics.get(name)
    unit, better = (known.unit, known.better) if known else ("", "higher")
    return Measure(name.replace("_", " "), "Its value on the test set.", find, unit, better)
