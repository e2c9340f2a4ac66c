"""What the artifacts of a run hold, read for the report: evaluations, rounds of the latency experiment, comparisons."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from compressor import statistics
from compressor.errors import IntegrityError
from compressor.report.contract.rows import Drop, LatencyRow, Measured
from compressor.report.judgement.finding import Finding

Folder = Path | None


@dataclass(frozen=True)
class Evaluation:
    """One model's evaluation: facts of evaluation.json and the scores of each test sample.

    scores: metric -> float64 [test]. unseen: bool [test], samples that no choice was made on. indices: int64 [test].
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    unseen: np.ndarray | None = None
    indices: np.ndarray | None = None

    @classmethod
    def read(cls, folder: Folder) -> Evaluation:
        """The evaluation in an artifact's folder; an empty one for None. IntegrityError where a file is damaged."""
        if folder is None:
            return cls()
        facts = read_json(folder / "evaluation.json")
        path = folder / "predictions.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                scores = {name[6:]: np.asarray(arrays[name]) for name in arrays.files if name.startswith("score_")}
                unseen = np.asarray(arrays["unseen"], dtype=bool) if "unseen" in arrays.files else None
                indices = np.asarray(arrays["test_indices"]) if "test_indices" in arrays.files else None
        except (OSError, ValueError, KeyError) as error:
            raise IntegrityError(str(path), f"cannot be read ({error})", "run the step again with --fresh") from None
        return cls(facts, scores, unseen, indices)

    @cached_property
    def all_unseen(self) -> bool:
        """Whether no choice was made on any test sample."""
        return self.unseen is None or bool(self.unseen.all())

    def of_unseen(self) -> Evaluation:
        """The same evaluation over the test samples that no choice was made on."""
        if self.unseen is None or self.all_unseen or not self.unseen.any():
            return self
        kept = {name: scores[self.unseen] for name, scores in self.scores.items()}
        return Evaluation(self.facts, kept, None, None if self.indices is None else self.indices[self.unseen])


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of an artifact; IntegrityError where it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(str(path), f"cannot be read ({error})", "run the step again with --fresh") from None
    if not isinstance(content, dict):
        raise IntegrityError(str(path), "holds no JSON object", "run the step again with --fresh")
    return content


def is_share(scores: np.ndarray) -> bool:
    """Whether each sample is right or wrong, so that the metric is a share of right answers."""
    return bool(np.isin(scores, (0.0, 1.0)).all())


def quality_finding(scores: np.ndarray, whose: str) -> Finding:
    """A metric with Wilson's interval for right and wrong answers, a bootstrap's otherwise. whose: `test samples`."""
    n = len(scores)
    if is_share(scores):
        right = int(scores.sum())
        interval = statistics.wilson(right, n)
        how = f"Wilson's interval, {right:,} of {n:,} {whose} right"

        def at(samples: float) -> statistics.Interval:
            return statistics.wilson(right / n * samples, samples)

        return Finding(interval.value, interval.low, interval.high, how, n, "samples", at)
    interval = statistics.bootstrap_mean(scores)
    how = f"bootstrap of the mean over {n:,} {whose}"
    return Finding(interval.value, interval.low, interval.high, how, n, "samples", statistics.scaled(interval, n))


def drop_finding(baseline: np.ndarray, this: np.ndarray, whose: str) -> tuple[Finding, Drop]:
    """Baseline minus this model on the same samples, with Tango's interval or a bootstrap of the differences."""
    n = len(this)
    if is_share(baseline) and is_share(this):
        lost = int(((baseline == 1) & (this == 0)).sum())
        won = int(((baseline == 0) & (this == 1)).sum())
        interval = statistics.tango(lost, won, n)
        p = statistics.mcnemar(lost, won)
        how = (
            f"Tango's paired score interval over {n:,} {whose}: {lost:,} only the baseline answers rightly, "
            f"{won:,} only this model; exact McNemar p = {p:.2g}"
        )

        def at(samples: float) -> statistics.Interval:
            return statistics.tango(lost / n * samples, won / n * samples, samples)

        drop = Drop(
            drop=interval.value, low=interval.low, high=interval.high, only_baseline_right=lost, only_this_right=won
        )
        return Finding(interval.value, interval.low, interval.high, how, n, "samples", at), drop
    interval = statistics.bootstrap_mean(baseline - this)
    drop = Drop(
        drop=interval.value, low=interval.low, high=interval.high, only_baseline_right=None, only_this_right=None
    )
    how = f"bootstrap of the paired differences over {n:,} {whose}"
    return Finding(interval.value, interval.low, interval.high, how, n, "samples", statistics.scaled(interval, n)), drop


def paired(baseline: Evaluation, this: Evaluation) -> bool:
    """Whether both were evaluated on the same test samples in the same order."""
    if baseline.indices is None or this.indices is None:
        return {len(s) for s in baseline.scores.values()} == {len(s) for s in this.scores.values()}
    return np.array_equal(baseline.indices, this.indices)


def measured(findings: Mapping[str, Finding]) -> dict[str, Measured] | None:
    """Findings as the report's `quality`; None where there is none."""
    rows = {
        name: Measured(value=found.value, low=found.low, high=found.high, n=found.n)
        for name, found in findings.items()
        if found.value is not None
    }
    return rows or None


@dataclass(frozen=True)
class Latencies:
    """The benchmark's rows and rounds, by the digest of the model's file. busy, process: of each round."""

    machine: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    rounds: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    busy: tuple[bool, ...] = ()
    process: tuple[int, ...] = ()
    histograms: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Folder) -> Latencies:
        """The experiment in a benchmark artifact's folder; an empty one for None."""
        if folder is None:
            return cls()
        facts, rounds = read_json(folder / "latency.json"), read_json(folder / "rounds.json")
        busy = tuple(bool(flag) for flag in rounds.pop("busy", ()))
        process = tuple(int(place) for place in rounds.pop("process", ()))
        by_model = {sha: medians for sha, medians in rounds.items() if isinstance(medians, dict)}
        return cls(
            facts.get("machine") or {}, facts.get("rows") or {}, by_model, busy, process, facts.get("histograms") or {}
        )

    def of(self, sha: str | None) -> tuple[LatencyRow, ...] | None:
        """The rows of one model, in the benchmark's order; None where it was not timed."""
        rows = self.rows.get(sha or "")
        if not rows:
            return None
        return tuple(LatencyRow(**{key: row.get(key) for key in LatencyRow.model_fields}) for row in rows)

    def speedup(self, baseline: str | None, this: str | None) -> Finding | None:
        """The baseline's time over this model's, from the processes they share, for the first threads and batch."""
        first = self.of(this)
        if first is None or baseline is None or this is None:
            return None
        name = f"{first[0].threads}x{first[0].batch}"
        before, after = self.rounds.get(baseline, {}).get(name), self.rounds.get(this, {}).get(name)
        if not before or not after or not len(before) == len(after) == len(self.process):
            return None
        n = len(set(self.process))
        interval = statistics.ratio_interval(before, after, self.process)
        how = (
            f"median of the ratios of {n} process{'' if n == 1 else 'es'}, each the median over its rounds, "
            f"{first[0].threads} thread{'' if first[0].threads == 1 else 's'}, batch {first[0].batch}; "
            "order-statistic interval"
        )
        at = None if interval.low is None else statistics.scaled(interval, n)
        return Finding(interval.value, interval.low, interval.high, how, n, "processes", at)


def finite(value: Any) -> Any:
    """The value with every float that is not a number replaced by None, so that it can stand in JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value
