"""What is drawn, and from which numbers. Nothing here loads matplotlib until a figure is really drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from compressor.onnx_graph.kinds import FLOAT_CONVOLUTIONS, FLOAT_PRODUCTS, INTEGER_ARITHMETIC, INTEGER_KERNELS
from compressor.report.contract import classes
from compressor.report.contract.details import LARGEST_MATRIX
from compressor.report.contract.report import Report
from compressor.report.contract.rows import ModelRow
from compressor.report.drawings.curves import trainings
from compressor.report.drawings.figure import Figure
from compressor.report.judgement import words
from compressor.report.judgement.measures import measure_of

_WATERFALL: tuple[tuple[str, str, Callable[[ModelRow], float | None]], ...] = (
    ("size", "size of the file, MB", lambda row: None if row.size_bytes is None else row.size_bytes / 1e6),
    ("macs", "multiply-accumulates, millions", lambda row: None if row.macs is None else row.macs / 1e6),
    ("params", "parameters, thousands", lambda row: None if row.params is None else row.params / 1e3),
)
MOST_CLASSES = 24
LARGEST_TABLE = 20


def figures(report: Report) -> list[Figure]:
    """All figures of a report for which there is data."""
    found = [*_waterfall(report), *_scatter(report), *_distribution(report)]
    found += [training.figure for training in trainings(report) if training.figure]
    return [*found, *_per_class(report), *_confusion(report), *_operators(report)]


def colour_of(report: Report, row: ModelRow) -> str:
    """The colour of a row: what ships stands out, int8 differs from float."""
    if row.step == report.verdict.ship:
        return "ship"
    return "int8" if row.precision == "int8" else "float"


def direction(report: Report) -> str:
    """Where in the plane of latency and quality the better models are."""
    better = measure_of(report.task.metric, report.task.metrics).better
    return f"{'up' if better == 'higher' else 'down'} and to the left"


def _waterfall(report: Report) -> Iterator[Figure]:
    metric, unit = report.task.metric, words.unit(report, report.task.metric)
    share = unit == "share"
    scale = 100 if share else 1
    entries = []
    for row in report.models:
        found = words.quality(row, metric)
        if found is not None:
            low = found.value if found.low is None else found.low
            high = found.value if found.high is None else found.high
            entries.append(
                _entry(report, row, found.value * scale, words.number(unit, found.value), low * scale, high * scale)
            )
    if entries:
        title = f"{words.label(metric)}{', %' if share else ''} (95 % interval)"
        yield Figure(
            "waterfall",
            "dots",
            f"{title} of each step",
            {"title": title, "most": 100 if share else None, "entries": entries},
            "quality",
        )
    for name, title, value_of in _WATERFALL:
        values = [(row, value) for row in report.models if (value := value_of(row)) is not None]
        if values:
            bars = [_entry(report, row, value, words.significant(value)) for row, value in values]
            yield Figure("waterfall", "bars", f"{title} of each step", {"title": title, "entries": bars}, name)
    timed = [(row, first) for row in report.models if (first := words.first_latency(row)) and first.p50_ms is not None]
    if timed:
        title = f"median latency, ms ({words.condition(timed[0][1])})"
        bars = [
            _entry(report, row, one.p50_ms, words.significant(one.p50_ms or 0.0), one.low_ms, one.high_ms)
            for row, one in timed
        ]
        yield Figure("waterfall", "bars", f"{title} of each step", {"title": title, "entries": bars}, "latency")


def _entry(
    report: Report, row: ModelRow, value: float | None, text: str, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    return {"name": row.step, "colour": colour_of(report, row), "value": value, "text": text, "low": low, "high": high}


def _scatter(report: Report) -> Iterator[Figure]:
    metric, unit = report.task.metric, words.unit(report, report.task.metric)
    share = unit == "share"
    scale = 100 if share else 1
    points = []
    for row in report.models:
        quality, latency = words.quality(row, metric), words.first_latency(row)
        if quality is None or latency is None or latency.p50_ms is None:
            continue
        points.append(
            {
                "name": row.step,
                "colour": colour_of(report, row),
                "x": latency.p50_ms,
                "y": quality.value * scale,
                "x_range": [latency.low_ms, latency.high_ms],
                "y_range": [None if end is None else end * scale for end in (quality.low, quality.high)],
            }
        )
    if len(points) > 1:
        label = f"{words.label(metric)}{', %' if share else ''}"
        alt = f"{label} against median latency of each step; {direction(report)} is better"
        data = {"x": "median latency, ms", "y": label, "most": 100 if share else None, "points": points}
        yield Figure("scatter", "scatter", alt, data)


def _distribution(report: Report) -> Iterator[Figure]:
    entries = []
    for row in report.models:
        rounds = report.details.latency_rounds.get(row.step)
        if rounds:
            times = list(rounds[0].medians_ms)
            entries.append({"name": row.step, "colour": colour_of(report, row), "times": times})
    if entries:
        alt = "Each round's median time relative to its model's median, a row of points for each step"
        yield Figure(
            "distribution", "distribution", alt, {"entries": entries, "busy": list(report.details.busy_rounds)}
        )


def _per_class(report: Report) -> Iterator[Figure]:
    name, baseline = report.subject, report.verdict.baseline
    ship = classes.of_step(report.details, name)
    before = {one.name: one.value for one in classes.of_step(report.details, baseline)}
    if not ship:
        return
    known = [one for one in ship if one.value is not None]
    order = classes.weakest_first(known) if len(known) > MOST_CLASSES else known
    entries = [
        {
            "name": one.name,
            "n": one.n,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "before": before.get(one.name),
        }
        for one in order[:MOST_CLASSES]
    ]
    which = f"the {MOST_CLASSES} weakest of {len(known)} classes" if len(known) > MOST_CLASSES else "each class"
    both = f"{name} and {baseline}" if before and baseline != name else f"{name}"
    data = {"entries": entries, "name": name, "baseline": baseline if before and baseline != name else None}
    yield Figure("per-class", "per_class", f"Share of right answers in {which}, {both}", data)


def _confusion(report: Report) -> Iterator[Figure]:
    """A drawing only where a table of numbers would be too wide, and points can still be told apart."""
    found = classes.confusions(report.details, report.subject)
    if found is None or not LARGEST_TABLE < len(found[0]) <= LARGEST_MATRIX:
        return
    names, wrong = found
    cells = list(zip(wrong.targets, wrong.answers, wrong.counts, strict=True))
    alt = "Wrong answers by true class and answer; larger points are more frequent"
    yield Figure("confusion", "confusion", alt, {"classes": len(names), "cells": [*map(list, cells)]})


def _operators(report: Report) -> Iterator[Figure]:
    """Of the baseline and what ships; where nothing does, of all that runs in integers."""
    ship, known = report.verdict.ship, [row for row in report.models if row.operators]
    chosen = [
        row
        for row in known
        if row.step in (ship, report.verdict.baseline) or (ship is None and row.precision in ("int8", "mixed"))
    ]
    for place, row in enumerate(chosen or known[-1:]):
        counts = sorted((row.operators or {}).items(), key=lambda item: (-item[1], item[0]))
        entries = [{"name": name, "value": count, "colour": operator_colour(name)} for name, count in counts]
        alt = f"Operators that onnxruntime runs for {row.step}, by count"
        yield Figure("operators", "operators", alt, {"title": row.step, "entries": entries}, str(place))


def operator_colour(name: str) -> str:
    """Whether an operator computes in integers, is a convolution or product in float, or neither."""
    if name in INTEGER_KERNELS | INTEGER_ARITHMETIC:
        return "integer"
    return "float" if name in FLOAT_CONVOLUTIONS | FLOAT_PRODUCTS else "other"
