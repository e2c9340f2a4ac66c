"""The report's `details` from what the artifacts hold: classes, confusion, rounds of latency, the worst samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compressor.report import statistics
from compressor.report.details import ClassQuality, Confusion, Details, Histogram, Rounds, Worst
from compressor.report.evidence import Evaluation, Latencies, finite
from compressor.report.rows import ModelRow
from compressor.report.verdict import Decide

_NAMES = ("name", "class", "answer", "label")
_COUNTS = ("n", "samples", "count", "support")
_VALUES = ("value", "accuracy", "recall", "share")
_BINS = 24


def details_of(
    models: Mapping[str, ModelRow],
    evaluations: Mapping[str, Evaluation],
    latencies: Latencies,
    comparison: Mapping[str, Any],
    told: Mapping[str, Mapping[str, Any]],
    decide: Decide,
) -> Details:
    """All that the pages draw beside the models' rows. told: each step's facts."""
    shas = {step: str(evaluation.facts.get("model_sha256")) for step, evaluation in evaluations.items()}
    rounds = {step: found for step in models if (found := _rounds(latencies.rounds.get(shas[step], {})))}
    breakdowns = {step: evaluation.facts.get("breakdown") or {} for step, evaluation in evaluations.items()}
    worst = [{key: entry.get(key) for key in Worst.model_fields} for entry in comparison.get("worst", ())]
    return Details(
        confusion={step: table for step, given in breakdowns.items() if (table := _confusion(given))},
        per_class={step: classes for step, given in breakdowns.items() if (classes := _classes(given))},
        latency_rounds=rounds,
        busy_rounds=latencies.busy,
        round_processes=latencies.process,
        histograms={step: tuple(_histogram(one.medians_ms) for one in found[:1]) for step, found in rounds.items()},
        worst=tuple(Worst(**{**entry, **_as_words(entry)}) for entry in worst),
        lost=comparison.get("lost"),
        won=comparison.get("won"),
        notes={step: notes for step, facts in told.items() if (notes := _notes(facts))},
        decide=decide,
    )


def _notes(facts: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """What a step told in single words and numbers; the rest has a place of its own in the report."""
    rows = ("model_sha256", "size_bytes", "subnormal_weights")
    return {
        name: finite(value)
        for name, value in facts.items()
        if name not in rows and isinstance(value, str | int | float | bool) and finite(value) is not None
    }


def _as_words(entry: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(entry[key]) for key in ("target", "baseline_answer", "answer")}


def _entry(given: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((given[key] for key in keys if given.get(key) is not None), None)


def _names(breakdown: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of the classes, their numbers where the task gave none."""
    given = breakdown.get("labels") or [_entry(one, _NAMES) for one in breakdown.get("per_class") or ()]
    if len(given) != count or any(name is None for name in given):
        return tuple(str(number) for number in range(count))
    return tuple(str(name) for name in given)


def _confusion(breakdown: Mapping[str, Any]) -> Confusion | None:
    counts = breakdown.get("confusion")
    if not counts:
        return None
    table = tuple(tuple(int(cell) for cell in row) for row in counts)
    return Confusion(labels=_names(breakdown, len(table)), counts=table)


def _classes(breakdown: Mapping[str, Any]) -> tuple[ClassQuality, ...]:
    """Each class with the share of its samples answered rightly and Wilson's interval."""
    confusion = _confusion(breakdown)
    if confusion is not None:
        rows = [(row[place], sum(row)) for place, row in enumerate(confusion.counts)]
        return tuple(_class(name, right, n) for name, (right, n) in zip(confusion.labels, rows, strict=True))
    given = breakdown.get("per_class") or ()
    names = _names(breakdown, len(given))
    return tuple(
        ClassQuality(name=name, n=int(_entry(one, _COUNTS) or 0), value=_entry(one, _VALUES))
        for name, one in zip(names, given, strict=True)
    )


def _class(name: str, right: int, n: int) -> ClassQuality:
    if n == 0:
        return ClassQuality(name=name, n=0, value=None)
    interval = statistics.wilson(right, n)
    return ClassQuality(name=name, n=n, value=interval.value, low=interval.low, high=interval.high)


def _rounds(by_setting: Mapping[str, Sequence[float]]) -> tuple[Rounds, ...]:
    found = []
    for setting, medians in by_setting.items():
        threads, _, batch = setting.partition("x")
        found.append(Rounds(threads=int(threads), batch=int(batch), medians_ms=tuple(float(time) for time in medians)))
    return tuple(found)


def _histogram(medians: Sequence[float]) -> Histogram:
    counts, edges = np.histogram(np.asarray(medians, dtype=float), bins=min(_BINS, max(4, len(medians) // 2)))
    return Histogram(unit="ms", edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))
