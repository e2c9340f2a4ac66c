"""The report's `details` from what the artifacts hold: rounds of latency, the worst samples, notes, and the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compressor.evaluation.evaluation import Evaluation
from compressor.report.contract import classes
from compressor.report.contract.details import Details, Histogram, Rounds, Worst
from compressor.report.contract.rows import ModelRow
from compressor.report.judgement.evidence import Decide
from compressor.report.judgement.latencies import Latencies, finite

_BINS = 24


def details_of(
    models: Mapping[str, ModelRow],
    evaluations: Mapping[str, Evaluation],
    latencies: Latencies,
    comparison: Mapping[str, Any],
    told: Mapping[str, Mapping[str, Any]],
    decide: Decide,
    close: Sequence[str | None],
) -> Details:
    """All that the pages draw beside the models' rows. told: each step's facts. close: the steps that pages look at
    class by class."""
    shas = {step: evaluation.model_sha256 for step, evaluation in evaluations.items()}
    rounds = {step: found for step in models if (found := _rounds(latencies.rounds.get(shas[step], {})))}
    breakdowns = {step: evaluation.breakdown for step, evaluation in evaluations.items()}
    worst = [{key: entry.get(key) for key in Worst.model_fields} for entry in comparison.get("worst", ())]
    return Details(
        **classes.details_of(breakdowns, close),
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


def _rounds(by_setting: Mapping[str, Sequence[float]]) -> tuple[Rounds, ...]:
    found = []
    for setting, medians in by_setting.items():
        threads, _, batch = setting.partition("x")
        found.append(Rounds(threads=int(threads), batch=int(batch), medians_ms=tuple(float(time) for time in medians)))
    return tuple(found)


def _histogram(medians: Sequence[float]) -> Histogram:
    counts, edges = np.histogram(np.asarray(medians, dtype=float), bins=min(_BINS, max(4, len(medians) // 2)))
    return Histogram(unit="ms", edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))
