"""One row of the report's `models`: a model as onnxruntime runs it."""

from __future__ import annotations

from typing import Literal

from compressor.evaluation.evaluation import Bits, Parity, Precision
from compressor.evaluation.quality import Measured
from compressor.evaluation.record import Record


class Drop(Record):
    """Baseline minus this model, on the same samples; counts only where an answer is right or wrong."""

    drop: float
    low: float | None
    high: float | None
    only_baseline_right: int | None
    only_this_right: int | None


class LatencyRow(Record):
    """How long one model takes with one thread count and batch size.

    p50_ms is the median of the processes' medians and low_ms, high_ms its 95 % interval; where `processes` is null,
    all was measured in one process, and the interval is over its rounds.
    """

    threads: int
    batch: int
    p50_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    samples: int | None = None
    rounds: int | None = None
    processes: int | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    throughput_per_s: float | None = None
    peak_memory_bytes: int | None = None


class Speedup(Record):
    """The baseline's time over this model's: the median of the processes' ratios, each from the same rounds."""

    value: float
    low: float | None
    high: float | None


class ModelRow(Record):
    """One model, as onnxruntime runs it. quality_unseen: null where no choice was made on any test sample.
    macs_unknown: why `macs` is null, where something cannot be counted."""

    step: str
    stage: str
    kind: Literal["model", "onnx"]
    precision: Precision | None = None
    parent: str | None = None
    teacher: str | None = None
    key: str
    reused: bool
    seconds: float | None = None
    quality: dict[str, Measured] | None = None
    quality_unseen: dict[str, Measured] | None = None
    against_baseline: dict[str, Drop] | None = None
    size_bytes: int | None = None
    params: int | None = None
    macs: int | None = None
    macs_unknown: str | None = None
    latency: tuple[LatencyRow, ...] | None = None
    speedup: Speedup | None = None
    operators: dict[str, int] | None = None
    float_convolutions: int | None = None
    float_matmuls: int | None = None
    bits: Bits | None = None
    parity: Parity | None = None
    curves: tuple[dict[str, float | int | str | None], ...] | None = None
